package whereabouts

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"maps"
	"slices"
	"time"

	"syncgate/correlator"
)

// mostHits bounds the trips in an answer.
const mostHits = 20

// Answer is the answer to the question where a request is: the form of GET /api/trips/{id} on the admin listener. It has no token, no
// secret, and no body.
type Answer struct {
	Node string `json:"node"`           // this one
	Home string `json:"home,omitempty"` // another one, which the task id or the token names: ask there
	// Remembered is how many trips that are over this node can remember: admin.trips.
	Remembered int     `json:"remembered"`
	Trips      []Trip  `json:"trips"`          // the newest first
	More       bool    `json:"more,omitempty"` // there are more than these
	Record     *Record `json:"record,omitempty"`
}

// Trip is where one trip is.
type Trip struct {
	Trip      string `json:"trip,omitempty"` // the first eight characters of its tokens and its task id
	RequestID string `json:"request_id"`
	Login     string `json:"login"`
	Route     string `json:"route"`            // its name, "corezoid" for requests of the Sync API; empty: refused before it was known
	Engine    string `json:"engine,omitempty"` // the name of the one that has it, or is to have it
	// State is "queued" (for a connection to the engine), "waiting" (for a callback) or "over".
	State    string     `json:"state"`
	Outcome  string     `json:"outcome,omitempty"` // as in the log
	Reason   string     `json:"reason,omitempty"`  // why it was refused
	Status   int        `json:"status,omitempty"`  // of the reply
	Keyed    bool       `json:"keyed,omitempty"`   // it has an Idempotency-Key
	Joined   bool       `json:"joined,omitempty"`  // it waited for another request with the same key
	HungUp   bool       `json:"hung_up,omitempty"` // the client did not get the reply
	Accepted time.Time  `json:"accepted"`
	Deadline *time.Time `json:"deadline,omitempty"`
	// Forwarded is when it was sent to the engine, EngineAnswered when the exchange with the engine ended, with EngineStatus if there was an
	// answer.
	Forwarded      *time.Time `json:"forwarded,omitempty"`
	EngineAnswered *time.Time `json:"engine_answered,omitempty"`
	EngineStatus   int        `json:"engine_status,omitempty"`
	Callbacks      int        `json:"callbacks"` // that came in time
	FirstCallback  *time.Time `json:"first_callback,omitempty"`
	LastCallback   *time.Time `json:"last_callback,omitempty"`
	// Reports of progress that reached this node while the client waited.
	Reports     int        `json:"reports,omitempty"`
	FirstReport *time.Time `json:"first_report,omitempty"`
	LastReport  *time.Time `json:"last_report,omitempty"`
	Replied     *time.Time `json:"replied,omitempty"`
	KeptUntil   *time.Time `json:"kept_until,omitempty"` // unless limits.results needs the room
	Ops         []Op       `json:"ops"`                  // the first eight
	OpCount     int        `json:"op_count"`
	Late        []Late     `json:"late_callbacks,omitempty"`
	Next        []string   `json:"next,omitempty"` // what to check next, where it timed out, was refused, or waits in vain
}

// States of trips.
const (
	StateInFlight = "in_flight" // those that are queued or wait; no Trip has it
	StateQueued   = "queued"
	StateWaiting  = "waiting"
	StateOver     = "over"
)

// Op is where one op is.
type Op struct {
	Op         int    `json:"op"`
	Process    string `json:"process,omitempty"`
	Ref        string `json:"ref,omitempty"`
	EngineTask string `json:"engine_task,omitempty"`
	State      string `json:"state"` // "open", "final" or "not_allowed"
	// Callback is when its callback came, if that came in time.
	Callback *time.Time `json:"callback,omitempty"`
}

// Late is a callback that came when its trip was over.
type Late struct {
	Op   int       `json:"op"`
	At   time.Time `json:"at"`
	Kept bool      `json:"kept"`
}

// Record is what is kept of a trip, on this node or in the store that all share, where a task id or a token was asked for.
type Record struct {
	Ops   int `json:"ops"`
	Final int `json:"final"`
}

// Question is what an operator asks for: a request id, a ref, the engine's task id, the first eight characters of a token, a whole token, or a
// task id.
type Question struct {
	Text []byte
	ID   correlator.ID // of a task id or a token; else zero
}

// question is a Question with the hash of its text.
type question struct {
	Question
	hash uint64
}

// Find gives the trips that a question names, the newest first, at most 20 of them. waiting gives every trip that is not over. It reads all trips
// that there are.
func (l *List) Find(asked Question, waiting Waiting) Answer {
	all := l.find(asked, waiting)
	slices.SortFunc(all, func(a, b *hit) int { return cmp.Compare(b.ops[0].accepted, a.ops[0].accepted) })
	return Answer{Trips: l.report(all[:min(len(all), mostHits)], time.Now()), More: len(all) > mostHits}
}

// IDs gives the ids of the trips that a question names, without zeros and repeats, at most some of those that wait and of those that are over.
func (l *List) IDs(asked Question, waiting Waiting) (ids []correlator.ID, found bool) {
	all := l.find(asked, waiting)
	for _, h := range all {
		if id := h.ops[0].id; id != (correlator.ID{}) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, len(all) > 0
}

// find gives the trips that a question names, in no order.
func (l *List) find(asked Question, waiting Waiting) []*hit {
	seed := l.hashSeed()
	q := &question{asked, maphash.Bytes(seed, asked.Text)}
	return append(waitingHits(q, seed, waiting), l.hits(q)...)
}

// hit is a trip that was found.
type hit struct {
	login, route, engine string
	ops                  []entry // what is known of it, with each of its ops; at least one
}

// hitOf gives a trip that is not over, with the ops that would be remembered.
func hitOf(f *Facts, ops Ops, seed maphash.Seed) *hit {
	h := &hit{login: f.Login, route: f.Route, engine: f.Engine, ops: make([]entry, max(1, min(f.Ops, MostOps)))}
	for i := range h.ops {
		e := &h.ops[i]
		if e.begin(f, seed); f.Ops > 0 {
			op := ops.OpFacts(i)
			e.describe(&op, seed)
		}
	}
	return h
}

// waitingHits gives the trips that wait and that a question names.
func waitingHits(q *question, seed maphash.Seed, waiting Waiting) (all []*hit) {
	waiting(func(f *Facts, ops Ops) (goOn bool) {
		if q.names(f, ops, seed) {
			all = append(all, hitOf(f, ops, seed))
		}
		if len(all) >= 2*mostHits {
			all = newest(all, func(h *hit) int64 { return h.ops[0].accepted })
		}
		return true
	})
	return all
}

// newest gives those of some trips that were accepted last: as many as are shown, and one more, which says that there are more.
func newest[T any](all []T, accepted func(T) int64) []T {
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(accepted(b), accepted(a)) })
	return slices.Delete(all, min(len(all), mostHits+1), len(all))
}

// names reports whether a question names a trip that is not over, or one of its ops.
func (q *question) names(f *Facts, ops Ops, seed maphash.Seed) bool {
	if q.ID != (correlator.ID{}) {
		return f.ID == q.ID
	}
	var e entry
	e.begin(f, seed)
	for i := range min(f.Ops, MostOps) {
		op := ops.OpFacts(i)
		e.describe(&op, seed)
		if q.namesOp(&e) {
			return true
		}
	}
	return false
}

// tripName tells trips of the list apart: several may have one request id, and those of one key have one id.
type tripName struct {
	id       correlator.ID
	request  uint64
	accepted int64
}

func (e *entry) name() tripName { return tripName{e.id, e.requestHash, e.accepted} }

// hits gives the trips of the list that a question names.
func (l *List) hits(q *question) []*hit {
	found := make(map[tripName]*hit)
	l.each(func(_ *listShard, e *entry) {
		if q.namesOp(e) {
			found[e.name()] = new(hit)
		}
		if len(found) >= 2*mostHits {
			keep := newest(slices.Collect(maps.Keys(found)), func(n tripName) int64 { return n.accepted })
			clear(found)
			for _, name := range keep {
				found[name] = new(hit)
			}
		}
	})
	return l.gather(found)
}

// gather fills hits of the list, by a walk of its own: any op may have named a trip, and all are wanted. It gives those that are still there.
func (l *List) gather(found map[tripName]*hit) (all []*hit) {
	if len(found) == 0 {
		return nil
	}
	l.each(func(s *listShard, e *entry) {
		if h := found[e.name()]; h != nil {
			h.login, h.route, h.engine = s.names.text(e.login), s.names.text(e.route), s.names.text(e.engine)
			h.ops = append(h.ops, *e)
		}
	})
	for _, h := range found {
		if len(h.ops) > 0 { // else it was overwritten between the walks
			slices.SortFunc(h.ops, func(a, b entry) int { return cmp.Compare(a.op, b.op) })
			all = append(all, h)
		}
	}
	return all
}

// namesOp reports whether a question names an op or its trip.
func (q *question) namesOp(e *entry) bool {
	if q.ID != (correlator.ID{}) {
		return e.id == q.ID
	}
	name := e.id.Name()
	task := e.task.bytes()
	return e.requestHash == q.hash ||
		e.ref.size > 0 && e.refHash == q.hash ||
		bytes.Equal(q.Text, name[:]) && e.id != correlator.ID{} ||
		len(task) > 0 && bytes.Equal(q.Text[:min(len(q.Text), len(e.task.text))], task)
}
