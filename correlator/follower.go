package correlator

import (
	"sync"
	"sync/atomic"
)

// Follower hands the events and finals of a trip to a Receiver: each once, in order, one after the other. It queues nothing: what comes while it is
// busy has to be read again from where it is kept.
type Follower struct {
	r     Receiver // fixed
	after atomic.Uint32
	over  atomic.Bool

	finals map[int]struct{} // ops whose finals were heard; owned by the goroutine that has set busy

	mu    sync.Mutex // guards the rest
	busy  bool       // a goroutine calls r
	again bool       // another one would have
}

// NewFollower makes the Follower of a Receiver that knows the events up to after.
func NewFollower(r Receiver, after uint32) *Follower {
	f := &Follower{r: r}
	f.after.Store(after)
	return f
}

// After is the Seq of the last event that the Receiver knows.
func (f *Follower) After() uint32 { return f.after.Load() }

// End has nothing more handed over. A call of the Receiver may be under way.
func (f *Follower) End() { f.over.Store(true) }

// Hear hands over events that follow on the one numbered from, in order, and then finals. What the Receiver knows is left out. False: nothing was
// handed over, as the Receiver knows less, or another goroutine is calling it; it has to be asked again.
func (f *Follower) Hear(from uint32, events, finals []Callback) bool {
	if !f.begin(false) {
		return false
	}
	known := from <= f.After()
	if known {
		f.hand(events, finals)
	}
	f.end(false)
	return known
}

// Follow hands over what look gives: the events after a number, in order, and finals. It asks until there is nothing new. If another goroutine is at
// it that one asks once more.
func (f *Follower) Follow(look func(after uint32) (events, finals []Callback)) {
	if !f.begin(true) {
		return
	}
	for more := true; more; more = f.end(true) {
		for f.hand(look(f.After())) {
		}
	}
}

func (f *Follower) begin(again bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy {
		f.again = f.again || again
		return false
	}
	f.busy = true
	return true
}

// end reports whether somebody has asked meanwhile: then the caller goes on.
func (f *Follower) end(goOn bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	more := f.again && goOn && !f.over.Load()
	f.again = false
	f.busy = more
	return more
}

// hand reports whether something was new.
func (f *Follower) hand(events, finals []Callback) (fresh bool) {
	for _, cb := range events {
		if cb.Seq <= f.After() || f.over.Load() {
			continue
		}
		f.after.Store(cb.Seq)
		f.r.Deliver(cb, ignore)
		fresh = true
	}
	for _, cb := range finals {
		if _, heard := f.finals[cb.Op]; heard || f.over.Load() {
			continue
		}
		if f.finals == nil {
			f.finals = make(map[int]struct{})
		}
		f.finals[cb.Op] = struct{}{}
		f.r.Deliver(cb, ignore)
		fresh = true
	}
	return fresh
}
