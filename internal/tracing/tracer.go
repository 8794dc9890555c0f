package tracing

import (
	"cmp"
	"context"
	"encoding/binary"
	"math"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/gateway"
	"syncgate/internal/httpfield"
	"syncgate/internal/redact"
)

// Options are what a Tracer needs beside its Config.
type Options struct {
	Version, Node string // of this process
	HTTPS         bool   // clients come by TLS
	// Redis is where nodes find the traces of each other's trips, at keys that begin with Prefix; nil: there are no other nodes.
	Redis   goredis.UniversalClient
	Prefix  string
	Metrics prometheus.Registerer // gets syncgate_trace_*; nil: nobody
	Log     zerolog.Logger
}

// Tracer is a gateway.Tracer, and traces notifications as well. All methods are safe for concurrent use, and none but Close blocks.
type Tracer struct {
	export  *exporter
	known   known
	sharing *sharing // nil: there are no other nodes
	scheme  string

	closed atomic.Bool
	bound  atomic.Uint64                     // of the lower half of trace ids: those below are recorded
	paths  atomic.Pointer[map[string]string] // of routes by their names; never changed
}

var _ gateway.Tracer = (*Tracer)(nil)

// New makes a Tracer of a valid Config that is Enabled. It runs until Close, which does not close o.Redis.
func New(cfg Config, o Options) *Tracer {
	t := &Tracer{export: newExporter(&cfg, wrapper(&cfg, &o), o.Metrics, o.Log), scheme: "http"}
	if o.HTTPS {
		t.scheme = "https"
	}
	if o.Redis != nil {
		t.sharing = newSharing(o.Redis, o.Prefix)
	}
	t.SetRatio(cfg.Ratio)
	return t
}

// SetRatio replaces Config.Ratio for requests that come from now on.
func (t *Tracer) SetRatio(ratio float64) {
	switch {
	case ratio >= 1:
		t.bound.Store(math.MaxUint64)
	case ratio > 0:
		t.bound.Store(uint64(ratio * (1 << 63)))
	default:
		t.bound.Store(0)
	}
}

// SetRoutes says which path each route has, by its name, for requests that end from now on. The map must not be changed any more.
func (t *Tracer) SetRoutes(paths map[string]string) { t.paths.Store(&paths) }

// path gives the path of a route as it is configured, empty where that is not known.
func (t *Tracer) path(route string) string {
	if paths := t.paths.Load(); paths != nil {
		return (*paths)[route]
	}
	return ""
}

// Close sends what waits, until ctx ends. What is left then is dropped and the error says so. Spans that come later are dropped. The second Close does
// nothing.
func (t *Tracer) Close(ctx context.Context) error {
	if t.closed.Swap(true) {
		return nil
	}
	if t.sharing != nil {
		t.sharing.close(ctx)
	}
	return t.export.close(ctx)
}

// own is what is known of a request that is recorded.
type own struct {
	gateway.Trace

	place           place  // of the request itself
	parent          spanID // the client's; zero: the trace begins here
	forward         spanID // of the exchange with the engine
	method          string
	path, userAgent string
}

// route is where callbacks of the request belong. One that no engine gets has no exchange that they could be below.
func (o *own) route() route {
	if o.Unsent {
		return route{o.place.trace, o.place.span}
	}
	return route{o.place.trace, o.forward}
}

// Begin is gateway.Tracer's. A parent decides whether the request is recorded; without one the ratio does, by the trace's id, as others do it.
func (t *Tracer) Begin(h *fasthttp.RequestHeader) *gateway.Trace {
	o := &own{}
	lines := h.PeekAll("Traceparent")
	var parent place
	known := false
	if len(lines) == 1 {
		parent, known = parse(lines[0])
	}
	if known {
		o.place, o.parent = place{trace: parent.trace, sampled: parent.sampled}, parent.span
		o.Tracestate = stateOf(h)
	} else {
		o.place.trace = newTraceID()
		o.place.sampled = binary.BigEndian.Uint64(o.place.trace[8:])>>1 < t.bound.Load()
	}
	o.place.span, o.forward = newSpanID(), newSpanID()
	engine := place{o.place.trace, o.forward, o.place.sampled}
	if known && !parent.sampled { // there is no span of ours that could be the engine's parent
		engine = parent
	}
	o.Traceparent = engine.String()
	o.Set(h)
	if o.place.sampled {
		o.Request, o.Own = o.place.String(), o
		o.method, o.path, o.userAgent = string(h.Method()), redact.Path(httpfield.RawPath(h.RequestURI())), redact.Text(string(h.UserAgent()))
	}
	return &o.Trace
}

// Park is gateway.Tracer's.
func (t *Tracer) Park(id correlator.ID, trace *gateway.Trace, until time.Time) {
	o, ok := trace.Own.(*own)
	if !ok {
		return
	}
	r := o.route()
	t.known.add(id, r)
	if t.sharing != nil {
		t.sharing.put(id, r, until)
	}
}

// Forward is gateway.Tracer's.
func (t *Tracer) Forward(trace *gateway.Trace, f *gateway.ForwardFacts) {
	o, ok := trace.Own.(*own)
	if !ok {
		return
	}
	s := newSpan(whatForward, o.place.trace, o.forward, o.place.span, false, client, f.Begun, f.Begun.Add(f.Took))
	s.TraceState = o.Tracestate
	s.text("syncgate.engine", f.Engine)
	if u, err := url.Parse(f.URL); err == nil {
		s.address(u)
		if f.Path != "" {
			s.text("url.full", u.Scheme+"://"+u.Host+f.Path)
		}
	}
	if f.Method != "" {
		s.method(f.Method, f.Engine)
	}
	s.status(f.Status, 400)
	if f.Status == 0 {
		s.fail(f.Code)
	}
	t.export.add(s.Span)
}

// createPath is the path of a create of the default dialect, without what is in it [the vendor's Sync API].
const createPath = "/api/{version}/json/{login}/{time}/{signature}"

// End is gateway.Tracer's.
func (t *Tracer) End(trace *gateway.Trace, f *gateway.TripFacts) {
	o, ok := trace.Own.(*own)
	if !ok {
		return
	}
	ended := f.Accepted.Add(f.Took)
	s := newSpan(whatRequest, o.place.trace, o.place.span, o.parent, o.parent != spanID{}, server, f.Accepted, ended)
	s.TraceState = o.Tracestate
	path := createPath
	if f.Routed {
		path = t.path(f.Route)
	}
	s.method(o.method, cmp.Or(path, f.Route))
	s.text("http.route", path)
	s.text("syncgate.route", f.Route)
	s.text("url.path", o.path)
	s.text("url.scheme", t.scheme)
	s.text("user_agent.original", o.userAgent)
	s.text("client.address", f.Remote)
	s.text("syncgate.request_id", f.RequestID)
	s.text("syncgate.trip", f.Trip)
	s.text("syncgate.login", f.Login)
	s.text("syncgate.outcome", f.Outcome)
	s.text("syncgate.reason", f.Reason)
	s.text("syncgate.process", f.Process)
	s.text("syncgate.ref", f.Ref)
	s.text("syncgate.engine_task", f.EngineTask)
	s.number("syncgate.ops", f.Ops)
	s.yes("syncgate.joined", f.Joined != correlator.ID{})
	s.yes("syncgate.abandoned", !f.Written)
	switch f.Outcome {
	case "timeout", "engine_error": // of which the Sync API says 200
		s.number("http.response.status_code", f.Status)
		s.fail(f.Outcome)
	default:
		s.status(f.Status, 500)
	}
	t.addLinked(s, f.Joined)
	t.parts(o, f, ended)
}

// addLinked has the span of a request sent, with a link to what it waited for: the exchange with the engine of the trip joined, if that is recorded.
func (t *Tracer) addLinked(s builder, joined correlator.ID) {
	add := func(r route, ok bool) {
		if ok {
			s.link(place{r.trace, r.forward, true})
		}
		t.export.add(s.Span)
	}
	if !joined.Traced() || !t.find(joined, add) {
		add(route{}, false)
	}
}

// parts records what a request was made of.
func (t *Tracer) parts(o *own, f *gateway.TripFacts, ended time.Time) {
	part := func(w what, begun, ended time.Time) {
		s := newSpan(w, o.place.trace, newSpanID(), o.place.span, false, internal, begun, ended)
		s.TraceState = o.Tracestate
		t.export.add(s.Span)
	}
	waits := f.Accepted
	if !f.Forwarded.IsZero() {
		part(whatAccept, f.Accepted, f.Forwarded)
		waits = f.Forwarded
	}
	if !f.Answered.IsZero() {
		waits = f.Answered
	}
	if f.Replies.IsZero() {
		return
	}
	if waits.After(f.Replies) { // the callback came before the engine's own answer
		waits = f.Replies
	}
	if f.Joined != (correlator.ID{}) || o.Unsent || !f.Forwarded.IsZero() {
		part(whatWait, waits, f.Replies)
	}
	part(whatReply, f.Replies, ended)
}

// callbackPath is that of callbacks, without what is in it [the vendor's own path].
const callbackPath = "/api/1/plugins/callback/{token}"

// Callback is gateway.Tracer's.
func (t *Tracer) Callback(f *gateway.CallbackFacts) {
	if f.Trace != nil {
		if o, ok := f.Trace.Own.(*own); ok {
			t.callback(f, o.route(), true)
			return
		}
	}
	if !t.find(f.Trip, func(r route, ok bool) { t.callback(f, r, ok) }) {
		t.export.dropped[droppedUnknown].Inc()
	}
}

// find gives found the route of a trip, now or, where another node has to be asked, later. False: there is no room to ask, and found is not called.
func (t *Tracer) find(id correlator.ID, found func(r route, ok bool)) bool {
	r, ok := t.known.get(id)
	if ok || t.sharing == nil {
		found(r, ok)
		return true
	}
	return t.sharing.ask(id, found)
}

// callback records a callback. known: its trip's trace is r. Where that is not known the engine's own word counts: it has the trip's token.
func (t *Tracer) callback(f *gateway.CallbackFacts, r route, known bool) {
	theirs, said := parse([]byte(f.Traceparent))
	same := said && theirs.trace == r.trace
	switch {
	case known && !same:
	case said:
		r = route{theirs.trace, theirs.span}
	default:
		t.export.dropped[droppedUnknown].Inc()
		return
	}
	s := newSpan(whatCallback, r.trace, newSpanID(), r.forward, true, server, f.Begun, f.Begun.Add(f.Took))
	if known && said && !same {
		s.link(theirs)
	}
	if f.Method != "" {
		s.method(f.Method, callbackPath)
		s.text("http.route", callbackPath)
		s.text("url.path", callbackPath)
		s.text("url.scheme", t.scheme)
		s.number("http.request.body.size", f.Bytes)
		s.status(f.Status, 500)
	} else { // of its request nothing is known
		s.Kind = internal
		if f.Status >= 500 {
			s.fail(f.Outcome)
		}
	}
	s.text("syncgate.trip", f.Trip.String())
	s.text("syncgate.engine", f.Engine)
	s.text("syncgate.outcome", f.Outcome)
	s.number("syncgate.op", f.Op)
	t.export.add(s.Span)
}

// AttemptFacts are what came of an attempt to send a notification.
type AttemptFacts struct {
	ID, Subscription string
	Scheme, Host     string // of the receiver; Host has the port
	Number           int    // of the attempt, from 1
	Begun            time.Time
	Took             time.Duration
	Outcome          string // delivered, or what else
	Status           int    // 0: there was no answer
	Delivered        bool
}

// Attempt begins to record an attempt below a traceparent that is recorded. It gives the traceparent for the receiver, and what is to be called
// when the attempt has ended; empty and nil: nothing is recorded.
func (t *Tracer) Attempt(traceparent string) (forReceiver string, ended func(*AttemptFacts)) {
	parent, ok := parse([]byte(traceparent))
	if !ok || !parent.sampled {
		return "", nil
	}
	id := newSpanID()
	return place{parent.trace, id, true}.String(), func(f *AttemptFacts) {
		s := newSpan(whatNotify, parent.trace, id, parent.span, true, client, f.Begun, f.Begun.Add(f.Took))
		s.method("POST", "notification")
		s.address(&url.URL{Host: f.Host})
		s.text("url.full", f.Scheme+"://"+f.Host+"/...") // its path may be a secret
		s.text("syncgate.notification", f.ID)
		s.text("syncgate.subscription", f.Subscription)
		s.text("syncgate.outcome", f.Outcome)
		if f.Number > 1 {
			s.number("http.request.resend_count", f.Number-1)
		}
		s.status(f.Status, 400)
		if s.Status == nil && !f.Delivered {
			s.fail(f.Outcome)
		}
		t.export.add(s.Span)
	}
}
