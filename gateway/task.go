package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/httpserver"
	"syncgate/internal/taskmeta"
)

const (
	// taskPath is where every task can be read, whatever dialect made it.
	taskPath = "/api/1/tasks/"
	// storeTimeout bounds what a trip's end waits for the store; the store's own time-out is shorter.
	storeTimeout = 5 * time.Second
	// minTokenLife is how long after the deadline a callback is still listened to, whatever the retention.
	minTokenLife = 10 * time.Minute
)

// metaOf gives what is recorded of a trip beside its finals.
func (t *trip) metaOf() []byte {
	c := t.call
	var one [1]taskmeta.Op // most calls have one op: on the stack
	m := taskmeta.Meta{Login: c.Login, TimeoutGiven: c.TimeoutGiven, Ops: one[:0]}
	if o := c.Options; o != nil {
		m.Engine, m.Route, m.State, m.Data, m.Guarded, m.Created = o.Engine, o.Route, o.State, o.Data, o.Guarded, t.accepted.UnixMilli()
		m.HandedOver = t.handsOver() || o.ComesBack
		if t.engineTime.Load() != 0 {
			m.Acked, m.Accepted = true, o.Accepted
		}
	}
	if t.trace.recorded() {
		m.Trace = t.trace.Request
	}
	if terms := termsOf(c); terms.Ends {
		m.Until = t.accepted.Add(terms.Lasts).UnixMilli()
	}
	if t.dialect > 0 {
		m.Dialect = t.g.dialects.Name(t.dialect)
	}
	for i := range c.Ops {
		op := &c.Ops[i]
		m.Ops = append(m.Ops, taskmeta.Op{ID: op.ID, Ref: op.Ref, Refused: op.Refused})
	}
	var room [256]byte // on the stack: a record is kept for long, and takes what it needs
	return bytes.Clone(m.Append(room[:0]))
}

// callOf gives the call of a record, and what else it says.
func callOf(rec correlator.Record) (c *dialect.Call, m taskmeta.Meta, err error) {
	if m, err = taskmeta.Parse(rec.Meta); err != nil {
		return nil, m, fmt.Errorf("read a record: %w", err)
	}
	if len(m.Ops) != len(rec.Finals) {
		return nil, m, fmt.Errorf("read a record: it has %d ops and %d finals", len(m.Ops), len(rec.Finals))
	}
	c = &dialect.Call{Login: m.Login, TimeoutGiven: m.TimeoutGiven, Ops: make([]dialect.Op, len(m.Ops))}
	if m.Created != 0 {
		c.Options = &dialect.Options{Route: m.Route, Engine: m.Engine, State: m.State, Data: m.Data, Guarded: m.Guarded, Accepted: m.Accepted}
	}
	for i, op := range m.Ops {
		c.Ops[i] = dialect.Op{ID: op.ID, Ref: op.Ref, Refused: op.Refused}
	}
	return c, m, nil
}

// task serves a client that comes back for a result: its dialect words what there is. With a wait it is parked like the original.
func (g *Gateway) task(in *httpserver.Incoming, t *trip, a *heading) (suspended bool, err error) {
	asked, err := g.dialects.Task(a.dialect, in.Request, a.at, t.accepted)
	if err != nil {
		return false, err
	}
	if t.id, err = g.keys.ParseTaskID(asked.Task); err != nil {
		return false, err
	}
	asked.Task = nil // it is the request's
	switch {
	case g.keeper == nil:
		return false, correlator.ErrGone
	case asked.Login == "" && g.cfg.Results.RequireLogin:
		return false, dialect.ErrReader
	case in.OverLimit():
		asked.Wait = 0
	}
	t.listed = t.listed && g.dialects.AllowsOrigin(a.dialect, a.at, a.origin, asked.Login)
	t.kind, t.task, t.exchange = fetches, &taskRequest{TaskCall: asked}, in.Exchange
	in.Wait(t)
	if g.local {
		g.fetch(t)
	} else {
		g.work.run(func() { g.fetch(t) })
	}
	return true, nil
}

// taskRequest is a client's request about a task, with what is known of the task.
type taskRequest struct {
	dialect.TaskCall
	timedOut bool // what was overdue of it was ended

	// Of the record.
	maker    uint8     // the dialect that made the task
	merged   [][]byte  // as in Reply
	created  time.Time // zero: not known
	readable bool      // it is there, and the client may read it
}

// fetch reads a record, and answers at once or when the ops that are open have become final, or after the wait. It asks the store.
func (g *Gateway) fetch(t *trip) {
	overdue, err := g.lookUp(t)
	switch {
	case err != nil:
		t.refuse(err)
		return
	case overdue && !t.task.timedOut:
		t.task.timedOut = true
		g.work.run(func() { g.fetchOverdue(t) })
		return
	}
	if t.task.Do == dialect.CancelTask {
		g.work.run(func() { g.cancelTask(t) })
		return
	}
	if t.task.Do == dialect.Follow {
		t.follow()
		return
	}
	t.deadline = t.accepted.Add(t.task.Wait)
	open := t.openOps()
	t.open = open
	t.begin(false)
	if open == 0 || t.task.Wait <= 0 {
		t.decideBy(func() { t.decide(nil) }, true)
		return
	}
	switch err := t.attach(); {
	case errors.Is(err, correlator.ErrDraining), errors.Is(err, correlator.ErrBusy): // a preference is no right
		t.decideBy(func() {
			t.task.Applied, t.task.Wait = "", 0
			t.decide(nil)
		}, true)
	case err != nil:
		t.failed(faultOf(err))
	default:
		t.registered()
	}
}

// lookUp reads the record of the trip's id. overdue: its open ops are to be ended.
func (g *Gateway) lookUp(t *trip) (overdue bool, err error) {
	ctx, cancel := g.storeContext()
	defer cancel()
	rec, err := g.keeper.Lookup(ctx, t.id)
	if err != nil {
		return false, err
	}
	var m taskmeta.Meta
	if t.call, m, err = callOf(rec); err != nil {
		return false, err
	}
	t.finals, t.task.merged = rec.Finals, rec.Merged
	if m.Data != nil {
		t.task.merged = [][]byte{correlator.Overlay(m.Data, reported(rec, 0))}
	}
	if m.Created != 0 {
		t.task.created = time.UnixMilli(m.Created)
	}
	if t.task.maker, err = g.dialects.Named(m.Dialect); err != nil {
		return false, err
	}
	if t.task.maker == t.dialect {
		t.task.State = m.State
	}
	if t.task.MayRead != nil {
		if err := t.task.MayRead(m.Login, m.Guarded); err != nil {
			return false, err
		}
	}
	t.task.readable = true
	return isOverdue(m, rec), nil
}

// refusedTask is what a refusal can say of a request for a task: its call, if the client may read it, and its own dialect words the refusal.
func (t *trip) refusedTask() dialect.Refused {
	of := dialect.Refused{RequestID: t.requestID}
	if t.task.readable && t.task.maker == t.dialect {
		of.Call = t.call
	}
	return of
}

// wordResult words the result, or what there is so far. The wait's own end is no fault.
func (t *trip) wordResult(dst *fasthttp.Response) {
	refusal, refused := errors.AsType[*dialect.Fault](t.why)
	switch {
	case refused:
	case errors.Is(t.why, correlator.ErrReleased):
		refusal = faultOf(correlator.ErrGone)
	default:
		t.view(dst)
		return
	}
	t.g.metrics.Refused(reasonOf(refusal))
	t.g.log.Debug().Str("request_id", t.requestID).Stringer("trip", t.id).Int("status", refusal.Status).Str("why", refusal.Text).Msg("request refused")
	t.g.refuse(t.dialect, dst, refusal, t.refusedTask())
}

// view words a task as its client asked for it.
func (t *trip) view(dst *fasthttp.Response) {
	r := dialect.Reply{Finals: t.finals, Merged: t.task.merged, RequestID: t.requestID, Accepted: t.task.created, Task: string(t.g.keys.AppendTaskID(nil, t.id))}
	if t.openOps() > 0 {
		r.Open, r.RetryAfter = dialect.ErrPending, retrySoon
		if o := t.call.Options; o != nil {
			r.RetryAfter = t.g.medians.Of(o.Route)
		}
	}
	if err := t.g.dialects.View(t.dialect, t.task.maker, dst, &t.task.TaskCall, t.call, &r); err != nil {
		t.g.refuse(t.dialect, dst, t.g.failed(err, t.requestID), t.refusedTask())
		return
	}
	if t.task.Applied != "" {
		dst.Header.Set("Preference-Applied", t.task.Applied)
	}
}

// openOps counts the ops without a final.
func (t *trip) openOps() (n int) {
	for i := range t.finals {
		if !t.finals[i].Status.Final() {
			n++
		}
	}
	return n
}

// record is what is known of the trip.
func (t *trip) record() correlator.Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	return correlator.Record{Meta: t.metaOf(), Finals: slices.Clone(t.finals)}
}

// storeContext bounds what the store is asked. In memory nothing has to be waited for.
func (g *Gateway) storeContext() (context.Context, context.CancelFunc) {
	if g.local {
		return context.Background(), func() {}
	}
	return context.WithTimeout(context.Background(), storeTimeout)
}

// save keeps the trip's record for a client that comes back. False: nothing is kept, by configuration or by failure.
func (g *Gateway) save(t *trip) bool { return g.saveRecord(t, t.record()) }

func (g *Gateway) saveRecord(t *trip, rec correlator.Record) bool {
	if g.keeper == nil || g.cfg.Results.Retention <= 0 && !t.claimed.Load() {
		return false
	}
	ctx, cancel := g.storeContext()
	defer cancel()
	if err := g.finals.Save(ctx, t.id, rec); err != nil {
		g.log.Error().Err(err).Stringer("trip", t.id).Msg("a result cannot be kept for a client that did not get it")
		return false
	}
	return true
}

// record adds the engine's own answer to a trip whose client has left. False: it may be possible later.
func (g *Gateway) record(id correlator.ID, cb correlator.Callback) bool {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	err := g.finals.Deliver(ctx, id, cb)
	if err != nil {
		g.log.Debug().Err(err).Stringer("trip", id).Int("op", cb.Op).Msg("the engine's late answer is not kept")
	}
	return !errors.Is(err, correlator.ErrUnavailable)
}

// termsOf gives the Terms of a call; the zero Terms where it has none.
func termsOf(c *dialect.Call) dialect.Terms {
	if c.Terms == nil {
		return dialect.Terms{}
	}
	return *c.Terms
}
