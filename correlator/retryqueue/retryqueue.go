// Package retryqueue saves records that the store could not take when they were to be saved.
//
// # Goroutines
//
//	Queue.run  at most one; ends when the queue is empty or with Close
package retryqueue

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"syncgate/correlator"
)

const (
	// mostBytes bounds the results in a retry queue, in bytes. What is beyond is left to the engine's repeats.
	mostBytes = 64 << 20
	// pause is the time between two attempts while the store is away.
	pause = time.Second
	// lastAttempts is how long a gateway that ends goes on trying, lastPause the time between two attempts.
	lastAttempts = 5 * time.Second
	lastPause    = 100 * time.Millisecond
)

// Queue has the records that could not be saved while the store was away, and that nobody will send again: replies to clients with
// keys, as a repeat of the key must get the same one, and the engine's own answers. A record is saved as soon as the store takes it, and
// before a callback of its trip is delivered: callbacks come again, perhaps with another result.
type Queue struct {
	store   Saver
	timeout time.Duration // of an attempt
	stop    chan struct{}
	count   atomic.Int64 // of records, for callers that need not look

	mu       sync.Mutex // guards the rest
	records  map[correlator.ID]correlator.Record
	bytes    int64
	retrying bool // the goroutine runs
	closed   bool
	running  sync.WaitGroup
}

// Saver saves records, as a correlator.Keeper does. Who waits for a record hears from it that the record is saved: it is asked without a lock, once for each
// attempt, and may do more than save.
type Saver interface {
	Save(ctx context.Context, id correlator.ID, rec correlator.Record) error
}

// New makes a queue for a store that has so long to save a record. It starts nothing before the first Add.
func New(store Saver, timeout time.Duration) *Queue {
	return &Queue{store: store, timeout: timeout, stop: make(chan struct{}), records: make(map[correlator.ID]correlator.Record)}
}

// Len is the number of records that wait.
func (q *Queue) Len() int64 { return q.count.Load() }

// Add has rec saved later. The queue owns rec from now on.
func (q *Queue) Add(id correlator.ID, rec correlator.Record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	known := q.records[id]
	for i, cb := range known.Finals {
		if cb.Status.Final() {
			rec.Finals[i] = cb
		}
	}
	n := bytesOf(rec) - bytesOf(known)
	if q.closed || q.bytes+n > mostBytes {
		return
	}
	if known.Finals == nil {
		q.count.Add(1)
	}
	q.bytes += n
	q.records[id] = rec // known stays as it is: a save may be reading it
	if !q.retrying {
		q.retrying = true
		q.running.Go(q.run)
	}
}

// Drop removes the record of a trip.
func (q *Queue) Drop(id correlator.ID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if rec, there := q.records[id]; there {
		delete(q.records, id)
		q.bytes -= bytesOf(rec)
		q.count.Add(-1)
	}
}

// run saves until the queue is empty.
func (q *Queue) run() {
	for {
		select {
		case <-time.After(pause):
		case <-q.stop:
			return
		}
		q.saveAll()
		q.mu.Lock()
		done := len(q.records) == 0
		q.retrying = !done
		q.mu.Unlock()
		if done {
			return
		}
	}
}

// saveAll saves every record, up to the first failure.
func (q *Queue) saveAll() {
	q.mu.Lock()
	ids := make([]correlator.ID, 0, len(q.records))
	for id := range q.records {
		ids = append(ids, id)
	}
	q.mu.Unlock()
	for _, id := range ids {
		if q.Save(id) != nil {
			return
		}
	}
}

// Save saves the record of a trip, if there is one. ErrUnavailable: it stays in the queue.
func (q *Queue) Save(id correlator.ID) error {
	if q.count.Load() == 0 {
		return nil
	}
	q.mu.Lock()
	rec, there := q.records[id]
	q.mu.Unlock()
	if !there {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), q.timeout)
	defer cancel()
	err := q.store.Save(ctx, id, rec)
	if errors.Is(err, correlator.ErrUnavailable) {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if now := q.records[id]; now.Finals != nil && &now.Finals[0] == &rec.Finals[0] { // else it was saved or has grown meanwhile
		delete(q.records, id)
		q.bytes -= bytesOf(rec)
		q.count.Add(-1)
	}
	return nil
}

// Close goes on trying for a while, 5 s at most. lost is how many records the store has not taken then: they are lost to clients that repeat a key.
func (q *Queue) Close(ctx context.Context) (lost int64) {
	q.mu.Lock()
	first := !q.closed
	q.closed = true
	q.mu.Unlock()
	if first {
		close(q.stop)
	}
	q.running.Wait()
	ctx, cancel := context.WithTimeout(ctx, lastAttempts)
	defer cancel()
	for q.saveAll(); q.count.Load() > 0 && ctx.Err() == nil; q.saveAll() {
		select {
		case <-time.After(lastPause):
		case <-ctx.Done():
		}
	}
	return q.count.Load()
}

func bytesOf(rec correlator.Record) (n int64) {
	n = int64(len(rec.Meta))
	for i := range rec.Finals {
		n += int64(len(rec.Finals[i].Body))
		if h := rec.Finals[i].Head; h != nil {
			n += int64(len(h.ContentType) + len(h.Fields))
		}
	}
	return n
}
