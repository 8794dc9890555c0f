package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/correlator"
	"syncgate/correlator/correlatortest"
	"syncgate/correlator/redis"
	"syncgate/internal/redistest"
)

// stranger may write everything in Redis, and has no callback key.
type stranger struct {
	*goredis.Client
	t  *testing.T
	of struct{ Inbox, Alive, Channel, Trip, Watch, Left, Key, Entry string } // of the trip that is attacked, whose op 0 is open

	// Genuine ones of other trips and ops.
	otherTrip, otherOp string // values: status, tag, body
	otherMeta          string
	otherBound         string
}

func (s *stranger) must(errs ...error) {
	s.t.Helper()
	if err := errors.Join(errs...); err != nil {
		s.t.Fatalf("the stranger: %v", err)
	}
}

func (s *stranger) publish(messages ...string) {
	s.t.Helper()
	for _, m := range messages {
		s.must(s.Publish(s.t.Context(), s.of.Channel, m).Err())
	}
}

// framed is a value in a frame.
func framed(value string) string {
	digits := fmt.Sprint(len(value))
	return strings.Repeat("0", max(0, 65-len(digits)-1-len(value))) + digits + ":" + value
}

// forgeries are values that the attacked op does not have.
func (s *stranger) forgeries() []string {
	return []string{`1"forged"`, "1" + strings.Repeat("t", 16) + `"forged"`, s.otherTrip, s.otherOp, "2" + s.otherTrip[1:], s.otherTrip[:17] + `"forged"`}
}

// attacks are what a stranger can do in each place that nodes read.
func attacks() map[string]func(*stranger) {
	return map[string]func(*stranger){
		"publishes callbacks": func(s *stranger) {
			for _, value := range s.forgeries() {
				s.publish(s.of.Entry+"0:"+framed(value), s.of.Entry+"0="+framed(value))
			}
		},
		"publishes what is no message": func(s *stranger) {
			s.publish("", "x", ":", s.of.Entry, s.of.Entry+"0", s.of.Entry+"0::", "!", "!1", "!99:x", "@", "@x", strings.Repeat("x", 1<<20))
		},
		"publishes a callback in front of others": func(s *stranger) {
			s.publish(s.of.Entry + "0:" + framed(s.otherOp) + ":" + s.of.Entry + "0:" + framed(s.otherTrip) + ":junk")
		},
		"has it fetched": func(s *stranger) {
			for _, value := range s.forgeries() {
				s.must(s.HSet(s.t.Context(), s.of.Trip, "0", value).Err())
				s.publish(s.of.Entry + "0::")
			}
		},
		"writes into the inbox": func(s *stranger) {
			for i, value := range s.forgeries() {
				s.must(s.HSet(s.t.Context(), s.of.Inbox, s.of.Entry+"0", framed(value), fmt.Sprintf("junk %d", i), "junk", s.of.Entry+"1", "junk").Err())
			}
		},
		"writes raw text into the inbox": func(s *stranger) {
			s.must(s.HSet(s.t.Context(), s.of.Inbox, s.of.Entry+"0", `1"forged"`).Err())
		},
		"writes a size into the inbox": func(s *stranger) {
			s.must(s.HSet(s.t.Context(), s.of.Trip, "0", s.otherTrip).Err(), s.HSet(s.t.Context(), s.of.Inbox, s.of.Entry+"0", "99").Err())
		},
		"makes the inbox a list": func(s *stranger) {
			s.must(s.Del(s.t.Context(), s.of.Inbox).Err(), s.RPush(s.t.Context(), s.of.Inbox, "junk").Err())
		},
		"writes the op's final": func(s *stranger) {
			s.must(s.HSet(s.t.Context(), s.of.Trip, "0", s.otherOp).Err())
		},
		"writes the op's final without a tag": func(s *stranger) {
			s.must(s.HSet(s.t.Context(), s.of.Trip, "0", `1"forged"`).Err())
		},
		"writes finals of ops that there are not": func(s *stranger) {
			s.must(s.HSet(s.t.Context(), s.of.Trip, "1", s.otherOp, "x", "y", "65536", "z").Err())
		},
		"adds watchers": func(s *stranger) {
			s.must(s.SAdd(s.t.Context(), s.of.Watch, "elsewhere", "").Err())
		},
		"makes the watchers a list": func(s *stranger) {
			s.must(s.Del(s.t.Context(), s.of.Watch).Err(), s.RPush(s.t.Context(), s.of.Watch, "junk").Err())
		},
		"says that it is forgotten": func(s *stranger) {
			s.must(s.HSet(s.t.Context(), s.of.Trip, "gone", "1").Err())
		},
		"says that its home is away": func(s *stranger) {
			s.must(s.Set(s.t.Context(), s.of.Alive, "0", time.Hour).Err())
		},
		"says that it was released": func(s *stranger) {
			s.must(s.HSet(s.t.Context(), s.of.Left, "meta", s.otherMeta, "ops", "1", "0", s.otherTrip, "released", strings.Repeat("r", 16)).Err())
		},
		"makes what is left a list": func(s *stranger) {
			s.must(s.RPush(s.t.Context(), s.of.Left, "junk").Err())
		},
	}
}

// attacksBefore are those that come before there is a record, or a binding of the key.
func attacksBefore() map[string]func(*stranger) {
	return map[string]func(*stranger){
		"makes a record": func(s *stranger) {
			s.must(s.HSet(s.t.Context(), s.of.Trip, "meta", s.otherMeta, "ops", "1", "0", s.otherTrip).Err())
		},
		"makes a record without a tag": func(s *stranger) {
			s.must(s.HSet(s.t.Context(), s.of.Trip, "meta", "{}", "ops", "1", "0", `1"forged"`).Err())
		},
		"makes the trip a list":   func(s *stranger) { s.must(s.RPush(s.t.Context(), s.of.Trip, "junk").Err()) },
		"makes the trip a string": func(s *stranger) { s.must(s.Set(s.t.Context(), s.of.Trip, "junk", 0).Err()) },
		"binds the key":           func(s *stranger) { s.must(s.Set(s.t.Context(), s.of.Key, s.otherBound, 0).Err()) },
		"binds the key to junk":   func(s *stranger) { s.must(s.Set(s.t.Context(), s.of.Key, "junk", 0).Err()) },
		"makes the key a list":    func(s *stranger) { s.must(s.RPush(s.t.Context(), s.of.Key, "junk").Err()) },
	}
}

// newStranger makes one that attacks the trip id and the key k. It has genuine values of another trip with a record, under another
// key.
func newStranger(t *testing.T, url string, home *redis.Correlator, id correlator.ID, k correlator.Key) *stranger {
	t.Helper()
	o, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	o.Network = "unix"
	s := &stranger{Client: goredis.NewClient(o), t: t, of: home.Names(id, k)}
	t.Cleanup(func() { _ = s.Close() })
	other := newKey()
	rec := openRecord(2)
	rec.Finals[0], rec.Finals[1] = correlatortest.Final(0, `"of another trip"`), correlatortest.Final(1, `"of another op"`)
	otherID := home.NewID(soon())
	if _, err := home.Claim(t.Context(), other, [32]byte{}, otherID, rec); err != nil {
		t.Fatal(err)
	}
	names := home.Names(otherID, other)
	fields := s.HGetAll(t.Context(), names.Trip).Val()
	s.otherTrip, s.otherMeta, s.otherBound = fields["0"], fields["meta"], s.Get(t.Context(), names.Key).Val()

	// A genuine final of another op of this trip, as the home stores it.
	if err := home.Save(t.Context(), id, correlator.Record{Meta: []byte("meta"), Finals: []correlator.Callback{{}, correlatortest.Final(1, `"of another op"`)}}); err != nil {
		t.Fatal(err)
	}
	s.otherOp = s.HGet(t.Context(), s.of.Trip, "1").Val()
	s.must(s.Del(t.Context(), s.of.Trip).Err())
	if s.otherTrip == "" || s.otherMeta == "" || s.otherBound == "" || s.otherOp == "" {
		t.Fatalf("the stranger has nothing to replay: %+v", s)
	}
	return s
}

// TestStranger: whoever may publish and write everything, and has no callback key, changes no answer: the trip hears the engine's callback
// and nothing else, at home, where somebody waits for it, and in what is kept.
func TestStranger(t *testing.T) {
	server := redistest.Start(t)
	home, other := start(t, config(server.URL())), start(t, config(server.URL()))
	for what, attack := range attacks() {
		for _, claimed := range []bool{false, true} {
			for _, size := range []int{1, 6000} {
				t.Run(fmt.Sprintf("%s/claimed %v/%d bytes", what, claimed, size), func(t *testing.T) {
					attacked(t, server, home, other, attack, claimed, `"`+strings.Repeat("e", size)+`"`)
				})
			}
		}
	}
	if home.Forged()+other.Forged() < 50 {
		t.Errorf("%d and %d were counted", home.Forged(), other.Forged())
	}
}

func attacked(t *testing.T, server *redistest.Server, home, other *redis.Correlator, attack func(*stranger), claimed bool, body string) {
	t.Helper()
	trip, k := correlatortest.Once(correlator.Held), newKey()
	id := home.NewID(soon())
	s := newStranger(t, server.URL(), home, id, k)
	var waiter *correlatortest.Trip
	if claimed {
		if owner, err := home.Claim(t.Context(), k, [32]byte{}, id, openRecord(1)); err != nil || owner != id {
			t.Fatalf("claim: %v, %v", owner, err)
		}
		waiter = attach(t, other, id)
	}
	if err := home.Park(id, trip, soon()); err != nil {
		t.Fatal(err)
	}
	defer home.Close(id)

	attack(s)
	_ = home.ReadInbox(t.Context()) // what is wrong with it is the next reading's business
	if rec, err := other.Lookup(t.Context(), id); err == nil && rec.Finals[0].Status.Final() {
		t.Errorf("the record has %q", rec.Finals[0].Body)
	}
	deliver(t, other, id, body)
	repeat(t, home, id, body)
	hears(t, trip, body, healed)
	if waiter != nil {
		hears(t, waiter, body, healed)
	}
	keeps(t, home, other, id, body)
	if owner, err := other.Claim(t.Context(), k, [32]byte{}, other.NewID(soon()), openRecord(1)); claimed && (owner != id || err != nil) {
		t.Errorf("the key is %v's, %v", owner, err)
	}
	for len(trip.Heard) > 0 {
		if cb := <-trip.Heard; string(cb.Body) != body {
			t.Errorf("also heard %.100q", cb.Body)
		}
	}
}

// keeps has the home save a result, and wants the other node to read it.
func keeps(t *testing.T, home, other *redis.Correlator, id correlator.ID, body string) {
	t.Helper()
	rec := openRecord(1)
	rec.Finals[0] = correlatortest.Final(0, body)
	if err := home.Save(t.Context(), id, rec); err != nil {
		t.Errorf("save: %v", err)
	}
	if rec, err := other.Lookup(t.Context(), id); err != nil || !rec.Complete() || string(rec.Finals[0].Body) != body {
		t.Errorf("the record is %.100v, %v", rec, err)
	}
}

// TestStrangerIsFirst: what a stranger has written before a trip has anything in Redis does not stay in the way of it.
func TestStrangerIsFirst(t *testing.T) {
	server := redistest.Start(t)
	home, other := start(t, config(server.URL())), start(t, config(server.URL()))
	for what, attack := range attacksBefore() {
		t.Run(what, func(t *testing.T) { attackedBefore(t, server, home, other, attack) })
	}
}

func attackedBefore(t *testing.T, server *redistest.Server, home, other *redis.Correlator, attack func(*stranger)) {
	t.Helper()
	k, id := newKey(), home.NewID(soon())
	s := newStranger(t, server.URL(), home, id, k)
	attack(s)
	if _, err := other.Lookup(t.Context(), id); !errors.Is(err, correlator.ErrGone) {
		t.Errorf("look up: %v", err)
	}
	if _, err := other.Attach(t.Context(), id, correlatortest.Once(correlator.Held), soon()); !errors.Is(err, correlator.ErrGone) {
		t.Errorf("attach: %v", err)
	}
	if owner, err := home.Claim(t.Context(), k, [32]byte{}, id, openRecord(1)); err != nil || owner != id {
		t.Fatalf("the key is %v's, %v", owner, err)
	}
	trip := correlatortest.Once(correlator.Held)
	if err := home.Park(id, trip, soon()); err != nil {
		t.Fatal(err)
	}
	defer home.Close(id)
	waiter := attach(t, other, id)
	deliver(t, other, id, `"e"`)
	hears(t, trip, `"e"`, healed)
	hears(t, waiter, `"e"`, healed)
	keeps(t, home, other, id, `"e"`)
}

// TestStrangerIsInTheWayOfASave: a result that its home saves, as the engine has answered at once, takes the place of a forged one.
func TestStrangerIsInTheWayOfASave(t *testing.T) {
	server := redistest.Start(t)
	home, other := start(t, config(server.URL())), start(t, config(server.URL()))
	for what, forged := range map[string]string{"junk": "junk", "another's": ""} {
		k, id := newKey(), home.NewID(soon())
		s := newStranger(t, server.URL(), home, id, k)
		if forged == "" {
			forged = s.otherTrip
		}
		if _, err := home.Claim(t.Context(), k, [32]byte{}, id, openRecord(1)); err != nil {
			t.Fatal(err)
		}
		waiter := attach(t, other, id)
		s.must(s.HSet(t.Context(), s.of.Trip, "0", forged).Err())
		if err := home.Save(t.Context(), id, completeRecord()); err != nil {
			t.Errorf("%s: save: %v", what, err)
		}
		hears(t, waiter, `1`, healed)
		if rec, err := other.Lookup(t.Context(), id); err != nil || string(rec.Finals[0].Body) != `1` {
			t.Errorf("%s: the record is %v, %v", what, rec, err)
		}
	}
}

// TestForgedIsReported: in one line a minute, which quotes nothing of what was read.
func TestForgedIsReported(t *testing.T) {
	server := redistest.Start(t)
	var lines atomic.Int32
	var last atomic.Value
	c, err := redis.New(config(server.URL()), nodeKeys(t), redis.Options{Forged: func(err error) {
		lines.Add(1)
		last.Store(err)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Shutdown(context.Background()) })
	awaitReady(t, c)
	s := newStranger(t, server.URL(), c, c.NewID(soon()), newKey())
	for range 100 {
		s.publish(s.of.Entry+"0:"+framed(`1"forged"`), "junk:junk")
	}
	correlatortest.Eventually(t, "all are counted", func() bool { return c.Forged() >= 200 })
	if n := lines.Load(); n != 1 {
		t.Errorf("%d lines", n)
	}
	quotesNothing(t, last.Load().(error), s.of.Entry, `"forged"`, "junk")
}

// TestKeysAreRotated: what was written under a key reads on for as long as that is known, and is none of ours afterwards: a client's key
// is free then.
func TestKeysAreRotated(t *testing.T) {
	server := redistest.Start(t)
	before, after := correlator.RandomKey(), correlator.RandomKey()
	keys, err := correlator.NewKeys([]string{before})
	if err != nil {
		t.Fatal(err)
	}
	c, err := redis.New(config(server.URL()), keys, redis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Shutdown(context.Background()) })
	awaitReady(t, c)
	k, id := newKey(), c.NewID(soon())
	rec := openRecord(1)
	rec.Finals[0] = correlatortest.Final(0, `"kept"`)
	if _, err := c.Claim(t.Context(), k, [32]byte{}, id, rec); err != nil {
		t.Fatal(err)
	}
	for _, round := range []struct {
		keys  []string
		reads bool
	}{{[]string{before}, true}, {[]string{before, after}, true}, {[]string{after, before}, true}, {[]string{after}, false}} {
		if err := keys.Set(round.keys); err != nil {
			t.Fatal(err)
		}
		got, err := c.Lookup(t.Context(), id)
		if round.reads != (err == nil) || round.reads && string(got.Finals[0].Body) != `"kept"` {
			t.Errorf("with %d keys: %v, %v", len(round.keys), got, err)
		}
		if _, owner := claim(t, c, k); (owner == id) != round.reads {
			t.Errorf("with %d keys it is %v's", len(round.keys), owner)
		}
	}
	correlatortest.Eventually(t, "ready with the new key", func() bool { return c.Ready() == nil })
}
