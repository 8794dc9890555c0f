package httpserver

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/internal/eventloop"
)

// streamBacklog is how many bytes of a stream may be unsent when the next piece comes. With more the peer is too slow. So a stream keeps
// at most so many bytes and one piece: a piece that is larger than all of it is taken, as a reply of any size is.
const streamBacklog = 64 << 10

// unsent is what a stream has beside its connection while the socket has not taken all of it. Guarded by conn.mu.
type unsent struct {
	size   int    // bytes that the socket had not taken at the end of the last turn
	marked int    // how many of them must have gone when the deadline of the connection comes
	queue  []byte // what came while somebody else owned the connection, as it goes to the socket
}

// streamNext is what the owner of a stream's connection does when it has let go of conn.mu.
type streamNext uint8

const (
	streamGoesOn streamNext = iota // nothing: the connection is not the caller's, or it stays with the exchange
	streamCut                      // close the connection; the Waiter hears of it elsewhere, or not at all
	streamLost                     // the same, and the end of the stream was under way
	streamEnded                    // the last byte is written: on to the next request
)

// beginStream writes the head of a stream and the first piece. False: nothing more can be sent. Where the answer has no body, it is over.
func (c *conn) beginStream(serial uint32, resp *fasthttp.Response) bool {
	o := outs.Get().(*out) // New fills the pool with nothing else
	began, next := c.tryBegin(serial, resp, o)
	if next == streamEnded {
		if c.writeOut(o) {
			c.writtenLater()
		}
		return true
	}
	o.giveBack()
	c.streamOn(next)
	return began
}

func (c *conn) tryBegin(serial uint32, resp *fasthttp.Response, o *out) (began bool, next streamNext) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serial != serial || c.state != suspended {
		return false, streamGoesOn
	}
	if c.l.cut.Load() { // nobody would close it
		c.answer()
		return false, streamLost
	}
	o.b = c.appendStreamHead(o.b[:0], resp)
	if status := resp.StatusCode(); c.bodiless || status < 200 || status == fasthttp.StatusNoContent || status == fasthttp.StatusNotModified {
		c.answer()
		return true, streamEnded
	}
	c.state = streaming
	if piece := resp.Body(); len(piece) > 0 {
		o.b = c.appendPiece(o.b, piece)
	}
	c.l.out.Add(int64(len(o.b)))
	next = c.writeStream(o.b)
	return next == streamGoesOn, next
}

// appendStreamHead appends a head whose body is sent in pieces. The end of an HTTP/1.0 body is the end of its connection.
func (c *conn) appendStreamHead(dst []byte, resp *fasthttp.Response) []byte {
	h := &resp.Header
	h.SetNoDefaultContentType(true)
	h.Del(fasthttp.HeaderContentLength)
	h.Del(fasthttp.HeaderTransferEncoding)
	if c.http0 {
		c.closes = true
	} else {
		h.SetContentLength(-1) // chunked, but not where the status has no body
	}
	c.announce(resp)
	return h.AppendBytes(dst)
}

// appendPiece appends a piece as it goes to the socket. It is not empty: an empty chunk would be the last one.
func (c *conn) appendPiece(dst, piece []byte) []byte {
	if c.http0 {
		return append(dst, piece...)
	}
	dst = strconv.AppendInt(dst, int64(len(piece)), 16)
	dst = append(dst, "\r\n"...)
	dst = append(dst, piece...)
	return append(dst, "\r\n"...)
}

// sendPiece is Exchange.Send.
func (c *conn) sendPiece(serial uint32, piece []byte) bool {
	sent, next := c.trySend(serial, piece)
	c.streamOn(next)
	return sent
}

func (c *conn) trySend(serial uint32, piece []byte) (sent bool, next streamNext) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.serial != serial || c.state != streaming:
		return false, streamGoesOn
	case len(piece) == 0:
		return true, streamGoesOn
	case !c.ownStream():
		return c.enqueue(piece), streamGoesOn
	}
	if err := c.catchUp(); err != nil || c.tooSlow() {
		return false, c.breakStream()
	}
	o := outs.Get().(*out) // New fills the pool with nothing else
	defer o.giveBack()
	o.b = c.appendPiece(o.b[:0], piece)
	c.l.out.Add(int64(len(o.b)))
	next = c.writeStream(o.b)
	return next == streamGoesOn, next
}

// enqueue leaves a piece to the goroutine that owns the connection at the moment: it waits for mu, or is about to. False: the peer is too
// slow; that goroutine closes the connection.
func (c *conn) enqueue(piece []byte) bool {
	u := c.unsent
	if u.size+len(u.queue) > streamBacklog {
		c.breakStream()
		return false
	}
	n := len(u.queue)
	u.queue = c.appendPiece(u.queue, piece)
	c.l.out.Add(int64(len(u.queue) - n))
	return true
}

// endStream is Exchange.End.
func (c *conn) endStream(serial uint32) { c.streamOn(c.tryEnd(serial)) }

func (c *conn) tryEnd(serial uint32) streamNext {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serial != serial || c.state != streaming {
		return streamGoesOn
	}
	c.answer()
	var last []byte
	if !c.http0 {
		last = []byte("0\r\n\r\n")
	}
	c.l.out.Add(int64(len(last)))
	if !c.ownStream() {
		c.unsent.queue = append(c.unsent.queue, last...)
		return streamGoesOn
	}
	if c.catchUp() != nil {
		return streamLost
	}
	return c.writeStream(last)
}

// abortStream closes the connection of a stream. Its Waiter is not called any more.
func (c *conn) abortStream(serial uint32) { c.streamOn(c.tryAbort(serial)) }

func (c *conn) tryAbort(serial uint32) streamNext {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serial != serial || c.state != streaming && c.state != broken {
		return streamGoesOn
	}
	closed := c.state == broken // or somebody is about to close it
	c.state, c.waiter = none, nil
	if closed || !c.ownStream() {
		return streamGoesOn
	}
	return streamCut
}

// cutStream closes the connection, if it has a stream. The Waiter hears of it.
func (c *conn) cutStream() { c.streamOn(c.tryCut()) }

func (c *conn) tryCut() streamNext {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != streaming {
		return streamGoesOn
	}
	owned := c.ownStream()
	if next := c.breakStream(); owned {
		return next
	}
	return streamGoesOn
}

// streamTurn is the turn of a loop, of the timer or of a look at all connections: it has come to own a connection with unsent bytes of a
// stream. It writes what the socket takes and what was queued meanwhile, and ends the turn. expired: the oldest bytes are too old.
func (c *conn) streamTurn(expired bool) { c.streamOn(c.turn(expired)) }

func (c *conn) turn(expired bool) streamNext {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != streaming && c.state != answering {
		return streamCut // Abort or Send has left that to this turn
	}
	if expired || c.catchUp() != nil {
		if c.state == answering {
			return streamLost
		}
		return c.breakStream()
	}
	if c.state == streaming && c.waiter != nil && c.o.PeerGone() {
		c.l.s.hungUp(Exchange{c, c.serial})
	}
	return c.writeStream(nil)
}

// ownStream makes the caller the owner of a stream's connection. False: a loop or the timer owns it at the moment, and writes what is
// queued before its turn ends. Called with mu held.
func (c *conn) ownStream() bool {
	if c.unsent == nil {
		return true // the exchange has it
	}
	o, ok := c.TryOwn()
	if ok {
		c.o = o
	}
	return ok
}

// catchUp writes what the socket takes of the unsent bytes, and what was queued behind them. Called by the owner with mu held.
func (c *conn) catchUp() error {
	u := c.unsent
	if u == nil {
		return nil
	}
	_, err := c.o.Flush()
	left := c.o.Pending()
	u.marked -= u.size - left
	if err == nil && len(u.queue) > 0 {
		_, err = c.o.Write(u.queue)
		left, u.queue = c.o.Pending(), nil
	}
	if err != nil {
		return err
	}
	if u.size = left; left == 0 {
		c.unsent = nil
	}
	return nil
}

// tooSlow reports whether the peer has left too much unsent, or for too long. Called by the owner with mu held, after catchUp.
func (c *conn) tooSlow() bool {
	u := c.unsent
	return u != nil && (u.size > streamBacklog || u.marked > 0 && time.Now().After(c.deadline))
}

// keepUnsent has the loops write what is unsent. When the bytes of the time before have gone, those of now get a time by which they must have gone.
// So a byte waits for at most twice the write time-out, and where the peer takes nothing for once. Called by the owner with mu held.
func (c *conn) keepUnsent(left int) {
	if c.unsent == nil {
		c.unsent = new(unsent)
	}
	u := c.unsent
	if u.size = left; u.marked <= 0 {
		u.marked, c.deadline = left, time.Now().Add(c.l.s.cfg.WriteTimeout)
	}
	c.phase = sending
}

// writeStream writes p, and ends the turn. With unsent bytes the loops have the connection, else the exchange. Called by the owner with mu
// held, after catchUp.
func (c *conn) writeStream(p []byte) streamNext {
	if len(p) > 0 {
		if _, err := c.o.Write(p); err != nil {
			if c.state == answering {
				return streamLost
			}
			return c.breakStream()
		}
	}
	left, ends := c.o.Pending(), c.state == answering
	if ends && c.closes {
		c.unread = c.unread || c.o.Look()&eventloop.Readable != 0
	}
	switch {
	case left == 0:
		c.unsent = nil
		if ends {
			return streamEnded
		}
		return streamGoesOn
	case ends: // as a reply
		c.unsent = nil
		c.phase, c.deadline = writing, time.Now().Add(c.l.s.cfg.WriteTimeout)
	default:
		c.keepUnsent(left)
	}
	c.o.Release(c.deadline)
	return streamGoesOn
}

// breakStream ends a stream whose connection is lost, or is to be. The tick tells the Waiter: the caller may hold locks that the Waiter
// needs. Called with mu held.
func (c *conn) breakStream() streamNext {
	c.state, c.unsent = broken, nil
	c.l.s.hungUp(Exchange{c, c.serial})
	return streamCut
}

// streamOn does what is left of a turn. Called without mu.
func (c *conn) streamOn(next streamNext) {
	switch next {
	case streamGoesOn:
	case streamCut:
		_ = c.o.Close()
		c.left()
	case streamLost:
		c.lost()
	case streamEnded:
		if c.settle() {
			c.writtenLater()
		}
	}
}

// brokenWaiter ends an exchange whose stream was lost, and gives the Waiter that is to hear of that.
func (x Exchange) brokenWaiter() (w Waiter) {
	c := x.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serial == x.serial && c.state == broken {
		w, c.waiter, c.state = c.waiter, nil, none
	}
	return w
}
