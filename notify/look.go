package notify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"syncgate/correlator"
)

// look is a look at a task. The Outbox's mu guards it until a worker has it; again and running it guards always.
type look struct {
	task    correlator.ID
	claimed time.Time // when the lease began; zero: there is none yet
	sent    bool
	due     bool // the store gave it
	running bool
	again   bool // another look is to follow
}

// What came of a look, as metrics name it.
const (
	lookDone    = "done"    // there is nothing more to do
	lookAgain   = "again"   // there is another look to come
	lookFailed  = "error"   // the PushFunc or the store failed; there is another look soon
	lookUnknown = "unknown" // the task is not kept
	lookLeft    = "left"    // there was no room for it in time; there is another look when its time has come
)

func lookOutcomes() []string { return []string{lookDone, lookAgain, lookFailed, lookUnknown, lookLeft} }

// work looks at tasks while there are any.
func (o *Outbox) work() {
	for l := o.next(nil); l != nil; l = o.next(l) {
		o.metrics.count(o.look(l))
	}
}

// next ends a look, and gives the worker another one. nil: the worker ends.
func (o *Outbox) next(before *look) *look {
	o.mu.Lock()
	defer o.mu.Unlock()
	if before != nil {
		o.end(before)
	}
	var l *look
	switch {
	case o.closed:
	case len(o.due) > 0:
		l, o.due = o.due[0], o.due[1:]
	case len(o.asked) > 0:
		l, o.asked = o.asked[0], o.asked[1:]
	}
	if l == nil {
		o.working--
		return nil
	}
	l.running = true
	return l
}

// end has another look follow where Look has asked for one meanwhile. mu is held.
func (o *Outbox) end(l *look) {
	if l.due {
		o.dueAll--
		if o.more && o.dueAll <= o.mostDue()/2 {
			o.more = false
			select {
			case o.poke <- struct{}{}:
			default:
			}
		}
	}
	if !l.again {
		delete(o.looks, l.task)
		return
	}
	next := &look{task: l.task}
	o.looks[l.task] = next
	o.asked = append(o.asked, next) // beyond the bound by one for each worker
}

// look looks at a task, and gives what came of it.
func (o *Outbox) look(l *look) string {
	if !l.claimed.IsZero() && time.Since(l.claimed) > o.config.Lease/3 { // the store gives it again when the lease has ended
		return lookLeft
	}
	if l.claimed.IsZero() {
		l.claimed = time.Now()
		ctx, cancel := context.WithTimeout(o.cut, outboxTimeout)
		sent, known, err := o.store.Move(ctx, l.task, o.config.Lease)
		cancel()
		if err != nil {
			o.mu.Lock()
			o.postpone(l.task)
			o.mu.Unlock()
			o.warn(l.task, err)
			return lookFailed
		}
		if !known {
			return lookUnknown
		}
		l.sent = sent
	}
	ctx, cancel := context.WithDeadline(o.cut, l.claimed.Add(o.config.Lease))
	again, sent, err := o.call(ctx, l)
	cancel()
	return o.keep(l, again, sent || l.sent, err)
}

var errPushPanicked = errors.New("the program has a fault: pushing panicked")

// call calls the PushFunc. One that panics has failed.
func (o *Outbox) call(ctx context.Context, l *look) (again time.Duration, sent bool, err error) {
	defer func() {
		panicked := recover()
		if panicked == nil {
			return
		}
		err = errPushPanicked
		if _, ok := o.mayWarn(); ok {
			o.config.Log.Error().Str("panic", fmt.Sprintf("%T", panicked)).Bytes("stack", debug.Stack()).Stringer("trip", l.task).Msg("pushing a result panicked")
		}
	}()
	return o.push(ctx, l.task, l.sent)
}

// keep stores what came of a look, and tries until the lease ends: then the task is due again as it was.
func (o *Outbox) keep(l *look, again time.Duration, sent bool, err error) string {
	outcome := lookAgain
	store := func(ctx context.Context) error { return o.store.Owe(ctx, l.task, again, sent) }
	switch {
	case err != nil:
		outcome = lookFailed
		again = o.backoff(l.task, err)
	case again <= 0:
		outcome = lookDone
		store = func(ctx context.Context) error { return o.store.Done(ctx, l.task) }
		fallthrough
	default:
		o.mu.Lock()
		o.failures.forget(l.task)
		o.mu.Unlock()
	}
	for wait := o.config.Lease / 1000; ; wait = min(2*wait, time.Second) {
		ctx, cancel := context.WithTimeout(context.Background(), outboxTimeout)
		failed := store(ctx)
		cancel()
		if failed == nil {
			return outcome
		}
		select {
		case <-o.cut.Done():
		case <-time.After(wait):
			if time.Since(l.claimed) < o.config.Lease {
				continue
			}
		}
		o.warn(l.task, failed)
		return lookFailed
	}
}

// backoff gives how long a task waits after an error. One that Close has cut off is due at once, for another node.
func (o *Outbox) backoff(task correlator.ID, err error) time.Duration {
	if o.cut.Err() != nil {
		return 0
	}
	o.warn(task, err)
	o.mu.Lock()
	n := o.failures.add(task, time.Now())
	o.mu.Unlock()
	d := min(o.config.Backoff<<min(n-1, 6), 60*o.config.Backoff)
	return d - time.Duration(rand.Int64N(int64(d)/4+1)) //nolint:gosec // jitter is no secret
}

// warn says that a result is not pushed yet, once a second at most.
func (o *Outbox) warn(task correlator.ID, err error) {
	if errors.Is(err, errPushPanicked) {
		return // it is logged already
	}
	if more, ok := o.mayWarn(); ok {
		o.config.Log.Warn().Err(err).Stringer("trip", task).Int("more", more).Msg("a result is not pushed yet, and is tried again")
	}
}

func (o *Outbox) mayWarn() (more int, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.warned.may(time.Now())
}

// seldom lets one line through a second.
type seldom struct {
	last    time.Time
	skipped int
}

// may reports whether a line may be written, and how many were not since the last one.
func (s *seldom) may(now time.Time) (skipped int, ok bool) {
	if !s.last.IsZero() && now.Sub(s.last) < time.Second {
		s.skipped++
		return 0, false
	}
	skipped = s.skipped
	s.last, s.skipped = now, 0
	return skipped, true
}

const (
	// mostFailures is how many tasks are remembered that fail. Others wait as those that have failed often.
	mostFailures = 10_000
	// keepFailure is how long one is remembered that is not looked at again in this process.
	keepFailure = 10 * time.Minute
)

// failures counts how often tasks have failed, one after the other.
type failures struct {
	of    map[correlator.ID]failure
	swept time.Time
}

type failure struct {
	n    int
	last time.Time
}

// add gives how often a task has failed, now included.
func (f *failures) add(task correlator.ID, now time.Time) int {
	was, known := f.of[task]
	if !known && len(f.of) >= mostFailures && now.Sub(f.swept) > time.Minute {
		f.swept = now
		for other, of := range f.of {
			if now.Sub(of.last) > keepFailure {
				delete(f.of, other)
			}
		}
	}
	if !known && len(f.of) >= mostFailures {
		return 7
	}
	if f.of == nil {
		f.of = make(map[correlator.ID]failure)
	}
	f.of[task] = failure{was.n + 1, now}
	return was.n + 1
}

func (f *failures) forget(task correlator.ID) { delete(f.of, task) }
