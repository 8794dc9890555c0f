package gateway

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

// spell rewrites what fasthttp understands in one spelling alone: "Connection: Close", also in a list, and "Expect", whose
// value has no case and which HTTP/1.0 does not have (RFC 9110, 7.6.1 and 10.1.1). A client that reads to the end of a
// connection which it asked to be closed would wait for long.
func spell(h *fasthttp.RequestHeader) {
	for _, list := range h.PeekAll("Connection") {
		for option := range bytes.SplitSeq(list, []byte(",")) {
			if isName(bytes.Trim(option, " \t"), "close") {
				h.SetConnectionClose()
			}
		}
	}
	expect := h.Peek("Expect")
	switch {
	case len(expect) == 0:
	case string(h.Protocol()) == "HTTP/1.0":
		h.Del("Expect")
	case isName(expect, "100-continue"):
		h.Set("Expect", "100-continue")
	}
}

// framingProblem looks for what makes two HTTP parsers disagree about where a request ends. fasthttp refuses much of it
// itself, but takes both lengths at once, "identity", folded lines and bare line feeds. Empty: nothing found. The
// connection of a request with a problem must be closed.
func framingProblem(h *fasthttp.RequestHeader) string {
	if p := string(h.Protocol()); p != "HTTP/1.1" && p != "HTTP/1.0" {
		return "the version is not HTTP/1.0 or HTTP/1.1"
	}
	var seen lengths
	for rest := h.RawHeaders(); len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		if end < 1 || rest[end-1] != '\r' {
			return "a header line does not end in CRLF"
		}
		if problem := seen.line(rest[:end-1]); problem != "" {
			return problem
		}
		rest = rest[end+1:]
	}
	if seen.length && seen.coding {
		return "it has both Content-Length and Transfer-Encoding"
	}
	return ""
}

// lengths are the ways in which a head says how long its body is.
type lengths struct{ length, coding bool }

// line looks at one line of a head, which is empty at its end.
func (l *lengths) line(line []byte) string {
	if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
		return "a header line is folded"
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	switch {
	case bytes.ContainsAny(name, " \t"):
		return "a header name has a blank"
	case isName(name, "content-length"):
		l.length = true
	case isName(name, "transfer-encoding"):
		l.coding = true
		if !isName(bytes.Trim(value, " \t"), "chunked") {
			return "Transfer-Encoding is not chunked"
		}
	}
	return ""
}

// chunkSize reads the line before a chunk: its size, and extensions, which mean nothing here. A size that no body has is not exact.
func chunkSize(line []byte) (size int, extension []byte, ok bool) {
	const digits, huge = 16, 1 << 40
	i := 0
	for ; i < len(line) && i < digits && isHex(line[i]); i++ {
		digit := line[i] - '0'
		if line[i] > '9' {
			digit = line[i] | 0x20 - 'a' + 10
		}
		size = min(size<<4|int(digit), huge)
	}
	extension = line[i:]
	behind := bytes.TrimLeft(extension, " \t")
	return size, extension, i > 0 && (len(behind) == 0 || behind[0] == ';') && !hasControls(behind)
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

// trailerProblem looks for what makes a trailer no field, or one that must not be there as it would say how the message is to be read
// (RFC 9110, 6.5.1). Empty: nothing found.
func trailerProblem(line []byte) string {
	name, value, colon := bytes.Cut(line, []byte(":"))
	switch {
	case line[0] == ' ' || line[0] == '\t':
		return "a trailer is folded"
	case !colon || !isToken(name):
		return "a trailer has no name, or one that is none"
	case hasControls(value):
		return "a trailer has a control character"
	case isForbiddenTrailer(name):
		return "a trailer has a name that only a header may have"
	}
	return ""
}

// isForbiddenTrailer names what is for framing, routing, authentication and the reading of the content.
func isForbiddenTrailer(name []byte) bool {
	for _, forbidden := range []string{
		"authorization", "connection", "content-encoding", "content-length", "content-range", "content-type", "cookie", "expect", "host",
		"keep-alive", "max-forwards", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
	} {
		if isName(name, forbidden) {
			return true
		}
	}
	return false
}

// isToken reports whether name is one as RFC 9110 (5.6.2) has it.
func isToken(name []byte) bool {
	for _, c := range name {
		switch {
		case '0' <= c && c <= '9', 'a' <= c|0x20 && c|0x20 <= 'z', bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0:
		default:
			return false
		}
	}
	return len(name) > 0
}

func hasControls(text []byte) bool {
	for _, c := range text {
		if c < ' ' && c != '\t' || c == 0x7f {
			return true
		}
	}
	return false
}

func isName(name []byte, lower string) bool {
	return len(name) == len(lower) && bytes.EqualFold(name, []byte(lower))
}
