package redact

import (
	"bytes"
	"encoding/json"
	"unicode"
	"unicode/utf8"
)

// AppendLabel appends what a JSON value says, as people read it: no more than most bytes, what cannot be printed as \uXXXX.
func AppendLabel(dst, value []byte, most int) []byte { return AppendText(dst, PlainText(value), most) }

// PlainText gives what a JSON value says: a text without its quotes, nothing for null. It stands in value where nothing is escaped.
func PlainText(value []byte) []byte {
	switch {
	case len(value) == 0, string(value) == "null":
		return nil
	case value[0] != '"':
		return value
	case bytes.IndexByte(value, '\\') < 0:
		return bytes.TrimSuffix(value[1:], []byte{'"'}) // it may be cut
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		return value[1:]
	}
	return []byte(text)
}

// AppendText appends a text in printable characters, no more than most bytes.
func AppendText(dst, text []byte, most int) []byte {
	if len(text) <= most && isPlain(text) {
		return append(dst, text...)
	}
	const ellipsis = "..."
	end := len(dst) + most
	for len(text) > 0 {
		c, size := utf8.DecodeRune(text)
		text = text[size:]
		if size = max(size, 1); c == utf8.RuneError || !unicode.IsPrint(c) {
			size = len(`\uffff`)
		}
		left := end - len(dst) - size
		if left < 0 || left < len(ellipsis) && len(text) > left {
			return append(dst, ellipsis[:max(0, min(len(ellipsis), end-len(dst)))]...)
		}
		if size < len(`\uffff`) {
			dst = utf8.AppendRune(dst, c)
		} else {
			dst = appendEscaped(dst, c)
		}
	}
	return dst
}

// isPlain reports whether a text is printable ASCII, as most are.
func isPlain(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

func appendEscaped(dst []byte, c rune) []byte {
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', digits[c>>12&15], digits[c>>8&15], digits[c>>4&15], digits[c&15])
}
