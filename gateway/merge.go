package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"syncgate/correlator"
	"syncgate/internal/httpfield"
)

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
