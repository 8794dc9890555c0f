package httpserver

import (
	"errors"
	"sync"
	"time"

	"syncgate/internal/eventloop"
)

// conn is a client's or an engine's connection.
type conn struct {
	eventloop.Conn
	l         *Listener // fixed, as overLimit is
	overLimit bool      // it came when hardly any descriptor was left

	// Owned by the Owner of the connection, which is o.
	o        eventloop.Owner
	phase    phase
	closes   bool      // the connection ends behind the answer
	unread   bool      // bytes of the peer are not read when it ends
	http0    bool      // the request was HTTP/1.0
	bodiless bool      // the answer has no body: the request was HEAD
	deadline time.Time // of the phase
	part     *partial  // a request that has not come whole; nil: there is none
	ahead    []byte    // pipelined behind the request that is served
	dropped  int       // bytes, while lingering

	// Guarded by mu. See exchange.go.
	mu     sync.Mutex
	state  exchangeState
	heard  bool   // the Waiter has heard that the client is gone: no other request will be served
	serial uint32 // of the exchange
	began  int64  // its wait, in Unix nanoseconds
	waiter Waiter
	unsent *unsent // of a stream; nil: all is written, and the exchange owns the connection
}

// phase is what an event of the connection means.
type phase uint8

const (
	reading   phase = iota // a request, or idle before it
	writing                // the rest of an answer
	sending                // unsent bytes of a stream; see stream.go
	lingering              // the answer is written; what the peer still sends is dropped, so that no reset destroys the answer
)

// readsAtOnce bounds the reads of one turn: other connections wait for the loop.
const readsAtOnce = 16

// Ready is called by a loop that owns the connection.
func (c *conn) Ready(o eventloop.Owner, buf []byte, _ eventloop.Events) {
	c.o = o
	switch c.phase {
	case writing:
		c.writeOn()
		return
	case sending:
		c.streamTurn(false)
		return
	case lingering:
		c.discard(buf)
		return
	case reading:
	}
	w := c.l.s.borrow()
	defer c.l.s.giveBack(w)
	for range readsAtOnce {
		n, err := o.Read(buf)
		c.l.in.Add(int64(n))
		if n > 0 && !c.feed(w, buf[:n]) {
			return
		}
		switch {
		case err == nil && n == len(buf):
			continue
		case err == nil, wouldBlock(err):
			c.release()
		case c.part != nil:
			c.refuse(w, c.part, ReadError{Kind: Malformed, Problem: "it ends before its end"})
		default:
			c.lost()
		}
		return
	}
	c.release()
}

// HungUp is called by a loop: the peer has closed its side while somebody owns the connection.
func (c *conn) HungUp() {
	c.mu.Lock()
	x, waits := Exchange{c, c.serial}, (c.state == suspended || c.state == streaming) && c.waiter != nil
	c.mu.Unlock()
	if waits {
		c.l.s.hungUp(x)
	}
}

// Expired is called by the timer, which owns the connection: its time is over.
func (c *conn) Expired(o eventloop.Owner) {
	c.o = o
	switch {
	case c.phase == sending:
		c.streamTurn(true)
		return
	case c.phase != reading, c.part == nil:
		c.lost()
		return
	}
	w := c.l.s.borrow()
	defer c.l.s.giveBack(w)
	c.refuse(w, c.part, ReadError{Kind: Slow})
}

// peerGone looks whether the peer has closed its side.
func (c *conn) peerGone() bool { return c.o.PeerGone() || c.o.Look()&eventloop.HangUp != 0 }

// release leaves the connection to the loops until more comes, or its deadline.
func (c *conn) release() {
	if c.phase == sending {
		c.streamTurn(false)
		return
	}
	c.o.Release(c.deadline)
	c.closeIfClosing()
}

// closeIfClosing closes a connection that became idle while its listener closes. The caller does not own it any more.
func (c *conn) closeIfClosing() {
	if !c.l.closing.Load() {
		return
	}
	if o, ok := c.TryOwn(); ok {
		c.o = o
		c.closeIfIdle()
	}
}

// closeIfIdle closes a connection without a request, and releases another one.
func (c *conn) closeIfIdle() {
	switch {
	case c.phase == sending:
		c.streamTurn(false)
	case c.part == nil && c.phase == reading:
		c.lost()
	default:
		c.o.Release(c.deadline)
	}
}

// lost closes the connection. An answer that was not written whole is lost.
func (c *conn) lost() {
	w := c.finish()
	if c.part != nil {
		c.part.body.paid.Release()
		c.part = nil
	}
	_ = c.o.Close()
	c.left()
	if w != nil {
		w.Replied(false)
	}
}

// recovered closes the connection whose goroutine has panicked. The caller owned it.
func (c *conn) recovered() {
	if v := recover(); v != nil {
		c.l.panicked(v)
		c.lost()
	}
}

// left counts the connection out. It is closed.
func (c *conn) left() {
	if !c.l.cfg.Bypass {
		c.l.s.limit.leave()
	}
	c.l.open.Add(-1)
}

func wouldBlock(err error) bool { return errors.Is(err, eventloop.ErrWouldBlock) }
