package correlatortest

import (
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/correlator"
)

// claims is the part of the contract that is about keys.
func claims() map[string]func(*testing.T, Start) {
	return map[string]func(*testing.T, Start){
		"a key has one owner":                        claimsOnce,
		"a claim saves its record":                   claimSaves,
		"a key is a login's own":                     keysAreApart,
		"a claim ends with its record":               claimEnds,
		"a released key is free":                     releases,
		"only the owner releases":                    releasesItsOwn,
		"a claim lasts without retention":            claimsWithoutRetention,
		"a claimed record gets what comes late":      claimedGetsLate,
		"a claimed record gets every final":          claimedGetsFinals,
		"trip, record and who waits have one result": hasOneResult,
		"a record has what its trip had":             savesWhatItHad,
		"many claim a key and one has it":            claimRace,
		"claim and release leave one owner at most":  claimReleaseRace,
	}
}

// newKey makes a key that no other test has.
func newKey() correlator.Key { return correlator.Key{Login: "login", Name: rand.Text()} }

func fingerprint(body string) (f [32]byte) {
	copy(f[:], body)
	return f
}

// claim claims k for a new trip of c's with one op, and gives that and who owns k.
func claim(t *testing.T, c correlator.Correlator, k correlator.Key) (id, owner correlator.ID) {
	t.Helper()
	id = c.NewID(soon())
	owner, err := keeper(t, c).Claim(t.Context(), k, fingerprint("body"), id, open(1, "meta"))
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	return id, owner
}

// own claims k for a new trip of c's, and fails the test when k is another's.
func own(t *testing.T, c correlator.Correlator, k correlator.Key) correlator.ID {
	t.Helper()
	id, owner := claim(t, c, k)
	if owner != id {
		t.Fatal("the key is another's")
	}
	return id
}

func release(t *testing.T, c correlator.Correlator, k correlator.Key, id correlator.ID) {
	t.Helper()
	if err := keeper(t, c).Release(t.Context(), k, id); err != nil {
		t.Fatalf("release: %v", err)
	}
}

func claimsOnce(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	k := newKey()
	first := own(t, n.Home, k)
	for _, c := range []correlator.Correlator{n.Home, n.Other} {
		id, owner := claim(t, c, k)
		if owner != first {
			t.Error("the key has two owners")
		}
		if got := look(t, n.Home, id); got != "gone" {
			t.Errorf("the one that lost has a record: %s", got)
		}
		if _, err := keeper(t, c).Claim(t.Context(), k, fingerprint("other"), c.NewID(soon()), open(1, "")); !errors.Is(err, correlator.ErrOtherBody) {
			t.Errorf("another body: %v", err)
		}
	}
	owner, err := keeper(t, n.Home).Claim(t.Context(), k, fingerprint("body"), first, open(1, "meta"))
	if err != nil || owner != first {
		t.Errorf("claimed again by its owner: %v", err)
	}
}

func claimSaves(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	rec := open(2, "meta")
	rec.Finals[1] = correlator.Callback{Op: 1, Status: correlator.Answered, Body: []byte(`"refused"`)}
	id := n.Home.NewID(soon())
	if _, err := keeper(t, n.Home).Claim(t.Context(), newKey(), fingerprint(""), id, rec); err != nil {
		t.Fatal(err)
	}
	if got := look(t, n.Other, id); got != `meta 0: 2:"refused"` {
		t.Error(got)
	}
}

func keysAreApart(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	unique := rand.Text()
	for _, k := range []correlator.Key{
		{Login: unique, Name: "k"},
		{Login: unique + "k", Name: ""},
		{Login: "", Name: unique + "k"},
		{Login: unique, Name: "K"},
		{Login: unique, Name: "k\x00"},
		{Login: unique + "\x00", Name: "k"},
		{Login: unique, Name: "{k}"},
		{Login: unique, Name: "*"},
	} {
		own(t, n.Home, k)
	}
}

func claimEnds(t *testing.T, start Start) {
	n := start(t, Options{Retention: 300 * time.Millisecond})
	k := newKey()
	first := own(t, n.Home, k)
	rec := open(1, "meta")
	rec.Finals[0] = Final(0, `1`)
	save(t, n.Home, first, rec)
	Eventually(t, "the record's end", func() bool { return look(t, n.Other, first) == "gone" })
	second := n.Other.NewID(soon())
	owner, err := keeper(t, n.Other).Claim(t.Context(), k, fingerprint("other"), second, open(1, "other"))
	if err != nil || owner != second {
		t.Fatalf("claimed after the record's end: %v", err)
	}
	release(t, n.Home, k, first) // late, and not its any more
	if got := look(t, n.Home, second); got != "other 0:" {
		t.Error(got)
	}
}

func releases(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	k := newKey()
	first := own(t, n.Home, k)
	release(t, n.Home, k, first)
	release(t, n.Home, k, first)
	if got := look(t, n.Other, first); got != "gone" {
		t.Errorf("released, but kept: %s", got)
	}
	second := own(t, n.Other, k)
	release(t, n.Home, k, first)
	if _, owner := claim(t, n.Home, k); owner != second {
		t.Error("the second owner has lost its key")
	}
}

func releasesItsOwn(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	k, another := newKey(), newKey()
	id := own(t, n.Home, k)
	release(t, n.Home, k, n.Home.NewID(soon()))
	release(t, n.Other, another, id)
	own(t, n.Other, another)
	release(t, n.Other, another, id)
	if _, owner := claim(t, n.Other, k); owner != id {
		t.Error("the key has been released by another")
	}
	if got := look(t, n.Other, id); got != "meta 0:" {
		t.Error(got)
	}
}

func claimsWithoutRetention(t *testing.T, start Start) {
	n := start(t, Options{})
	k := newKey()
	id := own(t, n.Home, k)
	trip := Once(correlator.Held)
	if err := n.Home.Park(id, trip, soon()); err != nil {
		t.Fatal(err)
	}
	deliver(t, n.Other, id, Final(0, `1`), nil)
	Next(t, trip.Heard, "callback")
	rec := open(1, "later")
	rec.Finals[0] = Final(0, `1`)
	save(t, n.Home, id, rec)
	n.Home.Close(id)
	for range 10 { // whatever ends without retention has time to
		<-time.After(10 * time.Millisecond)
		if got := look(t, n.Other, id); got != "later 1:1" {
			t.Fatal(got)
		}
	}
	if _, owner := claim(t, n.Other, k); owner != id {
		t.Error("the key was free before its release")
	}
	release(t, n.Home, k, id)
	if got := look(t, n.Other, id); got != "gone" {
		t.Error(got)
	}
	deliver(t, n.Home, id, Final(0, `1`), nil) // once more for a finished op
	own(t, n.Other, k)
}

// claimedGetsLate: the client that has claimed a key may leave before its task is done, whatever the retention.
func claimedGetsLate(t *testing.T, start Start) {
	for _, retention := range []time.Duration{0, time.Hour} {
		n := start(t, Options{Retention: retention})
		for _, by := range []correlator.Correlator{n.Home, n.Other} {
			id := own(t, n.Home, newKey())
			if err := n.Home.Park(id, Always(correlator.Gone), soon()); err != nil {
				t.Fatal(err)
			}
			n.Home.Close(id)
			waiter := Always(correlator.Held)
			attach(t, n.Other, id, waiter)
			deliver(t, by, id, Final(0, `"late"`), nil)
			awaitFinal(t, waiter, 0, `"late"`)
			if got := look(t, n.Home, id); got != `meta 1:"late"` {
				t.Errorf("retention %v, by home %t: %s", retention, by == n.Home, got)
			}
		}
	}
}

// claimedGetsFinals: whatever the trip says of a callback, and wherever that comes, the record has it.
func claimedGetsFinals(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	for _, d := range []correlator.Disposition{correlator.Held, correlator.Written, correlator.Gone} {
		for _, by := range []correlator.Correlator{n.Home, n.Other} {
			for _, closed := range []bool{false, true} {
				if got := recordAfter(t, n, by, d, closed); got != `meta 1:"x"` {
					t.Errorf("disposition %d, by home %t, closed %t: %s", d, by == n.Home, closed, got)
				}
			}
		}
	}
}

// recordAfter gives the record of a claimed trip that says d of its callback, and has closed before if it is to.
func recordAfter(t *testing.T, n Nodes, by correlator.Correlator, d correlator.Disposition, closed bool) string {
	t.Helper()
	id := own(t, n.Home, newKey())
	trip := NewTrip(func(_ correlator.Callback, done func(correlator.Disposition)) {
		if closed { // as a trip does that has nothing more to wait for
			n.Home.Close(id)
		}
		done(d)
	})
	if err := n.Home.Park(id, trip, soon()); err != nil {
		t.Fatal(err)
	}
	defer n.Home.Close(id)
	deliver(t, by, id, Final(0, `"x"`), nil)
	Next(t, trip.Heard, "callback")
	return look(t, n.Other, id)
}

// quarrel delivers two results of one op at once, one to each node, and gives how many have won.
func quarrel(t *testing.T, n Nodes, id correlator.ID) (won int) {
	t.Helper()
	var both sync.WaitGroup
	var winners atomic.Int64
	for i, c := range []correlator.Correlator{n.Home, n.Other} {
		both.Go(func() {
			err := c.Deliver(t.Context(), id, Final(0, []string{`"one"`, `"two"`}[i]))
			if err == nil {
				winners.Add(1)
			}
			if err := unlessSuperseded(err); err != nil {
				t.Errorf("deliver: %v", err)
			}
		})
	}
	both.Wait()
	return int(winners.Load())
}

// taker is a Trip that takes the first callback, which it gives, and holds it.
func taker() (trip *Trip, first chan correlator.Callback) {
	first = make(chan correlator.Callback, 1)
	return NewTrip(func(cb correlator.Callback, done func(correlator.Disposition)) {
		select {
		case first <- cb:
			done(correlator.Held)
		default:
			done(correlator.Repeated)
		}
	}), first
}

// hasOneResult: of two different results of one op everybody hears the same one.
func hasOneResult(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	for i := range 100 {
		id := own(t, n.Home, newKey())
		trip, taken := taker()
		waiter := Always(correlator.Held)
		if err := n.Home.Park(id, trip, soon()); err != nil {
			t.Fatal(err)
		}
		attach(t, []correlator.Correlator{n.Home, n.Other}[i%2], id, waiter)
		if won := quarrel(t, n, id); won != 1 {
			t.Errorf("%d of two have won", won)
		}
		first := string((<-taken).Body)
		if got := look(t, n.Other, id); got != "meta 1:"+first {
			t.Fatalf("the trip has %s, its record is %s", first, got)
		}
		awaitFinal(t, waiter, 0, first)
		n.Home.Close(id)
	}
}

// savesWhatItHad: of two different results of one op the record has the one that the trip answered with, when it is made later.
func savesWhatItHad(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	for range 100 {
		trip, taken := taker()
		id := park(t, n, trip)
		quarrel(t, n, id)
		rec := open(2, "meta")
		rec.Finals[0] = <-taken
		save(t, n.Home, id, rec)
		n.Home.Close(id)
		if got, want := look(t, n.Other, id), "meta 1:"+string(rec.Finals[0].Body)+" 0:"; got != want {
			t.Fatalf("saved %s, and the record is %s", want, got)
		}
	}
}
