package correlatortest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/correlator"
)

// following is the part of the contract that is about hearing what is reported.
func following() map[string]func(*testing.T, Start) {
	return map[string]func(*testing.T, Start){
		"nobody follows nothing":                      followsRecords,
		"who follows hears all in order":              followsInOrder,
		"who follows later hears what is kept":        followsFrom,
		"who follows hears the last of too many":      followsTheLast,
		"who follows hears large events":              followsLarge,
		"who follows hears finals after their events": followsToTheEnd,
		"who follows hears what is saved":             followsSaves,
		"who follows counts as parked and expires":    followerIsParked,
		"who has stopped following is not called":     unfollows,
		"a release ends following":                    releaseEndsFollowing,
		"many follow while all is reported":           followStorm,
		"who attaches hears no events":                attachedHearsNoEvents,
	}
}

// follow has a trip follow id at c.
func follow(t *testing.T, c correlator.Correlator, id correlator.ID, after uint32) *Trip {
	t.Helper()
	trip := Always(correlator.Written)
	detach, err := keeper(t, c).Follow(t.Context(), id, trip, after, soon())
	if err != nil {
		t.Fatalf("follow: %v", err)
	}
	t.Cleanup(detach)
	return trip
}

// followEverywhere follows a trip at its home once, and at the other node twice.
func followEverywhere(t *testing.T, n Nodes, id correlator.ID, after uint32) (trips []*Trip) {
	t.Helper()
	for _, c := range []correlator.Correlator{n.Home, n.Other, n.Other} {
		trips = append(trips, follow(t, c, id, after))
	}
	return trips
}

// heardIs wants the trip to hear exactly this next.
func heardIs(t *testing.T, trip *Trip, seq uint32, want correlator.Callback) {
	t.Helper()
	cb := Next(t, trip.Heard, fmt.Sprintf("event %d", seq))
	if cb.Seq != seq {
		t.Fatalf("heard event %d %v %.40q, want %d", cb.Seq, cb.Status, cb.Body, seq)
	}
	cb.Seq = 0
	same(t, "heard", cb, want)
}

func followsRecords(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	parked := park(t, n, Always(correlator.Held))
	for _, id := range []correlator.ID{n.Home.NewID(soon()), parked} {
		for _, c := range []correlator.Correlator{n.Home, n.Other} {
			if _, err := keeper(t, c).Follow(t.Context(), id, Always(correlator.Held), 0, soon()); !errors.Is(err, correlator.ErrGone) {
				t.Errorf("follow: %v", err)
			}
		}
	}
	n.Home.Close(parked)
	for _, c := range []correlator.Correlator{n.Home, n.Other} { // a refused one is not parked
		drained := make(chan error, 1)
		go func() { drained <- c.Drain(t.Context()) }()
		if err := Next(t, drained, "drain"); err != nil {
			t.Error(err)
		}
	}
}

func followsInOrder(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	id := claimed(t, n, 2)
	trips := followEverywhere(t, n, id, 0)
	for i := range 30 {
		cb := event(i%2, fmt.Sprintf(`{"n":%d}`, i))
		if i == 0 {
			cb = correlator.Callback{Status: correlator.Started}
		}
		deliver(t, []correlator.Correlator{n.Home, n.Other}[i/3%2], id, cb, nil)
	}
	for _, trip := range trips {
		heardIs(t, trip, 1, correlator.Callback{Status: correlator.Started})
		for i := 1; i < 30; i++ {
			heardIs(t, trip, uint32(i+1), event(i%2, fmt.Sprintf(`{"n":%d}`, i)))
		}
	}
}

func followsFrom(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	id := claimed(t, n, 1)
	for i := range 5 {
		deliver(t, n.Home, id, event(0, fmt.Sprint(i+1)), nil)
	}
	var trips []*Trip
	for after := range uint32(6) {
		trips = append(trips, followEverywhere(t, n, id, after)...)
	}
	deliver(t, n.Other, id, event(0, `6`), nil)
	deliver(t, n.Other, id, Final(0, `"end"`), nil)
	for i, trip := range trips {
		for seq := uint32(i/3) + 1; seq <= 6; seq++ {
			heardIs(t, trip, seq, event(0, fmt.Sprint(seq)))
		}
		heardIs(t, trip, 0, Final(0, `"end"`))
	}
}

func followsTheLast(t *testing.T, start Start) { //nolint:gocognit // one story, in its order
	n := start(t, Options{Retention: time.Hour})
	id := claimed(t, n, 1)
	const more = 5
	for i := range correlator.KeptEvents + more {
		deliver(t, n.Home, id, event(0, fmt.Sprint(i+1)), nil)
	}
	large := claimed(t, n, 1)
	const size = correlator.KeptEventBytes / 4
	for range 6 {
		deliver(t, n.Home, large, event(0, `"`+strings.Repeat("x", size-2)+`"`), nil)
	}
	huge := claimed(t, n, 1)
	deliver(t, n.Other, huge, event(0, `1`), nil)
	deliver(t, n.Other, huge, event(0, `"`+strings.Repeat("x", correlator.KeptEventBytes)+`"`), nil)
	for _, c := range []correlator.Correlator{n.Home, n.Other} {
		trip := follow(t, c, id, 0)
		for seq := uint32(more + 1); seq <= correlator.KeptEvents+more; seq++ {
			heardIs(t, trip, seq, event(0, fmt.Sprint(seq)))
		}
		trip = follow(t, c, large, 0)
		for seq := range uint32(4) {
			if cb := Next(t, trip.Heard, "event"); cb.Seq != seq+3 || len(cb.Body) != size {
				t.Errorf("heard event %d with %d bytes", cb.Seq, len(cb.Body))
			}
		}
		trip = follow(t, c, huge, 0)
		if cb := Next(t, trip.Heard, "event"); cb.Seq != 2 || len(cb.Body) != correlator.KeptEventBytes+2 {
			t.Errorf("heard event %d with %d bytes", cb.Seq, len(cb.Body))
		}
		if rec := lookup(t, c, id); rec.Seq != correlator.KeptEvents+more {
			t.Errorf("the last event is %d", rec.Seq)
		}
	}
}

func followsLarge(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	id := claimed(t, n, 1)
	trips := followEverywhere(t, n, id, 0)
	bodies := []string{`1`, `"` + strings.Repeat("x", 100_000) + `"`, `2`, `"` + strings.Repeat("y", 5_000) + `"`, ``, `3`}
	for i, body := range bodies {
		deliver(t, []correlator.Correlator{n.Home, n.Other}[i%2], id, event(0, body), nil)
	}
	for _, trip := range trips {
		for i, body := range bodies {
			heardIs(t, trip, uint32(i+1), event(0, body))
		}
	}
}

func followsToTheEnd(t *testing.T, start Start) { //nolint:gocognit // one story, in its order
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
		var all sync.WaitGroup
		var kept atomic.Int64
		for op := range 2 {
			all.Go(func() {
				for range 5 {
					if err := n.Other.Deliver(t.Context(), id, event(op, `{"a":1}`)); err == nil {
						kept.Add(1)
					} else if err := unlessSuperseded(err); err != nil {
						t.Errorf("report: %v", err)
					}
				}
			})
			all.Go(func() {
				if err := []correlator.Correlator{n.Home, n.Other}[op].Deliver(t.Context(), id, Final(op, `"end"`)); err != nil {
					t.Errorf("deliver op %d, %d: %v", op, i, err)
				}
			})
		}
		all.Wait()
		for _, trip := range trips {
			hearsToTheEnd(t, trip, int(kept.Load()))
		}
		for _, trip := range append(trips, follow(t, n.Other, id, 0))[3:] {
			hearsToTheEnd(t, trip, int(kept.Load()))
		}
		n.Home.Close(id)
	}
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

func followsSaves(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	id := claimed(t, n, 2)
	trips := followEverywhere(t, n, id, 0)
	deliver(t, n.Other, id, event(1, `{"a":1}`), nil)
	rec := open(2, "later")
	rec.Finals[0] = Final(0, `"saved"`)
	save(t, n.Home, id, rec)
	deliver(t, n.Home, id, event(1, `{"a":2}`), nil)
	rec.Finals[1] = Final(1, `"too"`)
	save(t, n.Home, id, rec)
	for _, trip := range trips {
		last := uint32(0)
		for range 4 {
			cb := Next(t, trip.Heard, "an event or a final")
			if cb.Status.Running() {
				if cb.Seq != last+1 {
					t.Errorf("heard event %d after %d", cb.Seq, last)
				}
				last = cb.Seq
			} else if want := rec.Finals[cb.Op]; string(cb.Body) != string(want.Body) {
				t.Errorf("heard %s, want %s", cb.Body, want.Body)
			}
		}
		if len(trip.Heard) > 0 {
			t.Error("heard more")
		}
	}
	if got := look(t, n.Other, id); got != `later 1:"saved" 1:"too"` {
		t.Errorf("the record: %s", got)
	}
}

func followerIsParked(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour, Parked: 1})
	id := claimed(t, n, 1)
	trip := Always(correlator.Written)
	deadline := time.Now().Add(150 * time.Millisecond)
	detach, err := keeper(t, n.Other).Follow(t.Context(), id, trip, 0, deadline)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keeper(t, n.Other).Follow(t.Context(), id, trip, 0, soon()); !errors.Is(err, correlator.ErrBusy) {
		t.Errorf("the second: %v", err)
	}
	if err := Next(t, trip.Expired, "expiry"); !errors.Is(err, correlator.ErrDeadline) || time.Until(deadline) > 0 {
		t.Errorf("expired with %v, %v early", err, time.Until(deadline))
	}
	detach()
	next := follow(t, n.Other, id, 0)
	drained := drainNow(t, n.Other)
	if err := Next(t, next.Expired, "the drain"); !errors.Is(err, correlator.ErrDraining) {
		t.Errorf("expired with %v", err)
	}
	if len(drained) > 0 {
		t.Error("drained with one who follows")
	}
}

func unfollows(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	id := claimed(t, n, 1)
	quiet, loud := Always(correlator.Held), follow(t, n.Other, id, 0)
	detach, err := keeper(t, n.Other).Follow(t.Context(), id, quiet, 0, soon())
	if err != nil {
		t.Fatal(err)
	}
	detach()
	detach()
	var within *Trip
	first := make(chan func(), 1)
	within = NewTrip(func(_ correlator.Callback, done func(correlator.Disposition)) { // leaves as soon as it is called
		(<-first)()
		done(correlator.Written)
	})
	leave, err := keeper(t, n.Other).Follow(t.Context(), id, within, 0, soon())
	if err != nil {
		t.Fatal(err)
	}
	first <- leave
	deliver(t, n.Home, id, event(0, `1`), nil)
	deliver(t, n.Home, id, event(0, `2`), nil)
	deliver(t, n.Home, id, Final(0, `3`), nil)
	heardIs(t, loud, 1, event(0, `1`))
	heardIs(t, loud, 2, event(0, `2`))
	heardIs(t, loud, 0, Final(0, `3`))
	if len(quiet.Heard) > 0 || len(within.Heard) != 1 {
		t.Errorf("who has left was called: %d, %d", len(quiet.Heard), len(within.Heard))
	}
}

func releaseEndsFollowing(t *testing.T, start Start) {
	n := start(t, Options{})
	k := newKey()
	id := own(t, n.Home, k)
	trips := followEverywhere(t, n, id, 0)
	deliver(t, n.Other, id, event(0, `{"a":1}`), nil)
	rec := open(1, "meta")
	rec.Finals[0] = Final(0, `"saved"`)
	save(t, n.Home, id, rec)
	release(t, n.Home, k, id)
	for _, trip := range trips {
		if err := Next(t, trip.Expired, "expiry"); !errors.Is(err, correlator.ErrReleased) {
			t.Errorf("expired with %v", err)
		}
		heardIs(t, trip, 1, event(0, `{"a":1}`))
		heardIs(t, trip, 0, Final(0, `"saved"`))
	}
}

func attachedHearsNoEvents(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	id := claimed(t, n, 1)
	trips, followers := everywhere(t, n, id), followEverywhere(t, n, id, 0)
	deliver(t, n.Other, id, event(0, `{"a":1}`), nil)
	deliver(t, n.Home, id, Final(0, `1`), nil)
	for _, trip := range followers {
		heardIs(t, trip, 1, event(0, `{"a":1}`))
		heardIs(t, trip, 0, Final(0, `1`))
	}
	for _, trip := range trips {
		heardIs(t, trip, 0, Final(0, `1`))
	}
}
