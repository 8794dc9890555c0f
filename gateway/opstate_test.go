package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/httpengine"
	"syncgate/dialect/rest"
	"syncgate/gateway"
)

// recorded saves a record of a task of a route with open ops, whose time is over or will be; zero: it has none. It gives the token of its first op.
func recorded(t *testing.T, store correlator.Keeper, ops int, expires time.Duration, created, until time.Time) correlator.Token {
	t.Helper()
	meta := fmt.Sprintf(`{"login":"12345","handed_over":true,"created":%d,"ops":[{}%s]}`, created.UnixMilli(), strings.Repeat(",{}", ops-1))
	if !until.IsZero() {
		meta = strings.Replace(meta, `"ops"`, fmt.Sprintf(`"until":%d,"ops"`, until.UnixMilli()), 1)
	}
	id := correlator.NewID(correlator.NewNodeID(), time.Now().Add(expires))
	if err := store.Save(t.Context(), id, correlator.Record{Meta: []byte(meta), Finals: make([]correlator.Callback, ops)}); err != nil {
		t.Fatal(err)
	}
	return correlator.Token{Trip: id}
}

// stands wants the state of an op, or an error.
func (n *node) stands(t *testing.T, of correlator.Token, want correlator.Status, is error) {
	t.Helper()
	if s, err := n.State(t.Context(), of); !errors.Is(err, is) || s.Status != want {
		t.Errorf("op %d is %v, %v; want %v, %v", of.Op, s.Status, err, want, is)
	}
}

// What is known of an op, and of what nothing is known.
func TestStateOfAnOp(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	of := recorded(t, n.memo, 1, time.Hour, time.Now(), time.Time{})
	n.stands(t, of, correlator.Open, nil)
	of.Op = 1
	n.stands(t, of, correlator.Open, correlator.ErrGone)
	of.Op, of.Engine = 0, correlator.NewEngineID("gone")
	n.stands(t, of, correlator.Open, correlator.ErrGone)
	over := recorded(t, n.memo, 1, 100*time.Millisecond, time.Now(), time.Time{})
	if err := n.memo.Prolong(t.Context(), over.Trip, time.Hour); err != nil {
		t.Fatal(err)
	}
	<-time.After(150 * time.Millisecond)
	n.stands(t, over, correlator.Open, correlator.ErrGone) // its record is kept for others

	reply := n.createLater(oneOp(`{}`))
	a := e.next(t)
	a.accept()
	token, err := n.keys.ParseToken([]byte(a.tokens[0]))
	if err != nil {
		t.Fatal(err)
	}
	n.stands(t, token, correlator.Open, nil)
	n.callback(a.tokens[0], `1`)
	got(t, reply)
	n.stands(t, token, correlator.Open, correlator.ErrGone)
	for expires, is := range map[time.Duration]error{2 * time.Hour: nil, 5 * time.Minute: correlator.ErrGone} { // its client waits at another node, or cannot wait any more
		n.stands(t, correlator.Token{Trip: correlator.NewID(correlator.NewNodeID(), time.Now().Add(expires))}, correlator.Open, is)
	}
}

// Whoever waits for more of an op is not disturbed by another op.
func TestAwaitOfOneOpOfTwo(t *testing.T) {
	n := start(t, newEngine(t).URL)
	of := recorded(t, n.memo, 2, time.Hour, time.Now(), time.Time{})
	before, err := n.State(t.Context(), of)
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan dialect.OpState, 1)
	go func() {
		s, err := n.Await(context.Background(), of, before, time.Now().Add(10*time.Second))
		if err != nil {
			t.Error(err)
		}
		heard <- s
	}()
	other := of
	other.Op = 1
	waitFor(t, func() bool { return n.memo.Len() == 1 })
	for _, status := range []correlator.Status{correlator.Progress, correlator.Complete} {
		if err := n.Deliver(t.Context(), other, correlator.Callback{Status: status, Body: []byte(`{"other":1}`)}); err != nil {
			t.Error(err)
		}
	}
	select {
	case s := <-heard:
		t.Fatalf("it hears of another op: %+v", s)
	case <-time.After(50 * time.Millisecond):
	}
	if err := n.Deliver(t.Context(), of, correlator.Callback{Status: correlator.Complete, Body: []byte(`{"mine":1}`)}); err != nil {
		t.Error(err)
	}
	if s := <-heard; s.Status != correlator.Complete || string(s.Data) != `{"mine":1}` {
		t.Errorf("%v %s", s.Status, s.Data)
	}
}

// All ops whose time is over time out when one of them is asked for. A result that comes in the same moment stands.
func TestOverdueOps(t *testing.T) {
	store := new(failingStore)
	n := startOver(t, newEngine(t).URL, store.over)
	of := recorded(t, store, 2, time.Hour, time.Now().Add(-time.Hour), time.Now().Add(-time.Minute))
	for of.Op = range 2 {
		n.stands(t, of, correlator.TimedOut, nil)
	}
	of = recorded(t, store, 1, time.Hour, time.Now().Add(-time.Hour), time.Now().Add(-time.Minute))
	first := func() {
		if err := store.Memory.Deliver(t.Context(), of.Trip, correlator.Callback{Status: correlator.Complete, Body: []byte(`1`)}); err != nil {
			t.Error(err)
		}
	}
	store.before.Store(&first)
	n.stands(t, of, correlator.Complete, nil)

	of = recorded(t, store, 1, time.Hour, time.Now().Add(-time.Hour), time.Now().Add(-time.Minute))
	location := "/api/1/tasks/" + string(n.keys.AppendTaskID(nil, of.Trip))
	store.finals.Store(1)
	if a := n.do(http.MethodGet, location, ""); a.status != 503 {
		t.Errorf("what cannot be ended: %+v", a)
	}
	want(t, n.do(http.MethodGet, location, ""), 200, `{"request_proc":"ok","ops":[{"proc":"error","description":"Timeout for create task"}]}`)
}

// What a client has got counts, though the store has not taken it yet.
func TestStateOfWhatIsSavedLater(t *testing.T) {
	store := new(pausedStore)
	r := startRoutedOver(t, func(m *correlator.Memory) correlator.Correlator { store.Memory = m; return store },
		func(_ *rest.RouteConfig, e *httpengine.Config) { e.Final = []int{200} })
	reply := r.post(`{}`, "Idempotency-Key", "k", "X-Request-Id", "mine")
	h := r.next(t)
	of := correlator.Token{Trip: r.IDs("mine")[0], Engine: correlator.NewEngineID("flow")}
	r.stands(t, of, correlator.Open, nil)
	store.paused.Store(true)
	h.answer(200, "application/json", `{"done":1}`)
	wantReply(t, got(t, reply), 200, `{"done":1}`)
	store.paused.Store(false)
	if s, err := r.State(t.Context(), of); err != nil || !s.Status.Final() || string(s.Data) != `{"done":1}` {
		t.Errorf("%v %s, %v", s.Status, s.Data, err)
	}
}

// A wait that is shorter than the engine's time ends without it, and a result can still come. When both are over the op has timed out for everybody.
func TestWaitAndTheEnginesTime(t *testing.T) {
	names, store := newNamer(), new(failingStore)
	n := startParts(t, newEngine(t).URL, func(n *node, p *gateway.Parts) {
		p.Correlator = store.over(n.memo)
		names.serve(p)
	}, func(c *gateway.Config) { c.Timeouts.Default = 5 * time.Second })
	const timedOut = `{"request_proc":"ok","ops":[{"proc":"error","ref":"local","description":"Timeout for create task"}]}`
	names.terms.Store(&dialect.Terms{Lasts: 10 * time.Second, Ends: true})
	reply := n.createLater(namedOp("local", "0.1"), "Idempotency-Key", "short")
	b := names.next(t)
	a := got(t, reply)
	want(t, a, 200, timedOut)
	if err := n.complete(b, `1`); err != nil {
		t.Errorf("in the engine's time: %v", err)
	}
	want(t, n.do(http.MethodGet, a.header.Get("Location"), ""), 200, `{"request_proc":"ok","ops":[{"proc":"ok","ref":"local","data":1}]}`)

	names.terms.Store(&dialect.Terms{Lasts: 100 * time.Millisecond, Ends: true})
	reply = n.createLater(namedOp("local", "5"), "Idempotency-Key", "long")
	b = names.next(t)
	want(t, got(t, reply), 200, timedOut)
	wantTimedOut(t, n.complete(b, `1`))

	store.finals.Store(1) // that it has timed out cannot be kept: its client hears so all the same
	reply = n.createLater(namedOp("local", "5"), "Idempotency-Key", "away")
	names.next(t)
	want(t, got(t, reply), 200, timedOut)

	reply = n.createLater(strings.Replace(namedOp("local", "5"), `"timeout":5,`, "", 1)) // of which there is no record
	names.next(t)
	a = got(t, reply)
	want(t, a, 504, timedOut)
	if a.header.Get("Location") == "" {
		t.Errorf("%v", a.header)
	}
}

func wantTimedOut(t *testing.T, err error) {
	t.Helper()
	if s, ok := errors.AsType[*correlator.Superseded](err); !ok || s.Status != correlator.TimedOut {
		t.Errorf("%v, want that it has timed out", err)
	}
}

// A task that runs is looked at again: late where it is old, but in time for its end.
func TestWhenATaskIsLookedAtAgain(t *testing.T) {
	n := startPushing(t)
	now := time.Now()
	for _, f := range []struct {
		name         string
		expires, age time.Duration
		until        time.Time
		least, most  time.Duration
	}{
		{"new", 10 * time.Hour, 0, time.Time{}, 15 * time.Second, 15 * time.Second},
		{"a minute old", 10 * time.Hour, time.Minute, time.Time{}, 30 * time.Second, 31 * time.Second},
		{"a day old", 10 * time.Hour, 24 * time.Hour, time.Time{}, 5 * time.Minute, 5 * time.Minute},
		{"a day old, near its end", 3 * time.Minute, 24 * time.Hour, time.Time{}, 118 * time.Second, 2 * time.Minute},
		{"a day old, near the end of its time", 10 * time.Hour, 24 * time.Hour, now.Add(time.Minute), 55 * time.Second, time.Minute},
	} {
		of := recorded(t, n.store, 1, f.expires, now.Add(-f.age), f.until)
		again, sent, err := n.Gateway.Push(t.Context(), of.Trip, false)
		if err != nil || sent || again < f.least || again > f.most {
			t.Errorf("%s: again after %v, sent: %v, %v", f.name, again, sent, err)
		}
	}
	of := recorded(t, n.store, 1, time.Hour, now.Add(-time.Hour), now.Add(-time.Minute))
	if again, _, err := n.Gateway.Push(t.Context(), of.Trip, false); err != nil || again > time.Second {
		t.Errorf("again after %v, %v", again, err)
	}
	if rec, err := n.store.Lookup(t.Context(), of.Trip); err != nil || rec.Finals[0].Status != correlator.TimedOut {
		t.Errorf("%+v, %v", rec.Finals, err)
	}
	none := correlator.NewID(correlator.NewNodeID(), now.Add(time.Hour)).Mark()
	if again, _, err := n.Gateway.Push(t.Context(), none, false); err != nil || again != 0 { // it made no task
		t.Errorf("again after %v, %v", again, err)
	}
}
