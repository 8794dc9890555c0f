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
