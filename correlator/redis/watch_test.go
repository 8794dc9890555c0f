package redis

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"testing"
	"time"

	"syncgate/correlator"
)

// TestLooksAreBounded: so many looks come in an interval, and each trip that is waited for has one in time.
func TestLooksAreBounded(t *testing.T) {
	for _, n := range []int{1, watchLooks, watchLooks + 1, 2*watchLooks - 1, 3*watchLooks + 7, 4*watchLooks - 1, 20 * watchLooks} {
		w, last := newWatch(nil, nil), make(map[correlator.ID]int)
		w.addMany(n, last)
		most := max(watchLooks, n/watchRounds+1)
		for interval := 1; interval <= 10*watchRounds; interval++ {
			w.some()
			looks := w.batches()
			if len(looks) > most || n <= watchLooks && len(looks) != n {
				t.Errorf("of %d, %d looks in one interval, want at most %d", n, len(looks), most)
			}
			for _, g := range looks {
				last[g.id] = interval
			}
			oldest := slices.Min(slices.Collect(maps.Values(last)))
			if late := time.Duration(interval-oldest) * watchInterval; late >= 2*watchRounds*watchInterval || late >= min(leftFor, watchFor) {
				t.Fatalf("of %d, one was not looked at for %v", n, late)
			}
		}
	}
}

// TestLooksComeInTime: a trip has its look in time also when the waits for others end with theirs, and new waits begin.
func TestLooksComeInTime(t *testing.T) {
	for _, begins := range []int{0, 1, 1000} {
		w, last := newWatch(nil, nil), make(map[correlator.ID]int)
		w.addMany(40*watchLooks, last)
		for interval := 1; interval <= 10*watchRounds; interval++ {
			w.some()
			for _, g := range w.batches() {
				w.detach(g.id, g.id)
				delete(last, g.id)
			}
			if len(last) > 0 && interval-slices.Min(slices.Collect(maps.Values(last))) >= 2*watchRounds {
				t.Fatalf("%d begin in each interval: one was not looked at in %d of them", begins, 2*watchRounds)
			}
			for i := range begins {
				id := correlator.ID{byte(interval), 1, byte(i >> 8), byte(i)}
				w.add(id, id, nil)
				last[id] = interval
			}
		}
	}
}

// TestLooksThatFail: a trip that could not be looked at is looked at with the next tick. It does not wait for its turn.
func TestLooksThatFail(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	table := correlator.NewTable(1)
	defer table.Shutdown()
	w := newWatch(open(t, "redis://127.0.0.1:1"), table)
	w.addMany(2*watchRounds*watchLooks, make(map[correlator.ID]int))
	var hinted, left correlator.ID // addMany has added the first
	binary.BigEndian.PutUint32(left[:], 1)
	w.hint(hinted)
	w.looks(ctx)
	if _, due := w.due[hinted]; !due || len(w.due) != 1 {
		t.Errorf("after a look that failed %d are due, the one of the hint: %t", len(w.due), due)
	}
	glances := []glance{{id: left}}
	w.detach(left, left)
	w.putBack(glances)
	if len(w.batches()) != 1 {
		t.Error("one is due for which nobody waits")
	}
}

// addMany has so many trips waited for.
func (w *watch) addMany(n int, last map[correlator.ID]int) {
	for i := range n {
		var id correlator.ID
		binary.BigEndian.PutUint32(id[:], uint32(i))
		w.add(id, id, nil)
		last[id] = 0
	}
}

// batches takes all that is due.
func (w *watch) batches() (all []glance) {
	for {
		some := w.batch()
		if len(some) == 0 {
			return all
		}
		all = append(all, some...)
	}
}
