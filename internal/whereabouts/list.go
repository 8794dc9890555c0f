package whereabouts

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"syncgate/correlator"
	"syncgate/internal/redact"
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
)

// List remembers trips that are over, for operators who ask. It has a fixed size, and no entry points anywhere: the garbage
// collector does not look into it. Nothing is indexed; who asks reads all of it.
type List struct {
	seed   maphash.Seed
	shards []listShard // a power of two

	lateMu sync.Mutex
	late   []lateCallback // a ring; guarded by lateMu
	lates  uint64         // that there were; guarded by lateMu
}

type listShard struct {
	mu      sync.Mutex
	entries []entry  // a ring; guarded by mu
	n       uint64   // that there were; guarded by mu
	_       [16]byte // a cache line of its own
}

// lateCallback is a callback that came when its trip was over.
type lateCallback struct {
	id   correlator.ID
	at   int64 // Unix nanoseconds
	op   uint16
	kept bool
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
	l := &List{seed: maphash.MakeSeed(), shards: make([]listShard, shards), late: make([]lateCallback, most/lateShare+1)}
	for i := range l.shards {
		l.shards[i].entries = make([]entry, (most+shards-1)/shards)
	}
	return l
}

// Add remembers an op of a trip that is over: one after the other of the first MostOps. op is nil where a trip has none. It allocates nothing,
// and keeps nothing of what it is given.
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
	s := &l.shards[e.request.hash&uint64(len(l.shards)-1)] //nolint:gosec // a few
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries[s.n%uint64(len(s.entries))] = e // in the place of the oldest
	s.n++
}

// AddLate remembers a late callback.
func (l *List) AddLate(id correlator.ID, op int, now time.Time, kept bool) {
	if l == nil {
		return
	}
	l.lateMu.Lock()
	defer l.lateMu.Unlock()
	l.late[l.lates%uint64(len(l.late))] = lateCallback{id: id, at: now.UnixNano(), op: uint16(op), kept: kept} //nolint:gosec // at most correlator.MaxOp
	l.lates++
}

// each calls f with every entry.
func (l *List) each(f func(*entry)) {
	if l == nil {
		return
	}
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		n := min(s.n, uint64(len(s.entries)))
		for j := range s.entries[:n] {
			f(&s.entries[j])
		}
		s.mu.Unlock()
	}
}

// lateOf gives the late callbacks of a trip, the oldest first.
func (l *List) lateOf(id correlator.ID) (all []lateCallback) {
	if l == nil {
		return nil
	}
	l.lateMu.Lock()
	defer l.lateMu.Unlock()
	for i := range l.late[:min(l.lates, uint64(len(l.late)))] {
		if l.late[i].id == id {
			all = append(all, l.late[i])
		}
	}
	slices.SortFunc(all, func(a, b lateCallback) int { return int(a.at - b.at) })
	return all
}

// short is a text that others have chosen: its beginning, and a hash of the whole, by which it is found.
type short struct {
	hash uint64
	size uint8
	text [40]byte
}

func (s *short) set(seed maphash.Seed, text []byte) {
	s.hash = maphash.Bytes(seed, text)
	s.size = uint8(len(redact.AppendText(s.text[:0], text, len(s.text)))) //nolint:gosec // at most 40
}

func (s *short) String() string { return string(s.text[:s.size]) }

// entry is one op of a trip, with what is known of the trip. Times are milliseconds after acceptance; -1: it has not happened.
type entry struct {
	id           correlator.ID
	accepted     int64 // Unix nanoseconds
	keptUntil    int64 // Unix milliseconds; 0: nothing is kept
	request, ref short
	login        [24]byte // as are the two below, cut where it is longer, and 0 behind its end
	process      [24]byte
	outcome      [20]byte // empty: the trip is not over
	reason       [20]byte // why it was refused
	task         Task

	deadline, forwarded, answered, firstCallback, lastCallback, replied int32

	callbacks, op, ops, status, engineStatus                 uint16
	parked, final, abandoned, keyed, joined, queued, refused bool
}

// begin takes what is known of a trip as a whole.
func (e *entry) begin(f *Facts, seed maphash.Seed) {
	*e = entry{deadline: -1, forwarded: -1, answered: -1, firstCallback: -1, lastCallback: -1, replied: -1}
	e.id, e.accepted, e.keyed, e.joined, e.parked, e.queued = f.ID, f.Accepted.UnixNano(), f.Keyed, f.Joined, f.Waits, f.Queued
	var room [128]byte // of a request id
	e.request.set(seed, append(room[:0], f.RequestID...))
	copy(e.login[:], f.Login)
	if f.Callbacks > 0 {
		e.callbacks, e.firstCallback, e.lastCallback = f.Callbacks, milliseconds(f.FirstCallback), milliseconds(f.LastCallback)
	}
	if !f.Read {
		return
	}
	e.ops = uint16(f.Ops) //nolint:gosec // at most correlator.MaxOp
	e.deadline = milliseconds(f.Wait.Milliseconds())
	if f.Forwarded != 0 {
		e.forwarded = milliseconds((f.Forwarded - e.accepted) / int64(time.Millisecond))
		if f.EngineTime != 0 {
			e.answered, e.engineStatus = milliseconds((f.Forwarded+f.EngineTime-e.accepted)/int64(time.Millisecond)), f.EngineStatus
		}
	}
}

func milliseconds[T uint32 | int64](n T) int32 { return int32(min(int64(n), 1<<31-1)) } //nolint:gosec // it fits

// describe takes what is known of an op.
func (e *entry) describe(o *OpFacts, seed maphash.Seed) {
	e.op, e.process, e.ref, e.task = uint16(o.Op), [24]byte{}, short{}, o.Task //nolint:gosec // at most MostOps
	redact.AppendLabel(e.process[:0], o.Process, len(e.process))
	if ref := redact.PlainText(o.Ref); len(ref) > 0 {
		e.ref.set(seed, ref)
	}
	e.final, e.refused = o.Final, o.Refused
}

// finish takes how a trip ended.
func (e *entry) finish(f *Facts) {
	e.replied, e.status, e.abandoned = milliseconds(f.Took.Milliseconds()), uint16(f.Status), !f.Written //nolint:gosec // three digits
	copy(e.outcome[:], f.Outcome)
	copy(e.reason[:], f.Reason)
	e.keptUntil = f.KeptUntil
}
