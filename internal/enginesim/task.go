package enginesim

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// outcome is what became of an op: its answer, and perhaps a task.
type outcome struct {
	op        *op
	behaviour *Behaviour // nil for an op that is no create
	task      *task      // nil when none was made

	proc, description string // of a refusal; proc is "ok" otherwise
	objID             string // JSON
	silent            bool   // the answer passes over this op
}

// task is a created one. It is not changed once it was begun.
type task struct {
	objID, ref, conv string // ref and conv are JSON, empty when absent
	login            string
	url              *url.URL // nil when it has none
	data             []byte   // JSON, an object without the engine's own members
	behaviour        *Behaviour
	record           *Task // nil when nothing is recorded
}

// call is one callback of a task, which holds one slot of Config.Pending until it is over.
type call struct {
	task *task
	n    int // 1, or more for the repeated ones
	try  int // 0, or more after it failed
}

// calls is how many slots the task needs.
func (t *task) calls() int64 {
	if t.url == nil || t.behaviour.Callback == CallbackNever {
		return 0
	}
	return 1 + int64(t.behaviour.Duplicates)
}

func (e *Engine) outcome(o *op, login []byte) outcome {
	out := outcome{op: o, proc: "error"}
	switch {
	case string(o.obj) != "task":
		out.description = "bad object"
	case string(o.typ) == "create":
		e.create(&out, login)
	case string(o.typ) == "modify":
		e.counters.modifies.Add(1)
		out.proc, out.objID = "ok", string(o.objID)
	default:
		out.description = "undefined request"
	}
	if out.proc != "ok" {
		e.counters.opErrors.Add(1)
	}
	return out
}

// create fills out. Its task has slots but was not begun.
func (e *Engine) create(out *outcome, login []byte) {
	b := &e.cfg.Behaviour
	if out.op.sim != nil && e.cfg.Steer {
		var err error
		if b, err = b.steered(out.op.sim); err != nil {
			out.description = err.Error()
			return
		}
	}
	out.behaviour = b
	switch {
	case b.Ack == AckNotUnicalRef:
		out.proc, out.description = string(b.Ack), "not unical reference"
	case b.Ack == AckAccessDenied:
		out.proc, out.description = string(b.Ack), fmt.Sprintf("user: %s, conv_id: %s", login, out.op.conv)
	case b.Ack == AckNotActive:
		out.proc, out.description = string(b.Ack), "conveyor is not active"
	case out.op.noObject:
		out.description = "Value is not valid. Key 'data' is no object"
	default:
		e.admit(out, e.newTask(out.op, b, login))
	}
}

// admit makes t the task of out if there is room for its callbacks.
func (e *Engine) admit(out *outcome, t *task) {
	if e.pending.Add(t.calls()) > int64(e.cfg.Pending) {
		e.abandon(t)
		out.description = "Too many requests: limit is reached"
		return
	}
	out.proc, out.task, out.objID = "ok", t, `"`+t.objID+`"`
	out.silent = t.behaviour.Ack == AckUnanswered
}

// abandon gives back the slots of a task that will not begin.
func (e *Engine) abandon(t *task) { e.pending.Add(-t.calls()) }

func (e *Engine) newTask(o *op, b *Behaviour, login []byte) *task {
	t := &task{
		objID:     fmt.Sprintf("%s%016x", e.prefix, e.serial.Add(1)),
		ref:       string(o.ref),
		conv:      string(o.conv),
		login:     string(login),
		data:      o.data,
		behaviour: b,
	}
	if t.data == nil {
		t.data = []byte("{}")
	}
	if u, err := url.Parse(o.url); err == nil && u.Host != "" && strings.HasPrefix(u.Scheme, "http") {
		t.url = u
	}
	return t
}

// begin counts the task and sends or schedules its callbacks.
func (e *Engine) begin(t *task) {
	e.counters.tasks.Add(1)
	t.record = e.recorder.task(t)
	if t.calls() == 0 {
		return
	}
	b, delay, first := t.behaviour, t.behaviour.Delay.pick(), 1
	if b.Callback == CallbackBefore {
		e.pause(delay)
		e.attempt(call{task: t, n: 1})
		delay, first = b.Gap, 2
	}
	for n := first; n <= int(t.calls()); n++ {
		e.after(delay, call{task: t, n: n})
		delay += b.Gap
	}
}

// after queues c, at once or when d has passed. The slot that c holds is room in the queue.
func (e *Engine) after(d time.Duration, c call) {
	if d <= 0 {
		e.queue <- c
		return
	}
	e.schedule.add(time.Now().Add(d), c)
}
