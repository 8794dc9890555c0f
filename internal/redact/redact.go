// Package redact says what a log may show of words that others have chosen: an engine's, a client's, or an error that quotes either.
package redact

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Error is the text of an error without what it quotes: the code that made the error cannot know what a log may hold. An engine that
// echoes a task sends its token, and a client may send anything.
func Error(err error) string { return withoutQuotes(err.Error()) }

// withoutQuotes leaves out what stands between double quotes, as %q writes them; a quote that does not end, to the end.
func withoutQuotes(text string) string {
	before, rest, quoted := strings.Cut(text, `"`)
	if !quoted {
		return text
	}
	var b strings.Builder
	for quoted {
		b.WriteString(before + `"..."`)
		rest = behindQuote(rest)
		before, rest, quoted = strings.Cut(rest, `"`)
	}
	return b.String() + before
}

// behindQuote gives what follows the closing quote.
func behindQuote(text string) string {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return text[i+1:]
		}
	}
	return ""
}

const (
	// most bounds what is shown, in bytes.
	most = 160
	// secretLike is the length from which a word may be a token, a signature or a secret. A UUID has 36 characters, and dashes.
	secretLike = 33
)

// Text is what may be shown of a text: at most 160 bytes, without what it quotes, without what may be a secret, in printable characters.
func Text(text string) string {
	return bounded(withoutSecrets(withoutQuotes(text)))
}

// bounded is a text in printable characters, and no more than most bytes of it.
func bounded(text string) string {
	text = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) || c == utf8.RuneError {
			return ' '
		}
		return c
	}, text)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// Path is Text for the path of a URL, whose parts are words of their own.
func Path(path []byte) string {
	parts := strings.Split(string(path), "/")
	for i := range parts {
		parts[i] = withoutSecrets(parts[i])
	}
	return bounded(strings.Join(parts, "/"))
}

// withoutSecrets leaves out words that may be tokens, signatures or secrets, as their length says. A UUID stays.
func withoutSecrets(text string) string {
	if len(text) < secretLike {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		n := strings.IndexFunc(text, func(c rune) bool { return !isWordChar(c) })
		if n < 0 {
			n = len(text)
		}
		if word := text[:n]; n < secretLike || isUUID(word) {
			b.WriteString(word)
		} else {
			b.WriteString("...")
		}
		if n < len(text) {
			_, size := utf8.DecodeRuneInString(text[n:])
			b.WriteString(text[n : n+size])
			n += size
		}
		text = text[n:]
	}
	return b.String()
}

// isWordChar reports whether c may stand in a token, of any base64 or hex.
func isWordChar(c rune) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.ContainsRune("-_+/=", c)
}

// isUUID reports whether a word has the dashes of a UUID, 8-4-4-4-12, and hexadecimal digits.
func isUUID(word string) bool {
	if len(word) != 36 {
		return false
	}
	for i, c := range word {
		switch dash := i == 8 || i == 13 || i == 18 || i == 23; {
		case dash != (c == '-'):
			return false
		case !dash && !strings.ContainsRune("0123456789abcdefABCDEF", c):
			return false
		}
	}
	return true
}
