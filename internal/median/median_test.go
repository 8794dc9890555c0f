package median_test

import (
	"testing"
	"time"

	"syncgate/internal/median"
)

func TestDurations(t *testing.T) {
	var d median.Durations
	f := func(route string, want time.Duration) {
		t.Helper()
		if got := d.Of(route); got != want {
			t.Errorf("%s: %v, want %v", route, got, want)
		}
	}
	f("a", time.Second)
	d.Add("a", time.Millisecond)
	f("a", time.Second)
	for i := range 32 { // the first is forgotten
		d.Add("a", time.Duration(i)*time.Second)
	}
	f("a", 16*time.Second)
	for range 16 { // in the place of 0 s to 15 s
		d.Add("a", 1600*time.Millisecond)
	}
	f("a", 16*time.Second)
	d.Add("a", 1600*time.Millisecond)
	f("a", 2*time.Second)
	f("b", time.Second)
}
