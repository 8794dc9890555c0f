package redis_test

import (
	"errors"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/correlator/correlatortest"
	"syncgate/correlator/redis"
	"syncgate/internal/redistest"
)

// TestClaimIsUndoneByANodeThatEnds: a node that ends while Redis is away leaves no key bound to what never was.
func TestClaimIsUndoneByANodeThatEnds(t *testing.T) {
	s := redistest.Start(t)
	home, other := launch(t, config(s.URL())), start(t, config(s.URL()))
	awaitReady(t, home)
	claim(t, home, newKey()) // the scripts are there
	k := newKey()
	s.Pause()
	if _, err := home.Claim(t.Context(), k, [32]byte{}, home.NewID(soon()), openRecord(1)); !errors.Is(err, correlator.ErrUnavailable) {
		t.Errorf("claim: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- home.Shutdown(t.Context()) }()
	select {
	case err := <-ended:
		t.Errorf("it has not waited for Redis: %v", err)
		ended <- err
	case <-time.After(2 * redis.Default().Timeout):
	}
	s.Resume()
	if err := <-ended; err != nil {
		t.Errorf("shutdown: %v", err)
	}
	awaitReady(t, other)
	if owner, id := claim(t, other, k); owner != id {
		t.Error("the key is bound to what never was")
	}
}

// TestReleaseOfATripThatIsOver: the key is free in the end though Redis was away when it was to be.
func TestReleaseOfATripThatIsOver(t *testing.T) {
	s := redistest.Start(t)
	home := start(t, config(s.URL()))
	k := newKey()
	id, _ := claim(t, home, k)
	if err := home.Park(id, correlatortest.Once(correlator.Held), soon()); err != nil {
		t.Fatal(err)
	}
	home.Close(id)
	s.Pause()
	if err := home.Release(t.Context(), k, id); !errors.Is(err, correlator.ErrUnavailable) {
		t.Errorf("release: %v", err)
	}
	s.Resume()
	awaitReady(t, home)
	correlatortest.Eventually(t, "the key is free", func() bool {
		next, owner := claim(t, home, k)
		return next == owner
	})
}
