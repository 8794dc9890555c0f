package waiter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/internal/webhook"
)

// received is a completion that came at a URL: its answer, or what that waits for.
type received struct {
	table  *Table
	waiter *waiter
	name   string
	answer opAnswer
	held   *arrival      // not nil: the answer waits for it
	done   <-chan settle // what came of held
}

// receive completes the op that body names. It waits for no op that has not come.
func (t *Table) receive(ctx context.Context, w *waiter, body []byte) (r received) {
	r = received{table: t, waiter: w}
	text, ok := w.path.Of(body)
	if !ok || text == "" {
		r.answer = invalid(w.Path + " is not in the body, or is no text or number")
		return r
	}
	r.name = text
	if len(text) > mostName {
		r.answer = w.answerTo("", Unknown, "")
		return r
	}
	n := correlator.Name{Process: w.ConvID, Key: w.key.text, Text: text}
	o, task := t.complete(ctx, w, n, body)
	if o != Unknown || w.Early == 0 {
		r.answer = w.answerTo(text, o, task)
		return r
	}
	a := &arrival{name: n, waiter: w, body: bytes.Clone(body), until: time.Now().Add(w.Early), tried: true}
	if w.Synchronous {
		a.settled = func(o Outcome, _ string) { t.counts.count(w, o.String()) }
	} else {
		r.held, r.done = a, a.await()
	}
	o = Held
	if !t.early.hold(a) {
		o, r.held = Unavailable, nil
	}
	r.answer = w.answerTo(text, o, "")
	return r
}

// wait gives the answer, when it is known.
func (r *received) wait(ctx context.Context) opAnswer {
	if r.held != nil {
		s := r.table.await(ctx, r.held, r.done)
		r.answer = r.waiter.answerTo(r.name, s.outcome, s.task)
	}
	return r.answer
}

// receiveAll completes the ops that the events of a body name, one after the other. Those that are held for an answer are waited for together.
func (t *Table) receiveAll(ctx context.Context, dst *fasthttp.Response, w *waiter, body []byte) error {
	events, err := w.events.Split(body)
	switch {
	case errors.Is(err, webhook.ErrTooManyEvents):
		return t.refused(dst, w, fmt.Sprintf("%s has more than %d elements", w.Events, webhook.MostEvents))
	case err != nil:
		return t.refused(dst, w, w.Events+" is not in the body, or is no array")
	}
	all := make([]received, len(events))
	for i := range events {
		all[i] = t.receive(ctx, w, events[i])
	}
	ops := make([]opAnswer, len(all))
	for i := range all {
		ops[i] = all[i].wait(ctx)
		t.counts.count(w, ops[i].outcome)
	}
	write(dst, statusOf(ops), ops)
	return nil
}
