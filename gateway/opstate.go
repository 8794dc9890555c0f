package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/httpfield"
	"syncgate/internal/taskmeta"
)

// How far an op has come, for those who hold its token. An op of a call with Ends that is open when its time has passed is over: the first who looks at it
// writes the final that says so, or the home node where its client still waits. So all hear the same, and a result that comes later changes nothing.

// State says how far an op has come. Of an op without a record only the home node knows whether it is final; the others say Open until the deadline of
// its trip. ErrGone: nothing is known of it. ErrUnavailable.
func (g *Gateway) State(ctx context.Context, of correlator.Token) (s dialect.OpState, err error) {
	if _, known := g.engineOf(of.Engine); !known || !time.Now().Before(of.Trip.Expiry()) {
		return s, correlator.ErrGone
	}
	err = correlator.ErrGone
	var rec correlator.Record
	var m taskmeta.Meta
	if g.keeper != nil {
		rec, m, err = g.current(ctx, of.Trip)
	}
	switch {
	case errors.Is(err, correlator.ErrGone):
		return g.unrecorded(of)
	case err != nil:
		return s, err
	case of.Op >= len(rec.Finals):
		return s, correlator.ErrGone
	}
	s = dialect.OpState{Status: rec.Finals[of.Op].Status, Data: dataOf(rec, m, of.Op), Seq: rec.Seq}
	if m.Until != 0 {
		s.Until = time.UnixMilli(m.Until)
	}
	if !s.Status.Final() && rec.Last != nil {
		s.Status = rec.Last[of.Op]
	}
	return s, nil
}

// dataOf gives the Data of an OpState.
func dataOf(rec correlator.Record, m taskmeta.Meta, op int) []byte {
	before := correlator.Overlay(m.Data, reported(rec, op))
	final := rec.Finals[op]
	switch {
	case !final.Status.Final(), len(final.Body) == 0, final.Head != nil && !httpfield.IsJSON([]byte(final.Head.ContentType)):
		return before
	case final.Status == correlator.Complete, final.Status == correlator.Answered:
		return final.Body
	}
	return onTop(final.Body, before)
}

// unrecorded says what is known of an op of whose trip there is no record.
func (g *Gateway) unrecorded(of correlator.Token) (s dialect.OpState, err error) {
	t, parked := g.correlator.Waiter(of.Trip).(*trip)
	switch {
	case parked:
		s.Status = t.Standing(of.Op)
	case g.isHome(of.Trip), !g.isAwaited(of.Trip, time.Now()):
		return s, correlator.ErrGone
	}
	return s, nil
}

// Await waits until more is reported of an op than s says, or it is final, and gives its state then. At the deadline it gives what there is. It holds its
// caller's goroutine, and counts as a client that waits: ErrBusy, ErrDraining, and State's errors.
func (g *Gateway) Await(ctx context.Context, of correlator.Token, s dialect.OpState, deadline time.Time) (dialect.OpState, error) {
	if s.Status.Final() || g.keeper == nil {
		return s, nil
	}
	if !s.Until.IsZero() && s.Until.Before(deadline) {
		deadline = s.Until
	}
	w := &asker{op: of.Op, heard: make(chan struct{})}
	detach, err := g.keeper.Follow(ctx, of.Trip, w, s.Seq, deadline)
	if err != nil {
		return s, err
	}
	defer detach()
	select {
	case <-w.heard:
	case <-ctx.Done():
	}
	return g.State(ctx, of)
}

// asker is a Receiver that wants to know when there is something new.
type asker struct {
	op    int
	once  sync.Once
	heard chan struct{} // closed when there is
}

// Deliver takes an event, or a final.
func (a *asker) Deliver(cb correlator.Callback, done func(correlator.Disposition)) {
	if cb.Op == a.op {
		a.once.Do(func() { close(a.heard) })
	}
	done(correlator.Written)
}

// Expire ends the wait.
func (a *asker) Expire(error) { a.once.Do(func() { close(a.heard) }) }

// isOverdue reports whether open ops of a record have timed out, and nobody has written so.
func isOverdue(m taskmeta.Meta, rec correlator.Record) bool {
	return m.Until != 0 && !rec.Complete() && time.Now().UnixMilli() >= m.Until
}

// current reads a record. What is overdue is ended before.
func (g *Gateway) current(ctx context.Context, id correlator.ID) (rec correlator.Record, m taskmeta.Meta, err error) {
	if err := g.retries.Save(id); err != nil {
		return rec, m, fmt.Errorf("save what is unsaved of trip %v: %w", id, err)
	}
	for try := 0; ; try++ {
		if rec, err = g.keeper.Lookup(ctx, id); err != nil {
			return rec, m, err
		}
		if _, m, err = callOf(rec); err != nil || try > 0 || !isOverdue(m, rec) {
			return rec, m, err
		}
		if err = g.endOpen(ctx, id, rec, correlator.Callback{Status: correlator.TimedOut}); err != nil {
			return rec, m, err
		}
	}
}

// endOpen ends the ops that are open in a record. Those that have become final meanwhile stay as they are.
func (g *Gateway) endOpen(ctx context.Context, id correlator.ID, rec correlator.Record, last correlator.Callback) error {
	for op := range rec.Finals {
		if rec.Finals[op].Status.Final() {
			continue
		}
		last.Op = op
		err := g.finals.Deliver(ctx, id, last)
		if _, late := errors.AsType[*correlator.Superseded](err); err != nil && !late {
			return deliverError(id, op, err)
		}
	}
	return nil
}

// fetchOverdue ends what is overdue of a task, and then serves the client that comes back for it.
func (g *Gateway) fetchOverdue(t *trip) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	_, _, err := g.current(ctx, t.id)
	cancel()
	if err != nil {
		t.refuse(err)
		return
	}
	g.fetch(t)
}

// timesOut reports whether the wait ends as the engine has no more time.
func (t *trip) timesOut(reason error) bool {
	return errors.Is(reason, correlator.ErrDeadline) && t.kind == creates && t.claimed.Load() && termsOf(t.call).Ends && !time.Now().Before(t.accepted.Add(t.call.Terms.Lasts))
}

// timeOut ends the trip's open ops in its record, and so for its client. Where that cannot be written the wait ends as any other.
func (t *trip) timeOut(reason error) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := t.g.endOpen(ctx, t.id, t.record(), correlator.Callback{Status: correlator.TimedOut}); err != nil {
		t.g.log.Debug().Err(err).Stringer("trip", t.id).Msg("that an op has timed out is not kept")
	}
	t.failed(reason)
}

// soFar gives what was reported until the engine's first report has ended the wait. It asks the store.
func (t *trip) soFar() []byte {
	if t.g.keeper != nil && t.claimed.Load() {
		ctx, cancel := t.g.storeContext()
		defer cancel()
		if rec, err := t.g.keeper.Lookup(ctx, t.id); err == nil {
			return correlator.Overlay(t.call.Options.Data, reported(rec, 0))
		}
	}
	if merged := correlator.Overlay(t.call.Options.Data, t.call.Options.Reported.Body); merged != nil {
		return merged
	}
	return correlator.Overlay(t.call.Options.Data, []byte("{}"))
}

// Where an engine's merge is on, a result is laid over what was known before it: the members of the request, and over them those of the
// engine's reports. Such a trip has a record from its beginning, so that what is reported is kept for the result.

// merges reports whether the results of a call are laid over what came before them.
func (t *trip) merges() bool {
	return t.call != nil && t.call.Options != nil && t.g.engines[t.engine].cfg.Merge
}

// keepData keeps the members of the request for the result. Several ops have none in common.
func (t *trip) keepData() {
	asked := t.call.Options.Asked
	if t.merges() && asked != nil && asked.Elements == nil && httpfield.IsJSON(asked.ContentType) {
		t.call.Options.Data = correlator.Overlay(asked.Body)
	}
}

// mergeLater completes the result of a callback by what is known of its trip, and delivers it. It does not wait for the store: a goroutine does.
func (g *Gateway) mergeLater(id correlator.ID, cb correlator.Callback, x calling, answer []byte, now time.Time) {
	g.work.run(func() {
		if err := g.merge(id, &cb); err != nil {
			g.answerCallback(x, answer, id, cb.Op, "", err)
			return
		}
		g.deliverLater(id, cb, x, answer, now)
	})
}

// merge lays a result over what is known of its trip. Where nothing is known any more the result stays as it is. ErrUnavailable.
func (g *Gateway) merge(id correlator.ID, cb *correlator.Callback) error {
	if g.keeper == nil {
		return nil
	}
	if err := g.retries.Save(id); err != nil {
		return fmt.Errorf("save what is unsaved of trip %v: %w", id, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	rec, err := g.keeper.Lookup(ctx, id)
	if errors.Is(err, correlator.ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	_, m, err := callOf(rec)
	if err != nil || m.Created == 0 { // of no route
		return err
	}
	cb.Body = onTop(cb.Body, m.Data, reported(rec, cb.Op))
	return nil
}

// onTop lays a result over what was known before it. A result that is no object, or has too many members to be merged, stays as it is.
func onTop(result []byte, before ...[]byte) []byte {
	if merged := correlator.Overlay(append(before, result)...); merged != nil {
		return merged
	}
	return result
}

// reported gives the members that an engine has reported of an op, as an object.
func reported(rec correlator.Record, op int) []byte {
	if op < len(rec.Merged) && rec.Merged[op] != nil {
		return rec.Merged[op]
	}
	return []byte("{}")
}
