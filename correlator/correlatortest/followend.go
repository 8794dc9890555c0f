package correlatortest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/correlator"
)

func followsToTheEnd(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	for i := range 50 {
		id := claimed(t, n, 2)
		var parked *Trip
		if i%2 == 0 {
			parked = Once(correlator.Held)
			if err := n.Home.Park(id, parked, soon()); err != nil {
				t.Fatal(err)
			}
		}
		trips := followEverywhere(t, n, id, 0)
		kept := reportsAndEnds(t, n, id)
		for _, trip := range append(trips, follow(t, n.Other, id, 0)) {
			hearsToTheEnd(t, trip, kept)
		}
		n.Home.Close(id)
	}
}

// reportsAndEnds has both ops of a trip report and become final at the same time, and gives how many reports were kept.
func reportsAndEnds(t *testing.T, n Nodes, id correlator.ID) int {
	t.Helper()
	var all sync.WaitGroup
	var kept atomic.Int64
	report := func(op int) {
		for range 5 {
			err := n.Other.Deliver(t.Context(), id, event(op, `{"a":1}`))
			if err == nil {
				kept.Add(1)
			}
			if err := unlessSuperseded(err); err != nil {
				t.Errorf("report: %v", err)
			}
		}
	}
	for op, by := range []correlator.Correlator{n.Home, n.Other} {
		all.Go(func() { report(op) })
		all.Go(func() {
			if err := by.Deliver(t.Context(), id, Final(op, `"end"`)); err != nil {
				t.Errorf("deliver op %d: %v", op, err)
			}
		})
	}
	all.Wait()
	return int(kept.Load())
}

// hearsToTheEnd wants a follower to hear so many events in order, and then nothing of an op after its final.
func hearsToTheEnd(t *testing.T, trip *Trip, events int) {
	t.Helper()
	ended, seq := make(map[int]bool), uint32(0)
	for range events + 2 {
		cb := Next(t, trip.Heard, "an event or a final")
		if cb.Status.Final() && (cb.Seq != 0 || ended[cb.Op]) || !cb.Status.Final() && cb.Seq != seq+1 {
			t.Errorf("heard %v, event %d after %d", cb.Status, cb.Seq, seq)
		}
		if ended[cb.Op] {
			t.Errorf("heard %v of an op after its final", cb.Status)
		}
		if cb.Status.Final() {
			ended[cb.Op] = true
		} else {
			seq = cb.Seq
		}
	}
	if len(ended) != 2 || len(trip.Heard) > 0 {
		t.Errorf("heard %d finals, and %d more", len(ended), len(trip.Heard))
	}
}
