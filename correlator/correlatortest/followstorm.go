package correlatortest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"syncgate/correlator"
)

// followStorm has many follow few trips, at different times, from different events, and some leave early.
func followStorm(t *testing.T, start Start) {
	const trips, events, followers = 8, 40, 20
	n := start(t, Options{Retention: time.Hour})
	var all sync.WaitGroup
	for i := range trips {
		id := claimed(t, n, 1)
		body := fmt.Sprintf(`{"trip":%d}`, i)
		for f := range followers {
			c := []correlator.Correlator{n.Home, n.Other}[f%2]
			all.Go(func() { followToTheEnd(t, c, id, uint32(f%7), events, body, f%5 == 0) }) //nolint:gosec // small
		}
		all.Go(func() {
			for j := range events {
				deliver(t, []correlator.Correlator{n.Home, n.Other}[j%2], id, event(0, body), nil)
			}
			deliver(t, n.Other, id, Final(0, body), nil)
		})
	}
	all.Wait()
}

func followToTheEnd(t *testing.T, c correlator.Correlator, id correlator.ID, after, last uint32, body string, brief bool) {
	trip := Always(correlator.Written)
	detach, err := keeper(t, c).Follow(t.Context(), id, trip, after, soon())
	if err != nil {
		t.Errorf("follow: %v", err)
		return
	}
	defer detach()
	end := time.After(20 * time.Second)
	for seq := after + 1; ; seq++ {
		select {
		case cb := <-trip.Heard:
			if string(cb.Body) != body || cb.Status.Running() && cb.Seq != seq || cb.Status.Final() && seq != last+1 {
				t.Errorf("heard event %d, want %d: %v %s", cb.Seq, seq, cb.Status, cb.Body)
				return
			}
			if brief || cb.Status.Final() {
				return
			}
		case <-end:
			t.Errorf("event %d did not come", seq)
			return
		}
	}
}
