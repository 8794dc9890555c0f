package gateway

import (
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/whereabouts"
)

// hearing makes a trip with so many ops whose client waits.
func hearing(ops int) *trip {
	g := &Gateway{cfg: Default(), recent: whereabouts.New(10)}
	return &trip{g: g, call: &dialect.Call{Ops: make([]dialect.Op, ops)}, accepted: time.Now(), phase: parked, open: ops, finals: make([]correlator.Callback, ops)}
}

// heardOf gives what a trip says of what it has heard.
func heardOf(t *trip) (f whereabouts.Facts) {
	t.heard.Facts(&f)
	return f
}

// A trip of one op notes its callback without memory of its own.
func TestACallbackCostsNothing(t *testing.T) {
	trip := hearing(1)
	if n := testing.AllocsPerRun(100, func() {
		trip.heard = whereabouts.Heard{}
		trip.noteCallback(&correlator.Callback{Status: correlator.Complete})
		if at, came := trip.heard.Of(0, 1); !came || at > 60_000 {
			t.Errorf("%d %v", at, came)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// However many ops there are, the callbacks and the reports of a trip cost one allocation.
func TestManyCallbacksCostOneAllocation(t *testing.T) {
	trip := hearing(100)
	if n := testing.AllocsPerRun(100, func() {
		trip.heard = whereabouts.Heard{}
		for op := range trip.finals {
			trip.noteCallback(&correlator.Callback{Op: op, Status: correlator.Complete})
			trip.noteReport()
		}
	}); n != 1 {
		t.Errorf("%v allocations", n)
	}
	_, came := trip.heard.Of(99, 100)
	if f := heardOf(trip); came || f.Callbacks != 100 || f.Reports != 100 {
		t.Errorf("%+v", f)
	}
}

// What the gateway itself says of an op is no callback, nor is what comes for an op again, for none, or when nobody waits or could ask.
func TestWhatIsACallback(t *testing.T) {
	words := []byte(`{"message":"no"}`)
	f := func(what string, want uint16, cb correlator.Callback, change ...func(*trip)) {
		t.Helper()
		trip := hearing(3)
		for _, c := range change {
			c(trip)
		}
		trip.Deliver(cb, func(correlator.Disposition) {})
		if n := heardOf(trip).Callbacks; n != want {
			t.Errorf("%s: %d callbacks, want %d", what, n, want)
		}
		for op := range trip.finals {
			if _, came := trip.heard.Of(op, 3); came != (want > 0 && op == cb.Op) {
				t.Errorf("%s: op %d has a callback: %v", what, op, came)
			}
		}
	}
	f("a result", 1, correlator.Callback{Op: 1, Status: correlator.Complete})
	f("a failure", 1, correlator.Callback{Op: 2, Status: correlator.Errored})
	f("the engine's cancel", 1, correlator.Callback{Op: 0, Status: correlator.Cancelled, Body: words})
	f("our cancel", 0, correlator.Callback{Op: 1, Status: correlator.Cancelled})
	f("a time-out", 0, correlator.Callback{Op: 1, Status: correlator.TimedOut})
	f("an answer of ours", 0, correlator.Callback{Op: 1, Status: correlator.Answered, Body: words})
	f("no task", 0, correlator.Callback{Op: 1, Status: correlator.Failed})
	f("a repeat", 0, correlator.Callback{Op: 1, Status: correlator.Complete}, func(t *trip) { t.finals[1].Status = correlator.Errored })
	f("no op", 0, correlator.Callback{Op: 3, Status: correlator.Complete})
	f("nobody waits", 0, correlator.Callback{Op: 1, Status: correlator.Complete}, func(t *trip) { t.phase = over })
	f("who comes back", 0, correlator.Callback{Op: 1, Status: correlator.Complete}, func(t *trip) { t.kind = fetches })
	f("nobody can ask", 0, correlator.Callback{Op: 1, Status: correlator.Complete}, func(t *trip) { t.g.recent = nil })
	for _, change := range []func(*trip){func(t *trip) { t.phase = over }, func(t *trip) { t.kind = fetches }, func(t *trip) { t.g.recent = nil }} {
		trip := hearing(1)
		change(trip)
		trip.Deliver(correlator.Callback{Status: correlator.Progress}, func(correlator.Disposition) {})
		if trip.heard != (whereabouts.Heard{}) {
			t.Errorf("a report is noted that nobody can ask for: %+v", trip.heard)
		}
	}
}
