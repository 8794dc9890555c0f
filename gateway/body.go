package gateway

import (
	"io"
	"net/netip"
	"time"

	"github.com/valyala/fasthttp"
)

// How fasthttp's goroutines read a body: as it comes. It is charged to the budget as its memory grows, not as it is announced, so
// connections that announce much and send little take nothing from others (docs/decisions/body-budget.md).

const (
	// slowTime is how long a body that is charged may take for slowBytes, or for what is left of it. Slower ones are given up: what they
	// have of the budget is somebody else's.
	slowTime  = 5 * time.Second
	slowBytes = 5 << 10
	// secondRoom is the memory of a body that has outgrown freeBody; from there on it doubles.
	secondRoom = 4 << 10
)

// arrival is a body that is being read.
type arrival struct {
	announced *announced
	conn      *conn
	stream    io.Reader // of the raw bytes behind the head; it does not end with the body
	limit     int       // of the body, in bytes
	budget    *budget
	from      netip.Prefix // who sends it
	held      reservation  // for the memory of body

	body    []byte
	text    []byte    // the line that was read last, of a body in chunks
	one     [1]byte   // the byte that was read last
	aside   int       // bytes of chunk extensions and trailers
	end     time.Time // the deadline of the whole body
	window  time.Time // the deadline of the next slowBytes
	pending int       // bytes of those that have not come
}

// readBody reads the body of a request into memory of its own. With a fault it was not read to its end, and nothing may be read behind it.
func (l *listener) readBody(ctx *fasthttp.RequestCtx, a *announced) *Fault {
	stream := ctx.RequestBodyStream()
	if int64(a.length) > a.readable() {
		return a.tooLarge()
	}
	if stream == nil {
		return nil
	}
	c := connOf(ctx)
	r := &arrival{
		announced: a, conn: c, stream: stream, limit: int(a.readable()), budget: l.budgetOf(a.route),
		from: network(l.g.proxies.client(ctx)), end: c.readBy,
	}
	r.held.of = r.budget
	f := r.read()
	r.budget.arrived(r.from, r.held.n)
	if f != nil {
		r.held.release()
		return f
	}
	r.held.shrink(int64(len(r.body)))
	a.body = r.held
	if a.length < 0 {
		ctx.Request.Header.SetContentLength(-1) // headerReceived has said otherwise
	}
	ctx.Request.SetBodyRaw(r.body)
	return nil
}

func (r *arrival) read() *Fault {
	if r.announced.length < 0 {
		return r.chunks()
	}
	return r.take(r.announced.length)
}

// take reads n bytes more of the body.
func (r *arrival) take(n int) *Fault {
	if n > r.limit-len(r.body) {
		return r.announced.tooLarge()
	}
	for n > 0 {
		if len(r.body) == cap(r.body) && !r.grow() {
			return r.announced.overloaded()
		}
		at := len(r.body)
		r.pace()
		got, err := r.stream.Read(r.body[at:min(at+n, cap(r.body))])
		r.body = r.body[:at+got]
		n -= got
		r.pending -= got
		if n > 0 && err != nil {
			return unread(r.conn.late)
		}
	}
	return nil
}

// grow makes room for more of the body. False: the budget has none.
func (r *arrival) grow() bool {
	size, most := freeBody, r.limit
	if r.body != nil {
		size = max(secondRoom, 2*cap(r.body))
	}
	if r.announced.length >= 0 {
		most = r.announced.length
	}
	size = min(size, most)
	if size > freeBody {
		more := int64(size) - r.held.n
		if !r.budget.arrive(r.from, more, int64(size)) {
			return false
		}
		r.held.n += more
	}
	r.body = append(make([]byte, 0, size), r.body...)
	return true
}

// pace says until when the next bytes have to come. A body that is charged has to come at a rate.
func (r *arrival) pace() {
	by := r.end
	if r.held.n > 0 {
		if r.pending <= 0 {
			r.window, r.pending = time.Now().Add(slowTime), slowBytes
		}
		if r.window.Before(by) {
			by = r.window
		}
	}
	r.conn.readUntil(by)
}

// chunks reads a body in chunks, and its trailers, which are checked and forgotten (RFC 9110, 6.5.1): none of them is a header.
func (r *arrival) chunks() *Fault {
	for {
		if f := r.line(); f != nil {
			return f
		}
		size, extension, ok := chunkSize(r.text)
		if !ok {
			return malformed("the size of a chunk, or what follows it, is malformed")
		}
		r.aside += len(extension)
		if size == 0 {
			return r.trailers()
		}
		if f := r.take(size); f != nil {
			return f
		}
		if f := r.lineEnd(); f != nil {
			return f
		}
	}
}

func (r *arrival) trailers() *Fault {
	for {
		if f := r.line(); f != nil {
			return f
		}
		if len(r.text) == 0 {
			return nil
		}
		if problem := trailerProblem(r.text); problem != "" {
			return malformed(problem)
		}
		r.aside += len(r.text) + len("\r\n")
	}
}

// line reads a line that ends in CRLF into text, without that. It asks for single bytes, as what follows may be the next request;
// fasthttp has a buffer below.
func (r *arrival) line() *Fault {
	r.text = r.text[:0]
	for {
		c, f := r.next()
		switch {
		case f != nil:
			return f
		case c == '\r':
			if c, f = r.next(); f == nil && c != '\n' {
				f = malformed("a line of the chunked body has a carriage return")
			}
			return f
		case c == '\n':
			return malformed("a line of the chunked body does not end in CRLF")
		case len(r.text)+r.aside >= headerLimit:
			return headersTooLarge()
		}
		r.text = append(r.text, c)
	}
}

// lineEnd reads the CRLF behind a chunk.
func (r *arrival) lineEnd() *Fault {
	for _, want := range []byte("\r\n") {
		c, f := r.next()
		if f == nil && c != want {
			f = malformed("a chunk does not end where its size says")
		}
		if f != nil {
			return f
		}
	}
	return nil
}

// next reads a byte.
func (r *arrival) next() (byte, *Fault) {
	r.pace()
	r.pending--
	if _, err := io.ReadFull(r.stream, r.one[:]); err != nil {
		return 0, unread(r.conn.late)
	}
	return r.one[0], nil
}
