package waiter

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"syncgate/correlator"
)

// nameOf gives the name that a modify has; ok: it has one.
func (p *Process) nameOf(m *Modify) (n correlator.Name, ok bool) {
	n = correlator.Name{Process: p.id, Key: KeyRef, Text: m.Ref}
	if m.Ref == "" {
		n.Key, n.Text = KeyTask, m.Task
	}
	return n, n.Text != "" && len(n.Text) <= mostName
}

// Modify completes the op with the name that m has, for a process that does not forward. It holds what has no op for as long as the waiters' early
// says, or until ctx ends. It never gives Held. task is our own id of the op's task, or the engine's where there is one.
func (p *Process) Modify(ctx context.Context, m Modify) (o Outcome, task string) {
	n, ok := p.nameOf(&m)
	w := p.modified(m.Login, n.Key)
	if !ok || w == nil {
		return Unknown, ""
	}
	if o, task = p.table.complete(ctx, w, n, m.Data); o == Unknown && w.Early > 0 {
		o, task = p.table.wait(ctx, &arrival{name: n, waiter: w, body: slices.Clone(m.Data), until: time.Now().Add(w.Early), tried: true})
	}
	p.table.counts.count(w, o.String())
	return o, task
}

// Modified completes the op with the name that m has, for a process that forwards: the engine has said that it did what m asks. Nobody waits for it.
func (p *Process) Modified(m Modify) {
	n, ok := p.nameOf(&m)
	w := p.modified(m.Login, n.Key)
	if !ok || w == nil {
		return
	}
	a := &arrival{name: n, waiter: w, body: slices.Clone(m.Data), until: time.Now().Add(w.Early), unlessAcked: true}
	a.settled = func(o Outcome, _ string) { p.table.counts.count(w, o.String()) }
	if !p.table.early.hold(a) {
		p.table.counts.count(w, Unavailable.String())
		p.table.log.Warn().Str("waiter", w.Name).Msg("waiter: there is no room for a modify that the engine has done: it completes nothing")
	}
}

// settle is what came of a completion that was held.
type settle struct {
	outcome Outcome
	task    string
}

// await gives what will come of a completion, once it is held.
func (a *arrival) await() <-chan settle {
	done := make(chan settle, 1)
	a.settled = func(o Outcome, task string) { done <- settle{o, task} }
	return done
}

// wait holds a completion until an op has its name, its time has passed, or ctx ends.
func (t *Table) wait(ctx context.Context, a *arrival) (o Outcome, task string) {
	done := a.await()
	if !t.early.hold(a) {
		return Unavailable, ""
	}
	s := t.await(ctx, a, done)
	return s.outcome, s.task
}

// await waits for a completion that is held. When ctx ends it is not held any more.
func (t *Table) await(ctx context.Context, a *arrival, done <-chan settle) settle {
	select {
	case s := <-done:
		return s
	case <-ctx.Done():
	}
	if t.early.drop(a) {
		return settle{Unknown, ""}
	}
	return <-done // it is on its way, which takes deliverTime at most
}

// attempt tries to complete an op with what came early. definite: if the outcome is Unknown, no op of the process will get the name.
// A panic ends this attempt alone, which comes to nothing.
func (t *Table) attempt(ctx context.Context, a *arrival) (o Outcome, task string, definite bool) {
	defer func() {
		if p := recover(); p != nil {
			t.log.Error().Str("panic", fmt.Sprintf("%T", p)).Bytes("stack", debug.Stack()).Msg("waiter: a completion panicked")
			o, task, definite = Unavailable, "", false
		}
	}()
	definite = a.unlessAcked && !t.ops.awaits(a.name.Process) // asked first: an op has its names before it is answered
	o, task = t.complete(ctx, a.waiter, a.name, a.body)
	return o, task, definite
}
