package gateway

import (
	"context"
	"errors"
	"time"

	"syncgate/correlator"
	"syncgate/internal/cancelqueue"
)

// storeTries is how often the store is asked that does not answer in time: nobody repeats what is asked here.
const storeTries = 3

// cancelTask ends a task as its client wants: the ops that are open become final, on whatever node their clients wait, and the engine is
// asked to stop. It asks the store, and waits for clients that are answered.
func (g *Gateway) cancelTask(t *trip) {
	won := false
	for op := range t.finals {
		if t.finals[op].Status.Final() {
			continue
		}
		cb := correlator.Callback{Op: op, Status: correlator.Cancelled}
		err := g.deliver(g.deadlines.context(time.Now()), t.id, cb)
		before, late := errors.AsType[*correlator.Superseded](err)
		switch {
		case late:
			cb.Status = before.Status
		case err != nil:
			t.refuse(err)
			return
		default:
			won = true
		}
		t.finals[op] = cb
	}
	t.task.Ended = !won
	if won || t.finals[0].Status == correlator.Cancelled { // the node that cancelled it may have been killed before it asked
		g.cancelAtEngine(t.id)
	}
	t.begin(false)
	t.decideBy(func() { t.decide(nil) }, true)
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
	if err != nil || !m.Acked || !isCancelled(rec) {
		return
	}
	if index, ok := g.engineNamed(m.Engine); ok && g.engines[index].cancel != nil && g.asksToCancel(ctx, id) {
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
		return g.partners.encodeCancel(e, dst, string(g.keys.AppendTaskID(nil, id)), accepted, now)
	}})
}

// isCancelled reports whether a client has cancelled what a record is of.
func isCancelled(rec correlator.Record) bool {
	return len(rec.Finals) > 0 && rec.Finals[0].Status == correlator.Cancelled && len(rec.Finals[0].Body) == 0
}

// cancelled asks the engine to cancel what its client has left or cancelled before the engine answered. It is called when the engine has.
func (t *trip) cancelled() {
	e := t.g.engines[t.engine]
	if e.cancel == nil {
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
	t.mu.Lock()
	t.unwanted = true
	t.mu.Unlock()
	if t.engineTime.Load() != 0 {
		t.cancelled()
	}
}
