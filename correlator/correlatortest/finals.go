package correlatortest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/correlator"
)

// finals is the part of the contract that is about which final counts, and what came with it.
func finals() map[string]func(*testing.T, Start) {
	return map[string]func(*testing.T, Start){
		"what came beside the body stays":            keepsHeads,
		"what came beside the body is bounded":       boundsHeads,
		"a later final hears what stands":            hearsWhatStands,
		"a later final hears what its trip has":      hearsWhatTripHas,
		"the first final wins, whatever its kind":    oneKindWins,
		"a deadline is moved":                        extends,
		"what has ended is not extended":             extendsNoMore,
		"a deadline is moved while the wait ends":    extendRace,
		"a drain and a release end what is extended": extendedEnds,
	}
}

// supersedes delivers a callback of an op that is final already, and wants a *Superseded with the final's status.
func supersedes(t *testing.T, to correlator.Correlator, id correlator.ID, cb correlator.Callback, want correlator.Status) {
	t.Helper()
	err := to.Deliver(t.Context(), id, cb)
	if before, is := errors.AsType[*correlator.Superseded](err); !is || before.Status != want {
		t.Errorf("deliver %v: %v, want that %v stands", cb.Status, err, want)
	}
}

// heads are finals of all kinds, with everything that may come beside a body.
func heads() []correlator.Callback {
	return []correlator.Callback{
		{Status: correlator.Complete, Body: []byte("\x00\xff"), Head: &correlator.Head{ContentType: "image/png", Fields: []byte("Content-Language: uk\r\n")}},
		{Status: correlator.Complete, Head: new(correlator.Head)},
		{Status: correlator.Answered, Body: bytes.Repeat([]byte("x"), 10_000), Head: &correlator.Head{ContentType: strings.Repeat("c", correlator.MaxContentType)}},
		{Status: correlator.Errored, Body: []byte(`{"a":1}`), Head: &correlator.Head{Fields: bytes.Repeat([]byte("f"), correlator.MaxHeadFields)}},
		{Status: correlator.Errored},
		{Status: correlator.Cancelled, Body: []byte(`"why"`)},
		{Status: correlator.Cancelled, Body: []byte(`"why"`), Head: &correlator.Head{ContentType: "a/b"}},
		{Status: correlator.Failed},
	}
}

func same(t *testing.T, what string, got, want correlator.Callback) {
	t.Helper()
	if got.Op != want.Op || got.Status != want.Status || !bytes.Equal(got.Body, want.Body) || (got.Head == nil) != (want.Head == nil) {
		t.Errorf("%s: op %d %v %.40q %v, want op %d %v %.40q %v", what, got.Op, got.Status, got.Body, got.Head, want.Op, want.Status, want.Body, want.Head)
		return
	}
	if got.Head != nil && (got.Head.ContentType != want.Head.ContentType || !bytes.Equal(got.Head.Fields, want.Head.Fields)) {
		t.Errorf("%s: beside the body %.80q, want %.80q", what, got.Head.Fields, want.Head.Fields)
	}
}

func keepsHeads(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	for i, cb := range heads() {
		for _, by := range []correlator.Correlator{n.Home, n.Other} {
			parked := Once(correlator.Held)
			deliver(t, by, park(t, n, parked), cb, nil)
			same(t, "parked", Next(t, parked.Heard, "the final of a parked trip"), cb)

			id := own(t, n.Home, newKey())
			trips := everywhere(t, n, id)
			deliver(t, by, id, cb, nil)
			for _, trip := range trips {
				same(t, "attached", Next(t, trip.Heard, "the final"), cb)
			}
			late := Always(correlator.Held)
			attach(t, n.Other, id, late)
			same(t, "attached later", Next(t, late.Heard, "the final"), cb)
		}
		id := own(t, n.Home, newKey())
		rec := open(1, "meta")
		rec.Finals[0] = cb
		save(t, n.Home, id, rec)
		save(t, n.Home, id, rec)
		for _, c := range []correlator.Correlator{n.Home, n.Other} {
			got, err := keeper(t, c).Lookup(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			same(t, fmt.Sprintf("%d, saved", i), got.Finals[0], cb)
		}
	}
}

func boundsHeads(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	id := own(t, n.Home, newKey())
	for _, h := range []*correlator.Head{
		{ContentType: strings.Repeat("c", correlator.MaxContentType+1)}, {Fields: make([]byte, correlator.MaxHeadFields+1)},
	} {
		for _, by := range []correlator.Correlator{n.Home, n.Other} {
			cb := Final(0, `1`)
			cb.Head = h
			if err := by.Deliver(t.Context(), id, cb); err == nil || errors.Is(err, correlator.ErrGone) || errors.Is(err, correlator.ErrUnavailable) {
				t.Errorf("deliver: %v", err)
			}
		}
	}
	if got := look(t, n.Home, id); got != "meta 0:" {
		t.Errorf("the record: %s", got)
	}
}

func hearsWhatStands(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	for _, first := range []correlator.Callback{Final(0, `1`), {Status: correlator.Cancelled}, {Status: correlator.Errored, Body: []byte(`{}`)}} {
		for _, by := range []correlator.Correlator{n.Home, n.Other} {
			id := own(t, n.Home, newKey())
			deliver(t, by, id, first, nil)
			for _, to := range []correlator.Correlator{n.Other, n.Home} {
				supersedes(t, to, id, first, first.Status)
				supersedes(t, to, id, Final(0, `2`), first.Status)
				supersedes(t, to, id, correlator.Callback{Status: correlator.Cancelled, Body: []byte(`3`)}, first.Status)
				supersedes(t, to, id, event(0, `{}`), first.Status)
				supersedes(t, to, id, correlator.Callback{Status: correlator.Started}, first.Status)
			}
			rec, err := keeper(t, n.Other).Lookup(t.Context(), id)
			if err != nil || rec.Seq != 0 {
				t.Errorf("the record: %v, %v", rec, err)
			}
			same(t, "the record", rec.Finals[0], first)
		}
	}
}

func hearsWhatTripHas(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	for _, d := range []correlator.Disposition{correlator.Held, correlator.Written} {
		id := park(t, n, Once(d))
		deliver(t, n.Home, id, correlator.Callback{Status: correlator.Errored}, nil)
		supersedes(t, n.Home, id, Final(0, `1`), correlator.Errored)
		supersedes(t, n.Home, id, event(0, `1`), correlator.Errored)
		deliver(t, n.Home, id, Final(1, `1`), nil)
	}
}

// oneKindWins has a client cancel what the engine completes.
func oneKindWins(t *testing.T, start Start) { //nolint:gocognit // one story, in its order
	n := start(t, Options{Retention: time.Hour})
	for i := range 200 {
		id := own(t, n.Home, newKey())
		if i%2 == 0 {
			if err := n.Home.Park(id, Once(correlator.Held), soon()); err != nil {
				t.Fatal(err)
			}
		}
		var both sync.WaitGroup
		var won atomic.Int64
		nodes := []correlator.Correlator{n.Home, n.Other}
		for j, cb := range []correlator.Callback{Final(0, `1`), {Status: correlator.Cancelled}} {
			both.Go(func() {
				err := nodes[(i/2+j)%2].Deliver(t.Context(), id, cb)
				if err == nil {
					won.Store(int64(cb.Status))
				}
				if before, is := errors.AsType[*correlator.Superseded](err); err != nil && (!is || before.Status == cb.Status) {
					t.Errorf("deliver %v: %v", cb.Status, err)
				}
			})
		}
		both.Wait()
		rec, err := keeper(t, n.Other).Lookup(t.Context(), id)
		if err != nil || int64(rec.Finals[0].Status) != won.Load() {
			t.Fatalf("%d has won, and the record is %v, %v", won.Load(), rec, err)
		}
		n.Home.Close(id)
	}
}

func extends(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	sooner, later := Always(correlator.Held), Always(correlator.Held)
	early, extended := park(t, n, sooner), false
	for !extended { // a slow machine comes too late
		late := n.Home.NewID(soon())
		later = Always(correlator.Held)
		if err := n.Home.Park(late, later, time.Now().Add(200*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Home.Close(late) })
		extended = n.Home.Extend(late, soon())
	}
	deadline := time.Now().Add(300 * time.Millisecond)
	if !n.Home.Extend(early, deadline) {
		t.Error("what is parked is not extended")
	}
	if err := Next(t, sooner.Expired, "expiry"); !errors.Is(err, correlator.ErrDeadline) {
		t.Errorf("expired with %v", err)
	}
	if wait := time.Until(deadline); wait > 0 {
		t.Errorf("%v early", wait)
	}
	if len(later.Expired) > 0 {
		t.Error("what was extended has expired at its first deadline")
	}
}

func extendsNoMore(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	trip := Always(correlator.Held)
	id := n.Home.NewID(soon())
	if err := n.Home.Park(id, trip, time.Now()); err != nil {
		t.Fatal(err)
	}
	_ = Next(t, trip.Expired, "expiry")
	if n.Home.Extend(id, soon()) {
		t.Error("what has expired is extended")
	}
	n.Home.Close(id)
	for _, id := range []correlator.ID{id, n.Home.NewID(soon())} {
		if n.Home.Extend(id, soon()) {
			t.Error("what is not parked is extended")
		}
	}
}

// extendRace moves deadlines at the time when they end: each wait ends once, and not before its last deadline.
func extendRace(t *testing.T, start Start) { //nolint:gocognit // one story, in its order
	n := start(t, Options{Retention: time.Hour})
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			trip := Always(correlator.Held)
			id := n.Home.NewID(soon())
			last := time.Now().Add(time.Millisecond)
			if err := n.Home.Park(id, trip, last); err != nil {
				t.Errorf("park: %v", err)
				return
			}
			defer n.Home.Close(id)
			for range 100 {
				next := time.Now().Add(5 * time.Millisecond)
				if n.Home.Extend(id, next) {
					last = next
				}
			}
			if err := <-trip.Expired; !errors.Is(err, correlator.ErrDeadline) || time.Until(last) > 0 {
				t.Errorf("expired with %v, %v early", err, time.Until(last))
			}
			if len(trip.Expired) > 0 {
				t.Error("expired twice")
			}
		})
	}
	all.Wait()
}

// extendedEnds moves a deadline all the time, which keeps nothing else from ending the wait.
func extendedEnds(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	k := newKey()
	id := own(t, n.Home, k)
	trip := Always(correlator.Held)
	detach, err := keeper(t, n.Home).Attach(t.Context(), id, trip, soon())
	if err != nil {
		t.Fatal(err)
	}
	defer detach()
	parked := Always(correlator.Held)
	extended := park(t, n, parked)
	stop := make(chan struct{})
	var extending sync.WaitGroup
	extending.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				n.Home.Extend(extended, soon())
			}
		}
	})
	release(t, n.Home, k, id)
	if err := Next(t, trip.Expired, "the release"); !errors.Is(err, correlator.ErrReleased) {
		t.Errorf("expired with %v", err)
	}
	detach()
	drained := drainNow(t, n.Home)
	if err := Next(t, parked.Expired, "the drain"); !errors.Is(err, correlator.ErrDraining) {
		t.Errorf("expired with %v", err)
	}
	close(stop)
	extending.Wait()
	n.Home.Close(extended)
	_ = Next(t, drained, "drain")
}
