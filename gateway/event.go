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
	t.mu.Unlock()
	if certain {
		done(d)
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

// decide makes the outcome certain and wakes who holds the client. Called with mu held, in phase waiting.
func (t *trip) decide(why error) {
	t.phase = decided
	t.why = why
	t.g.metrics.parked.Dec()
	if t.parked != nil {
		t.g.answering.Add(1)
		go t.resume(t.parked)
		return
	}
	t.wake <- struct{}{} // never blocks: there is room for this one, which comes once, and for the watcher's
}

// Expire ends the wait: the deadline has passed, or a drain has no more time.
func (t *trip) Expire(reason error) { t.failed(reason) }

// failed ends the wait without the open ops: nothing good can be expected, or nothing was forwarded. False: something else
// has ended it.
func (t *trip) failed(why error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase != waiting {
		return false
	}
	t.decide(why)
	return true
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
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase != waiting {
		return false
	}
	t.whole = whole
	t.decide(nil)
	return true
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
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase == waiting {
		t.take(cb)
		return true
	}
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
