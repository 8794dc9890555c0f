package httpserver

import (
	"bytes"
	"strings"
)

const (
	// extensionLimit bounds the extensions of all chunks of a body, in bytes: nobody reads them (RFC 9112, 7.1.1).
	extensionLimit = 1 << 10
	// sizeDigits bounds the digits of a chunk's size.
	sizeDigits = 15
)

// body collects the body of a request that comes in pieces. Its memory grows with what has come.
type body struct {
	bytes  []byte
	paid   Reservation // for bytes' capacity
	budget *Budget
	limit  int64 // most bytes
	length int64 // by Content-Length; -1: it comes in chunks
	chunk  chunk
}

// chunk is how far a body in chunks was read (RFC 9112, 7.1).
type chunk struct {
	state      chunkState
	digits     int
	left       int64 // of the chunk's data
	extensions int   // bytes
	trailers   int   // bytes
	line       []byte
}

type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkExtension
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	chunkTrailer
	chunkDone
)

// outcome is what became of some bytes of a request.
type outcome uint8

const (
	wantsMore outcome = iota
	complete
	refused
)

// add takes what belongs to the body and gives the rest. With refused why says the reason.
func (b *body) add(in []byte) (rest []byte, o outcome, why ReadError) {
	if b.length < 0 {
		return b.addChunks(in)
	}
	n := min(int64(len(in)), b.length-int64(len(b.bytes)))
	if !b.grow(in[:n]) {
		return in, refused, ReadError{Kind: Overloaded}
	}
	if int64(len(b.bytes)) < b.length {
		return in[n:], wantsMore, why
	}
	return in[n:], complete, why
}

// grow appends p. False: the budget has no room for it.
func (b *body) grow(p []byte) bool {
	need := len(b.bytes) + len(p)
	if need <= cap(b.bytes) {
		b.bytes = append(b.bytes, p...)
		return true
	}
	size := max(need, 2*cap(b.bytes))
	if most := b.most(); int64(size) > most {
		size = max(need, int(most))
	}
	if !b.paid.Resize(b.budget, int64(size)) {
		return false
	}
	b.bytes = append(make([]byte, 0, size), b.bytes...)
	b.bytes = append(b.bytes, p...)
	return true
}

// most is how long the body can become, in bytes.
func (b *body) most() int64 {
	if b.length >= 0 {
		return b.length
	}
	return b.limit
}

// addChunks decodes chunks. Trailers are checked and dropped (RFC 9110, 6.5.1): a header that a balancer removes must not come back there.
func (b *body) addChunks(in []byte) (rest []byte, o outcome, why ReadError) {
	c := &b.chunk
	for len(in) > 0 {
		if c.state == chunkData {
			n := min(int64(len(in)), c.left)
			if !b.grow(in[:n]) {
				return in, refused, ReadError{Kind: Overloaded}
			}
			in, c.left = in[n:], c.left-n
			if c.left == 0 {
				c.state = chunkDataCR
			}
			continue
		}
		problem := c.step(in[0])
		in = in[1:]
		switch {
		case problem != "":
			return in, refused, ReadError{Kind: Malformed, Problem: problem}
		case c.state == chunkDone:
			return in, complete, why
		case c.state != chunkSize && int64(len(b.bytes))+c.left > b.limit: // a size is whole at its end
			return in, refused, ReadError{Kind: BodyTooLarge}
		case c.trailers > HeadLimit:
			return in, refused, ReadError{Kind: HeadTooLarge}
		}
	}
	return nil, wantsMore, why
}

// step reads a byte that is not data.
func (c *chunk) step(ch byte) (problem string) {
	switch c.state {
	case chunkSize:
		return c.size(ch)
	case chunkExtension:
		return c.extension(ch)
	case chunkSizeLF:
		if ch != '\n' {
			return "a chunk size does not end in CRLF"
		}
		c.digits = 0
		if c.state = chunkData; c.left == 0 {
			c.state = chunkTrailer
		}
	case chunkDataCR:
		if c.state = chunkDataLF; ch != '\r' {
			return "a chunk does not end in CRLF"
		}
	case chunkDataLF:
		if c.state = chunkSize; ch != '\n' {
			return "a chunk does not end in CRLF"
		}
	case chunkTrailer:
		return c.trailer(ch)
	case chunkData, chunkDone:
	}
	return ""
}

// extension reads a byte of what stands behind a size: nobody reads it.
func (c *chunk) extension(ch byte) (problem string) {
	if ch == '\r' {
		c.state = chunkSizeLF
		return ""
	}
	if c.extensions++; isControl(ch) || c.extensions > extensionLimit {
		return "a chunk extension has a control character or is too long"
	}
	return ""
}

// size reads a byte of "1*HEXDIG [ chunk-ext ] CRLF".
func (c *chunk) size(ch byte) (problem string) {
	digit := int64(-1)
	switch {
	case '0' <= ch && ch <= '9':
		digit = int64(ch - '0')
	case 'a' <= ch|0x20 && ch|0x20 <= 'f':
		digit = int64(ch|0x20-'a') + 10
	case ch == ';' && c.digits > 0:
		c.state = chunkExtension
		return ""
	case ch == '\r' && c.digits > 0:
		c.state = chunkSizeLF
		return ""
	}
	if c.digits++; digit < 0 || c.digits > sizeDigits {
		return "a chunk size is not a hexadecimal number"
	}
	c.left = c.left<<4 | digit
	return ""
}

// trailer reads a byte of the lines behind the last chunk.
func (c *chunk) trailer(ch byte) (problem string) {
	c.trailers++
	if ch != '\n' {
		c.line = append(c.line, ch)
		return ""
	}
	line, ok := bytes.CutSuffix(c.line, []byte{'\r'})
	switch {
	case !ok:
		return "a trailer line does not end in CRLF"
	case len(line) == 0:
		c.state = chunkDone
		return ""
	}
	colon := bytes.IndexByte(line, ':')
	if problem := fieldProblem(line, colon); problem != "" {
		return "in a trailer: " + problem
	}
	if isForbiddenTrailer(line[:colon]) {
		return "a trailer must not frame, route, authenticate or encode the request"
	}
	c.line = c.line[:0]
	return ""
}

// isForbiddenTrailer reports whether a field must not stand in a trailer section (RFC 9110, 6.5.1).
func isForbiddenTrailer(name []byte) bool {
	switch strings.ToLower(string(name)) {
	case "content-length", "transfer-encoding", "trailer", "te", "connection", "keep-alive", "upgrade", "host", "expect", "max-forwards", "range",
		"authorization", "proxy-authorization", "proxy-connection", "cookie", "content-type", "content-encoding", "content-range":
		return true
	}
	return false
}
