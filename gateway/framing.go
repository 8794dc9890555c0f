package gateway

import (
	"bytes"

	"github.com/valyala/fasthttp"
)

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

func isName(name []byte, lower string) bool {
	return len(name) == len(lower) && bytes.EqualFold(name, []byte(lower))
}
