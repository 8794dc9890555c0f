// Package timerwheel ends many timers at their times, with one goroutine and without memory of its own for each.
package timerwheel

import (
	"sync"
	"sync/atomic"
	"time"
)

// slots is how many slots a wheel has. Timers whose ticks are a multiple of it apart share a slot, so a sweep passes
// over each waiting timer once per round: every 41 s at a tick of 10 ms.
const slots = 4096

// Wheel is a hashed timer wheel. Adding and removing a timer costs the same however many there are. A timer fires in the
// tick after its time, never early.
type Wheel[T any] struct {
	// Fixed after New.
	tick  time.Duration
	began time.Time
	fire  func(T)
	slots []slot[T]
	wake  chan struct{} // one element: there is a timer, and run sleeps
	quit  chan struct{}
	ended chan struct{}
	stop  func()

	armed atomic.Int64 // timers in the slots or about to be
	sleep atomic.Bool  // run waits for wake alone, or is about to
	swept atomic.Int64 // the last tick whose slot has been swept or is being swept; written by run only
}

// slot has the timers of some ticks. New ones become the first.
type slot[T any] struct {
	mu     sync.Mutex
	first  *Timer[T]
	cursor *Timer[T] // the next one that the sweep looks at
}

// Timer is one entry of a wheel. Its owner may embed it. Add and Remove of the same timer must not be concurrent with each
// other; they may be concurrent with its firing.
type Timer[T any] struct {
	Value T // what fire is called with; fixed before Add

	next, prev *Timer[T]   // guarded by the slot's mutex
	tick       int64       // written by Add
	in         atomic.Bool // it is in its slot; written under the slot's mutex
	over       atomic.Bool // fired or ended
}

// End reports whether the caller is the first to end t since it was added: the wheel does so when it fires t.
func (t *Timer[T]) End() bool { return t.over.CompareAndSwap(false, true) }

// New starts a wheel. Its goroutine calls fire, which must not block, once for each timer that nobody else has ended;
// it sleeps while there is no timer, and wakes once a tick at most. Close ends it.
func New[T any](tick time.Duration, fire func(T)) *Wheel[T] {
	w := &Wheel[T]{
		tick:  tick,
		began: time.Now(),
		fire:  fire,
		slots: make([]slot[T], slots),
		wake:  make(chan struct{}, 1),
		quit:  make(chan struct{}),
		ended: make(chan struct{}),
	}
	w.stop = sync.OnceFunc(func() { close(w.quit) })
	go w.run()
	return w
}

// Close ends the wheel's goroutine. What is still in the wheel never fires.
func (w *Wheel[T]) Close() {
	w.stop()
	<-w.ended
}

// Add puts t into the wheel, to fire at the time at or in the tick after it. A timer that has fired or was removed may be
// added again, also by fire. One that is in the wheel stays as it is.
func (w *Wheel[T]) Add(t *Timer[T], at time.Time) {
	if t.in.Load() {
		return
	}
	after := at.Sub(w.began)
	tick := int64(after / w.tick)
	if after%w.tick > 0 {
		tick++
	}
	w.armed.Add(1)
	for !w.link(t, tick) {
		tick = w.swept.Load() + 1
	}
	if w.sleep.Load() && w.sleep.CompareAndSwap(true, false) {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// link reports false when the sweep has passed the slot of the tick: there t would wait for a whole round.
func (w *Wheel[T]) link(t *Timer[T], tick int64) bool {
	s := w.slot(tick)
	s.mu.Lock()
	defer s.mu.Unlock()
	if tick <= w.swept.Load() {
		return false
	}
	t.tick = tick
	t.over.Store(false)
	t.in.Store(true)
	if t.next = s.first; t.next != nil {
		t.next.prev = t
	}
	s.first = t
	return true
}

// Remove takes t out of the wheel if it is in there. It does not end t.
func (w *Wheel[T]) Remove(t *Timer[T]) {
	s := w.slot(t.tick)
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.in.Load() {
		w.unlink(s, t)
	}
}

func (w *Wheel[T]) slot(tick int64) *slot[T] { return &w.slots[tick&(slots-1)] }

// unlink takes t out of its slot. The caller holds the mutex.
func (w *Wheel[T]) unlink(s *slot[T], t *Timer[T]) {
	if s.cursor == t {
		s.cursor = t.next
	}
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		s.first = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.next, t.prev = nil, nil
	w.armed.Add(-1)
	t.in.Store(false) // last: Add looks at it without the mutex
}

func (w *Wheel[T]) run() {
	defer close(w.ended)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		due := (<-chan time.Time)(nil) // never, while there is nothing to end
		w.sleep.Store(true)            // before armed is looked at: an Add sees it, or is seen
		if w.armed.Load() > 0 {
			w.sleep.Store(false)
			pause.Reset(time.Until(w.began.Add(time.Duration(w.swept.Load()+1) * w.tick)))
			due = pause.C
		}
		select {
		case <-due:
			w.sweep(int64(time.Since(w.began) / w.tick))
		case <-w.wake:
		case <-w.quit:
			return
		}
	}
}

// sweep fires every timer up to tick now.
func (w *Wheel[T]) sweep(now int64) {
	from := max(w.swept.Load()+1, now-slots+1)
	w.swept.Store(now) // before the slots are looked at: see link
	for tick := from; tick <= now; tick++ {
		s := w.slot(tick)
		for t, ok := w.due(s, now, true); ok; t, ok = w.due(s, now, false) {
			w.fire(t.Value)
		}
	}
}

// due takes the next timer up to tick now out of a slot, and ends it; the first one, to begin with. Not ok: there is none left
// that nobody else has ended. One at a time: any of those behind it may be removed meanwhile, and added again.
func (w *Wheel[T]) due(s *slot[T], now int64, begin bool) (t *Timer[T], ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if begin {
		s.cursor = s.first
	}
	for t := s.cursor; t != nil; t = s.cursor {
		s.cursor = t.next
		if t.tick > now {
			continue
		}
		mine := t.End() // before somebody may add it again
		w.unlink(s, t)
		if mine {
			return t, true
		}
	}
	return nil, false
}
