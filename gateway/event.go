package gateway

import (
	"errors"

	"syncgate/correlator"
)

// What can happen to a trip while its client is parked: deliver, expire, acked, failed. Each may come from any
// goroutine, at any time, more than once and together with the others; the first to leave no op open, or to end the
// wait, decides.

// Deliver takes a callback. The trip alone knows what is first.
func (t *trip) Deliver(cb correlator.Callback, done func(correlator.Disposition)) {
	t.mu.Lock()
	d, certain := t.take(cb)
	if !certain {
		t.unsure = append(t.unsure, done)
	}
	c, held := t.unpark()
	t.mu.Unlock()
	if certain {
		done(d)
	}
	switch {
	case c == nil:
	case held && !t.claimed.Load(): // nothing of it has to be stored, and a connection of the loops is not waited for
		t.resumeHeld(c)
	default:
		t.resumeLater(c, held)
	}
}

// take makes cb the final of its op, if it is the first. The disposition is not certain while the reply is on its way:
// it will be the reply's own. Called with mu held.
func (t *trip) take(cb correlator.Callback) (d correlator.Disposition, certain bool) {
	if cb.Op >= len(t.finals) || !cb.Status.Final() {
		return correlator.Gone, true
	}
	final := t.finals[cb.Op].Status.Final()
	switch {
	case t.phase == waiting && !final:
		t.finals[cb.Op] = cb
		if t.open--; t.open > 0 {
			return correlator.Held, true
		}
		t.decide(nil)
		return 0, false
	case t.phase == decided && (t.why == nil || !final):
		return 0, false
	case final:
		return correlator.Repeated, true
	default:
		return correlator.Gone, true
	}
}

// decide makes the outcome certain, and wakes the handler that holds the client. Called with mu held, in phase waiting.
func (t *trip) decide(why error) {
	t.phase = decided
	t.why = why
	t.g.metrics.parked.Dec()
	if t.parked == nil && t.wake != nil {
		t.wake <- struct{}{} // never blocks: there is room for this one, which comes once, and for the watcher's
	}
}

// unpark gives the connection of a decided trip that nobody runs for, once: who gets it answers. held: it is the loops'. Called
// with mu held.
func (t *trip) unpark() (c *conn, held bool) {
	if t.phase != decided || t.parked == nil {
		return nil, false
	}
	c, t.parked = t.parked, nil
	t.g.answering.add()
	return c, t.held
}

// Expire ends the wait: the deadline has passed, or a drain has no more time.
func (t *trip) Expire(reason error) { t.failed(reason) }

// failed ends the wait without the open ops: nothing good can be expected, or nothing was forwarded. False: something else
// has ended it.
func (t *trip) failed(why error) bool {
	return t.decideAnd(func() { t.decide(t.unforwarded(why)) })
}

// decideAnd has the trip decided, if it waits, and answers the client.
func (t *trip) decideAnd(decide func()) bool {
	t.mu.Lock()
	if t.phase != waiting {
		t.mu.Unlock()
		return false
	}
	decide()
	c, held := t.unpark()
	t.mu.Unlock()
	if c != nil {
		t.resumeLater(c, held)
	}
	return true
}

// unforwarded is why the wait of a trip ends of which nothing was forwarded: every connection to the engine was busy, whatever
// else has happened meanwhile. Called with mu held.
func (t *trip) unforwarded(why error) error {
	if t.queued && !errors.Is(why, correlator.ErrDraining) {
		why = errForwardBusy
	}
	if t.queued {
		return faultOf(why)
	}
	return why
}

// acked takes the engine's own answer. One that comes too late for the client still counts for the record.
func (t *trip) acked(status int, ack Ack) {
	if ack.Package != nil {
		if !t.refused(&wholeAnswer{status: status, body: ack.Package}) {
			t.unmade()
		}
		return
	}
	for _, cb := range ack.Finals {
		if !t.answered(cb) && !t.g.record(t.id, cb) {
			rec := t.record()
			rec.Finals[cb.Op] = cb
			t.g.debts.owe(t.id, rec) // the engine does not say it again
		}
	}
	if t.key != "" && len(ack.Finals) > 0 && t.isWaiting() {
		t.g.save(t) // for whoever has joined
	}
}

// refused ends the wait with the engine's answer to the package. False: something else has ended it.
func (t *trip) refused(whole *wholeAnswer) bool {
	return t.decideAnd(func() {
		t.whole = whole
		t.decide(nil)
	})
}

// unmade says of a trip whose client has left that it surely made no task: its key is free, and who asks for its result is
// told.
func (t *trip) unmade() {
	if t.key != "" {
		t.release()
		return
	}
	for _, cb := range t.record().Finals {
		if !cb.Status.Final() {
			t.g.record(t.id, correlator.Callback{Op: cb.Op, Status: correlator.Failed})
		}
	}
}

// answered takes the engine's own final answer to an op. False: the client is answered already, only a record wants it.
func (t *trip) answered(cb correlator.Callback) bool {
	waited := t.decideAnd(func() { t.take(cb) }) // which may leave other ops open
	if waited {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.finals[cb.Op].Status.Final()
}

// end takes the trip out of the table, once, and tells the callbacks that waited for the fate of the reply.
func (t *trip) end(d correlator.Disposition) {
	t.mu.Lock()
	first := t.phase != over
	if t.phase == waiting { // nothing was forwarded
		t.g.metrics.parked.Dec()
	}
	t.phase = over
	unsure := t.unsure
	t.unsure = nil
	t.mu.Unlock()
	if !first {
		return
	}
	if !t.joined { // else the entry in the table is another trip's
		t.g.correlator.Close(t.id)
	}
	t.leave()
	for _, done := range unsure {
		done(d)
	}
}

// giveUp ends a trip in whose course something panicked: nothing of it can be promised.
func (t *trip) giveUp() {
	if t.leave != nil {
		t.g.correlator.Forget(t.id)
		t.end(correlator.Gone)
	}
}

// setQueued says that the trip waits for a connection to the engine, or does so no more. False: its wait is over.
func (t *trip) setQueued(queued bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase == waiting {
		t.queued = queued
	}
	return t.phase == waiting
}

// settlesWith reports whether a callback for op makes the trip complete and its reply can go out at once.
func (t *trip) settlesWith(op int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held && t.parked != nil && t.phase == waiting && t.open == 1 && op < len(t.finals) && !t.finals[op].Status.Final()
}

// isWaiting reports whether ops are open and the client is parked.
func (t *trip) isWaiting() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.phase == waiting
}

// isOver reports whether the trip has left the table.
func (t *trip) isOver() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.phase == over
}

// outcomeOf names how a trip ended, for the log and the metrics.
func outcomeOf(t *trip) string {
	switch {
	case t.refusal != nil:
		return "refused"
	case t.whole != nil:
		return "engine_error"
	case t.why == nil:
		return "complete"
	case errors.Is(t.why, correlator.ErrDeadline):
		return "timeout"
	case errors.Is(t.why, correlator.ErrDraining):
		return "shutting_down"
	case errors.Is(t.why, errHungUp):
		return "hung_up"
	default:
		return "bad_gateway"
	}
}
