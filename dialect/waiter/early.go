package waiter

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"syncgate/correlator"
)

const (
	// earlyBytes is how much of early completions a node keeps.
	earlyBytes = 16 << 20
	// arrivalBytes is what each takes beside its texts, at most.
	arrivalBytes = 512
	// firstPause and longestPause are between two looks for the op of an early completion: an op may get its name at another node.
	firstPause, longestPause = 50 * time.Millisecond, 500 * time.Millisecond
	// mostAttempts is how many completions are tried at the same time.
	mostAttempts = 32
)

// arrival is a completion that came before anybody waited for it.
type arrival struct {
	name        correlator.Name
	waiter      *waiter
	body        []byte // its own
	until       time.Time
	unlessAcked bool                  // it is kept only while the engine has not answered a create of the process
	settled     func(Outcome, string) // called once, and must not block; nil: nobody wants to know

	// Guarded by early.mu.
	tried bool
	last  Outcome // of the last look
}

func (a *arrival) size() int {
	return len(a.body) + len(a.name.Process) + len(a.name.Key) + len(a.name.Text) + arrivalBytes
}

// early is the completions that came early. One goroutine owns them, and starts mostAttempts others at most.
type early struct {
	// Set by newEarly, read-only afterwards.
	attempt func(ctx context.Context, a *arrival) (o Outcome, task string, definite bool)
	ctx     context.Context // of the attempts
	cancel  context.CancelFunc
	changed chan struct{} // of one: there is something to look at
	stop    chan struct{} // closed by close
	ended   chan struct{} // closed by run

	running sync.WaitGroup // the attempts

	mu       sync.Mutex // guards what follows
	closed   bool
	bytes    int // at most earlyBytes
	attempts int // at most mostAttempts
	queues   map[correlator.Name]*queue
	due      schedule
}

// queue is the completions with one name, in the order in which they came: the first is tried first.
type queue struct {
	name    correlator.Name
	all     []*arrival
	at      time.Time // of the next look
	pause   time.Duration
	running bool // the first of them is tried: then the queue is not in the schedule
	woken   bool // an op has got the name meanwhile
	index   int  // in the schedule
}

func newEarly(attempt func(context.Context, *arrival) (Outcome, string, bool)) *early {
	l := &early{
		attempt: attempt, changed: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}),
		queues: make(map[correlator.Name]*queue),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// hold keeps a completion. False: there is no room, or the node ends.
func (l *early) hold(a *arrival) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.bytes+a.size() > earlyBytes {
		return false
	}
	l.bytes += a.size()
	a.last = Unknown
	q := l.queues[a.name]
	if q == nil {
		q = &queue{name: a.name, pause: firstPause, at: time.Now()}
		if a.tried {
			q.at = q.at.Add(firstPause)
		}
		l.queues[a.name] = q
		heap.Push(&l.due, q)
	}
	q.all = append(q.all, a)
	l.look()
	return true
}

// look has run look at the schedule.
func (l *early) look() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// drop forgets a completion. False: it is being tried, or was settled.
func (l *early) drop(a *arrival) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queues[a.name]
	if q == nil {
		return false
	}
	for i := range q.all {
		if q.all[i] == a && (i > 0 || !q.running) {
			l.remove(q, i)
			return true
		}
	}
	return false
}

// wake has the completions with some names tried at once: an op has got them.
func (l *early) wake(names []life) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range names {
		q := l.queues[names[i].name]
		switch {
		case q == nil:
		case q.running:
			q.woken = true
		default:
			q.at, q.pause = time.Now(), firstPause
			heap.Fix(&l.due, q.index)
			l.look()
		}
	}
}

// run tries what is due, until close.
func (l *early) run() {
	defer close(l.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if wait, any := l.start(); any {
			timer.Reset(wait)
		} else {
			timer.Stop()
		}
		select {
		case <-timer.C:
		case <-l.changed:
		case <-l.stop:
			return
		}
	}
}

// start starts the attempts that are due, as many as there may be. wait is how long there is nothing to do; any: there will be something then.
func (l *early) start() (wait time.Duration, any bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.due) > 0 && l.attempts < mostAttempts && !l.closed {
		q := l.due[0]
		if wait := time.Until(q.at); wait > 0 {
			return wait, true
		}
		heap.Pop(&l.due)
		q.running, q.woken = true, false
		l.attempts++
		a := q.all[0]
		l.running.Go(func() { l.try(q, a) })
	}
	return 0, false
}

// try tries the first completion of a queue.
func (l *early) try(q *queue, a *arrival) {
	o, task, definite := l.attempt(l.ctx, a)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts--
	q.running = false
	a.tried, a.last = true, o
	q.pause = min(2*q.pause, longestPause)
	now := time.Now()
	if o == Completed || o == Finished || o == Unknown && definite || !now.Before(a.until) || l.closed {
		l.settle(q, 0, o, task)
		q.pause, q.woken = firstPause, true // the next one is tried at once
	}
	for l.closed && len(q.all) > 0 {
		l.settle(q, 0, Unavailable, "")
	}
	l.expire(q, now)
	l.look()
	if len(q.all) == 0 {
		delete(l.queues, q.name)
		return
	}
	q.at = now
	if !q.woken {
		q.at = now.Add(min(q.pause, max(0, q.all[0].until.Sub(now))))
	}
	heap.Push(&l.due, q)
}

// expire settles those whose time has passed, but for the first, which is tried once more. Called with mu held.
func (l *early) expire(q *queue, now time.Time) {
	for i := len(q.all) - 1; i > 0; i-- {
		if a := q.all[i]; a.tried && !now.Before(a.until) {
			l.settle(q, i, a.last, "")
		}
	}
}

// settle ends a completion. Called with mu held.
func (l *early) settle(q *queue, i int, o Outcome, task string) {
	a := q.all[i]
	l.bytes -= a.size()
	q.all = append(q.all[:i], q.all[i+1:]...)
	if a.settled != nil {
		a.settled(o, task)
	}
}

// remove takes a completion out of a queue that is not being tried, or one that is not the first. Called with mu held.
func (l *early) remove(q *queue, i int) {
	l.bytes -= q.all[i].size()
	q.all = append(q.all[:i], q.all[i+1:]...)
	if len(q.all) == 0 { // so it is not being tried
		heap.Remove(&l.due, q.index)
		delete(l.queues, q.name)
	}
}

// close settles everything as Unavailable, but for what is being tried: it waits for that, and has it end when ctx does.
func (l *early) close(ctx context.Context) error {
	l.mu.Lock()
	first := !l.closed
	l.closed = true
	for len(l.due) > 0 {
		q := l.due[0]
		heap.Pop(&l.due)
		delete(l.queues, q.name)
		for len(q.all) > 0 {
			l.settle(q, 0, Unavailable, "")
		}
	}
	l.mu.Unlock()
	if first {
		close(l.stop)
	}
	<-l.ended
	defer l.cancel()
	stop := context.AfterFunc(ctx, l.cancel)
	defer stop()
	l.running.Wait()
	return ctx.Err()
}

// schedule is the queues by the time of their next look: a heap.
type schedule []*queue

// Len implements heap.Interface.
func (s schedule) Len() int { return len(s) }

// Less implements heap.Interface.
func (s schedule) Less(i, j int) bool { return s[i].at.Before(s[j].at) }

// Swap implements heap.Interface.
func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

// Push implements heap.Interface.
func (s *schedule) Push(x any) {
	q := x.(*queue) // only queues are pushed
	q.index = len(*s)
	*s = append(*s, q)
}

// Pop implements heap.Interface.
func (s *schedule) Pop() any {
	last := len(*s) - 1
	q := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	return q
}
