package gateway

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"syncgate/correlator"
	"syncgate/internal/redact"
)

const (
	// mostTrips is the most that admin.trips may say.
	mostTrips = 1_000_000
	// opsRemembered is how many ops of one trip are remembered. Each takes the place of a trip.
	opsRemembered = 8
	// recentShards spreads the locks of the list. A power of two.
	recentShards = 8
	// fewTrips is the size up to which the list has one shard, so that a small one remembers exactly the last.
	fewTrips = 1024
	// lateShare is how many trips there are in the list for each late callback.
	lateShare = 8
)

// recentTrips remembers trips that are over, for operators who ask. It has a fixed size, and no entry points anywhere: the garbage
// collector does not look into it. Nothing is indexed; who asks reads all of it.
type recentTrips struct {
	seed   maphash.Seed
	shards []recentShard // a power of two

	lateMu sync.Mutex
	late   []lateCallback // a ring; guarded by lateMu
	lates  uint64         // that there were; guarded by lateMu
}

type recentShard struct {
	mu      sync.Mutex
	entries []traceOp // a ring; guarded by mu
	n       uint64    // that there were; guarded by mu
	_       [16]byte  // a cache line of its own
}

// lateCallback is a callback that came when its trip was over.
type lateCallback struct {
	id   correlator.ID
	at   int64 // Unix nanoseconds
	op   uint16
	kept bool
}

// newRecentTrips makes a list of so many trips; nil if there are none.
func newRecentTrips(most int) *recentTrips {
	if most <= 0 {
		return nil
	}
	shards := 1
	if most > fewTrips {
		shards = recentShards
	}
	r := &recentTrips{seed: maphash.MakeSeed(), shards: make([]recentShard, shards), late: make([]lateCallback, most/lateShare+1)}
	for i := range r.shards {
		r.shards[i].entries = make([]traceOp, (most+shards-1)/shards)
	}
	return r
}

// add remembers a trip that is over. Requests without a proven login are not remembered: a stranger could push all others out.
func (r *recentTrips) add(t *trip, outcome string, took time.Duration, written bool) {
	if r == nil || t.login() == unknownLogin {
		return
	}
	var e traceOp
	e.begin(t, r.seed)
	e.finish(t, outcome, took, written)
	s := &r.shards[e.request.hash&uint64(len(r.shards)-1)] //nolint:gosec // a few
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(&e)
	if t.call == nil {
		return
	}
	for op := 1; op < min(len(t.call.Ops), opsRemembered); op++ {
		e.describe(t, op, r.seed)
		s.add(&e)
	}
}

// add puts an entry in the place of the oldest. Called with mu held.
func (s *recentShard) add(e *traceOp) {
	s.entries[s.n%uint64(len(s.entries))] = *e
	s.n++
}

// addLate remembers a late callback.
func (r *recentTrips) addLate(id correlator.ID, op int, now time.Time, kept bool) {
	if r == nil {
		return
	}
	r.lateMu.Lock()
	defer r.lateMu.Unlock()
	r.late[r.lates%uint64(len(r.late))] = lateCallback{id: id, at: now.UnixNano(), op: uint16(op), kept: kept} //nolint:gosec // at most correlator.MaxOp
	r.lates++
}

// each calls f with every entry.
func (r *recentTrips) each(f func(*traceOp)) {
	if r == nil {
		return
	}
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		n := min(s.n, uint64(len(s.entries)))
		for j := range s.entries[:n] {
			f(&s.entries[j])
		}
		s.mu.Unlock()
	}
}

// lateOf gives the late callbacks of a trip, the oldest first.
func (r *recentTrips) lateOf(id correlator.ID) (all []lateCallback) {
	if r == nil {
		return nil
	}
	r.lateMu.Lock()
	defer r.lateMu.Unlock()
	for i := range r.late[:min(r.lates, uint64(len(r.late)))] {
		if r.late[i].id == id {
			all = append(all, r.late[i])
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

// traceOp is one op of a trip, with what is known of the trip. Times are milliseconds after acceptance; -1: it has not happened.
type traceOp struct {
	id           correlator.ID
	accepted     int64 // Unix nanoseconds
	keptUntil    int64 // Unix milliseconds; 0: nothing is kept
	request, ref short
	login        [24]byte // as are the two below, cut where it is longer, and 0 behind its end
	process      [24]byte
	outcome      [20]byte // empty: the trip is not over
	reason       [20]byte // why it was refused
	task         EngineTask

	deadline, forwarded, answered, firstCallback, lastCallback, replied int32

	callbacks, op, ops, status, engineStatus                 uint16
	parked, final, abandoned, keyed, joined, queued, refused bool
}

// begin takes what a trip says of itself, and of its first op.
func (e *traceOp) begin(t *trip, seed maphash.Seed) {
	*e = traceOp{deadline: -1, forwarded: -1, answered: -1, firstCallback: -1, lastCallback: -1, replied: -1}
	e.id, e.accepted, e.keyed, e.joined = t.id, t.accepted.UnixNano(), t.keyed(), t.joined
	var room [128]byte // of a request id
	e.request.set(seed, append(room[:0], t.requestID...))
	copy(e.login[:], t.login())
	if t.heard.n > 0 {
		e.callbacks, e.firstCallback, e.lastCallback = t.heard.n, milliseconds(t.heard.first), milliseconds(t.heard.last)
	}
	if t.call == nil {
		return
	}
	e.ops = uint16(len(t.call.Ops)) //nolint:gosec // at most correlator.MaxOp
	e.deadline = milliseconds(t.call.Wait.Milliseconds())
	if at := t.forwarded.Load(); at != 0 {
		e.forwarded = milliseconds((at - e.accepted) / int64(time.Millisecond))
		if took := t.engineTime.Load(); took != 0 {
			e.answered, e.engineStatus = milliseconds((at+took-e.accepted)/int64(time.Millisecond)), t.engineStatus
		}
	}
	e.describe(t, 0, seed)
}

func milliseconds[T uint32 | int64](n T) int32 { return int32(min(int64(n), 1<<31-1)) } //nolint:gosec // it fits

// describe takes what is known of an op.
func (e *traceOp) describe(t *trip, op int, seed maphash.Seed) {
	e.op, e.process, e.ref, e.task = uint16(op), [24]byte{}, short{}, EngineTask{} //nolint:gosec // at most correlator.MaxOp
	if op >= len(t.call.Ops) {
		return
	}
	o := &t.call.Ops[op]
	redact.AppendLabel(e.process[:0], o.Process, len(e.process))
	if ref := redact.PlainText(o.Ref); len(ref) > 0 {
		e.ref.set(seed, ref)
	}
	e.task = NewEngineTask(t.appendEngineTask(e.task.text[:0], op))
	e.final = op < len(t.finals) && t.finals[op].Status.Final()
	e.refused = o.Refused != ""
}

// finish takes how a trip ended.
func (e *traceOp) finish(t *trip, outcome string, took time.Duration, written bool) {
	e.replied, e.status, e.abandoned = milliseconds(took.Milliseconds()), uint16(t.status), !written //nolint:gosec // three digits
	copy(e.outcome[:], outcome)
	if t.refusal != nil {
		copy(e.reason[:], t.refusal.why().reason)
	}
	switch retention := t.g.cfg.Results.Retention; {
	case retention <= 0 || !t.kept && !t.claimed.Load():
	case t.why == nil:
		e.keptUntil = t.accepted.Add(took + retention).UnixMilli()
	default:
		e.keptUntil = t.id.Expiry().UnixMilli()
	}
}
