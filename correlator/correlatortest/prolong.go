package correlatortest

import (
	"errors"
	"testing"
	"time"

	"syncgate/correlator"
)

func prolongs(t *testing.T, start Start) {
	n := start(t, Options{Retention: 300 * time.Millisecond})
	prolong := func(id correlator.ID, d time.Duration, want error) {
		t.Helper()
		if err := keeper(t, n.Other).Prolong(t.Context(), id, d); !errors.Is(err, want) {
			t.Errorf("prolong by %v: %v, want %v", d, err, want)
		}
	}
	rec := open(1, "meta")
	rec.Finals[0] = Final(0, `1`)
	short, long := park(t, n, Always(correlator.Gone)), park(t, n, Always(correlator.Gone))
	for _, id := range []correlator.ID{short, long} {
		save(t, n.Home, id, rec)
		n.Home.Close(id)
	}
	prolong(short, time.Millisecond, nil) // it shortens nothing
	prolong(long, 1500*time.Millisecond, nil)
	prolong(long, 0, nil)
	prolong(long, 1500*time.Millisecond, nil)
	begin := time.Now()
	if got := look(t, n.Home, short); got != "meta 1:1" {
		t.Errorf("at once: %s", got)
	}
	Eventually(t, "the end of what was kept as long as others", func() bool { return look(t, n.Other, short) == "gone" })
	if d := time.Since(begin); d < time.Second {
		if got := look(t, n.Home, long); got != "meta 1:1" {
			t.Errorf("after %v: %s", d, got)
		}
	}
	Eventually(t, "the end of what was kept for longer", func() bool { return look(t, n.Other, long) == "gone" })
	if d := time.Since(begin); d < 1400*time.Millisecond {
		t.Errorf("gone after %v", d)
	}
	prolong(long, time.Hour, correlator.ErrGone)
	prolong(n.Home.NewID(soon()), time.Hour, correlator.ErrGone)
}

// outlasts has a complete record kept until its id expires, and no longer, whether its final comes to the record or with it.
func outlasts(t *testing.T, start Start) {
	n := start(t, Options{Retention: 100 * time.Millisecond})
	ends := time.Now().Add(1500 * time.Millisecond)
	rec := open(1, "meta")
	delivered, saved := n.Home.NewID(ends).Outlast(), n.Home.NewID(ends).Outlast()
	if !saved.Outlasts() || saved.Marked() || !saved.Mark().Outlasts() || n.Home.NewID(ends).Outlasts() || saved.Expiry().UnixMilli() != ends.UnixMilli() {
		t.Errorf("%v expires at %v", saved, saved.Expiry())
	}
	save(t, n.Home, delivered, rec)
	deliver(t, n.Other, delivered, event(0, `{"a":1}`), nil)
	deliver(t, n.Other, delivered, Final(0, `1`), nil)
	rec.Finals[0] = Final(0, `1`)
	save(t, n.Home, saved, rec)
	short := park(t, n, Always(correlator.Gone))
	save(t, n.Home, short, rec)
	n.Home.Close(short)
	Eventually(t, "the end of what is kept as long as others", func() bool { return look(t, n.Other, short) == "gone" })
	if time.Until(ends) > 500*time.Millisecond {
		for _, id := range []correlator.ID{delivered, saved} {
			if got := look(t, n.Other, id); got != "meta 1:1" {
				t.Errorf("before its id expires: %s", got)
			}
		}
		if rec := lookup(t, n.Other, delivered); string(rec.Merged[0]) != `{"a":1}` {
			t.Errorf("what was reported: %s", rec.Merged)
		}
	}
	Eventually(t, "the end of the ids", func() bool { return look(t, n.Other, delivered) == "gone" && look(t, n.Other, saved) == "gone" })
	if time.Now().Before(ends.Add(-100 * time.Millisecond)) {
		t.Errorf("gone %v before its id expires", time.Until(ends))
	}
}

// marks has a trip parked under a marked id: it is heard of by that, and not by the other.
func marks(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	trip := Always(correlator.Written)
	plain := n.Home.NewID(soon())
	id := plain.Mark()
	if plain.Marked() || !id.Marked() || id == plain || !id.Expiry().Equal(plain.Expiry()) || id.Home() != plain.Home() || id.Name() != plain.Name() {
		t.Fatalf("%v, %v until %v and %v", plain, id, plain.Expiry(), id.Expiry())
	}
	if err := n.Home.Park(id, trip, soon()); err != nil {
		t.Fatal(err)
	}
	defer n.Home.Close(id)
	deliver(t, n.Other, id, Final(0, `"a"`), nil)
	if cb := Next(t, trip.Heard, "callback"); string(cb.Body) != `"a"` {
		t.Errorf("%s", cb.Body)
	}
}

// markedWait has the record of a marked id wait for who is to look at it: a complete one whatever the retention, until it is let go, and an unfinished one for
// longer than the id's tokens are good, so that it can still be ended.
func markedWait(t *testing.T, start Start) {
	const retention = 200 * time.Millisecond
	n := start(t, Options{Retention: retention})
	complete := open(1, "meta")
	complete.Finals[0] = Final(0, `1`)
	plain, saved, claimed, completed := n.Home.NewID(soon()), n.Home.NewID(soon()).Mark(), n.Home.NewID(soon()).Mark(), n.Home.NewID(soon()).Mark()
	expiry := time.Now().Add(retention)
	stale, here, there := n.Home.NewID(expiry), n.Home.NewID(expiry).Mark(), n.Other.NewID(expiry).Mark()
	for _, id := range []correlator.ID{completed, stale, here, there} {
		save(t, n.Home, id, open(1, "meta"))
	}
	for _, id := range []correlator.ID{plain, saved} {
		save(t, n.Home, id, complete)
	}
	if _, err := keeper(t, n.Home).Claim(t.Context(), correlator.Key{Login: "l", Name: "k"}, [32]byte{}, claimed, complete); err != nil {
		t.Fatal(err)
	}
	deliver(t, n.Other, completed, Final(0, `1`), nil)
	n.Home.Close(claimed)
	for _, id := range []correlator.ID{plain, stale} {
		Eventually(t, "the end of what nobody is to look at", func() bool { return look(t, n.Other, id) == "gone" })
	}
	for _, id := range []correlator.ID{here, there} {
		deliver(t, n.Home, id, Final(0, `1`), nil)
		save(t, n.Home, id, complete)
	}
	deliver(t, n.Other, stale, Final(0, `1`), correlator.ErrGone)
	marked := []correlator.ID{saved, claimed, completed, here, there}
	for i, id := range marked {
		if got := look(t, n.Other, id); got != "meta 1:1" {
			t.Errorf("marked record %d is %s", i, got)
		}
		if err := keeper(t, n.Other).Prolong(t.Context(), id, 3*retention); err != nil {
			t.Error(err)
		}
		if err := keeper(t, n.Other).Prolong(t.Context(), id, 0); err != nil {
			t.Error(err)
		}
	}
	for _, id := range marked {
		Eventually(t, "the end of what was let go", func() bool { return look(t, n.Other, id) == "gone" })
	}
}
