package tracing_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"syncgate/correlator"
	"syncgate/gateway"
	"syncgate/internal/otlptest"
	"syncgate/internal/tracing"
	"syncgate/signer"
)

type secret = signer.Secret

func TestMain(m *testing.M) {
	// The client of Redis sleeps for a second between two dials, and sees only then that it was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// logbook is a log that is written and read at once.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// traced is a Tracer under test, with what it counts and logs.
type traced struct {
	*tracing.Tracer
	metrics *prometheus.Registry
	log     *logbook
}

// start makes a Tracer that sends to c, and ends with the test.
func start(t *testing.T, c *otlptest.Collector, change func(*tracing.Config, *tracing.Options)) (*traced, *logbook) {
	t.Helper()
	cfg := tracing.Default()
	cfg.URL = c.URL()
	one := &traced{metrics: prometheus.NewRegistry(), log: new(logbook)}
	o := tracing.Options{Version: "v1", Node: "n1", Metrics: one.metrics, Log: zerolog.New(one.log)}
	if change != nil {
		change(&cfg, &o)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	one.Tracer = tracing.New(cfg, o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = one.Close(ctx) // the collector of some tests takes nothing
	})
	return one, one.log
}

// count adds up the samples of a metric, by a label's value if there is one.
func (o *traced) count(t *testing.T, name, reason string) (sum int) {
	t.Helper()
	families, err := o.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (reason == "" || strings.Contains(fmt.Sprint(m.GetLabel()), `"`+reason+`"`)) {
				sum += int(m.GetCounter().GetValue() + m.GetGauge().GetValue())
			}
		}
	}
	return sum
}

// trip records one that took 30 ms, and gives its id.
func (o *traced) trip(headers ...string) correlator.ID {
	trace, _ := begin(o, headers...)
	now := time.Now()
	id := correlator.NewID(correlator.NewNodeID(), now.Add(time.Minute)).Trace()
	if trace.Request == "" {
		return id
	}
	o.Park(id, trace, now.Add(time.Second))
	o.Forward(trace, &gateway.ForwardFacts{Engine: "flow", URL: "https://flow.example:444/hooks/{kind}?key=hidden", Method: "POST", Path: "/hooks/a", Begun: now.Add(10 * time.Millisecond), Took: 5 * time.Millisecond, Status: 202})
	o.End(trace, &gateway.TripFacts{
		Accepted: now, Forwarded: now.Add(10 * time.Millisecond), Answered: now.Add(15 * time.Millisecond), Replies: now.Add(25 * time.Millisecond), Took: 30 * time.Millisecond,
		RequestID: "r1", Remote: "192.0.2.1", Login: "web", Routed: true, Route: "shop", Trip: id.String(), Outcome: "complete", Status: 200, Ops: 1, Written: true,
	})
	return id
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, end := time.NewTicker(10*time.Millisecond), time.After(otlptest.Patience)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not within %v: %s", otlptest.Patience, what)
		}
	}
}
