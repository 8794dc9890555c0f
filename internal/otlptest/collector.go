// Package otlptest is a collector for tests: it takes spans by OTLP over HTTP, in protobuf and gzip, and keeps them.
package otlptest

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	collectorpb "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
)

// Patience is how long Wait waits.
const Patience = 30 * time.Second

// Span is a span as a collector gets it.
type Span struct {
	Trace, ID, Parent, Name, State string // Trace, ID and Parent in hexadecimal digits; Parent is empty for the first span of a trace
	Kind                           string // server, client or internal
	Attributes                     map[string]string
	Resource                       map[string]string
	Failed, Remote                 bool
	Begun, Ended                   time.Time
	Links                          []string // traces
	Scope, Schema                  string
	Header                         http.Header
}

// What is the attribute that says which span it is.
func (s Span) What() string { return s.Attributes["syncgate.span"] }

// Collector keeps the spans that it gets. All methods are safe for concurrent use.
type Collector struct {
	server *httptest.Server

	mu     sync.Mutex
	answer http.HandlerFunc // guarded by mu; nil: 200
	spans  []Span           // guarded by mu
	seen   map[string]bool  // guarded by mu: the ids of spans
	posts  int              // guarded by mu
	bad    error            // guarded by mu: what was not OTLP
	came   chan struct{}    // guarded by mu: closed and replaced when something comes
}

// Start starts a collector, which ends with the test. What it gets and cannot read fails the test, and so does a span that breaks a rule of OTLP, or that it has already.
func Start(t testing.TB) *Collector {
	c := &Collector{came: make(chan struct{}), seen: make(map[string]bool)}
	c.server = httptest.NewServer(c)
	t.Cleanup(func() {
		c.server.Close()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.bad != nil {
			t.Error(c.bad)
		}
	})
	return c
}

// URL is where the collector is, without a path.
func (c *Collector) URL() string { return c.server.URL }

// Answer has requests answered by h, and their spans not kept; nil: they are kept, and answered 200.
func (c *Collector) Answer(h http.HandlerFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = h
}

// ServeHTTP takes a request.
func (c *Collector) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	c.mu.Lock()
	c.posts++
	answer := c.answer
	c.mu.Unlock()
	if answer != nil {
		c.changed()
		answer(w, req)
		return
	}
	spans, err := read(req)
	c.keep(spans, err)
	c.changed()
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// keep keeps spans. Of what is bad the first is enough.
func (c *Collector) keep(spans []Span, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range spans {
		if c.seen[s.ID] && err == nil {
			err = fmt.Errorf("span %s comes twice: %+v", s.ID, s)
		}
		c.seen[s.ID] = true
	}
	c.spans = append(c.spans, spans...)
	c.bad = cmp.Or(c.bad, err)
}

func (c *Collector) changed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.came)
	c.came = make(chan struct{})
}

// read reads the spans of a request.
func read(req *http.Request) (all []Span, err error) {
	if req.Method != http.MethodPost || req.URL.Path != "/v1/traces" || req.Header.Get("Content-Type") != "application/x-protobuf" || req.Header.Get("Content-Encoding") != "gzip" {
		return nil, fmt.Errorf("%s %s with %v is not OTLP over HTTP", req.Method, req.URL.Path, req.Header)
	}
	plain, err := gzip.NewReader(req.Body)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(plain)
	if err != nil {
		return nil, err
	}
	var message collectorpb.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &message); err != nil {
		return nil, err
	}
	for _, r := range message.GetResourceSpans() {
		for _, scope := range r.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				err = cmp.Or(err, wrong(s))
				one := spanOf(s, r.GetResource().GetAttributes(), req.Header)
				one.Scope, one.Schema = scope.GetScope().GetName()+" "+scope.GetScope().GetVersion(), scope.GetSchemaUrl()
				all = append(all, one)
			}
		}
	}
	return all, err
}

// wrong says which rule of OTLP a span breaks.
func wrong(s *tracepb.Span) error {
	isID := func(id []byte, size int) bool { return len(id) == size && !bytes.Equal(id, make([]byte, size)) }
	problem := ""
	switch {
	case !isID(s.GetTraceId(), 16), !isID(s.GetSpanId(), 8), len(s.GetParentSpanId()) > 0 && !isID(s.GetParentSpanId(), 8):
		problem = "an id"
	case bytes.Equal(s.GetParentSpanId(), s.GetSpanId()):
		problem = "its parent"
	case s.GetName() == "":
		problem = "its name"
	case s.GetStartTimeUnixNano() == 0, s.GetEndTimeUnixNano() < s.GetStartTimeUnixNano():
		problem = "its times"
	case slices.ContainsFunc(s.GetLinks(), func(l *tracepb.Span_Link) bool { return !isID(l.GetTraceId(), 16) || !isID(l.GetSpanId(), 8) }):
		problem = "a link"
	case len(texts(s.GetAttributes())) < len(s.GetAttributes()):
		problem = "an attribute that is there twice"
	default:
		return nil
	}
	return fmt.Errorf("a span is not good, because of %s: %v", problem, s)
}

func spanOf(s *tracepb.Span, resource []*commonpb.KeyValue, header http.Header) Span {
	kinds := map[tracepb.Span_SpanKind]string{tracepb.Span_SPAN_KIND_SERVER: "server", tracepb.Span_SPAN_KIND_CLIENT: "client", tracepb.Span_SPAN_KIND_INTERNAL: "internal"}
	out := Span{
		Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()), Name: s.GetName(), State: s.GetTraceState(),
		Kind: kinds[s.GetKind()], Attributes: texts(s.GetAttributes()), Resource: texts(resource), Failed: s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR,
		Remote: s.GetFlags()>>9&1 == 1, Header: header,
		Begun: time.Unix(0, int64(s.GetStartTimeUnixNano())), Ended: time.Unix(0, int64(s.GetEndTimeUnixNano())), //nolint:gosec // of this century
	}
	for _, l := range s.GetLinks() {
		out.Links = append(out.Links, hex.EncodeToString(l.GetTraceId()))
	}
	return out
}

func texts(all []*commonpb.KeyValue) map[string]string {
	m := make(map[string]string, len(all))
	for _, a := range all {
		switch v := a.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			m[a.GetKey()] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			m[a.GetKey()] = strconv.FormatInt(v.IntValue, 10)
		case *commonpb.AnyValue_BoolValue:
			m[a.GetKey()] = strconv.FormatBool(v.BoolValue)
		default:
			m[a.GetKey()] = fmt.Sprint(v)
		}
	}
	return m
}

// Spans gives what was kept so far.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}

// Posts says how many requests came.
func (c *Collector) Posts() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.posts
}

// Wait waits until enough, and gives the spans that were kept by then.
func (c *Collector) Wait(t testing.TB, what string, enough func(spans []Span) bool) []Span {
	t.Helper()
	end := time.After(Patience)
	for {
		c.mu.Lock()
		came := c.came
		c.mu.Unlock()
		if spans := c.Spans(); enough(spans) {
			return spans
		}
		select {
		case <-came:
		case <-end:
			for _, s := range c.Spans() {
				t.Logf("%+v", s)
			}
			t.Fatalf("not within %v: %s", Patience, what)
		}
	}
}

// Find gives the one span that is what, of all that match.
func Find(t testing.TB, spans []Span, what string) Span {
	t.Helper()
	var found []Span
	for _, s := range spans {
		if s.What() == what {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d spans %s: %+v", len(found), what, spans)
	}
	return found[0]
}
