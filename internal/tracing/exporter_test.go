package tracing_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"syncgate/internal/otlptest"
	"syncgate/internal/tracing"
)

// five are the spans of one trip of these tests: request, accept, forward, wait and reply.
const five = 5

// TestSpansOfATrip has a trip recorded: its spans are in one trace, each below the right one.
func TestSpansOfATrip(t *testing.T) {
	t.Parallel()
	c := otlptest.Start(t)
	one, _ := start(t, c, func(cfg *tracing.Config, o *tracing.Options) {
		cfg.Token, cfg.ServiceName, cfg.Attributes, o.HTTPS = "the-token", "gate", map[string]string{"a": "b"}, true
		cfg.Headers = map[string]secret{"X-Tenant": "t1"}
	})
	one.trip("Traceparent", theirParent, "Tracestate", "vendor=1", "User-Agent", "shop/1")
	spans := c.Wait(t, "the spans come", func(s []otlptest.Span) bool { return len(s) == five })
	request := otlptest.Find(t, spans, "request")
	if request.Trace != theirTrace || request.Parent != theirSpan || !request.Remote || request.Kind != "server" || request.Name != "POST shop" || request.State != "vendor=1" || request.Failed {
		t.Errorf("request %+v", request)
	}
	has(t, request, map[string]string{
		"http.request.method": "POST", "http.response.status_code": "200", "url.path": "/v1/shop", "url.scheme": "https", "user_agent.original": "shop/1", "client.address": "192.0.2.1",
		"syncgate.login": "web", "syncgate.route": "shop", "syncgate.outcome": "complete", "syncgate.request_id": "r1", "syncgate.ops": "1",
	})
	if r := request.Resource; r["service.name"] != "gate" || r["service.version"] != "v1" || r["service.instance.id"] != "n1" || r["a"] != "b" {
		t.Errorf("resource %v", r)
	}
	if h := request.Header; h.Get("Authorization") != "Bearer the-token" || h.Get("X-Tenant") != "t1" {
		t.Errorf("header %v", h)
	}
	forward := otlptest.Find(t, spans, "forward")
	has(t, forward, map[string]string{
		"server.address": "flow.example", "server.port": "444", "url.full": "https://flow.example:444/hooks/a", "http.response.status_code": "202", "syncgate.engine": "flow",
	})
	for what, want := range map[string]struct {
		kind         string
		begun, ended int64
	}{"accept": {"internal", 0, 10}, "forward": {"client", 10, 15}, "wait": {"internal", 15, 25}, "reply": {"internal", 25, 30}} {
		s := otlptest.Find(t, spans, what)
		begun, ended := s.Begun.Sub(request.Begun).Milliseconds(), s.Ended.Sub(request.Begun).Milliseconds()
		if s.Trace != theirTrace || s.Parent != request.ID || s.Remote || s.State != "vendor=1" || s.Kind != want.kind || begun != want.begun || ended != want.ended {
			t.Errorf("%s %+v", what, s)
		}
	}
	for _, s := range spans {
		if text := fmt.Sprint(s.Attributes); strings.Contains(text, "hidden") || strings.Contains(text, "the-token") {
			t.Errorf("%s shows a secret: %s", s.What(), text)
		}
	}
}

// has wants attributes of a span.
func has(t *testing.T, s otlptest.Span, want map[string]string) {
	t.Helper()
	for name, text := range want {
		if s.Attributes[name] != text {
			t.Errorf("%s of %s is %q, want %q", name, s.What(), s.Attributes[name], text)
		}
	}
}

// TestOddTexts: a text that is not UTF-8 does not cost its batch.
func TestOddTexts(t *testing.T) {
	t.Parallel()
	c := otlptest.Start(t)
	one, _ := start(t, c, func(cfg *tracing.Config, _ *tracing.Options) {
		cfg.ServiceName, cfg.Attributes = "g\xffte", map[string]string{"\xff": "\xff"}
	})
	_, ended := one.Attempt(theirParent)
	ended(&tracing.AttemptFacts{ID: "msg\xff1", Host: "shop.example", Begun: time.Now(), Outcome: "delivered", Status: 200, Delivered: true})
	one.trip()
	if err := one.Close(t.Context()); err != nil {
		t.Error(err)
	}
	spans := c.Spans()
	if len(spans) != 1+five {
		t.Fatalf("%d spans", len(spans))
	}
	if r := spans[0].Resource; spans[0].Attributes["syncgate.notification"] != "msg\uFFFD1" || r["service.name"] != "g\uFFFDte" || r["\uFFFD"] != "\uFFFD" {
		t.Errorf("%+v", spans[0])
	}
}

// TestNotRecorded: what is not recorded sends nothing.
func TestNotRecorded(t *testing.T) {
	t.Parallel()
	c := otlptest.Start(t)
	one, _ := start(t, c, func(cfg *tracing.Config, _ *tracing.Options) { cfg.Ratio = 0 })
	one.trip()
	one.trip("Traceparent", strings.TrimSuffix(theirParent, "1")+"0")
	one.trip("Traceparent", theirParent)
	spans := c.Wait(t, "the spans of the last one come", func(s []otlptest.Span) bool { return len(s) >= five })
	if err := one.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if len(spans) != five || len(c.Spans()) != five || spans[0].Trace != theirTrace {
		t.Errorf("%+v", c.Spans())
	}
}

// TestCloseSends what waits.
func TestCloseSends(t *testing.T) {
	t.Parallel()
	c := otlptest.Start(t)
	one, _ := start(t, c, nil)
	const trips = 500
	for range trips {
		one.trip()
	}
	if err := one.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if n := len(c.Spans()); n != trips*five || one.count(t, "syncgate_trace_spans_sent_total", "") != n {
		t.Errorf("%d spans of %d, counted %d", n, trips*five, one.count(t, "syncgate_trace_spans_sent_total", ""))
	}
	if c.Posts() > trips*five/512+2 {
		t.Errorf("%d requests", c.Posts())
	}
}

// TestCollectorHangs: nobody waits for it, memory is bounded, and the end is, too.
func TestCollectorHangs(t *testing.T) {
	c := otlptest.Start(t)
	ends := make(chan struct{})
	defer close(ends)
	c.Answer(func(http.ResponseWriter, *http.Request) { <-ends })
	one, log := start(t, c, nil)
	one.trip()
	c.Wait(t, "the collector is asked", func([]otlptest.Span) bool { return c.Posts() > 0 })
	const trips = 20_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	for range trips {
		one.trip()
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("%d trips took %v", trips, took)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if after.HeapAlloc > before.HeapAlloc+32<<20 {
		t.Errorf("it has grown from %d to %d bytes", before.HeapAlloc, after.HeapAlloc)
	}
	dropped, waiting := one.count(t, "syncgate_trace_spans_dropped_total", "queue"), one.count(t, "syncgate_trace_spans_waiting", "")
	if waiting > 8192 || dropped < trips*five-8192-512 {
		t.Errorf("%d dropped, %d wait", dropped, waiting)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began = time.Now()
	if err := one.Close(ctx); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	if strings.Count(log.String(), "\n") > 1 {
		t.Errorf("the log has %s", log)
	}
}

// TestCollectorHasNoRoom for a while: it is asked again, when it says so, and the log has one line when that begins, and one when it ends.
func TestCollectorHasNoRoom(t *testing.T) {
	t.Parallel()
	c := otlptest.Start(t)
	c.Answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(http.StatusServiceUnavailable)
		if c.Posts() == 1 {
			c.Answer(nil)
		}
	})
	one, log := start(t, c, nil)
	began := time.Now()
	one.trip()
	c.Wait(t, "the spans come in the end", func(s []otlptest.Span) bool { return len(s) == five })
	if took := time.Since(began); took < 3*time.Second {
		t.Errorf("it was asked %d times in %v", c.Posts(), took)
	}
	if err := one.Close(t.Context()); err != nil {
		t.Error(err)
	}
	text := log.String()
	if strings.Count(text, "\n") != 2 || !strings.Contains(text, `"level":"warn","error":"the collector answers 503"`) || !strings.Contains(text, `"dropped":0,"message":"tracing: the collector takes spans again"`) {
		t.Errorf("the log has %s", text)
	}
}

// TestCollectorAsksForLong: one that has no room for an hour is not asked with each batch.
func TestCollectorAsksForLong(t *testing.T) {
	t.Parallel()
	f := func(retryAfter string) {
		t.Helper()
		c := otlptest.Start(t)
		c.Answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", retryAfter)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		one, log := start(t, c, nil)
		one.trip()
		eventually(t, "the log says so", func() bool { return strings.Contains(log.String(), "the collector answers 429") })
		if n := one.count(t, "syncgate_trace_spans_dropped_total", ""); n != 0 || c.Posts() != 1 {
			t.Errorf("%s: %d were dropped after %d requests", retryAfter, n, c.Posts())
		}
	}
	f("3600")
	f("100000")
	f(time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
}

// TestCollectorRefuses: what it will never take is dropped and counted, and not tried again.
func TestCollectorRefuses(t *testing.T) {
	t.Parallel()
	c := otlptest.Start(t)
	c.Answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	one, log := start(t, c, nil)
	one.trip()
	refused := func([]otlptest.Span) bool {
		return one.count(t, "syncgate_trace_spans_dropped_total", "refused") == five
	}
	eventually(t, "they are dropped", func() bool { return refused(nil) })
	one.trip()
	eventually(t, "the next ones as well", func() bool { return one.count(t, "syncgate_trace_spans_dropped_total", "refused") == 2*five })
	if c.Posts() != 2 || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("%d requests, and the log has %s", c.Posts(), log)
	}
}

// TestCollectorTakesSome: what it rejects of a batch is counted, whatever number it says.
func TestCollectorTakesSome(t *testing.T) {
	t.Parallel()
	f := func(says uint64, rejected int) {
		t.Helper()
		c := otlptest.Start(t)
		c.Answer(func(w http.ResponseWriter, _ *http.Request) {
			partial := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), says)
			_, _ = w.Write(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), partial))
		})
		one, _ := start(t, c, nil)
		one.trip()
		if err := one.Close(t.Context()); err != nil {
			t.Error(err)
		}
		sent, refused := one.count(t, "syncgate_trace_spans_sent_total", ""), one.count(t, "syncgate_trace_spans_dropped_total", "refused")
		if sent != five-rejected || refused != rejected {
			t.Errorf("%d: %d were taken, %d were refused", says, sent, refused)
		}
	}
	f(0, 0)
	f(2, 2)
	f(five, five)
	f(five+1, five)
	f(512, five)
	f(1<<64-1, five)
}

// TestCollectorIsAway: the spans wait for it, and go to nobody else when it redirects.
func TestCollectorIsAway(t *testing.T) {
	t.Parallel()
	c, other := otlptest.Start(t), otlptest.Start(t)
	c.Answer(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, other.URL()+"/v1/traces", http.StatusTemporaryRedirect)
	})
	one, _ := start(t, c, nil)
	one.trip()
	eventually(t, "they are dropped", func() bool { return one.count(t, "syncgate_trace_spans_dropped_total", "refused") == five })
	if other.Posts() > 0 {
		t.Error("it follows a redirect")
	}
	two, log := start(t, c, func(cfg *tracing.Config, _ *tracing.Options) { cfg.URL = "http://127.0.0.1:1/user-secret" })
	two.trip()
	eventually(t, "the log says so", func() bool { return strings.Contains(log.String(), "connection refused") })
	if err := two.Close(t.Context()); err != nil || two.count(t, "syncgate_trace_spans_dropped_total", "collector") != five {
		t.Errorf("%v, and %d dropped", err, two.count(t, "syncgate_trace_spans_dropped_total", "collector"))
	}
	if strings.Contains(log.String(), "user-secret") {
		t.Errorf("the log has %s", log)
	}
}

// TestBodiesAreTheirOwn: the transport may still read the body of a batch that was dropped when the next one is made.
func TestBodiesAreTheirOwn(t *testing.T) {
	t.Parallel()
	first, second, before, err := tracing.Bodies()
	if err != nil || !bytes.Equal(first, before) || bytes.Equal(first, second) {
		t.Errorf("%v: %x became %x", err, before, first)
	}
}
