package redis

import (
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
