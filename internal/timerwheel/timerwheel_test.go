package timerwheel_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"syncgate/internal/timerwheel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const tick = 10 * time.Millisecond

// alarm is what a test's timer is for.
type alarm struct {
	timer timerwheel.Timer[*alarm]
	at    time.Time
	rings int
	late  time.Duration // of the last one
}

func newAlarm() *alarm {
	a := new(alarm)
	a.timer.Value = a
	return a
}

// ring is a wheel's fire.
func ring(a *alarm) {
	a.rings++
	a.late = time.Since(a.at)
}

// wantRung fails unless a has rung once since it was set, in time.
func (a *alarm) wantRung(t *testing.T) {
	t.Helper()
	if a.rings != 1 || a.late < 0 || a.late > tick {
		t.Errorf("a timer fired %d times, the last one %v late; want once, and at most %v", a.rings, a.late, tick)
	}
}

// TestTimes has timers at all distances, also beyond several rounds of the wheel, while others come and go.
func TestTimes(t *testing.T) { synctest.Test(t, testTimes) }

func testTimes(t *testing.T) {
	w := timerwheel.New(tick, ring)
	defer w.Close()
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a plan and no secret
	all := make([]*alarm, 3000)
	var last time.Time
	for i := range all {
		if i%100 == 0 { // the wheel is idle at first, and later it is not
			<-time.After(time.Duration(rng.IntN(5)) * 37 * time.Millisecond)
		}
		a := newAlarm()
		a.at = time.Now().Add(time.Duration(rng.Int64N(int64(3 * time.Minute))))
		if all[i] = a; i%5 == 0 {
			a.at = time.Now() // it cannot fire before it is added
			w.Add(&a.timer, a.at.Add(-time.Hour))
			continue
		}
		w.Add(&a.timer, a.at)
		if a.at.After(last) {
			last = a.at
		}
	}
	removed := newAlarm()
	w.Add(&removed.timer, last)
	w.Remove(&removed.timer)
	w.Remove(&removed.timer)
	<-time.After(time.Until(last) + 2*tick)
	synctest.Wait()
	for _, a := range all {
		a.wantRung(t)
	}
	if removed.rings > 0 {
		t.Error("a timer fired that was removed")
	}
}

// TestAgain adds timers that have fired, were removed or ended, and some that are in the wheel.
func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := timerwheel.New(tick, ring)
		defer w.Close()
		fired, removed, ended, moved := newAlarm(), newAlarm(), newAlarm(), newAlarm()
		set := func(a *alarm, after time.Duration) {
			a.rings, a.at = 0, time.Now().Add(after)
			w.Add(&a.timer, a.at)
		}
		for range 3 {
			set(fired, 3*tick)
			set(removed, 3*tick)
			set(ended, 3*tick)
			w.Remove(&removed.timer)
			if !ended.timer.End() || ended.timer.End() {
				t.Fatal("a timer has to be ended once")
			}
			set(moved, 4*tick)
			w.Add(&moved.timer, time.Now().Add(time.Hour)) // it stays where it is
			<-time.After(10 * tick)
			synctest.Wait()
			fired.wantRung(t)
			moved.wantRung(t)
			if removed.rings+ended.rings != 0 {
				t.Errorf("removed fired %d times, ended %d", removed.rings, ended.rings)
			}
			set(removed, tick)
			set(ended, tick)
			<-time.After(5 * tick)
			synctest.Wait()
			removed.wantRung(t)
			ended.wantRung(t)
		}
	})
}

// TestAddInFire has fire add its own timer, and others of the same tick that are to fire next.
func TestAddInFire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w *timerwheel.Wheel[*alarm]
		var all [5]*alarm
		w = timerwheel.New(tick, func(a *alarm) {
			ring(a)
			for _, other := range all { // one is not in the wheel; those that are about to fire are
				w.Remove(&other.timer)
				w.Add(&other.timer, time.Now().Add(tick))
			}
		})
		defer w.Close()
		for i := range all {
			all[i] = newAlarm()
		}
		for _, a := range all {
			w.Add(&a.timer, time.Now().Add(3*tick))
		}
		<-time.After(20 * tick)
		synctest.Wait()
		sum := 0
		for _, a := range all {
			sum += a.rings
		}
		if sum < 15 || sum > 20 {
			t.Errorf("%d timers fired: each tick should have let one go first", sum)
		}
	})
}

// owned is a timer that several goroutines have.
type owned struct {
	t      *testing.T
	timer  timerwheel.Timer[*owned]
	mu     sync.Mutex // orders Add and Remove
	firing atomic.Int32
	fired  atomic.Int64
}

func (o *owned) fire() {
	if o.firing.Add(1) != 1 {
		o.t.Error("a timer fires twice at the same time")
	}
	o.fired.Add(1)
	o.firing.Add(-1)
}

// act does one of the things that can be done with a timer.
func (o *owned) act(w *timerwheel.Wheel[*owned], rng *rand.Rand) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch rng.IntN(4) {
	case 0:
		w.Remove(&o.timer)
	case 1:
		o.timer.End()
	default:
		w.Add(&o.timer, time.Now().Add(time.Duration(rng.IntN(3))*time.Millisecond))
	}
}

// TestConcurrency has owners that add, remove and end their timers while these fire: none is lost in the wheel.
func TestConcurrency(t *testing.T) {
	w := timerwheel.New(time.Millisecond, (*owned).fire)
	defer w.Close()
	var all [20]owned
	for i := range all {
		all[i].t, all[i].timer.Value = t, &all[i]
	}
	var running sync.WaitGroup
	for i := range 4 {
		rng := rand.New(rand.NewPCG(1, uint64(i))) //nolint:gosec // a plan and no secret
		running.Go(func() {
			for range 20_000 {
				all[rng.IntN(len(all))].act(w, rng)
			}
		})
	}
	running.Wait()
	for i := range all {
		all[i].wantFires(w)
	}
}

// TestAddWhileItFires adds timers on and on, also in the moment in which they fire: the last Add is never lost.
func TestAddWhileItFires(t *testing.T) {
	w := timerwheel.New(time.Millisecond, (*owned).fire)
	defer w.Close()
	var all [8]owned
	var running sync.WaitGroup
	for i := range all {
		o := &all[i]
		o.t, o.timer.Value = t, o
		running.Go(func() {
			for range 20 {
				o.addFor(w, 3*time.Millisecond)
			}
		})
	}
	running.Wait()
}

// addFor adds the timer again and again for some time, and wants it to fire after that.
func (o *owned) addFor(w *timerwheel.Wheel[*owned], some time.Duration) {
	var before int64
	for end := time.Now().Add(some); time.Now().Before(end); {
		before = o.fired.Load()
		w.Add(&o.timer, time.Now())
	}
	o.wantFired(before)
}

// wantFires adds the timer, and wants it to fire.
func (o *owned) wantFires(w *timerwheel.Wheel[*owned]) {
	o.mu.Lock()
	w.Remove(&o.timer)
	before := o.fired.Load()
	w.Add(&o.timer, time.Now())
	o.mu.Unlock()
	o.wantFired(before)
}

// wantFired waits until the timer has fired more often than before.
func (o *owned) wantFired(before int64) {
	o.t.Helper()
	for end := time.Now().Add(20 * time.Second); o.fired.Load() == before; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			o.t.Error("a timer does not fire any more")
			return
		}
	}
}
