package enginesim

import (
	"testing"
	"testing/synctest"
	"time"
)

// What is due comes in the order of its time, not before it, and what is due earlier is not held up by what was there.
func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := schedule{earlier: make(chan struct{}, 1)}
		queue, done := make(chan call, 10), make(chan struct{})
		began := time.Now()
		go s.run(queue, done)
		for _, n := range []int{50, 20, 3 * 3600, 40, 20, 1} {
			s.add(began.Add(time.Duration(n)*time.Second), call{n: n})
		}
		for _, want := range []int{1, 20, 20, 40, 50, 3 * 3600} {
			c := <-queue
			if at := time.Since(began); c.n != want || at != time.Duration(want)*time.Second {
				t.Errorf("call %d after %s, want call %d", c.n, at, want)
			}
		}
		s.add(time.Now().Add(-time.Second), call{n: 7})
		if c := <-queue; c.n != 7 {
			t.Errorf("call %d, want the one that was due already", c.n)
		}
		close(done)
	})
}

func TestRangePick(t *testing.T) {
	if d := (Range{5, 5}).pick(); d != 5 {
		t.Errorf("fixed: %d", d)
	}
	seen := make(map[time.Duration]bool)
	for range 1000 {
		seen[Range{5, 7}.pick()] = true
	}
	if len(seen) != 3 || !seen[5] || !seen[6] || !seen[7] {
		t.Errorf("picked %v", seen)
	}
}

func TestAppendLastIsBounded(t *testing.T) {
	var list []int
	for i := range 1000 {
		list = appendLast(list, 3, i)
		if got := last(list, 3); len(list) > 6 || got[len(got)-1] != i || got[0] != max(0, i-2) {
			t.Fatalf("after %d: %v", i, list)
		}
	}
}
