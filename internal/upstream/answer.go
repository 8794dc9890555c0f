package upstream

import (
	"bytes"
)

// Bounds of an answer. They hold for the bytes as they are on the wire, so that an answer is taken or refused in the same way however
// it is cut into segments.
const (
	maxBody     = 16 << 20 // bytes, without the framing of chunks
	maxHead     = 16 << 10 // bytes of one head, and of all trailers of an answer
	maxSizeLine = 1 << 10  // bytes of a chunk's size and extensions
	maxInterim  = 8        // interim answers (1xx) before the final one
)

// stage says what of an answer comes next.
type stage uint8

const (
	inHead     stage = iota
	inBody           // as many bytes as Content-Length says
	inSize           // of a chunk
	inChunk          // the bytes of a chunk
	inChunkEnd       // the line end behind them
	inTrailers       // after the last chunk
	inRest           // up to the end of the connection
	complete
)

// answer reads one answer (RFC 9112) from a buffer that grows. The buffer has, in this order: the head, what is decoded of the body,
// and what is not parsed yet. The zero value is ready.
type answer struct {
	stage stage
	head  head
	keep  bool // after it the connection can carry another exchange

	// Offsets into the buffer.
	start int // of the head; interim answers are before it
	body  int // the end of the decoded body; inside the head, as far as that is parsed
	next  int // the first byte that is not parsed
	from  int // the first byte of the body

	scanned  int // bytes after next that are known to have no line end
	left     int // bytes that the body or the chunk still lacks
	interim  int // answers skipped
	trailers int // bytes
}

// parse takes in what has been appended to b since the last call. It moves bytes within b. The stage is complete when the answer is;
// what follows next then belongs to no answer.
func (a *answer) parse(b []byte) error {
	for a.stage != complete {
		if progress, err := a.step(b); err != nil || !progress {
			return err
		}
	}
	return nil
}

// ended takes in the end of the connection.
func (a *answer) ended() error {
	if a.stage == inRest {
		a.stage = complete
	}
	if a.stage != complete {
		return ErrTruncated
	}
	return nil
}

// compact removes the framing between the decoded body and what is not parsed.
func (a *answer) compact(b []byte) []byte {
	n := copy(b[a.body:], b[a.next:])
	a.next = a.body
	return b[:a.body+n]
}

// headOf is the head, with its last empty line. Only of a complete answer.
func (a *answer) headOf(b []byte) []byte { return b[a.start:a.from] }

// bodyOf is the decoded body.
func (a *answer) bodyOf(b []byte) []byte { return b[a.from:a.body] }

// surplus reports whether bytes follow the answer.
func (a *answer) surplus(b []byte) bool { return a.next < len(b) }

// step parses one element. Without progress it waits for more bytes.
func (a *answer) step(b []byte) (progress bool, err error) {
	switch a.stage {
	case inHead:
		return a.headLine(b)
	case inBody:
		return a.sized(b), nil
	case inSize:
		return a.size(b)
	case inChunk:
		return a.chunk(b), nil
	case inChunkEnd:
		return a.chunkEnd(b)
	case inTrailers:
		return a.trailer(b)
	case inRest:
		a.next = len(b)
		a.body = a.next
		return false, a.fits(0)
	default:
		return false, nil
	}
}

// line takes the next line, without its end. It may have as many bytes as most says, with its end. A line ends with CR LF and
// with nothing else (RFC 9112 2.2 would let a lenient reader take a lone LF).
func (a *answer) line(b []byte, most int) (line []byte, ok bool, err error) {
	rest := b[a.next:]
	i := bytes.IndexByte(rest[a.scanned:], '\n')
	if i < 0 {
		if a.scanned = len(rest); a.scanned >= most {
			return nil, false, longLine
		}
		return nil, false, nil
	}
	end := a.scanned + i
	switch {
	case end >= most:
		return nil, false, longLine
	case end == 0 || rest[end-1] != '\r':
		return nil, false, badLineEnd
	}
	a.scanned = 0
	a.next += end + 1
	return rest[:end-1], true, nil
}

// headLine parses a line of the head.
func (a *answer) headLine(b []byte) (progress bool, err error) {
	line, ok, err := a.line(b, maxHead-(a.next-a.start))
	if !ok || err != nil {
		return false, err
	}
	a.body = a.next
	switch {
	case a.head.status == 0:
		err = a.head.statusLine(line)
	case len(line) > 0:
		err = a.head.field(line)
	default:
		err = a.headEnd()
	}
	return true, err
}

// headEnd decides how the body ends (RFC 9112 6.3), or begins the next head after an interim answer.
func (a *answer) headEnd() error {
	h := &a.head
	a.from = a.next
	switch {
	case h.status == 101:
		return switched
	case h.status < 200:
		if a.interim++; a.interim > maxInterim {
			return manyInterim
		}
		a.start, a.head = a.next, head{}
		return nil
	}
	if err := h.framing(); err != nil {
		return err
	}
	a.keep = h.persists()
	switch {
	case h.status == 204 || h.status == 304:
		a.stage = complete
	case h.chunked:
		a.stage = inSize
	case !h.sized:
		a.stage, a.keep = inRest, false
	case h.length == 0:
		a.stage = complete
	default:
		a.stage, a.left = inBody, h.length
		return a.fits(h.length)
	}
	return nil
}

// fits reports an error where so many more bytes make the body too large.
func (a *answer) fits(more int) error {
	if a.body-a.from+more > maxBody {
		return ErrTooLarge
	}
	return nil
}

// sized takes bytes of a body whose length is known.
func (a *answer) sized(b []byte) (progress bool) {
	n := min(a.left, len(b)-a.next)
	a.next += n
	a.body, a.left = a.next, a.left-n
	if a.left == 0 {
		a.stage = complete
	}
	return a.left == 0
}

// size parses the line before a chunk.
func (a *answer) size(b []byte) (progress bool, err error) {
	line, ok, err := a.line(b, maxSizeLine)
	if !ok || err != nil {
		return false, err
	}
	if a.left, err = chunkSize(line); err != nil {
		return false, err
	}
	a.stage = inChunk
	if a.left == 0 {
		a.stage = inTrailers
	}
	return true, a.fits(a.left)
}

// chunk moves bytes of a chunk to the body.
func (a *answer) chunk(b []byte) (progress bool) {
	n := copy(b[a.body:], b[a.next:a.next+min(a.left, len(b)-a.next)])
	a.body, a.next, a.left = a.body+n, a.next+n, a.left-n
	if a.left == 0 {
		a.stage = inChunkEnd
	}
	return a.left == 0
}

// chunkEnd takes the line end behind a chunk.
func (a *answer) chunkEnd(b []byte) (progress bool, err error) {
	const end = "\r\n"
	rest := b[a.next:]
	n := min(len(rest), len(end))
	switch {
	case string(rest[:n]) != end[:n]:
		return false, badChunkEnd
	case n < len(end):
		return false, nil
	}
	a.next += n
	a.stage = inSize
	return true, nil
}

// trailer checks a trailer, and drops it: no field that comes after the body may mean anything (RFC 9110 6.5.1).
func (a *answer) trailer(b []byte) (progress bool, err error) {
	before := a.next
	line, ok, err := a.line(b, maxHead-a.trailers)
	if !ok || err != nil {
		return false, err
	}
	a.trailers += a.next - before
	if len(line) == 0 {
		a.stage = complete
		return true, nil
	}
	_, _, err = cutField(line)
	return true, err
}
