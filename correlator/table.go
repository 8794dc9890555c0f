package correlator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"syncgate/internal/timerwheel"
)

const (
	// tick is how exactly deadlines are kept: a trip expires in the tick after its deadline.
	tick = 10 * time.Millisecond
	// tableShards spreads the locks of a Table. A power of two.
	tableShards = 64
)

// Table holds the trips that are parked in this process, and their deadlines. It does no I/O and knows no other
// node: it is the part that every Correlator has. All methods may be called concurrently.
type Table struct {
	// Fixed after NewTable.
	node  NodeID
	wheel *timerwheel.Wheel[Receiver]

	limit     atomic.Int64 // most trips; 0: none
	parked    atomic.Int64 // trips in the shards, and Parks under way
	draining  atomic.Bool
	expelling atomic.Bool
	drained   chan struct{} // closed when draining and nothing is parked
	drainOnce sync.Once

	shards    [tableShards]tableShard
	forgotten forgotten
}

type tableShard struct {
	mu    sync.Mutex
	trips map[ID]*timerwheel.Timer[Receiver]
	_     [48]byte // a cache line of its own
}

// NewTable makes the table of a new node that parks at most limit trips at once, 0: any number. Shutdown ends its goroutine.
func NewTable(limit int) *Table {
	t := &Table{node: NewNodeID(), drained: make(chan struct{})}
	t.SetParked(limit)
	t.wheel = timerwheel.New(tick, func(r Receiver) { r.Expire(ErrDeadline) })
	for i := range t.shards {
		t.shards[i].trips = make(map[ID]*timerwheel.Timer[Receiver])
	}
	return t
}

// Node is the home of every id that NewID makes.
func (t *Table) Node() NodeID { return t.node }

// NewID makes an id with this node as its home.
func (t *Table) NewID(expiry time.Time) ID { return NewID(t.node, expiry) }

// SetParked changes how many trips may be parked at once, 0: any number. Those that are parked stay.
func (t *Table) SetParked(limit int) { t.limit.Store(int64(limit)) }

// Len is the number of trips that are parked here.
func (t *Table) Len() int { return int(t.parked.Load()) }

// Park puts a trip into the table. ErrBusy, ErrDraining.
func (t *Table) Park(id ID, r Receiver, deadline time.Time) error {
	n := t.parked.Add(1) // before draining is looked at: a drain sees us or we see it
	if t.draining.Load() {
		t.left()
		return ErrDraining
	}
	if limit := t.limit.Load(); limit > 0 && n > limit {
		t.left()
		return ErrBusy
	}
	e := &timerwheel.Timer[Receiver]{Value: r}
	s := t.shard(id)
	s.mu.Lock()
	if _, taken := s.trips[id]; taken {
		s.mu.Unlock()
		t.left()
		return errors.New("correlator: park: the id is parked already")
	}
	s.trips[id] = e
	t.wheel.Add(e, deadline)                  // within the lock: a Close finds the timer in the wheel
	expelled := t.expelling.Load() && e.End() // the drain's time is up, and it has not seen this one
	s.mu.Unlock()
	if expelled {
		t.Close(id)
		return ErrDraining
	}
	return nil
}

// Extend moves the deadline of the trip that is parked here under id. False: there is none, or its wait has ended.
func (t *Table) Extend(id ID, deadline time.Time) bool {
	s := t.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock() // until the end: who ends the timer meanwhile would find it ended, and be lost
	e := s.trips[id]
	if e == nil || !e.End() {
		return false
	}
	t.wheel.Remove(e)
	t.wheel.Add(e, deadline)
	return true
}

// Offer hands cb to the trip that is parked here under id, and reports whether there is one. If so, done is called
// exactly once, perhaps later.
func (t *Table) Offer(id ID, cb Callback, done func(Disposition)) bool {
	s := t.shard(id)
	s.mu.Lock()
	e := s.trips[id]
	s.mu.Unlock()
	if e == nil {
		return false
	}
	e.Value.Deliver(cb, done)
	return true
}

// Expire ends the wait of the trip that is parked here under id, unless it has ended already. The entry stays until Close.
func (t *Table) Expire(id ID, reason error) {
	s := t.shard(id)
	s.mu.Lock()
	e := s.trips[id]
	mine := e != nil && e.End() // within the lock, see Extend
	s.mu.Unlock()
	if mine {
		e.Value.Expire(reason)
	}
}

// Parked reports whether a trip is parked here under id.
func (t *Table) Parked(id ID) bool {
	s := t.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trips[id] != nil
}

// Waiter gives the trip that is parked here under id; nil: there is none.
func (t *Table) Waiter(id ID) Receiver {
	s := t.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.trips[id]; e != nil {
		return e.Value
	}
	return nil
}

// Standing gives the status of the final of an op of the trip that is parked here under id; Open: it is not known.
func (t *Table) Standing(id ID, op int) Status {
	if r, ok := t.Waiter(id).(Standing); ok {
		return r.Standing(op)
	}
	return Open
}

// Each calls f for each trip that is parked here, in no order. Trips may come and go meanwhile.
func (t *Table) Each(f func(Receiver)) {
	var all []Receiver
	for i := range t.shards {
		s := &t.shards[i]
		all = all[:0]
		s.mu.Lock()
		for _, e := range s.trips {
			all = append(all, e.Value)
		}
		s.mu.Unlock()
		for _, r := range all { // without the lock: f may ask for something
			f(r)
		}
	}
}

// Settled is what an engine hears about a trip that is not parked here and of which no record is kept: nil when it is
// one of this node's finished trips, ErrGone when it was forgotten, has expired, or had another home.
func (t *Table) Settled(id ID) error {
	if id.Home() != t.node || !time.Now().Before(id.Lasts()) || t.forgotten.has(id) {
		return ErrGone
	}
	return nil
}

// Close takes a trip out of the table. No Expire begins afterwards.
func (t *Table) Close(id ID) {
	s := t.shard(id)
	s.mu.Lock()
	e := s.trips[id]
	delete(s.trips, id)
	s.mu.Unlock()
	if e == nil { // else nobody extends it any more
		return
	}
	e.End()
	t.wheel.Remove(e)
	t.left()
}

// Forget closes like Close a trip that ended unfinished with nothing kept: Settled gives ErrGone for it from now on.
func (t *Table) Forget(id ID) {
	t.forgotten.add(id) // first: nobody may find the trip neither parked nor forgotten
	t.Close(id)
}

// Drain refuses every Park from now on and returns nil when the table is empty. When ctx ends first it calls
// Expire(ErrDraining) for those that have not expired yet, waits until all are closed, and returns ctx's error.
func (t *Table) Drain(ctx context.Context) error {
	t.draining.Store(true)
	if t.parked.Load() == 0 {
		t.drainOnce.Do(func() { close(t.drained) })
	}
	select {
	case <-t.drained:
		return nil
	case <-ctx.Done():
	}
	t.expelling.Store(true)
	for i := range t.shards {
		t.shards[i].expel()
	}
	<-t.drained
	return fmt.Errorf("correlator: drain: %w", ctx.Err())
}

// expel ends the wait of every trip of the shard.
func (s *tableShard) expel() {
	var rest []Receiver
	s.mu.Lock()
	for _, e := range s.trips {
		if e.End() {
			rest = append(rest, e.Value)
		}
	}
	s.mu.Unlock()
	for _, r := range rest {
		r.Expire(ErrDraining)
	}
}

// Shutdown ends the table's goroutine. Trips that are still parked do not expire any more.
func (t *Table) Shutdown() { t.wheel.Close() }

// left counts one trip less, and ends the drain when it was the last one.
func (t *Table) left() {
	if t.parked.Add(-1) == 0 && t.draining.Load() {
		t.drainOnce.Do(func() { close(t.drained) })
	}
}

// shard spreads ids by their random part.
func (t *Table) shard(id ID) *tableShard { return &t.shards[id[0]%tableShards] }
