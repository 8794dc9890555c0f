package upstream

import (
	"slices"
	"sync"
	"time"

	"syncgate/internal/eventloop"
)

// pool has the places, the idle connections, and the queue of calls.
type pool struct {
	most int // places

	mu     sync.Mutex // guards the rest
	closed bool
	open   int // places in use: connections, and those about to be made
	conns  map[*conn]struct{}
	idle   []*conn // the one that was used last is the last; no more than places
	queue  queue
}

// lease is a connection and the right to use it. Without a connection it is a place for one.
type lease struct {
	conn  *conn
	owner eventloop.Owner
}

// acquire counts a call, and gives it a place if there is one. Not open: the pool is closed, and the call was not counted.
func (p *pool) acquire(calls *sync.WaitGroup) (l lease, got, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return lease{}, false, false
	}
	calls.Add(1)
	l, got = p.tryAcquire()
	return l, got, true
}

// enqueue puts a call into the queue, unless a place has become free.
func (p *pool) enqueue(call Call, now time.Time) (l lease, got, open bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return lease{}, false, false
	}
	if l, got = p.tryAcquire(); !got {
		p.queue.push(waiting{call, now})
	}
	return l, got, true
}

// tryAcquire gives a place: an idle connection, or the right to make one. There is none while calls wait. Called with mu held.
func (p *pool) tryAcquire() (l lease, got bool) {
	if l, got = p.takeIdle(); got {
		return l, true
	}
	if p.open < p.most {
		p.open++
		return lease{}, true
	}
	return lease{}, false
}

// takeIdle takes the idle connection that was used last, of those that no loop owns to see what has happened to them. If it finds one,
// the queue is empty. Called with mu held.
func (p *pool) takeIdle() (l lease, got bool) {
	for i, k := range slices.Backward(p.idle) {
		if owner, ok := k.TryOwn(); ok {
			p.unlist(i)
			return lease{k, owner}, true
		}
	}
	return lease{}, false
}

// unlist takes a connection off the list. Called with mu held.
func (p *pool) unlist(i int) {
	p.idle[i].listed = false
	p.idle = slices.Delete(p.idle, i, i+1)
}

// takeAnother gives an idle connection for a place that the caller has. If there is none, the caller keeps the place. The place that
// becomes free is nobody's: the queue is empty.
func (p *pool) takeAnother() lease {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, got := p.takeIdle()
	if got {
		p.open--
	}
	return l
}

// releasePlace gives up a place, or gives it to the first call of the queue. nil: the queue is empty.
func (p *pool) releasePlace() Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	if call := p.queue.pop(); call != nil {
		return call
	}
	p.open--
	return nil
}

// putIdle keeps a connection until the deadline, or leaves it to the caller for the first call of the queue. Not kept: the pool is closed,
// and the caller has to close the connection and to release its place.
func (p *pool) putIdle(l lease, deadline time.Time) (call Call, kept bool) {
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
		p.idle = append(p.idle, k)
	}
	l.owner.Release(deadline) // with mu held: see the package's comment
	return nil, true
}

// remove takes a connection off the list, if it is there. Called with mu held.
func (p *pool) remove(k *conn) {
	if k.listed {
		p.unlist(slices.Index(p.idle, k))
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

// takeAllIdle takes all idle connections, and gives up their places: the queue is empty.
func (p *pool) takeAllIdle() (all []lease) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l, got := p.takeIdle(); got; l, got = p.takeIdle() {
		p.open--
		all = append(all, l)
	}
	return all
}

// count says what is in use.
func (p *pool) count() (busy, idle, queued int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open - len(p.idle), len(p.idle), p.queue.len()
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

// takeExpired takes the first call of the queue if it has waited since then or before; nil: it has not.
func (p *pool) takeExpired(then time.Time) Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.queue.len() == 0 || p.queue.first().since.After(then) {
		return nil
	}
	return p.queue.pop()
}

// close takes the queue. From now on no call is taken, and no connection is kept.
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
