package callbackdata

import "unicode/utf8"

// jsonWriter appends JSON, or only counts how long it will be.
type jsonWriter struct {
	dst      []byte
	size     int
	counting bool
}

// written gives the JSON that write writes, in a piece of memory of its size.
func written(write func(w *jsonWriter)) []byte {
	w := jsonWriter{counting: true}
	write(&w)
	w.dst, w.counting = make([]byte, 0, w.size), false
	write(&w)
	return w.dst
}

func (w *jsonWriter) put(s string) {
	if w.counting {
		w.size += len(s)
	} else {
		w.dst = append(w.dst, s...)
	}
}

func (w *jsonWriter) bytes(b []byte) {
	if w.counting {
		w.size += len(b)
	} else {
		w.dst = append(w.dst, b...)
	}
}

// char puts an ASCII character, or a byte of a longer one, into a string.
func (w *jsonWriter) char(c byte) {
	switch {
	case mustEscape(c):
		w.escape(c)
	case w.counting:
		w.size++
	default:
		w.dst = append(w.dst, c)
	}
}

func (w *jsonWriter) rune(r rune) {
	var room [utf8.UTFMax]byte
	w.text(utf8.AppendRune(room[:0], r))
}

// text puts text into a string.
func (w *jsonWriter) text(b []byte) {
	plain := 0
	for i, c := range b {
		if mustEscape(c) {
			w.bytes(b[plain:i])
			w.escape(c)
			plain = i + 1
		}
	}
	w.bytes(b[plain:])
}

// mustEscape reports whether a JSON string has a character only as an escape sequence.
func mustEscape(c byte) bool { return c < ' ' || c == '"' || c == '\\' }

func (w *jsonWriter) escape(c byte) {
	const hex = "0123456789abcdef"
	switch c {
	case '"':
		w.put(`\"`)
	case '\\':
		w.put(`\\`)
	case '\n':
		w.put(`\n`)
	case '\r':
		w.put(`\r`)
	case '\t':
		w.put(`\t`)
	case '\b':
		w.put(`\b`)
	case '\f':
		w.put(`\f`)
	default:
		w.put(`\u00`)
		w.put(hex[c>>4 : c>>4+1])
		w.put(hex[c&15 : c&15+1])
	}
}
