package gateway

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/cors"
	"syncgate/internal/httpserver"
	"syncgate/internal/whereabouts"
)

// trip is one request of a client from its acceptance to its reply. It is the correlator's Receiver, the exchange's Waiter and the
// engine's Call (forward.go).
type trip struct {
	// Set before the trip is parked, read-only afterwards.
	g         *Gateway
	id        correlator.ID
	call      *dialect.Call
	requestID string
	origin    string
	remote    string
	accepted  time.Time
	deadline  time.Time
	leave     func()       // gives back the place that admission gave; nil: there is none
	key       string       // the client's name for the request, empty if it has none
	task      *taskRequest // of a client that comes back: what it asks for
	kind      kind
	dialect   uint8 // of the request
	engine    uint8 // of the call
	listed    bool  // the route's own list has the origin
	unwanted  bool  // guarded by mu: the engine is to be asked to cancel the task
	names     uint8 // guarded by mu: what is done with the names of the call (names.go)

	trace *Trace // nil: nothing is traced (trace.go)

	exchange httpserver.Exchange
	body     httpserver.Reservation // of the request's bytes: given back when the engine has them
	claimed  atomic.Bool            // the key is bound to this trip, and there is a record of it

	// Owned by the exchange with the engine, up to Finished; what does not change then may be read when engineTime is not 0.
	exchanged    engineAnswer
	engineStatus uint16             // of the engine's own answer; 0: there is none
	engineTask   dialect.EngineTask // of a call with one op
	said         *engineSaid        // nil: nothing but "taken"

	forwarded  atomic.Int64 // when the request was made for the engine, in Unix nanoseconds; 0: not yet
	engineTime atomic.Int64 // nanoseconds of the exchange with the engine; 0 while it lasts

	// Owned by the goroutine that answers the client, and then by Replied.
	kept     bool           // its finals are in its record
	unworded bool           // the dialect could not word the reply: the client has not got its result
	status   int            // of the reply
	refusal  *dialect.Fault // why nothing was forwarded, or the reply not worded

	mu      sync.Mutex // guards what follows; held for a few instructions, never over I/O
	phase   phase
	own     bool                  // the table has, or had, the trip under its own id
	inTable bool                  // it is parked or attached
	gone    bool                  // the client has hung up
	joined  bool                  // it waits for another trip, whose id it has
	queued  bool                  // it waits for a connection to the engine: nothing is forwarded yet
	round   uint16                // how often it began again
	finals  []correlator.Callback // one per op; stays as it is once the trip is decided
	open    int                   // ops without a final
	heard   whereabouts.Heard
	why     error // of a decided trip: nil when it is complete, a *Fault when nothing was forwarded, else Reply.Open
	whole   *wholeAnswer
	detach  func()                         // ends the wait for another trip
	waiting []func(correlator.Disposition) // callbacks whose disposition is that of the reply
}

// kind is what a client asks for.
type kind uint8

const (
	creates kind = iota // tasks
	fetches             // a result
)

// phase is how far a trip has come. It only grows, except where a trip that waited for another one in vain begins again.
type phase uint8

const (
	starting phase = iota // not parked yet
	parked                // ops are open and the client waits
	decided               // what the client will read is certain
	over                  // it is on the client's connection, or kept, or given up; the trip has left the table
)

// create serves one create request: the whole product, top to bottom. An error means that nothing was forwarded and that the exchange is
// not suspended; the table in fault.go makes it the answer.
func (g *Gateway) create(in *httpserver.Incoming, t *trip, r dialect.Route) (suspended bool, err error) {
	if t.call, err = g.dialects.Accept(t.dialect, in.Request, r, t.accepted); err != nil {
		return false, err
	}
	if err = t.route(r); err != nil {
		return false, err
	}
	if t.key, err = keyOf(&in.Request.Header, t.dialect > 0); err != nil {
		return false, err
	}
	t.expect()
	if t.open == 0 && !t.pushes() { // every op was refused: there is nothing to ask the engine for
		return false, g.dialects.Answer(t.dialect, in.Response, t.call, &dialect.Reply{Finals: t.finals, RequestID: t.requestID})
	}
	if in.OverLimit() {
		return false, errOverLimit
	}
	if t.leave, err = g.admit(t.call, t.remote, t.accepted); err != nil {
		return false, err
	}
	t.id, t.body, t.exchange = t.newID(), in.TakeBody(), in.Exchange
	if t.key == "" && (t.handsOver() || t.merges() || t.pushes() || termsOf(t.call).Recorded) {
		t.key = ownKey(t.id)
	}
	in.Wait(t) // from here on every answer is an event's: see event.go
	switch {
	case t.open == 0:
		g.work.run(t.register)
	case t.key != "" && g.keeper != nil:
		t.runUnlessLocal(func() { g.claim(t) })
	case t.named():
		t.runUnlessLocal(t.park)
	default:
		t.park()
	}
	return true, nil
}

// runUnlessLocal runs what asks the store, which a loop must not wait for.
func (t *trip) runUnlessLocal(f func()) {
	if t.g.local {
		f()
	} else {
		t.g.work.run(f)
	}
}

// route gives the call to its engine, as the route says.
func (t *trip) route(r dialect.Route) error {
	o := t.call.Options
	if o == nil {
		return nil
	}
	t.listed = t.listed && t.g.dialects.AllowsOrigin(t.dialect, r, t.origin, t.call.Login)
	index, ok := t.g.engineNamed(o.Engine)
	if !ok {
		return fmt.Errorf("route %s: there is no engine %s", o.Route, o.Engine)
	}
	t.engine = index
	t.keepData()
	return t.g.engines[index].code.Prepare(t.call)
}

// park puts the trip into the table and forwards it, in this order: the callback may overtake the engine's own answer.
func (t *trip) park() {
	t.begin(true)
	t.traceUnsent()
	if err := t.g.correlator.Park(t.id, t, t.deadline); err != nil {
		t.body.Release()
		t.failed(faultOf(err))
		return
	}
	t.tracePark()
	if t.named() {
		t.forwardNamed()
		return
	}
	t.g.engines[t.engine].client.Do(t)
	t.registered()
}

// begin says that events may decide the trip from now on. own: the table will have it under its own id.
func (t *trip) begin(own bool) {
	t.g.metrics.Parked.Inc()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phase, t.own = parked, own
}

// registered says that the table has the trip, so that a hang-up may take it out again.
func (t *trip) registered() {
	t.mu.Lock()
	t.inTable = true
	gone := t.gone
	t.mu.Unlock()
	if gone {
		t.failed(errHungUp)
	}
}

// expect prepares the trip for what the call asks for.
func (t *trip) expect() {
	t.deadline = t.waitEnds()
	t.finals, t.open = make([]correlator.Callback, len(t.call.Ops)), 0
	for i := range t.call.Ops {
		t.finals[i].Op = i
		if t.call.Ops[i].Refused == "" {
			t.open++
		} else {
			t.finals[i].Status = correlator.Answered // by us, in the words of Refused
		}
	}
}

// expiry is until when callbacks for the trip are accepted.
func (t *trip) expiry() time.Time {
	terms := termsOf(t.call)
	lasts := max(t.call.Wait, terms.Lasts, t.deadline.Sub(t.accepted))
	return t.accepted.Add(lasts).Add(max(t.g.cfg.Results.Retention, terms.Retention, minTokenLife))
}

// reply words the answer of a decided trip and sends it. Replied then says what came of it. It may ask the store.
func (t *trip) reply() {
	defer t.recovered()
	t.trace.reply()
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	if errors.Is(t.why, errHungUp) {
		t.abandon()
		return
	}
	if t.streams() {
		t.stream()
		return
	}
	t.completeNames()
	t.word(resp)
	if t.kind == creates {
		setForwarded(resp, t.refusal == nil || t.unworded)
	}
	t.g.finishHeader(resp, t.requestID, cors.Page{Origin: t.origin, Listed: t.listed, Routed: t.dialect > 0})
	noStoreOf(t.dialect, resp)
	t.status = resp.StatusCode()
	t.g.hook("reply")
	t.exchange.Reply(resp)
}

// recovered ends a trip whose answer has panicked: nothing can be promised any more, and its client must not wait for ever.
func (t *trip) recovered() {
	if p := recover(); p != nil {
		t.g.log.Error().Str("panic", httpserver.PanicText(p)).Bytes("stack", debug.Stack()).Stringer("trip", t.id).Msg("answering a client panicked")
		t.exchange.Abort()
		t.end(correlator.Gone)
	}
}

// word words the answer. Where the dialect cannot, the client gets an internal error, and its result is kept.
func (t *trip) word(dst *fasthttp.Response) {
	switch {
	case t.kind == fetches:
		t.wordResult(dst)
	case t.whole != nil:
		t.writeWhole(dst)
		t.release()
		t.end(correlator.Written)
	case errors.As(t.why, &t.refusal):
		t.g.refuse(t.dialect, dst, t.refusal, dialect.Refused{RequestID: t.requestID, Call: t.call})
		t.release()
		t.end(correlator.Gone)
	default:
		t.wordReply(dst)
	}
}

// replies pools *Reply: what goes through the interface of a dialect does not stay on the stack.
var replies = sync.Pool{New: func() any { return new(dialect.Reply) }}

// wordReply words what has come of the ops, and keeps what the client may come back for.
func (t *trip) wordReply(dst *fasthttp.Response) {
	r := replies.Get().(*dialect.Reply) // New fills the pool with nothing else
	defer func() {
		*r = dialect.Reply{}
		replies.Put(r)
	}()
	*r = dialect.Reply{Finals: t.finals, Open: t.why, RequestID: t.requestID, Accepted: t.accepted}
	if o := t.call.Options; o != nil {
		r.RateLimit = o.Rate
		if t.why != nil { // a result says nothing of later
			r.RetryAfter = t.g.medians.Of(o.Route)
		}
	}
	if errors.Is(t.why, dialect.ErrReported) {
		r.Reported, r.Merged = t.call.Options.Reported.Status, [][]byte{t.soFar()}
	}
	if t.keep() {
		r.Task = string(t.g.keys.AppendTaskID(nil, t.id))
	}
	if err := t.g.dialects.Answer(t.dialect, dst, t.call, r); err != nil {
		t.unworded, t.refusal = true, faultOf(err)
		t.g.refuse(t.dialect, dst, t.refusal, dialect.Refused{RequestID: t.requestID, Call: t.call})
		if r.Task != "" {
			dst.Header.Set("Location", taskPath+r.Task)
		}
	}
	if failed, ok := errors.AsType[*engineError](t.why); ok && failed.retryAfter != "" {
		dst.Header.Set(fasthttp.HeaderRetryAfter, failed.retryAfter)
	}
}

// statusHungUp is what the log and the metrics say of a client that left; nobody hears it. It is nginx's.
const statusHungUp = 499

// abandon closes the connection of a client that hung up. What becomes of its result is configuration; a client with a key has said that
// it will come back.
func (t *trip) abandon() {
	t.status = statusHungUp
	t.exchange.Abort()
	t.g.metrics.Abandoned.Inc()
	switch policy := t.onDisconnect(); {
	case t.kind == fetches, t.joined:
		t.end(correlator.Written) // the engine hears 200
	case policy == dialect.Drop && !t.keyed() && !t.pushes(): // else others than the client want the result
		t.release()
		t.end(correlator.Written)
	case policy == dialect.Cancel && !t.keyed():
		t.forsake()
	default:
		t.keep()
	}
	t.observe(false)
}

// onDisconnect is what becomes of the result of a client that hangs up.
func (t *trip) onDisconnect() string {
	if t.call != nil && t.call.Options != nil && t.call.Options.OnDisconnect != "" {
		return t.call.Options.OnDisconnect
	}
	return t.g.cfg.OnDisconnect
}

// keep stores what a client may come back for: what it leaves unfinished, and what has a key. promised: the client is to hear where it
// is. A trip that its client leaves unfinished is ended: from now on callbacks go to the record.
func (t *trip) keep() (promised bool) {
	lasting := t.g.cfg.Results.Retention > 0
	if t.joined || t.why == nil && !t.claimed.Load() {
		return t.joined && lasting
	}
	if t.g.local && errors.Is(t.why, correlator.ErrDraining) { // the process ends, and its records with it
		t.g.correlator.Forget(t.id)
		t.end(correlator.Gone)
		return false
	}
	t.kept = t.g.save(t)
	recorded := t.kept || t.claimed.Load()
	if t.why == nil && !lasting {
		t.release() // those who joined have it now; an unfinished one stays bound, as its task may exist
	}
	if !t.kept && t.claimed.Load() {
		t.g.retries.Add(t.id, t.record())
	}
	if t.why != nil {
		if !recorded {
			t.g.correlator.Forget(t.id)
		}
		t.end(correlator.Gone)
	}
	return recorded && lasting
}

// Replied is the exchange's: the reply is on the client's connection, or it is not.
func (t *trip) Replied(written bool) {
	if !written {
		t.g.metrics.Abandoned.Inc()
		if !t.g.local {
			t.g.work.run(func() { t.settle(false) }) // which may ask the store
			return
		}
	}
	t.settle(written)
}

// settle ends the trip as its reply ended.
func (t *trip) settle(written bool) {
	defer t.observe(written)
	switch {
	case t.isOver():
	case t.claimed.Load() && !t.kept: // the record waits for these finals: the engine has to send them until they are stored
		t.end(correlator.Held)
	case written && !t.unworded, t.kind == fetches, t.joined, t.kept, t.onDisconnect() != dialect.Keep, t.g.save(t):
		t.end(correlator.Written)
	default:
		t.g.correlator.Forget(t.id)
		t.end(correlator.Gone)
	}
}
