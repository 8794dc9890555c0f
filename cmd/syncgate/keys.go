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
	live    []string
	removed map[string]time.Time // until when each verifies
}

// newCallbackKeys makes a random key where there is none.
func newCallbackKeys(keys []string) (*callbackKeys, error) {
	if len(keys) == 0 {
		keys = []string{correlator.RandomKey()}
	}
	k, err := correlator.NewKeys(keys)
	return &callbackKeys{Keys: k, live: keys, removed: make(map[string]time.Time)}, err
}

// replace lets the keys sign and verify, and those that they replace verify for the longest wait. No keys change nothing.
func (k *callbackKeys) replace(keys []string, now time.Time, wait time.Duration) error {
	if len(keys) == 0 {
		return nil
	}
	for _, old := range k.live {
		k.removed[old] = now.Add(wait)
	}
	for _, key := range keys {
		delete(k.removed, key)
	}
	k.live = keys
	return k.set()
}

// expire takes out the keys whose time is over.
func (k *callbackKeys) expire(now time.Time) {
	maps.DeleteFunc(k.removed, func(_ string, until time.Time) bool { return !now.Before(until) })
	_ = k.set() // the live ones have been set before
}

func (k *callbackKeys) set() error {
	return k.Set(slices.Concat(k.live, slices.Sorted(maps.Keys(k.removed))))
}
