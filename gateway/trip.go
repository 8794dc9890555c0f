package gateway

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
)

// trip is one create request from its acceptance to its reply. It is the correlator's Receiver.
type trip struct {
	// Set before the trip is parked, read-only afterwards.
	g         *Gateway
	id        correlator.ID
	call      *Call
	requestID string
	remote    string
	accepted  time.Time
	deadline  time.Time
	leave     func() // gives back the place that admission gave
	key       string // the client's name for the request, empty if it has none

	body      reservation   // of the request's bytes: the handler's, the forwarder's from submit on
	left      bool          // the handler ended before the trip did; owned by the handler
	client    client        // who waits, once nothing of the request is left but this
	submitted bool          // to the forwarder; owned by the handler, as are joined, kept and replied
	claimed   atomic.Bool   // the key is bound to this trip, and there is a record of it
	joined    bool          // it waits for another trip, whose id it has
	kept      bool          // its finals are in its record
	replied   bool          // settle will be told what came of the reply
	unworded  bool          // the dialect could not word the reply: the client has not got its result
	wake      chan struct{} // for the blocked handler: the trip is decided, or has waited long; nil: there is none

	engineTime atomic.Int64 // nanoseconds of the exchange with the engine; 0 while it lasts
	status     int          // of the reply; the handler's, then the connection's
	refusal    *Fault       // why nothing was forwarded, for the log; likewise

	mu     sync.Mutex // guards what follows; held for a few instructions, never over I/O
	phase  phase
	finals []correlator.Callback // one per op; stays as it is once the trip is decided
	open   int                   // ops without a final
	why    error                 // of a decided trip: nil when it is complete, a *Fault when nothing was forwarded, else Reply.Open
	whole  *wholeAnswer
	queued bool                           // nothing is forwarded yet: it waits for a connection to the engine
	parked *conn                          // the connection, while nobody runs who holds it
	held   bool                           // parked is the loops'
	unsure []func(correlator.Disposition) // callbacks whose fate is the reply's
}

// phase is how far a trip has come. It only grows.
type phase uint8

const (
	waiting phase = iota // ops are open and the client is parked
	decided              // what the client will read is certain
	over                 // it is on the client's connection, or kept, or given up; the trip has left the table
)

// wholeAnswer is an engine's answer that concerns the package as a whole and goes to the client as it is.
type wholeAnswer struct {
	status int
	body   []byte
}

// create serves one create request: the whole product, top to bottom. An error means that nothing was forwarded; the
// table in fault.go makes it the answer.
func (g *Gateway) create(ctx *fasthttp.RequestCtx, t *trip) (err error) {
	if g.stage.Load() >= refusing {
		return correlator.ErrDraining
	}
	if t.call, err = g.partner.accept(ctx, t.accepted); err != nil {
		return err
	}
	if t.key, err = keyOf(&ctx.Request.Header); err != nil {
		return err
	}
	ctx.Request.ResetBody() // the call has its copy; a parked client must not hold a buffer
	t.expect()
	if t.open == 0 { // every op was refused: there is nothing to ask the engine for
		return g.partner.answer(&ctx.Response, t.call, Reply{Finals: t.finals})
	}
	if connOf(ctx).crowded {
		return errCrowded
	}
	if t.leave, err = g.admit(t.call.Login, t.accepted); err != nil {
		return err
	}
	t.id = g.correlator.NewID(t.expiry())
	if t.key != "" && g.keeper != nil {
		if joined, err := g.claim(ctx, t); joined || err != nil {
			return err
		}
	}
	// Parked before it is forwarded, as the callback may overtake the engine's own answer.
	if err = g.park(t); err != nil {
		t.release()
		return err
	}
	g.forwarder.submit(t)
	if t.wait(ctx) { // for deliver, expire, or the engine's own answer: see event.go
		t.reply(&ctx.Response, connOf(ctx))
	}
	return nil
}

// expect prepares the trip for what the call asks for.
func (t *trip) expect() {
	t.deadline = t.accepted.Add(t.call.Wait)
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

// expiry is how long callbacks for the trip are listened to.
func (t *trip) expiry() time.Time {
	return t.deadline.Add(max(t.g.cfg.Results.Retention, minTokenLife))
}

// reply words the answer of a decided trip. Whoever holds the connection writes it, fasthttp after the handler or resume;
// the connection then says by settle what came of it.
func (t *trip) reply(dst *fasthttp.Response, c *conn) {
	switch {
	case t.whole != nil:
		dst.SetStatusCode(t.whole.status)
		dst.Header.SetContentType(contentJSON)
		dst.SetBodyRaw(t.whole.body)
		t.release()
		t.end(correlator.Written)
	case errors.As(t.why, &t.refusal):
		t.g.refuse(dst, t.refusal)
		t.release()
		t.end(correlator.Gone)
	case errors.Is(t.why, errHungUp):
		t.abandon(dst, c)
		return
	default:
		if err := t.g.partner.answer(dst, t.call, Reply{Finals: t.finals, Open: t.why}); err != nil {
			t.unworded, t.refusal = true, faultOf(err)
			t.g.refuse(dst, t.refusal)
		}
		if t.keep() {
			dst.Header.SetBytesV("Location", t.g.appendTaskPath(nil, t.id))
		}
	}
	t.replied = true
	t.status = dst.StatusCode()
	c.deliver(t)
}

// statusHungUp is what the log and the metrics say of a client that left; nobody hears it. It is nginx's.
const statusHungUp = 499

// abandon frees the connection of a client that hung up. What becomes of its result is configuration; a client with a key
// has said that it will come back.
func (t *trip) abandon(dst *fasthttp.Response, c *conn) {
	t.status = statusHungUp
	dst.SetStatusCode(statusHungUp)
	dst.SetConnectionClose()
	c.leave()
	_ = c.Conn.Close() // before anybody writes
	t.g.metrics.abandoned.Inc()
	if t.joined || t.g.cfg.OnDisconnect == Drop && !t.claimed.Load() {
		t.end(correlator.Written) // the engine hears 200
		return
	}
	t.keep()
}

// keep stores what a client may come back for: what it leaves unfinished, and what has a key. It reports whether the
// client is to be told where it is. A trip that its client leaves unfinished is ended: from now on callbacks go to the
// record.
func (t *trip) keep() (promised bool) {
	lasting := t.g.cfg.Results.Retention > 0
	if t.joined || t.why == nil && !t.claimed.Load() {
		return t.joined && lasting
	}
	t.kept = t.g.save(t)
	recorded := t.kept || t.claimed.Load()
	if t.why == nil && !lasting {
		t.release() // whoever has joined has it now; an unfinished one stays bound, as its task may exist
	}
	if !t.kept && t.claimed.Load() {
		t.g.debts.owe(t.id, t.record())
	}
	if t.why != nil {
		if !recorded {
			t.g.correlator.Forget(t.id)
		}
		t.end(correlator.Gone)
	}
	return recorded && lasting
}

// settle is told what came of the reply, once: it is on the client's connection, or it is not.
func (t *trip) settle(written bool) {
	if !written {
		t.g.metrics.abandoned.Inc()
	}
	switch {
	case t.isOver():
	case t.claimed.Load() && !t.kept: // the record waits for these finals: the engine has to send them until they are stored
		t.end(correlator.Held)
	case written && !t.unworded, t.joined, t.kept, t.g.cfg.OnDisconnect == Drop, t.g.save(t):
		t.end(correlator.Written)
	default:
		t.g.correlator.Forget(t.id)
		t.end(correlator.Gone)
	}
	t.observe(written)
}
