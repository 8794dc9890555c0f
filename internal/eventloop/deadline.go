package eventloop

import (
	"math"
	"time"
)

// The timer looks at each connection once in an Expiry, and when its deadline has passed. So Release stores a deadline, and does
// no more: a busy connection costs the timer nothing for each request (docs/decisions/timers.md).

// doomedGrace is how long a connection whose Socket has panicked stays open, so that no method of its Owner still runs.
const doomedGrace = time.Second

// schedule has the timer look at c when its deadline has passed, and within an Expiry. Times are since the group began. Called
// with the mutex of c's set held: it orders what is done with c's timer.
func (g *Group) schedule(c *Conn, deadline int64) {
	g.lookAt(c, min(deadline, int64(time.Since(g.began)+g.o.Expiry)))
}

func (g *Group) lookAt(c *Conn, at int64) { g.wheel.Add(&c.timer, g.began.Add(time.Duration(at))) }

// again is schedule, unless c has left.
func (g *Group) again(c *Conn, deadline int64) {
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	if c.name.Load() != 0 {
		g.schedule(c, deadline)
	}
}

// look is called by the timer.
func (g *Group) look(c *Conn) {
	for {
		word, now := c.word.Load(), int64(time.Since(g.began))
		switch word & phases {
		case idle:
			if at := c.deadline.Load(); at > now {
				g.again(c, at)
				return
			}
			if next := nextTurn(word); c.word.CompareAndSwap(word, next) {
				g.again(c, math.MaxInt64)
				g.expire(c.ownerOf(next))
				return
			}
		case owned:
			g.again(c, math.MaxInt64)
			return
		case doomed:
			g.reap(c, word)
			return
		default:
			return
		}
	}
}

// expire hands a connection over whose deadline has passed.
func (g *Group) expire(o Owner) {
	c := o.c
	name := c.name.Load()
	socket := c.set.socketOf(name)
	if socket == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			c.doom(o, name)
			g.panicked(p)
		}
	}()
	socket.Expired(o)
}

// reap closes a connection whose Socket has panicked, when the timer sees it for the second time.
func (g *Group) reap(c *Conn, word uint64) {
	if word&looked == 0 {
		c.word.CompareAndSwap(word, word|looked) // or its Owner has closed it
		c.set.mu.Lock()
		defer c.set.mu.Unlock()
		if c.name.Load() != 0 {
			g.lookAt(c, int64(time.Since(g.began)+doomedGrace))
		}
		return
	}
	if next := nextTurn(word); c.word.CompareAndSwap(word, next) {
		_ = c.ownerOf(next).Close()
	}
}
