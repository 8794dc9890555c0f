package main

import (
	"maps"
	"slices"
	"time"

	"syncgate/correlator"
)

// callbackKeys are the keys of callback tokens as they are replaced. One that is removed verifies on for as long as a client may
// be waiting whose engine has a token of it: a reload drops nobody. It is owned by one goroutine; Keys may be used by all.
type callbackKeys struct {
	*correlator.Keys
	retiring
}

// newCallbackKeys makes a random key where there is none.
func newCallbackKeys(keys []string) (*callbackKeys, error) {
	if len(keys) == 0 {
		keys = []string{correlator.RandomKey()}
	}
	k, err := correlator.NewKeys(keys)
	return &callbackKeys{k, newRetiring(keys, k.Set)}, err
}

// retiring are live keys, and those that were removed and are still of use for a while. It is owned by one goroutine.
type retiring struct {
	use     func(keys []string) error // is called with the live keys, and the removed ones behind them
	live    []string
	removed map[string]time.Time // when the time of each is over
}

func newRetiring(live []string, use func([]string) error) retiring {
	return retiring{use: use, live: live, removed: make(map[string]time.Time)}
}

// replace makes keys the live ones; those that they replace are of use for a while. No keys change nothing.
func (k *retiring) replace(keys []string, now time.Time, stay time.Duration) error {
	if len(keys) == 0 {
		return nil
	}
	for _, old := range k.live {
		k.removed[old] = now.Add(stay)
	}
	for _, key := range keys {
		delete(k.removed, key)
	}
	k.live = keys
	return k.set()
}

// expire takes out the keys whose time is over.
func (k *retiring) expire(now time.Time) {
	maps.DeleteFunc(k.removed, func(_ string, until time.Time) bool { return !now.Before(until) })
	_ = k.set() // the live ones have been set before
}

func (k *retiring) set() error {
	return k.use(slices.Concat(k.live, slices.Sorted(maps.Keys(k.removed))))
}
