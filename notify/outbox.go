package notify

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"syncgate/correlator"
)

const (
	// mostPostponed is how many tasks are remembered that are to be made due in the store.
	mostPostponed = 100_000
	// postponedAtOnce is how many of them are made due between two looks for what is due.
	postponedAtOnce = 1000
	// outboxTimeout bounds each question to the store.
	outboxTimeout = time.Second
	// leastWait is the time between two looks for what is due, at least, where the store gave nothing.
	leastWait = 5 * time.Millisecond
)

// PushFunc sends what is to be sent of a task. sent says that this was done before. again is when the task is to be looked at again, 0: never, and sentNow whether
// it is sent now. After an error it is called again soon. It must return soon after ctx has ended.
type PushFunc func(ctx context.Context, task correlator.ID, sent bool) (again time.Duration, sentNow bool, err error)

// OutboxConfig is what an Outbox needs.
type OutboxConfig struct {
	Workers int           // looks that run at once in this process; 0: 64. Half of them, and at least one, may be at tasks that the store says are due
	Queue   int           // looks that wait for one of these workers; 0: 10,000
	Poll    time.Duration // between two looks for what is due; 0: 1 s
	// Lease is how long a look may take. When this process is killed another one looks at the task after this time, and Poll. 0: 30 s.
	Lease time.Duration
	// Backoff is about how long a task waits after its first error. It doubles with each further error in this process, up to sixty times as much. 0: 1 s.
	Backoff time.Duration
	// Metrics gets syncgate_outbox_*. nil: nobody.
	Metrics prometheus.Registerer
	Log     zerolog.Logger
}

func (c OutboxConfig) withDefaults() OutboxConfig {
	c.Workers, c.Queue = cmp.Or(c.Workers, 64), cmp.Or(c.Queue, 10_000)
	c.Poll, c.Lease, c.Backoff = cmp.Or(c.Poll, time.Second), cmp.Or(c.Lease, 30*time.Second), cmp.Or(c.Backoff, time.Second)
	return c
}

// Outbox has tasks looked at: each by a PushFunc when its time has come, on one node at a time, and at once where Look says so. A task is kept until the PushFunc
// says that it is done. All methods are safe for concurrent use.
type Outbox struct {
	store   OutboxStore
	config  OutboxConfig
	metrics *outboxMetrics

	mu        sync.Mutex
	push      PushFunc                // nil before Start
	looks     map[correlator.ID]*look // that wait for a worker or run
	asked     []*look                 // that wait, as Look asked for them
	due       []*look                 // that wait, as the store gave them
	dueAll    int                     // looks of looks that the store gave
	more      bool                    // the store has more of them than there was room for
	working   int
	postponed map[correlator.ID]struct{} // tasks that are to be made due in the store
	failures  failures
	warned    seldom
	closed    bool

	poke     chan struct{} // has room for one
	stopping chan struct{} // closed by Close
	stopped  chan struct{} // closed by run
	workers  sync.WaitGroup
	cut      context.Context // ends the looks that run when Close cannot wait any longer
	cutAll   context.CancelFunc
	failing  bool // the last question for what is due failed; run's alone
}

// NewOutbox makes an Outbox of what a store keeps. Nothing is looked at before Start.
func NewOutbox(store OutboxStore, c OutboxConfig) (*Outbox, error) {
	c = c.withDefaults()
	if c.Workers < 0 || c.Queue < 0 || c.Poll < 0 || c.Lease < 0 || c.Backoff < 0 {
		return nil, errors.New("notify: Workers, Queue, Poll, Lease and Backoff must not be negative")
	}
	o := &Outbox{
		store: store, config: c, looks: make(map[correlator.ID]*look), postponed: make(map[correlator.ID]struct{}),
		poke: make(chan struct{}, 1), stopping: make(chan struct{}), stopped: make(chan struct{}),
	}
	var err error
	if o.metrics, err = newOutboxMetrics(store, c.Metrics); err != nil {
		return nil, err
	}
	o.cut, o.cutAll = context.WithCancel(context.Background())
	return o, nil
}

// Owe keeps a task, which is looked at after a time, by this node or by another one. For one that is known the new time counts, and sent stays true if it
// was. It fails with correlator.ErrFull, and with correlator.ErrUnavailable, and then the task may be kept or not.
func (o *Outbox) Owe(ctx context.Context, task correlator.ID, after time.Duration, sent bool) error {
	return o.store.Owe(ctx, task, after, sent)
}

// Done forgets a task. It fails with correlator.ErrUnavailable.
func (o *Outbox) Done(ctx context.Context, task correlator.ID) error { return o.store.Done(ctx, task) }

// Start has tasks looked at from now on until Close. It is called once.
func (o *Outbox) Start(push PushFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.push != nil || o.closed {
		return
	}
	o.push = push
	go o.run()
	for range o.asked {
		o.hire()
	}
}

// Look has this process look at a task at once, if it is kept. It does not block. Where a look at the task runs, another one follows. Where too many wait for a
// worker the task is made due instead, for any node. Before Start the looks wait.
func (o *Outbox) Look(task correlator.ID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.looks[task]
	switch {
	case o.closed: // the store has it, and its time
	case l != nil && l.running:
		l.again = true
	case l != nil: // it waits; a lease that has begun may end before there is a worker
		l.claimed = time.Time{}
	case len(o.asked) < o.config.Queue:
		l = &look{task: task}
		o.looks[task] = l
		o.asked = append(o.asked, l)
		o.hire()
	default:
		o.postpone(task)
	}
}

// postpone has a task made due in the store. mu is held.
func (o *Outbox) postpone(task correlator.ID) {
	if len(o.postponed) >= mostPostponed { // it is looked at when its time has come
		o.metrics.count(lookLeft)
		return
	}
	o.postponed[task] = struct{}{}
}

// hire starts a worker, if one more may run. mu is held.
func (o *Outbox) hire() {
	if o.push == nil || o.closed || o.working >= o.config.Workers {
		return
	}
	o.working++
	o.workers.Go(o.work)
}

func (o *Outbox) run() {
	defer close(o.stopped)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-o.stopping:
			return
		case <-o.poke:
		case <-timer.C:
		}
		timer.Reset(o.lookForDue())
	}
}

// lookForDue takes on what is due, as far as there is room, and gives how long to wait until the next time.
func (o *Outbox) lookForDue() time.Duration {
	poll := o.config.Poll - time.Duration(rand.Int64N(int64(o.config.Poll)/4+1)) //nolint:gosec // it spreads looks and keeps no secret
	rest := o.makeDue(o.cut)
	room := o.room()
	if room <= 0 {
		return poll // the end of a look pokes
	}
	claimed := time.Now()
	ctx, cancel := context.WithTimeout(o.cut, outboxTimeout)
	tasks, next, err := o.store.Due(ctx, room, o.config.Lease)
	cancel()
	o.report(err)
	o.takeOn(tasks, claimed, len(tasks) >= room)
	switch {
	case err != nil, len(tasks) >= room:
		return poll
	case rest:
		return leastWait
	}
	return max(min(next, poll), leastWait)
}

// room is how many more tasks that are due may be taken on.
func (o *Outbox) room() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mostDue() - o.dueAll
}

func (o *Outbox) mostDue() int { return max(1, o.config.Workers/2) }

// takeOn has workers look at tasks that the store gave. One that is waited for or looked at has its look.
func (o *Outbox) takeOn(tasks []Owed, claimed time.Time, more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.more = more
	for _, t := range tasks {
		if o.looks[t.Task] != nil {
			continue
		}
		l := &look{task: t.Task, sent: t.Sent, claimed: claimed, due: true}
		o.looks[t.Task] = l
		o.due = append(o.due, l)
		o.dueAll++
		o.hire()
	}
}

// makeDue makes tasks due in the store that this process has no room for, and reports whether there are more. Where that fails they are kept for the next time.
func (o *Outbox) makeDue(ctx context.Context) (rest bool) {
	for range postponedAtOnce {
		task, ok := o.onePostponed()
		if !ok {
			return false
		}
		ctx, cancel := context.WithTimeout(ctx, outboxTimeout)
		_, _, err := o.store.Move(ctx, task, 0)
		cancel()
		if err != nil {
			o.mu.Lock()
			o.postpone(task)
			o.mu.Unlock()
			return false
		}
	}
	return true
}

func (o *Outbox) onePostponed() (task correlator.ID, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for task = range o.postponed {
		delete(o.postponed, task)
		return task, true
	}
	return task, false
}

// report says once that the store does not answer, and once that it answers again.
func (o *Outbox) report(err error) {
	switch {
	case o.cut.Err() != nil:
		return
	case err != nil && !o.failing:
		o.config.Log.Error().Err(err).Msg("results that are to be pushed wait: the store of their tasks does not answer")
	case err == nil && o.failing:
		o.config.Log.Info().Msg("results are pushed again: the store of their tasks answers")
	}
	o.failing = err != nil
}

// Close begins no look any more and waits for those that run. What waits for a worker is made due, for other nodes. When ctx ends first the looks are cut off and
// their tasks are due at once, and Close returns when they have ended; its error says so.
func (o *Outbox) Close(ctx context.Context) error {
	o.mu.Lock()
	first := !o.closed
	o.closed = true
	started := o.push != nil
	o.mu.Unlock()
	if first {
		close(o.stopping)
		if !started {
			close(o.stopped)
		}
	}
	ended := make(chan struct{})
	go func() {
		<-o.stopped
		o.workers.Wait()
		close(ended)
	}()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = context.Cause(ctx)
		o.cutAll()
		<-ended
	}
	o.handOver(ctx)
	o.cutAll()
	o.metrics.unregister()
	return err
}

// handOver makes what has waited for a worker due in the store.
func (o *Outbox) handOver(ctx context.Context) {
	o.mu.Lock()
	for _, l := range append(o.asked, o.due...) {
		o.postponed[l.task] = struct{}{}
	}
	o.asked, o.due = nil, nil
	o.mu.Unlock()
	for ctx.Err() == nil && o.makeDue(ctx) {
		continue
	}
}
