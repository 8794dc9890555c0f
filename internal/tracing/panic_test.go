package tracing

import (
	"bytes"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"

	"syncgate/internal/otlptest"
)

// TestPanicCostsABatch has the sending of a batch panic: its span is counted, and the next one is sent.
func TestPanicCostsABatch(t *testing.T) {
	t.Parallel()
	c := otlptest.Start(t)
	cfg, log, counted, batches := Default(), new(bytes.Buffer), prometheus.NewRegistry(), atomic.Int32{}
	cfg.URL = c.URL()
	wrap := wrapper(&cfg, &Options{})
	e := newExporter(&cfg, func(spans []*tracepb.Span) *tracepb.TracesData {
		if batches.Add(1) == 1 {
			panic("a batch that cannot be read")
		}
		return wrap(spans)
	}, counted, zerolog.New(log))
	for want := range 2 {
		e.add(newSpan(whatRequest, newTraceID(), newSpanID(), spanID{}, false, server, time.Now(), time.Now()).Span)
		for end := time.Now().Add(20 * time.Second); spansCounted(t, counted) != want+1; <-time.After(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("span %d is not counted", want)
			}
		}
	}
	if err := e.close(t.Context()); err != nil || len(c.Spans()) != 1 {
		t.Errorf("%v, and the collector has %d spans", err, len(c.Spans()))
	}
	if text := log.String(); !bytes.Contains(log.Bytes(), []byte("sending panicked: string")) {
		t.Errorf("the log: %s", text)
	}
}

// spansCounted gives how many spans were sent or dropped.
func spansCounted(t *testing.T, metrics prometheus.Gatherer) (sum int) {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			sum += int(m.GetCounter().GetValue())
		}
	}
	return sum
}
