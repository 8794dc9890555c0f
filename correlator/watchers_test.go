package correlator

import (
	"maps"
	"testing"
)

// TestWatchers compares with a map, step by step.
func TestWatchers(t *testing.T) {
	var w watchers
	want := make(map[ID]*Follower)
	follower := &Follower{}
	id := func(n int) (id ID) {
		id[0] = byte(n) //nolint:gosec // a few
		return id
	}
	for step, n := range []int{1, 1, 1, -1, 1, 2, 1, -1, 1, 3, 2, -2, -3, -1, -1, 4, 5, -4, 5, -5} {
		if n < 0 {
			w.remove(id(-n))
			delete(want, id(-n))
		} else {
			f := follower
			if step%2 == 0 {
				f = nil
			}
			w.add(id(n), f)
			want[id(n)] = f
		}
		if got := maps.Collect(w.all()); !maps.Equal(got, want) {
			t.Errorf("step %d: %v, want %v", step, got, want)
		}
		n := 0
		for range w.all() {
			n++
		}
		if n != len(want) {
			t.Errorf("step %d: %d are given, want %d", step, n, len(want))
		}
	}
}
