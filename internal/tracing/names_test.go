package tracing_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/gateway"
	"syncgate/internal/otlptest"
	"syncgate/internal/redistest"
	"syncgate/internal/tracing"
)

// TestNamesOfRequests: the span of a request has its method and the path of its route as a name, and never what only a client has chosen.
func TestNamesOfRequests(t *testing.T) {
	t.Parallel()
	f := func(method string, facts gateway.TripFacts, name, path, route string) {
		t.Helper()
		c := otlptest.Start(t)
		one, _ := start(t, c, nil)
		one.SetRoutes(map[string]string{"shop": "/v1/{shop}"})
		_, h := begin(one)
		h.SetMethod(method)
		trace := one.Begin(h)
		facts.Accepted = time.Now()
		one.End(trace, &facts)
		if err := one.Close(t.Context()); err != nil {
			t.Error(err)
		}
		s := otlptest.Find(t, c.Spans(), "request")
		if s.Name != name || s.Attributes["http.route"] != path || s.Attributes["syncgate.route"] != route {
			t.Errorf("%s, and not %s: %+v", s.Name, name, s.Attributes)
		}
		if s.Scope != "syncgate v1" || s.Schema != "https://opentelemetry.io/schemas/1.44.0" {
			t.Errorf("scope %s, schema %s", s.Scope, s.Schema)
		}
		if got := s.Attributes["http.request.method"] + s.Attributes["http.request.method_original"]; got != method && got != "_OTHER"+method {
			t.Errorf("the method is %s", got)
		}
	}
	const vendor = "/api/{version}/json/{login}/{time}/{signature}"
	f("POST", gateway.TripFacts{}, "POST "+vendor, vendor, "")
	f("PUT", gateway.TripFacts{Routed: true, Route: "shop"}, "PUT /v1/{shop}", "/v1/{shop}", "shop")
	f("POST", gateway.TripFacts{Routed: true, Route: "gone"}, "POST gone", "", "gone")
	f("POST", gateway.TripFacts{Routed: true}, "POST", "", "")
	f("PROPFIND", gateway.TripFacts{Routed: true, Route: "shop"}, "HTTP /v1/{shop}", "/v1/{shop}", "shop")
}

// TestFailedRequests: a time-out and an answer of the engine that is none are failures by their names, whatever the client hears; others by their status.
func TestFailedRequests(t *testing.T) {
	t.Parallel()
	f := func(outcome string, status int, why string) {
		t.Helper()
		c := otlptest.Start(t)
		one, _ := start(t, c, nil)
		trace, _ := begin(one)
		one.End(trace, &gateway.TripFacts{Accepted: time.Now(), Outcome: outcome, Status: status})
		if err := one.Close(t.Context()); err != nil {
			t.Error(err)
		}
		s := otlptest.Find(t, c.Spans(), "request")
		if s.Failed != (why != "") || s.Attributes["error.type"] != why || s.Attributes["http.response.status_code"] != strconv.Itoa(status) {
			t.Errorf("%s: %+v", outcome, s)
		}
	}
	f("complete", 200, "")
	f("bad_request", 422, "")
	f("timeout", 200, "timeout")
	f("timeout", 504, "timeout")
	f("engine_error", 502, "engine_error")
	f("overloaded", 503, "503")
}

// TestCallbackByName is below the exchange with the engine, or below the request where there is none, and has nothing of HTTP.
func TestCallbackByName(t *testing.T) {
	t.Parallel()
	c := otlptest.Start(t)
	one, _ := start(t, c, func(_ *tracing.Config, o *tracing.Options) { o.Node = "n2" })
	id := one.trip("Traceparent", theirParent)
	one.Callback(&gateway.CallbackFacts{Trip: id, Op: 1, Outcome: "relayed", Begun: time.Now(), Took: time.Millisecond})
	one.Callback(&gateway.CallbackFacts{Trip: id, Outcome: "gone", Status: 410, Begun: time.Now(), Took: -time.Second}) // a clock was set
	one.Callback(&gateway.CallbackFacts{Trip: id, Outcome: "unavailable", Status: 503, Begun: time.Now()})
	all, forward := callbacks(t, c, 3)
	for i, failed := range []bool{false, false, true} {
		s := all[i]
		if s.Trace != theirTrace || s.Parent != forward.ID || s.Kind != "internal" || s.Name != "callback" || s.Failed != failed || s.Attributes["url.path"] != "" || s.Attributes["http.response.status_code"] != "" {
			t.Errorf("%d: %+v", i, s)
		}
	}
	has(t, all[0], map[string]string{"syncgate.outcome": "relayed", "syncgate.op": "1", "syncgate.trip": id.String()})
	has(t, all[2], map[string]string{"error.type": "unavailable"})

	trace, _ := begin(one, "Traceparent", theirParent)
	trace.Unsent = true
	one.Park(id, trace, time.Now())
	one.Callback(&gateway.CallbackFacts{Trip: id, Outcome: "delivered", Begun: time.Now()})
	one.Callback(&gateway.CallbackFacts{Trip: id, Trace: trace, Outcome: "repeated", Begun: time.Now()})
	all, _ = callbacks(t, c, 5)
	for _, s := range all[3:] {
		if want := trace.Request[36:52]; s.Parent != want || s.Trace != theirTrace {
			t.Errorf("below %s, and not %s: %+v", s.Parent, want, s)
		}
	}
}

// TestLinkOfAJoinedRequest: the span of a request that waited for the trip of another one is linked to that trip's exchange with the engine, also where that was at
// another node.
func TestLinkOfAJoinedRequest(t *testing.T) {
	t.Parallel()
	c := otlptest.Start(t)
	home, other, _ := nodesOf(t, c, redistest.Start(t))
	join := func(at *traced, id correlator.ID, links int) {
		t.Helper()
		trace, _ := begin(at, "Traceparent", elsewhere)
		at.End(trace, &gateway.TripFacts{Accepted: time.Now(), Replies: time.Now(), Joined: id, Status: 200, Written: true})
		own := trace.Request[36:52]
		named := func(s otlptest.Span) bool { return s.ID == own }
		spans := c.Wait(t, "the joined request", func(all []otlptest.Span) bool { return slices.ContainsFunc(all, named) })
		s := spans[slices.IndexFunc(spans, named)]
		if len(s.Links) != links || links > 0 && s.Links[0] != theirTrace || s.Trace != elsewhere[3:35] || s.Attributes["syncgate.joined"] != "true" {
			t.Errorf("%d links: %+v", links, s)
		}
	}
	id := home.trip("Traceparent", theirParent)
	join(home, id, 1)
	join(other, id, 1)
	join(other, correlator.NewID(correlator.NewNodeID(), time.Now().Add(time.Minute)), 0)         // it is not recorded
	join(other, correlator.NewID(correlator.NewNodeID(), time.Now().Add(time.Minute)).Trace(), 0) // nobody knows it
}

// TestBusy: in a busy run every span is good, and none has the id of another: the collector of the tests looks at each.
func TestBusy(t *testing.T) {
	t.Parallel()
	c := otlptest.Start(t)
	one, _ := start(t, c, nil)
	const trips, room = 10_000, 8192 - five
	for range trips {
		if one.count(t, "syncgate_trace_spans_waiting", "") > room {
			eventually(t, "there is room", func() bool { return one.count(t, "syncgate_trace_spans_waiting", "") < room/2 })
		}
		one.trip()
	}
	if err := one.Close(t.Context()); err != nil {
		t.Error(err)
	}
	traces := make(map[string]int)
	for _, s := range c.Spans() {
		traces[s.Trace]++
	}
	if n := len(c.Spans()); n != trips*five || len(traces) != trips {
		t.Errorf("%d spans of %d traces", n, len(traces))
	}
}
