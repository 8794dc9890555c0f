package gateway

import (
	"math"
	"sync"
	"time"
)

const (
	// round is how often time-outs of connections are looked at, and so how late they may be.
	round = 100 * time.Millisecond
	// ringSlots is how many rounds ahead the ring reaches. What ends later is looked at again then.
	ringSlots = 512
)

// ring has every connection that the loops hold looked at when its time may be over: a busy one once in an idle time-out, and
// not at each request.
type ring struct {
	mu    sync.Mutex // guards the rest, and the places in it
	slots [ringSlots]*conn
	at    int64 // the last round that was looked at
}

// ringed is a connection's place in the ring.
type ringed struct {
	before, after *conn
	slot          int64
	there         bool
}

// add has c looked at when it is time, in Unix nanoseconds. A connection that is in the ring stays where it is: it is looked
// at earlier.
func (r *ring) add(c *conn, when int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.ring.there {
		return
	}
	at := min(max(when/int64(round)+1, r.at+1), r.at+ringSlots-1) % ringSlots
	first := r.slots[at]
	c.ring = ringed{after: first, slot: at, there: true}
	if first != nil {
		first.ring.before = c
	}
	r.slots[at] = c
}

// remove takes c out, if it is there.
func (r *ring) remove(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop(c)
}

func (r *ring) drop(c *conn) {
	if !c.ring.there {
		return
	}
	if c.ring.after != nil {
		c.ring.after.ring.before = c.ring.before
	}
	if c.ring.before != nil {
		c.ring.before.ring.after = c.ring.after
	} else {
		r.slots[c.ring.slot] = c.ring.after
	}
	c.ring = ringed{}
}

// due takes out all that are to be looked at in the next round, if its time has come.
func (r *ring) due(now time.Time) (some []*conn, ok bool) {
	upTo := now.UnixNano() / int64(round)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at == 0 {
		r.at = upTo
	}
	if r.at >= upTo {
		return nil, false
	}
	r.at++
	for c := r.slots[r.at%ringSlots]; c != nil; c = r.slots[r.at%ringSlots] {
		r.drop(c)
		some = append(some, c)
	}
	return some, true
}

// tick closes connections whose time is over.
func (ls *loops) tick(now time.Time) {
	ls.clock.Store(now.UnixNano())
	for {
		some, ok := ls.ring.due(now)
		if !ok {
			return
		}
		for _, c := range some {
			ls.look(c, now.UnixNano())
		}
	}
}

// lookAt has c looked at when it is time, unless it has left, and once in an idle time-out: it may begin to idle at any moment.
func (ls *loops) lookAt(c *conn, when int64) {
	ls.ring.add(c, min(when, ls.clock.Load()+int64(c.l.g.cfg.Listen.IdleTimeout)))
	if c.state.Load()&away != 0 { // meanwhile, and it may not have found itself there
		ls.ring.remove(c)
	}
}

// look closes a connection whose time is over, and has another one looked at again when it may be.
func (ls *loops) look(c *conn, now int64) {
	switch state := c.state.Load(); {
	case state&away != 0: // no loop holds it any more
	case state&busy != 0:
		ls.lookAt(c, math.MaxInt64)
	case c.restBy.Load() > now:
		ls.lookAt(c, c.restBy.Load())
	case c.state.CompareAndSwap(state, busy):
		c.expire()
	default:
		ls.look(c, now) // something came at this very moment
	}
}
