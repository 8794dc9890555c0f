package notify

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"syncgate/correlator"
)

// OutboxStore keeps the tasks of an Outbox, for one process (NewMemoryOutbox) or for all that share a Redis (NewRedisOutbox). Its methods are safe for
// concurrent use. Its errors wrap correlator.ErrUnavailable; that of Owe wraps correlator.ErrFull where too many tasks are kept.
type OutboxStore interface {
	// Owe keeps a task, which is due after a time. For one that is known the new time counts, and sent stays true if it was.
	Owe(ctx context.Context, task correlator.ID, after time.Duration, sent bool) error
	// Move has a task that is known be due after a time, and reports whether it is sent. known is false where the task is not kept, or is not any more;
	// then nothing changes.
	Move(ctx context.Context, task correlator.ID, after time.Duration) (sent, known bool, err error)
	// Done forgets a task. It does nothing where the task is not known.
	Done(ctx context.Context, task correlator.ID) error
	// Due gives at most so many tasks that are due, the longest due first, and puts each off by lease, so that no other node looks at them meanwhile. next is
	// how long until another is due, math.MaxInt64 where none is known. Where a part of the store fails the tasks of the others are returned with the error.
	Due(ctx context.Context, most int, lease time.Duration) (tasks []Owed, next time.Duration, err error)
	// Count gives how many tasks are kept, and for how long the one that has been due the longest is.
	Count(ctx context.Context) (n int, late time.Duration, err error)
}

// Owed is a task that is due.
type Owed struct {
	Task correlator.ID
	Sent bool // its result was handed over for sending
}

// MaxOwed is how many tasks a store keeps where nothing else is said.
const MaxOwed = 1_000_000

// errOwed says that too many tasks are kept.
var errOwed = fmt.Errorf("keep a task whose result is to be pushed: too many are kept: %w", correlator.ErrFull)

// MemoryOutbox is an OutboxStore for the life of the process.
type MemoryOutbox struct {
	most int

	mu    sync.Mutex
	tasks map[correlator.ID]*owed
	due   queue[*owed]
	order int64
}

// owed is a task, at the place of its next look.
type owed struct {
	place

	task correlator.ID
	sent bool
}

// NewMemoryOutbox makes an OutboxStore of at most so many tasks, 0: MaxOwed.
func NewMemoryOutbox(most int) *MemoryOutbox {
	if most <= 0 {
		most = MaxOwed
	}
	return &MemoryOutbox{most: most, tasks: make(map[correlator.ID]*owed)}
}

// move gives a task a new time.
func (m *MemoryOutbox) move(t *owed, after time.Duration) {
	m.order++
	t.at, t.order = time.Now().Add(max(0, after)), m.order
	put(&m.due, t)
}

// Owe is OutboxStore's.
func (m *MemoryOutbox) Owe(_ context.Context, task correlator.ID, after time.Duration, sent bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tasks[task]
	if t == nil {
		if len(m.tasks) >= m.most {
			return errOwed
		}
		t = &owed{place: place{index: -1}, task: task}
		m.tasks[task] = t
	}
	t.sent = t.sent || sent
	m.move(t, after)
	return nil
}

// Move is OutboxStore's.
func (m *MemoryOutbox) Move(_ context.Context, task correlator.ID, after time.Duration) (sent, known bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tasks[task]
	if t == nil {
		return false, false, nil
	}
	m.move(t, after)
	return t.sent, true, nil
}

// Done is OutboxStore's.
func (m *MemoryOutbox) Done(_ context.Context, task correlator.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.tasks[task]; t != nil {
		take(&m.due, t)
		delete(m.tasks, task)
	}
	return nil
}

// Due is OutboxStore's.
func (m *MemoryOutbox) Due(_ context.Context, most int, lease time.Duration) (tasks []Owed, next time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for len(tasks) < most && len(m.due) > 0 && !m.due[0].at.After(now) {
		t := m.due[0]
		tasks = append(tasks, Owed{t.task, t.sent})
		m.move(t, lease)
	}
	if len(m.due) == 0 {
		return tasks, math.MaxInt64, nil
	}
	return tasks, max(0, m.due[0].at.Sub(now)), nil
}

// Count is OutboxStore's.
func (m *MemoryOutbox) Count(context.Context) (n int, late time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.due) > 0 {
		late = max(0, time.Since(m.due[0].at))
	}
	return len(m.tasks), late, nil
}
