package upstream

import (
	"slices"
	"sync"
	"time"

	"syncgate/internal/eventloop"
)

// pool has the places, the connections that rest, and the queue of calls.
type pool struct {
	most int // places

	mu     sync.Mutex // guards the rest
	closed bool
	open   int // places in use: connections, and those about to be made
	conns  map[*conn]struct{}
	rest   []*conn // the one that has rested for the shortest time is the last; no longer than there are places
	queue  queue
}

// lease is a connection with the right to use it. Without a connection it is a place.
type lease struct {
	conn  *conn
	owner eventloop.Owner
}

// enterable is what counts calls.
type enterable interface{ Add(delta int) }

// enter counts a call, and gives it a place if there is one. Not open: the pool is closed, and the call was not counted.
func (p *pool) enter(calls enterable) (l lease, got, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return lease{}, false, false
	}
	calls.Add(1)
	l, got = p.grant()
	return l, got, true
}

// wait puts a call into the queue, unless a place has become free.
func (p *pool) wait(call Call, now time.Time) (l lease, got, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return lease{}, false, false
	}
	if l, got = p.grant(); !got {
		p.queue.push(waiting{call, now})
	}
	return l, got, true
}

// grant gives a place: a connection that rests, or the right to make one. There is none while calls wait. Called with mu held.
func (p *pool) grant() (l lease, got bool) {
	if l, got = p.wake(); got {
		return l, true
	}
	if p.open < p.most {
		p.open++
		return lease{}, true
	}
	return lease{}, false
}

// wake takes the connection that has rested for the shortest time, of those that no loop has just taken to see what is wrong with them.
// Called with mu held.
func (p *pool) wake() (l lease, got bool) {
	for i, k := range slices.Backward(p.rest) {
		if owner, ok := k.TryOwn(); ok {
			p.unlist(i)
			return lease{k, owner}, true
		}
	}
	return lease{}, false
}

func (p *pool) unlist(i int) {
	p.rest[i].listed = false
	p.rest = slices.Delete(p.rest, i, i+1)
}

// replace gives a connection that rests in exchange for a place that the caller has; without one the caller keeps the place. Calls do
// not wait for what becomes free here: a connection that rests and is idle means that the queue is empty.
func (p *pool) replace() lease {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, got := p.wake()
	if got {
		p.open--
	}
	return l
}

// leave gives up a place, or gives it to the first call that waits. nil: nobody does.
func (p *pool) leave() Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	if call := p.queue.pop(); call != nil {
		return call
	}
	p.open--
	return nil
}

// park lets a connection rest until the deadline, or leaves it to the caller for the first call that waits. Not kept: neither, as the pool
// is closed; the caller has to close the connection and to leave its place.
func (p *pool) park(l lease, deadline time.Time) (call Call, kept bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := l.conn
	call = p.queue.pop()
	if p.closed || call != nil {
		p.remove(k)
		return call, call != nil
	}
	if !k.listed {
		k.listed = true
		p.rest = append(p.rest, k)
	}
	l.owner.Release(deadline) // with mu held: see the package's comment
	return nil, true
}

// remove takes a connection off the list. Called with mu held.
func (p *pool) remove(k *conn) {
	if k.listed {
		p.unlist(slices.Index(p.rest, k))
	}
}

// add counts a connection that is about to be attached.
func (p *pool) add(k *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[k] = struct{}{}
}

// forget is the end of a connection. Its place stays the caller's.
func (p *pool) forget(k *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remove(k)
	delete(p.conns, k)
}

// takeAll takes all connections that rest, and gives up their places.
func (p *pool) takeAll() (all []lease) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l, got := p.wake(); got; l, got = p.wake() {
		p.open--
		all = append(all, l)
	}
	return all
}

// all gives the connections that there are.
func (p *pool) all() (all []*conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k := range p.conns {
		all = append(all, k)
	}
	return all
}

// waited takes the first call of the queue if it has waited since then or before; nil: it has not.
func (p *pool) waited(then time.Time) Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.queue.len() == 0 || p.queue.first().since.After(then) {
		return nil
	}
	return p.queue.pop()
}

// close takes the queue. From now on nobody enters, and no connection rests.
func (p *pool) close() (calls []Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for call := p.queue.pop(); call != nil; call = p.queue.pop() {
		calls = append(calls, call)
	}
	return calls
}

// queue is first in, first out. Its length has no bound of its own: an entry is small beside the Call, which is the caller's.
type queue struct {
	calls []waiting
	head  int // calls before it have left
}

// waiting is a call that waits for a place.
type waiting struct {
	call  Call
	since time.Time
}

func (q *queue) len() int        { return len(q.calls) - q.head }
func (q *queue) first() *waiting { return &q.calls[q.head] }

func (q *queue) push(w waiting) {
	if q.head > len(q.calls)/2 {
		n := copy(q.calls, q.calls[q.head:])
		clear(q.calls[n:])
		q.calls, q.head = q.calls[:n], 0
	}
	q.calls = append(q.calls, w)
}

// pop gives nil if the queue is empty.
func (q *queue) pop() Call {
	if q.len() == 0 {
		q.calls, q.head = nil, 0 // the memory of a long queue must not stay
		return nil
	}
	call := q.calls[q.head].call
	q.calls[q.head] = waiting{}
	q.head++
	return call
}
