package redis_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/correlator/correlatortest"
	"syncgate/correlator/redis"
	"syncgate/internal/redistest"
)

// healed is how soon after a fault has ended every parked trip has what came for it.
const healed = 3 * time.Second

// park parks a trip at c.
func park(t testing.TB, c *redis.Correlator, r correlator.Receiver) correlator.ID {
	t.Helper()
	id := c.NewID(soon())
	if err := c.Park(id, r, soon()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(id) })
	return id
}

func deliver(t testing.TB, c *redis.Correlator, id correlator.ID, body string) {
	t.Helper()
	if err := c.Deliver(t.Context(), id, correlatortest.Final(0, body)); err != nil {
		t.Fatalf("deliver: %v", err)
	}
}

// isSettled reports whether the engine need not repeat a callback: it was delivered, or its op is final already.
func isSettled(err error) bool {
	_, superseded := errors.AsType[*correlator.Superseded](err)
	return err == nil || superseded
}

// repeat delivers a callback of an op that may be final already.
func repeat(t testing.TB, c *redis.Correlator, id correlator.ID, body string) {
	t.Helper()
	if err := c.Deliver(t.Context(), id, correlatortest.Final(0, body)); !isSettled(err) {
		t.Fatalf("deliver once more: %v", err)
	}
}

// hears fails the test unless the trip hears body within the limit.
func hears(t testing.TB, trip *correlatortest.Trip, body string, within time.Duration) {
	t.Helper()
	begin := time.Now()
	cb := correlatortest.Next(t, trip.Heard, "callback")
	if string(cb.Body) != body {
		t.Errorf("heard %q, want %q", cb.Body, body)
	}
	if d := time.Since(begin); d > within {
		t.Errorf("heard after %v", d)
	} else {
		t.Logf("heard after %v", d.Round(time.Millisecond))
	}
}

func TestSubscriptionIsKilled(t *testing.T) {
	s := redistest.Start(t)
	home, other := start(t, config(s.URL())), start(t, config(s.URL()))
	for i := range 20 {
		trip := correlatortest.Always(correlator.Written)
		id := park(t, home, trip)
		if i%4 == 0 {
			s.Do("CLIENT", "KILL", "TYPE", "pubsub")
		}
		deliver(t, other, id, `"x"`)
		hears(t, trip, `"x"`, healed)
	}
	awaitReady(t, home)
}

// TestNoTripIsRefusedForASubscription: while subscriptions are killed all the time every trip is taken, and hears its callback.
func TestNoTripIsRefusedForASubscription(t *testing.T) {
	s := redistest.Start(t)
	load := traffic{home: start(t, config(s.URL())), other: start(t, config(s.URL()))}
	stop := make(chan struct{})
	load.run(t, stop)
	unready := 0
	for begin := time.Now(); time.Since(begin) < 3*time.Second; <-time.After(20 * time.Millisecond) {
		s.Do("CLIENT", "KILL", "TYPE", "pubsub")
		if load.home.Ready() != nil {
			unready++
		}
	}
	close(stop)
	load.all.Wait()
	if n := load.refused.Load(); n > 0 || unready == 0 {
		t.Errorf("%d of %d trips would have been refused; it was not ready %d times", n, load.trips.Load(), unready)
	}
	awaitReady(t, load.home)
}

// TestTripsAreRefusedWithoutRedis: after the grace, and until it is back.
func TestTripsAreRefusedWithoutRedis(t *testing.T) {
	s := redistest.Start(t)
	c := start(t, config(s.URL()))
	s.Kill()
	correlatortest.Eventually(t, "refused", func() bool { return c.Admits() != nil })
	if c.Ready() == nil {
		t.Error("ready when trips are refused")
	}
	s.Restart()
	correlatortest.Eventually(t, "taken again", func() bool { return c.Admits() == nil })
	awaitReady(t, c)
}

func TestSubscriptionIsDeaf(t *testing.T) {
	s := redistest.Start(t)
	p := newProxy(t, s)
	home, other := start(t, config(p.URL())), start(t, config(s.URL()))
	if n := p.deafen(); n != 1 {
		t.Fatalf("%d subscriptions", n)
	}
	const large = 20 << 10
	var trips []*correlatortest.Trip
	for i := range 300 {
		trip := correlatortest.Always(correlator.Written)
		trips = append(trips, trip)
		body := `"x"`
		if i%10 == 0 {
			body = string(make([]byte, large))
		}
		deliver(t, other, park(t, home, trip), body)
	}
	begin := time.Now()
	for i, trip := range trips {
		if cb := correlatortest.Next(t, trip.Heard, "callback"); i%10 == 0 != (len(cb.Body) == large) {
			t.Errorf("trip %d heard %d bytes", i, len(cb.Body))
		}
	}
	if d := time.Since(begin); d > healed {
		t.Errorf("heard after %v", d)
	}
	correlatortest.Eventually(t, "noticed", func() bool { return home.Ready() != nil })
	awaitReady(t, home)
	trip := correlatortest.Always(correlator.Written)
	deliver(t, other, park(t, home, trip), `"after"`)
	hears(t, trip, `"after"`, 500*time.Millisecond)
}

func TestRedisRestarts(t *testing.T) {
	s := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	home, other := start(t, config(s.URL())), start(t, config(s.URL()))
	trip, stored := correlatortest.Always(correlator.Written), correlatortest.Always(correlator.Written)
	id := park(t, home, trip)
	s.Do("CLIENT", "KILL", "TYPE", "pubsub") // so that it is stored and not heard
	storedID := park(t, home, stored)
	deliver(t, other, storedID, `"before"`)
	s.Kill()
	correlatortest.Eventually(t, "not ready", func() bool { return home.Ready() != nil && other.Ready() != nil })
	if err := other.Deliver(t.Context(), id, correlatortest.Final(0, `"lost"`)); !errors.Is(err, correlator.ErrUnavailable) {
		t.Fatalf("deliver without Redis: %v", err)
	}
	s.Restart()
	hears(t, stored, `"before"`, healed)
	correlatortest.Eventually(t, "delivered", func() bool {
		return isSettled(other.Deliver(t.Context(), id, correlatortest.Final(0, `"after"`)))
	})
	hears(t, trip, `"after"`, healed)
	awaitReady(t, home)
	awaitReady(t, other)
}

func TestRedisIsPaused(t *testing.T) {
	s := redistest.Start(t)
	home, other := start(t, config(s.URL())), start(t, config(s.URL()))
	trip := correlatortest.Once(correlator.Written)
	id := park(t, home, trip)
	claimed := parkClaimed(t, home, newKey(), correlatortest.Once(correlator.Held))
	waiter := attach(t, other, claimed)
	s.Pause()
	begin := time.Now()
	if err := other.Deliver(t.Context(), id, correlatortest.Final(0, `"x"`)); !errors.Is(err, correlator.ErrUnavailable) {
		t.Fatalf("deliver: %v", err)
	}
	if d := time.Since(begin); d > time.Second {
		t.Errorf("unavailable after %v, though the time-out is %v", d, redis.Default().Timeout)
	}
	correlatortest.Eventually(t, "not ready", func() bool { return home.Ready() != nil && other.Ready() != nil })
	<-time.After(time.Until(begin.Add(5 * time.Second)))
	s.Resume()
	repeat(t, other, id, `"x"`)
	hears(t, trip, `"x"`, healed)
	deliver(t, home, claimed, `"y"`)
	hears(t, waiter, `"y"`, healed)
	awaitReady(t, home)
	awaitReady(t, other)
}

func TestStartsWithRedisAway(t *testing.T) {
	s := redistest.Start(t)
	s.Kill()
	var mu sync.Mutex
	var states []bool
	c, err := redis.New(config(s.URL()), nodeKeys(t), redis.Options{Changed: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		states = append(states, err == nil)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Shutdown(context.Background()) })
	if err := c.Ready(); !errors.Is(err, correlator.ErrUnavailable) {
		t.Errorf("ready: %v", err)
	}
	trip := correlatortest.Always(correlator.Written)
	deliver(t, c, park(t, c, trip), `"here"`) // a trip of the node itself needs no Redis
	hears(t, trip, `"here"`, time.Second)
	told := func(want string) {
		t.Helper()
		correlatortest.Eventually(t, "told "+want, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return fmt.Sprint(states) == want
		})
	}
	told("[false]")
	s.Restart()
	awaitReady(t, c)
	told("[false true]")
	s.Kill()
	correlatortest.Eventually(t, "not ready", func() bool { return c.Ready() != nil })
}

// TestScriptsAreFlushed: a server that forgot the scripts gets them again.
func TestScriptsAreFlushed(t *testing.T) {
	s := redistest.Start(t)
	home, other := start(t, config(s.URL())), start(t, config(s.URL()))
	for range 3 {
		trip := correlatortest.Always(correlator.Written)
		deliver(t, other, park(t, home, trip), `1`)
		hears(t, trip, `1`, time.Second)
		s.Do("SCRIPT", "FLUSH")
	}
}

// TestHeldWhileRedisIsAway: the engine hears 503 until the callback that the trip has is stored, and the first one is what is stored.
func TestHeldWhileRedisIsAway(t *testing.T) {
	s := redistest.Start(t)
	cfg := config(s.URL())
	cfg.Timeout = 100 * time.Millisecond
	home, other := start(t, cfg), start(t, cfg)
	trip := correlatortest.Once(correlator.Held)
	id := park(t, home, trip)
	s.Kill()
	for i := range 3 {
		err := home.Deliver(t.Context(), id, correlatortest.Final(0, fmt.Sprintf("%d", i)))
		if !errors.Is(err, correlator.ErrUnavailable) {
			t.Fatalf("deliver %d without Redis: %v", i, err)
		}
	}
	s.Restart()
	correlatortest.Eventually(t, "stored", func() bool {
		return isSettled(home.Deliver(t.Context(), id, correlatortest.Final(0, "9")))
	})
	if len(trip.Heard) != 1 {
		t.Errorf("the trip heard %d callbacks", len(trip.Heard))
	}
	if err := home.Save(t.Context(), id, correlator.Record{Finals: make([]correlator.Callback, 1)}); err != nil {
		t.Fatal(err)
	}
	rec, err := other.Lookup(t.Context(), id)
	if err != nil || string(rec.Finals[0].Body) != "0" {
		t.Errorf("stored %q, %v", rec.Finals[0].Body, err)
	}
}

// TestHeldWithoutAnyoneWaiting: a callback whose deliverer gave up before the trip spoke is stored by its repeat.
func TestHeldWithoutAnyoneWaiting(t *testing.T) {
	s := redistest.Start(t)
	home := start(t, config(s.URL()))
	dones := make(chan func(correlator.Disposition), 1)
	trip := correlatortest.NewTrip(func(_ correlator.Callback, done func(correlator.Disposition)) { dones <- done })
	id := park(t, home, trip)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := home.Deliver(ctx, id, correlatortest.Final(0, `"first"`)); !errors.Is(err, correlator.ErrUnavailable) {
		t.Fatalf("deliver: %v", err)
	}
	correlatortest.Next(t, dones, "callback")(correlator.Held)
	repeat(t, home, id, `"second"`)
	if err := home.Save(t.Context(), id, correlator.Record{Finals: make([]correlator.Callback, 1)}); err != nil {
		t.Fatal(err)
	}
	if rec, err := home.Lookup(t.Context(), id); err != nil || string(rec.Finals[0].Body) != `"first"` {
		t.Errorf("stored %q, %v", rec.Finals[0].Body, err)
	}
}

// TestRepeatsWaitForTheFirst: a repeat that overtakes the first one's storing hears what the first one hears.
func TestRepeatsWaitForTheFirst(t *testing.T) {
	s := redistest.Start(t)
	cfg := config(s.URL())
	cfg.Timeout = 300 * time.Millisecond
	home := start(t, cfg)
	id := park(t, home, correlatortest.Once(correlator.Held))
	s.Pause()
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			err := home.Deliver(t.Context(), id, correlatortest.Final(0, `1`))
			if !errors.Is(err, correlator.ErrUnavailable) {
				t.Errorf("deliver: %v, though nothing is stored", err)
			}
		})
	}
	all.Wait()
	s.Resume()
	correlatortest.Eventually(t, "stored", func() bool {
		return isSettled(home.Deliver(t.Context(), id, correlatortest.Final(0, `1`)))
	})
}

func TestHomeIsGone(t *testing.T) {
	s := redistest.Start(t)
	cfg := config(s.URL())
	other := start(t, cfg)
	dead := correlator.NewNodeID() // of a node that was killed: nothing of it is left but its records
	id, recorded := correlator.NewID(dead, soon()), correlator.NewID(dead, soon())
	if err := other.Save(t.Context(), recorded, correlator.Record{Meta: []byte("m"), Finals: make([]correlator.Callback, 1)}); err != nil {
		t.Fatal(err)
	}
	deliver(t, other, id, `1`)
	deliver(t, other, recorded, `2`)
	repeat(t, other, recorded, `3`)
	if rec, err := other.Lookup(t.Context(), recorded); err != nil || string(rec.Finals[0].Body) != `2` || !rec.Complete() {
		t.Errorf("the record is %+v, %v", rec, err)
	}
}

// TestHomeHasLeft: a node that was shut down is known to be gone at once.
func TestHomeHasLeft(t *testing.T) {
	s := redistest.Start(t)
	cfg := config(s.URL())
	cfg.Retention = 0
	home, other := launch(t, cfg), start(t, cfg)
	awaitReady(t, home)
	id := home.NewID(soon())
	deliver(t, other, id, `1`) // finished, for all that other can know
	if err := home.Shutdown(t.Context()); err != nil {
		t.Fatalf("shutdown: %v", err)
	}
	if err := other.Deliver(t.Context(), home.NewID(soon()), correlatortest.Final(0, `1`)); !errors.Is(err, correlator.ErrUnavailable) {
		t.Errorf("just after the start nothing is certain: %v", err)
	}
	correlatortest.Eventually(t, "gone", func() bool {
		return errors.Is(other.Deliver(t.Context(), home.NewID(soon()), correlatortest.Final(0, `1`)), correlator.ErrGone)
	})
}

// TestRestartedRedisKnowsNobody: with retention 0, a Redis that lost everything must not make living trips gone.
func TestRestartedRedisKnowsNobody(t *testing.T) {
	s := redistest.Start(t)
	cfg := config(s.URL())
	cfg.Retention = 0
	home, other := start(t, cfg), start(t, cfg)
	trip := correlatortest.Always(correlator.Written)
	id := park(t, home, trip)
	s.Kill()
	s.Restart()
	correlatortest.Eventually(t, "delivered", func() bool {
		err := other.Deliver(t.Context(), id, correlatortest.Final(0, `1`))
		if errors.Is(err, correlator.ErrGone) {
			t.Fatalf("deliver: %v", err)
		}
		return err == nil
	})
	hears(t, trip, `1`, healed)
}

func TestSentinel(t *testing.T) {
	master := redistest.StartTCP(t)
	sentinel := redistest.StartSentinel(t, "main", master)
	cfg := config("redis://" + sentinel.Addr() + "?master_name=main")
	cfg.Mode = redis.Sentinel
	home, other := start(t, cfg), start(t, cfg)
	trip := correlatortest.Always(correlator.Written)
	deliver(t, other, park(t, home, trip), `1`)
	hears(t, trip, `1`, time.Second)
}
