package callbackdata

import "bytes"

// MediaType gives the type of a Content-Type, without its parameters and blanks. It is a part of the argument, whose case it has.
func MediaType(contentType []byte) []byte {
	media, _, _ := bytes.Cut(contentType, []byte{';'})
	return trimBlanks(media)
}

// parameter gives the last parameter of that name behind a type, without its quotes.
func parameter(value []byte, name string) (text []byte, ok bool) {
	p := parameters{value: value}
	p.next()
	for more := true; more; {
		var which, what span
		if which, what, more = p.pair(); isName(which.of(value), name) {
			text, ok = what.of(value), true
		}
	}
	return text, ok
}

// parameters walks what stands between semicolons that are in no quoted string.
type parameters struct {
	value []byte
	at    int
}

// next gives the next stretch, which is empty at the end.
func (p *parameters) next() (s span) {
	quoted, start := false, p.at
	for ; p.at < len(p.value) && (quoted || p.value[p.at] != ';'); p.at++ {
		switch c := p.value[p.at]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			p.at++
		}
	}
	end := min(p.at, len(p.value))
	p.at = end + 1
	return spanOf(start, end)
}

// pair gives the next name=value, without blanks around the two and quotes around the value. more: others may follow.
func (p *parameters) pair() (name, text span, more bool) {
	if p.at > len(p.value) {
		return name, text, false
	}
	s := p.next()
	start, end := int(s.start), int(s.end)
	equals := end
	if i := bytes.IndexByte(p.value[start:end], '='); i >= 0 {
		equals = start + i
	}
	name, text = p.trimmed(start, equals), p.trimmed(min(equals+1, end), end)
	if inside := text.of(p.value); len(inside) >= 2 && inside[0] == '"' && inside[len(inside)-1] == '"' {
		text = spanOf(int(text.start)+1, int(text.end)-1)
	}
	return name, text, p.at <= len(p.value)
}

func (p *parameters) trimmed(start, end int) span {
	for start < end && isBlank(p.value[start]) {
		start++
	}
	for start < end && isBlank(p.value[end-1]) {
		end--
	}
	return spanOf(start, end)
}

// isXML reports whether a type is XML (RFC 7303): by its name, or by its suffix.
func isXML(media []byte) bool {
	const suffix = "+xml"
	return isName(media, "application/xml") || isName(media, "text/xml") ||
		len(media) > len(suffix) && bytes.IndexByte(media, '/') > 0 && isName(media[len(media)-len(suffix):], suffix)
}

func isUTF8(charset []byte) bool { return isName(charset, "utf-8") || isName(charset, "utf8") }

// isASCII reports whether a charset is US-ASCII, by one of the names that IANA lists.
func isASCII(charset []byte) bool {
	for _, name := range [...]string{
		"us-ascii", "ascii", "us", "iso646-us", "iso_646.irv:1991", "ansi_x3.4-1968", "ansi_x3.4-1986", "iso-ir-6", "ibm367", "cp367", "csascii",
	} {
		if isName(charset, name) {
			return true
		}
	}
	return false
}

func trimBlanks(b []byte) []byte {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isBlank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// isName compares without regard to case, as types and charsets are. They are ASCII, so that equal ones are as long.
func isName(b []byte, name string) bool {
	return len(b) == len(name) && bytes.EqualFold(b, []byte(name))
}
