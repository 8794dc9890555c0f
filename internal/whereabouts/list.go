package whereabouts

import (
	"hash/maphash"
	"runtime"
	"sync"
	"time"

	"syncgate/correlator"
)

const (
	// MostTrips is the most that a list may remember.
	MostTrips = 1_000_000
	// MostOps is how many ops of one trip are remembered. Each takes the place of a trip.
	MostOps = 8
	// listShards spreads the locks of the list. A power of two.
	listShards = 8
	// fewTrips is the size up to which the list has one shard, so that a small one remembers exactly the last.
	fewTrips = 1024
	// lateShare is how many trips there are in the list for each late callback.
	lateShare = 8
	// walkStep is how many entries are looked at before the lock of their shard is given back: a trip that ends meanwhile waits for some microseconds.
	walkStep = 256
)

// List remembers trips that are over, for operators who ask. It has a fixed size, and no entry points anywhere: the garbage
// collector does not look into it. Nothing is indexed; who asks reads all of it.
type List struct {
	// Set by New, read-only afterwards.
	seed   maphash.Seed
	began  int64       // Unix nanoseconds
	shards []listShard // a power of two
	late   ring[lateFinal]
}

type listShard struct {
	ring[entry]
	names names    // of the entries; guarded by mu
	_     [48]byte // cache lines of its own
}

// ring has the last of what was put into it.
type ring[T any] struct {
	mu  sync.Mutex
	all []T    // one at least; guarded by mu
	n   uint64 // that were put in; guarded by mu
}

// New makes a list of so many trips, at most MostTrips; nil if there are none. A nil list remembers nothing.
func New(most int) *List {
	if most <= 0 {
		return nil
	}
	shards := 1
	if most > fewTrips {
		shards = listShards
	}
	l := &List{seed: maphash.MakeSeed(), began: time.Now().UnixNano(), shards: make([]listShard, shards)}
	l.late.all = make([]lateFinal, most/lateShare+1)
	for i := range l.shards {
		l.shards[i].all = make([]entry, (most+shards-1)/shards)
	}
	return l
}

// Add remembers an op of a trip that is over: one after the other of the first MostOps. op is nil where a trip has none. It allocates nothing
// but for names that it did not know, and keeps nothing else of what it is given.
func (l *List) Add(f *Facts, op *OpFacts) {
	if l == nil {
		return
	}
	var e entry
	e.begin(f, l.seed)
	e.finish(f)
	if op != nil {
		e.describe(op, l.seed)
	}
	s := l.shardOf(e.requestHash)
	s.mu.Lock()
	defer s.mu.Unlock()
	e.login, e.route, e.engine = s.names.recall(aLogin, f.Login), s.names.recall(aRoute, f.Route), s.names.recall(anEngine, f.Engine)
	s.put(e)
}

// shardOf gives the shard of a request by the hash of its id.
func (l *List) shardOf(hash uint64) *listShard {
	return &l.shards[hash&uint64(len(l.shards)-1)] //nolint:gosec // a few
}

// hashSeed is that of the list.
func (l *List) hashSeed() maphash.Seed {
	if l != nil {
		return l.seed
	}
	return maphash.MakeSeed()
}

// each calls visit with every entry.
func (l *List) each(visit func(s *listShard, e *entry)) {
	if l == nil {
		return
	}
	for i := range l.shards {
		s := &l.shards[i]
		s.walk(func(e *entry) bool { visit(s, e); return true })
	}
}

// put puts something in the place of the oldest. Called with mu held.
func (r *ring[T]) put(one T) {
	r.all[r.n%uint64(len(r.all))] = one
	r.n++
}

// walk calls visit with all, from the newest to the oldest, until it returns false. Those that come meanwhile are not among them, and those that are overwritten
// meanwhile may be missing. mu is held while visit runs, which must be short, and given back in between.
func (r *ring[T]) walk(visit func(one *T) (goOn bool)) {
	r.mu.Lock()
	next := r.n // those with numbers below are to come
	for {
		size := uint64(len(r.all))
		oldest := r.n - min(r.n, size)
		for range walkStep {
			if next <= oldest {
				r.mu.Unlock()
				return
			}
			next--
			if !visit(&r.all[next%size]) {
				r.mu.Unlock()
				return
			}
		}
		r.mu.Unlock()
		runtime.Gosched() // else those who wait for mu would wait for longer
		r.mu.Lock()
	}
}

// reach gives from when on the shard has every trip that has ended, in Unix nanoseconds: those that ended before may be overwritten. 0: it has all that
// there ever were.
func (s *listShard) reach() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := uint64(len(s.all))
	if s.n <= size {
		return 0
	}
	return s.all[s.n%size].ended() // the oldest
}

// lateFinal is a final of an op that came when its trip was over.
type lateFinal struct {
	id   correlator.ID
	at   int64 // Unix nanoseconds
	op   uint16
	kept bool
	kind lateKind
}

type lateKind uint8

const (
	lateCallback lateKind = iota // a callback that its client has waited for
	lateResult                   // a callback that its client did not wait for: it is not late
	lateCancel                   // somebody has cancelled the op
)

// AddLate remembers a callback that came when its trip was over. kept: its result is kept.
func (l *List) AddLate(id correlator.ID, op int, now time.Time, kept bool) {
	l.addLate(lateFinal{id: id, at: now.UnixNano(), op: uint16(op), kept: kept}) //nolint:gosec // at most correlator.MaxOp
}

// AddResult remembers the callback that ended a task whose client did not wait for it: it is not late.
func (l *List) AddResult(id correlator.ID, op int, now time.Time) {
	l.addLate(lateFinal{id: id, at: now.UnixNano(), op: uint16(op), kept: true, kind: lateResult}) //nolint:gosec // at most correlator.MaxOp
}

// AddCancelled remembers that an op was cancelled, for a trip that may be over: then the op is open no more.
func (l *List) AddCancelled(id correlator.ID, op int, now time.Time) {
	l.addLate(lateFinal{id: id, at: now.UnixNano(), op: uint16(op), kind: lateCancel}) //nolint:gosec // at most correlator.MaxOp
}

func (l *List) addLate(f lateFinal) {
	if l == nil {
		return
	}
	l.late.mu.Lock()
	defer l.late.mu.Unlock()
	l.late.put(f)
}

// LateCallbacks are those that came when their trips were over: the form of GET /api/late.
type LateCallbacks struct {
	Node string         `json:"node"`
	Late []LateCallback `json:"late"` // the newest first
}

// LateCallback is one of them.
type LateCallback struct {
	Trip string `json:"trip"` // the first eight characters of its tokens and its task id
	Late
}

// Late gives the callbacks that came late, the newest first, at most so many.
func (l *List) Late(limit int) (c LateCallbacks) {
	c.Late = []LateCallback{}
	if l == nil {
		return c
	}
	l.late.walk(func(f *lateFinal) bool {
		if f.kind == lateCallback {
			c.Late = append(c.Late, LateCallback{f.id.String(), f.report()})
		}
		return len(c.Late) < limit
	})
	return c
}

func (f *lateFinal) report() Late {
	return Late{Op: int(f.op), At: timeOf(f.at), Kept: f.kept}
}

// timeOf gives a time of so many Unix nanoseconds, to the millisecond.
func timeOf(nanoseconds int64) time.Time {
	return time.Unix(0, nanoseconds).Truncate(time.Millisecond).UTC()
}
