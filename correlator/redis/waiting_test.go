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

// deployments are those that a node can be told of.
func deployments(t *testing.T) map[string]redis.Config {
	standalone, cluster := config(redistest.Start(t).URL()), config(redistest.StartCluster(t).URL())
	cluster.Mode = redis.Cluster
	return map[string]redis.Config{"standalone": standalone, "cluster": cluster}
}

// TestHints: who waits does not have to look: callbacks that come anywhere, what is saved, and releases are announced.
func TestHints(t *testing.T) {
	for name, cfg := range deployments(t) {
		t.Run(name, func(t *testing.T) {
			home, other := start(t, cfg), start(t, cfg)
			begin := time.Now()
			for _, final := range []func(k correlator.Key, id correlator.ID) error{
				func(_ correlator.Key, id correlator.ID) error {
					return home.Deliver(t.Context(), id, correlatortest.Final(0, `1`))
				},
				func(_ correlator.Key, id correlator.ID) error {
					return other.Deliver(t.Context(), id, correlatortest.Final(0, `1`))
				},
				func(_ correlator.Key, id correlator.ID) error { return home.Save(t.Context(), id, completeRecord()) },
				func(k correlator.Key, id correlator.ID) error { return home.Release(t.Context(), k, id) },
			} {
				isTold(t, home, other, final)
			}
			if d := time.Since(begin); d > 800*time.Millisecond { // looking takes half a second for each
				t.Errorf("four of them came after %v", d)
			}
		})
	}
}

func completeRecord() correlator.Record {
	rec := openRecord(1)
	rec.Finals[0] = correlatortest.Final(0, `1`)
	return rec
}

// isTold has somebody wait at other for a trip of home's until that is final.
func isTold(t *testing.T, home, other *redis.Correlator, final func(correlator.Key, correlator.ID) error) {
	t.Helper()
	k := newKey()
	id := parkClaimed(t, home, k, correlatortest.Once(correlator.Held))
	waiter := attach(t, other, id)
	if err := final(k, id); err != nil {
		t.Fatal(err)
	}
	select {
	case <-waiter.Heard:
	case err := <-waiter.Expired:
		if !errors.Is(err, correlator.ErrReleased) {
			t.Errorf("expired with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
	}
}

// TestHomeDiesWhileOthersWait: a callback that comes after the end of its home, to a third node, reaches whoever waits on a
// second one, whether they came before or after.
func TestHomeDiesWhileOthersWait(t *testing.T) {
	for name, cfg := range deployments(t) {
		t.Run(name, func(t *testing.T) {
			home, second, third := start(t, cfg), start(t, cfg), start(t, cfg)
			k := newKey()
			id := parkClaimed(t, home, k, correlatortest.Once(correlator.Held))
			before := attach(t, second, id)
			home.Die()
			if _, owner := claim(t, second, k); owner != id {
				t.Error("the key is free though its task is there")
			}
			after := attach(t, second, id)
			deliver(t, third, id, `"x"`)
			hears(t, before, `"x"`, healed)
			hears(t, after, `"x"`, healed)
			hears(t, attach(t, third, id), `"x"`, healed)
		})
	}
}

// TestHomeDiesWithoutRetention: even then a callback is kept for whoever waits.
func TestHomeDiesWithoutRetention(t *testing.T) {
	s := redistest.Start(t)
	cfg := config(s.URL())
	cfg.Retention = 0
	home, other := start(t, cfg), start(t, cfg)
	id := parkClaimed(t, home, newKey(), correlatortest.Once(correlator.Held))
	waiter := attach(t, other, id)
	home.Die()
	s.Do("DEL", "syncgate:2:{"+home.Node().String()+"}:alive") // as it will be in a while
	deliver(t, other, id, `"x"`)
	hears(t, waiter, `"x"`, healed)
}

// TestWaitingThroughRestarts: what becomes final while Redis is away, or just after it has lost everything, is heard by
// whoever waits, and the key stays bound.
func TestWaitingThroughRestarts(t *testing.T) {
	for _, persistent := range []string{"yes", "no"} {
		t.Run("persistent "+persistent, func(t *testing.T) {
			waitThroughRestart(t, redistest.Start(t, "--appendonly", persistent, "--appendfsync", "always"))
		})
	}
}

func waitThroughRestart(t *testing.T, s *redistest.Server) {
	t.Helper()
	home, other := start(t, config(s.URL())), start(t, config(s.URL()))
	k := newKey()
	id := home.NewID(soon())
	if _, err := home.Claim(t.Context(), k, [32]byte{}, id, openRecord(2)); err != nil {
		t.Fatal(err)
	}
	if err := home.Park(id, correlatortest.Once(correlator.Held), soon()); err != nil {
		t.Fatal(err)
	}
	defer home.Close(id)
	waiter := attach(t, other, id)
	deliver(t, home, id, `"before"`)
	hears(t, waiter, `"before"`, time.Second)
	s.Kill()
	s.Restart()
	correlatortest.Eventually(t, "there again", func() bool {
		rec, err := other.Lookup(t.Context(), id)
		return err == nil && string(rec.Finals[0].Body) == `"before"`
	})
	awaitReady(t, home)
	awaitReady(t, other)
	begin := time.Now()
	if err := home.Deliver(t.Context(), id, correlatortest.Final(1, `"after"`)); err != nil {
		t.Fatal(err)
	}
	for correlatortest.Next(t, waiter.Heard, "final").Op != 1 {
		continue // the first one may come more than once
	}
	if d := time.Since(begin); d > healed {
		t.Errorf("heard after %v", d)
	}
	correlatortest.Eventually(t, "bound", func() bool {
		_, owner := claim(t, other, k)
		return owner == id
	})
}

// TestWaitingWhenDeaf: a node that hears no hints looks for itself.
func TestWaitingWhenDeaf(t *testing.T) {
	s := redistest.Start(t)
	p := newProxy(t, s)
	home, other := start(t, config(s.URL())), start(t, config(p.URL()))
	released, k := correlatortest.Always(correlator.Held), newKey()
	first := parkClaimed(t, home, newKey(), correlatortest.Once(correlator.Held))
	second := parkClaimed(t, home, k, correlatortest.Once(correlator.Held))
	waiter := attach(t, other, first)
	detach, err := other.Attach(t.Context(), second, released, soon())
	if err != nil {
		t.Fatal(err)
	}
	defer detach()
	if n := p.deafen(); n != 1 {
		t.Fatalf("%d subscriptions", n)
	}
	begin := time.Now()
	deliver(t, home, first, `"x"`)
	if err := home.Release(t.Context(), k, second); err != nil {
		t.Fatal(err)
	}
	hears(t, waiter, `"x"`, healed)
	if err := correlatortest.Next(t, released.Expired, "release"); !errors.Is(err, correlator.ErrReleased) {
		t.Errorf("expired with %v", err)
	}
	if d := time.Since(begin); d > healed {
		t.Errorf("released after %v", d)
	}
}

// TestWaitingIsCheap: who waits for what does not come costs one script a second, which reads no results; and when nobody
// waits any more nothing is left.
func TestWaitingIsCheap(t *testing.T) {
	s := redistest.Start(t)
	home, other := start(t, config(s.URL())), start(t, config(s.URL()))
	id := home.NewID(soon())
	if _, err := home.Claim(t.Context(), newKey(), [32]byte{}, id, openRecord(2)); err != nil {
		t.Fatal(err)
	}
	if err := home.Park(id, correlatortest.Once(correlator.Held), soon()); err != nil {
		t.Fatal(err)
	}
	deliver(t, home, id, `"x"`)
	var detaches []func()
	for range 100 {
		detach, err := other.Attach(t.Context(), id, correlatortest.Always(correlator.Held), soon())
		if err != nil {
			t.Fatal(err)
		}
		detaches = append(detaches, detach)
	}
	s.Do("CONFIG", "RESETSTAT")
	<-time.After(2500 * time.Millisecond)
	all := statistics(t, s)
	if all["evalsha"] > 6 || all["hgetall"] > 0 || all["pexpire"] > 0 {
		t.Errorf("waiting for 2.5s: %v", all)
	}
	for _, detach := range detaches {
		detach()
	}
	home.Close(id)
	if other.Len() != 0 || other.Watched() != 0 {
		t.Errorf("%d parked, %d watched", other.Len(), other.Watched())
	}
	if n := home.Accounts(); n != 0 {
		t.Errorf("of %d trips something is known", n)
	}
}
