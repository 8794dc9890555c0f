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
	// ClientGone says that the peer has closed its side, or reset it. It may come more than once. The exchange stays suspended.
	ClientGone()
	// Replied says what came of a reply: its bytes were written to the socket of a client that was there, or they were not.
	Replied(written bool)
}

// exchangeState is how far the exchange of a connection has come.
type exchangeState uint8

const (
	none      exchangeState = iota
	serving                 // Handler.Serve has it
	suspended               // anybody may reply
	answering               // somebody does
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

// Reply answers a suspended exchange, from any goroutine, and never waits for the peer. The first call counts.
func (x Exchange) Reply(resp *fasthttp.Response) {
	if c := x.c; c.claim(x.serial) && c.write(resp) {
		c.writtenLater()
	}
}

// Abort closes the connection of a suspended exchange without an answer. Its Waiter is not called.
func (x Exchange) Abort() {
	if c := x.c; c.claim(x.serial) {
		c.finish()
		c.lost()
	}
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

// waiter gives the Waiter of a suspended exchange that has lasted for goneAfter. young: it has not.
func (x Exchange) waiter(now time.Time) (w Waiter, young bool) {
	c := x.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serial != x.serial || c.state != suspended {
		return nil, false
	}
	if now.UnixNano()-c.began < int64(goneAfter) {
		return nil, true
	}
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
	c.state = answering
	c.l.s.answering.Add()
	return true
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
