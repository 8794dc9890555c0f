package httpserver

import (
	"net/netip"
	"time"

	"github.com/valyala/fasthttp"
)

// Incoming is a request that has come whole.
type Incoming struct {
	Exchange
	Listener *Listener
	Request  *fasthttp.Request
	Response *fasthttp.Response // the answer, if the exchange is not suspended
	Verdict  Verdict            // as Handler.Head gave it
	body     Reservation
}

// TakeBody makes the caller the owner of what the body costs. Otherwise the charge ends when Serve returns.
func (in *Incoming) TakeBody() Reservation {
	r := in.body
	in.body = Reservation{}
	return r
}

// Exchange is one request and its answer. An exchange that is over does nothing: a late reply never reaches the next request of its
// connection.
type Exchange struct {
	c      *conn
	serial uint32
}

// Waiter is who suspends an exchange. Its methods must not block.
type Waiter interface {
	// ClientGone says that the peer has closed its side, or reset it, or that it was too slow for a stream. It may come more than once. The
	// exchange stays suspended, unless the connection was lost.
	ClientGone()
	// Replied says what came of a reply: its bytes were written to the socket of a client that was there, or they were not. With a stream it
	// comes once, when the last byte behind End is written, or when the connection was lost; then ClientGone has come before, unless End has.
	Replied(written bool)
}

// exchangeState is how far the exchange of a connection has come.
type exchangeState uint8

const (
	none      exchangeState = iota
	serving                 // Handler.Serve has it
	suspended               // anybody may reply
	streaming               // anybody may send pieces of the answer
	broken                  // the stream was lost; the Waiter is to hear of it
	answering               // somebody replies, or a stream is at its end
)

// Wait suspends the exchange. It is called by Handler.Serve, before anybody can call Reply. w may be nil.
func (x Exchange) Wait(w Waiter) {
	c := x.c
	c.l.s.waits.Add(1)
	c.mu.Lock()
	c.state, c.waiter, c.began = suspended, w, time.Now().UnixNano()
	gone := w != nil && c.o.PeerGone() // within the lock: HungUp sees the wait, or this sees the hang-up
	c.mu.Unlock()
	if gone {
		c.l.s.hungUp(x)
	}
}

// SetWaiter makes w the Waiter of a suspended exchange in the place of another one, and reports whether the peer has gone already. An exchange
// that is over has none.
func (x Exchange) SetWaiter(w Waiter) (gone bool) {
	c := x.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serial != x.serial || c.state != suspended {
		return true
	}
	c.waiter = w // within the lock, as in Wait
	return c.o.PeerGone()
}

// Reply answers a suspended exchange, from any goroutine, and never waits for the peer. The first call counts.
func (x Exchange) Reply(resp *fasthttp.Response) {
	if c := x.c; c.claim(x.serial) && c.write(resp) {
		c.writtenLater()
	}
}

// Begin begins to answer a suspended exchange with a stream, from any goroutine, and never waits for the peer. It writes the head, and the
// body of resp as the first piece if there is one. With HTTP/1.1 the body is chunked; with HTTP/1.0 it ends with the connection. The
// exchange stays suspended until End or Abort: hang-ups are seen, and it holds no goroutine, nor a buffer while nothing is unsent.
//
// Where the answer has no body, as that to HEAD has none, the head alone is written and the exchange is over. False: the exchange was over,
// answered or begun before, or the connection is lost.
func (x Exchange) Begin(resp *fasthttp.Response) bool { return x.c.beginStream(x.serial, resp) }

// Send sends a piece of a stream, from any goroutine, and never waits for the peer. Pieces go out in the order of the calls, each of them
// whole. An empty piece sends nothing. piece is the caller's again when Send returns.
//
// What the socket does not take is kept, and the loops write it. A piece that comes when more than 64 KiB are unsent, or when the socket has
// taken too little for Config.WriteTimeout, is not sent: the connection is closed. The Waiter hears of that from another goroutine, so the
// caller may hold its locks. False: the exchange is over, the peer is too slow, or the connection is lost.
func (x Exchange) Send(piece []byte) bool { return x.c.sendPiece(x.serial, piece) }

// End ends a stream, from any goroutine, and never waits for the peer. What is unsent is written first. Then the connection is used for the
// next request, as after Reply.
func (x Exchange) End() { x.c.endStream(x.serial) }

// Abort closes the connection of a suspended exchange without an answer, or in the middle of a stream: without a last chunk, a client that
// speaks HTTP/1.1 sees that the body is cut. Its Waiter is not called.
func (x Exchange) Abort() {
	c := x.c
	if !c.claim(x.serial) {
		c.abortStream(x.serial)
		return
	}
	c.finish()
	c.lost()
}

// RemoteAddr gives the address of the peer, or of the client for whom a PROXY header speaks.
func (x Exchange) RemoteAddr() netip.AddrPort { return x.c.RemoteAddr() }

// OverLimit reports whether the connection came when hardly any descriptor was left. It is closed behind the answer.
func (x Exchange) OverLimit() bool { return x.c.overLimit }

// serving reports whether the exchange was not suspended yet.
func (x Exchange) serving() bool {
	x.c.mu.Lock()
	defer x.c.mu.Unlock()
	return x.c.serial == x.serial && x.c.state == serving
}

// goneWaiter gives the Waiter that is to hear that its client is gone: of an exchange that has lasted for goneAfter, or whose stream was
// lost. young: the exchange has not lasted for so long. Behind Begin a Waiter hears of it once: each acknowledgement of a peer that has closed
// its side is reported as a hang-up again.
func (x Exchange) goneWaiter(now time.Time) (w Waiter, young bool) {
	c := x.c
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.serial != x.serial:
		return nil, false
	case c.state != suspended && (c.state != streaming && c.state != broken || c.heard):
		return nil, false
	case c.state == broken:
	case now.UnixNano()-c.began < int64(goneAfter):
		return nil, true
	}
	c.heard = true
	return c.waiter, false
}

// begin makes the next exchange of the connection.
func (c *conn) begin() Exchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serial++
	c.state = serving
	return Exchange{c, c.serial}
}

// claim makes the caller the one who answers the exchange, and the owner of its connection.
func (c *conn) claim(serial uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serial != serial || c.state != suspended {
		return false
	}
	c.answer()
	return true
}

// answer says that the answer is under way to its end. Called with mu held.
func (c *conn) answer() {
	c.state = answering
	c.l.s.answering.Add()
}

// finish ends the exchange, and gives the Waiter that is to hear of its answer, if there is one.
func (c *conn) finish() (w Waiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == answering {
		c.l.s.answering.Done()
	}
	w, c.waiter, c.state = c.waiter, nil, none
	return w
}
