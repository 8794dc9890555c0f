package waiter

import (
	"context"
	"time"

	"syncgate/correlator"
)

// Process is the waiters of one process: all of them forward, or none does.
type Process struct{}

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
	// Unavailable says that the store, or the op's node, cannot be reached right now.
	Unavailable
)

// Local reports whether the engine does not get the ops of the process.
func (p *Process) Local() bool { return false }

// Timer gives how long an op of the process is waited for at most.
func (p *Process) Timer() time.Duration { return 0 }

// MayModify reports whether a login may complete ops of the process by modify.
func (p *Process) MayModify(login string) bool { return false }

// Missing says why an op that its waiters cannot name is refused, in words for the client; empty: it has every name that it needs.
func (p *Process) Missing(op Op) string { return "" }

// Bind gives an op its names, before the engine can know it. early is a completion of the op that came before; nil: there was none.
// correlator.ErrNameTaken: an op that is open has one of the names, and nothing is bound. ErrUnavailable.
func (p *Process) Bind(ctx context.Context, op Op) (early *correlator.Callback, err error) {
	return nil, nil
}

// Acked says what the engine calls the task of an op; empty: the engine has refused it, or said nothing.
func (p *Process) Acked(ctx context.Context, op Op, task string) {}

// Ended says that the wait for an op has ended. final: it has its result. kept: it has not, and a result can still come.
func (p *Process) Ended(ctx context.Context, op Op, final, kept bool) {}

// Modify completes the op with the name that m has, for a process that does not forward. It holds what has no op for as long as the waiters' early
// says, or until ctx ends. task is our own id of the op's task, or the engine's where there is one.
func (p *Process) Modify(ctx context.Context, m Modify) (o Outcome, task string) {
	return Unknown, ""
}

// Modified completes the op with the name that m has, for a process that forwards: the engine has said that it did what m asks. Nobody waits for it.
func (p *Process) Modified(m Modify) {}
