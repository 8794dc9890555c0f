package notify_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"syncgate/internal/redistest"
	"syncgate/notify"
	"syncgate/signer"
)

// topic is a Subscription without a URL.
func topic() notify.Subscription {
	s := subscribed("shop", "orders")
	s.URL = ""
	return s
}

// entries gives the notifications of a topic, as a client reads them.
func entries(t testing.TB, c goredis.UniversalClient, topic string) (ids []string) {
	t.Helper()
	all, err := c.XRange(t.Context(), topic, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if body, ok := e.Values["body"].(string); len(e.Values) != 2 || !ok || !strings.HasPrefix(body, "{") {
			t.Errorf("an entry has %.100v", e.Values)
		}
		ids = append(ids, fmt.Sprint(e.Values["id"]))
	}
	return ids
}

// TestTopics has notifications appended once each, by nodes at the same time, while the subscription is active.
func TestTopics(t *testing.T) {
	masters := redistest.StartMasters(t, 3)
	server := redistest.Start(t, "--appendonly", "no")
	for name, c := range map[string]goredis.UniversalClient{"redis": client(t, server), "cluster": clusterClient(t, masters)} {
		t.Run(name, func(t *testing.T) {
			open := func() notify.Subscriptions {
				return notify.NewRedisSubscriptions(c, "my:prefix", sealer(), zerolog.Nop())
			}
			a, b := open(), open()
			s, other := add(t, a, topic()), add(t, a, topic())
			const random = 26
			if !strings.HasPrefix(s.Topic, "my:prefix:") || s.Topic == other.Topic || s.Topic[:len(s.Topic)-random] != other.Topic[:len(other.Topic)-random] {
				t.Errorf("the topics are %s and %s", s.Topic, other.Topic)
			}
			good(t, atOnce([]notify.Subscriptions{a, b, open()}, func(store notify.Subscriptions) (err error) {
				for i := range 20 {
					err = errors.Join(err, store.Append(t.Context(), s.ID, strconv.Itoa(i), []byte(`{"n":1}`)))
				}
				return err
			})...)
			ids := entries(t, c, s.Topic)
			slices.Sort(ids)
			if len(ids) != 20 || len(slices.Compact(ids)) != 20 || len(entries(t, c, other.Topic)) > 0 {
				t.Errorf("%v are there", ids)
			}
			hook := add(t, a, subscribed("shop", "orders"))
			failsWith(t, notify.ErrNoTopics, b.Append(t.Context(), hook.ID, "n", nil))
			expire(t, c, a, s)
		})
	}
}

// expire ends a subscription: it and its topic are kept for seven days, and nothing more is appended.
func expire(t testing.TB, c goredis.UniversalClient, store notify.Subscriptions, s notify.Subscription) {
	t.Helper()
	key := s.Topic[:strings.Index(s.Topic, "topic:")] + "s:" + s.ID
	if d := c.TTL(t.Context(), key).Val(); d != -1 {
		t.Errorf("one that is active is kept for %v", d)
	}
	ended(t, store, s)
	for _, key := range []string{key, s.Topic, s.Topic + ":ids"} {
		if d := c.TTL(t.Context(), key).Val(); d < notify.KeepSubscription-time.Minute || d > notify.KeepSubscription {
			t.Errorf("%s is kept for %v", key, d)
		}
	}
	before := len(entries(t, c, s.Topic))
	failsWith(t, notify.ErrInactive, store.Append(t.Context(), s.ID, "late", []byte("{}")))
	if after := len(entries(t, c, s.Topic)); after != before {
		t.Errorf("%d are there", after)
	}
}

// TestTopicsAreBounded has a topic keep its last notifications, and not many bytes.
func TestTopicsAreBounded(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "no")
	c, store := client(t, server), subscriptions(t, server)
	s := add(t, store, topic())
	for i := range notify.TopicLength + 500 {
		good(t, store.Append(t.Context(), s.ID, strconv.Itoa(i), []byte(`{}`)))
	}
	ids := entries(t, c, s.Topic)
	if len(ids) < notify.TopicLength || len(ids) > notify.TopicLength+200 || ids[len(ids)-1] != strconv.Itoa(notify.TopicLength+499) {
		t.Errorf("%d are kept", len(ids))
	}
	if n := c.ZCard(t.Context(), s.Topic+":ids").Val(); n != notify.TopicLength {
		t.Errorf("%d ids are kept", n)
	}
	if err := store.Append(t.Context(), s.ID, "500", []byte(`{}`)); err != nil || len(entries(t, c, s.Topic)) != len(ids) {
		t.Errorf("the oldest one of the last is appended again: %v", err)
	}
	large := add(t, store, topic())
	body := []byte("{" + strings.Repeat("x", 8<<20))
	for i := range 12 {
		good(t, store.Append(t.Context(), large.ID, strconv.Itoa(i), body))
	}
	if kept := entries(t, c, large.Topic); len(kept) < 5 || len(kept) > 8 || kept[len(kept)-1] != "11" {
		t.Errorf("%v are kept of 8 MiB each", kept)
	}
	var invalid *notify.InvalidError
	for id, body := range map[string][]byte{"huge": make([]byte, notify.MaxBody+1), "": nil, strings.Repeat("x", 129): nil} {
		if err := store.Append(t.Context(), large.ID, id, body); !errors.As(err, &invalid) {
			t.Errorf("%.10q: %v", id, err)
		}
	}
}

// TestSubscriptionsAreSealed shows no secret in Redis, and takes nothing that was written or changed by others.
func TestSubscriptionsAreSealed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "no")
	log := new(logs)
	store := notify.NewRedisSubscriptions(client(t, server), "subs", sealer(), zerolog.New(log))
	const prefix = "subs:subscriptions:1:{subscriptions-0}:"
	made := add(t, store, subscribed("shop", "orders"))
	if all := server.Do("HGETALL", prefix+"s:"+made.ID); strings.Contains(all, string(secret)[6:]) || !strings.Contains(all, "receiver.example") {
		t.Errorf("Redis has %q", all)
	}
	for field, value := range map[string]string{
		"url": "https://thief.example/", "owner": "thief", "group": "all", "mode": "once", "topic": prefix + "topic:x", "task": "t", "id": "other", "sealed": "",
		"state": "open",
	} {
		s := add(t, store, subscribed("shop", "orders"))
		server.Do("HSET", prefix+"s:"+s.ID, field, value)
		_, err := store.Get(t.Context(), s.ID)
		failsWith(t, notify.ErrUnknown, err)
		matches(t, store, "shop", "orders", made)
	}
	copied := prefix + "s:copy" // all of one that is genuine, under another id
	server.Do("COPY", prefix+"s:"+made.ID, copied)
	server.Do("SADD", prefix+"group:4:shoporders", "copy", "gone", "")
	_, err := store.Get(t.Context(), "copy")
	failsWith(t, notify.ErrUnknown, err)
	matches(t, store, "shop", "orders", made)             // once
	thief := add(t, store, subscribed("thief", "orders")) // that is genuine, and put among those of the shop
	server.Do("SADD", prefix+"group:4:shoporders", thief.ID)
	matches(t, store, "shop", "orders", made)
	matches(t, store, "thief", "orders", thief)
	victim := add(t, store, topic()) // its topic becomes a key that is none
	server.Do("SET", "subs:key", "x")
	server.Do("HSET", prefix+"s:"+victim.ID, "topic", "subs:key")
	failsWith(t, notify.ErrNoTopics, store.Append(t.Context(), victim.ID, "n", nil))
	if good(t, store.End(t.Context(), victim.ID, notify.Ended)); server.Do("TTL", "subs:key") != ":-1" {
		t.Error("another key expires")
	}
	server.Do("DEL", prefix+"s:"+made.ID)
	server.Do("LPUSH", prefix+"s:"+made.ID, "x")
	_, err = store.Get(t.Context(), made.ID)
	failsWith(t, notify.ErrUnavailable, err)
	if text := log.String(); strings.Count(text, "cannot be opened") == 0 || strings.Count(text, "\n") > 3 {
		t.Errorf("the log: %s", text)
	}
}

// TestSubscriptionsOfAnOldKey has the key of callback.keys that sealed one be replaced, and then be gone.
func TestSubscriptionsOfAnOldKey(t *testing.T) {
	t.Parallel()
	const next = "fedcba9876543210fedcba9876543210"
	keys := sealer()
	server := redistest.Start(t, "--appendonly", "no")
	store := notify.NewRedisSubscriptions(client(t, server), "subs", keys, zerolog.Nop())
	s := add(t, store, subscribed("shop", "orders"))
	for _, live := range [][]string{{next, sealingKey}, {next}} {
		if err := keys.Set(live); err != nil {
			t.Fatal(err)
		}
		got, err := store.Get(t.Context(), s.ID)
		if len(live) == 2 && (err != nil || got.Secrets[1] != signer.Secret(newSecret)) || len(live) == 1 && !errors.Is(err, notify.ErrUnknown) {
			t.Errorf("%d keys: %v", len(live), err)
		}
	}
}

// TestSubscriptionsThatRedisLost do not count for the quota.
func TestSubscriptionsThatRedisLost(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "no")
	store := subscriptions(t, server)
	lost := add(t, store, subscribed("shop", "orders"))
	failsWith(t, notify.ErrQuota, store.Add(t.Context(), subscribed("shop", "orders"), 1))
	server.Do("DEL", "subs:subscriptions:1:{subscriptions-0}:s:"+lost.ID)
	if err := store.Add(t.Context(), subscribed("shop", "other"), 1); err != nil {
		t.Error(err)
	}
	matches(t, store, "shop", "orders")
	if n := server.Do("EXISTS", "subs:subscriptions:1:{subscriptions-0}:group:4:shoporders"); n != ":0" {
		t.Error("the group keeps it")
	}
}

// TestSubscriptionsThatLapseLeaveNothing: the next Add of their owner takes them out of what counts. One for a single task is in no group.
func TestSubscriptionsThatLapseLeaveNothing(t *testing.T) {
	t.Parallel()
	const prefix = "subs:subscriptions:1:{subscriptions-0}:"
	server := redistest.Start(t, "--appendonly", "no")
	store := subscriptions(t, server)
	once := func(lasts time.Duration) notify.Subscription {
		s := subscribed("shop", "orders")
		s.Mode, s.Until = notify.Once, time.Now().Add(lasts)
		return s
	}
	kept, lapses := once(time.Hour), once(50*time.Millisecond)
	good(t, store.Add(t.Context(), kept, 100), store.Add(t.Context(), lapses, 100))
	if n := server.Do("EXISTS", prefix+"group:4:shoporders"); n != ":0" {
		t.Error("they are in a group")
	}
	eventually(t, "it is never forgotten", func() bool {
		_, err := store.Get(t.Context(), lapses.ID)
		return errors.Is(err, notify.ErrUnknown)
	})
	more := add(t, store, subscribed("shop", "orders"))
	for key, want := range map[string][]string{"active:shop": {kept.ID, more.ID}, "lapses:shop": {kept.ID}} {
		ids := client(t, server).SMembers(t.Context(), prefix+key).Val()
		if key == "lapses:shop" {
			ids = client(t, server).ZRange(t.Context(), prefix+key, 0, -1).Val()
		}
		if slices.Sort(ids); !slices.Equal(ids, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s has %v, want %v", key, ids, want)
		}
	}
	ended(t, store, kept)
	if n, active := server.Do("EXISTS", prefix+"lapses:shop"), server.Do("SISMEMBER", prefix+"active:shop", kept.ID); n != ":0" || active != ":0" {
		t.Error("one that ended counts still")
	}
	ended(t, store, more)
	good(t, store.Note(t.Context(), "nobody", notify.Attempt{Number: 1}))
	for _, key := range []string{"group:4:shoporders", "active:shop", "s:nobody"} {
		if n := server.Do("EXISTS", prefix+key); n != ":0" {
			t.Errorf("%s is there", key)
		}
	}
	topical := topic()
	topical.Mode, topical.Until = notify.Once, time.Now().Add(time.Hour)
	topical = add(t, store, topical)
	good(t, store.Append(t.Context(), topical.ID, "n", []byte("{}")))
	for _, key := range []string{topical.Topic, topical.Topic + ":ids"} {
		if d := client(t, server).TTL(t.Context(), key).Val(); d < 50*time.Minute || d > time.Hour {
			t.Errorf("%s is kept for %v", key, d)
		}
	}
}

// TestSubscriptionsOfAFullRedis end, and are noted; new ones are refused.
func TestSubscriptionsOfAFullRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "no", "--maxmemory-policy", "noeviction")
	store := subscriptions(t, server)
	s := add(t, store, topic())
	server.Do("CONFIG", "SET", "maxmemory", "1")
	failsWith(t, notify.ErrUnavailable, store.Add(t.Context(), subscribed("shop", "orders"), 10), store.Append(t.Context(), s.ID, "n", nil))
	if err := store.Note(t.Context(), s.ID, notify.Attempt{Number: 3}); err != nil {
		t.Error(err)
	}
	if got := get(t, ended(t, store, s), s.ID); got.State != notify.Ended || got.Last == nil || got.Last.Number != 3 {
		t.Errorf("%+v", got)
	}
}

// TestSubscriptionErrorsShowNothing has a Redis quote what it was sent, and answer what no script does.
func TestSubscriptionErrorsShowNothing(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"-ERR unknown command 'quoted'", "*0", "*1\r\n*2\r\n$1\r\na\r\n:1", "+quoted", "$-1", ""} {
		q := redistest.StartQuoting(t, func([]string) string { return answer })
		c := goredis.NewClient(&goredis.Options{Addr: q.Addr(), Protocol: 2, DisableIdentity: true, MaxRetries: -1, ReadTimeout: 200 * time.Millisecond})
		t.Cleanup(func() { _ = c.Close() })
		store := notify.NewRedisSubscriptions(c, "subs", sealer(), zerolog.Nop())
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		all, matched := store.Match(ctx, "a", "b")
		_, got := store.Get(ctx, "id")
		if len(all) > 0 || got == nil {
			t.Errorf("%q: %v, %v", answer, all, got)
		}
		for _, err := range []error{
			matched, got, store.Add(ctx, subscribed("a", "b"), 1), store.End(ctx, "id", notify.Ended), store.Note(ctx, "id", notify.Attempt{}),
			store.Append(ctx, "id", "n", []byte("quoted")),
		} {
			if err != nil && strings.Contains(err.Error(), "quoted") {
				t.Errorf("%q: %v", answer, err)
			}
		}
		cancel()
	}
}
