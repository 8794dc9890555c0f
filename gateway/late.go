package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/redact"
	"syncgate/internal/taskmeta"
)

// deadlineOf gives when the client of a trip was answered at the latest: a token carries it.
func (g *Gateway) deadlineOf(id correlator.ID) time.Time {
	return id.Expiry().Add(-max(g.cfg.Results.Retention, minTokenLife))
}

// isHome reports whether this node is the home of a trip.
func (g *Gateway) isHome(id correlator.ID) bool {
	node, ok := g.correlator.(interface{ Node() correlator.NodeID })
	return !ok || node.Node() == id.Home()
}

// isAwaited reports whether a client may wait for a callback. Another node's does up to its deadline.
func (g *Gateway) isAwaited(id correlator.ID, now time.Time) bool {
	if g.isHome(id) {
		return g.correlator.Waiter(id) != nil
	}
	return now.Before(g.deadlineOf(id))
}

// recordState is what is known of an op when its callback comes and nobody waits for it.
type recordState uint8

const (
	noRecord     recordState = iota // its trip is over, and its client has everything, or nothing is kept
	openRecord                      // its trip is over, and the op is open
	finalRecord                     // the op has a result
	unknownState                    // the store cannot be asked
)

// deliverUnawaited hands on a callback for which nobody waits, and says what became of it. It asks the store: such callbacks are few.
func (g *Gateway) deliverUnawaited(ctx context.Context, id correlator.ID, cb correlator.Callback) (outcome string, err error) {
	if cb.Status.Running() {
		return callbackReported, g.deliver(ctx, id, cb)
	}
	before, m := g.recordOf(id, cb.Op)
	err = g.deliver(ctx, id, cb)
	superseded, _ := errors.AsType[*correlator.Superseded](err)
	switch {
	case superseded != nil:
		return callbackRepeated, err
	case errors.Is(err, correlator.ErrGone):
		g.lateCallback(id, cb.Op, false)
		return callbackGone, err
	case err != nil:
		return callbackUnavailable, err
	case before == openRecord && m.HandedOver:
		g.taskEnded(id, m, cb)
		return callbackDelivered, nil
	case before == openRecord:
		g.lateCallback(id, cb.Op, true)
		return callbackKept, nil
	case before == finalRecord, before == noRecord && g.isHome(id):
		return callbackRepeated, nil
	case g.isHome(id):
		return callbackDelivered, nil
	default:
		return callbackRelayed, nil
	}
}

// recordOf says what is known of an op, and gives what is recorded beside the finals.
func (g *Gateway) recordOf(id correlator.ID, op int) (state recordState, m taskmeta.Meta) {
	if g.keeper == nil {
		return noRecord, m
	}
	ctx, cancel := g.storeContext()
	defer cancel()
	rec, err := g.keeper.Lookup(ctx, id)
	switch {
	case errors.Is(err, correlator.ErrGone):
		return noRecord, m
	case err != nil:
		return unknownState, m
	}
	if _, m, err = callOf(rec); err != nil {
		return unknownState, m
	}
	if op < len(rec.Finals) && !rec.Finals[op].Status.Final() {
		return openRecord, m
	}
	return finalRecord, m
}

// taskEnded leaves the line about a task whose client did not wait, when its result is there.
func (g *Gateway) taskEnded(id correlator.ID, m taskmeta.Meta, cb correlator.Callback) {
	took := time.Since(time.UnixMilli(m.Created))
	g.medians.Add(m.Route, took)
	g.recent.AddResult(id, cb.Op, time.Now())
	g.log.Info().Stringer("trip", id).Str("login", m.Login).Str("route", m.Route).Stringer("status", cb.Status).Dur("took", took).Msg("task ended")
}

// lateCallback leaves a line about a callback that came when nobody waited for it any more.
func (g *Gateway) lateCallback(id correlator.ID, op int, kept bool) {
	now := time.Now()
	line := g.log.Info().Stringer("trip", id).Int("op", op).Bool("kept", kept)
	if late := now.Sub(g.deadlineOf(id)); late > 0 { // else the client had left before
		line = line.Dur("late", late)
	}
	line.Msg("late callback")
	g.recent.AddLate(id, op, now, kept)
}

// noteRefusedCallback leaves a line about a callback that was refused. One with a genuine token is a warning: its client waits in vain,
// unless the engine sends the callback again as it should be.
func (g *Gateway) noteRefusedCallback(f *dialect.Fault, trip correlator.ID, op int) {
	row := whyOf(f)
	genuine := trip != correlator.ID{}
	if !genuine && f.Status < 500 || row.callback == callbackGone { // which has a line of its own
		g.log.Debug().Str("error", redact.Error(f)).Int("status", f.Status).Msg("callback refused")
		return
	}
	skipped, ok := g.refusedNotes.Allow()
	if !ok {
		return
	}
	line := g.log.WithLevel(zerolog.WarnLevel).Str("reason", string(row.reason)).Str("error", redact.Error(f)).Int("status", f.Status)
	if genuine {
		line = line.Stringer("trip", trip).Int("op", op)
	}
	if skipped > 0 {
		line = line.Int64("not_logged", skipped)
	}
	line.Msg("callback refused")
}

const (
	// refusedRate and refusedBurst bound the lines about refused callbacks, which strangers, or a broken engine, can cause.
	refusedRate  = 1 // a second
	refusedBurst = 10
)
