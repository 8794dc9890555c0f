package gateway

import (
	"context"
	"errors"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
)

const (
	keyHeader = "Idempotency-Key"
	maxKey    = 255 // bytes
)

// keyOf reads the request's Idempotency-Key, empty when there is none: 1 to 255 visible ASCII characters, taken as they are.
func keyOf(h *fasthttp.RequestHeader) (key string, err error) {
	values := h.PeekAll(keyHeader)
	if len(values) == 0 {
		return "", nil
	}
	ok := len(values) == 1 && len(values[0]) > 0 && len(values[0]) <= maxKey
	if ok {
		for _, c := range values[0] {
			ok = ok && c > ' ' && c < 0x7f
		}
	}
	if !ok {
		return "", &Fault{Status: fasthttp.StatusBadRequest, Text: "Idempotency-Key must be one of 1 to 255 visible ASCII characters"}
	}
	return string(values[0]), nil
}

// claim binds the request's key to the trip. With joined the key is another trip's, which has been waited for instead, and
// the client is answered. An owner that surely made no task gives the key back: then it is the next one's turn.
func (g *Gateway) claim(ctx *fasthttp.RequestCtx, t *trip) (joined bool, err error) {
	for {
		owner, err := g.bind(t)
		if err != nil {
			t.leave()
			return false, err
		}
		if owner == t.id {
			t.claimed.Store(true)
			return false, nil
		}
		err = t.join(ctx, owner)
		switch {
		case err == nil:
			return true, nil
		case !errors.Is(err, correlator.ErrReleased) && !errors.Is(err, correlator.ErrGone):
			t.leave()
			return false, err
		}
		t.id = g.correlator.NewID(t.expiry())
	}
}

func (g *Gateway) bind(t *trip) (owner correlator.ID, err error) {
	wait, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	return g.keeper.Claim(wait, t.keyName(), t.call.Fingerprint, t.id, t.record())
}

func (t *trip) keyName() correlator.Key { return correlator.Key{Login: t.call.Login, Name: t.key} }

// join waits for another trip, on whatever node, up to this client's own deadline, and answers. ErrReleased, ErrGone:
// there is nothing to wait for any more, and nothing was answered.
func (t *trip) join(ctx *fasthttp.RequestCtx, owner correlator.ID) error {
	t.id, t.joined = owner, true
	t.body.release() // nothing will be forwarded
	err := t.attach(ctx)
	if err == nil && errors.Is(t.why, correlator.ErrReleased) {
		err = correlator.ErrReleased
	}
	if err != nil {
		t.again()
		return err
	}
	t.reply(&ctx.Response, connOf(ctx))
	return nil
}

// attach parks the client behind the trip of that id until all of it is final or the deadline.
func (t *trip) attach(ctx *fasthttp.RequestCtx) error {
	wait, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	t.g.metrics.parked.Inc()
	detach, err := t.g.keeper.Attach(wait, t.id, t, t.deadline)
	if err != nil {
		t.failed(err) // counts it out, if nothing else has
		return err
	}
	t.wait(ctx)
	detach()
	return nil
}

// again makes a trip that waited in vain ready to be one of its own, or to be refused.
func (t *trip) again() {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.wake:
	default:
	}
	t.phase, t.why, t.joined, t.unsure = waiting, nil, false, nil
	t.expect()
}

// release gives the key of a trip back that surely made no task, or of which nothing is kept.
func (t *trip) release() {
	if !t.claimed.CompareAndSwap(true, false) {
		return
	}
	t.g.debts.forgive(t.id)
	wait, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := t.g.keeper.Release(wait, t.keyName(), t.id); err != nil {
		t.g.log.Error().Err(err).Stringer("trip", t.id).Msg("a key stays bound to a request that made no task, until its deadline")
	}
}
