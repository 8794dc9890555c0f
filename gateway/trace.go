package gateway

import (
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/internal/httpfield"
	"syncgate/internal/httpserver"
	"syncgate/internal/redact"
)

// A create request can be part of a trace, which its client or this gateway has begun, and which its engine goes on with. What a trip knows anyway is
// enough to record it: its exchange with the engine when that has ended, and everything else when the trip has. So a trip that is not traced pays for
// a nil pointer.

// Tracer records how requests went, for operators who follow them through several systems. Its methods are called concurrently, also on loops: they
// must not block.
type Tracer interface {
	// Begin gives the Trace of a create request, never nil. Dialects read in h what the engine is to have: it puts that in place of what the client sent
	// as traceparent and tracestate.
	Begin(h *fasthttp.RequestHeader) *Trace
	// Park says that callbacks with tokens of id belong to t, which is recorded. Most of them come before until.
	Park(id correlator.ID, t *Trace, until time.Time)
	// Forward records an exchange with an engine.
	Forward(t *Trace, f *ForwardFacts)
	// End records the request. The trip is over, its exchange with the engine may last.
	End(t *Trace, f *TripFacts)
	// Callback records a callback whose id is Traced, at whatever node it came.
	Callback(f *CallbackFacts)
}

// Trace is the trace of a request.
type Trace struct {
	Traceparent, Tracestate string // for the engine [W3C Trace Context]; Tracestate may be empty
	// Request is the traceparent of the request itself, for what is done later because of it; empty: the request is not recorded.
	Request string
	// Unsent says that no engine gets the request: what completes it is below the request itself, and not below an exchange. It is set before Park.
	Unsent bool
	Own    any // the Tracer's own

	route string // the name that its path alone has; set by newTrip
	// Owned by the exchange with the engine, up to Finished.
	method, path string
	answered     atomic.Int64 // when that ended, in Unix nanoseconds; 0 while it lasts

	replies time.Time // when its reply began; owned by the goroutine that answers the client
}

// ForwardFacts are what is known of an exchange with an engine.
type ForwardFacts struct {
	Engine       string // its name
	URL          string // as configured
	Method, Path string // as sent; what may be a secret is left out of the path. Empty: nothing was sent
	Begun        time.Time
	Took         time.Duration
	Status       int    // of the engine's answer; 0: there is none
	Code         string // the status, or what went wrong instead
}

// TripFacts are what is known of a request that is over.
type TripFacts struct {
	Accepted  time.Time
	Forwarded time.Time // when the exchange with the engine began; zero: there was none
	Answered  time.Time // when that ended; zero: it lasts, or there was none
	Replies   time.Time // when the reply began; zero: there was nothing to wait for
	Took      time.Duration

	RequestID, Remote, Login string
	Routed                   bool   // it is no create of the default dialect
	Route                    string // its name; empty for the default dialect, and where a refusal came before it was known which route of several it is
	Trip                     string // the beginning of its id, as logs have it; empty: it was refused
	Outcome, Reason          string // Reason is empty, unless it was refused
	Status                   int
	Ops                      int
	Process, Ref, EngineTask string        // of the op that the log names; may be empty
	Joined                   correlator.ID // the trip that it waited for, as that has its key; zero: it had its own
	Written                  bool
}

// CallbackFacts are what is known of a callback. Of one that came by a name, or in another way than by a callback URL, nothing of its request is known.
type CallbackFacts struct {
	Trip        correlator.ID
	Op          int
	Trace       *Trace // of the trip, if it waits here; else nil
	Engine      string // the name of the engine that was given the token; empty: that is not known
	Method      string // empty: its request is not known
	Traceparent string // the beginning of what the engine sent, 64 bytes at most; empty: there was none, or several
	Bytes       int    // of its body
	Begun       time.Time
	Took        time.Duration
	Status      int    // of the answer. Where the request is not known: 0, or that of the error which its dialect words
	Outcome     string // as metrics have it; empty: Status says it
}

// mostTraceparent is what is kept of a callback's traceparent, in bytes: more than what has a meaning [W3C Trace Context, which lets later versions append].
const mostTraceparent = 64

// recorded reports whether a request is recorded. A nil Trace is not.
func (t *Trace) recorded() bool { return t != nil && t.Request != "" }

// Set puts the trace into a header, in place of all lines that are there.
func (t *Trace) Set(h *fasthttp.RequestHeader) {
	h.Del("Traceparent")
	h.Del("Tracestate")
	h.Set("Traceparent", t.Traceparent)
	if t.Tracestate != "" {
		h.Set("Tracestate", t.Tracestate)
	}
}

// forward gives a request for the engine what it is to have of the trace.
func (t *Trace) forward(h *fasthttp.RequestHeader) {
	if t == nil {
		return
	}
	t.Set(h)
	if t.recorded() {
		t.method, t.path = string(h.Method()), redact.Path(httpfield.RawPath(h.RequestURI()))
	}
}

// reply notes that the reply begins.
func (t *Trace) reply() {
	if t.recorded() {
		t.replies = time.Now()
	}
}

// tracePark says to the tracer under which id the trip is parked.
func (t *trip) tracePark() {
	if t.trace.recorded() {
		lasts := max(t.call.Wait, termsOf(t.call).Lasts)
		t.g.tracer.Park(t.id, t.trace, t.accepted.Add(lasts))
	}
}

// traceUnsent notes whether an engine gets the request, before anybody can complete it.
func (t *trip) traceUnsent() {
	if t.trace.recorded() {
		t.trace.Unsent = !forwards(t.call)
	}
}

// traceForward records the exchange with the engine.
func (t *trip) traceForward(took time.Duration, code string) {
	if t.trace.recorded() {
		e, now := t.g.engines[t.engine], time.Now()
		t.trace.answered.Store(now.UnixNano())
		t.g.tracer.Forward(t.trace, &ForwardFacts{
			Engine: e.name, URL: e.cfg.URL, Method: t.trace.method, Path: t.trace.path,
			Begun: now.Add(-took), Took: took, Status: int(t.engineStatus), Code: code,
		})
	}
}

// traceEnd records the request. Requests without a proven login are not recorded: a stranger could push all others out.
func (t *trip) traceEnd(outcome string, took time.Duration, written bool) {
	if !t.trace.recorded() || t.login() == unknownLogin {
		return
	}
	f := TripFacts{
		Accepted: t.accepted, Replies: t.trace.replies, Took: took,
		RequestID: t.requestID, Remote: t.remote, Login: t.login(), Outcome: outcome, Status: t.status, Written: written,
	}
	if t.joined {
		f.Joined = t.id
	}
	if answered := t.trace.answered.Load(); answered != 0 {
		f.Answered = time.Unix(0, answered)
		f.Forwarded = f.Answered.Add(-time.Duration(t.engineTime.Load()))
	} else if forwarded := t.forwarded.Load(); forwarded != 0 {
		f.Forwarded = time.Unix(0, forwarded)
	}
	if t.id != (correlator.ID{}) {
		f.Trip = t.id.String()
	}
	if t.refusal != nil {
		f.Reason = reasonOf(t.refusal)
	}
	f.Routed, f.Route = t.dialect > 0, t.trace.route
	if t.call != nil {
		f.Ops = len(t.call.Ops)
		if t.call.Options != nil {
			f.Route = t.call.Options.Route
		}
		if f.Ops > 0 {
			i := t.subject()
			op := &t.call.Ops[i]
			f.Process, f.Ref = string(redact.AppendLabel(nil, op.Process, mostLabel)), string(redact.AppendLabel(nil, op.Ref, mostLabel))
			f.EngineTask = string(t.appendEngineTask(nil, i))
		}
	}
	t.g.tracer.End(t.trace, &f)
}

// calling is the exchange of a callback.
type calling struct {
	httpserver.Exchange
	heard *heardCallback // nil: it is not recorded
}

// heardCallback is a callback that is recorded when it is answered.
type heardCallback struct {
	tracer Tracer
	facts  CallbackFacts
}

// hear begins to record a callback, if its trip is recorded. It copies what it keeps.
func (g *Gateway) hear(in *httpserver.Incoming, a *heading) calling {
	x := calling{Exchange: in.Exchange}
	if g.tracer == nil || !a.token.Trip.Traced() {
		return x
	}
	h := &in.Request.Header
	x.heard = &heardCallback{g.tracer, CallbackFacts{
		Trip: a.token.Trip, Op: a.token.Op, Engine: a.engine.name, Method: a.method, Bytes: len(in.Request.Body()), Begun: time.Now(),
	}}
	if lines := h.PeekAll("Traceparent"); len(lines) == 1 {
		x.heard.facts.Traceparent = string(lines[0][:min(len(lines[0]), mostTraceparent)])
	}
	if t, here := g.correlator.Waiter(a.token.Trip).(*trip); here {
		x.heard.facts.Trace = t.trace
	}
	return x
}

// Reply answers the callback.
func (x calling) Reply(resp *fasthttp.Response) {
	if x.heard != nil {
		x.heard.answered(resp, nil)
	}
	x.Exchange.Reply(resp)
}

// answered records the callback. An error is what is still to be worded.
func (h *heardCallback) answered(resp *fasthttp.Response, err error) {
	h.facts.Status, h.facts.Took = resp.StatusCode(), time.Since(h.facts.Begun)
	if err != nil {
		h.facts.Status = faultOf(err).Status
	}
	h.tracer.Callback(&h.facts)
}

// hearNamed begins to record a callback that came in another way than by a callback URL, if its trip is recorded; else it gives nil.
func (g *Gateway) hearNamed(to correlator.Token) *heardCallback {
	if g.tracer == nil || !to.Trip.Traced() {
		return nil
	}
	h := &heardCallback{g.tracer, CallbackFacts{Trip: to.Trip, Op: to.Op, Begun: time.Now()}}
	if e, ok := g.engineOf(to.Engine); ok && to.Engine != (correlator.EngineID{}) { // names have none
		h.facts.Engine = e.name
	}
	if t, here := g.correlator.Waiter(to.Trip).(*trip); here {
		h.facts.Trace = t.trace
	}
	return h
}

// settled records it. An error is what its dialect words.
func (h *heardCallback) settled(outcome string, err error) {
	if h == nil {
		return
	}
	h.facts.Outcome, h.facts.Took = outcome, time.Since(h.facts.Begun)
	if err != nil && outcome != callbackRepeated {
		h.facts.Status = faultOf(err).Status
	}
	h.tracer.Callback(&h.facts)
}
