package httpserver

import (
	"bytes"
	"math"
	"net/netip"
	"slices"
	"strconv"
)

// HeadLimit is the largest head of a request, in bytes: request line, header lines and the empty line.
const HeadLimit = 16 << 10

// head is what the scanner finds in a request's head. It refuses what two HTTP parsers may read differently (RFC 9110, RFC 9112), and it
// can go on where it stopped, so that a head in many pieces is scanned once.
type head struct {
	at    int  // where the next line begins
	line  bool // the request line was read
	size  int  // of the whole head, in bytes; set when it is complete
	http0 bool // HTTP/1.0

	target  span
	host    span
	hosts   int
	length  int64 // of the body by Content-Length; -1: there is none
	chunked bool
	closes  bool // "Connection: close"
	stays   bool // "Connection: keep-alive"
	expects bool // "Expect: 100-continue"
}

// span is a part of the head's bytes.
type span struct{ from, to int }

func (s span) of(b []byte) []byte { return b[s.from:s.to] }

func newHead() head { return head{length: -1} }

// scan reads the lines that b has beyond those of the call before. done: the head is complete. A problem is public text; the request must
// be refused and nothing may be read behind it.
func (h *head) scan(b []byte) (done bool, problem string) {
	if len(b) > HeadLimit {
		b = b[:HeadLimit]
	}
	for {
		rest := b[h.at:]
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			return false, h.early(rest)
		}
		if end == 0 || rest[end-1] != '\r' {
			return false, "a line does not end in CRLF"
		}
		line := span{h.at, h.at + end - 1}
		h.at += end + 1
		switch {
		case line.from == line.to && h.line:
			h.size = h.at
			return true, h.check(b)
		case line.from == line.to: // in front of the request line (RFC 9112, 2.2)
		case !h.line:
			h.line = true
			problem = h.requestLine(b, line)
		default:
			problem = h.headerLine(b, line)
		}
		if problem != "" {
			return false, problem
		}
	}
}

// early refuses a first line that can be none before its end has come: bytes of TLS or of another protocol.
func (h *head) early(line []byte) string {
	if h.line {
		return ""
	}
	return controlProblem(bytes.TrimSuffix(line, []byte{'\r'}))
}

func controlProblem(line []byte) string {
	if slices.ContainsFunc(line, isControl) {
		return "the request line has a control character"
	}
	return ""
}

// requestLine reads "method SP request-target SP HTTP-version".
func (h *head) requestLine(b []byte, line span) string {
	text := line.of(b)
	if problem := controlProblem(text); problem != "" {
		return problem
	}
	method, rest, ok := bytes.Cut(text, []byte{' '})
	target, version, ok2 := bytes.Cut(rest, []byte{' '})
	switch {
	case !ok || !ok2 || len(target) == 0:
		return "the request line is not method, target and version"
	case !isToken(method):
		return "the method is not a token"
	case bytes.IndexByte(target, '\t') >= 0:
		return "the request target has a blank"
	}
	switch string(version) {
	case "HTTP/1.1":
	case "HTTP/1.0":
		h.http0 = true
	default:
		return "the version is not HTTP/1.0 or HTTP/1.1"
	}
	h.target.from = line.from + len(method) + 1
	h.target.to = h.target.from + len(target)
	return ""
}

// headerLine reads "field-name: field-value".
func (h *head) headerLine(b []byte, line span) string {
	text := line.of(b)
	colon := bytes.IndexByte(text, ':')
	if problem := fieldProblem(text, colon); problem != "" {
		return problem
	}
	value := trim(text[colon+1:])
	switch name := text[:colon]; len(name) {
	case len("host"):
		if isName(name, "host") {
			h.hosts++
			h.host.from = line.to - len(text[colon+1:]) + bytes.Index(text[colon+1:], value)
			h.host.to = h.host.from + len(value)
		}
	case len("expect"):
		h.expects = h.expects || isName(name, "expect") && isName(value, "100-continue")
	case len("connection"):
		if isName(name, "connection") {
			h.connection(value)
		}
	case len("content-length"):
		if isName(name, "content-length") {
			return h.contentLength(value)
		}
	case len("transfer-encoding"):
		if isName(name, "transfer-encoding") {
			return h.transferEncoding(value)
		}
	}
	return ""
}

// fieldProblem checks a header or trailer line whose colon is at that place, -1 if there is none.
func fieldProblem(line []byte, colon int) string {
	switch {
	case line[0] == ' ' || line[0] == '\t':
		return "a header line is folded"
	case colon < 0:
		return "a header line has no colon"
	case !isToken(line[:colon]):
		return "a header name is not a token"
	}
	if slices.ContainsFunc(line[colon+1:], isControl) {
		return "a header value has a control character"
	}
	return ""
}

// connection reads a list of options. "close" wins, wherever it stands.
func (h *head) connection(list []byte) {
	for option := range bytes.SplitSeq(list, []byte{','}) {
		option = trim(option)
		h.closes = h.closes || isName(option, "close")
		h.stays = h.stays || isName(option, "keep-alive")
	}
}

func (h *head) contentLength(value []byte) string {
	if h.length >= 0 {
		return "Content-Length is there twice"
	}
	const digits = 19 // of the largest int64
	n := int64(0)
	for _, c := range value {
		if c < '0' || c > '9' || len(value) > digits || n > (math.MaxInt64-int64(c-'0'))/10 {
			return "Content-Length is not a length"
		}
		n = 10*n + int64(c-'0')
	}
	if len(value) == 0 {
		return "Content-Length is not a length"
	}
	h.length = n
	return ""
}

func (h *head) transferEncoding(value []byte) string {
	if h.chunked || !isName(value, "chunked") {
		return "Transfer-Encoding is not chunked"
	}
	h.chunked = true
	return ""
}

// check looks at what needs the whole head.
func (h *head) check(b []byte) string {
	switch {
	case h.chunked && h.length >= 0:
		return "it has both Content-Length and Transfer-Encoding"
	case h.chunked && h.http0:
		return "HTTP/1.0 has no Transfer-Encoding"
	case h.hosts > 1:
		return "Host is there twice"
	case h.hosts == 0 && !h.http0:
		return "Host is missing"
	case h.hosts == 1 && !isHost(h.host.of(b)):
		return "Host is not a host and a port"
	}
	authority, absolute := authorityOf(h.target.of(b))
	if absolute && (!isHost(authority) || h.hosts == 1 && !bytes.EqualFold(authority, h.host.of(b))) {
		return "Host is not that of the request target"
	}
	if h.http0 {
		h.expects = false // it has no meaning there (RFC 9110, 10.1.1)
	}
	return ""
}

// authorityOf gives the authority of a request target in absolute form (RFC 9112, 3.2.2).
func authorityOf(target []byte) (authority []byte, absolute bool) {
	if target[0] == '/' {
		return nil, false
	}
	_, rest, ok := bytes.Cut(target, []byte("://"))
	if !ok {
		return nil, false
	}
	if end := bytes.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return rest, true
}

// isHost reports whether b is uri-host [ ":" port ] (RFC 9110, 7.2; RFC 3986, 3.2.2).
func isHost(b []byte) bool {
	name, port := b, []byte(nil)
	if i := bytes.LastIndexByte(b, ':'); i >= 0 && bytes.IndexByte(b[i:], ']') < 0 {
		name, port = b[:i], b[i+1:]
	}
	if len(port) > 0 {
		if _, err := strconv.ParseUint(string(port), 10, 16); err != nil || port[0] == '+' {
			return false
		}
	}
	if address, ok := bytes.CutPrefix(name, []byte{'['}); ok {
		address, ok = bytes.CutSuffix(address, []byte{']'})
		a, err := netip.ParseAddr(string(address))
		return ok && err == nil && a.Is6()
	}
	return len(name) > 0 && !slices.ContainsFunc(name, isNoHostByte)
}

// isNoHostByte reports whether c may not stand in a reg-name or an address of IPv4 (RFC 3986, 3.2.2).
func isNoHostByte(c byte) bool {
	switch c {
	case '(', ')', ',', ';', '=':
		return false
	case '#', '^', '`', '|':
		return true
	}
	return !isTokenByte(c)
}

// isControl reports whether c may not stand in a value (RFC 9110, 5.5).
func isControl(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }

// isToken reports whether b is a token (RFC 9110, 5.6.2).
func isToken(b []byte) bool {
	for _, c := range b {
		if !isTokenByte(c) {
			return false
		}
	}
	return len(b) > 0
}

func isTokenByte(c byte) bool {
	const (
		low  = 1<<'!' | 1<<'#' | 1<<'$' | 1<<'%' | 1<<'&' | 1<<'\'' | 1<<'*' | 1<<'+' | 1<<'-' | 1<<'.' | 0x3ff<<'0'
		high = 1<<('^'-64) | 1<<('_'-64) | 1<<('`'-64) | 1<<('|'-64) | 1<<('~'-64) | (1<<26-1)<<('A'-64) | (1<<26-1)<<('a'-64)
	)
	if c < 64 {
		return uint64(low)>>c&1 != 0
	}
	return c < 128 && uint64(high)>>(c-64)&1 != 0
}

// trim drops the blanks around a value.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// isName compares without regard to case; lower is ASCII.
func isName(b []byte, lower string) bool {
	return len(b) == len(lower) && bytes.EqualFold(b, []byte(lower))
}

// field gives the value of a header line in the bytes of a head, which may be broken; nil: there is none.
func field(b []byte, lower string) []byte {
	for line := range bytes.SplitSeq(b, []byte{'\n'}) {
		if name, value, ok := bytes.Cut(line, []byte{':'}); ok && isName(name, lower) {
			return trim(bytes.TrimSuffix(value, []byte{'\r'}))
		}
	}
	return nil
}
