package correlatortest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/correlator"
)

func claimRace(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	for range 50 {
		ids, owners := claimAtOnce(t, n, newKey(), 16)
		winners := 0
		for i := range ids {
			if owners[i] == ids[i] {
				winners++
			}
			if owners[i] != owners[0] {
				t.Fatal("the key has two owners")
			}
		}
		if winners != 1 {
			t.Fatalf("%d own the key", winners)
		}
		if got := look(t, n.Other, owners[0]); got != "meta 0:" {
			t.Fatalf("the owner's record: %s", got)
		}
	}
}

// claimAtOnce has many trips of both nodes claim k at once, and gives the owner that each of them got.
func claimAtOnce(t *testing.T, n Nodes, k correlator.Key, many int) (ids, owners []correlator.ID) {
	t.Helper()
	ids, owners = make([]correlator.ID, many), make([]correlator.ID, many)
	var all sync.WaitGroup
	for i := range ids {
		c := []correlator.Correlator{n.Home, n.Other}[i%2]
		ids[i] = c.NewID(soon())
		all.Go(func() {
			var err error
			owners[i], err = keeper(t, c).Claim(t.Context(), k, fingerprint("body"), ids[i], open(1, "meta"))
			if err != nil {
				t.Errorf("claim: %v", err)
			}
		})
	}
	all.Wait()
	return ids, owners
}

// claimReleaseRace has some claim a key and give it back again and again: no two have it at the same time.
func claimReleaseRace(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	k := newKey()
	var holders, turns atomic.Int64
	turn := func(c correlator.Correlator) {
		id := c.NewID(soon())
		owner, err := keeper(t, c).Claim(t.Context(), k, fingerprint("body"), id, open(1, "meta"))
		if err != nil {
			t.Errorf("claim: %v", err)
		}
		if owner != id {
			return
		}
		if now := holders.Add(1); now != 1 {
			t.Errorf("%d own the key", now)
		}
		turns.Add(1)
		holders.Add(-1)
		if err := keeper(t, c).Release(t.Context(), k, id); err != nil {
			t.Errorf("release: %v", err)
		}
	}
	var all sync.WaitGroup
	for _, c := range []correlator.Correlator{n.Home, n.Other, n.Home, n.Other} {
		all.Go(func() {
			for ctx.Err() == nil {
				turn(c)
			}
		})
	}
	all.Wait()
	if turns.Load() < 10 {
		t.Errorf("the key changed hands %d times", turns.Load())
	}
	own(t, n.Home, k)
}
