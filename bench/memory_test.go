package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Memory is read when it has been the same for a while, and not later than patience allows.
func TestRests(t *testing.T) {
	const calm, patience = 2 * time.Second, 14 * time.Second
	f := func(name string, size func(since time.Duration) int64, least, most time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			err := rests(t.Context(), func() (int64, error) { return size(time.Since(began)), nil }, calm, patience)
			if took := time.Since(began); err != nil || took < least || took > most {
				t.Errorf("%s: %v after %s", name, err, took)
			}
		})
	}
	f("the same", func(time.Duration) int64 { return 1000 }, calm, calm)
	f("about the same", func(d time.Duration) int64 { return 1000 + int64(d/time.Millisecond)%20 }, calm, calm)
	f("given back after a second", func(d time.Duration) int64 {
		if d < time.Second {
			return 1000
		}
		return 500
	}, time.Second+calm, time.Second+calm+calm/10)
	f("less and less for five seconds", func(d time.Duration) int64 {
		return 10_000 - int64(min(d, 5*time.Second)/time.Millisecond)
	}, 5*time.Second+calm/2, 5*time.Second+calm)
	f("never at rest", func(d time.Duration) int64 { return 1000 + int64(d/time.Millisecond) }, patience, patience+calm/10)
}

func TestRestsNot(t *testing.T) {
	gone := errors.New("gone")
	if err := rests(t.Context(), func() (int64, error) { return 0, gone }, time.Minute, time.Hour); !errors.Is(err, gone) {
		t.Errorf("a process that is gone: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := rests(ctx, func() (int64, error) { return 1, nil }, time.Minute, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("no time left: %v", err)
	}
}
