package redis

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"syncgate/correlator"
)

const (
	// batchMost and batchBytes are how much goes in one round trip: at least one callback. The server serves nobody else
	// while it runs a script.
	batchMost  = 64
	batchBytes = 1 << 20
	// flightsMost is how many batches of a queue are under way at most.
	flightsMost = 4
	// lateAfter is when a batch is taken for stuck: those who come then do not wait for its end.
	lateAfter = 5 * time.Millisecond
	// queueMost is how many callbacks wait in a queue at most. The next one hears at once that the store is unavailable.
	queueMost = 1 << 14
)

var errCrowded = errors.New("too many callbacks wait for the store")

// batcher stores callbacks, those that come at the same time in one round trip (databases call it group commit). One that
// comes alone goes at once. While others are under way the next batch comes together, so nobody waits for a timer, and
// batches grow with the load.
type batcher struct {
	// Fixed.
	store *store

	flights sync.WaitGroup // of all queues

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
	departed time.Time // the last one
}

// write is one callback that is to be stored, and what became of it.
type write struct {
	// Fixed.
	id       correlator.ID
	cb       correlator.Callback
	when     rule
	announce bool // to its home
	since    time.Time
	done     func(*write) // called once, when the rest is fixed; it must not block

	// Fixed, of what an engine reports.
	report  bool
	members []correlator.Member
	nonce   [nonceLen]byte // by which a second run of the script knows it
	extra   int            // bytes of the members

	result   putting
	standing *correlator.Callback // what is final already, if it is known; it may be the same
	seq      uint32               // of a report that is kept
	err      error                // it may be stored nevertheless, or be so later
}

// size is how many bytes go with w to Redis.
func (w *write) size() int { return valueSize(w.cb) + w.extra }

func newBatcher(s *store) *batcher {
	return &batcher{store: s, queues: make(map[correlator.NodeID]*queue)}
}

// put stores cb where the rule says so, and gives the callback of that op that was stored before, nil if there was none. Its home hears nothing of it. It
// takes the store's time-out at most, or as long as ctx lets it.
func (b *batcher) put(ctx context.Context, id correlator.ID, cb correlator.Callback, when rule) (putting, *correlator.Callback, error) {
	w, err := b.wait(ctx, &write{id: id, cb: cb, when: when})
	if err == nil {
		err = w.err
	}
	if err != nil {
		return notKept, nil, unavailable("store a callback", err)
	}
	return w.result, w.standing, nil
}

// wait has w stored, and gives it when that is done. Its error is the context's.
func (b *batcher) wait(ctx context.Context, w *write) (*write, error) {
	stored := make(chan *write, 1)
	w.since, w.done = time.Now(), func(w *write) { stored <- w }
	b.add(w)
	select {
	case w := <-stored:
		return w, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// add has w stored. It leaves at once when nothing is under way, or what is can be taken for stuck, and else with the next batch.
func (b *batcher) add(w *write) {
	if err := b.enqueue(w); err != nil { // else it is not ours any more
		w.err = err
		w.done(w)
	}
}

func (b *batcher) enqueue(w *write) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errClosed
	}
	q := b.queue(w.id)
	if len(q.waiting) >= queueMost {
		return errCrowded
	}
	q.waiting = append(q.waiting, w)
	if q.flights == 0 || q.flights < flightsMost && (len(q.waiting) >= batchMost || w.since.Sub(q.departed) > lateAfter) {
		q.flights++
		b.flights.Go(func() { b.fly(q) })
	}
	return nil
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

// fly takes one batch after the other until nobody waits.
func (b *batcher) fly(q *queue) {
	for {
		runtime.Gosched() // those that come at this very moment are to go with it
		batch, late := b.next(q)
		for _, w := range late {
			w.err = context.DeadlineExceeded
			w.done(w)
		}
		if len(batch) == 0 {
			return
		}
		b.store.putAll(context.Background(), batch)
		for _, w := range batch {
			w.done(w)
		}
	}
}

// next takes a batch, and those who have waited for too long. Without a batch, the flight is over.
func (b *batcher) next(q *queue) (batch, late []*write) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q.departed = time.Now()
	taken, bytes := 0, 0
	for _, w := range q.waiting {
		if q.departed.Sub(w.since) >= b.store.timeout {
			late = append(late, w)
		} else {
			if len(batch) == batchMost || len(batch) > 0 && bytes+w.size() > batchBytes {
				break
			}
			batch, bytes = append(batch, w), bytes+w.size()
		}
		taken++
	}
	rest := copy(q.waiting, q.waiting[taken:])
	clear(q.waiting[rest:])
	q.waiting = q.waiting[:rest]
	if len(batch) > 0 {
		return batch, late
	}
	if q.flights--; q.flights == 0 {
		delete(b.queues, q.name)
	}
	return nil, late
}

// close refuses callbacks from now on, and waits for those under way.
func (b *batcher) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.flights.Wait()
}

// length is how many callbacks wait.
func (b *batcher) length() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range b.queues {
		n += len(q.waiting)
	}
	return n
}
