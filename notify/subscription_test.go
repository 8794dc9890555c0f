package notify_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"syncgate/internal/redistest"
	"syncgate/notify"
	"syncgate/signer"
)

// eachSubscriptions runs a test of the contract for each of the Subscriptions. open gives another handle on one store every time.
func eachSubscriptions(t *testing.T, test func(t *testing.T, open func() notify.Subscriptions)) {
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		m := notify.NewMemorySubscriptions(1000)
		test(t, func() notify.Subscriptions { return m })
	})
	server := redistest.Start(t, "--appendonly", "no")
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, func() notify.Subscriptions { return subscriptions(t, server) })
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		masters := redistest.StartMasters(t, 3)
		test(t, func() notify.Subscriptions {
			return notify.NewRedisSubscriptions(clusterClient(t, masters), "subs", sealer(), zerolog.Nop())
		})
	})
}

func subscriptions(t testing.TB, server *redistest.Server) *notify.RedisSubscriptions {
	return notify.NewRedisSubscriptions(client(t, server), "subs", sealer(), zerolog.Nop())
}

// subscribed is a Subscription of an owner to a group.
func subscribed(owner, group string) notify.Subscription {
	return notify.Subscription{
		ID: notify.NewID(), Owner: owner, Group: group, Mode: notify.Continuous, URL: "https://receiver.example/x",
		Secrets: []signer.Secret{secret, newSecret}, Created: time.UnixMilli(1_700_000_000_123),
	}
}

func add(t testing.TB, store notify.Subscriptions, s notify.Subscription) notify.Subscription {
	t.Helper()
	if err := store.Add(t.Context(), s, 100); err != nil {
		t.Fatal(err)
	}
	return get(t, store, s.ID)
}

func get(t testing.TB, store notify.Subscriptions, id string) notify.Subscription {
	t.Helper()
	s, err := store.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// matches wants exactly these to be the subscriptions of an owner to a group.
func matches(t testing.TB, store notify.Subscriptions, owner, group string, want ...notify.Subscription) {
	t.Helper()
	all, err := store.Match(t.Context(), owner, group)
	if err != nil {
		t.Fatal(err)
	}
	same := len(all) == len(want)
	for _, w := range want {
		same = same && slices.ContainsFunc(all, func(s notify.Subscription) bool { return alike(s, w) })
	}
	if !same {
		t.Errorf("%q, %q: %d match, want %d, or others", owner, group, len(all), len(want))
	}
}

// alike compares what a store keeps.
func alike(a, b notify.Subscription) bool { return fmt.Sprintf("%#v", a) == fmt.Sprintf("%#v", b) }

// fails wants errors to be some.
func failsWith(t testing.TB, want error, errs ...error) {
	t.Helper()
	for i, err := range errs {
		if !errors.Is(err, want) {
			t.Errorf("error %d is %v, want %v", i, err, want)
		}
	}
}

// good wants no errors.
func good(t testing.TB, errs ...error) {
	t.Helper()
	failsWith(t, nil, errs...)
}

func TestSubscriptions(t *testing.T) {
	eachSubscriptions(t, func(t *testing.T, open func() notify.Subscriptions) {
		a, b := open(), open()
		made := subscribed("shop", "orders")
		got := add(t, a, made)
		made.State = notify.Active
		if !alike(got, made) || !slices.Equal(got.Secrets, made.Secrets) {
			t.Errorf("%+v, want %+v", got, made)
		}
		again := made
		again.Group, again.URL = "other", "https://other.example/"
		if kept := add(t, b, again); !alike(kept, made) {
			t.Errorf("a second Add changes it: %+v", kept)
		}
		once := subscribed("shop", "orders")
		once.Mode, once.Task, once.Secrets = notify.Once, "task", nil
		once.Topic, once.Last, once.State, once.Ended = "topic", &notify.Attempt{Number: 9}, notify.Ended, time.Now() // which are the store's
		once = add(t, b, once)
		if once.Task != "task" || len(once.Secrets) > 0 || once.Topic != "" || once.Last != nil || once.State != notify.Active || !once.Ended.IsZero() {
			t.Errorf("%+v", once)
		}
		matches(t, b, "shop", "orders", made)
		_, unknown := a.Get(t.Context(), "nothing")
		failsWith(t, notify.ErrUnknown, unknown, a.End(t.Context(), "nothing", notify.Ended), a.Append(t.Context(), "nothing", "n", nil))
		good(t, a.Note(t.Context(), "nothing", notify.Attempt{}))
	})
}

// TestSubscriptionsOfOthers keeps one of an id, whose owner is the first. In a Cluster that counts for owners of one shard, as ids are random.
func TestSubscriptionsOfOthers(t *testing.T) {
	for name, store := range map[string]notify.Subscriptions{
		"memory": notify.NewMemorySubscriptions(10), "redis": subscriptions(t, redistest.Start(t, "--appendonly", "no")),
	} {
		made := add(t, store, subscribed("shop", "orders"))
		foreign := subscribed("another", "orders")
		foreign.ID = made.ID
		if err := store.Add(t.Context(), foreign, 100); err == nil {
			t.Errorf("%s: another owner adds it", name)
		}
		if kept := get(t, store, made.ID); !alike(kept, made) {
			t.Errorf("%s: %+v", name, kept)
		}
	}
}

// TestSubscriptionsMatch finds those of an owner and a group, and no others.
func TestSubscriptionsMatch(t *testing.T) {
	eachSubscriptions(t, func(t *testing.T, open func() notify.Subscriptions) {
		a, b := open(), open()
		first, second := add(t, a, subscribed("ab", "c")), add(t, b, subscribed("ab", "c"))
		other := add(t, a, subscribed("a", "bc"))
		odd := add(t, b, subscribed("{\n\x00ö:", "*\xff"))
		matches(t, a, "ab", "c", first, second)
		matches(t, b, "a", "bc", other)
		matches(t, a, odd.Owner, odd.Group, odd)
		matches(t, a, "abc", "")
		matches(t, a, "", "abc")
		if err := b.End(t.Context(), first.ID, notify.Cancelled); err != nil {
			t.Error(err)
		}
		matches(t, a, "ab", "c", second)
	})
}

// TestSubscriptionsMatchOnce gives each subscription once, however often it was added, and by whom.
func TestSubscriptionsMatchOnce(t *testing.T) {
	eachSubscriptions(t, func(t *testing.T, open func() notify.Subscriptions) {
		a, b := open(), open()
		s := subscribed("shop", "orders")
		good(t, atOnce([]notify.Subscriptions{a, b, a, b}, func(store notify.Subscriptions) error { return store.Add(t.Context(), s, 100) })...)
		s.State = notify.Active
		matches(t, a, "shop", "orders", s)
		next := add(t, b, subscribed("shop", "orders")) // that replaces it
		matches(t, a, "shop", "orders", s, next)
		ended(t, a, s)
		good(t, b.Add(t.Context(), s, 100))
		matches(t, b, "shop", "orders", next)
	})
}

// TestSubscriptionsLapse: one that is active for longer than it may be is forgotten, and counts for no quota. One that ended before is kept as any other.
func TestSubscriptionsLapse(t *testing.T) {
	eachSubscriptions(t, func(t *testing.T, open func() notify.Subscriptions) {
		a, b := open(), open()
		const most, lasts = 3, 400 * time.Millisecond
		once := func(until time.Time) notify.Subscription {
			s := subscribed("shop", "orders")
			s.Mode, s.Task, s.Until = notify.Once, "task", until
			good(t, a.Add(t.Context(), s, most))
			return get(t, b, s.ID)
		}
		kept, ends, lapses := once(time.Now().Add(time.Hour)), once(time.Now().Add(lasts)), once(time.Now().Add(lasts))
		failsWith(t, notify.ErrQuota, b.Add(t.Context(), subscribed("shop", "orders"), most))
		ended(t, b, ends)
		more := add(t, a, subscribed("shop", "orders"))
		failsWith(t, notify.ErrQuota, b.Add(t.Context(), subscribed("shop", "orders"), most))
		eventually(t, "it is never forgotten", func() bool {
			_, err := b.Get(t.Context(), lapses.ID)
			return errors.Is(err, notify.ErrUnknown)
		})
		failsWith(t, notify.ErrUnknown, a.End(t.Context(), lapses.ID, notify.Ended))
		good(t, a.Add(t.Context(), subscribed("shop", "orders"), most))
		failsWith(t, notify.ErrQuota, b.Add(t.Context(), subscribed("shop", "orders"), most))
		if s := get(t, a, ends.ID); s.State != notify.Ended {
			t.Errorf("one that ended is %s", s.State)
		}
		if s := get(t, a, kept.ID); s.State != notify.Active {
			t.Errorf("one that lasts longer is %s", s.State)
		}
		get(t, a, more.ID)
	})
}

// TestSubscriptionsEnd has one end once, and stay known.
func TestSubscriptionsEnd(t *testing.T) {
	eachSubscriptions(t, func(t *testing.T, open func() notify.Subscriptions) {
		a, b := open(), open()
		s := add(t, a, subscribed("shop", "orders"))
		last := notify.Attempt{At: time.UnixMilli(1_700_000_000_000).UTC(), Status: 500, Outcome: notify.OutcomeStatus, Number: 2}
		good(t, b.Note(t.Context(), s.ID, last))
		if got := get(t, a, s.ID); got.Last == nil || *got.Last != last {
			t.Errorf("the last attempt is %+v", got.Last)
		}
		if err := a.End(t.Context(), s.ID, notify.Active); err == nil {
			t.Error("it ends as active")
		}
		ends := atOnce([]notify.Subscriptions{a, b, a, b}, func(store notify.Subscriptions) error { return store.End(t.Context(), s.ID, notify.Cancelled) })
		good(t, ends[:1]...)
		failsWith(t, notify.ErrInactive, ends[1:]...)
		got := get(t, b, s.ID)
		if got.State != notify.Cancelled || time.Since(got.Ended).Abs() > time.Minute || got.Last == nil {
			t.Errorf("%+v", got)
		}
		failsWith(t, notify.ErrInactive, a.End(t.Context(), s.ID, notify.Completed), a.Append(t.Context(), s.ID, "n", nil))
		if kept := add(t, a, s); kept.State != notify.Cancelled {
			t.Errorf("a second Add opens it: %+v", kept)
		}
	})
}

// atOnce calls a function for each of some stores at the same time, and gives the errors, nil first.
func atOnce(stores []notify.Subscriptions, call func(notify.Subscriptions) error) []error {
	errs := make([]error, len(stores))
	var group sync.WaitGroup
	for i, store := range stores {
		group.Go(func() { errs[i] = call(store) })
	}
	group.Wait()
	slices.SortStableFunc(errs, func(a, b error) int {
		switch {
		case (a == nil) == (b == nil):
			return 0
		case a == nil:
			return -1
		}
		return 1
	})
	return errs
}

// TestSubscriptionsQuota has two nodes add at the same time: an owner has as many as may be, and not one more.
func TestSubscriptionsQuota(t *testing.T) {
	const most, tries = 7, 40
	eachSubscriptions(t, func(t *testing.T, open func() notify.Subscriptions) {
		nodes, ids := []notify.Subscriptions{open(), open()}, make(chan string, tries)
		adds := atOnce(slices.Repeat(nodes, tries/2), func(store notify.Subscriptions) error {
			s := subscribed("shop", "orders")
			err := store.Add(t.Context(), s, most)
			if err == nil {
				ids <- s.ID
			}
			return err
		})
		good(t, adds[:most]...)
		failsWith(t, notify.ErrQuota, adds[most:]...)
		store := open()
		good(t, store.Add(t.Context(), subscribed("another", "orders"), most), store.End(t.Context(), <-ids, notify.Ended),
			store.Add(t.Context(), subscribed("shop", "other"), most)) // in the place of the one that ended
		failsWith(t, notify.ErrQuota, store.Add(t.Context(), subscribed("shop", "other"), most))
	})
}

// TestSubscriptionsInvalid refuses what costs too much, or is no subscription.
func TestSubscriptionsInvalid(t *testing.T) {
	store := notify.NewMemorySubscriptions(10)
	for name, change := range map[string]func(s *notify.Subscription){
		"no id":        func(s *notify.Subscription) { s.ID = "" },
		"an id":        func(s *notify.Subscription) { s.ID = "a:b" },
		"a long id":    func(s *notify.Subscription) { s.ID = strings.Repeat("x", 129) },
		"a long owner": func(s *notify.Subscription) { s.Owner = strings.Repeat("x", 257) },
		"a long group": func(s *notify.Subscription) { s.Group = strings.Repeat("x", 257) },
		"a long task":  func(s *notify.Subscription) { s.Task = strings.Repeat("x", 257) },
		"a long URL":   func(s *notify.Subscription) { s.URL = strings.Repeat("x", 2049) },
		"a mode":       func(s *notify.Subscription) { s.Mode = "twice" },
		"a secret":     func(s *notify.Subscription) { s.Secrets = []signer.Secret{"s3cret"} },
		"many secrets": func(s *notify.Subscription) { s.Secrets = make([]signer.Secret, 9) },
	} {
		s := subscribed("shop", "orders")
		change(&s)
		var invalid *notify.InvalidError
		if err := store.Add(t.Context(), s, 10); !errors.As(err, &invalid) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSubscriptionsInMemoryAreBounded has too many active ones refused, and the oldest ended ones forgotten.
func TestSubscriptionsInMemoryAreBounded(t *testing.T) {
	store := notify.NewMemorySubscriptions(2)
	first := add(t, store, subscribed("a", "g"))
	second := add(t, store, subscribed("b", "g"))
	failsWith(t, notify.ErrFull, store.Add(t.Context(), subscribed("c", "g"), 10))
	for _, s := range []notify.Subscription{first, second, add(t, ended(t, store, first), subscribed("c", "g"))} {
		_ = store.End(t.Context(), s.ID, notify.Ended)
	}
	_, err := store.Get(t.Context(), first.ID)
	failsWith(t, notify.ErrUnknown, err)
	get(t, store, second.ID)
	topic := subscribed("shop", "orders")
	topic.URL = ""
	other := add(t, store, subscribed("d", "g"))
	failsWith(t, notify.ErrNoTopics, store.Add(t.Context(), topic, 10), store.Append(t.Context(), other.ID, "n", nil))
}

// ended ends a subscription of a store.
func ended(t testing.TB, store notify.Subscriptions, s notify.Subscription) notify.Subscriptions {
	t.Helper()
	if err := store.End(t.Context(), s.ID, notify.Ended); err != nil {
		t.Error(err)
	}
	return store
}

// TestSubscriptionsThatLapsedBefore are forgotten at once, and not kept for ever.
func TestSubscriptionsThatLapsedBefore(t *testing.T) {
	eachSubscriptions(t, func(t *testing.T, open func() notify.Subscriptions) {
		a, b := open(), open()
		s := subscribed("shop", "orders")
		s.Until = time.Now().Add(-time.Hour)
		good(t, a.Add(t.Context(), s, 1))
		eventually(t, "it is never forgotten", func() bool {
			_, err := b.Get(t.Context(), s.ID)
			return errors.Is(err, notify.ErrUnknown)
		})
		matches(t, b, "shop", "orders")
		good(t, a.Add(t.Context(), subscribed("shop", "orders"), 1))
	})
}

// TestSubscriptionsInMemoryAreForgotten a week after their end, and at their time where they have one: whatever is asked first then.
func TestSubscriptionsInMemoryAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := notify.NewMemorySubscriptions(10)
		lapsing := func() notify.Subscription {
			s := subscribed("shop", "orders")
			s.Until = time.Now().Add(time.Hour)
			return add(t, store, s)
		}
		s := add(t, store, subscribed("shop", "orders"))
		ended(t, store, s)
		<-time.After(notify.KeepSubscription)
		get(t, store, s.ID)
		<-time.After(time.Second)
		_, err := store.Get(t.Context(), s.ID)
		failsWith(t, notify.ErrUnknown, err)

		for what, first := range map[string]func(s notify.Subscription) error{
			"Match": func(notify.Subscription) error { matches(t, store, "shop", "orders"); return notify.ErrUnknown },
			"End":   func(s notify.Subscription) error { return store.End(t.Context(), s.ID, notify.Cancelled) },
			"Get":   func(s notify.Subscription) error { _, err := store.Get(t.Context(), s.ID); return err },
			"Add":   func(s notify.Subscription) error { return errors.Join(store.Add(t.Context(), s, 1), notify.ErrUnknown) },
		} {
			s := lapsing()
			matches(t, store, "shop", "orders", s)
			<-time.After(time.Hour)
			s.Until = time.Now().Add(-time.Second)
			if err := first(s); !errors.Is(err, notify.ErrUnknown) {
				t.Errorf("%s: %v", what, err)
			}
			matches(t, store, "shop", "orders")
		}
	})
}

// TestSubscriptionsInMemoryAreNobodyElses: a store shares no memory with its callers.
func TestSubscriptionsInMemoryAreNobodyElses(t *testing.T) {
	store := notify.NewMemorySubscriptions(10)
	s := subscribed("shop", "orders")
	want := add(t, store, s)
	good(t, store.Note(t.Context(), s.ID, notify.Attempt{Number: 1}))
	s.Secrets[0] = "changed"
	got := get(t, store, s.ID)
	all, err := store.Match(t.Context(), "shop", "orders")
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	for _, other := range []notify.Subscription{got, all[0]} {
		other.Secrets[1], other.Last.Number = "changed", 7
	}
	if kept := get(t, store, s.ID); !slices.Equal(kept.Secrets, want.Secrets) || kept.Last.Number != 1 {
		t.Errorf("%+v", kept)
	}
}
