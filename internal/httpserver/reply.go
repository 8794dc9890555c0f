package httpserver

import (
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// lingerTime and lingerBytes bound how long, and how much, a peer is read whose request was refused unread: on a fast link megabytes
	// are on their way before the peer looks at the answer.
	lingerTime  = time.Second
	lingerBytes = 64 << 20
	// outMost is the largest buffer that is kept for the next answer, in bytes: a few large ones must not stay.
	outMost = 64 << 10
)

// out has room for an answer, head and body.
type out struct {
	b []byte
}

// outs are used again, each for the length of a write.
var outs = sync.Pool{New: func() any { return &out{make([]byte, 0, 4<<10)} }}

func (o *out) giveBack() {
	if cap(o.b) <= outMost {
		outs.Put(o)
	}
}

// write writes an answer as far as the socket takes it. True: all of it is written, and the caller still owns the connection. Otherwise
// the connection is closed, or the loops write the rest.
func (c *conn) write(resp *fasthttp.Response) bool {
	c.announce(resp)
	o := outs.Get().(*out) // New fills the pool with nothing else
	o.b = appendResponse(o.b[:0], resp, c.bodiless)
	return c.writeOut(o)
}

// announce says in the head of an answer whether the connection ends behind it.
func (c *conn) announce(resp *fasthttp.Response) {
	if c.closes = c.closes || c.overLimit || resp.ConnectionClose(); c.closes {
		resp.SetConnectionClose()
	} else if c.http0 {
		resp.Header.Set("Connection", "keep-alive")
	}
}

// writeOut is write for an answer as it goes to the socket. It gives o back.
func (c *conn) writeOut(o *out) bool {
	c.l.out.Add(int64(len(o.b)))
	done, err := c.o.Write(o.b)
	o.giveBack()
	switch {
	case err != nil:
		c.lost()
		return false
	case !done:
		c.phase, c.deadline = writing, time.Now().Add(c.l.s.cfg.WriteTimeout)
		c.o.Release(c.deadline)
		return false
	}
	return c.settle()
}

// appendResponse appends what fasthttp would write.
func appendResponse(dst []byte, resp *fasthttp.Response, bodiless bool) []byte {
	body := resp.Body()
	resp.Header.SetNoDefaultContentType(true)
	resp.Header.SetContentLength(len(body)) // not where the status has no body
	dst = resp.Header.AppendBytes(dst)
	if bodiless {
		return dst
	}
	return append(dst, body...)
}

// settle says that the answer is written. False: the peer had gone before, so that it does not count, and the connection is closed.
func (c *conn) settle() bool {
	if c.o.PeerGone() && c.waits() {
		c.lost()
		return false
	}
	if w := c.finish(); w != nil {
		w.Replied(true)
	}
	return true
}

// waits reports whether somebody is to hear of the answer.
func (c *conn) waits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiter != nil
}

// writeOn is called when the socket has room for the rest of an answer.
func (c *conn) writeOn() {
	switch done, err := c.o.Flush(); {
	case err != nil:
		c.lost()
	case !done:
		c.o.Release(c.deadline)
	case c.settle():
		c.writtenLater()
	}
}

// written goes on after an answer. True: the caller still owns the connection, for the next request.
func (c *conn) written() bool {
	switch {
	case c.closes && (c.unread || len(c.ahead) > 0):
		c.linger()
		return false
	case c.closes, c.l.closing.Load():
		c.lost()
		return false
	}
	c.phase = reading
	c.deadline = c.l.s.group.Now().Add(c.l.s.cfg.IdleTimeout)
	return true
}

// writtenLater goes on after an answer that was written outside of a read.
func (c *conn) writtenLater() {
	switch {
	case !c.written():
	case len(c.ahead) > 0:
		go c.resume()
	default:
		c.release()
	}
}

// resume serves what was pipelined behind a request whose answer was not written within its turn. It ends when that is served or suspended.
func (c *conn) resume() {
	defer c.recovered()
	in := c.ahead
	c.ahead = nil
	if c.peerGone() { // see feed
		c.linger()
		return
	}
	w := c.l.s.borrow()
	defer c.l.s.giveBack(w)
	if c.feed(w, in) {
		c.release()
	}
}

// linger closes our side and leaves the other one open, so that no reset destroys the answer.
func (c *conn) linger() {
	if c.o.CloseWrite() != nil {
		c.lost()
		return
	}
	c.phase, c.deadline = lingering, time.Now().Add(lingerTime)
	c.ahead = nil
	c.l.s.lingers(c)
	c.o.Release(c.deadline)
}

// discard drops what a refused peer still sends, until it closes.
func (c *conn) discard(buf []byte) {
	for range readsAtOnce {
		n, err := c.o.Read(buf)
		c.dropped += n
		c.l.in.Add(int64(n))
		switch {
		case c.dropped > lingerBytes, err != nil && !wouldBlock(err):
			c.lost()
			return
		case err != nil, n < len(buf):
			c.o.Release(c.deadline)
			return
		}
	}
	c.o.Release(c.deadline)
}
