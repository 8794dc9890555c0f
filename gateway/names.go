package gateway

import (
	"context"
	"errors"
	"time"

	"syncgate/correlator"
	"syncgate/internal/redact"
)

// An op can have a name beside its token, under which others complete it. Its call has CallNames, which bind the names once the trip is parked and
// before the engine can know the call. A name may also be all that completes an op: such an op is Local, and the engine does not get it.

// named reports whether ops of a call have names.
func (t *trip) named() bool { return t.call.Names != nil }

// forwards reports whether the engine is to get an op of the call.
func (c *Call) forwards() bool {
	for i := range c.Ops {
		if c.Ops[i].Refused == "" && !c.Ops[i].Local {
			return true
		}
	}
	return false
}

// forwardNamed binds the names of a parked trip, and then forwards what the engine is to get. It may ask a store.
func (t *trip) forwardNamed() {
	ctx, cancel := t.g.storeContext()
	finals, err := t.g.partners.bind(ctx, t.id, t.id.Expiry(), t.call)
	cancel()
	if err != nil {
		t.body.Release()
		t.failed(faultOf(err))
		return
	}
	if t.call.forwards() {
		t.g.engines[t.engine].client.Do(t) // even if a final has come by name meanwhile: what is asked for is asked for
		t.registered()
	} else {
		t.body.Release()
		t.registered()
		t.handOver()
	}
	t.acked(&decision{finals: finals})
}

// ackNames says to the names of a call what its engine has answered. Nobody waits for it.
func (t *trip) ackNames(ack *Ack) {
	t.g.work.run(func() {
		ctx, cancel := t.g.storeContext()
		defer cancel()
		t.g.partners.acked(ctx, t.call, ack)
	})
}

// endNames says to the names of a call that its wait has ended. Nobody waits for it.
func (t *trip) endNames() {
	t.mu.Lock()
	status := make([]correlator.Status, len(t.finals))
	for i := range t.finals {
		status[i] = t.finals[i].Status
	}
	t.mu.Unlock()
	kept := t.kept || t.claimed.Load()
	t.g.work.run(func() {
		ctx, cancel := t.g.storeContext()
		defer cancel()
		t.g.partners.ended(ctx, t.call, status, kept)
	})
}

// Deliver hands on a callback that came in another way than by a callback URL: under a name of its op, or as what a worker reports. It returns
// when the callback is settled, as a Correlator's Deliver does and with its errors, or when ctx ends.
func (g *Gateway) Deliver(ctx context.Context, to correlator.Token, cb correlator.Callback) error {
	id, now := to.Trip, time.Now()
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
		outcome = f.why().callback
		g.log.Debug().Str("error", redact.Error(f)).Stringer("trip", id).Int("op", cb.Op).Msg("what came for an op was not delivered")
	}
	g.metrics.Callback(outcome).Inc()
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
