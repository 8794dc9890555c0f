package redis_test

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"syncgate/correlator"
	"syncgate/correlator/correlatortest"
	"syncgate/correlator/redis"
	"syncgate/internal/redistest"
)

// statistics counts all commands since the last CONFIG RESETSTAT.
func statistics(t testing.TB, s *redistest.Server) map[string]int {
	t.Helper()
	all := make(map[string]int)
	for _, m := range regexp.MustCompile(`cmdstat_([a-z|]+):calls=(\d+)`).FindAllStringSubmatch(s.Do("INFO", "commandstats"), -1) {
		all[m[1]], _ = strconv.Atoi(m[2])
	}
	return all
}

// calls counts the commands that clients have sent since the last CONFIG RESETSTAT. Those within scripts and those of
// the nodes' probes are not among them.
func calls(t testing.TB, s *redistest.Server) map[string]int {
	t.Helper()
	all := statistics(t, s)
	sent := make(map[string]int)
	for _, name := range []string{"evalsha", "eval", "hget", "hgetall"} { // the others belong to probes, readings of the inbox, connecting, or scripts
		if all[name] > 0 {
			sent[name] = all[name]
		}
	}
	return sent
}

// keys gives what kinds of keys there are, of how many.
func keys(t testing.TB, s *redistest.Server) map[string]int {
	t.Helper()
	kinds := make(map[string]int)
	for _, kind := range []string{"alive", "inbox", "trip"} {
		n := s.Do("EVAL", "return #redis.call('KEYS', ARGV[1])", "0", "syncgate:{*}:"+kind+"*")
		kinds[kind], _ = strconv.Atoi(strings.TrimPrefix(n, ":"))
	}
	return kinds
}

func awaitKeys(t testing.TB, s *redistest.Server, trips int) {
	t.Helper()
	correlatortest.Eventually(t, "cleaned up", func() bool {
		k := keys(t, s)
		return k["inbox"] == 0 && k["trip"] == trips
	})
}

// closing makes a trip that is written and closed by its first callback.
func closing(c *redis.Correlator, id correlator.ID) *correlatortest.Trip {
	var once sync.Once
	return correlatortest.NewTrip(func(_ correlator.Callback, done func(correlator.Disposition)) {
		d := correlator.Repeated
		once.Do(func() {
			c.Close(id)
			d = correlator.Written
		})
		done(d)
	})
}

// trips has n trips delivered to by one of the nodes, some at a time.
func trips(t testing.TB, home, by *redis.Correlator, n int) {
	t.Helper()
	var all sync.WaitGroup
	turns := make(chan struct{}, 16)
	for range n {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			id := home.NewID(soon())
			trip := closing(home, id)
			if err := home.Park(id, trip, soon()); err != nil {
				t.Errorf("park: %v", err)
				return
			}
			if err := by.Deliver(context.Background(), id, correlatortest.Final(0, `{"result":1}`)); err != nil {
				t.Errorf("deliver: %v", err)
			}
			correlatortest.Next(t, trip.Heard, "callback")
		})
	}
	all.Wait()
}

func TestCommandsPerTrip(t *testing.T) {
	const n = 1000
	s := redistest.Start(t)
	home, other := start(t, config(s.URL())), start(t, config(s.URL()))
	trips(t, home, other, 1) // the scripts are there from now on
	awaitKeys(t, s, 0)

	s.Do("CONFIG", "RESETSTAT")
	trips(t, home, home, n)
	if sent := calls(t, s); len(sent) > 0 {
		t.Errorf("a local trip sent commands: %v", sent)
	}

	s.Do("CONFIG", "RESETSTAT")
	trips(t, home, other, n)
	awaitKeys(t, s, 0)
	sent := calls(t, s)
	t.Logf("%d remote trips: %v", n, sent)
	if sent["evalsha"] < n || sent["evalsha"] > n+n/4 || sent["hget"] > n/20 {
		t.Errorf("%d remote trips sent %v: want one script for each and few to clean up", n, sent)
	}

	s.Do("CONFIG", "RESETSTAT")
	for range 100 { // trips of two ops: the first is held
		id := park(t, home, correlatortest.Once(correlator.Held))
		deliver(t, home, id, `1`)
		home.Close(id)
	}
	awaitKeys(t, s, 0)
	sent = calls(t, s)
	t.Logf("100 held callbacks: %v", sent)
	if sent["evalsha"] < 100 || sent["evalsha"] > 150 {
		t.Errorf("100 held callbacks sent %v", sent)
	}
}

// TestNothingStays: whatever way a trip ends, nothing of it stays in Redis but records and marks.
func TestNothingStays(t *testing.T) {
	s := redistest.Start(t)
	home, other := start(t, config(s.URL())), start(t, config(s.URL()))
	callback := func(by *redis.Correlator, id correlator.ID, op int) {
		t.Helper()
		if err := by.Deliver(t.Context(), id, correlatortest.Final(op, `1`)); err != nil {
			t.Fatalf("deliver: %v", err)
		}
	}
	for _, by := range []*redis.Correlator{home, other} {
		held := correlatortest.Once(correlator.Held)
		id := park(t, home, held)
		for op := range 3 {
			callback(by, id, op)
			callback(by, id, op)
			correlatortest.Next(t, held.Heard, "callback")
		}
		correlatortest.Eventually(t, "the inbox is read", func() bool { return keys(t, s)["inbox"] == 0 })
		if k := keys(t, s); k["trip"] != 1 {
			t.Errorf("while some are held: %v", k)
		}
		home.Close(id)
		awaitKeys(t, s, 0)
		callback(by, id, 0) // once more, much later
		callback(by, id, 1)
		awaitKeys(t, s, 0)
	}
	gone := park(t, home, correlatortest.Always(correlator.Gone))
	callback(other, gone, 0)
	home.Close(gone)
	awaitKeys(t, s, 0)

	forgotten := park(t, home, correlatortest.Once(correlator.Held))
	callback(other, forgotten, 0)
	home.Forget(forgotten)
	awaitKeys(t, s, 1)

	recorded := park(t, home, correlatortest.Always(correlator.Gone))
	if err := home.Save(t.Context(), recorded, correlator.Record{Finals: make([]correlator.Callback, 1)}); err != nil {
		t.Fatal(err)
	}
	callback(other, recorded, 0)
	home.Close(recorded)
	awaitKeys(t, s, 2)
}

// TestShutdownCleansUp: what waits to be removed is removed before the node ends.
func TestShutdownCleansUp(t *testing.T) {
	s := redistest.Start(t)
	home, other := launch(t, config(s.URL())), start(t, config(s.URL()))
	awaitReady(t, home)
	trips(t, home, other, 300)
	if err := home.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if k := keys(t, s); k["inbox"] != 0 || k["trip"] != 0 || k["alive"] != 1 {
		t.Errorf("after the shutdown: %v", k)
	}
	if home.Ready() == nil {
		t.Error("ready after the shutdown")
	}
}

// TestEverythingExpires: no key is left without an end.
func TestEverythingExpires(t *testing.T) {
	s := redistest.Start(t)
	other := start(t, config(s.URL()))
	dead := correlator.NewNodeID()
	deliver(t, other, correlator.NewID(dead, soon()), `1`)
	if err := other.Save(t.Context(), correlator.NewID(dead, soon()), correlator.Record{Finals: make([]correlator.Callback, 1)}); err != nil {
		t.Fatal(err)
	}
	id := park(t, other, correlatortest.Once(correlator.Held))
	deliver(t, other, id, `1`)
	forgotten := park(t, other, correlatortest.Once(correlator.Held))
	other.Forget(forgotten)
	awaitTrips := func() bool { return keys(t, s)["trip"] == 4 }
	correlatortest.Eventually(t, "stored", awaitTrips)
	const endless = "local n = 0 for _, k in ipairs(redis.call('KEYS', '*')) do if redis.call('PTTL', k) < 0 then n = n + 1 end end return n"
	if n := s.Do("EVAL", endless, "0"); n != ":0" {
		t.Errorf("%s keys never expire", n)
	}
}
