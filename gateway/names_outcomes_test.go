package gateway_test

import (
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

// A wait that ends while Bind runs: Ended comes when Bind has returned, and says then whether a final can still come.
func TestDeadlineWhileBindRuns(t *testing.T) {
	for retention, kept := range map[time.Duration]bool{time.Hour: true, 0: false} {
		n, names := startNaming(t, newEngine(t).URL, func(c *gateway.Config) { c.Results.Retention = retention })
		answered := make(chan struct{})
		names.binds(func(*boundCall) ([]correlator.Callback, error) { <-answered; return nil, nil })
		reply := n.createLater(namedOp("local", "0.2"))
		b := names.next(t)
		a := got(t, reply)
		if has := a.header.Get("Location") != ""; has != kept || len(b.ended) != 0 {
			t.Errorf("%+v, %d calls of Ended while Bind runs", a, len(b.ended))
		}
		close(answered)
		b.wantEnded(t, correlator.Open, kept)
	}
}

// The record of a call with a key is there from its beginning: its result can come though the store is away when the wait ends.
func TestEndedOfACallWithAKeyWhileTheStoreIsAway(t *testing.T) {
	store, names := new(pausedStore), newNamer()
	n := startParts(t, newEngine(t).URL, func(n *node, p *gateway.Parts) {
		store.Memory = n.memo
		p.Correlator = store
		names.serve(p)
	})
	reply := n.createLater(namedOp("local", "0.2"), "Idempotency-Key", "k")
	b := names.next(t)
	store.paused.Store(true)
	location := got(t, reply).header.Get("Location")
	b.wantEnded(t, correlator.Open, true)
	if err := n.complete(b, `1`); !errors.Is(err, correlator.ErrUnavailable) {
		t.Errorf("while the store is away: %v", err)
	}
	store.paused.Store(false)
	if err := n.complete(b, `2`); err != nil {
		t.Errorf("when it is back: %v", err)
	}
	want(t, n.do(http.MethodGet, location, ""), 200, `{"request_proc":"ok","ops":[{"proc":"ok","ref":"local","data":2}]}`)
}

// A task that was ended before its reply goes out has its name free when its client has the reply.
func TestNamesAreFreeBeforeTheReply(t *testing.T) {
	names, replied := newNamer(), make(chan int, 10)
	var last *boundCall
	n := startParts(t, newEngine(t).URL, func(_ *node, p *gateway.Parts) {
		names.serve(p)
		p.SetHook(func(point string) {
			if point == "reply" && last != nil {
				replied <- len(last.ended)
			}
		})
	})
	names.binds(func(b *boundCall) ([]correlator.Callback, error) { last = b; return nil, nil })
	reply := n.createLater(namedOp("local", "5"))
	b := names.next(t)
	if err := n.complete(b, `1`); err != nil {
		t.Error(err)
	}
	got(t, reply)
	if ended := <-replied; ended != 1 {
		t.Errorf("Ended was called %d times before the reply", ended)
	}
	b.wantEnded(t, correlator.Complete, false)
}

// An op that is refused is no reason to ask the engine, beside ops that the engine does not get.
func TestRefusedOpBesideLocalOnes(t *testing.T) {
	e := newEngine(t)
	n, names := startNaming(t, e.URL)
	const refused = `{"type":"delete","obj":"task","conv_id":1,"ref":"x"}`
	reply := n.createLater(strings.Replace(namedOp("local", "5"), `"ops":[`, `"ops":[`+refused+`,`, 1))
	b := names.next(t)
	if err := n.Deliver(t.Context(), b.token(1), correlator.Callback{Status: correlator.Complete, Body: []byte(`1`)}); err != nil {
		t.Error(err)
	}
	want(t, got(t, reply), 200, `{"request_proc":"ok","ops":[{"proc":"error","ref":"x","description":"Operation is not allowed: delete task"},{"proc":"ok","ref":"local","data":1}]}`)
	e.wantUnasked(t)
}

// Of a task whose results are kept for longer than others its id says so: each node that stores one reads it there.
func TestIDOfATaskThatIsKeptForLonger(t *testing.T) {
	n, names := startNaming(t, newEngine(t).URL, func(c *gateway.Config) { c.Results.Retention = time.Hour })
	for retention, longer := range map[time.Duration]bool{0: false, time.Minute: false, time.Hour: false, 2 * time.Hour: true} {
		names.terms.Store(&dialect.Terms{Lasts: time.Minute, Retention: retention})
		reply := n.createLater(namedOp("local", "5"))
		b := names.next(t)
		if b.id.Outlasts() != longer {
			t.Errorf("kept for %v: the id outlasts: %v", retention, b.id.Outlasts())
		}
		if err := n.complete(b, `1`); err != nil || got(t, reply).status != 200 {
			t.Error(err)
		}
	}
}

// outcomes counts what became of callbacks.
type outcomes map[string]float64

func (n *node) outcomes() outcomes {
	all := make(outcomes)
	for line := range strings.Lines(n.metrics()) {
		var outcome string
		var times float64
		line = strings.Replace(line, `"}`, `" `, 1)
		if k, err := fmt.Sscanf(line, "syncgate_callbacks_total{outcome=%q %g", &outcome, &times); err == nil && k == 2 && times > 0 {
			all[outcome] = times
		}
	}
	return all
}

// becomes wants that a call of Deliver fails so, and that what became of the callback is counted as that; empty: it is not counted.
func (n *node) becomes(t *testing.T, outcome string, is error, to correlator.Token, cb correlator.Callback) {
	t.Helper()
	before := n.outcomes()
	err := n.Deliver(t.Context(), to, cb)
	after := n.outcomes()
	if superseded := errors.As(err, new(*correlator.Superseded)); !errors.Is(err, is) && !superseded || superseded != (outcome == "repeated") {
		t.Errorf("%v: %v, want %v", outcome, err, is)
	}
	for name := range after {
		counts := 0.
		if name == outcome {
			counts = 1
		}
		if after[name] != before[name]+counts {
			t.Errorf("want %q: %q was %v, and is %v", outcome, name, before[name], after[name])
		}
	}
	if outcome != "" && after[outcome] == 0 {
		t.Errorf("%q is not counted: %v", outcome, after)
	}
}

// Whoever delivers by name hears what became of it, and so do the metrics and the log.
func TestWhatBecomesOfADelivery(t *testing.T) {
	n, names := startNaming(t, newEngine(t).URL)
	result := correlator.Callback{Status: correlator.Complete, Body: []byte(`1`)}
	const two = `{"timeout":TIME,"ops":[{"type":"create","obj":"task","conv_id":1,"ref":"local","data":{}},{"type":"create","obj":"task","conv_id":1,"ref":"local2","data":{}}]}`
	reply := n.createLater(strings.Replace(two, "TIME", "5", 1), "Idempotency-Key", "k")
	b := names.next(t)
	n.becomes(t, "reported", nil, b.token(1), correlator.Callback{Status: correlator.Progress, Body: []byte(`{"step":1}`)})
	n.becomes(t, "delivered", nil, b.token(1), result)
	n.becomes(t, "repeated", nil, b.token(1), result)
	n.becomes(t, "", nil, b.token(0), correlator.Callback{Status: correlator.Answered, Body: []byte(`{"proc":"error"}`)}) // which is no callback
	want(t, got(t, reply), 200, `{"request_proc":"ok","ops":[{"proc":"error"},{"proc":"ok","ref":"local2","data":1}]}`)
	n.becomes(t, "repeated", nil, b.token(0), result)

	n.log.reset()
	unknown := b.token(0)
	unknown.Engine = correlator.NewEngineID("gone")
	n.becomes(t, "gone", correlator.ErrGone, unknown, result)
	if strings.Contains(n.log.String(), "late callback") {
		t.Errorf("of an engine that is not there: %s", n.log)
	}
	n.becomes(t, "gone", correlator.ErrGone, correlator.Token{Trip: correlator.NewID(b.id.Home(), time.Now().Add(-time.Second))}, result)
	waitLog(t, n, `"kept":false`)
	ends := n.memo.NewID(time.Now().Add(100 * time.Millisecond)) // whose record is kept for longer
	rec := correlator.Record{Meta: []byte(`{"login":"12345","created":1,"ops":[{}]}`), Finals: make([]correlator.Callback, 1)}
	if err := errors.Join(n.memo.Save(t.Context(), ends, rec), n.memo.Prolong(t.Context(), ends, time.Hour)); err != nil {
		t.Fatal(err)
	}
	<-time.After(150 * time.Millisecond)
	n.becomes(t, "gone", correlator.ErrGone, correlator.Token{Trip: ends}, result)

	reply = n.createLater(strings.Replace(two, "TIME", "0.1", 1))
	b = names.next(t)
	got(t, reply)
	b.wantEnded(t, correlator.Open, true)
	n.log.reset()
	n.becomes(t, "reported", nil, b.token(0), correlator.Callback{Status: correlator.Progress, Body: []byte(`{"step":1}`)})
	n.becomes(t, "kept", nil, b.token(0), result)
	waitLog(t, n, `"kept":true`)
	n.becomes(t, "repeated", nil, b.token(0), result)

	reply = n.createLater(namedOp("local", "5")) // of which nothing is kept
	b = names.next(t)
	n.becomes(t, "delivered", nil, b.token(0), result)
	got(t, reply)
	b.wantEnded(t, correlator.Complete, false)
	before := n.outcomes()["repeated"]
	if err := n.Deliver(t.Context(), b.token(0), result); err != nil || n.outcomes()["repeated"] != before+1 {
		t.Errorf("%v, %v", err, n.outcomes())
	}
}

// A result by name is laid over the request where merge is on, and a failure is not. While the store is away neither is lost.
func TestMergeOfADelivery(t *testing.T) {
	names, store := newNamer(), new(slowStore)
	engine := newHooks(t)
	route, config := hookRoute(engine, func(_ *rest.RouteConfig, c *httpengine.Config) { c.Merge = true })
	made := startParts(t, "http://127.0.0.1:1", func(n *node, p *gateway.Parts) {
		store.Memory = n.memo
		p.Correlator = store
		addRoutes(t, n.keys, p, []rest.RouteConfig{route}, config)
		names.serve(p)
	})
	r := &routed{made, engine, t}
	for _, f := range []struct {
		status correlator.Status
		says   string
		code   int
		gets   string
	}{
		{correlator.Complete, `{"done":1}`, 200, `{"done":1,"local":1}`},
		{correlator.Complete, `[1]`, 200, `[1]`},
		{correlator.Errored, `{"message":"no funds"}`, 502, `{"message":"no funds"}`},
	} {
		reply := r.post(`{"local":1}`, "Prefer", "wait=20")
		b := names.next(t)
		to := correlator.Token{Trip: b.id, Engine: correlator.NewEngineID("flow")}
		cb := correlator.Callback{Status: f.status, Body: []byte(f.says)}
		if f.status == correlator.Complete {
			store.late.Store(1)
			r.becomes(t, "unavailable", correlator.ErrUnavailable, to, cb)
		}
		r.becomes(t, "delivered", nil, to, cb)
		wantReply(t, got(t, reply), f.code, f.gets)
	}
}

// What comes second at another node is counted as repeated there, and not as handed on.
func TestWhatBecomesOfADeliveryAtAnotherNode(t *testing.T) {
	n := startTwoNodes(t)
	reply := n.home.post(`{}`, "Prefer", "respond-async", "X-Request-Id", "mine")
	n.engine.next(t).answer(202, "", "")
	wantReply(t, got(t, reply), 202, "")
	waitFor(t, func() bool { return len(n.home.IDs("mine")) == 1 })
	to := correlator.Token{Trip: n.home.IDs("mine")[0], Engine: correlator.NewEngineID("flow")}
	result := correlator.Callback{Status: correlator.Complete, Body: []byte(`{"done":1}`)}
	n.other.becomes(t, "relayed", nil, to, result)
	n.other.becomes(t, "repeated", nil, to, result)
}
