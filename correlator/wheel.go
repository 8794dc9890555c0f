package correlator

import (
	"sync"
	"sync/atomic"
	"time"
)

// wheelSlots is how many slots a wheel has. Timers whose ticks are a multiple of it apart share a slot, so a sweep
// passes over each waiting timer once per round: every 41 s at a tick of 10 ms.
const wheelSlots = 4096

// wheel ends timers at their time: a hashed timer wheel. Starting and stopping one costs the same however many wait.
// A timer ends in the tick after its time, never early.
type wheel[T any] struct {
	// Fixed after newWheel.
	tick  time.Duration
	began time.Time
	fire  func(T)
	slots []wheelSlot[T]
	wake  chan struct{} // one element: there is a timer, and run sleeps
	quit  chan struct{}
	ended chan struct{}
	stop  func()

	armed atomic.Int64 // timers in the slots or about to be
	sleep atomic.Bool  // run waits for wake alone, or is about to
	swept atomic.Int64 // the last tick whose slot has been swept or is being swept; written by run only
}

type wheelSlot[T any] struct {
	mu   sync.Mutex
	head *timer[T]
}

// timer is one entry of a wheel. It is used once.
type timer[T any] struct {
	next, prev *timer[T]   // guarded by the slot's mutex; next belongs to the sweep once the timer has left its slot
	tick       int64       // fixed once it is in a slot
	over       atomic.Bool // fired or stopped
	value      T
}

// end reports whether the caller is the first to end t: only then may it act on t's value.
func (t *timer[T]) end() bool { return t.over.CompareAndSwap(false, true) }

// newWheel starts a wheel. Its goroutine calls fire, which must not block, once for each timer that nobody else has
// ended; it sleeps while there is no timer, and wakes once a tick at most.
func newWheel[T any](tick time.Duration, fire func(T)) *wheel[T] {
	w := &wheel[T]{
		tick:  tick,
		began: time.Now(),
		fire:  fire,
		slots: make([]wheelSlot[T], wheelSlots),
		wake:  make(chan struct{}, 1),
		quit:  make(chan struct{}),
		ended: make(chan struct{}),
	}
	w.stop = sync.OnceFunc(func() { close(w.quit) })
	go w.run()
	return w
}

// close ends the wheel's goroutine; what is still in it never fires.
func (w *wheel[T]) close() {
	w.stop()
	<-w.ended
}

// add puts t into the wheel, to fire at the time at or in the tick after it.
func (w *wheel[T]) add(t *timer[T], at time.Time) {
	after := at.Sub(w.began)
	t.tick = int64(after / w.tick)
	if after%w.tick > 0 {
		t.tick++
	}
	w.armed.Add(1)
	for !w.link(t) {
		t.tick = w.swept.Load() + 1
	}
	if w.sleep.Load() && w.sleep.CompareAndSwap(true, false) {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// link reports false when the sweep has passed the timer's slot: there it would wait for a whole round.
func (w *wheel[T]) link(t *timer[T]) bool {
	s := w.slot(t.tick)
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.tick <= w.swept.Load() {
		return false
	}
	t.next = s.head
	if s.head != nil {
		s.head.prev = t
	}
	s.head = t
	return true
}

// remove takes t out of the wheel if it is in there. It does not end t.
func (w *wheel[T]) remove(t *timer[T]) {
	s := w.slot(t.tick)
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.prev == nil && s.head != t {
		return
	}
	s.unlink(t)
	t.next = nil
	w.armed.Add(-1)
}

func (w *wheel[T]) slot(tick int64) *wheelSlot[T] { return &w.slots[tick&(wheelSlots-1)] }

// unlink takes t out of the slot's list. The caller holds the mutex.
func (s *wheelSlot[T]) unlink(t *timer[T]) {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		s.head = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	t.prev = nil
}

func (w *wheel[T]) run() {
	defer close(w.ended)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		due := (<-chan time.Time)(nil) // never, while there is nothing to end
		w.sleep.Store(true)            // before armed is looked at: an add sees it, or is seen
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

// sweep ends every timer up to tick now.
func (w *wheel[T]) sweep(now int64) {
	from := max(w.swept.Load()+1, now-wheelSlots+1)
	w.swept.Store(now) // before the slots are looked at: see link
	for tick := from; tick <= now; tick++ {
		for t := w.due(w.slot(tick), now); t != nil; {
			next := t.next
			t.next = nil
			if t.end() {
				w.fire(t.value)
			}
			t = next
		}
	}
}

// due takes the timers up to tick now out of a slot and chains them by their next.
func (w *wheel[T]) due(s *wheelSlot[T], now int64) (first *timer[T]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var taken int64
	for t := s.head; t != nil; {
		next := t.next
		if t.tick <= now {
			s.unlink(t)
			t.next = first
			first = t
			taken++
		}
		t = next
	}
	w.armed.Add(-taken)
	return first
}
