package tracing_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/correlator"
	"syncgate/gateway"
	"syncgate/internal/otlptest"
	"syncgate/internal/redistest"
	"syncgate/internal/tracing"
)

// called records a callback.
func (o *traced) called(id correlator.ID, traceparent string) {
	o.Callback(&gateway.CallbackFacts{Trip: id, Engine: "flow", Method: "POST", Traceparent: traceparent, Bytes: 7, Begun: time.Now(), Took: time.Millisecond, Status: 200})
}

// callbacks waits until so many callbacks are there, and gives them and the span of the exchange with the engine.
func callbacks(t *testing.T, c *otlptest.Collector, n int) (all []otlptest.Span, forward otlptest.Span) {
	t.Helper()
	spans := c.Wait(t, fmt.Sprintf("%d callbacks come", n), func(spans []otlptest.Span) bool {
		all = all[:0]
		forwarded := false
		for _, s := range spans {
			forwarded = forwarded || s.What() == "forward"
			if s.What() == "callback" {
				all = append(all, s)
			}
		}
		return len(all) >= n && forwarded
	})
	return all, otlptest.Find(t, spans, "forward")
}

const elsewhere = "00-11111111111111111111111111111111-2222222222222222-01"

// TestCallbackOfThisNode has callbacks below the exchange with the engine, or below the engine's own span where that is of the same trace.
func TestCallbackOfThisNode(t *testing.T) {
	t.Parallel()
	c := otlptest.Start(t)
	one, _ := start(t, c, nil)
	id := one.trip("Traceparent", theirParent)
	one.called(id, "")
	one.called(id, "00-"+theirTrace+"-3333333333333333-00")
	one.called(id, elsewhere)
	one.called(id, "garbage")
	all, forward := callbacks(t, c, 4)
	for i, want := range []string{forward.ID, "3333333333333333", forward.ID, forward.ID} {
		if s := all[i]; s.Trace != theirTrace || s.Parent != want || s.Kind != "server" || s.Name != "POST /api/1/plugins/callback/{token}" || s.Attributes["http.response.status_code"] != "200" {
			t.Errorf("%d: %+v", i, s)
		}
	}
	if len(all[2].Links) != 1 || all[2].Links[0] != elsewhere[3:35] || len(all[0].Links)+len(all[1].Links)+len(all[3].Links) != 0 {
		t.Errorf("links %v %v", all[2].Links, all)
	}
	unknown := correlator.NewID(correlator.NewNodeID(), time.Now()).Trace()
	one.called(unknown, "")
	if n := one.count(t, "syncgate_trace_spans_dropped_total", "unknown"); n != 1 {
		t.Errorf("%d are unknown", n)
	}
	one.called(unknown, elsewhere)
	if all, _ = callbacks(t, c, 5); all[4].Trace != elsewhere[3:35] || all[4].Parent != "2222222222222222" {
		t.Errorf("%+v", all[4])
	}
}

// TestKnownAreBounded: a node remembers its last trips.
func TestKnownAreBounded(t *testing.T) {
	t.Parallel()
	c := otlptest.Start(t)
	one, _ := start(t, c, nil)
	trace, _ := begin(one)
	park := func() correlator.ID {
		id := correlator.NewID(correlator.NewNodeID(), time.Now().Add(time.Minute)).Trace()
		one.Park(id, trace, time.Now())
		return id
	}
	first, second := park(), park()
	for range 16_384 - 1 {
		park()
	}
	one.called(first, "")
	one.called(second, "")
	c.Wait(t, "the second comes", func(s []otlptest.Span) bool { return len(s) == 1 })
	if n := one.count(t, "syncgate_trace_spans_dropped_total", "unknown"); n != 1 {
		t.Errorf("%d are unknown", n)
	}
}

// nodesOf makes two nodes that share a Redis.
func nodesOf(t *testing.T, c *otlptest.Collector, r *redistest.Server) (home, other *traced, client *goredis.Client) {
	t.Helper()
	o, err := goredis.ParseURL(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	client = goredis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	node := func(name string) *traced {
		n, _ := start(t, c, func(_ *tracing.Config, o *tracing.Options) { o.Redis, o.Prefix, o.Node = client, "syncgate", name })
		return n
	}
	return node("home"), node("other"), client
}

// TestCallbackOfAnotherNode has the node that gets a callback find the trace of the trip.
func TestCallbackOfAnotherNode(t *testing.T) {
	t.Parallel()
	c, r := otlptest.Start(t), redistest.Start(t)
	home, other, client := nodesOf(t, c, r)
	id := home.trip("Traceparent", theirParent)
	other.called(id, "")
	all, forward := callbacks(t, c, 1)
	if s := all[0]; s.Trace != theirTrace || s.Parent != forward.ID || !s.Remote || s.Resource["service.instance.id"] != "other" || forward.Resource["service.instance.id"] != "home" {
		t.Errorf("%+v", s)
	}
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 1 || len(keys[0]) != len("syncgate:trace:1:")+22 {
		t.Fatalf("%v %v", keys, err)
	}
	if left := client.PTTL(t.Context(), keys[0]).Val(); left <= 0 || left > time.Minute+time.Second {
		t.Errorf("it stays for %v", left)
	}
	client.Set(t.Context(), keys[0], "somebody else writes here", time.Minute)
	other.called(id, "")
	eventually(t, "what is not ours counts for nothing", func() bool { return other.count(t, "syncgate_trace_spans_dropped_total", "unknown") == 1 })
	other.called(id, "00-"+theirTrace+"-3333333333333333-01")
	if all, _ = callbacks(t, c, 2); all[1].Parent != "3333333333333333" {
		t.Errorf("%+v", all[1])
	}
	r.Kill()
	for range 6000 {
		home.trip("Traceparent", theirParent)
		other.called(id, "")
	}
	eventually(t, "without Redis they are given up", func() bool { return other.count(t, "syncgate_trace_spans_dropped_total", "unknown") == 6001 })
}

// hangs makes a Tracer whose Redis hangs.
func hangs(t *testing.T, c *otlptest.Collector) *traced {
	t.Helper()
	r := redistest.Start(t)
	o, err := goredis.ParseURL(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	o.ContextTimeoutEnabled, o.MaxRetries, o.DialTimeout = true, -1, time.Second
	client := goredis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	one, _ := start(t, c, func(_ *tracing.Config, o *tracing.Options) { o.Redis, o.Prefix = client, "syncgate" })
	r.Pause()
	t.Cleanup(r.Resume)
	return one
}

// TestRedisHangsAtTheEnd: it gets a part of the time, and the collector gets the rest.
func TestRedisHangsAtTheEnd(t *testing.T) {
	t.Parallel()
	c := otlptest.Start(t)
	one := hangs(t, c)
	const all = 3000 // as many as take twelve seconds
	for range all {
		one.called(correlator.NewID(correlator.NewNodeID(), time.Now().Add(time.Minute)).Trace(), elsewhere)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	if err := one.Close(ctx); err != nil {
		t.Error(err)
	}
	if spans := c.Spans(); len(spans) != all || spans[0].Parent != elsewhere[36:52] {
		t.Errorf("%d spans: %+v", len(spans), spans[:min(len(spans), 1)])
	}
}

// TestCallbacksAreCounted: where nobody can be asked for their traces, and where so many wait that some have no room.
func TestCallbacksAreCounted(t *testing.T) {
	t.Parallel()
	one, all := hangs(t, otlptest.Start(t)), 0
	unknown := func() int { return one.count(t, "syncgate_trace_spans_dropped_total", "unknown") }
	id := correlator.NewID(correlator.NewNodeID(), time.Now().Add(time.Minute)).Trace()
	eventually(t, "two times 4096 wait, those that are asked for and those behind them", func() bool {
		for range 500 {
			one.called(id, "")
		}
		all += 500
		return all-unknown() > 8000
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = one.Close(ctx)
	if n := unknown(); n != all {
		t.Errorf("%d of %d are unknown", n, all)
	}
}

// TestAttempts has attempts to send a notification in the trace of the request.
func TestAttempts(t *testing.T) {
	t.Parallel()
	c := otlptest.Start(t)
	one, _ := start(t, c, nil)
	for _, none := range []string{"", "garbage", theirParent[:53] + "00"} {
		if own, ended := one.Attempt(none); own != "" || ended != nil {
			t.Errorf("%q is recorded", none)
		}
	}
	own, ended := one.Attempt(theirParent)
	ended(&tracing.AttemptFacts{ID: "msg_1", Subscription: "s1", Scheme: "https", Host: "shop.example:443", Number: 2, Begun: time.Now(), Took: time.Millisecond, Outcome: "status", Status: 503})
	spans := c.Wait(t, "the attempt comes", func(s []otlptest.Span) bool { return len(s) == 1 })
	s := spans[0]
	if s.Trace != theirTrace || s.Parent != theirSpan || own != "00-"+theirTrace+"-"+s.ID+"-01" || s.Kind != "client" || s.What() != "notify" || !s.Failed ||
		s.Attributes["server.address"] != "shop.example" || s.Attributes["server.port"] != "443" || s.Attributes["url.full"] != "https://shop.example:443/..." || s.Attributes["http.request.resend_count"] != "1" || s.Attributes["http.response.status_code"] != "503" || s.Attributes["syncgate.notification"] != "msg_1" {
		t.Errorf("%s: %+v", own, s)
	}
}
