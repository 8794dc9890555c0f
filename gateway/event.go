package gateway

import (
	"errors"

	"syncgate/correlator"
	"syncgate/dialect"
)

// What can happen to a trip while its client is parked: Deliver, Expire, ClientGone, acked, failed. Each may come from any goroutine, at
// any time, more than once and together with the others. The first that leaves no op open, or ends the wait, decides the trip, and then
// answers the client: its exchange was suspended before the trip was parked.

// Deliver takes a callback. The trip alone knows what is first.
func (t *trip) Deliver(cb correlator.Callback, done func(correlator.Disposition)) {
	if cb.Status.Running() {
		t.reported(cb)
		done(correlator.Written)
		return
	}
	t.mu.Lock()
	before := t.phase
	t.noteCallback(&cb)
	d, certain := t.take(cb)
	if !certain {
		t.waiting = append(t.waiting, done)
	}
	decides := before == parked && t.phase == decided
	t.mu.Unlock()
	if certain {
		done(d)
	}
	if decides {
		t.answer(t.g.local || !t.claimed.Load())
	}
}

// take makes cb the final of its op, if it is the first. The disposition is not certain while the reply is on its way: it will be the
// reply's own. Called with mu held.
func (t *trip) take(cb correlator.Callback) (d correlator.Disposition, certain bool) {
	if cb.Op >= len(t.finals) || !cb.Status.Final() {
		return correlator.Gone, true
	}
	final := t.finals[cb.Op].Status.Final()
	switch {
	case t.phase == parked && !final:
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

// hears reports whether what comes for the trip is noted: its client waits, and operators can ask for it later. Called with mu held.
func (t *trip) hears() bool { return t.phase == parked && t.kind == creates && t.g.recent != nil }

// noteCallback notes a final that was delivered, if it is a callback and the first of its op. Called with mu held, before the trip takes it.
func (t *trip) noteCallback(cb *correlator.Callback) {
	if t.hears() && isCalled(cb) && cb.Op < len(t.finals) && !t.finals[cb.Op].Status.Final() {
		t.heard.Callback(cb.Op, len(t.finals), t.accepted)
	}
}

// noteReport notes what the engine has said of its progress.
func (t *trip) noteReport() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hears() {
		t.heard.Report(t.accepted)
	}
}

// isCalled reports whether somebody has called with a final that was delivered. The others are the gateway's own: an op was cancelled, has timed
// out, or was answered without a callback.
func isCalled(cb *correlator.Callback) bool {
	switch cb.Status {
	case correlator.Complete, correlator.Errored:
		return true
	case correlator.Cancelled:
		return !isOurCancel(cb)
	default:
		return false
	}
}

// decide makes the outcome certain. Called with mu held, in phase parked; the caller answers the client.
func (t *trip) decide(why error) {
	t.phase = decided
	t.why = t.ends(why)
	t.g.metrics.Parked.Dec()
}

// answer answers the client of a trip that the caller has decided. atOnce: nothing has to be stored, so that the caller can do it.
func (t *trip) answer(atOnce bool) {
	switch {
	case t.joined && errors.Is(t.why, correlator.ErrReleased) && t.kind == creates:
		t.g.work.run(func() { t.g.claimAgain(t) })
	case atOnce:
		t.reply()
	default:
		t.g.work.run(t.reply)
	}
}

// Expire ends the wait: the deadline has passed, or a drain has no more time.
func (t *trip) Expire(reason error) {
	if t.timesOut(reason) {
		t.g.work.run(func() { t.timeOut(reason) })
		return
	}
	t.failed(reason)
}

// ClientGone ends the wait of a client that has closed its side, or reset it.
func (t *trip) ClientGone() {
	t.mu.Lock()
	t.gone = true
	inTable := t.inTable
	t.mu.Unlock()
	if inTable {
		t.failed(errHungUp)
	}
}

// errHungUp ends the wait of a client that has closed its side, or reset it.
var errHungUp = errors.New("gateway: the client hung up")

// failed ends the wait without the open ops: nothing good can be expected, or nothing was forwarded. False: something else has ended it.
func (t *trip) failed(why error) bool {
	_, refused := errors.AsType[*dialect.Fault](why)
	return t.decideBy(func() { t.decide(t.unforwarded(why)) }, refused && !t.claimed.Load())
}

// decideBy has the trip decided, if it is parked, and answers the client.
func (t *trip) decideBy(decide func(), atOnce bool) bool {
	t.mu.Lock()
	if t.phase != parked {
		t.mu.Unlock()
		return false
	}
	decide()
	answers := t.phase == decided
	t.mu.Unlock()
	if answers {
		t.answer(atOnce)
	}
	return true
}

// unforwarded is why the wait of a trip ends of which nothing was forwarded: every connection to the engine was busy, whatever else has
// happened meanwhile. Called with mu held.
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
func (t *trip) acked(d *decision) {
	if d.whole != nil {
		if !t.refused(d.whole) {
			t.notCreated()
		}
		return
	}
	for _, cb := range d.finals {
		if t.merges() && cb.Status == correlator.Complete {
			cb.Body = onTop(cb.Body, t.call.Options.Data)
		}
		if !t.answered(cb) && !t.g.record(t.id, cb) {
			rec := t.record()
			rec.Finals[cb.Op] = cb
			t.g.retries.Add(t.id, rec) // the engine does not say it again
		}
	}
	if t.key != "" && len(d.finals) > 0 && t.isParked() {
		t.g.save(t) // for those who have joined
	}
}

// refused ends the wait with the engine's answer to the package. False: something else has ended it.
func (t *trip) refused(whole *wholeAnswer) bool {
	return t.decideBy(func() {
		t.whole = whole
		t.decide(nil)
	}, !t.claimed.Load())
}

// notCreated says of a trip whose client has left that it surely made no task: its key is free, and a client that asks for its result
// hears so.
func (t *trip) notCreated() {
	if t.key != "" && !t.pushes() { // of one whose result is pushed the receivers are to hear
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
	if t.decideBy(func() { t.take(cb) }, t.g.local || !t.claimed.Load()) { // which may leave other ops open
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.finals[cb.Op].Status.Final()
}

// end takes the trip out of the table, once, and gives the callbacks that waited for the reply their disposition.
func (t *trip) end(d correlator.Disposition) {
	t.mu.Lock()
	first := t.phase != over
	if t.phase == parked { // nothing was forwarded
		t.g.metrics.Parked.Dec()
	}
	t.phase = over
	waiting, detach, own := t.waiting, t.detach, t.own
	t.waiting, t.detach = nil, nil
	t.mu.Unlock()
	if !first {
		return
	}
	if t.call != nil && t.named() {
		t.endNames()
	}
	if own { // else the entry with its id is another trip's
		t.g.correlator.Close(t.id)
	}
	if detach != nil {
		detach()
	}
	if t.leave != nil {
		t.leave()
	}
	for _, done := range waiting {
		done(d)
	}
}

// settlesAt reports whether a callback for op can be delivered without a wait: the reply goes out at once.
func (t *trip) settlesAt(op int) bool {
	if t.claimed.Load() && !t.g.local {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.phase == parked && t.open == 1 && op < len(t.finals) && !t.finals[op].Status.Final()
}

// isFinal reports whether an op has its result.
func (t *trip) isFinal(op int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return op < len(t.finals) && t.finals[op].Status.Final()
}

// Standing gives the status of an op's final, correlator.Open where there is none.
func (t *trip) Standing(op int) correlator.Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	if op >= len(t.finals) || !t.finals[op].Status.Final() {
		return correlator.Open
	}
	return t.finals[op].Status
}

// isParked reports whether ops are open and the client waits.
func (t *trip) isParked() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.phase == parked
}

// isOver reports whether the trip has left the table.
func (t *trip) isOver() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.phase == over
}
