package gateway

import (
	"context"
	"errors"
	"time"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/redact"
)

// An op can have a name beside its token, under which others complete it. Its call has CallNames, which bind the names once the trip is parked and
// before the engine can know the call. A name may also be all that completes an op: such an op is Local, and the engine does not get it.

// named reports whether ops of a call have names.
func (t *trip) named() bool { return t.call.Names != nil }

// forwards reports whether the engine is to get an op of a call.
func forwards(c *dialect.Call) bool {
	for i := range c.Ops {
		if c.Ops[i].Refused == "" && !c.Ops[i].Local {
			return true
		}
	}
	return false
}

// What is done with the names of a trip, as bits of trip.names.
const (
	namesBound = 1 << iota // Bind was called
	namesBusy              // Bind or Acked runs: Ended comes after it
	namesOver              // the wait has ended
	namesDue               // Ended is to be called when Bind or Acked has returned
	namesKept              // and then a final can still come
)

// forwardNamed binds the names of a parked trip, and then forwards what the engine is to get. It may ask a store. The trip may end before it
// returns: by a completion under one of the names, by its deadline, or because its client has left. What the engine is to get goes to it all the
// same, as it does where a client leaves a moment later.
func (t *trip) forwardNamed() {
	t.beginNames()
	ctx, cancel := t.g.storeContext()
	finals, err := t.g.dialects.Bind(ctx, t.id, t.id.Expiry(), t.call)
	cancel()
	t.finishNames()
	switch {
	case err != nil:
		t.body.Release()
		t.unsent(faultOf(err))
	case forwards(t.call):
		t.g.engines[t.engine].client.Do(t)
		t.registered()
		t.acked(&decision{finals: finals})
	default:
		t.body.Release()
		t.call.Body, t.call.Slots = nil, nil
		t.registered()
		t.acked(&decision{finals: finals})
		t.handOver()
	}
}

// beginNames says that Bind or Acked begins.
func (t *trip) beginNames() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.names |= namesBound | namesBusy
}

// finishNames says that Bind or Acked has returned. Ended is called now if the trip has ended meanwhile.
func (t *trip) finishNames() {
	t.mu.Lock()
	due, kept := t.names&namesDue != 0, t.names&namesKept != 0
	t.names &^= namesBusy | namesDue
	t.mu.Unlock()
	if due {
		t.namesEnded(kept)
	}
}

// ackNames says to the names of a call what its engine has answered. No client waits for a store.
func (t *trip) ackNames(ack *dialect.Ack) {
	t.beginNames()
	t.runUnlessLocal(func() {
		defer t.finishNames()
		ctx, cancel := t.g.storeContext()
		defer cancel()
		t.g.dialects.Acked(ctx, t.call, ack)
	})
}

// completeNames says to the names of a call that all its ops are final, before the client can know it: with the result in its hands it may ask for the
// next task of the same name.
func (t *trip) completeNames() {
	if t.kind == creates && t.call != nil && t.named() && t.why == nil && t.whole == nil && t.openOps() == 0 {
		t.endNames()
	}
}

// endNames says to the names of a call that its wait has ended, now or when Bind or Acked has returned. Only the first call does anything.
func (t *trip) endNames() {
	kept := t.kept || t.claimed.Load()
	t.mu.Lock()
	if t.names&namesOver != 0 || !t.own {
		t.mu.Unlock()
		return
	}
	bound, busy := t.names&namesBound != 0, t.names&namesBusy != 0
	t.names |= namesOver
	if busy {
		t.names |= namesDue
	}
	if busy && kept {
		t.names |= namesKept
	}
	t.mu.Unlock()
	if bound && !busy {
		t.namesEnded(kept)
	}
}

// namesEnded calls Ended. No client waits for a store.
func (t *trip) namesEnded(kept bool) {
	t.mu.Lock()
	status := make([]correlator.Status, len(t.finals))
	for i := range t.finals {
		status[i] = t.finals[i].Status
	}
	t.mu.Unlock()
	t.runUnlessLocal(func() {
		ctx, cancel := t.g.storeContext()
		defer cancel()
		t.g.dialects.Ended(ctx, t.call, status, kept)
	})
}

// Go runs what a dialect does beside the calls of its methods, on a goroutine of its own. A panic ends f alone. Close waits until f returns.
func (g *Gateway) Go(f func()) { g.work.run(f) }

// Deliver hands on a callback that came in another way than by a callback URL: under a name of its op, or as what a worker reports. It returns
// when the callback is settled, as a Correlator's Deliver does and with its errors, or when ctx ends.
func (g *Gateway) Deliver(ctx context.Context, to correlator.Token, cb correlator.Callback) error {
	id, now, heard := to.Trip, time.Now(), g.hearNamed(to)
	cb.Op = to.Op
	outcome, err := callbackGone, correlator.ErrGone
	e, known := g.engineOf(to.Engine)
	switch {
	case !known:
	case !now.Before(id.Expiry()):
		g.lateCallback(id, cb.Op, false)
	default:
		outcome, err = g.deliverNamed(ctx, e, id, cb)
	}
	switch {
	case err == nil:
	case errors.As(err, new(*correlator.Superseded)):
		outcome = callbackRepeated
	default:
		f := faultOf(err)
		outcome = whyOf(f).callback
		g.log.Debug().Str("error", redact.Error(f)).Stringer("trip", id).Int("op", cb.Op).Msg("what came for an op was not delivered")
	}
	if cb.Status != correlator.Answered { // which is no callback, but an answer of ours
		g.metrics.Callback(outcome).Inc()
		heard.settled(outcome, err)
	}
	return err
}

// deliverNamed lays a result over what is known, where the engine's merge is on, and hands it on.
func (g *Gateway) deliverNamed(ctx context.Context, e *engine, id correlator.ID, cb correlator.Callback) (outcome string, err error) {
	if e.cfg.Merge && cb.Status == correlator.Complete {
		if err := g.merge(id, &cb); err != nil {
			return "", err
		}
	}
	if !g.isAwaited(id, time.Now()) {
		return g.deliverUnawaited(ctx, id, cb)
	}
	outcome = g.outcomeHere(id, cb.Op)
	if cb.Status.Running() {
		outcome = callbackReported
	}
	return outcome, g.deliver(ctx, id, cb)
}
