package upstream

import (
	"bytes"
	"strings"
)

// head is what of an answer's head decides where the answer ends and whether the connection goes on.
type head struct {
	status    int
	old       bool // HTTP/1.0
	length    int  // bytes, if sized
	sized     bool // it has a Content-Length
	chunked   bool
	encodings int // Transfer-Encoding fields
	close     bool
	keepAlive bool
}

// statusLine parses "HTTP/1.1 200 OK". The reason may be absent, and the blank before it too, as some servers have it.
func (h *head) statusLine(line []byte) error {
	const version, code = len("HTTP/1."), len("HTTP/1.1 ")
	rest, ok := bytes.CutPrefix(line, []byte("HTTP/1."))
	if !ok || len(line) < code+3 || rest[0] > '1' || rest[0] < '0' || rest[1] != ' ' {
		return badStatusLine
	}
	h.old = line[version] == '0'
	if len(line) > code+3 && line[code+3] != ' ' || !visible(line[code+3:]) {
		return badStatusLine
	}
	status := 0
	for _, c := range line[code : code+3] {
		if c < '0' || c > '9' {
			return badStatusLine
		}
		status = status*10 + int(c-'0')
	}
	if status < 100 {
		return badStatusLine
	}
	h.status = status
	return nil
}

// field parses a line of the head.
func (h *head) field(line []byte) error {
	name, value, err := cutField(line)
	if err != nil {
		return err
	}
	switch {
	case equalFold(name, "content-length"):
		return h.contentLength(value)
	case equalFold(name, "transfer-encoding"):
		h.encodings++
		h.chunked = equalFold(value, "chunked")
	case equalFold(name, "connection"):
		h.connection(value)
	}
	return nil
}

// contentLength parses a length in decimal digits. Two of them are an error even where they are the same (RFC 9112 6.3 allows that).
func (h *head) contentLength(value []byte) error {
	if h.sized || len(value) == 0 {
		return badLength
	}
	length := 0
	for _, c := range value {
		if c < '0' || c > '9' {
			return badLength
		}
		length = min(length*10+int(c-'0'), maxBody+1) // more is too large, however much it is
	}
	h.length, h.sized = length, true
	return nil
}

// connection takes the options of one Connection field (RFC 9110 7.6.1).
func (h *head) connection(list []byte) {
	for more := true; more; {
		var option []byte
		option, list, more = bytes.Cut(list, []byte{','})
		switch option = trim(option); {
		case equalFold(option, "close"):
			h.close = true
		case equalFold(option, "keep-alive"):
			h.keepAlive = true
		}
	}
}

// framing checks the fields that say where the body ends. One that has two ends may be an attempt to smuggle an answer (RFC 9112 6.3),
// and HTTP/1.0 knows no chunks (6.1).
func (h *head) framing() error {
	if h.encodings > 0 && (h.encodings > 1 || !h.chunked || h.sized || h.old) {
		return badEncoding
	}
	return nil
}

// persists reports whether the connection stays open behind the answer (RFC 9112 9.3).
func (h *head) persists() bool { return !h.close && (!h.old || h.keepAlive) }

// cutField splits a field line into name and value, and checks both (RFC 9110 5.5, 5.6.2; RFC 9112 5). A line that begins with a
// blank would continue the one before: no such line is taken.
func cutField(line []byte) (name, value []byte, err error) {
	name, value, ok := bytes.Cut(line, []byte{':'})
	if !ok || len(name) == 0 {
		return nil, nil, badField
	}
	for _, c := range name {
		if !token(c) {
			return nil, nil, badField
		}
	}
	if !visible(value) {
		return nil, nil, badField
	}
	return name, trim(value), nil
}

// chunkSize parses the size of a chunk. Its extensions are checked for control characters, and dropped.
func chunkSize(line []byte) (size int, err error) {
	digits := 0
	for _, c := range line {
		d, ok := hexDigit(c)
		if !ok {
			break
		}
		size = min(size<<4|d, maxBody+1) // more is too large, however much it is
		digits++
	}
	extensions := line[digits:]
	switch {
	case digits == 0 || !visible(extensions):
		return 0, badChunk
	case len(extensions) == 0:
		return size, nil
	}
	if extensions = trim(extensions); len(extensions) == 0 || extensions[0] != ';' {
		return 0, badChunk
	}
	return size, nil
}

func hexDigit(c byte) (d int, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0'), true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10, true
	default:
		return 0, false
	}
}

// token reports whether c may be in a field's name.
func token(c byte) bool {
	switch {
	case '0' <= c && c <= '9', 'a' <= c|0x20 && c|0x20 <= 'z':
		return true
	default:
		return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
	}
}

// visible reports whether there is no control character in b, tabs apart.
func visible(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// trim removes optional white space (RFC 9110 5.6.3).
func trim(b []byte) []byte { return bytes.Trim(b, " \t") }

// equalFold reports whether b is lower, a text in lower case, in any case. Unlike bytes.EqualFold it knows ASCII only.
func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
