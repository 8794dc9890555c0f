package gateway

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"syncgate/correlator"
)

// mostHits bounds the trips in an answer.
const mostHits = 20

// Whereabouts is the answer to the question where a request is: the form of GET /api/trips/{id} on the admin listener. It has no token, no
// secret, and no body.
type Whereabouts struct {
	Node string `json:"node"`           // this one
	Home string `json:"home,omitempty"` // another one, which the task id or the token names: ask there
	// Remembered is how many trips that are over this node can remember: admin.trips.
	Remembered int           `json:"remembered"`
	Trips      []TripReport  `json:"trips"`          // the newest first
	More       bool          `json:"more,omitempty"` // there are more than these
	Record     *RecordReport `json:"record,omitempty"`
}

// TripReport is where one trip is.
type TripReport struct {
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
	Forwarded      *time.Time   `json:"forwarded,omitempty"`
	EngineAnswered *time.Time   `json:"engine_answered,omitempty"`
	EngineStatus   int          `json:"engine_status,omitempty"`
	Callbacks      int          `json:"callbacks"` // that came in time
	FirstCallback  *time.Time   `json:"first_callback,omitempty"`
	LastCallback   *time.Time   `json:"last_callback,omitempty"`
	Replied        *time.Time   `json:"replied,omitempty"`
	KeptUntil      *time.Time   `json:"kept_until,omitempty"` // unless limits.results needs the room
	Ops            []OpReport   `json:"ops"`                  // the first eight
	OpCount        int          `json:"op_count"`
	Late           []LateReport `json:"late_callbacks,omitempty"`
}

// OpReport is where one op is.
type OpReport struct {
	Op         int    `json:"op"`
	Process    string `json:"process,omitempty"`
	Ref        string `json:"ref,omitempty"`
	EngineTask string `json:"engine_task,omitempty"`
	State      string `json:"state"` // "open", "final" or "not_allowed"
}

// LateReport is a callback that came when its trip was over.
type LateReport struct {
	Op   int       `json:"op"`
	At   time.Time `json:"at"`
	Kept bool      `json:"kept"`
}

// RecordReport is what is kept of a trip, on this node or in the store that all share, where a task id or a token was asked for.
type RecordReport struct {
	Ops   int `json:"ops"`
	Final int `json:"final"`
}

// question is what an operator asks for.
type question struct {
	text []byte
	hash uint64
	id   correlator.ID // of a task id or a token; else zero
}

// whereIs answers where the request is that has the name text: a request id, a ref, the engine's task id, the first eight characters of a
// token, a whole token, or a task id. It reads all trips that there are.
func (g *Gateway) whereIs(text []byte) Whereabouts {
	q := question{text: text}
	seed := g.seed()
	q.hash = maphash.Bytes(seed, text)
	if id, err := g.keys.ParseTaskID(text); err == nil {
		q.id = id
	} else if token, err := g.keys.ParseToken(text); err == nil {
		q.id = token.Trip
	}
	answer := Whereabouts{Node: g.nodeName(), Trips: []TripReport{}, Remembered: g.cfg.Admin.Trips}
	if q.id != (correlator.ID{}) {
		if !g.isHome(q.id) {
			answer.Home = q.id.Home().String()
		}
		answer.Record = g.recordReport(q.id)
	}
	hits := g.hits(&q, seed)
	answer.More = len(hits) > mostHits
	for _, h := range hits[:min(len(hits), mostHits)] {
		answer.Trips = append(answer.Trips, g.report(h))
	}
	return answer
}

// nodeName names this node, empty where there can be no other.
func (g *Gateway) nodeName() string {
	if node, ok := g.correlator.(interface{ Node() correlator.NodeID }); ok {
		return node.Node().String()
	}
	return ""
}

// seed is that of the list of trips that are over.
func (g *Gateway) seed() maphash.Seed {
	if g.recent != nil {
		return g.recent.seed
	}
	return maphash.MakeSeed()
}

// hits gives the trips that a question names, the newest first, each with the ops that are remembered.
func (g *Gateway) hits(q *question, seed maphash.Seed) (all [][]traceOp) {
	if table, ok := g.correlator.(interface {
		Each(f func(correlator.Receiver))
	}); ok {
		table.Each(func(r correlator.Receiver) {
			if t, ok := r.(*trip); ok && len(all) < 2*mostHits {
				if ops := t.trace(q, seed); ops != nil {
					all = append(all, ops)
				}
			}
		})
	}
	all = append(all, g.recent.hits(q)...)
	slices.SortFunc(all, func(a, b []traceOp) int { return cmp.Compare(b[0].accepted, a[0].accepted) })
	return all
}

// hits gives the trips of the list that a question names. They are found in two walks: an op may name a trip, and the others are wanted too.
func (r *recentTrips) hits(q *question) (all [][]traceOp) {
	type name struct {
		id       correlator.ID
		request  uint64
		accepted int64
	}
	of := func(e *traceOp) name { return name{e.id, e.request.hash, e.accepted} }
	found := make(map[name][]traceOp)
	r.each(func(e *traceOp) {
		if len(found) < 2*mostHits && q.namesOp(e) {
			found[of(e)] = nil
		}
	})
	r.each(func(e *traceOp) {
		if ops, wanted := found[of(e)]; wanted {
			found[of(e)] = append(ops, *e)
		}
	})
	for _, ops := range found {
		if len(ops) == 0 {
			continue // it was overwritten between the walks
		}
		slices.SortFunc(ops, func(a, b traceOp) int { return cmp.Compare(a.op, b.op) })
		all = append(all, ops)
	}
	return all
}

// trace gives what is known of a trip that is not over, if a question names it or one of its ops.
func (t *trip) trace(q *question, seed maphash.Seed) (ops []traceOp) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kind == fetches || t.phase == over {
		return nil
	}
	var e traceOp
	e.begin(t, seed)
	e.parked, e.queued = true, t.queued
	n := min(len(t.call.Ops), opsRemembered)
	named := q.namesOp(&e)
	for op := 1; op < n && !named; op++ {
		e.describe(t, op, seed)
		named = q.namesOp(&e)
	}
	if !named {
		return nil
	}
	for op := range n {
		e.describe(t, op, seed)
		ops = append(ops, e)
	}
	return ops
}

// namesOp reports whether a question names an op or its trip.
func (q *question) namesOp(e *traceOp) bool {
	if q.id != (correlator.ID{}) {
		return e.id == q.id
	}
	name := e.id.Name()
	task := e.task.bytes()
	return e.request.hash == q.hash ||
		e.ref.size > 0 && e.ref.hash == q.hash ||
		bytes.Equal(q.text, name[:]) && e.id != correlator.ID{} ||
		len(task) > 0 && bytes.Equal(q.text[:min(len(q.text), len(e.task.text))], task)
}

// report words a trip.
func (g *Gateway) report(ops []traceOp) TripReport {
	e := &ops[0]
	r := TripReport{
		RequestID: e.request.String(), Login: cut(e.login[:]), Outcome: cut(e.outcome[:]), Reason: cut(e.reason[:]), Status: int(e.status),
		Keyed: e.keyed, Joined: e.joined, HungUp: e.abandoned, Accepted: time.Unix(0, e.accepted).UTC(), State: "over",
		Callbacks: int(e.callbacks), EngineStatus: int(e.engineStatus), OpCount: int(e.ops),
		Deadline: e.at(e.deadline), Forwarded: e.at(e.forwarded), EngineAnswered: e.at(e.answered),
		FirstCallback: e.at(e.firstCallback), LastCallback: e.at(e.lastCallback), Replied: e.at(e.replied),
		Ops: make([]OpReport, 0, len(ops)),
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
		for _, late := range g.recent.lateOf(e.id) {
			r.Late = append(r.Late, LateReport{Op: int(late.op), At: time.Unix(0, late.at).UTC(), Kept: late.kept})
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

func (e *traceOp) report() OpReport {
	r := OpReport{Op: int(e.op), Process: cut(e.process[:]), Ref: e.ref.String(), EngineTask: string(e.task.bytes()), State: "open"}
	switch {
	case e.refused:
		r.State = "not_allowed"
	case e.final:
		r.State = "final"
	}
	return r
}

// at gives a time, nil for one that has not come.
func (e *traceOp) at(milliseconds int32) *time.Time {
	if milliseconds < 0 {
		return nil
	}
	at := time.Unix(0, e.accepted).Add(time.Duration(milliseconds) * time.Millisecond).UTC()
	return &at
}

// cut gives a text without the zeros behind it.
func cut(text []byte) string { return strings.TrimRight(string(text), "\x00") }

// recordReport asks what is kept of a trip; nil: nothing, or the store is away.
func (g *Gateway) recordReport(id correlator.ID) *RecordReport {
	if g.keeper == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	rec, err := g.keeper.Lookup(ctx, id)
	if err != nil {
		if !errors.Is(err, correlator.ErrGone) {
			g.log.Debug().Err(err).Msg("what is kept of a trip cannot be asked")
		}
		return nil
	}
	r := &RecordReport{Ops: len(rec.Finals)}
	for i := range rec.Finals {
		if rec.Finals[i].Status.Final() {
			r.Final++
		}
	}
	return r
}
