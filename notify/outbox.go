package notify

import (
	"context"
	"time"

	"syncgate/correlator"
)

// OutboxStore keeps the tasks of an Outbox, for one process (NewMemoryOutbox) or for all that share a Redis (NewRedisOutbox). Its errors wrap
// correlator.ErrUnavailable, or correlator.ErrFull where too many tasks are kept.
type OutboxStore interface {
	// Owe keeps a task, which is due after a time. For one that is known the new time counts, and sent stays true if it was.
	Owe(ctx context.Context, task correlator.ID, after time.Duration, sent bool) error
	// Done forgets a task.
	Done(ctx context.Context, task correlator.ID) error
	// Due gives at most so many tasks that are due, the longest due first, and puts each off by lease, so that no other node looks at them meanwhile. next is
	// how long until another is due, if that is known.
	Due(ctx context.Context, most int, lease time.Duration) (tasks []Owed, next time.Duration, err error)
	// Count gives how many tasks are kept, and for how long the one that has been due the longest is.
	Count(ctx context.Context) (n int, late time.Duration, err error)
}

// Owed is a task that is due.
type Owed struct {
	Task correlator.ID
	Sent bool
}
