package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/redact"
)

// The result of a task may have to be sent to others than its client. The outbox notes that before the engine gets the task, and the id of such
// a task is marked. Each node that brings a final to a marked task has the outbox look at it; if that node ends before, another one looks when
// the time has come that was noted.

// Outbox remembers tasks whose results are to be pushed. Its errors are those of a Keeper.
type Outbox interface {
	// Owe has a task looked at after a time, on whatever node lives then. sent says that its result was handed over for sending, and is not to be
	// again. The last Owe counts, but for a sent that was true.
	Owe(ctx context.Context, task correlator.ID, after time.Duration, sent bool) error
	// Done forgets a task.
	Done(ctx context.Context, task correlator.ID) error
	// Look has this node look at a task at once: it calls Gateway.Push, and then Owe or Done. It does not block.
	Look(task correlator.ID)
}

const (
	// firstLook is how long after the end of its client's wait a task is looked at that nobody has pushed. A client that is handed over waits for the engine's answer alone.
	firstLook = 15 * time.Second
	// leastLook and mostLook bound the time between two looks at a task that runs.
	leastLook, mostLook = 15 * time.Second, 5 * time.Minute
	// deliveryLook is the time between two looks at what is sent of a task that has ended, and keepDelivering is how long its record is kept after each look.
	deliveryLook, keepDelivering = 5 * time.Minute, 15 * time.Minute
	// lastMoment is how long before its callbacks are refused a task is ended that has no result: its receivers hear that.
	lastMoment = time.Minute
	// mostOwed is how long after its callbacks are refused a result is tried that cannot be handed over for sending.
	mostOwed = 7 * 24 * time.Hour
)

// pushes reports whether the result of a trip is to be pushed.
func (t *trip) pushes() bool {
	return t.kind == creates && t.call != nil && t.call.Options != nil && t.call.Options.Pushes
}

// newID makes an id for the trip.
func (t *trip) newID() correlator.ID {
	id := t.g.correlator.NewID(t.expiry())
	if t.pushes() {
		id = id.Mark()
	}
	if termsOf(t.call).Retention > t.g.cfg.Results.Retention {
		id = id.Outlast()
	}
	if t.trace.recorded() {
		id = id.Trace()
	}
	return id
}

// promise notes that the result of a trip is to be pushed, and has the dialect keep what it needs for that. It asks the store.
func (t *trip) promise() error {
	if !t.pushes() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := t.g.outbox.Owe(ctx, t.id, max(0, time.Until(t.waitEnds()))+firstLook, false); err != nil {
		return fmt.Errorf("note that a result is to be pushed: %w", err)
	}
	t.call.Options.Lasts = t.id.Lasts()
	return t.g.dialects.Register(ctx, t.dialect, t.call, string(t.g.keys.AppendTaskID(nil, t.id)))
}

// register serves a call that makes no task: its dialect keeps what it asks for. It asks a store.
func (t *trip) register() {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := t.g.dialects.Register(ctx, t.dialect, t.call, ""); err != nil {
		t.refuse(err)
		return
	}
	t.body.Release()
	t.begin(false)
	t.decideBy(func() { t.decide(nil) }, true)
}

// forget says of a trip that made no task that nothing is to be pushed.
func (t *trip) forget(ctx context.Context) {
	if !t.pushes() {
		return
	}
	t.g.dialects.Forget(ctx, t.dialect, t.call, string(t.g.keys.AppendTaskID(nil, t.id)))
	if err := t.g.outbox.Done(ctx, t.id); err != nil { // the look at it finds no record
		t.g.log.Debug().Err(err).Stringer("trip", t.id).Msg("the outbox keeps a task that was not made")
	}
}

// Push sends what is to be pushed of a task, if it has ended. sent: it was. again is when to look again, and with which sent; 0: the task is done
// with. After an error it is to be called again soon. The Outbox calls it.
func (g *Gateway) Push(ctx context.Context, id correlator.ID, sent bool) (again time.Duration, sentNow bool, err error) {
	if g.keeper == nil {
		return 0, sent, nil
	}
	rec, err := g.keeper.Lookup(ctx, id)
	switch {
	case errors.Is(err, correlator.ErrGone): // it made no task, or its record was lost
		return 0, sent, nil
	case err != nil:
		return 0, sent, fmt.Errorf("look at a task whose result is to be pushed: %w", err)
	case !rec.Complete():
		again, err = g.pushLater(ctx, id, rec)
		return again, false, err
	}
	if err = g.keeper.Prolong(ctx, id, keepDelivering); err != nil {
		return 0, sent, fmt.Errorf("keep a result until it is delivered: %w", err)
	}
	open, err := g.pushRecord(ctx, id, rec, sent)
	switch {
	case err != nil && time.Since(id.Expiry()) > mostOwed:
		g.log.Error().Str("error", redact.Error(err)).Stringer("trip", id).Msg("a result was not pushed, and is given up")
		return 0, sent, g.keeper.Prolong(ctx, id, 0)
	case err != nil:
		return 0, sent, fmt.Errorf("push a result: %w", err)
	case open:
		return deliveryLook, true, nil
	}
	return 0, true, g.keeper.Prolong(ctx, id, 0)
}

// pushRecord has the dialect that made a task send its result, or, if it was sent, say whether that is still being delivered.
func (g *Gateway) pushRecord(ctx context.Context, id correlator.ID, rec correlator.Record, sent bool) (open bool, err error) {
	call, m, err := callOf(rec)
	if err != nil {
		return false, err
	}
	maker, err := g.dialects.Named(m.Dialect)
	if err != nil {
		return false, err
	}
	r := dialect.Reply{Finals: rec.Finals, Merged: rec.Merged, Task: string(g.keys.AppendTaskID(nil, id)), Accepted: time.UnixMilli(m.Created), Trace: m.Trace}
	if sent {
		return g.dialects.Delivering(ctx, maker, call, &r)
	}
	return true, g.dialects.Push(ctx, maker, call, &r)
}

// pushLater says when to look again at a task that has not ended. One that nobody can end any more ends here.
func (g *Gateway) pushLater(ctx context.Context, id correlator.ID, rec correlator.Record) (again time.Duration, err error) {
	_, m, err := callOf(rec)
	if err != nil {
		return 0, err
	}
	left, last := time.Until(id.Expiry().Add(-lastMoment)), correlator.Callback{Status: correlator.Errored, Body: []byte(`{"message":"The engine has not called back in time"}`)}
	if m.Until != 0 {
		left, last = time.Until(time.UnixMilli(m.Until)), correlator.Callback{Status: correlator.TimedOut}
	}
	if left > 0 {
		age := time.Since(time.UnixMilli(m.Created))
		return min(left, max(leastLook, min(age/2, mostLook))), nil
	}
	if err := g.endOpen(ctx, id, rec, last); err != nil {
		return 0, err
	}
	return time.Millisecond, nil
}

// Finals go to the correlator by one way: those of engines, of clients that cancel or leave, and of the end of a task's time. So there is one
// place that has the outbox look at what is to be pushed. The rest of the package sees the correlator without the methods that take finals.

// table is a Correlator as all of the package but finals sees it.
type table interface {
	NewID(expiry time.Time) correlator.ID
	Park(id correlator.ID, r correlator.Receiver, deadline time.Time) error
	Extend(id correlator.ID, deadline time.Time) bool
	Waiter(id correlator.ID) correlator.Receiver
	Close(id correlator.ID)
	Forget(id correlator.ID)
	Ready() error
}

// keeper is a Keeper as all of the package but finals sees it. What Claim saves has no final that an engine has to give.
type keeper interface {
	Lookup(ctx context.Context, id correlator.ID) (correlator.Record, error)
	Claim(ctx context.Context, k correlator.Key, fingerprint [32]byte, id correlator.ID, rec correlator.Record) (owner correlator.ID, err error)
	Release(ctx context.Context, k correlator.Key, id correlator.ID) error
	Prolong(ctx context.Context, id correlator.ID, d time.Duration) error
	Attach(ctx context.Context, id correlator.ID, r correlator.Receiver, deadline time.Time) (detach func(), err error)
	Follow(ctx context.Context, id correlator.ID, r correlator.Receiver, after uint32, deadline time.Time) (detach func(), err error)
}

// finals gives finals to the correlator, and then has the outbox look at their task, if its id is marked. It does so after an error, too: a final of which the
// correlator does not know whether it is stored may be stored.
type finals struct {
	to     correlator.Correlator
	keeper correlator.Keeper // nil: nothing is kept
	relay  correlator.Relay  // nil: there are no other nodes
	outbox Outbox            // nil: nothing is pushed
}

func newFinals(to correlator.Correlator, outbox Outbox) *finals {
	f := &finals{to: to, outbox: outbox}
	f.keeper, _ = to.(correlator.Keeper)
	f.relay, _ = to.(correlator.Relay)
	return f
}

// look has what is to be pushed of a task pushed. It does not block.
func (f *finals) look(id correlator.ID) {
	if id.Marked() && f.outbox != nil {
		f.outbox.Look(id)
	}
}

// Deliver is the Correlator's.
func (f *finals) Deliver(ctx context.Context, id correlator.ID, cb correlator.Callback) error {
	err := f.to.Deliver(ctx, id, cb)
	if cb.Status.Final() {
		f.look(id)
	}
	return err
}

// Relay is the Relay's. False also where there are no other nodes.
func (f *finals) Relay(id correlator.ID, cb correlator.Callback, done func(error)) bool {
	if f.relay == nil {
		return false
	}
	if !id.Marked() || !cb.Status.Final() {
		return f.relay.Relay(id, cb, done)
	}
	return f.relay.Relay(id, cb, func(err error) {
		f.look(id)
		done(err)
	})
}

// Save is the Keeper's. The retry queue saves by it, so that what is saved later is pushed then.
func (f *finals) Save(ctx context.Context, id correlator.ID, rec correlator.Record) error {
	err := f.keeper.Save(ctx, id, rec)
	if rec.Complete() {
		f.look(id)
	}
	return err
}
