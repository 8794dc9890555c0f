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
	Progress  int64         // most bytes of what the engine has reported of an op, merged; 0: any number
}

// Default gives the Config of a gateway whose configuration says nothing else.
func Default() Config {
	return Config{Parked: 100_000, Retention: time.Hour, Results: 256 << 20, Progress: 5 << 20}
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
	if c.Progress < 0 {
		errs = append(errs, errors.New("progress: must not be negative"))
	}
	return errors.Join(errs...)
}

// Memory is the Correlator of a single process, with records in memory.
type Memory struct {
	*Table
	records *records
	names   *names
	waits   sync.Pool // of *settlement, none in use
}

var (
	_ Correlator = (*Memory)(nil)
	_ Keeper     = (*Memory)(nil)
)

// NewMemory makes a Memory from a valid Config. Shutdown ends its goroutines.
func NewMemory(cfg Config) *Memory {
	m := &Memory{Table: NewTable(cfg.Parked), names: newNames()}
	m.records = newRecords(cfg.Retention, cfg.Results, m.Table)
	m.SetProgress(cfg.Progress)
	m.waits.New = func() any { return newSettlement() }
	return m
}

// SetResults changes how many bytes of records may be kept, 0: any number. The oldest go at once if there are more.
func (m *Memory) SetResults(limit int64) { m.records.setLimit(limit) }

// SetProgress changes how many bytes of what the engine has reported of an op are merged, 0: any number. What is merged stays.
func (m *Memory) SetProgress(limit int64) { m.records.progress.Store(limit) }

// Kept is how many records there are, and their bytes as they are counted against Config.Results.
func (m *Memory) Kept() (records int, bytes int64) { return m.records.size() }

// Ready is nil: a process can always reach itself.
func (m *Memory) Ready() error { return nil }

// Shutdown ends the goroutines of m. It keeps answering, but nothing expires any more.
func (m *Memory) Shutdown(context.Context) error {
	m.Table.Shutdown()
	m.records.wheel.Close()
	m.names.close()
	return nil
}

// Deliver hands a callback to its trip and waits until the trip has settled it. The record of a trip that may be parked gets a final first: it
// decides which one counts.
func (m *Memory) Deliver(ctx context.Context, id ID, cb Callback) error {
	if err := cb.Head.Check(); err != nil {
		return err
	}
	if cb.Status.Running() {
		return m.report(id, cb)
	}
	state := noRecord
	if m.records.live.Load() > 0 {
		var before Status
		if state, before = m.records.add(id, cb); state == standing {
			return superseded(before)
		}
	}
	s := m.waits.Get().(*settlement)
	d := Gone
	if m.Offer(id, cb, s.done) {
		var err error
		if d, err = s.wait(ctx); err != nil {
			return fmt.Errorf("correlator: deliver: %w: %w", ErrUnavailable, err) // s is not ours yet: done is still to come
		}
	}
	m.waits.Put(s)
	switch {
	case state == added:
		return nil
	case d == Repeated:
		return superseded(m.Standing(id, cb.Op))
	case d != Gone && m.records.live.Load() == 0:
		return nil
	}
	state, before := m.records.add(id, cb) // it is looked for once more: a trip saves it before it says Gone
	switch {
	case state == standing:
		return superseded(before)
	case state == added || d != Gone:
		return nil
	default:
		return m.Settled(id)
	}
}

// superseded is what Deliver gives where an op has a final, Open: it is not known which.
func superseded(before Status) error {
	if before.Final() {
		return &Superseded{Status: before}
	}
	return nil
}

// report keeps what the engine says of an op that it works on, if there is a record of the trip, and hands it to the trip if that is parked.
func (m *Memory) report(id ID, cb Callback) error {
	if before := m.Standing(id, cb.Op); before.Final() {
		return superseded(before)
	}
	seq, err := m.records.report(id, cb)
	if err != nil {
		return err
	}
	cb.Seq = seq
	m.Offer(id, cb, ignore)
	return nil
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

// Prolong keeps the record of a trip for at least d more, and nothing evicts it meanwhile; 0 lets it go. ErrGone.
func (m *Memory) Prolong(_ context.Context, id ID, d time.Duration) error {
	return m.records.prolong(id, d)
}

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
	finals, err := m.records.watch(id, own, nil)
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

// Follow lets r wait for a trip of which there is a record, and hear its events after a number. A record that is dropped meanwhile leaves r to its
// deadline. ErrBusy, ErrDraining, ErrGone.
func (m *Memory) Follow(_ context.Context, id ID, r Receiver, after uint32, deadline time.Time) (detach func(), err error) {
	own := m.NewID(deadline)
	if err := m.Park(own, r, deadline); err != nil {
		return nil, err
	}
	f := NewFollower(r, after)
	if _, err := m.records.watch(id, own, f); err != nil {
		m.Table.Close(own)
		return nil, err
	}
	return func() {
		f.End()
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
