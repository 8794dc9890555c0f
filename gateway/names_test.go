package gateway_test

import (
	"errors"
	"fmt"
	"io"
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

const named42 = `{"request_proc":"ok","ops":[{"proc":"ok","ref":"r","data":{"answer":42}}]}`

// I1: names are bound when the trip is in the table, and before the engine can know it.
func TestI1NamesAreBoundBeforeTheEngineKnows(t *testing.T) {
	e := newEngine(t)
	n, names := startNaming(t, e.URL)
	names.binds(func(b *boundCall) ([]correlator.Callback, error) {
		if n.memo.Waiter(b.id) == nil {
			t.Error("the trip is not in the table")
		}
		e.wantUnasked(t)
		return nil, nil
	})
	reply := n.createLater(namedOp("r", "5"))
	b := names.next(t)
	a := e.next(t)
	a.accept()
	if ack := b.wantAck(t, true); ack.Task.Whole() != "5cf67011094bab1b9a00a300" || (dialect.EngineTask{}).Whole() != "" {
		t.Errorf("Acked has the task %q", ack.Task.Whole())
	}
	if err := n.complete(b, `{"answer":42}`); err != nil {
		t.Errorf("by name: %v", err)
	}
	want(t, got(t, reply), 200, named42)
	b.wantEnded(t, correlator.Complete, false)
	b.wantAck(t, false)
	wantSuperseded(t, n.complete(b, `{"answer":43}`), false)
	want(t, n.callback(a.tokens[0], `{"answer":43}`), 200, `{}`)
}

// wantSuperseded wants the error of a final that came second. Where nothing is kept nobody knows that.
func wantSuperseded(t *testing.T, err error, kept bool) {
	t.Helper()
	s, ok := errors.AsType[*correlator.Superseded](err)
	if kept && (!ok || s.Status != correlator.Complete) || !kept && err != nil && !ok {
		t.Errorf("%v; want that another result stands", err)
	}
}

// What completes a call before Bind returns is its result, and Ended waits for Bind.
func TestCompletedWhileBindRuns(t *testing.T) {
	e := newEngine(t)
	n, names := startNaming(t, e.URL)
	names.binds(func(b *boundCall) ([]correlator.Callback, error) {
		err := make(chan error, 1)
		go func() { err <- n.complete(b, `{"answer":42}`) }()
		select {
		case err := <-err:
			return nil, err
		case <-time.After(5 * time.Second):
			return nil, correlator.ErrUnavailable
		}
	})
	for _, ref := range []string{"r", "local"} {
		reply := n.createLater(namedOp(ref, "5"))
		b := names.next(t)
		want(t, got(t, reply), 200, strings.Replace(named42, `"r"`, `"`+ref+`"`, 1))
		b.wantEnded(t, correlator.Complete, false)
		if ref == "r" { // what is asked for is asked for
			e.next(t).accept()
			b.wantAck(t, true)
			b.wantEndedOnce(t)
		}
	}
	e.wantUnasked(t)
}

// Ops that end in Bind have their finals, and their call goes on.
func TestFinalsOfBind(t *testing.T) {
	e := newEngine(t)
	n, names := startNaming(t, e.URL)
	const taken = `{"proc":"error","description":"taken"}`
	names.binds(func(*boundCall) ([]correlator.Callback, error) {
		return []correlator.Callback{{Op: 0, Status: correlator.Answered, Body: []byte(taken)}}, nil
	})
	reply := n.createLater(namedOp("local", "5"))
	want(t, got(t, reply), 200, `{"request_proc":"ok","ops":[`+taken+`]}`)
	names.next(t).wantEnded(t, correlator.Answered, false)
	waitLog(t, n, `"outcome":"failed"`)
	e.wantUnasked(t)

	reply = n.createLater(`{"timeout":5,"ops":[{"type":"create","obj":"task","ref":"a","data":{}},{"type":"create","obj":"task","ref":"b","data":{}}]}`)
	b := names.next(t)
	e.next(t).accept()
	if err := n.Deliver(t.Context(), b.token(1), correlator.Callback{Status: correlator.Complete, Body: []byte(`2`)}); err != nil {
		t.Error(err)
	}
	want(t, got(t, reply), 200, `{"request_proc":"ok","ops":[`+taken+`,{"proc":"ok","ref":"b","data":2}]}`)
	b.wantEnded(t, correlator.Answered, false)
}

// A call whose names cannot be bound is refused, nothing is forwarded, and its names hear of the end.
func TestNamesThatCannotBeBound(t *testing.T) {
	e := newEngine(t)
	n, names := startNaming(t, e.URL)
	for _, ref := range []string{"r", "local"} {
		for name, f := range map[string]func(*boundCall) ([]correlator.Callback, error){
			"503 Overloaded: the correlator (Redis) cannot be reached, try again later": func(*boundCall) ([]correlator.Callback, error) {
				return nil, fmt.Errorf("bind: %w", correlator.ErrTooManyNames)
			},
			"500 Internal error: see the gateway's log by the request id": func(*boundCall) ([]correlator.Callback, error) { panic("Bind") },
		} {
			names.binds(f)
			a := n.create(namedOp(ref, "5"), "Idempotency-Key", name[:3]+ref)
			names.bind.Store(nil)
			if got := fmt.Sprint(a.status, " ", a.body); !strings.HasPrefix(got, name[:4]) || !strings.Contains(got, name[4:]) || a.header.Get("X-Syncgate-Forwarded") != "no" {
				t.Errorf("%s: %s %v", name, got, a.header)
			}
			names.next(t).wantEnded(t, correlator.Open, false)
			reply := n.createLater(namedOp(ref, "5"), "Idempotency-Key", name[:3]+ref) // the key is free
			b := names.next(t)
			if ref == "r" {
				e.next(t).accept()
			}
			if err := n.complete(b, `1`); err != nil || got(t, reply).status != 200 {
				t.Errorf("the key is not free: %v", err)
			}
		}
	}
	e.wantUnasked(t)
}

// What panics in Acked or Ended changes nothing for the client.
func TestNamesThatPanic(t *testing.T) {
	e := newEngine(t)
	n, names := startNaming(t, e.URL)
	names.acks(func() { panic("Acked") })
	for range 2 {
		reply := n.createLater(namedOp("r", "5"))
		b := names.next(t)
		a := e.next(t)
		a.accept()
		b.wantAck(t, true)
		want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
		want(t, got(t, reply), 200, named42)
		b.wantEnded(t, correlator.Complete, false)
	}
	reply := n.createLater(namedOp("panics", "0.2"))
	b := names.next(t)
	e.next(t).accept()
	if a := got(t, reply); a.status != 200 || a.header.Get("Location") == "" {
		t.Errorf("%+v", a)
	}
	b.wantEnded(t, correlator.Open, true)
	waitLog(t, n, `"method":"Ended"`)
	if !strings.Contains(n.log.String(), `"method":"Acked"`) {
		t.Errorf("the log does not say that Acked panicked:\n%s", n.log.String())
	}
}

// Names hear of answers alone: of none where the connection breaks, of a zero one where it says nothing.
func TestAckedOnlyWithAnAnswer(t *testing.T) {
	e := newEngine(t)
	n, names := startNaming(t, e.URL, func(c *gateway.Config) { c.Engine.Timeout = 300 * time.Millisecond })
	f := func(says func(*asked), status int, any bool) dialect.Ack {
		t.Helper()
		reply := n.createLater(namedOp("r", "1"))
		b := names.next(t)
		says(e.next(t))
		ack := b.wantAck(t, any)
		if a := got(t, reply); a.status != status {
			t.Errorf("%+v", a)
		}
		return ack
	}
	f((*asked).reset, 200, false)
	f(func(*asked) {}, 200, false)
	f(func(a *asked) { a.answer(200, `{"request_proc":"ok","ops":[{"id":"other","proc":"ok"}]}`) }, 200, false)
	if ack := f(func(a *asked) { a.answer(500, `no`) }, 502, true); ack.Refused || ack.Task.Whole() != "" {
		t.Errorf("%+v", ack)
	}
	if ack := f(func(a *asked) { a.answer(401, `{"request_proc":"error","ops":[]}`) }, 401, true); ack.Package == nil {
		t.Errorf("%+v", ack)
	}
	if ack := f(func(a *asked) { a.answer(200, `{"request_proc":"ok","ops":[{"proc":"error"}]}`) }, 200, true); len(ack.Finals) != 1 {
		t.Errorf("%+v", ack)
	}
}

// An answer that ends the wait goes to Acked, and then Ended is called.
func TestAckedBeforeEnded(t *testing.T) {
	e := newEngine(t)
	n, names := startNaming(t, e.URL)
	calls := make(chan *boundCall, 1)
	names.binds(func(b *boundCall) ([]correlator.Callback, error) {
		calls <- b
		return nil, nil
	})
	names.acks(func() {
		if b := <-calls; len(b.ended) != 0 {
			t.Error("Ended is called before Acked")
		}
	})
	reply := n.createLater(namedOp("r", "5"))
	b := names.next(t)
	e.next(t).answer(200, `{"request_proc":"ok","ops":[{"proc":"error"}]}`)
	if a := got(t, reply); a.status != 200 || len(b.acks) != 1 || len(b.ended) != 1 { // nothing is asked that a reply had to wait for
		t.Errorf("%+v, %d calls of Acked and %d of Ended", a, len(b.acks), len(b.ended))
	}
	b.wantEnded(t, correlator.Answered, false)
}

// The end of a wait, and whether a final can still come.
func TestEndedSaysWhatIsKept(t *testing.T) {
	f := func(name, timeout string, status correlator.Status, kept bool, end func(n *node, b *boundCall), change ...func(*gateway.Config)) {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t)
			n, names := startNaming(t, e.URL, change...)
			reply := n.createLater(namedOp("local", timeout))
			b := names.next(t)
			end(n, b)
			a := got(t, reply)
			b.wantEnded(t, status, kept)
			if has := a.header.Get("Location") != ""; has != kept {
				t.Errorf("Location %q", a.header.Get("Location"))
			}
			if err := n.complete(b, `{"answer":42}`); (err == nil) != (kept || status.Final()) {
				t.Errorf("a late result: %v", err)
			}
			if kept {
				if a := n.do(http.MethodGet, a.header.Get("Location"), ""); a.status != 200 || !strings.Contains(a.body, `{"answer":42}`) {
					t.Errorf("%+v", a)
				}
				wantSuperseded(t, n.complete(b, `{"answer":43}`), true)
			}
			e.wantUnasked(t)
		})
	}
	nothing := func(*node, *boundCall) {}
	f("timed out and kept", "0.2", correlator.Open, true, nothing)
	f("nothing is kept", "0.2", correlator.Open, false, nothing, func(c *gateway.Config) { c.Results.Retention = 0 })
	f("a drain", "5", correlator.Open, false, func(n *node, _ *boundCall) { _ = n.memo.Drain(over(t)) })
	f("complete", "5", correlator.Complete, false, func(n *node, b *boundCall) { _ = n.complete(b, `1`) })
	f("errored", "5", correlator.Errored, false, func(n *node, b *boundCall) {
		_ = n.Deliver(t.Context(), b.token(0), correlator.Callback{Status: correlator.Errored})
	})
}

// A client that hangs up leaves its names as its result: kept, or not.
func TestHangUpOfANamedCall(t *testing.T) {
	for policy, kept := range map[string]bool{dialect.Keep: true, dialect.Drop: false} {
		n, names := startNaming(t, newEngine(t).URL, func(c *gateway.Config) { c.OnDisconnect = policy })
		c := n.dial()
		_, _ = io.WriteString(c, rawCreate(namedOp("local", "5")))
		b := names.next(t)
		_ = c.Close()
		b.wantEnded(t, correlator.Open, kept)
		if err := n.complete(b, `1`); err != nil { // 200, as to an engine: its client has left
			t.Errorf("%s: a late result: %v", policy, err)
		}
	}
}

// A trip that is not parked binds nothing: its names hear nothing.
func TestWhatIsNotParkedHasNoNames(t *testing.T) {
	n, names := startNaming(t, newEngine(t).URL, func(c *gateway.Config) { c.Limits.Parked = 1 })
	reply := n.createLater(namedOp("local", "5"))
	b := names.next(t)
	if a := n.create(namedOp("r", "5")); a.status != 503 || len(names.calls) != 0 {
		t.Errorf("%+v, %d calls are bound", a, len(names.calls))
	}
	_ = n.complete(b, `1`)
	if a := got(t, reply); a.status != 200 {
		t.Errorf("%+v", a)
	}
	b.wantEnded(t, correlator.Complete, false)
	if strings.Contains(n.log.String(), "panicked") { // as Ended would that Bind has not come before
		t.Errorf("%s", n.log)
	}
}

// A key makes one call: who comes with it joins, binds nothing, and hears the result.
func TestKeyOfALocalCall(t *testing.T) {
	e := newEngine(t)
	n, names := startNaming(t, e.URL)
	first := n.createLater(namedOp("local", "5"), "Idempotency-Key", "k")
	b := names.next(t)
	second := n.createLater(namedOp("local", "5"), "Idempotency-Key", "k")
	waitFor(t, func() bool { return n.memo.Len() == 2 })
	if err := n.complete(b, `1`); err != nil {
		t.Error(err)
	}
	const wants = `{"request_proc":"ok","ops":[{"proc":"ok","ref":"local","data":1}]}`
	want(t, got(t, first), 200, wants)
	want(t, got(t, second), 200, wants)
	b.wantEnded(t, correlator.Complete, false)
	want(t, n.create(namedOp("local", "5"), "Idempotency-Key", "k"), 200, wants)
	if len(names.calls) != 0 {
		t.Error("a repeat binds names")
	}
	e.wantUnasked(t)
}

// A client that does not wait is handed over at once, and its result comes by name. Where merge is on it is laid over the request.
func TestHandOverOfALocalCall(t *testing.T) {
	for _, merge := range []bool{false, true} {
		names := newNamer()
		engine := newHooks(t)
		route, config := hookRoute(engine, func(_ *rest.RouteConfig, c *httpengine.Config) { c.Merge = merge })
		made := startParts(t, "http://127.0.0.1:1", func(n *node, p *gateway.Parts) {
			addRoutes(t, n.keys, p, []rest.RouteConfig{route}, config)
			p.Engines[len(p.Engines)-1].Config.Timeout = time.Minute // for so long a client would wait for an engine's answer
			names.serve(p)
		})
		r := &routed{made, engine, t}
		for _, mode := range []string{"respond-async", "wait=20"} {
			r.completeByName(names, mode, map[bool]string{false: `{"done":1}`, true: `{"done":1,"local":1}`}[merge])
		}
		if len(engine.asked) != 0 {
			t.Error("the engine is asked")
		}
		if err := r.Deliver(t.Context(), correlator.Token{Trip: correlator.NewID(correlator.NewNodeID(), time.Now().Add(time.Hour)), Engine: correlator.NewEngineID("gone")}, correlator.Callback{Status: correlator.Complete}); err == nil {
			t.Error("an engine that is not configured delivers")
		}
	}
}

// completeByName completes a task of a route by name, and wants the result.
func (r *routed) completeByName(names *namer, mode, result string) {
	r.t.Helper()
	reply := r.post(`{"local":1}`, "Prefer", mode)
	b := names.next(r.t)
	location := ""
	if mode == "respond-async" {
		a := got(r.t, reply)
		location = a.header.Get("Location")
		wantReply(r.t, a, 202, "")
		b.wantEnded(r.t, correlator.Open, true)
	}
	err := r.Deliver(r.t.Context(), correlator.Token{Trip: b.id, Engine: correlator.NewEngineID("flow")}, correlator.Callback{Status: correlator.Complete, Body: []byte(`{"done":1}`)})
	if err != nil {
		r.t.Error(err)
	}
	if location != "" {
		wantReply(r.t, r.do(http.MethodGet, location, ""), 200, result)
		return
	}
	wantReply(r.t, got(r.t, reply), 200, result)
	b.wantEnded(r.t, correlator.Complete, false)
}

// A task that no engine has ends when its time has: who asks for it then hears that, whether its client waited or was handed over.
func TestLocalCallThatTimesOut(t *testing.T) {
	names := newNamer()
	names.terms.Store(&dialect.Terms{Lasts: 300 * time.Millisecond, Ends: true})
	route, config := hookRoute(newHooks(t), func(*rest.RouteConfig, *httpengine.Config) {})
	n := startParts(t, "http://127.0.0.1:1", func(n *node, p *gateway.Parts) {
		addRoutes(t, n.keys, p, []rest.RouteConfig{route}, config)
		names.serve(p)
	})
	held := n.create(namedOp("local", "0.1")).header.Get("Location")
	handedOver := n.do(http.MethodPost, route.Path, `{"local":1}`, "Content-Type", "application/json", "Prefer", "respond-async").header.Get("Location")
	for location, want := range map[string]string{held: `"description":"Timeout for create task"`, handedOver: "timeout"} {
		var a answer
		waitFor(t, func() bool { a = n.do(http.MethodGet, location, ""); return a.status != 202 })
		if location == "" || !strings.Contains(a.body, want) {
			t.Errorf("%q: %+v", location, a)
		}
	}
}

// A call that is completed by name while it waits for a connection to the engine is forwarded when it gets one: its client heard that it is done.
func TestCompletedBeforeItIsForwarded(t *testing.T) {
	e := newEngine(t)
	n, names := startNaming(t, e.URL, func(c *gateway.Config) { c.Engine.MaxConnections = 1 })
	first := n.createLater(namedOp("first", "5"))
	holds := e.next(t)
	names.next(t)
	second := n.createLater(namedOp("second", "5"))
	b := names.next(t)
	waitFor(t, func() bool { return strings.Contains(n.metrics(), "\nsyncgate_engine_queue_length 1\n") })
	if err := n.complete(b, `2`); err != nil {
		t.Error(err)
	}
	want(t, got(t, second), 200, `{"request_proc":"ok","ops":[{"proc":"ok","ref":"second","data":2}]}`)
	holds.accept()
	if a := e.next(t); !strings.Contains(a.body, `"second"`) {
		t.Errorf("the engine gets %s", a.body)
	} else {
		a.accept()
	}
	n.callback(holds.tokens[0], `1`)
	got(t, first)
}
