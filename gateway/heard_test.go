package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"syncgate/dialect/httpengine"
	"syncgate/dialect/rest"
	"syncgate/internal/whereabouts"
)

// manyOps is a create of so many ops.
func manyOps(n int) string {
	ops := make([]string, n)
	for i := range ops {
		ops[i] = fmt.Sprintf(`{"type":"create","obj":"task","conv_id":%d,"ref":"ref-%d","data":{}}`, i+1, i)
	}
	return `{"timeout":20,"ops":[` + strings.Join(ops, ",") + `]}`
}

// span is when something was done: between two times, to the millisecond.
type span struct{ from, to time.Time }

// during gives when f was done. At least two milliseconds pass before, so that what was done before has another time.
func during(t *testing.T, f func()) (s span) {
	t.Helper()
	begin := time.Now()
	waitFor(t, func() bool { return time.Since(begin) > 2*time.Millisecond })
	s.from = time.Now().Add(-time.Millisecond) // acceptance and offset lose their fractions
	f()
	s.to = time.Now()
	return s
}

// has wants that a time is in a span.
func (s span) has(t *testing.T, what string, at *time.Time) {
	t.Helper()
	if at == nil || at.Before(s.from.Add(-time.Millisecond)) || at.After(s.to) {
		t.Errorf("%s: %v, want a time from %v to %v", what, at, s.from, s.to)
	}
}

// wantCallbacks wants the callbacks of a trip: how many, and of each op when.
func wantCallbacks(t *testing.T, trip *whereabouts.Trip, callbacks int, came map[int]span) {
	t.Helper()
	if trip.Callbacks != callbacks {
		t.Errorf("%s: %d callbacks, want %d", trip.State, trip.Callbacks, callbacks)
	}
	for i := range trip.Ops {
		if s, heard := came[i]; heard {
			s.has(t, fmt.Sprintf("%s: op %d", trip.State, i), trip.Ops[i].Callback)
		} else if at := trip.Ops[i].Callback; at != nil {
			t.Errorf("%s: op %d has a callback, at %v", trip.State, i, at)
		}
	}
}

// A trip says of each op when its callback came, while it waits and when it is over. An op that an operator has cancelled has none.
func TestTimesOfCallbacks(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, withActions)
	reply := n.createLater(manyOps(3), "X-Request-Id", "mine")
	a := e.next(t)
	a.accept()
	n.answeredByEngine(t, "mine")
	came := make(map[int]span)
	trip := n.findOne(t, "mine")
	wantCallbacks(t, &trip, 0, came)
	for i, op := range []int{2, 0} {
		came[op] = during(t, func() { want(t, n.callback(a.tokens[op], `{}`), 200, `{}`) })
		n.callback(a.tokens[op], `{"again":1}`) // which is no callback of its own
		trip = n.findOne(t, "mine")
		wantCallbacks(t, &trip, i+1, came)
	}
	n.cancels(t, "mine")
	got(t, reply)
	trip = n.findOne(t, "mine")
	wantCallbacks(t, &trip, 2, came)
	came[2].has(t, "the first", trip.FirstCallback)
	came[0].has(t, "the last", trip.LastCallback)
	if !trip.Ops[2].Callback.Before(*trip.Ops[0].Callback) || trip.Ops[1].State != "final" || trip.Outcome != "cancelled" || len(trip.Late) != 0 {
		t.Errorf("%+v", trip)
	}
}

// Of one op the callback is the first and the last, and of more ops than are remembered these two are known.
func TestTimesOfOneAndOfManyCallbacks(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	for _, ops := range []int{1, whereabouts.MostOps + 3} {
		name := fmt.Sprintf("of-%d", ops)
		reply := n.createLater(manyOps(ops), "X-Request-Id", name)
		a := e.next(t)
		a.accept()
		n.answeredByEngine(t, name)
		came := make(map[int]span)
		for op := ops - 1; op >= 0; op-- {
			came[op] = during(t, func() { n.callback(a.tokens[op], `{}`) })
		}
		got(t, reply)
		waitFor(t, func() bool { return n.findOne(t, name).State == "over" })
		trip := n.findOne(t, name)
		wantCallbacks(t, &trip, ops, came)
		came[ops-1].has(t, "the first", trip.FirstCallback)
		came[0].has(t, "the last", trip.LastCallback)
	}
}

// What comes for an op after the reply is late, with its op and its time.
func TestTimesOfLateCallbacks(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	reply := n.createLater(strings.Replace(manyOps(3), `"timeout":20`, `"timeout":0.3`, 1), "X-Request-Id", "mine")
	a := e.next(t)
	a.accept()
	n.answeredByEngine(t, "mine")
	came := map[int]span{1: during(t, func() { n.callback(a.tokens[1], `{}`) })}
	got(t, reply)
	waitLog(t, n, `"outcome":"timeout"`)
	late := []span{during(t, func() { n.callback(a.tokens[2], `{}`) }), during(t, func() { n.callback(a.tokens[0], `{}`) })}
	trip := n.findOne(t, "mine")
	wantCallbacks(t, &trip, 1, came)
	if len(trip.Late) != 2 || trip.Late[0].Op != 2 || trip.Late[1].Op != 0 {
		t.Fatalf("%+v", trip.Late)
	}
	for i := range late {
		late[i].has(t, "late", &trip.Late[i].At)
	}
}

// A request that begins again, as the one whose key it shares made no task, has heard nothing yet.
func TestTimesOfCallbacksBeginAgain(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	first := n.createLater(manyOps(2), "Idempotency-Key", "k", "X-Request-Id", "first")
	a := e.next(t)
	second := n.createLater(manyOps(2), "Idempotency-Key", "k", "X-Request-Id", "second")
	waitFor(t, func() bool { return n.memo.Len() == 2 })
	n.callback(a.tokens[0], `{}`)
	waitFor(t, func() bool { return n.findOne(t, "second").Callbacks == 1 })
	a.answer(400, `{"request_proc":"error","ops":[]}`)
	got(t, first)
	b := e.next(t)
	b.accept()
	n.answeredByEngine(t, "second")
	trip := n.findOne(t, "second")
	wantCallbacks(t, &trip, 0, nil)
	came := map[int]span{1: during(t, func() { n.callback(b.tokens[1], `{}`) })}
	trip = n.findOne(t, "second")
	wantCallbacks(t, &trip, 1, came)
	came[1].has(t, "the first", trip.FirstCallback)
	n.callback(b.tokens[0], `{}`)
	got(t, second)
}

// A trip says how much progress reached it, and when, also with what was reported first. What comes after the hand-over is not counted.
func TestTimesOfReports(t *testing.T) {
	r := startRouted(t)
	reply := r.post(`{}`, "X-Request-Id", "held")
	h := r.next(t)
	h.answer(202, "", "")
	r.answeredByEngine(t, "held")
	reports := func() (s [3]span) {
		for i := range s {
			s[i] = during(t, func() { want(t, r.report(h, `1`, "X-Callback-Status", "progress"), 200, `{}`) })
		}
		return s
	}
	came := reports()
	check := func(state string, count int) {
		t.Helper()
		trip := r.findOne(t, "held")
		if trip.State != state || trip.Reports != 3 || trip.Callbacks != count {
			t.Errorf("%+v", trip)
		}
		came[0].has(t, "the first report", trip.FirstReport)
		came[2].has(t, "the last report", trip.LastReport)
	}
	check("waiting", 0)
	done := map[int]span{0: during(t, func() { r.report(h, `{"done":1}`) })}
	wantReply(t, got(t, reply), 200, `{"done":1}`)
	waitFor(t, func() bool { return r.findOne(t, "held").State == "over" })
	check("over", 1)
	trip := r.findOne(t, "held")
	wantCallbacks(t, &trip, 1, done)
	done[0].has(t, "the first callback", trip.FirstCallback)

	reply = r.post(`{}`, "Prefer", "respond-async", "X-Request-Id", "left")
	h = r.next(t)
	h.answer(202, "", "")
	got(t, reply)
	waitLog(t, r.node, `"outcome":"handed_over"`)
	reports()
	if trip := r.findOne(t, "left"); trip.Reports != 0 || trip.FirstReport != nil || trip.LastReport != nil {
		t.Errorf("%+v", trip)
	}
}

// The engine's own answer is no callback, also where it is the result.
func TestAnAnswerIsNoCallback(t *testing.T) {
	r := startRouted(t, func(_ *rest.RouteConfig, e *httpengine.Config) { e.Final = []int{http.StatusOK} })
	reply := r.post(`{}`, "X-Request-Id", "mine")
	r.next(t).answer(200, "application/json", `{"done":1}`)
	wantReply(t, got(t, reply), 200, `{"done":1}`)
	waitFor(t, func() bool { return len(r.find(t, "mine").Trips) == 1 && r.findOne(t, "mine").State == "over" })
	trip := r.findOne(t, "mine")
	wantCallbacks(t, &trip, 0, nil)
	if trip.Ops[0].State != "final" || trip.FirstCallback != nil || trip.LastCallback != nil {
		t.Errorf("%+v", trip)
	}
}

// What comes to another node is noted where the client waits, when it is heard there.
func TestTimesAtAnotherNode(t *testing.T) {
	n := startTwoNodes(t)
	reply := n.home.post(`{}`, "X-Request-Id", "mine")
	h := n.engine.next(t)
	h.answer(202, "", "")
	n.home.answeredByEngine(t, "mine")
	report := during(t, func() {
		want(t, n.other.report(h, `1`, "X-Callback-Status", "progress"), 200, `{}`)
		waitFor(t, func() bool { return n.home.findOne(t, "mine").Reports == 1 })
	})
	done := during(t, func() {
		want(t, n.other.report(h, `{"done":1}`), 200, `{}`)
		wantReply(t, got(t, reply), 200, `{"done":1}`)
	})
	waitFor(t, func() bool { return n.home.findOne(t, "mine").State == "over" })
	trip := n.home.findOne(t, "mine")
	report.has(t, "the report", trip.FirstReport)
	wantCallbacks(t, &trip, 1, map[int]span{0: done})
	if found := n.other.find(t, "mine").Trips; len(found) != 0 || trip.Reports != 1 {
		t.Errorf("%+v, at the other node %+v", trip, found)
	}
}
