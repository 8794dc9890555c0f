package redis

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"syncgate/correlator"
)

const (
	// batchMost and batchBytes are how much goes in one round trip: at least one callback. The server serves nobody else
	// while it runs a script.
	batchMost  = 64
	batchBytes = 1 << 20
	// aloneMost is with how many callbacks under way a further one waits for their end, so as not to go alone.
	aloneMost = 2
	// flightsMost is how many batches of a queue are under way at most.
	flightsMost = 4
	// lateAfter is when a batch is taken for stuck: those who come then do not wait for its end.
	lateAfter = 5 * time.Millisecond
	// queueMost is how many callbacks wait in a queue at most. Whoever comes then hears at once that it is unavailable.
	queueMost = 1 << 14
)

var errCrowded = errors.New("too many callbacks wait for the store")

// batcher stores callbacks, those of concurrent callers in one round trip (databases call it group commit). One that
// comes alone goes at once. While others are under way the next batch comes together, so nobody waits for a timer, and
// batches grow with the load.
type batcher struct {
	// Fixed.
	store *store

	flights sync.WaitGroup // of all queues
	timers  sync.Pool      // of *time.Timer, stopped: a new one is a good part of what a callback would allocate

	mu     sync.Mutex // guards the rest
	queues map[correlator.NodeID]*queue
	closed bool
}

// queue is what shares round trips: everything, as there is one server, or in a Cluster what has one home, so that a
// server that is away holds up nothing but its own.
type queue struct {
	name     correlator.NodeID // fixed
	waiting  []*write
	flights  int       // batches under way; a queue without any is empty, and in no map
	riding   int       // callbacks in them
	departed time.Time // the last one
}

// write is one callback that is to be stored, and what became of it.
type write struct {
	// Fixed.
	id       correlator.ID
	cb       correlator.Callback
	when     rule
	announce bool // to its home

	left atomic.Bool // nobody waits for it any more

	// Fixed once the batch has been stored, and done, if there is one, is closed.
	result  putting
	earlier *correlator.Callback // that is stored, if one was asked for
	err     error
	done    chan struct{} // of one that waits
}

func newBatcher(s *store) *batcher {
	return &batcher{
		store: s, queues: make(map[correlator.NodeID]*queue),
		timers: sync.Pool{New: func() any { return time.NewTimer(s.timeout) }},
	}
}

// put stores cb where the rule says so, and announces it to its home if announce is set. It gives the callback of that op
// that is stored: with ifRecorded, that may be an earlier one. After an error it may be stored, or be so later.
func (b *batcher) put(ctx context.Context, id correlator.ID, cb correlator.Callback, when rule, announce bool) (putting, correlator.Callback, error) {
	w := &write{id: id, cb: cb, when: when, announce: announce}
	q, alone, err := b.add(w)
	switch {
	case err != nil:
	case alone: // in its caller's goroutine: any other would only be one more to wake
		b.store.putAll(ctx, []*write{w})
		b.land(q)
		err = w.err
	default:
		err = b.wait(ctx, w)
	}
	if err != nil {
		return notKept, cb, unavailable("store a callback", err)
	}
	if w.earlier != nil {
		cb = *w.earlier
	}
	return w.result, cb, nil
}

// wait waits for what becomes of w, as long as ctx and the time-out let it.
func (b *batcher) wait(ctx context.Context, w *write) error {
	timeout := b.timers.Get().(*time.Timer) //nolint:forcetypeassert // there is nothing else in it
	timeout.Reset(b.store.timeout)
	defer func() {
		timeout.Stop()
		b.timers.Put(timeout)
	}()
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		w.left.Store(true)
		return ctx.Err()
	case <-timeout.C:
		w.left.Store(true)
		return context.DeadlineExceeded
	}
}

// add finds the queue for w. While next to nothing is under way w goes alone: its caller makes the flight, and has it land.
// Otherwise w waits, and a batch leaves unless one is under way that will take w.
func (b *batcher) add(w *write) (q *queue, alone bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, false, errClosed
	}
	q = b.queue(w.id)
	if q.riding < aloneMost && len(q.waiting) == 0 {
		q.flights, q.riding, q.departed = q.flights+1, q.riding+1, time.Now()
		b.flights.Add(1)
		return q, true, nil
	}
	if len(q.waiting) >= queueMost {
		return nil, false, errCrowded
	}
	w.done = make(chan struct{})
	q.waiting = append(q.waiting, w)
	if q.flights < flightsMost && (len(q.waiting) >= batchMost || time.Since(q.departed) > lateAfter) {
		q.flights++
		b.flights.Go(func() { b.fly(q) })
	}
	return q, false, nil
}

// queue gives the queue for a callback. The caller holds the mutex.
func (b *batcher) queue(id correlator.ID) *queue {
	var name correlator.NodeID
	if b.store.sharded {
		name = id.Home()
	}
	q := b.queues[name]
	if q == nil {
		q = &queue{name: name}
		b.queues[name] = q
	}
	return q
}

// land ends the flight of one that was alone. Those who have come meanwhile take another one.
func (b *batcher) land(q *queue) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.flights.Done()
	q.riding--
	if len(q.waiting) > 0 {
		b.flights.Go(func() { b.fly(q) })
		return
	}
	b.end(q)
}

// fly takes one batch after the other until nobody waits.
func (b *batcher) fly(q *queue) {
	for batch := b.next(q, 0); len(batch) > 0; batch = b.next(q, len(batch)) {
		b.store.putAll(context.Background(), batch)
		for _, w := range batch {
			close(w.done)
		}
	}
}

// next takes a batch of those who still wait, after one of so many. Without any, the flight is over.
func (b *batcher) next(q *queue, landed int) (batch []*write) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q.riding -= landed
	taken, bytes := 0, 0
	for _, w := range q.waiting {
		if !w.left.Load() {
			if len(batch) == batchMost || len(batch) > 0 && bytes+len(w.cb.Body) > batchBytes {
				break
			}
			batch, bytes = append(batch, w), bytes+len(w.cb.Body)
		}
		taken++
	}
	rest := copy(q.waiting, q.waiting[taken:])
	clear(q.waiting[rest:])
	q.waiting = q.waiting[:rest]
	if len(batch) == 0 {
		b.end(q)
		return nil
	}
	q.riding, q.departed = q.riding+len(batch), time.Now()
	return batch
}

// end ends one flight. The caller holds the mutex, and nobody waits.
func (b *batcher) end(q *queue) {
	if q.flights--; q.flights == 0 {
		delete(b.queues, q.name)
	}
}

// close refuses callbacks from now on, and waits for those under way.
func (b *batcher) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.flights.Wait()
}
