package gateway

import (
	"errors"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/httpfield"
	"syncgate/internal/whereabouts"
)

// keyOf reads the request's Idempotency-Key, empty when there is none. quoted: it may be a quoted String.
func keyOf(h *fasthttp.RequestHeader, quoted bool) (key string, err error) {
	key, ok := httpfield.IdempotencyKey(h, quoted)
	if !ok {
		return "", &dialect.Fault{Status: fasthttp.StatusBadRequest, Reason: dialect.BadKey, Text: "Idempotency-Key must be one of 1 to 255 visible ASCII characters"}
	}
	return key, nil
}

// claim binds the request's key to the trip and parks it, or joins the trip that has the key. It asks the store. An owner that surely made
// no task gives the key back: then the next one makes the task.
func (g *Gateway) claim(t *trip) {
	for {
		owner, err := g.bindKey(t)
		switch {
		case err != nil:
			t.refuse(err)
			return
		case owner == t.id:
			t.claimed.Store(true)
			if err := t.promise(); err != nil {
				t.release()
				t.refuse(err)
				return
			}
			t.park()
			return
		}
		err = t.join(owner)
		switch {
		case err == nil:
			return
		case !errors.Is(err, correlator.ErrReleased) && !errors.Is(err, correlator.ErrGone):
			t.refuse(err)
			return
		}
		t.setID(t.newID())
	}
}

// setID gives a trip that may have been in the table another id.
func (t *trip) setID(id correlator.ID) {
	t.mu.Lock()
	t.id = id
	t.mu.Unlock()
}

func (g *Gateway) bindKey(t *trip) (owner correlator.ID, err error) {
	wait, cancel := g.storeContext()
	defer cancel()
	var fingerprint [32]byte // of a key of our own
	if t.call.Fingerprint != nil {
		fingerprint = *t.call.Fingerprint
	}
	return g.keeper.Claim(wait, t.keyName(), fingerprint, t.id, t.record())
}

func (t *trip) keyName() correlator.Key { return correlator.Key{Login: t.call.Login, Name: t.key} }

// refuse answers a client whose trip is not parked.
func (t *trip) refuse(err error) {
	t.body.Release()
	t.begin(false)
	t.failed(faultOf(err))
}

// join parks the client behind another trip, on whatever node, up to this client's own deadline. With an error nothing was answered, and
// the trip is as it was.
func (t *trip) join(owner correlator.ID) error {
	t.mu.Lock()
	t.id, t.joined = owner, true
	t.mu.Unlock()
	t.body.Release() // nothing will be forwarded
	t.begin(false)
	if t.handsOver() { // the other trip's task is this one's
		t.failed(dialect.ErrHandedOver)
		return nil
	}
	if err := t.attach(); err != nil {
		return t.unjoin(err)
	}
	t.registered()
	return nil
}

// unjoin undoes a join that failed. The error is nil if the trip was decided meanwhile.
func (t *trip) unjoin(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase != parked {
		return nil
	}
	t.phase, t.joined = starting, false
	t.g.metrics.Parked.Dec()
	return err
}

// attach has the trip hear of the one with its id, until it ends.
func (t *trip) attach() error {
	t.mu.Lock()
	round := t.round
	t.mu.Unlock()
	wait, cancel := t.g.storeContext()
	defer cancel()
	detach, err := t.g.keeper.Attach(wait, t.id, t, t.deadline)
	if err != nil {
		return err
	}
	t.mu.Lock()
	ended := t.phase == over || t.round != round
	if !ended {
		t.detach = detach
	}
	t.mu.Unlock()
	if ended {
		detach()
	}
	return nil
}

// claimAgain lets a trip that waited in vain for another one begin again: the other one made no task.
func (g *Gateway) claimAgain(t *trip) {
	t.mu.Lock()
	detach := t.detach
	t.round++
	t.phase, t.why, t.joined, t.inTable, t.detach = starting, nil, false, false, nil
	t.heard = whereabouts.Heard{}
	waiting := t.waiting
	t.waiting = nil
	t.expect()
	t.mu.Unlock()
	if detach != nil {
		detach()
	}
	for _, done := range waiting {
		done(correlator.Gone) // the answers to the other trip's callbacks do not depend on it
	}
	t.setID(t.newID())
	g.claim(t)
}

// release gives the key of a trip back that surely made no task, or of which nothing is kept.
func (t *trip) release() {
	if !t.claimed.CompareAndSwap(true, false) {
		return
	}
	t.g.retries.Drop(t.id)
	wait, cancel := t.g.storeContext()
	defer cancel()
	t.forget(wait)
	if err := t.g.keeper.Release(wait, t.keyName(), t.id); err != nil {
		t.g.log.Error().Err(err).Stringer("trip", t.id).Msg("a key stays bound to a request that made no task, until its deadline")
	}
}
