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

// keeper gives a node's Keeper. A Correlator of this contract has one.
func keeper(t *testing.T, c correlator.Correlator) correlator.Keeper {
	t.Helper()
	k, ok := c.(correlator.Keeper)
	if !ok {
		t.Fatalf("%T keeps no records", c)
	}
	return k
}

func open(ops int, meta string) correlator.Record {
	return correlator.Record{Meta: []byte(meta), Finals: make([]correlator.Callback, ops)}
}

func save(t *testing.T, c correlator.Correlator, id correlator.ID, rec correlator.Record) {
	t.Helper()
	if err := keeper(t, c).Save(t.Context(), id, rec); err != nil {
		t.Fatalf("save: %v", err)
	}
}

// look gives a record as text, "gone" for none.
func look(t *testing.T, c correlator.Correlator, id correlator.ID) string {
	t.Helper()
	rec, err := keeper(t, c).Lookup(t.Context(), id)
	if errors.Is(err, correlator.ErrGone) {
		return "gone"
	}
	if err != nil {
		t.Fatalf("lookup: %v", err)
	}
	var s strings.Builder
	s.Write(rec.Meta)
	for i, f := range rec.Finals {
		if f.Status != correlator.Open && f.Op != i {
			t.Errorf("final %d says op %d", i, f.Op)
		}
		fmt.Fprintf(&s, " %d:%s", f.Status, f.Body)
	}
	return s.String()
}

func keepsLate(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	id := park(t, n, Always(correlator.Gone))
	rec := open(3, "meta")
	rec.Finals[1] = correlator.Callback{Op: 1, Status: correlator.Answered, Body: []byte(`"engine"`)}
	save(t, n.Home, id, rec)
	n.Home.Close(id)
	if got := look(t, n.Other, id); got != `meta 0: 2:"engine" 0:` {
		t.Errorf("saved: %s", got)
	}
	deliver(t, n.Other, id, Final(2, `"late"`), nil)
	deliver(t, n.Home, id, Final(0, ``), nil)
	for _, c := range []correlator.Correlator{n.Home, n.Other} {
		if got := look(t, c, id); got != `meta 1: 2:"engine" 1:"late"` {
			t.Errorf("complete: %s", got)
		}
	}
}

func keepsFirst(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	id := park(t, n, Always(correlator.Gone))
	save(t, n.Home, id, open(2, "early"))
	deliver(t, n.Other, id, Final(0, `"first"`), nil)
	rec := open(2, "later")
	rec.Finals[0] = Final(0, `"second"`)
	rec.Finals[1] = Final(1, `"other"`)
	save(t, n.Home, id, rec)
	supersedes(t, n.Other, id, Final(0, `"third"`), correlator.Complete)
	supersedes(t, n.Home, id, Final(1, `"third"`), correlator.Complete)
	if got := look(t, n.Home, id); got != `later 1:"first" 1:"other"` {
		t.Error(got)
	}
}

// keepsCopies has a record change, and then the finals that it was saved with: neither sees the other's change.
func keepsCopies(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	for name, store := range map[string]func(id correlator.ID, rec correlator.Record) error{
		"Save": func(id correlator.ID, rec correlator.Record) error {
			return keeper(t, n.Home).Save(t.Context(), id, rec)
		},
		"Claim": func(id correlator.ID, rec correlator.Record) error {
			_, err := keeper(t, n.Home).Claim(t.Context(), newKey(), fingerprint("body"), id, rec)
			return err
		},
	} {
		id, rec := n.Home.NewID(soon()), open(2, "meta")
		if err := store(id, rec); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		deliver(t, n.Home, id, Final(0, `"kept"`), nil)
		if rec.Finals[0].Status.Final() {
			t.Errorf("%s: the caller's finals change with the record", name)
		}
		rec.Finals[1] = Final(1, `"the caller's"`)
		if got := look(t, n.Home, id); got != `meta 1:"kept" 0:` {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// savesMeanwhile is a callback that meets a trip between its decision and its record.
func savesMeanwhile(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	dones := make(chan func(correlator.Disposition), 1)
	trip := NewTrip(func(_ correlator.Callback, done func(correlator.Disposition)) { dones <- done })
	id := park(t, n, trip)
	answer := make(chan error, 1)
	go func() { answer <- n.Other.Deliver(t.Context(), id, Final(0, `"late"`)) }()
	done := Next(t, dones, "callback")
	save(t, n.Home, id, open(1, "meta"))
	n.Home.Close(id)
	done(correlator.Gone)
	if err := Next(t, answer, "answer"); err != nil {
		t.Fatal(err)
	}
	if got := look(t, n.Other, id); got != `meta 1:"late"` {
		t.Error(got)
	}
}

func recordOutlivesClose(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	trip := Once(correlator.Held)
	id := park(t, n, trip)
	deliver(t, n.Other, id, Final(0, `"held"`), nil)
	Next(t, trip.Heard, "callback")
	rec := open(1, "meta")
	rec.Finals[0] = Final(0, `"held"`)
	save(t, n.Home, id, rec)
	n.Home.Close(id)
	n.Home.Close(id)
	for range 10 { // whatever Close cleans up has time to
		<-time.After(10 * time.Millisecond)
		if got := look(t, n.Other, id); got != `meta 1:"held"` {
			t.Fatal(got)
		}
		supersedes(t, n.Other, id, Final(0, `"again"`), correlator.Complete)
		supersedes(t, n.Home, id, Final(0, `"again"`), correlator.Complete)
	}
}

func noRecord(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	id := park(t, n, Always(correlator.Held))
	if got := look(t, n.Other, id); got != "gone" {
		t.Errorf("never saved: %s", got)
	}
	deliver(t, n.Other, id, Final(0, `1`), nil)
	if got := look(t, n.Home, id); got != "gone" {
		t.Errorf("a callback made a record: %s", got)
	}
	n.Home.Close(id)
	if got := look(t, n.Other, id); got != "gone" {
		t.Errorf("closed: %s", got)
	}
}

func noRetention(t *testing.T, start Start) {
	n := start(t, Options{})
	id := park(t, n, Always(correlator.Gone))
	if err := keeper(t, n.Home).Save(t.Context(), id, open(1, "meta")); !errors.Is(err, correlator.ErrGone) {
		t.Errorf("save: %v", err)
	}
	if got := look(t, n.Other, id); got != "gone" {
		t.Error(got)
	}
}

func recordEnds(t *testing.T, start Start) {
	n := start(t, Options{Retention: 300 * time.Millisecond})
	saved, late := park(t, n, Always(correlator.Gone)), park(t, n, Always(correlator.Gone))
	rec := open(1, "meta")
	rec.Finals[0] = Final(0, `1`)
	begin := time.Now()
	save(t, n.Home, saved, rec)
	save(t, n.Home, late, open(1, "meta"))
	Eventually(t, "a complete record's end", func() bool { return look(t, n.Other, saved) == "gone" })
	if d := time.Since(begin); d < 290*time.Millisecond { // clocks of two processes
		t.Errorf("gone after %v", d)
	}
	if got := look(t, n.Other, late); got != "meta 0:" {
		t.Errorf("an unfinished record does not last: %s", got)
	}
	n.Home.Close(late)
	deliver(t, n.Other, late, Final(0, `2`), nil)
	if got := look(t, n.Other, late); got != "meta 1:2" {
		t.Errorf("late: %s", got)
	}
	Eventually(t, "the late one's end", func() bool { return look(t, n.Other, late) == "gone" })
	deliver(t, n.Home, late, Final(0, `2`), nil) // a finished trip's callback, once more
}

// crowd sends the callbacks of many trips at once, each twice, to both nodes: every trip hears its own first.
func crowd(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	const trips = 200
	var wrong atomic.Int64
	var written, all sync.WaitGroup
	for i := range trips {
		body := fmt.Sprintf(`{"nonce":%d}`, i)
		id := n.Home.NewID(soon())
		var once sync.Once
		written.Add(1)
		trip := NewTrip(func(cb correlator.Callback, done func(correlator.Disposition)) {
			d := correlator.Repeated
			once.Do(func() {
				if string(cb.Body) != body {
					wrong.Add(1)
				}
				d = correlator.Written
				n.Home.Close(id)
				written.Done()
			})
			done(d)
		})
		if err := n.Home.Park(id, trip, soon()); err != nil {
			t.Fatal(err)
		}
		for _, to := range []correlator.Correlator{n.Home, n.Other, n.Other} {
			all.Go(func() {
				if err := unlessSuperseded(to.Deliver(t.Context(), id, Final(0, body))); err != nil {
					t.Errorf("deliver: %v", err)
				}
			})
		}
	}
	all.Wait()
	written.Wait()
	if wrong.Load() > 0 {
		t.Errorf("%d callbacks reached another's trip", wrong.Load())
	}
	drained := make(chan error, 1)
	go func() { drained <- n.Home.Drain(t.Context()) }()
	if err := Next(t, drained, "drain"); err != nil {
		t.Error(err)
	}
}
