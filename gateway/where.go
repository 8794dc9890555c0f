package gateway

import (
	"context"
	"errors"

	"syncgate/correlator"
	"syncgate/internal/whereabouts"
)

// whereIs answers where the request is that has the name text.
func (g *Gateway) whereIs(text []byte) whereabouts.Answer {
	q := whereabouts.Question{Text: text}
	if id, err := g.keys.ParseTaskID(text); err == nil {
		q.ID = id
	} else if token, err := g.keys.ParseToken(text); err == nil {
		q.ID = token.Trip
	}
	answer := g.recent.Find(q, g.eachWaiting)
	answer.Node, answer.Remembered = g.nodeName(), g.cfg.Admin.Trips
	if q.ID != (correlator.ID{}) {
		if !g.isHome(q.ID) {
			answer.Home = q.ID.Home().String()
		}
		answer.Record = g.recordReport(q.ID)
	}
	return answer
}

// nodeName names this node, empty where there can be no other.
func (g *Gateway) nodeName() string {
	if node, ok := g.correlator.(interface{ Node() correlator.NodeID }); ok {
		return node.Node().String()
	}
	return ""
}

// eachWaiting calls visit with the trips of this node that are not over, until that returns false. visit must not block: the trip's mu is held.
func (g *Gateway) eachWaiting(visit func(f *whereabouts.Facts, ops []whereabouts.OpFacts) (goOn bool)) {
	table, ok := g.correlator.(interface {
		Each(f func(correlator.Receiver))
	})
	if !ok {
		return
	}
	goOn := true
	table.Each(func(r correlator.Receiver) {
		if t, ok := r.(*trip); ok && goOn {
			goOn = t.visit(visit)
		}
	})
}

// visit calls visit with the trip, unless it is over or makes no task.
func (t *trip) visit(visit func(f *whereabouts.Facts, ops []whereabouts.OpFacts) (goOn bool)) (goOn bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kind == fetches || t.phase == over {
		return true
	}
	var f whereabouts.Facts
	t.facts(&f)
	f.Waits, f.Queued = true, t.queued
	ops := make([]whereabouts.OpFacts, min(f.Ops, whereabouts.MostOps))
	for i := range ops {
		ops[i] = t.opFacts(i)
	}
	return visit(&f, ops)
}

// facts takes what is known of the trip. Called with mu held, or when the trip is over.
func (t *trip) facts(f *whereabouts.Facts) {
	f.ID, f.RequestID, f.Login, f.Accepted, f.Keyed, f.Joined = t.id, t.requestID, t.login(), t.accepted, t.keyed(), t.joined
	f.Callbacks, f.FirstCallback, f.LastCallback = t.heard.n, t.heard.first, t.heard.last
	if t.call == nil {
		return
	}
	f.Read, f.Ops, f.Wait, f.Forwarded = true, len(t.call.Ops), t.call.Wait, t.forwarded.Load()
	if took := t.engineTime.Load(); took != 0 {
		f.EngineTime, f.EngineStatus = took, t.engineStatus
	}
}

// opFacts gives what is known of an op. Called as facts is.
func (t *trip) opFacts(i int) whereabouts.OpFacts {
	op := &t.call.Ops[i]
	var room [mostLabel]byte // on the stack
	return whereabouts.OpFacts{
		Op: i, Process: op.Process, Ref: op.Ref, Task: whereabouts.NewTask(t.appendEngineTask(room[:0], i)),
		Final: i < len(t.finals) && t.finals[i].Status.Final(), Refused: op.Refused != "",
	}
}

// recordReport asks what is kept of a trip; nil: nothing, or the store is away.
func (g *Gateway) recordReport(id correlator.ID) *whereabouts.Record {
	if g.keeper == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	rec, err := g.keeper.Lookup(ctx, id)
	if err != nil {
		if !errors.Is(err, correlator.ErrGone) {
			g.log.Debug().Err(err).Msg("what is kept of a trip cannot be asked")
		}
		return nil
	}
	r := &whereabouts.Record{Ops: len(rec.Finals)}
	for i := range rec.Finals {
		if rec.Finals[i].Status.Final() {
			r.Final++
		}
	}
	return r
}
