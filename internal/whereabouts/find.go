package whereabouts

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
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
	Replied        *time.Time `json:"replied,omitempty"`
	KeptUntil      *time.Time `json:"kept_until,omitempty"` // unless limits.results needs the room
	Ops            []Op       `json:"ops"`                  // the first eight
	OpCount        int        `json:"op_count"`
	Late           []Late     `json:"late_callbacks,omitempty"`
}

// Op is where one op is.
type Op struct {
	Op         int    `json:"op"`
	Process    string `json:"process,omitempty"`
	Ref        string `json:"ref,omitempty"`
	EngineTask string `json:"engine_task,omitempty"`
	State      string `json:"state"` // "open", "final" or "not_allowed"
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

// Find gives the trips that a question names, the newest first, at most 20 of them. waiting calls visit with every trip that is not over, until
// that returns false. It reads all trips that there are.
func (l *List) Find(asked Question, waiting func(visit func(f *Facts, ops []OpFacts) (goOn bool))) Answer {
	seed := l.hashSeed()
	q := &question{asked, maphash.Bytes(seed, asked.Text)}
	all := waitingHits(q, seed, waiting)
	all = append(all, l.hits(q)...)
	slices.SortFunc(all, func(a, b []entry) int { return cmp.Compare(b[0].accepted, a[0].accepted) })
	answer := Answer{Trips: []Trip{}, More: len(all) > mostHits}
	for _, h := range all[:min(len(all), mostHits)] {
		answer.Trips = append(answer.Trips, l.report(h))
	}
	return answer
}

// hashSeed is that of the list.
func (l *List) hashSeed() maphash.Seed {
	if l != nil {
		return l.seed
	}
	return maphash.MakeSeed()
}

// waitingHits gives the trips that wait and that a question names, each with the ops that would be remembered.
func waitingHits(q *question, seed maphash.Seed, waiting func(visit func(f *Facts, ops []OpFacts) (goOn bool))) (all [][]entry) {
	waiting(func(f *Facts, ops []OpFacts) (goOn bool) {
		if found := q.namedOps(f, ops[:min(len(ops), MostOps)], seed); found != nil {
			all = append(all, found)
		}
		return len(all) < 2*mostHits
	})
	return all
}

// namedOps gives what is known of a trip, if a question names it or one of its ops.
func (q *question) namedOps(f *Facts, ops []OpFacts, seed maphash.Seed) (all []entry) {
	var e entry
	e.begin(f, seed)
	named := false
	for op := 0; op < len(ops) && !named; op++ {
		e.describe(&ops[op], seed)
		named = q.namesOp(&e)
	}
	if !named {
		return nil
	}
	for op := range ops {
		e.describe(&ops[op], seed)
		all = append(all, e)
	}
	return all
}

// hits gives the trips of the list that a question names. They are found in two walks: an op may name a trip, and the others are wanted too.
func (l *List) hits(q *question) (all [][]entry) {
	type name struct {
		id       correlator.ID
		request  uint64
		accepted int64
	}
	of := func(e *entry) name { return name{e.id, e.request.hash, e.accepted} }
	found := make(map[name][]entry)
	l.each(func(e *entry) {
		if len(found) < 2*mostHits && q.namesOp(e) {
			found[of(e)] = nil
		}
	})
	l.each(func(e *entry) {
		if ops, wanted := found[of(e)]; wanted {
			found[of(e)] = append(ops, *e)
		}
	})
	for _, ops := range found {
		if len(ops) == 0 {
			continue // it was overwritten between the walks
		}
		slices.SortFunc(ops, func(a, b entry) int { return cmp.Compare(a.op, b.op) })
		all = append(all, ops)
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
	return e.request.hash == q.hash ||
		e.ref.size > 0 && e.ref.hash == q.hash ||
		bytes.Equal(q.Text, name[:]) && e.id != correlator.ID{} ||
		len(task) > 0 && bytes.Equal(q.Text[:min(len(q.Text), len(e.task.text))], task)
}

// report words a trip.
func (l *List) report(ops []entry) Trip {
	e := &ops[0]
	r := Trip{
		RequestID: e.request.String(), Login: cut(e.login[:]), Outcome: cut(e.outcome[:]), Reason: cut(e.reason[:]), Status: int(e.status),
		Keyed: e.keyed, Joined: e.joined, HungUp: e.abandoned, Accepted: time.Unix(0, e.accepted).UTC(), State: "over",
		Callbacks: int(e.callbacks), EngineStatus: int(e.engineStatus), OpCount: int(e.ops),
		Deadline: e.at(e.deadline), Forwarded: e.at(e.forwarded), EngineAnswered: e.at(e.answered),
		FirstCallback: e.at(e.firstCallback), LastCallback: e.at(e.lastCallback), Replied: e.at(e.replied),
		Ops: make([]Op, 0, len(ops)),
	}
	switch {
	case e.queued:
		r.State = "queued"
	case e.parked:
		r.State = "waiting"
	}
	if e.keptUntil != 0 {
		until := time.UnixMilli(e.keptUntil).UTC()
		r.KeptUntil = &until
	}
	if e.id != (correlator.ID{}) {
		r.Trip = e.id.String()
		for _, late := range l.lateOf(e.id) {
			r.Late = append(r.Late, Late{Op: int(late.op), At: time.Unix(0, late.at).UTC(), Kept: late.kept})
		}
	}
	for i := range ops {
		if e.ops > 0 {
			r.Ops = append(r.Ops, ops[i].report())
		}
	}
	for _, late := range r.Late {
		for i := range r.Ops {
			if late.Kept && r.Ops[i].Op == late.Op && r.Ops[i].State == "open" {
				r.Ops[i].State = "final"
			}
		}
	}
	return r
}

func (e *entry) report() Op {
	r := Op{Op: int(e.op), Process: cut(e.process[:]), Ref: e.ref.String(), EngineTask: string(e.task.bytes()), State: "open"}
	switch {
	case e.refused:
		r.State = "not_allowed"
	case e.final:
		r.State = "final"
	}
	return r
}

// at gives a time, nil for one that has not come.
func (e *entry) at(milliseconds int32) *time.Time {
	if milliseconds < 0 {
		return nil
	}
	at := time.Unix(0, e.accepted).Add(time.Duration(milliseconds) * time.Millisecond).UTC()
	return &at
}

// cut gives a text without the zeros behind it.
func cut(text []byte) string { return strings.TrimRight(string(text), "\x00") }
