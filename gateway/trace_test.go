package gateway_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/dialect/httpengine"
	"syncgate/dialect/rest"
	"syncgate/gateway"
	"syncgate/internal/otlptest"
	"syncgate/internal/tracing"
)

// trace gives what has a gateway trace to a collector, until the end of the test.
func trace(t testing.TB, c *otlptest.Collector, ratio float64) func(*gateway.Parts) {
	cfg := tracing.Default()
	cfg.URL, cfg.Ratio = c.URL(), ratio
	tracer := tracing.New(cfg, tracing.Options{Version: "test", Node: "test"})
	t.Cleanup(func() { _ = tracer.Close(context.Background()) })
	return func(p *gateway.Parts) { p.Tracer = tracer }
}

// Trips that are traced and not recorded have what the engine gets of the trace, and its tokens look like any other's.
func TestTracedTripAllocations(t *testing.T) {
	c := otlptest.Start(t)
	off, on := testing.AllocsPerRun(1000, tripper(t)), testing.AllocsPerRun(1000, tripper(t, trace(t, c, 0)))
	const most = 3 // the trace, its traceparent, and room for that in the header of the request
	if on > off+most && !raced {
		t.Errorf("%v allocations a trip, and %v without tracing; at most %d more", on, off, most)
	} else {
		t.Logf("%v allocations a trip, %v without tracing", on, off)
	}
	if n := len(c.Spans()); n > 0 {
		t.Errorf("%d spans", n)
	}
}

// BenchmarkTrip plays whole trips, each with its client and its engine: without tracing, with one of a hundred recorded, and with all.
func BenchmarkTrip(b *testing.B) {
	f := func(name string, replace func(b *testing.B) []func(*gateway.Parts)) {
		b.Run(name, func(b *testing.B) {
			trip := tripper(b, replace(b)...)
			b.ReportAllocs()
			for b.Loop() {
				trip()
			}
		})
	}
	traced := func(ratio float64) func(b *testing.B) []func(*gateway.Parts) {
		return func(b *testing.B) []func(*gateway.Parts) {
			c := otlptest.Start(b)
			c.Answer(func(_ http.ResponseWriter, req *http.Request) { _, _ = io.Copy(io.Discard, req.Body) })
			return []func(*gateway.Parts){trace(b, c, ratio)}
		}
	}
	f("off", func(*testing.B) []func(*gateway.Parts) { return nil })
	f("ratio=0.01", traced(0.01))
	f("ratio=1", traced(1))
}

// TestTraceOfRefusals has what is refused: a stranger's requests are not recorded, whatever they say, and those of a login are.
func TestTraceOfRefusals(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	c, e := otlptest.Start(t), newEngine(t)
	n := startParts(t, e.URL, func(_ *node, p *gateway.Parts) { trace(t, c, 1)(p) })
	if a := n.do(http.MethodPost, "/api/1/json/nobody/1/1", "{}", "Traceparent", parent); a.status != 401 {
		t.Errorf("a stranger hears %d", a.status)
	}
	if a := n.create("{", "Traceparent", parent); a.status != 400 {
		t.Errorf("a bad body is answered %d", a.status)
	}
	spans := c.Wait(t, "the refusal is recorded", func(s []otlptest.Span) bool { return len(s) > 0 })
	if s := spans[0]; len(spans) != 1 || s.What() != "request" || s.Attributes["syncgate.outcome"] != "bad_request" || s.Attributes["syncgate.reason"] != "body" || s.Attributes["http.response.status_code"] != "400" || s.Failed {
		t.Errorf("%+v", spans)
	}
}

// TestTraceOfATimeout: it is a failure, although the Sync API says 200, and a late callback is in its trace.
func TestTraceOfATimeout(t *testing.T) {
	c, e := otlptest.Start(t), newEngine(t)
	n := startParts(t, e.URL, func(_ *node, p *gateway.Parts) { trace(t, c, 1)(p) })
	reply := n.createLater(strings.Replace(oneOp(`{}`), `"timeout":5`, `"timeout":0.2`, 1))
	task := e.next(t)
	if a := got(t, reply); a.status != 200 || !strings.Contains(a.body, "Timeout") {
		t.Errorf("%+v", a)
	}
	n.callback(task.tokens[0], `{}`)
	spans := c.Wait(t, "a late callback", func(s []otlptest.Span) bool { return len(s) == 6 })
	request, forward, late := otlptest.Find(t, spans, "request"), otlptest.Find(t, spans, "forward"), otlptest.Find(t, spans, "callback")
	if !request.Failed || request.Attributes["error.type"] != "timeout" || request.Attributes["http.response.status_code"] != "200" {
		t.Errorf("%+v", request)
	}
	if late.Trace != request.Trace || late.Parent != forward.ID || late.Begun.Before(request.Ended) {
		t.Errorf("%+v", late)
	}
	for _, s := range spans {
		for name, text := range s.Attributes {
			if strings.Contains(text, task.tokens[0][8:20]) {
				t.Errorf("%s of %s has the token: %s", name, s.What(), text)
			}
		}
	}
}

// overheard is a Tracer that also says what it hears of callbacks.
type overheard struct {
	gateway.Tracer
	callbacks chan gateway.CallbackFacts
}

func (o *overheard) Callback(f *gateway.CallbackFacts) {
	o.callbacks <- *f
	o.Tracer.Callback(f)
}

// TestCallbackKeepsLittle: facts of callbacks wait, and hold only so much of a traceparent as has a meaning, however long it is.
func TestCallbackKeepsLittle(t *testing.T) {
	const parent = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	c, e := otlptest.Start(t), newEngine(t)
	heard := &overheard{callbacks: make(chan gateway.CallbackFacts, 1)}
	n := startParts(t, e.URL, func(_ *node, p *gateway.Parts) {
		trace(t, c, 0)(p)
		heard.Tracer, p.Tracer = p.Tracer, heard
	})
	reply := n.createLater(oneOp(`{}`), "Traceparent", parent)
	n.do(http.MethodPost, "/api/1/plugins/callback/"+e.next(t).tokens[0], `{}`, "Traceparent", parent+"-"+strings.Repeat("x", 8<<10))
	if f := <-heard.callbacks; !strings.HasPrefix(f.Traceparent, parent) || len(f.Traceparent) > 64 {
		t.Errorf("%d bytes are kept: %.80s", len(f.Traceparent), f.Traceparent)
	}
	if a := got(t, reply); a.status != 200 {
		t.Errorf("%+v", a)
	}
	spans := c.Wait(t, "the callback", func(s []otlptest.Span) bool { return len(s) == 6 })
	if s := otlptest.Find(t, spans, "callback"); s.Parent != parent[36:52] {
		t.Errorf("%+v", s)
	}
}

// TestTraceOfNames: a callback that comes by a name has a span, below the exchange with the engine, or below the request that no engine gets.
func TestTraceOfNames(t *testing.T) {
	c, e, names := otlptest.Start(t), newEngine(t), newNamer()
	n := startParts(t, e.URL, func(_ *node, p *gateway.Parts) {
		trace(t, c, 1)(p)
		names.serve(p)
	})
	reply := n.createLater(namedOp("local", "5"))
	b := names.next(t)
	if err := n.complete(b, `{"a":1}`); err != nil {
		t.Error(err)
	}
	if a := got(t, reply); a.status != 200 {
		t.Errorf("%+v", a)
	}
	spans := c.Wait(t, "a request that no engine gets", func(s []otlptest.Span) bool { return len(s) == 4 })
	request, callback := otlptest.Find(t, spans, "request"), otlptest.Find(t, spans, "callback")
	if callback.Parent != request.ID || callback.Attributes["syncgate.outcome"] != "delivered" || callback.Attributes["syncgate.engine"] != "" || callback.Failed || callback.Begun.Before(request.Begun) {
		t.Errorf("%+v", callback)
	}
	if wait := otlptest.Find(t, spans, "wait"); wait.Parent != request.ID || wait.Begun.Before(request.Begun) || wait.Ended.After(request.Ended) {
		t.Errorf("%+v", wait)
	}

	reply = n.createLater(namedOp("a", "5"))
	b = names.next(t)
	e.next(t).accept()
	own := correlator.Callback{Status: correlator.Answered, Body: []byte(`{}`)} // no callback, but ours
	if err := n.Deliver(t.Context(), correlator.Token{Trip: correlator.NewID(correlator.NewNodeID(), time.Now().Add(time.Hour)).Trace(), Op: 7}, own); err == nil {
		t.Error("nobody has this op")
	}
	if err := n.complete(b, `{"a":1}`); err != nil {
		t.Error(err)
	}
	if a := got(t, reply); a.status != 200 {
		t.Errorf("%+v", a)
	}
	spans = c.Wait(t, "a request that an engine gets", func(s []otlptest.Span) bool { return len(s) == 10 })[4:]
	if forward, callback := otlptest.Find(t, spans, "forward"), otlptest.Find(t, spans, "callback"); callback.Parent != forward.ID || callback.Trace != forward.Trace {
		t.Errorf("%+v", callback)
	}

	_ = n.complete(b, `{"a":2}`) // whether that is an error depends on how long the first result is known
	again := c.Wait(t, "one that comes too late", func(s []otlptest.Span) bool { return len(s) == 11 })[10]
	if again.What() != "callback" || again.Trace != spans[0].Trace || again.Failed {
		t.Errorf("%+v", again)
	}
}

// TestTraceOfNamesElsewhere: at a node that does not know the trip its trace is not known, and nothing is recorded of a trip that is not recorded.
func TestTraceOfNamesElsewhere(t *testing.T) {
	c, e := otlptest.Start(t), newEngine(t)
	heard := &overheard{callbacks: make(chan gateway.CallbackFacts, 10)}
	n := startParts(t, e.URL, func(_ *node, p *gateway.Parts) {
		trace(t, c, 1)(p)
		heard.Tracer, p.Tracer = p.Tracer, heard
	})
	id := correlator.NewID(correlator.NewNodeID(), time.Now().Add(time.Hour))
	for _, to := range []correlator.Token{{Trip: id}, {Trip: id.Trace(), Op: 3, Engine: correlator.NewEngineID("gone")}} {
		if err := n.Deliver(t.Context(), to, correlator.Callback{Status: correlator.Complete, Body: []byte(`1`)}); err == nil {
			t.Error("nobody has this op")
		}
	}
	if n := len(heard.callbacks); n != 1 {
		t.Fatalf("%d callbacks are recorded", n)
	}
	if f := <-heard.callbacks; f.Trip != id.Trace() || f.Op != 3 || f.Trace != nil || f.Engine != "" || f.Method != "" || f.Outcome != "gone" || f.Status != 410 {
		t.Errorf("%+v", f)
	}
}

// TestTraceOfARefusedRoute: a request that is refused before its call is known has the name of its route, and not that of the Sync API.
func TestTraceOfARefusedRoute(t *testing.T) {
	c, engine := otlptest.Start(t), newHooks(t)
	route, config := hookRoute(engine, func(*rest.RouteConfig, *httpengine.Config) {})
	n := startParts(t, "http://127.0.0.1:1", func(n *node, p *gateway.Parts) {
		trace(t, c, 1)(p)
		addRoutes(t, n.keys, p, []rest.RouteConfig{route}, config)
	})
	if a := (&routed{n, engine, t}).post(`{"a`); got(t, a).status != 400 {
		t.Error("half a body is taken")
	}
	spans := c.Wait(t, "the refusal", func(s []otlptest.Span) bool { return len(s) > 0 })
	if s := spans[0]; s.Attributes["syncgate.route"] != route.Name || s.Name != "POST "+route.Name || s.Attributes["http.route"] != "" {
		t.Errorf("%+v", s)
	}
}
