package main

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"syncgate/correlator/redis"
	"syncgate/dialect/waiter"
	"syncgate/internal/redistest"
)

// TestHashesAreRememberedByRedis has two nodes that reload one after the other, and one that starts later.
func TestHashesAreRememberedByRedis(t *testing.T) {
	s := redistest.Start(t)
	cfg := redis.Default()
	cfg.URL = s.URL()
	old, next, other := waiter.Digest{1}, waiter.Digest{2}, waiter.Digest{3}
	remember := func(d time.Duration, used []waiter.Digest, want ...waiter.Digest) {
		t.Helper()
		removed, err := rememberedHashes{cfg}.Remember(context.Background(), used, d)
		if err != nil {
			t.Fatal(err)
		}
		got := slices.SortedFunc(maps.Keys(removed), func(a, b waiter.Digest) int { return int(a[0]) - int(b[0]) })
		if !slices.Equal(got, want) {
			t.Errorf("%v are removed; want %v", got, want)
		}
	}
	remember(time.Hour, []waiter.Digest{old, other})
	remember(time.Hour, []waiter.Digest{next, other}, old)
	remember(time.Hour, []waiter.Digest{next, other}, old) // by the other node, and by one that starts now
	remember(time.Hour, []waiter.Digest{old, other}, next) // it is back
	remember(time.Hour, []waiter.Digest{old, other, next})
	remember(-time.Second, []waiter.Digest{old, other}) // its time has passed
	remember(time.Hour, []waiter.Digest{old}, other)
	if fields := s.Do("HLEN", cfg.Prefix+":waiters:hashes"); fields != ":2" {
		t.Errorf("%s hashes are kept", fields)
	}
	s.Kill()
	if _, err := (rememberedHashes{cfg}).Remember(context.Background(), []waiter.Digest{old}, time.Hour); err == nil {
		t.Error("no error without Redis")
	}
}
