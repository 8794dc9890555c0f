// Package httpfield reads the fields of HTTP messages, and says what may stand in one.
package httpfield

import "bytes"

// cutItem cuts the first item off the value of a header: what stands before the first sep outside of quoted strings (RFC 9110, 5.6.4),
// without the blanks around it. It is not ok when a quoted string does not end.
func cutItem(value []byte, sep byte) (item, rest []byte, ok bool) {
	quoted, escaped := false, false
	for i, c := range value {
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case c == sep && !quoted:
			return bytes.Trim(value[:i], " \t"), value[i+1:], true
		}
	}
	return bytes.Trim(value, " \t"), nil, !quoted
}

// cutPair takes name=value apart. The value is a quoted string, or it is taken as it is: more bytes than those of a token may stand in it,
// as proxies write addresses without quotes. It is not ok when the value is neither. Without a = the value is empty.
func cutPair(pair []byte) (name, value []byte, ok bool) {
	name, value, _ = bytes.Cut(pair, []byte("="))
	name, value = bytes.Trim(name, " \t"), bytes.Trim(value, " \t")
	if !bytes.HasPrefix(value, []byte(`"`)) {
		return name, value, bytes.IndexByte(value, '"') < 0
	}
	value, ok = unquote(value)
	return name, value, ok
}

// unquote gives the text of a quoted string, which begins with a quote.
func unquote(quoted []byte) (text []byte, ok bool) {
	text = make([]byte, 0, len(quoted))
	for i := 1; i < len(quoted); i++ {
		switch c := quoted[i]; {
		case c == '"':
			return text, i == len(quoted)-1
		case c == '\\' && i+1 < len(quoted):
			i++
		}
		text = append(text, quoted[i])
	}
	return nil, false
}
