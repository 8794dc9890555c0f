package correlatortest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"syncgate/correlator"
)

// attaching is the part of the contract that is about waiting for another's trip.
func attaching() map[string]func(*testing.T, Start) {
	return map[string]func(*testing.T, Start){
		"nobody attaches to nothing":                  attachesToRecords,
		"who attaches hears what is there":            hearsWhatIsThere,
		"who attaches hears what comes":               hearsWhatComes,
		"who attaches hears what is saved":            hearsWhatIsSaved,
		"who attaches hears what comes late":          hearsWhatComesLate,
		"who attaches hears no other trip":            hearsItsOwn,
		"who is attached counts as parked":            attachedCounts,
		"who is attached expires":                     attachedExpires,
		"who has detached is not called":              detaches,
		"a drain expels who is attached":              attachedDrains,
		"a release ends the wait":                     releaseEndsWait,
		"what was saved before a release is heard":    hearsBeforeRelease,
		"attached meanwhile, no final is lost":        attachRace,
		"many attach and detach while finals come in": attachStorm,
	}
}

// attach has r wait at c for the trip id until the test is over.
func attach(t *testing.T, c correlator.Correlator, id correlator.ID, r correlator.Receiver) (detach func()) {
	t.Helper()
	detach, err := keeper(t, c).Attach(t.Context(), id, r, soon())
	if err != nil {
		t.Fatalf("attach: %v", err)
	}
	t.Cleanup(detach)
	return detach
}

// everywhere has a trip of its own wait for id at each node.
func everywhere(t *testing.T, n Nodes, id correlator.ID) []*Trip {
	t.Helper()
	var trips []*Trip
	for _, c := range []correlator.Correlator{n.Home, n.Other, n.Other} {
		trip := Always(correlator.Held)
		attach(t, c, id, trip)
		trips = append(trips, trip)
	}
	return trips
}

// awaitFinal waits until the trip has heard that final; others may come before it, and each of them more than once.
func awaitFinal(t *testing.T, trip *Trip, op int, body string) {
	t.Helper()
	for {
		cb := Next(t, trip.Heard, fmt.Sprintf("final of op %d", op))
		if cb.Op == op {
			if string(cb.Body) != body {
				t.Errorf("op %d: heard %.40q, want %.40q", op, cb.Body, body)
			}
			return
		}
	}
}

func attachesToRecords(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	parked := park(t, n, Always(correlator.Held))
	deliver(t, n.Other, parked, Final(0, `1`), nil)
	for _, id := range []correlator.ID{n.Home.NewID(soon()), parked} {
		for _, c := range []correlator.Correlator{n.Home, n.Other} {
			if _, err := keeper(t, c).Attach(t.Context(), id, Always(correlator.Held), soon()); !errors.Is(err, correlator.ErrGone) {
				t.Errorf("attach: %v", err)
			}
		}
	}
	n.Home.Close(parked)
	drained := make(chan error, 2)
	for _, c := range []correlator.Correlator{n.Home, n.Other} { // a refused one is not parked
		go func() { drained <- c.Drain(t.Context()) }()
		if err := Next(t, drained, "drain"); err != nil {
			t.Error(err)
		}
	}
}

func hearsWhatIsThere(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	id := own(t, n.Home, newKey())
	rec := open(3, "meta")
	rec.Finals[0] = Final(0, string(make([]byte, 10_000)))
	rec.Finals[2] = correlator.Callback{Op: 2, Status: correlator.Answered, Body: []byte(`"engine"`)}
	save(t, n.Home, id, rec)
	for _, c := range []correlator.Correlator{n.Home, n.Other} {
		trip := Always(correlator.Held)
		attach(t, c, id, trip)
		heard := make(map[int]correlator.Callback)
		for len(trip.Heard) > 0 { // all of it has been said before Attach returned
			cb := <-trip.Heard
			heard[cb.Op] = cb
		}
		if len(heard) != 2 || len(heard[0].Body) != 10_000 || heard[2].Status != correlator.Answered || string(heard[2].Body) != `"engine"` {
			t.Errorf("heard %d finals: %v", len(heard), heard[2])
		}
	}
}

func hearsWhatComes(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	id := n.Home.NewID(soon())
	if _, err := keeper(t, n.Home).Claim(t.Context(), newKey(), fingerprint(""), id, open(4, "meta")); err != nil {
		t.Fatal(err)
	}
	if err := n.Home.Park(id, Once(correlator.Held), soon()); err != nil {
		t.Fatal(err)
	}
	defer n.Home.Close(id)
	trips := everywhere(t, n, id)
	large := string(make([]byte, 100_000))
	for op, body := range []string{`"a"`, large, `"c"`, large} {
		by := []correlator.Correlator{n.Home, n.Other}[op/2]
		deliver(t, by, id, Final(op, body), nil)
		for _, trip := range trips {
			awaitFinal(t, trip, op, body)
		}
	}
}

func hearsWhatIsSaved(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	id := own(t, n.Home, newKey())
	trips := everywhere(t, n, id)
	rec := open(1, "meta")
	rec.Finals[0] = Final(0, `"saved"`)
	save(t, n.Home, id, rec)
	for _, trip := range trips {
		awaitFinal(t, trip, 0, `"saved"`)
	}
}

func hearsWhatComesLate(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	for _, by := range []correlator.Correlator{n.Home, n.Other} {
		id := park(t, n, Always(correlator.Gone))
		save(t, n.Home, id, open(1, "meta"))
		n.Home.Close(id)
		trips := everywhere(t, n, id)
		deliver(t, by, id, Final(0, `"late"`), nil)
		for _, trip := range trips {
			awaitFinal(t, trip, 0, `"late"`)
		}
	}
}

func hearsItsOwn(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	one, two := own(t, n.Home, newKey()), own(t, n.Home, newKey())
	first, second := everywhere(t, n, one), everywhere(t, n, two)
	deliver(t, n.Other, two, Final(0, `"two"`), nil)
	for _, trip := range second {
		awaitFinal(t, trip, 0, `"two"`)
	}
	deliver(t, n.Other, one, Final(0, `"one"`), nil)
	for _, trip := range first {
		awaitFinal(t, trip, 0, `"one"`)
	}
}

func attachedCounts(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour, Parked: 2})
	id := own(t, n.Home, newKey())
	detach := attach(t, n.Other, id, Always(correlator.Held))
	attach(t, n.Other, id, Always(correlator.Held))
	if _, err := keeper(t, n.Other).Attach(t.Context(), id, Always(correlator.Held), soon()); !errors.Is(err, correlator.ErrBusy) {
		t.Errorf("the third: %v", err)
	}
	detach()
	attach(t, n.Other, id, Always(correlator.Held))
}

func attachedExpires(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	id := own(t, n.Home, newKey())
	trip := Always(correlator.Held)
	deadline := time.Now().Add(150 * time.Millisecond)
	detach, err := keeper(t, n.Other).Attach(t.Context(), id, trip, deadline)
	if err != nil {
		t.Fatal(err)
	}
	defer detach()
	if err := Next(t, trip.Expired, "expiry"); !errors.Is(err, correlator.ErrDeadline) {
		t.Errorf("expired with %v", err)
	}
	if early := time.Until(deadline); early > 0 {
		t.Errorf("%v early", early)
	}
	if got := look(t, n.Other, id); got != "meta 0:" {
		t.Errorf("the record of who is waited for: %s", got)
	}
}

func detaches(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	k := newKey()
	id := own(t, n.Home, k)
	quiet, loud := Always(correlator.Held), Always(correlator.Held)
	detach := attach(t, n.Other, id, quiet)
	attach(t, n.Other, id, loud)
	detach()
	detach()
	deliver(t, n.Home, id, Final(0, `1`), nil)
	awaitFinal(t, loud, 0, `1`)
	release(t, n.Home, k, id)
	_ = Next(t, loud.Expired, "the release")
	if len(quiet.Heard)+len(quiet.Expired) > 0 {
		t.Error("who has detached was called")
	}
}

func attachedDrains(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	id := own(t, n.Home, newKey())
	trip := Always(correlator.Held)
	detach := attach(t, n.Other, id, trip)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- n.Other.Drain(ctx) }()
	if err := Next(t, trip.Expired, "expiry"); !errors.Is(err, correlator.ErrDraining) {
		t.Errorf("expired with %v", err)
	}
	if _, err := keeper(t, n.Other).Attach(t.Context(), id, trip, soon()); !errors.Is(err, correlator.ErrDraining) {
		t.Errorf("attached while draining: %v", err)
	}
	if len(drained) > 0 {
		t.Error("drained with one attached")
	}
	detach()
	_ = Next(t, drained, "drain")
}

func releaseEndsWait(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	k := newKey()
	id := own(t, n.Home, k)
	trips := everywhere(t, n, id)
	release(t, n.Home, k, id)
	for _, trip := range trips {
		if err := Next(t, trip.Expired, "expiry"); !errors.Is(err, correlator.ErrReleased) {
			t.Errorf("expired with %v", err)
		}
		if len(trip.Heard) > 0 {
			t.Error("heard something of a trip that made no task")
		}
	}
	if _, err := keeper(t, n.Other).Attach(t.Context(), id, Always(correlator.Held), soon()); !errors.Is(err, correlator.ErrGone) {
		t.Errorf("attached after the release: %v", err)
	}
	for _, trip := range trips {
		if len(trip.Expired) > 0 {
			t.Error("expired twice")
		}
	}
}

// hearsBeforeRelease: without retention a trip that is over saves and releases at once.
func hearsBeforeRelease(t *testing.T, start Start) {
	n := start(t, Options{})
	for _, size := range []int{10, 100_000} {
		k := newKey()
		id := own(t, n.Home, k)
		trips := everywhere(t, n, id)
		rec := open(1, "meta")
		rec.Finals[0] = Final(0, string(make([]byte, size)))
		save(t, n.Home, id, rec)
		release(t, n.Home, k, id)
		for _, trip := range trips {
			if err := Next(t, trip.Expired, "expiry"); !errors.Is(err, correlator.ErrReleased) {
				t.Errorf("expired with %v", err)
			}
			if len(trip.Heard) == 0 {
				t.Error("released before the result was heard")
				continue
			}
			awaitFinal(t, trip, 0, string(rec.Finals[0].Body))
		}
	}
}

// attachRace has a final come while somebody attaches.
func attachRace(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	for i := range 200 {
		id := own(t, n.Home, newKey())
		if err := n.Home.Park(id, Once(correlator.Held), soon()); err != nil {
			t.Fatal(err)
		}
		trip := Always(correlator.Held)
		var both sync.WaitGroup
		both.Go(func() {
			if err := []correlator.Correlator{n.Home, n.Other}[i%2].Deliver(t.Context(), id, Final(0, `"x"`)); err != nil {
				t.Errorf("deliver: %v", err)
			}
		})
		both.Go(func() {
			detach, err := keeper(t, n.Other).Attach(t.Context(), id, trip, soon())
			if err != nil {
				t.Errorf("attach: %v", err)
				return
			}
			t.Cleanup(detach)
		})
		both.Wait()
		awaitFinal(t, trip, 0, `"x"`)
		n.Home.Close(id)
	}
}

// attachStorm has many wait for few trips, some of which detach too early. Who stays hears all, and nobody another's.
func attachStorm(t *testing.T, start Start) {
	const trips, ops, waiters = 8, 4, 25
	n := start(t, Options{Retention: time.Hour})
	var all sync.WaitGroup
	for i := range trips {
		id := n.Home.NewID(soon())
		if _, err := keeper(t, n.Home).Claim(t.Context(), newKey(), fingerprint(""), id, open(ops, "meta")); err != nil {
			t.Fatal(err)
		}
		if err := n.Home.Park(id, Once(correlator.Held), soon()); err != nil {
			t.Fatal(err)
		}
		defer n.Home.Close(id)
		body := fmt.Sprintf(`"trip %d"`, i)
		for w := range waiters {
			c := []correlator.Correlator{n.Home, n.Other}[w%2]
			all.Go(func() { waitForAll(t, c, id, ops, body, w%5 == 0) })
		}
		for op := range ops {
			all.Go(func() {
				if err := []correlator.Correlator{n.Home, n.Other}[op%2].Deliver(t.Context(), id, Final(op, body)); err != nil {
					t.Errorf("deliver: %v", err)
				}
			})
		}
	}
	all.Wait()
}

// waitForAll attaches to a trip until it has heard every op, or, with brief, the first of them.
func waitForAll(t *testing.T, c correlator.Correlator, id correlator.ID, ops int, body string, brief bool) {
	trip := Always(correlator.Held)
	detach, err := keeper(t, c).Attach(t.Context(), id, trip, soon())
	if err != nil {
		t.Errorf("attach: %v", err)
		return
	}
	defer detach()
	heard := make(map[int]bool)
	end := time.After(10 * time.Second)
	wanted := ops
	if brief {
		wanted = 1
	}
	for len(heard) < wanted {
		select {
		case cb := <-trip.Heard:
			heard[cb.Op] = true
			if string(cb.Body) != body {
				t.Errorf("heard %s, want %s", cb.Body, body)
			}
		case <-end:
			t.Errorf("heard %d of %d ops", len(heard), ops)
			return
		}
	}
}
