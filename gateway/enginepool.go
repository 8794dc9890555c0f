package gateway

import (
	"sync"
	"time"
)

// enginePool has the connections to the engine: those that rest, the last used first, and those on which an answer is waited for.
// With all of them in use trips queue for one.
type enginePool struct {
	idle     time.Duration // how long one may rest: less than the engine would let it
	patience time.Duration // of a trip for a connection, and for an answer
	most     int

	mu     sync.Mutex // guards the rest
	open   int        // connections, and those about to be
	rest   []*engineConn
	queue  []queued
	flying struct{ first, last *engineConn } // by when they began
}

// queued is a trip that waits for a connection.
type queued struct {
	trip  *trip
	since time.Time
}

// flight is a request that was sent and whose answer a loop is told of.
type flight struct {
	trip  *trip
	began time.Time
}

// take gives a connection that rests, or the right to make one. With neither, t is queued.
func (p *enginePool) take(t *trip, now time.Time) (e *engineConn, dial bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.rest); n > 0 {
		e = p.rest[n-1]
		p.rest[n-1], p.rest = nil, p.rest[:n-1]
		e.phase = taken
		return e, false
	}
	if p.open < p.most {
		p.open++
		return nil, true
	}
	if t.setQueued(true) {
		p.queue = append(p.queue, queued{t, now})
	} else {
		t.unsent()
	}
	return nil, false
}

// next gives the next trip of the queue that still waits; nil: there is none. Called with mu held.
func (p *enginePool) next() *trip {
	for len(p.queue) > 0 {
		t := p.queue[0].trip
		p.queue[0] = queued{}
		if p.queue = p.queue[1:]; len(p.queue) == 0 {
			p.queue = nil
		}
		if t.setQueued(false) {
			return t
		}
		t.unsent()
	}
	return nil
}

// put lets a connection rest, or gives it to a trip that has waited for one.
func (p *enginePool) put(e *engineConn) (next *trip) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if next = p.next(); next != nil {
		e.phase = taken
		return next
	}
	e.phase = resting
	p.rest = append(p.rest, e)
	e.retell()
	return nil
}

// retell has the loops told once more of a connection of which something was told while it was taken. Called with mu held.
func (e *engineConn) retell() {
	if e.missed && e.set != nil {
		e.set.retell(e.count.raw, &e.name)
	}
	e.missed = false
}

// drop gives up a connection, if there is one, and its place, or the place to a trip that has waited.
func (p *enginePool) drop(e *engineConn) (next *trip) {
	if e != nil {
		p.end(e)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if next = p.next(); next == nil {
		p.open--
	}
	return next
}

// end closes a connection, and keeps its place.
func (p *enginePool) end(e *engineConn) {
	e.leave()
	if e.plain {
		_ = e.Close()
	} else {
		go func() { _ = e.Close() }() // TLS says good-bye, and may have to wait for that
	}
}

// fly leaves a connection to the loops, before the request is sent.
func (p *enginePool) fly(e *engineConn, f flight) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.phase, e.flight = flying, f
	e.before = p.flying.last
	if p.flying.last != nil {
		p.flying.last.after = e
	} else {
		p.flying.first = e
	}
	p.flying.last = e
	e.retell()
}

// land takes a connection that flies. Not ok: it does not; whoever has taken it has a loop told once more when he leaves it.
func (p *enginePool) land(e *engineConn) (f flight, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.missed = e.phase == taken
	return p.landed(e)
}

func (p *enginePool) landed(e *engineConn) (f flight, ok bool) {
	if e.phase != flying {
		return f, false
	}
	if e.before != nil {
		e.before.after = e.after
	} else {
		p.flying.first = e.after
	}
	if e.after != nil {
		e.after.before = e.before
	} else {
		p.flying.last = e.before
	}
	f, e.flight = e.flight, flight{}
	e.before, e.after, e.phase = nil, nil, taken
	return f, true
}

// late takes a connection whose answer has not come in time; nil: there is none.
func (p *enginePool) late(now time.Time) (e *engineConn, f flight) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e = p.flying.first
	if e == nil || now.Sub(e.flight.began) < p.patience {
		return nil, f
	}
	f, _ = p.landed(e)
	return e, f
}

// impatient takes a trip that has waited for a connection for too long; nil: there is none.
func (p *enginePool) impatient(now time.Time) *trip {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 || now.Sub(p.queue[0].since) < p.patience {
		return nil
	}
	t := p.queue[0].trip
	p.queue[0] = queued{}
	p.queue = p.queue[1:]
	t.unsent()
	return t
}

// unsent lets go of the request of a trip that has left the queue and is not forwarded.
func (t *trip) unsent() {
	t.body.release()
	t.call.Body, t.call.Slots = nil, nil
}

// stale takes out connections that have rested for too long, or all.
func (p *enginePool) stale(now time.Time, all bool) (some []*engineConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.rest) && (all || now.Sub(p.rest[n].last) > p.idle) {
		p.rest[n].phase = taken
		n++
	}
	some = append(some, p.rest[:n]...)
	p.rest = append(p.rest[:0], p.rest[n:]...)
	clear(p.rest[len(p.rest):][:n])
	p.open -= n
	return some
}

// closedAtRest takes out a connection that rests, if the engine has closed it.
func (p *enginePool) closedAtRest(e *engineConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.phase != resting || !e.stale() {
		return false
	}
	for i := range p.rest {
		if p.rest[i] == e {
			p.rest = append(p.rest[:i], p.rest[i+1:]...)
			break
		}
	}
	e.phase = taken
	p.open--
	return true
}
