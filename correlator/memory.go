package correlator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Config bounds what a Memory holds.
type Config struct {
	Parked    int           // most trips parked at once; 0: any number
	Retention time.Duration // how long a complete record is kept; 0: no record is kept
	Results   int64         // most bytes of all records, with what it takes to hold them; 0: any number
}

// Default gives the Config of a gateway whose configuration says nothing else.
func Default() Config {
	return Config{Parked: 100_000, Retention: time.Hour, Results: 256 << 20}
}

// Validate names everything that is wrong with c.
func (c Config) Validate() error {
	var errs []error
	if c.Parked < 0 {
		errs = append(errs, errors.New("parked: must not be negative"))
	}
	if c.Retention < 0 {
		errs = append(errs, errors.New("retention: must not be negative"))
	}
	if c.Results < 0 {
		errs = append(errs, errors.New("results: must not be negative"))
	}
	return errors.Join(errs...)
}

// Memory is the Correlator of a single process, with records in memory.
type Memory struct {
	*Table
	records *records
	waits   sync.Pool // of *settlement, none in use
}

var (
	_ Correlator = (*Memory)(nil)
	_ Keeper     = (*Memory)(nil)
)

// NewMemory makes a Memory from a valid Config. Shutdown ends its goroutines.
func NewMemory(cfg Config) *Memory {
	m := &Memory{Table: NewTable(cfg.Parked)}
	m.records = newRecords(cfg.Retention, cfg.Results, m.Table)
	m.waits.New = func() any { return newSettlement() }
	return m
}

// SetResults changes how many bytes of records may be kept, 0: any number. The oldest go at once if there are more.
func (m *Memory) SetResults(limit int64) { m.records.setLimit(limit) }

// Kept is how many records there are, and their bytes as they are counted against Config.Results.
func (m *Memory) Kept() (records int, bytes int64) { return m.records.size() }

// Ready is nil: a process can always reach itself.
func (m *Memory) Ready() error { return nil }

// Shutdown ends the goroutines of m. It keeps answering, but nothing expires any more.
func (m *Memory) Shutdown(context.Context) error {
	m.Table.Shutdown()
	m.records.wheel.Close()
	return nil
}

// Deliver hands a callback to its trip and waits until the trip has settled it.
func (m *Memory) Deliver(ctx context.Context, id ID, cb Callback) error {
	s := m.waits.Get().(*settlement)
	d := Gone
	if m.Offer(id, cb, s.done) {
		var err error
		if d, err = s.wait(ctx); err != nil {
			return fmt.Errorf("correlator: deliver: %w: %w", ErrUnavailable, err) // s is not ours yet: done is still to come
		}
	}
	m.waits.Put(s)
	if d == Repeated || d != Gone && m.records.claimed.Load() == 0 { // a parked trip has a record only with a claim
		return nil
	}
	if m.records.add(id, cb) || d != Gone { // the record is looked for only now: a trip saves it before it says Gone
		return nil
	}
	return m.Settled(id)
}

// Close takes a trip out of the table. Its record, if there is one, may be evicted from now on.
func (m *Memory) Close(id ID) {
	m.Table.Close(id)
	m.records.unpin(id)
}

// Forget closes like Close a trip that ended unfinished with nothing kept.
func (m *Memory) Forget(id ID) {
	m.Table.Forget(id)
	m.records.unpin(id)
}

// Save keeps a record: an unfinished one until the id's expiry, a complete one for the retention. The newest Meta
// counts, and the first final of each op. rec's bytes must not change afterwards. ErrGone: nothing can be kept,
// as the retention is 0 and the record not claimed, the id has expired, or the record alone is larger than all records may be.
func (m *Memory) Save(_ context.Context, id ID, rec Record) error { return m.records.save(id, rec) }

// Lookup reads a record. The caller must not change its bytes. ErrGone.
func (m *Memory) Lookup(_ context.Context, id ID) (Record, error) { return m.records.lookup(id) }

// Claim binds k to id and saves rec, or gives the id that k is bound to. rec's bytes must not change afterwards. The record
// is not evicted before Close. ErrOtherBody. ErrFull: records that may not be evicted take all the memory.
func (m *Memory) Claim(_ context.Context, k Key, fingerprint [32]byte, id ID, rec Record) (owner ID, err error) {
	return m.records.bind(k, fingerprint, id, rec)
}

// Release undoes a Claim by id. It does nothing when k is not bound to id.
func (m *Memory) Release(_ context.Context, k Key, id ID) error {
	m.records.release(k, id)
	return nil
}

// Attach lets r wait for a trip of which there is a record. A record that is dropped meanwhile leaves r to its deadline.
// ErrBusy, ErrDraining, ErrGone.
func (m *Memory) Attach(_ context.Context, id ID, r Receiver, deadline time.Time) (detach func(), err error) {
	own := m.NewID(deadline)
	if err := m.Park(own, r, deadline); err != nil {
		return nil, err
	}
	finals, err := m.records.watch(id, own)
	if err != nil {
		m.Table.Close(own)
		return nil, err
	}
	m.records.notify(notice{finals: finals, to: []ID{own}})
	return func() {
		m.Table.Close(own)
		m.records.unwatch(id, own)
	}, nil
}

// settlement waits for what a trip did with one callback. Where that is said before Offer returns nobody has to be woken.
type settlement struct {
	stage atomic.Uint32
	said  Disposition   // set by done before the stage is settled
	wake  chan struct{} // one element: settling never waits
	done  func(Disposition)
}

// The stages of a settlement.
const (
	unsettled uint32 = iota
	awaited          // somebody waits for wake
	settled
)

func newSettlement() *settlement {
	s := &settlement{wake: make(chan struct{}, 1)}
	s.done = func(d Disposition) {
		s.said = d
		if s.stage.Swap(settled) == awaited {
			s.wake <- struct{}{}
		}
	}
	return s
}

// wait gives the Disposition that done was called with, and makes s ready for the next callback. Its error is the context's, which does not matter
// when done has been called: done may be called later, so s is not to be used again.
func (s *settlement) wait(ctx context.Context) (Disposition, error) {
	if s.stage.CompareAndSwap(unsettled, awaited) {
		select {
		case <-s.wake:
		case <-ctx.Done():
			return Gone, ctx.Err()
		}
	}
	s.stage.Store(unsettled)
	return s.said, nil
}
