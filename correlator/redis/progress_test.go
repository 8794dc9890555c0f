package redis_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/correlator/correlatortest"
	"syncgate/correlator/redis"
	"syncgate/internal/redistest"
)

func event(body string) correlator.Callback {
	return correlator.Callback{Status: correlator.Progress, Body: []byte(body)}
}

func report(t testing.TB, c *redis.Correlator, id correlator.ID, body string) {
	t.Helper()
	if err := c.Deliver(t.Context(), id, event(body)); err != nil {
		t.Fatalf("report: %v", err)
	}
}

// follow has a new trip follow id at c.
func follow(t testing.TB, c *redis.Correlator, id correlator.ID, after uint32) *correlatortest.Trip {
	t.Helper()
	trip := correlatortest.Always(correlator.Written)
	detach, err := c.Follow(context.Background(), id, trip, after, soon())
	if err != nil {
		t.Fatalf("follow: %v", err)
	}
	t.Cleanup(detach)
	return trip
}

// progressKeys counts the keys of what was reported.
func progressKeys(s *redistest.Server) string {
	return s.Do("EVAL", "return #redis.call('KEYS', '*:merged:*') + #redis.call('KEYS', '*:events:*')", "0")
}

// TestProgressWithoutARecordIsNotWritten: at its home it takes no command, and elsewhere one that announces it.
func TestProgressWithoutARecordIsNotWritten(t *testing.T) {
	s := redistest.Start(t)
	home, other := start(t, config(s.URL())), start(t, config(s.URL()))
	trip := correlatortest.Always(correlator.Held)
	id := park(t, home, trip)
	report(t, other, id, `{"a":1}`) // the script is there from now on
	correlatortest.Next(t, trip.Heard, "what was reported")
	before := progressKeys(s) // of what nodes have tried
	s.Do("CONFIG", "RESETSTAT")
	for range 100 {
		report(t, home, id, `{"a":1}`)
	}
	if sent := calls(t, s); len(sent) > 0 {
		t.Errorf("reported at home: %v", sent)
	}
	for range 100 {
		report(t, other, id, `{"a":1}`)
	}
	all := statistics(t, s)
	if all["evalsha"] != 100 || all["hset"]+all["rpush"]+all["pexpire"] > 0 {
		t.Errorf("reported elsewhere: %v", all)
	}
	if k := keys(t, s); k["trip"]+k["inbox"] > 0 || progressKeys(s) > before {
		t.Errorf("written: %v and %s", k, progressKeys(s))
	}
	for range 200 {
		correlatortest.Next(t, trip.Heard, "what was reported")
	}
}

// TestProgressEndsWithItsRecord: its keys have the record's end, and go with a release.
func TestProgressEndsWithItsRecord(t *testing.T) { //nolint:gocognit // one story, in its order
	s := redistest.Start(t)
	home, other := start(t, config(s.URL())), start(t, config(s.URL()))
	ttls := func(id correlator.ID) (all [3]int) {
		trip := home.Names(id, correlator.Key{}).Trip
		for i, what := range []string{"trip", "merged", "events"} {
			all[i], _ = strconv.Atoi(strings.TrimPrefix(s.Do("PTTL", strings.Replace(trip, ":trip:", ":"+what+":", 1)), ":"))
		}
		return all
	}
	same := func(what string, id correlator.ID, least, most time.Duration) {
		t.Helper()
		for _, ttl := range ttls(id) {
			if d := time.Duration(ttl) * time.Millisecond; d < least || d > most {
				t.Errorf("%s: ends in %v, want %v to %v", what, d, least, most)
			}
		}
	}
	delivered, _ := claim(t, home, newKey())
	saved, _ := claim(t, home, newKey())
	for _, id := range []correlator.ID{delivered, saved} {
		report(t, other, id, `{"a":1}`)
		report(t, home, id, `{"a":2}`)
		same("unfinished", id, 9*time.Minute, 10*time.Minute)
	}
	deliver(t, other, delivered, `1`)
	if err := home.Save(t.Context(), saved, completeRecord()); err != nil {
		t.Fatal(err)
	}
	same("delivered", delivered, 50*time.Minute, time.Hour)
	same("saved", saved, 50*time.Minute, time.Hour)

	s.Do("FLUSHALL")
	for _, followed := range []bool{false, true} {
		k := newKey()
		id, _ := claim(t, home, k)
		report(t, other, id, `{"a":1}`)
		if followed {
			follow(t, other, id, 0)
		}
		if err := home.Release(t.Context(), k, id); err != nil {
			t.Fatal(err)
		}
		if got := ttls(id); !followed && progressKeys(s) != ":0" || followed && (got[1] > 10_000 || got[2] > 10_000 || got[1] < 0) {
			t.Errorf("followed %t, released: %s keys, %v", followed, progressKeys(s), got)
		}
	}
}

// TestHomeDiesWhileFollowed: whoever follows at another node goes on, whether the events come there or to a third one.
func TestHomeDiesWhileFollowed(t *testing.T) {
	for name, cfg := range deployments(t) {
		t.Run(name, func(t *testing.T) {
			home, second, third := start(t, cfg), start(t, cfg), start(t, cfg)
			id := parkClaimed(t, home, newKey(), correlatortest.Once(correlator.Held))
			early := follow(t, second, id, 0)
			report(t, home, id, `1`)
			report(t, second, id, `2`)
			home.Die()
			late := follow(t, third, id, 1)
			for i := 3; i < 10; i++ {
				report(t, []*redis.Correlator{second, third}[i%2], id, strconv.Itoa(i))
			}
			deliver(t, third, id, `"end"`)
			for i, trip := range []*correlatortest.Trip{early, late} {
				for seq := i + 1; seq < 10; seq++ {
					hears(t, trip, strconv.Itoa(seq), healed)
				}
				hears(t, trip, `"end"`, healed)
			}
		})
	}
}

// TestEventsThatAreMissed: with a deaf subscription, or one that is killed, they are heard a little later, each once.
func TestEventsThatAreMissed(t *testing.T) {
	s := redistest.Start(t)
	p := newProxy(t, s)
	home, other := start(t, config(s.URL())), start(t, config(p.URL()))
	id, _ := claim(t, home, newKey())
	trip := follow(t, other, id, 0)
	for i := range 40 {
		if i == 10 {
			p.deafen()
		}
		if i == 30 {
			s.Do("CLIENT", "KILL", "TYPE", "pubsub")
		}
		report(t, home, id, strconv.Itoa(i))
		if i%4 == 0 { // else several are missed
			for seq := max(0, i-3); seq <= i; seq++ {
				hears(t, trip, strconv.Itoa(seq), healed)
			}
		}
	}
}

// TestStrangerReports: whoever writes to Redis and has no callback key reports nothing, and keeps nothing from being reported.
func TestStrangerReports(t *testing.T) { //nolint:gocognit // one story, in its order
	server := redistest.Start(t)
	home, other := start(t, config(server.URL())), start(t, config(server.URL()))
	another, _ := claim(t, home, newKey())
	report(t, home, another, `{"of another":1}`)
	for what, attack := range map[string]func(merged, events, channel, of string){
		"writes members": func(merged, _, _, of string) {
			server.Do("HSET", merged, "m0:forged", strings.Repeat("t", 16)+`"forged":1`, "m0:a", "junk", "m1:x", "y", "m", "z",
				"m0:of another", server.Do("HGET", strings.Replace(of, ":events:", ":merged:", 1), "m0:of another"))
		},
		"writes the state": func(merged, _, _, _ string) { server.Do("HSET", merged, "bytes", "x", "size:0", "x", "count:0", "x") },
		"writes events": func(_, events, _, of string) {
			server.Do("RPUSH", events, "junk", "2:0:junk", "2:0:7"+strings.Repeat("t", 24)+"forged")
			server.Do("EVAL", "redis.call('RPUSH', KEYS[1], redis.call('LINDEX', KEYS[2], 0)) return 1", "2", events, of)
		},
		"makes the events a string": func(_, events, _, _ string) { server.Do("SET", events, "junk") },
		"makes the members a list": func(merged, _, _, _ string) {
			server.Do("DEL", merged)
			server.Do("RPUSH", merged, "junk")
		},
		"publishes events": func(_, _, channel, _ string) {
			for _, m := range []string{"+", "+x", "+" + strings.Repeat("0", 16), "+" + strings.Repeat("0", 16) + "junk:1:1:x", "+" + strings.Repeat("z", 16)} {
				server.Do("PUBLISH", channel, m)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			id, _ := claim(t, home, newKey())
			trip := follow(t, other, id, 0)
			report(t, home, id, `{"a":1}`)
			names, of := home.Names(id, correlator.Key{}), home.Names(another, correlator.Key{}).Trip
			key := func(trip, what string) string { return strings.Replace(trip, ":trip:", ":"+what+":", 1) }
			attack(key(names.Trip, "merged"), key(names.Trip, "events"), other.Names(other.NewID(soon()), correlator.Key{}).Channel, key(of, "events"))
			late := follow(t, home, id, 0)
			report(t, other, id, `{"b":2}`)
			report(t, other, id, `{"c":3}`)
			deliver(t, other, id, `"end"`)
			for _, trip := range []*correlatortest.Trip{trip, late} {
				for cb := correlatortest.Next(t, trip.Heard, "an event"); !cb.Status.Final(); cb = correlatortest.Next(t, trip.Heard, "an event") {
					if body := string(cb.Body); body != `{"a":1}` && body != `{"b":2}` && body != `{"c":3}` {
						t.Errorf("heard %q", body)
					}
				}
			}
			rec, err := other.Lookup(t.Context(), id)
			if merged := string(rec.Merged[0]); err != nil || merged != `{"a":1,"b":2,"c":3}` && merged != `{"b":2,"c":3}` {
				t.Errorf("merged %s, %v", merged, err)
			}
		})
	}
}

// TestStrangerWritesNumbers: what is no number of ours keeps nothing from being reported, and no bound from holding.
func TestStrangerWritesNumbers(t *testing.T) {
	server := redistest.Start(t)
	cfg := config(server.URL())
	cfg.Progress = 64
	home := start(t, cfg)
	for _, field := range []string{"seq", "bytes", "size:0", "count:0"} { // which have no tags
		for _, forged := range []string{"nan", "-nan", "inf", "-inf", "1e300", "-1e300", "-5", "1.5", "9223372036854775807", "x", ""} {
			id, _ := claim(t, home, newKey())
			report(t, home, id, `{"a":1}`)
			merged := strings.Replace(home.Names(id, correlator.Key{}).Trip, ":trip:", ":merged:", 1)
			server.Do("HSET", merged, field, forged)
			for range 2 {
				report(t, home, id, `{"b":2}`)
			}
			if err := home.Deliver(t.Context(), id, event(`{"c":"`+strings.Repeat("c", 64)+`"}`)); !errors.Is(err, correlator.ErrTooLarge) {
				t.Errorf("%s is %s: what is too large has %v", field, forged, err)
			}
			if rec, err := home.Lookup(t.Context(), id); err != nil || rec.Seq == 0 || string(rec.Merged[0]) != `{"a":1,"b":2}` {
				t.Errorf("%s is %s: event %d, merged %s, %v", field, forged, rec.Seq, rec.Merged, err)
			}
		}
	}
}

// counter is a trip that counts what it hears.
type counter struct {
	heard *atomic.Int64
	last  uint32 // the table calls Deliver for one event after the other
	wrong *atomic.Int64
}

func (c *counter) Deliver(cb correlator.Callback, done func(correlator.Disposition)) {
	if cb.Seq != c.last+1 {
		c.wrong.Add(1)
	}
	c.last = cb.Seq
	c.heard.Add(1)
	done(correlator.Written)
}

func (*counter) Expire(error) {}

// BenchmarkFollowers has 10,000 trips followed at one node, and 10 events of each come to another, 256 at a time. It reports figures of its own, of
// one go: -benchtime 1x.
func BenchmarkFollowers(b *testing.B) { //nolint:gocognit // one story, in its order
	const trips, events, atOnce = 10_000, 10, 256
	s := redistest.Start(b)
	home, other := start(b, config(s.URL())), start(b, config(s.URL()))
	var heard, wrong atomic.Int64
	for b.Loop() {
		ids := make([]correlator.ID, trips)
		for i := range ids {
			ids[i], _ = claim(b, home, newKey())
			detach, err := home.Follow(context.Background(), ids[i], &counter{heard: &heard, wrong: &wrong}, 0, soon())
			if err != nil {
				b.Fatal(err)
			}
			defer detach()
		}
		heard.Store(0)
		began, used, server := time.Now(), ownCPU(b), redisCPU(b, s)
		var all sync.WaitGroup
		next := make(chan correlator.ID, atOnce)
		for range atOnce {
			all.Go(func() {
				for id := range next {
					if err := other.Deliver(context.Background(), id, event(`{"percent":50,"step":"packing","note":"something that takes some room"}`)); err != nil {
						b.Errorf("report: %v", err)
					}
				}
			})
		}
		for range events {
			for _, id := range ids {
				next <- id
			}
		}
		close(next)
		all.Wait()
		for heard.Load() < trips*events && time.Since(began) < time.Minute {
			runtime.Gosched()
			<-time.After(time.Millisecond)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/all")
		b.ReportMetric((ownCPU(b) - used).Seconds(), "cpu-s/all")
		b.ReportMetric((redisCPU(b, s) - server).Seconds(), "redis-cpu-s/all")
		if heard.Load() != trips*events || wrong.Load() > 0 {
			b.Errorf("%d events were heard, %d of them out of order", heard.Load(), wrong.Load())
		}
	}
}
