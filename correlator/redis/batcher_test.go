package redis_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/correlator/correlatortest"
	"syncgate/correlator/redis"
	"syncgate/internal/faultproxy"
	"syncgate/internal/redistest"
)

// outcome is what one of many concurrent callers heard.
type outcome struct {
	err  error
	took time.Duration
}

// deliverAll delivers one callback to each trip, all at once, and gives what each caller heard.
func deliverAll(c *redis.Correlator, ids []correlator.ID) <-chan outcome {
	outcomes := make(chan outcome, len(ids))
	for _, id := range ids {
		go func() {
			begin := time.Now()
			err := c.Deliver(context.Background(), id, correlatortest.Final(0, `{"result":1}`))
			outcomes <- outcome{err, time.Since(begin)}
		}()
	}
	return outcomes
}

// parkMany parks trips that are closed by their first callback.
func parkMany(t *testing.T, home *redis.Correlator, n int) (ids []correlator.ID, all []*correlatortest.Trip) {
	t.Helper()
	for range n {
		id := home.NewID(soon())
		trip := closing(home, id)
		if err := home.Park(id, trip, soon()); err != nil {
			t.Fatal(err)
		}
		ids, all = append(ids, id), append(all, trip)
	}
	return ids, all
}

// TestConcurrentCallbacksShareRoundTrips: a thousand callbacks that come at once cost some tens of commands, and one that
// comes alone one.
func TestConcurrentCallbacksShareRoundTrips(t *testing.T) {
	const n = 1000
	s := redistest.Start(t)
	cfg := config(s.URL())
	cfg.Timeout = 10 * time.Second
	home, other := start(t, cfg), start(t, cfg)
	trips(t, home, other, 1) // the scripts are there from now on
	awaitKeys(t, s, 0)
	ids, all := parkMany(t, home, n)

	s.Do("CONFIG", "RESETSTAT")
	s.Pause() // so that none is done before all have come
	outcomes := deliverAll(other, ids)
	correlatortest.Eventually(t, "all have come", func() bool { return other.Waiting() >= n-4*64 })
	<-time.After(50 * time.Millisecond)
	s.Resume()
	for range n {
		if o := <-outcomes; o.err != nil {
			t.Fatalf("deliver: %v", o.err)
		}
	}
	for _, trip := range all {
		correlatortest.Next(t, trip.Heard, "callback")
	}
	awaitKeys(t, s, 0)
	sent := calls(t, s)
	published := statistics(t, s)["publish"]
	t.Logf("%d callbacks at once: %v, %d messages", n, sent, published)
	if sent["evalsha"] > 60 || published > 60 { // 16 full batches, up to 4 that left before them, and the clean-up
		t.Errorf("%d callbacks at once: %v and %d messages", n, sent, published)
	}

	s.Do("CONFIG", "RESETSTAT")
	for range 100 {
		deliver(t, other, park(t, home, correlatortest.Once(correlator.Held)), `1`)
	}
	if sent := statistics(t, s)["hset"]; sent != 100 || statistics(t, s)["publish"] < 100 {
		t.Errorf("100 callbacks one after the other: %v", statistics(t, s))
	}
}

// TestGivesUpInABatch: a caller that waits no more leaves the others alone. What it brought may be stored, and its repeat is
// no second result.
func TestGivesUpInABatch(t *testing.T) {
	s := redistest.Start(t)
	cfg := config(s.URL())
	cfg.Timeout = 5 * time.Second
	home, other := start(t, cfg), start(t, cfg)
	ids, all := parkMany(t, home, 50)
	s.Pause()
	outcomes := deliverAll(other, ids[1:])
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	err := other.Deliver(ctx, ids[0], correlatortest.Final(0, `"given up"`))
	if !errors.Is(err, correlator.ErrUnavailable) || time.Since(begin) > time.Second {
		t.Errorf("gave up after %v: %v", time.Since(begin), err)
	}
	s.Resume()
	for range ids[1:] {
		if o := <-outcomes; o.err != nil {
			t.Errorf("deliver: %v", o.err)
		}
	}
	repeat(t, other, ids[0], `"repeat"`)
	for _, trip := range all {
		correlatortest.Next(t, trip.Heard, "callback")
	}
	awaitKeys(t, s, 0)
	if len(all[0].Heard) > 0 {
		t.Errorf("heard again: %s", (<-all[0].Heard).Body)
	}
}

// TestCrowdWithoutRedis: while Redis is away a bounded number waits, and everybody hears of it in time.
func TestCrowdWithoutRedis(t *testing.T) {
	const most = 1 << 14
	s := redistest.Start(t)
	home, other := start(t, config(s.URL())), start(t, config(s.URL()))
	ids := make([]correlator.ID, most+2000)
	for i := range ids {
		ids[i] = home.NewID(soon())
	}
	s.Pause()
	defer s.Resume()
	begin := time.Now()
	outcomes := deliverAll(other, ids)
	crowd, slowest := 0, time.Duration(0)
	for range ids {
		crowd = max(crowd, other.Waiting())
		o := <-outcomes
		if !errors.Is(o.err, correlator.ErrUnavailable) {
			t.Fatalf("deliver: %v", o.err)
		}
		slowest = max(slowest, o.took)
	}
	t.Logf("%d callers in %v: the slowest heard after %v, at most %d waited", len(ids), time.Since(begin), slowest, crowd)
	if limit := redis.Default().Timeout + 2*time.Second; slowest > limit || crowd > most { // 18,000 goroutines under the race detector are slow
		t.Errorf("heard after %v; %d waited", slowest, crowd)
	}
	correlatortest.Eventually(t, "nobody waits", func() bool { return other.Waiting() == 0 })
}

// TestCutWithinBatches cuts the connections of the node that delivers while batches are under way: what was acknowledged is
// heard, once, and nothing of it stays.
func TestCutWithinBatches(t *testing.T) {
	const n = 3000
	s := redistest.Start(t)
	p, err := faultproxy.Start("unix", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	home, other := start(t, config(s.URL())), start(t, config("redis://"+p.Addr()))
	ids, all := make([]correlator.ID, n), make([]*correlatortest.Trip, n)
	for i := range ids {
		all[i] = correlatortest.Once(correlator.Held) // so that it stays stored, and a repeat finds it
		ids[i] = park(t, home, all[i])
	}
	p.Slow(2 * time.Millisecond) // so that cuts find batches on their way there and back
	refused := deliverThrough(t, other, ids, func() { p.Cut() })
	for i, trip := range all {
		body := numbered(i)
		if cb := correlatortest.Next(t, trip.Heard, "callback"); string(cb.Body) != body {
			t.Errorf("heard %s, want %s", cb.Body, body)
		}
	}
	t.Logf("%d callbacks, refused %d times", n, refused)
	if refused == 0 {
		t.Error("nothing was refused")
	}
	for _, id := range ids {
		home.Close(id)
	}
	awaitKeys(t, s, 0)
}

func numbered(i int) string { return fmt.Sprintf(`{"trip":%d}`, i) }

// deliverThrough delivers a callback to each trip, 200 at a time, while something goes wrong now and then, 200 times at most, and
// repeats those that are refused. It gives how many were.
func deliverThrough(t *testing.T, c *redis.Correlator, ids []correlator.ID, fault func()) int64 {
	t.Helper()
	var refused atomic.Int64
	var all, faults sync.WaitGroup
	turns, done := make(chan struct{}, 200), make(chan struct{})
	faults.Go(func() {
		for range 200 { // so that the callbacks get through in the end, however slow the machine is
			select {
			case <-done:
				return
			case <-time.After(15 * time.Millisecond):
				fault()
			}
		}
	})
	for i, id := range ids {
		turns <- struct{}{}
		all.Go(func() {
			patiently(t, func() error {
				err := c.Deliver(context.Background(), id, correlatortest.Final(0, numbered(i)))
				if err != nil {
					refused.Add(1)
				}
				return err
			})
			<-turns
		})
	}
	all.Wait()
	close(done)
	faults.Wait()
	return refused.Load()
}

// TestRelay: whoever hands on a callback for another node does not wait, and hears once what Deliver would have said.
func TestRelay(t *testing.T) {
	s := redistest.Start(t)
	cfg := config(s.URL())
	home, other := start(t, cfg), start(t, cfg)
	own := func(error) { t.Error("a callback of the node's own trip was relayed") }
	if other.Relay(park(t, other, silent{}), correlatortest.Final(0, `1`), own) {
		t.Error("it took a callback of its own trip")
	}
	relay := func(what string, id correlator.ID, want error) {
		t.Helper()
		heard := make(chan error, 2)
		begin := time.Now()
		if !other.Relay(id, correlatortest.Final(0, `"relayed"`), func(err error) { heard <- err }) {
			t.Errorf("%s: not taken", what)
		}
		if d := time.Since(begin); d > cfg.Timeout/2 {
			t.Errorf("%s: the caller waited for %v", what, d)
		}
		if err := correlatortest.Next(t, heard, "outcome"); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		if d := time.Since(begin); d > 2*cfg.Timeout {
			t.Errorf("%s: told after %v", what, d)
		}
		if len(heard) > 0 {
			t.Errorf("%s: told twice", what)
		}
	}
	trip := correlatortest.Always(correlator.Written)
	relay("to a trip", park(t, home, trip), nil)
	if cb := correlatortest.Next(t, trip.Heard, "callback"); string(cb.Body) != `"relayed"` {
		t.Errorf("heard %s", cb.Body)
	}
	relay("with an id that has expired", correlator.NewID(home.Node(), time.Now().Add(-time.Second)), correlator.ErrGone)
	s.Pause()
	relay("without Redis", park(t, home, silent{}), correlator.ErrUnavailable)
	s.Resume()
	if err := other.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	relay("after the end", park(t, home, silent{}), correlator.ErrUnavailable)
}
