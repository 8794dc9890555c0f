package redis_test

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

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
		n := s.Do("EVAL", "return #redis.call('KEYS', ARGV[1])", "0", "syncgate:2:{*}:"+kind+"*")
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
	if sent["evalsha"] > n*3/4 || sent["hget"] > n/20 { // 16 at a time: see also TestConcurrentCallbacksShareRoundTrips
		t.Errorf("%d remote trips sent %v: want few scripts for all of them, and to clean up", n, sent)
	}

	s.Do("CONFIG", "RESETSTAT")
	began := time.Now()
	for range 100 { // trips of two ops: the first is held
		id := park(t, home, correlatortest.Once(correlator.Held))
		deliver(t, home, id, `1`)
		home.Close(id)
	}
	awaitKeys(t, s, 0)
	sent = calls(t, s)
	t.Logf("100 held callbacks: %v", sent)
	if sent["evalsha"] < 100 || sent["evalsha"] > 110+cleanings(began) {
		t.Errorf("100 held callbacks sent %v", sent)
	}
}

// keyed has a trip of home's claim a key, and its callback come to by. It is saved and closed as a gateway does.
func keyed(t testing.TB, home, by *redis.Correlator) {
	t.Helper()
	trip := correlatortest.Once(correlator.Written)
	id := parkClaimed(t, home, newKey(), trip)
	deliver(t, by, id, `{"result":1}`)
	rec := openRecord(1)
	rec.Finals[0] = correlatortest.Next(t, trip.Heard, "callback")
	if err := home.Save(t.Context(), id, rec); err != nil {
		t.Fatalf("save: %v", err)
	}
	home.Close(id)
}

// TestCommandsPerKey: a trip with a key costs a round trip to claim it and one for the callback, and whoever joins one to
// learn whose the key is, one for whether that has a record, and one to wait.
func TestCommandsPerKey(t *testing.T) {
	const n = 300
	s := redistest.Start(t)
	home, other := start(t, config(s.URL())), start(t, config(s.URL()))
	keyed(t, home, other) // the scripts are there from now on
	k := newKey()
	id := parkClaimed(t, home, k, correlatortest.Once(correlator.Held))
	attach(t, other, id)
	for _, c := range []struct {
		what    string
		do      func()
		scripts int
		rounds  int
	}{
		{"with a key, callback here", func() { keyed(t, home, home) }, 3, 2},
		{"with a key, callback there", func() { keyed(t, home, other) }, 3, 2},
		{"that lost its key", func() { claim(t, other, k) }, 2, 2},
		{"that waits for another", func() { attach(t, other, id) }, 1, 1},
	} {
		awaitKeysOfInbox(t, s)
		s.Do("CONFIG", "RESETSTAT")
		began := time.Now()
		for range n {
			c.do()
		}
		rounds, sent, cleaned := reads(t, s), calls(t, s), cleanings(began)
		t.Logf("%d trips %s: %v, %d round trips, at most %d to clean up", n, c.what, sent, rounds, cleaned)
		if sent["evalsha"] > n*c.scripts+n/20+cleaned || rounds > n*c.rounds+n/20+cleaned {
			t.Errorf("%d trips %s: %v, %d round trips; want %d scripts and %d round trips for each", n, c.what, sent, rounds, c.scripts, c.rounds)
		}
	}
}

// cleanings is how many scripts two nodes can have sent since began without regard to the number of trips: each cleans up
// 50 times a second at most, and one of them looks once a second after what waits there.
func cleanings(began time.Time) int { return 2 * int(time.Since(began)/(20*time.Millisecond)+1) }

// reads counts how often the server has read something since the last CONFIG RESETSTAT.
func reads(t testing.TB, s *redistest.Server) int {
	t.Helper()
	m := regexp.MustCompile(`total_reads_processed:(\d+)`).FindStringSubmatch(s.Do("INFO", "stats"))
	if m == nil {
		t.Fatal("no statistics")
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// awaitKeysOfInbox waits until nothing is to be cleaned up.
func awaitKeysOfInbox(t testing.TB, s *redistest.Server) {
	t.Helper()
	correlatortest.Eventually(t, "cleaned up", func() bool { return keys(t, s)["inbox"] == 0 })
}

// TestBytesPerRecord says what a kept result takes of Redis's memory.
func TestBytesPerRecord(t *testing.T) {
	s := redistest.Start(t)
	home := start(t, config(s.URL()))
	usage := func(pattern string) int {
		n, err := strconv.Atoi(strings.TrimPrefix(s.Do("EVAL", `local n = 0
			for _, k in ipairs(redis.call('KEYS', ARGV[1])) do n = n + redis.call('MEMORY', 'USAGE', k) end return n`, "0", pattern), ":"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, c := range []struct{ meta, body, most int }{{40, 40, 500}, {100, 200, 900}, {100, 4000, 5600}} {
		s.Do("FLUSHALL")
		id := home.NewID(soon())
		rec := correlator.Record{Meta: make([]byte, c.meta), Finals: []correlator.Callback{correlatortest.Final(0, strings.Repeat(" ", c.body))}}
		if _, err := home.Claim(t.Context(), newKey(), [32]byte{}, id, rec); err != nil {
			t.Fatal(err)
		}
		record, key := usage("syncgate:2:{*}:trip:*"), usage("syncgate:2:key:*")
		t.Logf("meta of %d, result of %d bytes: the record takes %d, its key %d", c.meta, c.body, record, key)
		if record+key > c.most {
			t.Errorf("meta of %d, result of %d bytes: %d bytes in all", c.meta, c.body, record+key)
		}
	}
}

// TestNothingStays: whatever way a trip ends, nothing of it stays in Redis but records and marks.
func TestNothingStays(t *testing.T) {
	s := redistest.Start(t)
	home, other := start(t, config(s.URL())), start(t, config(s.URL()))
	body := `1`
	callback := func(by *redis.Correlator, id correlator.ID, op int) {
		t.Helper()
		if err := by.Deliver(t.Context(), id, correlatortest.Final(op, body)); !isSettled(err) {
			t.Fatalf("deliver: %v", err)
		}
	}
	for _, c := range []struct {
		by     *redis.Correlator
		body   string
		stored int // while some are held: the home has what it has heard, unless it is large
	}{{home, `1`, 1}, {other, `1`, 0}, {other, `"` + strings.Repeat("x", 5000) + `"`, 1}} {
		by, held := c.by, correlatortest.Once(correlator.Held)
		body = c.body
		id := park(t, home, held)
		for op := range 3 {
			callback(by, id, op)
			callback(by, id, op)
			correlatortest.Next(t, held.Heard, "callback")
		}
		correlatortest.Eventually(t, "the inbox is read", func() bool { return keys(t, s)["inbox"] == 0 })
		if k := keys(t, s); k["trip"] != c.stored {
			t.Errorf("while some are held: %v, want %d trips", k, c.stored)
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
	deliver(t, other, correlator.NewID(dead, soon()), `"`+strings.Repeat("x", 5000)+`"`)
	awaitTrips := func() bool { return keys(t, s)["trip"] == 4 && keys(t, s)["inbox"] == 1 }
	correlatortest.Eventually(t, "stored", awaitTrips)
	const endless = "local n = 0 for _, k in ipairs(redis.call('KEYS', '*')) do if redis.call('PTTL', k) < 0 then n = n + 1 end end return n"
	if n := s.Do("EVAL", endless, "0"); n != ":0" {
		t.Errorf("%s keys never expire", n)
	}
}
