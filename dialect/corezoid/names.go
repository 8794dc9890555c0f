package corezoid

import (
	"context"
	"errors"
	"time"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/waiter"
	"syncgate/internal/splice"
)

// callNames are the names of a call that has ops of waiters' processes.
type callNames struct {
	// Set by Accept or Prepare, read-only afterwards.
	d      *Dialect
	to     Deliverer
	login  string
	routed bool          // a route has made the call
	wait   time.Duration // for the client

	// Set by Bind, read-only afterwards: the gateway calls Ended when Bind has returned.
	id     correlator.ID
	over   context.Context    // ends with the wait; nil: there are neither modifies that wait nor timers
	cancel context.CancelFunc // of over
	timers []*time.Timer      // of ops whose time ends before the wait
	ops    []namedOp
}

// namedOp is an op of a waiter's process: a create, or a modify by one who may complete ops of the process.
type namedOp struct {
	index     int // in the call
	process   *waiter.Process
	create    bool
	bound     bool   // of a create: it has its names
	ref, task string // decoded; empty: it has none. A modify has one of them
	data      []byte // owned by Bind, and where it is a modify by who completes the op: until nobody needs it
}

// of gives a create as its process knows it.
func (op *namedOp) of(id correlator.ID) waiter.Op {
	return waiter.Op{ID: id, Index: op.index, Ref: op.ref, Data: op.data}
}

const (
	// mostModifies is how many modifies of one node wait at the same time for ops that have not come, each on a goroutine. Others are refused.
	mostModifies = 10_000
	// settleTime is how long a trip is tried that cannot be reached, and settlePause the time between two tries.
	settleTime  = 15 * time.Second
	settlePause = 100 * time.Millisecond
)

// Bind gives the creates their names, and has the modifies begin that the engine does not get. A create whose name another op has is taken out of the
// package. The modifies come last: they may complete creates of this call.
func (n *callNames) Bind(ctx context.Context, id correlator.ID, _ time.Time, c *dialect.Call) (finals []correlator.Callback, err error) {
	n.id = id
	var taken []int
	for i := range n.ops {
		op := &n.ops[i]
		if !op.create {
			continue
		}
		switch err := op.process.Bind(ctx, op.of(id)); {
		case errors.Is(err, correlator.ErrNameTaken):
			finals = append(finals, n.refused(&c.Ops[op.index], op.index, nameTaken))
			if !c.Ops[op.index].Local {
				taken = append(taken, op.index)
			}
		case err != nil:
			return nil, err
		default:
			op.bound = true
		}
		op.data = nil // the process has what it needs
	}
	if len(taken) > 0 {
		if err := n.d.takeOut(c, taken); err != nil {
			return nil, err
		}
	}
	n.startTimers(c)
	return append(finals, n.startModifies(c)...), nil
}

// startTimers has creates that no engine gets end with their timers, where these end before the wait.
func (n *callNames) startTimers(c *dialect.Call) {
	for i := range n.ops {
		op := &n.ops[i]
		if !op.bound || !op.process.Local() || op.process.Timer() >= n.wait {
			continue
		}
		final := n.refused(&c.Ops[op.index], op.index, timedOut)
		n.begin()
		n.timers = append(n.timers, time.AfterFunc(op.process.Timer(), func() { n.to.Go(func() { n.settle(final) }) }))
	}
}

// begin makes what ends with the wait.
func (n *callNames) begin() {
	if n.over == nil {
		n.over, n.cancel = context.WithCancel(context.Background())
	}
}

// startModifies has the modifies begin that the engine does not get. Each has a goroutine, which ends with the trip. finals are those for which there
// is no room.
func (n *callNames) startModifies(c *dialect.Call) (finals []correlator.Callback) {
	for i := range n.ops {
		op := &n.ops[i]
		if op.create || !op.process.Local() {
			continue
		}
		if n.d.modifies.Add(1) > mostModifies {
			n.d.modifies.Add(-1)
			finals = append(finals, n.refused(&c.Ops[op.index], op.index, modifyNoStore))
			continue
		}
		n.begin()
		n.to.Go(func() { n.modify(op, &c.Ops[op.index]) })
	}
	return finals
}

// modify completes the op that a modify names, and gives the trip the answer.
func (n *callNames) modify(op *namedOp, sent *dialect.Op) {
	defer n.d.modifies.Add(-1)
	outcome, task := op.process.Modify(n.over, waiter.Modify{Login: n.login, Ref: op.ref, Task: op.task, Data: op.data})
	final := n.refused(sent, op.index, wordOf(outcome))
	if outcome == waiter.Completed {
		final = correlator.Callback{Op: op.index, Status: correlator.Answered, Body: modified(sent, task)}
	}
	op.data = nil // a parked client must not hold what was sent
	n.settle(final)
}

// wordOf words why a modify has completed nothing.
func wordOf(o waiter.Outcome) string {
	switch o {
	case waiter.Finished:
		return taskFinished
	case waiter.Busy:
		return modifyBusy
	case waiter.Unavailable:
		return modifyNoStore
	case waiter.Unknown, waiter.Held, waiter.Completed:
	}
	return notFound
}

// modified is the answer to a modify that has completed an op, as an engine words it.
func modified(sent *dialect.Op, task string) []byte {
	text := []byte("{")
	if sent.ID != nil {
		text = append(append(append(text, idMember...), sent.ID...), ',')
	}
	text = append(text, `"proc":"ok","obj":"task",`...)
	if sent.Ref != nil {
		text = append(append(append(text, refMember...), sent.Ref...), ',')
	}
	text = appendQuoted(append(text, `"obj_id":`...), task)
	return append(text, '}')
}

// refused is the final of an op that has no result, and why.
func (n *callNames) refused(sent *dialect.Op, index int, why string) correlator.Callback {
	if n.routed {
		return correlator.Callback{Op: index, Status: correlator.Errored, Body: append(appendQuoted([]byte(`{"message":`), why), '}')}
	}
	return correlator.Callback{Op: index, Status: correlator.Answered, Body: appendError(nil, sent, why)}
}

// settle gives the trip the final of an op. A trip that has ended meanwhile has it in its record, if there is one: then it is tried once, as nobody waits
// for it.
func (n *callNames) settle(cb correlator.Callback) {
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	for errors.Is(n.to.Deliver(ctx, correlator.Token{Trip: n.id, Op: cb.Op}, cb), correlator.ErrUnavailable) {
		select {
		case <-ctx.Done():
			return
		case <-n.over.Done():
			return
		case <-time.After(settlePause):
		}
	}
}

// Acked gives the creates that the engine has taken its ids, takes the names of those back that it has refused, and has the modifies complete ops that
// it has done.
func (n *callNames) Acked(ctx context.Context, c *dialect.Call, ack *dialect.Ack) {
	said := make([]*correlator.Callback, len(c.Ops))
	for i := range ack.Finals {
		said[ack.Finals[i].Op] = &ack.Finals[i]
	}
	for i := range n.ops {
		op := &n.ops[i]
		switch {
		case !op.bound || op.process.Local():
		case ack.Package != nil || said[op.index] != nil:
			op.process.Ended(ctx, op.of(n.id), false, false)
		default:
			op.process.Acked(ctx, op.of(n.id), taskOf(c, ack, op.index))
		}
	}
	for i := range n.ops {
		op := &n.ops[i]
		if !op.create && !op.process.Local() && said[op.index] != nil && saysOK(said[op.index].Body) {
			op.process.Modified(waiter.Modify{Login: n.login, Ref: op.ref, Task: op.task, Data: op.data})
			op.data = nil // a parked client must not hold what was sent
		}
	}
}

// taskOf gives the engine's own id of the task of an op, empty where it gave none, or one that is too long to be a name: two with the same
// beginning must not be taken for one.
func taskOf(c *dialect.Call, ack *dialect.Ack, op int) string {
	switch {
	case len(c.Ops) == 1:
		return ack.Task.Whole()
	case ack.Tasks != nil:
		return ack.Tasks[op].Whole()
	default:
		return ""
	}
}

// saysOK reports whether an op of an engine's answer says that it was done.
func saysOK(op []byte) bool {
	var j splice.Reader
	if j.Reset(op) != nil || j.Peek() != splice.Object {
		return false
	}
	_, _ = j.Enter()
	ok := false
	for {
		m, more, err := j.Member()
		if err != nil || !more {
			return ok && err == nil
		}
		is := j.Peek()
		value, err := j.Value()
		if err == nil && string(m.Name) == "proc" { // the last one counts, as in Ack
			ok = is == splice.String && string(j.Text(value)) == "ok"
		}
	}
}

// Ended says to the processes of the creates that their wait has ended, and ends what waits for the call.
func (n *callNames) Ended(ctx context.Context, status []correlator.Status, kept bool) {
	if n.cancel != nil {
		n.cancel()
	}
	for _, timer := range n.timers {
		timer.Stop()
	}
	for i := range n.ops {
		if op := &n.ops[i]; op.bound {
			s := status[op.index]
			op.process.Ended(ctx, op.of(n.id), s.Final() && s != correlator.Failed, kept && !s.Final())
		}
	}
}
