package waiter

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"syncgate/correlator"
)

// Process is the waiters of one process: all of them forward, or none does.
type Process struct {
	// Set by Table.Set, read-only afterwards.
	table   *Table
	id      string
	waiters []*waiter
	keys    []key // of its waiters, and those that a modify has
	timer   time.Duration
	local   bool
	merges  bool // one of the waiters does
}

// Op is an op of a client that creates a task of the process.
type Op struct {
	ID    correlator.ID
	Index int    // of the op in its call
	Ref   string // decoded; empty: it has none
	Data  []byte // a JSON object; it is not kept longer than Bind, but for a copy
}

// Modify is what completes an op by name: an op of type modify, whose data is a JSON object.
type Modify struct {
	Login     string
	Ref, Task string // decoded: one of them is empty. Task is the engine's own id, or ours
	Data      []byte
}

// Outcome is what became of a completion.
type Outcome uint8

const (
	// Completed says that it completed an op, on whatever node.
	Completed Outcome = iota
	// Unknown says that no op has the name, and that none got it while the completion was held.
	Unknown
	// Finished says that the op with the name was final before.
	Finished
	// Busy says that another completion of the op is on its way: the first wins.
	Busy
	// Held says that the completion is kept for a while, for an op that may still come.
	Held
	// Unavailable says that the store, or the op's node, cannot be reached right now, or that there is no room to hold the completion.
	Unavailable
)

// outcomeNames are the outcomes as labels.
var outcomeNames = [...]string{Completed: "completed", Unknown: "unknown", Finished: "finished", Busy: "busy", Held: "held", Unavailable: "unavailable"}

// String is the outcome as metrics have it.
func (o Outcome) String() string { return outcomeNames[o] }

// mostName bounds a name, in bytes. What is longer is no name.
const mostName = 512

// TaskID is our own id of an op's task: what answers show where the engine has none. It is the name that the log has of the op's trip, and the index
// of the op.
func TaskID(id correlator.ID, op int) string { return id.String() + "." + strconv.Itoa(op) }

// add gives the process one more waiter.
func (p *Process) add(w *waiter) {
	w.process = p
	if len(p.keys) == 0 {
		p.keys = []key{{text: KeyRef}, {text: KeyTask}} // a modify has one of them
	}
	if !slices.ContainsFunc(p.keys, func(k key) bool { return k.text == w.key.text }) {
		p.keys = append(p.keys, w.key)
	}
	p.waiters = append(p.waiters, w)
	p.timer = max(p.timer, w.Timer)
	p.merges = p.merges || w.Merge
}

// Local reports whether the engine does not get the ops of the process.
func (p *Process) Local() bool { return p.local }

// Timer gives how long an op of the process is waited for at most.
func (p *Process) Timer() time.Duration { return p.timer }

// MayModify reports whether a login may complete ops of the process by modify.
func (p *Process) MayModify(login string) bool { return p.modified(login, "") != nil }

// modified gives the waiter for a modify of a login, one with that key if there is one; nil: the login may not.
func (p *Process) modified(login, key string) (found *waiter) {
	for _, w := range p.waiters {
		switch {
		case len(w.Logins) > 0 && !slices.Contains(w.Logins, login):
		case w.key.text == key:
			return w
		case found == nil:
			found = w
		}
	}
	return found
}

// Missing says why an op that none of its waiters can name is refused, in words for the client; empty: one of them can, or the engine gets the op,
// which gives its task an id. It also refuses data that is too large to be kept for the result.
func (p *Process) Missing(op Op) string {
	if p.merges && len(op.Data) > correlator.MaxNameData {
		return fmt.Sprintf("data is larger than %d bytes", correlator.MaxNameData)
	}
	if !p.local {
		return ""
	}
	var keys []string
	for _, w := range p.waiters {
		if text := w.key.of(&op); text != "" && len(text) <= mostName {
			return ""
		}
		if !slices.Contains(keys, w.key.text) {
			keys = append(keys, w.key.text)
		}
	}
	return strings.Join(keys, " or ") + " must be a text or a number, of at most " + strconv.Itoa(mostName) + " bytes: the task is completed by it"
}

// timerOf gives how long ops are waited for by a key.
func (p *Process) timerOf(key string) (d time.Duration) {
	for _, w := range p.waiters {
		if w.key.text == key {
			d = max(d, w.Timer)
		}
	}
	if d == 0 {
		return p.timer
	}
	return d
}

// namesOf gives the names that an op has before the engine knows it.
func (p *Process) namesOf(op *Op) (all []life) {
	for i := range p.keys {
		text := p.keys[i].of(op)
		if p.local && p.keys[i].text == KeyTask {
			text = TaskID(op.ID, op.Index)
		}
		if text != "" && len(text) <= mostName {
			all = append(all, p.life(p.keys[i].text, text))
		}
	}
	return all
}

func (p *Process) life(key, text string) life {
	return life{correlator.Name{Process: p.id, Key: key, Text: text}, p.timerOf(key)}
}

// Bind gives an op its names, before the engine can know it, and its trip is parked. A completion of the op that came before is then delivered.
// correlator.ErrNameTaken: an op that is open has one of the names, and nothing is bound. ErrUnavailable.
func (p *Process) Bind(ctx context.Context, op Op) error {
	b := &openOp{names: p.namesOf(&op), named: correlator.Named{ID: op.ID, Op: op.Index}, since: time.Now(), process: p.id}
	if p.merges && len(op.Data) <= correlator.MaxNameData {
		b.named.Data = slices.Clone(op.Data)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p.table.ops.add(b, !p.local)
	for i := range b.names {
		if err := p.table.bind(ctx, b.names[i], b.named); err != nil {
			p.table.ops.remove(b)
			p.table.unbind(ctx, b, b.names[:i+1])
			return err
		}
	}
	p.table.early.wake(b.names)
	return nil
}

// Acked says what the engine calls the task of an op; empty: the engine has refused it, or said nothing.
func (p *Process) Acked(ctx context.Context, op Op, task string) {
	b := p.table.ops.find(op.ID, op.Index)
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	defer p.table.ops.acked(b)
	if task == "" || len(task) > mostName || b.over {
		return
	}
	b.named.Task = task
	b.names = append(b.names, p.life(KeyTask, task))
	for i := range b.names {
		left := b.names[i].timer - time.Since(b.since)
		if left <= 0 {
			continue
		}
		if err := p.table.names.Bind(ctx, b.names[i].name, b.named, left); err != nil {
			p.table.log.Warn().Err(err).Str("process", p.id).Stringer("trip", op.ID).Int("op", op.Index).
				Msg("waiter: an op did not get the engine's id of its task as a name")
		}
	}
	p.table.early.wake(b.names)
}

// Ended says that the wait for an op has ended. final: it has its result. kept: it has not, and a result can still come.
func (p *Process) Ended(ctx context.Context, op Op, final, kept bool) {
	b := p.table.ops.find(op.ID, op.Index)
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !final && kept {
		p.table.ops.ended(b)
		return
	}
	b.over = true
	p.table.ops.remove(b)
	if !final {
		p.table.unbind(ctx, b, b.names)
		return
	}
	for i := range b.names {
		p.table.finish(ctx, b.names[i].name, b.named, true)
	}
}

// unbind takes names of an op back. Those that it cannot take back stay until their time has passed.
func (t *Table) unbind(ctx context.Context, b *openOp, names []life) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	for i := range names {
		if err := t.names.Unbind(ctx, names[i].name, b.named.ID, b.named.Op); err != nil {
			t.log.Debug().Err(err).Stringer("trip", b.named.ID).Int("op", b.named.Op).Msg("waiter: a name was not taken back")
		}
	}
}
