package correlatortest

import (
	"sync"
	"testing"
	"time"

	"syncgate/correlator"
)

// Trip is a Receiver that settles callbacks by a function of the test and remembers what it heard. Make it with NewTrip.
type Trip struct {
	// Heard gets every callback, Expired every reason. They hold many; a Trip never blocks.
	Heard   chan correlator.Callback
	Expired chan error

	settle func(cb correlator.Callback, done func(correlator.Disposition))

	mu     sync.Mutex // guards the rest
	finals map[int]correlator.Status
}

// NewTrip makes a Trip that settles each callback with settle.
func NewTrip(settle func(cb correlator.Callback, done func(correlator.Disposition))) *Trip {
	return &Trip{
		Heard:   make(chan correlator.Callback, 1024),
		Expired: make(chan error, 16),
		settle:  settle,
		finals:  make(map[int]correlator.Status),
	}
}

// Always makes a Trip that answers every callback with d.
func Always(d correlator.Disposition) *Trip {
	return NewTrip(func(_ correlator.Callback, done func(correlator.Disposition)) { done(d) })
}

// Once makes a Trip that answers the first final of each op with d and the others with Repeated.
func Once(d correlator.Disposition) *Trip {
	var r *Trip
	r = NewTrip(func(cb correlator.Callback, done func(correlator.Disposition)) {
		switch {
		case !cb.Status.Final() || r.first(cb):
			done(d)
		default:
			done(correlator.Repeated)
		}
	})
	return r
}

// first notes a final, unless its op has one.
func (r *Trip) first(cb correlator.Callback) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.finals[cb.Op].Final() {
		return false
	}
	r.finals[cb.Op] = cb.Status
	return true
}

// Standing gives the status of the final of an op of a Trip that was made with Once.
func (r *Trip) Standing(op int) correlator.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.finals[op]
}

// Deliver remembers cb and settles it.
func (r *Trip) Deliver(cb correlator.Callback, done func(correlator.Disposition)) {
	r.Heard <- cb
	r.settle(cb, done)
}

// Expire remembers the reason.
func (r *Trip) Expire(reason error) { r.Expired <- reason }

// Next gives what comes from c, or fails the test after 10 s.
func Next[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: nothing came", what)
		panic("unreachable")
	}
}

// Eventually polls until ok is true, or fails the test after 10 s.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	end := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-poll.C:
		case <-end:
			t.Fatalf("%s: not within 10s", what)
		}
	}
}

// Final makes the final callback of an op.
func Final(op int, body string) correlator.Callback {
	return correlator.Callback{Op: op, Status: correlator.Complete, Body: []byte(body)}
}
