package upstream

import (
	"time"

	"syncgate/internal/eventloop"
)

// exchange is a call that has a place.
type exchange struct {
	call    Call
	began   time.Time // when it got the place; the time-out counts from here
	tries   int       // attempts that have failed before anything was sent
	request *request  // encoded, and not written; nil: not encoded yet
}

// maxTries is how often a request is attempted while no byte was sent.
const maxTries = 2

// request is the bytes of one.
type request struct{ b []byte }

// kept is the size up to which memory for requests and answers is used again: a few large ones must not stay.
const kept = 64 << 10

// run sends x over l, or has a connection made for it where l is only a place. If x ends before it is sent, the next call gets the place,
// and so on: in a loop, as the queue may be long.
func (c *Client) run(x exchange, l lease) {
	for x.call != nil {
		if l.conn == nil {
			x = c.connect(x)
		} else {
			x, l = c.send(x, l)
		}
	}
}

// send writes the request of x, and then gives the connection to the loops: in this order, so that no other socket can have the
// descriptor. It returns what run has to do next: x over another connection, or the call that has got the place.
func (c *Client) send(x exchange, l lease) (exchange, lease) {
	k := l.conn
	if !c.usable(x, l) {
		c.discard(l)
		if k.fresh {
			return c.retry(x, ErrBroken)
		}
		return x, c.pool.takeAnother()
	}
	if x.request == nil {
		var code string
		if x.request, code = c.encode(x); x.request == nil {
			return c.endExchange(x, l, code != panicked, code)
		}
	}
	c.hook("write")
	c.out.Add(int64(len(x.request.b)))
	if _, err := l.owner.Write(x.request.b); err != nil {
		return c.notWritten(x, l, connectionError("send to the engine", err))
	}
	c.reuse(x.request)
	x.request = nil
	k.exchange, k.phase, k.fresh = x, sent, false
	c.hook("release")
	c.release(l)
	return exchange{}, lease{}
}

// usable looks at a connection before a request is written on it: the engine may have closed it, or sent what nobody asked for, which the
// next answer would be taken for.
func (c *Client) usable(x exchange, l lease) bool {
	k := l.conn
	c.hook("look")
	switch {
	case l.owner.PeerGone():
		return false
	case !k.fresh && x.began.Sub(k.idleSince) > c.idleTimeout:
		return false
	case k.secure: // what waits may be TLS's own, as session tickets are
		n, err := l.owner.Read(k.scratch[:])
		return n == 0 && wouldBlock(err)
	default:
		return l.owner.Look()&^eventloop.Writable == 0
	}
}

// oneWrite is up to how many bytes a request is one write to the system, with TLS too, so that an error means that no byte was sent.
const oneWrite = 32 << 10

// notWritten goes on after a write that has failed.
func (c *Client) notWritten(x exchange, l lease, err error) (exchange, lease) {
	if l.conn.secure && len(x.request.b) > oneWrite { // records before the one that failed may have been sent
		return c.endExchange(x, l, false, c.failed(x.call, err, true))
	}
	c.discard(l)
	c.closeIdle() // the others are as stale
	return c.retry(x, err)
}

// retry has x tried on a fresh connection, for which it keeps its place, if this was its first attempt.
func (c *Client) retry(x exchange, why error) (exchange, lease) {
	if x.tries++; x.tries < maxTries {
		return x, lease{}
	}
	return c.failUnsent(x, why, unsent), lease{}
}

// failUnsent ends an exchange whose request was not sent, and gives its place to the next call.
func (c *Client) failUnsent(x exchange, why error, code string) (next exchange) {
	if failed := c.failed(x.call, why, false); failed == panicked {
		code = failed
	}
	next = c.releasePlace()
	c.finish(x, code)
	return next
}

// encode gives the request of x. nil: there is none, and the code of the exchange.
func (c *Client) encode(x exchange) (r *request, code string) {
	r = c.requests.Get().(*request) // only New fills the pool
	b, ok, err := c.appendRequest(x.call, r.b[:0], time.Now())
	switch {
	case !ok:
		return nil, panicked // and what it has done with the buffer is not known
	case err != nil:
		c.reuse(r)
		return nil, c.failed(x.call, err, false)
	}
	r.b = b
	return r, ""
}

// endExchange ends an exchange: its connection becomes idle, or carries the next call, or is closed.
func (c *Client) endExchange(x exchange, l lease, keep bool, code string) (next exchange, again lease) {
	if keep {
		next, again = c.putIdle(l)
	} else {
		c.discard(l)
		next = c.releasePlace()
	}
	c.finish(x, code)
	return next, again
}

// putIdle makes a connection idle, or gives it to the next call.
func (c *Client) putIdle(l lease) (next exchange, again lease) {
	k := l.conn
	if k.phase != idle {
		k.exchange, k.phase, k.fresh = exchange{}, idle, false
		k.idleSince = time.Now()
	}
	for {
		call, kept := c.pool.putIdle(l, k.idleSince.Add(c.idleTimeout))
		switch {
		case !kept:
			c.discard(l)
			return c.releasePlace(), lease{}
		case call == nil:
			return exchange{}, lease{}
		}
		if next, ok := c.dequeued(call); ok {
			return next, l
		}
	}
}

// releasePlace gives up a place, or gives it to the next call.
func (c *Client) releasePlace() (next exchange) {
	for call := c.pool.releasePlace(); call != nil; call = c.pool.releasePlace() {
		if next, ok := c.dequeued(call); ok {
			return next
		}
	}
	return exchange{}
}

// dequeued ends the wait of a call that gets a place. Not ok: its wait is over, and it has got nothing.
func (c *Client) dequeued(call Call) (x exchange, ok bool) {
	goOn, code := c.queued(call, false)
	if !goOn {
		c.finish(exchange{call: call}, code)
		return exchange{}, false
	}
	return exchange{call: call, began: time.Now()}, true
}

// finish is the last that an exchange does.
func (c *Client) finish(x exchange, code string) {
	defer c.underWay.Done()
	if x.request != nil {
		c.reuse(x.request)
	}
	took := time.Duration(0)
	if !x.began.IsZero() {
		took = time.Since(x.began)
	}
	c.finished(x.call, took, code)
}

// reuse gives back the memory of a request.
func (c *Client) reuse(r *request) {
	if cap(r.b) <= kept {
		c.requests.Put(r)
	}
}
