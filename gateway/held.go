package gateway

import (
	"bytes"
	"time"
)

// How a loop holds a client's or an engine's connection. One word says who may use it. Whoever has made it busy owns the
// connection until it is released: the loop while it reads and serves a request, and then whoever answers it, on whatever
// goroutine. What the kernel tells meanwhile is remembered, and told once more when the connection is released.

const (
	busy   uint32 = 1 << iota // somebody owns it
	missed                    // and something was told since
	ended                     // that is, among others, that the peer has closed its side
	away                      // it is none of the loops': fasthttp's, or closed
)

// adopt gives c to the loops, until it has been idle for too long. All that was read of it must have been served, and its socket alone
// can tell of more. False: it is still its owner's.
func (ls *loops) adopt(c *conn, idleBy time.Time) bool {
	if c.set == nil {
		c.set = ls.pick()
	}
	if c.set == nil || c.raw == nil {
		return false
	}
	by := idleBy.UnixNano()
	c.restBy.Store(by)
	c.state.Store(0) // it may be told of as soon as it has a place
	entered := false
	_ = c.raw.Control(func(fd uintptr) {
		entered = c.set.enter(c, int(fd), func(name uint64) bool {
			allowed := !c.l.closing.Load()
			if c.name = 0; allowed {
				c.name = name
			}
			return allowed
		})
	})
	if !entered {
		c.state.Store(away)
		return false
	}
	ls.entered.Add(1)
	ls.lookAt(c, by)
	return true
}

// leave takes c, which the caller owns, away from its loops, as its descriptor is about to be closed.
func (c *conn) leave() {
	if c.state.Swap(away)&away != 0 {
		return
	}
	c.set.leave(&c.name)
	c.set.of.ring.remove(c)
}

// ready is called by a loop: something has come, or the peer has gone.
func (c *conn) ready(lp *loop, what told) {
	gone := what&toldGone != 0
	if !c.seize(gone) {
		if gone {
			c.hungUp()
		}
		return
	}
	if !c.plain {
		c.hand(nil)
		return
	}
	in := lp.desk.in[:]
	n, err := tryRead(c.raw, in)
	switch {
	case err != nil && wouldBlock(err): // it was read already
		c.release()
		return
	case err != nil || n == 0:
		_ = c.Close()
		return
	case n == len(in):
		c.state.Or(missed) // there may be more
	}
	if !lp.desk.serve(c, in[:n]) {
		c.hand(in[:n])
	} else if c.state.Load()&ended != 0 { // which another loop may have been told meanwhile
		c.hungUp()
	}
}

// seize makes c the caller's, if nobody has it. Else what was told is remembered, and so it is where the peer has gone behind
// what there is to read.
func (c *conn) seize(gone bool) bool {
	for {
		state := c.state.Load()
		next := state | missed
		if gone {
			next |= ended
		}
		switch {
		case state&away != 0:
			return false
		case state&busy == 0 && gone:
			next |= busy
		case state&busy == 0:
			next = busy
		}
		if c.state.CompareAndSwap(state, next) {
			return state&busy == 0
		}
	}
}

// release ends the caller's ownership: c idles until restBy, or until something comes.
func (c *conn) release() {
	raw := c.raw
	if !c.state.CompareAndSwap(busy, 0) {
		c.state.Store(0)
		c.set.retell(raw, &c.name)
	}
	if c.l.closing.Load() && c.state.CompareAndSwap(0, busy) { // else whoever closes the listener has found it, or a loop
		_ = c.Close()
	}
}

// hand gives c, which a loop has seized, to fasthttp, with what was read of its next request.
func (c *conn) hand(in []byte) {
	if !c.takeOut() {
		_ = c.Close()
		return
	}
	c.ahead = bytes.Clone(in)
	c.readBy = time.Unix(0, c.restBy.Load())
	go c.serve()
}

// takeOut takes c, which the caller owns, away from its loops for good, so that it can be waited for.
func (c *conn) takeOut() bool {
	set := c.set
	_ = c.raw.Control(func(fd uintptr) { set.poller.remove(int(fd)) })
	c.leave()
	return c.dress()
}

// dress makes c one that can be waited for, if it is not.
func (c *conn) dress() bool {
	s, ok := c.Conn.(*sock)
	if !ok {
		return true
	}
	dressed, err := s.dressed()
	if err != nil {
		c.l.g.log.Warn().Err(err).Msg("a connection is given up")
		return false
	}
	c.Conn, c.raw = dressed, socketOf(dressed)
	return true
}

// expire closes a connection, which the caller has seized, that has idled for too long.
func (c *conn) expire() {
	if c.plain {
		_ = c.Close()
	} else {
		go func() { _ = c.Close() }() // TLS says good-bye, and may have to wait for that
	}
}

// hungUp says that the client has closed its side, if one is parked here.
func (c *conn) hungUp() {
	if t := c.waiting.Load(); t != nil {
		c.l.g.watcher.hungUp(t)
	}
}

// dismiss closes the idle connections of a listener that is closing: from now on it has none held.
func (ls *loops) dismiss(l *listener) {
	l.closing.Store(true)
	for _, set := range ls.sets {
		for _, c := range set.idle(l) {
			_ = c.Close()
		}
	}
}

// idle seizes the idle connections of a listener.
func (s *socketSet) idle(l *listener) (some []*conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.places {
		if c, ok := s.places[i].socket.(*conn); ok && c.l == l && c.state.CompareAndSwap(0, busy) {
			some = append(some, c)
		}
	}
	return some
}
