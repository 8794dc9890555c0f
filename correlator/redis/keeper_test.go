package redis_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/correlator/correlatortest"
	"syncgate/correlator/redis"
	"syncgate/internal/redistest"
)

func newKey() correlator.Key { return correlator.Key{Login: "12345", Name: rand.Text()} }

func openRecord(ops int) correlator.Record {
	return correlator.Record{Meta: []byte("meta"), Finals: make([]correlator.Callback, ops)}
}

// claim claims k for a new trip of c's with one op, and gives it and who owns k.
func claim(t testing.TB, c *redis.Correlator, k correlator.Key) (id, owner correlator.ID) {
	t.Helper()
	id = c.NewID(soon())
	owner, err := c.Claim(context.Background(), k, [32]byte{}, id, openRecord(1))
	if err != nil {
		t.Fatalf("claim: %v", err)
	}
	return id, owner
}

// parkClaimed has a new trip of c's claim k and parks it.
func parkClaimed(t testing.TB, c *redis.Correlator, k correlator.Key, r correlator.Receiver) correlator.ID {
	t.Helper()
	id, owner := claim(t, c, k)
	if owner != id {
		t.Fatal("the key is another's")
	}
	if err := c.Park(id, r, soon()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(id) })
	return id
}

// attach has a new trip wait for id at c.
func attach(t testing.TB, c *redis.Correlator, id correlator.ID) *correlatortest.Trip {
	t.Helper()
	trip := correlatortest.Always(correlator.Held)
	detach, err := c.Attach(context.Background(), id, trip, soon())
	if err != nil {
		t.Fatalf("attach: %v", err)
	}
	t.Cleanup(detach)
	return trip
}

// TestClaimOfUnknownFateIsUndone: whoever was told that Redis is away has bound nothing, though Redis reads the claim when
// it goes on.
func TestClaimOfUnknownFateIsUndone(t *testing.T) {
	s := redistest.Start(t)
	home, other := start(t, config(s.URL())), start(t, config(s.URL()))
	claim(t, home, newKey()) // the scripts are there
	keys := make([]correlator.Key, 20)
	ids := make([]correlator.ID, len(keys))
	s.Pause()
	begin := time.Now()
	var all sync.WaitGroup
	for i := range keys {
		keys[i], ids[i] = newKey(), home.NewID(soon())
		all.Go(func() {
			_, err := home.Claim(t.Context(), keys[i], [32]byte{}, ids[i], openRecord(1))
			if !errors.Is(err, correlator.ErrUnavailable) {
				t.Errorf("claim while Redis is paused: %v", err)
			}
		})
	}
	all.Wait()
	if d := time.Since(begin); d > 2*redis.Default().Timeout {
		t.Errorf("unavailable after %v", d)
	}
	s.Resume()
	awaitReady(t, home)
	correlatortest.Eventually(t, "undone", func() bool { return home.Undoing() == 0 })
	for i, k := range keys {
		if _, err := other.Lookup(t.Context(), ids[i]); !errors.Is(err, correlator.ErrGone) {
			t.Errorf("a record of what never was: %v", err)
		}
		if id, owner := claim(t, other, k); owner != id {
			t.Error("a key is bound to what never was")
		}
	}
}

// TestClaimComesAfterItsUndoing: a claim whose node has given up waiting, has undone it and has ended, is held up by the network all this time. When
// it reaches Redis at last it binds nothing: nobody would ever make its task.
func TestClaimComesAfterItsUndoing(t *testing.T) {
	t.Run("the node ends", func(t *testing.T) {
		claimComesLate(t, func(home *redis.Correlator) {
			if err := home.Shutdown(t.Context()); err != nil {
				t.Errorf("shutdown: %v", err)
			}
		})
	})
	t.Run("the node goes on", func(t *testing.T) { claimComesLate(t, func(*redis.Correlator) {}) })
}

func claimComesLate(t *testing.T, meanwhile func(home *redis.Correlator)) {
	t.Helper()
	s := redistest.Start(t)
	p := newProxy(t, s)
	home, other := launch(t, config(p.URL())), start(t, config(s.URL()))
	awaitReady(t, home)
	claim(t, home, newKey()) // the scripts are there
	k, late := newKey(), home.NewID(soon())
	held := p.hold(home.Names(late, k).Key)
	_, err := home.Claim(t.Context(), k, [32]byte{}, late, openRecord(1))
	if !errors.Is(err, correlator.ErrUnavailable) {
		t.Fatalf("claim: %v", err)
	}
	<-held.begun
	meanwhile(home)
	correlatortest.Eventually(t, "undone", func() bool { return home.Undoing() == 0 })
	close(held.release)
	correlatortest.Eventually(t, "it has come", func() bool { return s.Do("EXISTS", home.Names(late, k).Trip) == ":1" })
	id, owner := claim(t, other, k)
	if owner != id {
		t.Errorf("the key is bound to what nobody makes: %v", owner)
	}
	if again, owner := claim(t, other, k); owner != id || again == id {
		t.Errorf("the key is bound to %v, want %v", owner, id)
	}
}

// TestUndoneClaimCountsForNothing: the node that will undo a claim does not wait for it.
func TestUndoneClaimCountsForNothing(t *testing.T) {
	s := redistest.Start(t)
	home := start(t, config(s.URL()))
	k := newKey()
	id, _ := claim(t, home, k)
	s.Pause()
	if err := home.Release(t.Context(), k, id); !errors.Is(err, correlator.ErrUnavailable) {
		t.Fatalf("release while Redis is paused: %v", err)
	}
	s.Resume()
	next, owner := claim(t, home, k)
	if owner != next {
		t.Error("the key is bound to what is being released")
	}
	correlatortest.Eventually(t, "undone", func() bool { return home.Undoing() == 0 })
	if _, owner := claim(t, home, k); owner != next {
		t.Error("the next owner has lost the key to what was undone")
	}
}

// TestReleaseWhileRedisIsAway: it is done when Redis is there again, and whoever waits is told.
func TestReleaseWhileRedisIsAway(t *testing.T) {
	s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	home, other := start(t, config(s.URL())), start(t, config(s.URL()))
	k := newKey()
	id := parkClaimed(t, home, k, correlatortest.Once(correlator.Held))
	waiter := attach(t, other, id)
	s.Kill()
	if err := home.Release(t.Context(), k, id); !errors.Is(err, correlator.ErrUnavailable) {
		t.Fatalf("release without Redis: %v", err)
	}
	s.Restart()
	if err := correlatortest.Next(t, waiter.Expired, "release"); !errors.Is(err, correlator.ErrReleased) {
		t.Errorf("expired with %v", err)
	}
	correlatortest.Eventually(t, "undone", func() bool { return home.Undoing() == 0 })
	if next, owner := claim(t, other, k); owner != next {
		t.Error("the key is still bound")
	}
}

// TestReleasedIsNotRestored: a claim that is released while its node makes its claims again does not come back.
func TestReleasedIsNotRestored(t *testing.T) {
	s := redistest.Start(t)
	home, other := start(t, config(s.URL())), start(t, config(s.URL()))
	stop := make(chan struct{})
	var faults sync.WaitGroup
	faults.Go(func() { breakConnections(s, stop) })
	var keys []correlator.Key
	for begin := time.Now(); time.Since(begin) < time.Second; {
		k := newKey()
		id := home.NewID(soon())
		if _, err := home.Claim(t.Context(), k, [32]byte{}, id, openRecord(1)); err == nil {
			_ = home.Release(t.Context(), k, id) // if not now, then later
		}
		keys = append(keys, k)
	}
	close(stop)
	faults.Wait()
	awaitReady(t, other)
	correlatortest.Eventually(t, "undone", func() bool { return home.Undoing() == 0 })
	for _, k := range keys {
		if id, owner := claim(t, other, k); owner != id {
			t.Fatal("a released key is bound")
		}
	}
	if n := home.Accounts(); n != 0 {
		t.Errorf("of %d trips something is known", n)
	}
}

// TestRedisIsAwayForKeepers: everything that needs Redis says so within the time-out, however many ask, and leaves no
// goroutine behind.
func TestRedisIsAwayForKeepers(t *testing.T) {
	s := redistest.Start(t)
	home, other := start(t, config(s.URL())), start(t, config(s.URL()))
	k := newKey()
	id := parkClaimed(t, home, k, correlatortest.Once(correlator.Held))
	asks := map[string]func() error{
		"claim": func() error {
			return second(other.Claim(t.Context(), newKey(), [32]byte{}, other.NewID(soon()), openRecord(1)))
		},
		"join": func() error {
			return second(other.Claim(t.Context(), k, [32]byte{}, other.NewID(soon()), openRecord(1)))
		},
		"attach":  func() error { return second(other.Attach(t.Context(), id, silent{}, soon())) },
		"lookup":  func() error { return second(other.Lookup(t.Context(), id)) },
		"save":    func() error { return other.Save(t.Context(), other.NewID(soon()), openRecord(1)) },
		"release": func() error { return other.Release(t.Context(), k, id) },
		"deliver": func() error { return other.Deliver(t.Context(), home.NewID(soon()), correlatortest.Final(0, `1`)) },
	}
	for _, fault := range []struct {
		name       string
		begin, end func()
	}{{"paused", s.Pause, s.Resume}, {"gone", s.Kill, s.Restart}} {
		before := runtime.NumGoroutine()
		fault.begin()
		unavailableAtOnce(t, fault.name, asks)
		correlatortest.Eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= before+5 })
		if other.Len() != 0 || other.Watched() != 0 {
			t.Errorf("%d parked, %d watched", other.Len(), other.Watched())
		}
		fault.end()
		awaitReady(t, home)
		awaitReady(t, other)
	}
}

func second[T any](_ T, err error) error { return err }

// unavailableAtOnce asks for everything many times at once, and wants to hear soon that Redis is away.
func unavailableAtOnce(t *testing.T, fault string, asks map[string]func() error) {
	t.Helper()
	var all sync.WaitGroup
	for range 50 {
		for what, ask := range asks {
			all.Go(func() {
				begin := time.Now()
				if err := ask(); !errors.Is(err, correlator.ErrUnavailable) {
					t.Errorf("%s, Redis %s: %v", what, fault, err)
				}
				if d := time.Since(begin); d > 2*redis.Default().Timeout {
					t.Errorf("%s, Redis %s: after %v", what, fault, d)
				}
			})
		}
	}
	all.Wait()
}

// TestClaimedIsAnsweredWithRedisAway: the client gets its answer, and the engine hears of success only when the record has it.
func TestClaimedIsAnsweredWithRedisAway(t *testing.T) {
	s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	home, other := start(t, config(s.URL())), start(t, config(s.URL()))
	for _, d := range []correlator.Disposition{correlator.Held, correlator.Written, correlator.Gone} {
		id := home.NewID(soon())
		if _, err := home.Claim(t.Context(), newKey(), [32]byte{}, id, openRecord(1)); err != nil {
			t.Fatal(err)
		}
		trip := correlatortest.NewTrip(func(_ correlator.Callback, done func(correlator.Disposition)) {
			home.Close(id)
			done(d)
		})
		if err := home.Park(id, trip, soon()); err != nil {
			t.Fatal(err)
		}
		s.Kill()
		for range 2 {
			if err := home.Deliver(t.Context(), id, correlatortest.Final(0, `"x"`)); !errors.Is(err, correlator.ErrUnavailable) {
				t.Errorf("disposition %d, deliver without Redis: %v", d, err)
			}
		}
		hears(t, trip, `"x"`, time.Second)
		s.Restart()
		correlatortest.Eventually(t, "kept", func() bool {
			return isSettled(home.Deliver(t.Context(), id, correlatortest.Final(0, `"x"`)))
		})
		if rec, err := other.Lookup(t.Context(), id); err != nil || string(rec.Finals[0].Body) != `"x"` {
			t.Errorf("disposition %d, the record: %+v, %v", d, rec, err)
		}
	}
}

// owners are those who were told that a key is theirs, by its name.
type owners struct {
	mu sync.Mutex
	of map[string]correlator.ID
}

// claim has a new trip of c's claim a key, and fails the test when another one has it already. Without Redis it has not
// claimed, and the key is free.
func (o *owners) claim(t *testing.T, c *redis.Correlator, k correlator.Key) {
	id := c.NewID(soon())
	owner, err := c.Claim(t.Context(), k, [32]byte{}, id, openRecord(1))
	if err != nil || owner != id {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if was, taken := o.of[k.Name]; taken {
		t.Errorf("key %s has two owners: %v and %v", k.Name, was, id)
	}
	o.of[k.Name] = id
}

func (o *owners) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.of)
}

// TestKeysRace has two nodes claim keys, each of them many times, with connections that break: no key has two owners.
func TestKeysRace(t *testing.T) {
	s := redistest.Start(t)
	nodes := []*redis.Correlator{start(t, config(s.URL())), start(t, config(s.URL()))}
	stop := make(chan struct{})
	var faults, all sync.WaitGroup
	faults.Go(func() { breakConnections(s, stop) })
	o := owners{of: make(map[string]correlator.ID)}
	begin := time.Now()
	for i := 0; time.Since(begin) < time.Second || o.count() < 100 && time.Since(begin) < 30*time.Second; i++ { // a busy machine needs longer
		for j := range 16 {
			k := correlator.Key{Login: "l", Name: fmt.Sprint(i, j/8)}
			all.Go(func() { o.claim(t, nodes[j%2], k) })
		}
		all.Wait()
	}
	close(stop)
	faults.Wait()
	if len(o.of) < 100 {
		t.Errorf("%d keys have an owner", len(o.of))
	}
	awaitReady(t, nodes[0])
	correlatortest.Eventually(t, "undone", func() bool { return nodes[0].Undoing()+nodes[1].Undoing() == 0 })
	for name, id := range o.of {
		if _, owner := claim(t, nodes[0], correlator.Key{Login: "l", Name: name}); owner != id {
			t.Fatal("an owner has lost its key")
		}
	}
}

// TestLostRecordTakesTheCallback: a callback that comes while the record of a trip with a key is lost is in the record that is
// stored next, though the trip has heard it long before; then nothing more of it waits.
func TestLostRecordTakesTheCallback(t *testing.T) {
	s := redistest.Start(t)
	home, other := start(t, config(s.URL())), start(t, config(s.URL()))
	trip := correlatortest.Once(correlator.Held)
	id := parkClaimed(t, home, newKey(), trip)
	s.Do("FLUSHALL")
	deliver(t, other, id, `"while it was lost"`)
	correlatortest.Next(t, trip.Heard, "callback")
	<-time.After(100 * time.Millisecond) // in which what is settled is removed
	rec := openRecord(1)
	rec.Meta = []byte(`"newer"`)
	if err := home.Save(t.Context(), id, rec); err != nil {
		t.Fatal(err)
	}
	rec, err := other.Lookup(t.Context(), id)
	if err != nil || string(rec.Finals[0].Body) != `"while it was lost"` {
		t.Errorf("the record is %v, %v", rec, err)
	}
	home.Close(id)
	awaitKeysOfInbox(t, s)
}
