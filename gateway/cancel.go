package gateway

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/internal/admin"
	"syncgate/internal/cancelqueue"
	"syncgate/internal/whereabouts"
)

// storeTries is how often the store is asked that does not answer in time: nobody repeats what is asked here.
const storeTries = 3

// cancelTask ends a task as its client wants: the ops that are open become final, on whatever node their clients wait, and the engine is
// asked to stop. It asks the store, and waits for clients that are answered.
func (g *Gateway) cancelTask(t *trip) {
	won, err := g.cancelOps(t.id, t.finals)
	if err != nil {
		t.refuse(err)
		return
	}
	t.task.Ended = !won
	t.begin(false)
	t.decideBy(func() { t.decide(nil) }, true)
}

// cancelOps ends the open ops of a task, on whatever node their clients wait, and asks its engine to stop. finals has what is known of the ops: it hears how they
// have ended. won: one was open. An error: the store does not answer, and some ops may be cancelled.
func (g *Gateway) cancelOps(id correlator.ID, finals []correlator.Callback) (won bool, err error) {
	for op := 0; op < len(finals) && err == nil; op++ {
		if finals[op].Status.Final() {
			continue
		}
		err = g.deliver(g.deadlines.context(time.Now()), id, correlator.Callback{Op: op, Status: correlator.Cancelled})
		before, late := errors.AsType[*correlator.Superseded](err)
		switch {
		case late:
			finals[op], err = correlator.Callback{Op: op, Status: before.Status}, nil
		case err == nil:
			finals[op], won = correlator.Callback{Op: op, Status: correlator.Cancelled}, true
			g.recent.AddCancelled(id, op, time.Now())
		}
	}
	if won || isCancelled(finals) { // who cancelled it may not have come to ask: its node was killed, or its store away
		g.cancelAtEngine(id)
	}
	return won, err
}

// cancelAtEngine asks the engine to cancel a task whose record says that the engine has answered. Where it has not, the home node asks, when
// it does: what the engine has to hear may stand in its answer.
func (g *Gateway) cancelAtEngine(id correlator.ID) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	rec, err := g.keeper.Lookup(ctx, id)
	for try := 1; errors.Is(err, correlator.ErrUnavailable) && try < storeTries; try++ {
		rec, err = g.keeper.Lookup(ctx, id)
	}
	if err != nil {
		return // nobody can ask for it any more
	}
	_, m, err := callOf(rec)
	if err != nil || !m.Acked || !isCancelled(rec.Finals) {
		return
	}
	if index, ok := g.engineNamed(m.Engine); ok && g.engines[index].code.Cancels() && g.asksToCancel(ctx, id) {
		g.askToCancel(g.engines[index], id, m.Accepted)
	}
}

// asksToCancel reports whether the caller is the one that asks the engine. The node of the client that cancels a task, the home node, and the node of
// another client that cancels it can all find the task cancelled and the engine's answer there: the first that binds a key of the task asks. If the
// store does not answer, the engine may be asked twice: that is better than never.
func (g *Gateway) asksToCancel(ctx context.Context, id correlator.ID) bool {
	key := correlator.Key{Name: "\x01" + string(id[:])} // no client can send it
	for range storeTries {
		own := g.correlator.NewID(id.Expiry())
		owner, err := g.keeper.Claim(ctx, key, [32]byte{}, own, correlator.Record{Finals: []correlator.Callback{{Status: correlator.Cancelled}}})
		g.correlator.Close(own)
		if err == nil {
			return owner == own
		}
	}
	return true
}

// askToCancel has an engine asked to cancel a task. Nobody waits for it.
func (g *Gateway) askToCancel(e *engine, id correlator.ID, accepted []byte) {
	g.cancels.Ask(cancelqueue.Request{Client: e.client, Engine: e.name, Trip: id, Append: func(dst []byte, now time.Time) ([]byte, error) {
		return e.code.AppendCancel(dst, string(g.keys.AppendTaskID(nil, id)), accepted, now, e)
	}})
}

// isCancelled reports whether the finals of a task say that a client or an operator has cancelled it.
func isCancelled(finals []correlator.Callback) bool {
	return len(finals) > 0 && isOurCancel(&finals[0])
}

// isOurCancel reports whether a final says that a client or an operator has cancelled the task: an engine that does says something.
func isOurCancel(cb *correlator.Callback) bool {
	return cb.Status == correlator.Cancelled && len(cb.Body) == 0
}

// cancelled asks the engine to cancel what its client has left or cancelled before the engine answered. It is called when the engine has.
func (t *trip) cancelled() {
	e := t.g.engines[t.engine]
	if !e.code.Cancels() {
		return
	}
	t.mu.Lock()
	unwanted := t.unwanted
	t.unwanted = false
	t.mu.Unlock()
	switch {
	case t.claimed.Load(): // others can know the task, and ask as well: its record says who does
		t.g.work.run(func() {
			if t.g.save(t) { // with what the engine has answered: another node may be asked to cancel
				t.g.cancelAtEngine(t.id)
			}
		})
	case unwanted:
		t.g.askToCancel(e, t.id, t.call.Options.Accepted)
	}
}

// forsake ends a trip whose client has left, and whose task nobody wants. Callbacks that come from now on find a record that says so. The engine is
// asked to cancel the task, now or when it has answered.
func (t *trip) forsake() {
	rec := t.record()
	for op := range rec.Finals {
		if !rec.Finals[op].Status.Final() {
			rec.Finals[op].Status = correlator.Cancelled
		}
	}
	if t.g.saveRecord(t, rec) {
		t.end(correlator.Gone)
	} else {
		t.end(correlator.Written)
	}
	t.unwant()
}

// unwant has the engine asked to cancel the task, now or when it has answered. There is no record of it that others could find.
func (t *trip) unwant() {
	t.mu.Lock()
	t.unwanted = true
	t.mu.Unlock()
	if t.engineTime.Load() != 0 && t.forwarded.Load() != 0 {
		t.cancelled()
	}
}

// cancelNamed ends the task that has a name, as its client could with DELETE: that of a client who waits, or one that is kept open. It says where the trip is
// then. An operator has asked.
func (g *Gateway) cancelNamed(name []byte) (whereabouts.Answer, *admin.Refusal) {
	q := g.question(name)
	ids, found := []correlator.ID{q.ID}, false
	if q.ID == (correlator.ID{}) {
		ids, found = g.recent.IDs(q, g.eachWaiting)
	}
	switch {
	case len(ids) > 1:
		return whereabouts.Answer{}, &admin.Refusal{Status: fasthttp.StatusConflict, Text: "Conflict: several requests have that name: use the trip of one of them"}
	case len(ids) == 0 && found:
		return whereabouts.Answer{}, &admin.Refusal{Status: fasthttp.StatusConflict, Text: "Conflict: it was refused, so there is no task to cancel"}
	case len(ids) == 0:
		return whereabouts.Answer{}, errNoTrip
	}
	q.ID = ids[0]
	here, refusal := g.cancelID(q.ID)
	if refusal != nil {
		return whereabouts.Answer{}, refusal
	}
	return g.findEnded(q, here), nil
}

var (
	errNoTrip   = &admin.Refusal{Status: fasthttp.StatusNotFound, Text: "Not found: this node knows no such request; each node knows its own"}
	errTripOver = &admin.Refusal{Status: fasthttp.StatusConflict, Text: "Conflict: it was over before it could be cancelled"}
	errNoStore  = &admin.Refusal{Status: fasthttp.StatusServiceUnavailable, Text: "Unavailable: the store does not answer, and the task may be cancelled or not: ask for it again later"}
)

// cancelID ends the open ops of a task, and asks its engine to stop. here: a client waited for it on this node, other than one that joined.
func (g *Gateway) cancelID(id correlator.ID) (here bool, refusal *admin.Refusal) {
	t, here := g.correlator.Waiter(id).(*trip)
	won := false
	if here && !t.claimed.Load() { // there is no record that could say whose final was the first: the trip itself does
		won = t.cancel()
	}
	if !won {
		var err error
		switch won, err = g.cancelRecorded(id); {
		case errors.Is(err, correlator.ErrGone) && len(g.recent.Find(whereabouts.Question{ID: id}, g.eachWaiting).Trips) == 0:
			return here, errNoTrip
		case err != nil && !errors.Is(err, correlator.ErrGone):
			return here, errNoStore
		}
	}
	if !won {
		return here, errTripOver
	}
	g.log.Info().Stringer("trip", id).Msg("cancelled by an operator")
	return here, nil
}

// cancel ends the open ops of a trip that has no record, and has the engine asked to stop. False: something else has ended it.
func (t *trip) cancel() bool {
	won := t.decideBy(func() {
		for op := range t.finals {
			if t.phase == parked {
				t.take(correlator.Callback{Op: op, Status: correlator.Cancelled})
			}
		}
	}, true)
	if won {
		t.unwant()
	}
	return won
}

// cancelRecorded ends the open ops of a task of which there is a record. ErrGone: there is none.
func (g *Gateway) cancelRecorded(id correlator.ID) (won bool, err error) {
	if g.keeper == nil {
		return false, correlator.ErrGone
	}
	ctx, cancel := g.storeContext()
	defer cancel()
	rec, err := g.keeper.Lookup(ctx, id)
	if err != nil {
		return false, err
	}
	return g.cancelOps(id, rec.Finals)
}

// findEnded finds a task that was cancelled. A trip that waited for it comes into the list a moment after its client has the reply, and a second is waited for that.
// here: one waited on this node. Each look reads all trips, so the pauses between them grow.
func (g *Gateway) findEnded(q whereabouts.Question, here bool) whereabouts.Answer {
	waits := func(t whereabouts.Trip) bool { return t.State != whereabouts.StateOver }
	for pause, end := time.Millisecond, time.Now().Add(time.Second); g.recent != nil && time.Now().Before(end); pause *= 2 {
		if trips := g.recent.Find(q, g.eachWaiting).Trips; (len(trips) > 0 || !here) && !slices.ContainsFunc(trips, waits) {
			break
		}
		<-time.After(pause)
	}
	return g.find(q)
}
