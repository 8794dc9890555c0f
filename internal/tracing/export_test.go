package tracing

import (
	"compress/gzip"
	"io"
	"time"

	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
)

// Bodies gives the bodies of two requests that one exporter makes, and what the first one was before the second one was made.
func Bodies() (first, second, before []byte, err error) {
	e := exporter{wrap: wrapper(&Config{}, &Options{}), zip: gzip.NewWriter(io.Discard)}
	batch := func() []*tracepb.Span {
		return []*tracepb.Span{newSpan(whatRequest, newTraceID(), newSpanID(), spanID{}, false, server, time.Now(), time.Now()).Span}
	}
	if first, err = e.encode(batch()); err != nil {
		return nil, nil, nil, err
	}
	before = append(before, first...)
	second, err = e.encode(batch())
	return first, second, before, err
}

// Advised is advised.
func Advised(err error) error { return advised(err) }
