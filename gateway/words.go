package gateway

import "strings"

// unquoted is the text of an error without what it quotes: the code that made the error cannot know what a log may hold. An engine that
// echoes a task sends its token, and a client may send anything.
func unquoted(err error) string { return withoutQuotes(err.Error()) }

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
