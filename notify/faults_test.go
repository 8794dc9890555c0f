package notify_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/internal/redistest"
	"syncgate/notify"
)

// durable is a Redis that loses nothing that it answered.
func durable(t *testing.T) *redistest.Server {
	return redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
}

func redisStore(t *testing.T, server *redistest.Server) notify.Store {
	return notify.NewRedis(client(t, server), "faults", 0)
}

// hangsFirst is a receiver that answers nothing to the first request with an id.
func hangsFirst(t *testing.T) *receiver {
	var r *receiver
	r = receive(t, func(_ http.ResponseWriter, q *http.Request, n int) {
		if n == 1 {
			r.hang(q)
		}
	})
	return r
}

// TestKilledInTheMiddle has a process killed with attempts that run, attempts that failed, and attempts that were delivered.
func TestKilledInTheMiddle(t *testing.T) {
	const each = 10
	server := durable(t)
	store := redisStore(t, server)
	victim := startChild(t, server, "faults")
	hangs := hangsFirst(t)
	fails := receive(t, func(w http.ResponseWriter, _ *http.Request, n int) {
		if n == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	takes := receive(t, nil)
	ids := make(map[string]bool)
	for _, r := range []*receiver{hangs, fails, takes} {
		for range each {
			n := hook(r)
			put(t, store, n)
			ids[n.ID] = true
		}
	}
	hangs.await(t, each)
	fails.await(t, each)
	eventually(t, "what is taken is stored", func() bool {
		stats, err := store.Stats(t.Context())
		return err == nil && stats.Open == 2*each
	})
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	sender(t, redisStore(t, server), childConfig())
	for id := range ids {
		becomes(t, store, id, notify.Delivered)
	}
	after := time.Since(killed)
	t.Logf("all are delivered %v after the kill", after)
	if after > takeover(childConfig())+time.Second { // the receiver's own second
		t.Errorf("the takeover took %v", after)
	}
	hangs.came(t, each, 2)
	fails.came(t, each, 2)
	takes.came(t, each, 1)
}

// put stores a notification with a Sender that sends nothing.
func put(t *testing.T, store notify.Store, n notify.Notification) {
	t.Helper()
	idle := idleStore{store}
	c := quick()
	s, err := notify.New(idle, c)
	if err != nil {
		t.Fatal(err)
	}
	send(t, s, n)
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// idleStore gives no work.
type idleStore struct{ notify.Store }

func (idleStore) Claim(context.Context, notify.Room) ([]notify.Job, time.Duration, error) {
	return nil, time.Hour, nil
}

// TestRedisRestarts has 200 notifications open while Redis is killed, and started with what it had.
func TestRedisRestarts(t *testing.T) {
	const all = 200
	server := durable(t)
	var up atomic.Bool
	var mu sync.Mutex
	taken := make(map[string]int)
	r := receive(t, func(w http.ResponseWriter, r *http.Request, _ int) {
		if !up.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		taken[r.Header.Get("webhook-id")]++
	})
	c := quick()
	c.Window, c.PerHost, c.Grace = time.Minute, 32, 2*time.Second
	c.Schedule = []time.Duration{0, 200 * time.Millisecond}
	one, two := sender(t, redisStore(t, server), c), sender(t, redisStore(t, server), c)
	var ids []string
	for i := range all {
		n := hook(r)
		send(t, []*notify.Sender{one, two}[i%2], n)
		ids = append(ids, n.ID)
	}
	r.await(t, all)
	server.Kill()
	if err := one.Send(t.Context(), hook(r)); err == nil {
		t.Error("a notification is stored without a Redis")
	}
	server.Restart()
	up.Store(true)
	back := time.Now()
	store := redisStore(t, server)
	for _, id := range ids {
		becomes(t, store, id, notify.Delivered)
	}
	t.Logf("all are delivered %v after the restart", time.Since(back))
	mu.Lock()
	defer mu.Unlock()
	for _, id := range ids {
		if taken[id] != 1 {
			t.Errorf("%s was taken %d times", id, taken[id])
		}
	}
}

// TestHeardWhileRedisIsAway has receivers take notifications while there is no Redis, for longer than all leases: none of them is sent again.
func TestHeardWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	const all = 50
	server := durable(t)
	answer := make(chan struct{})
	r := receive(t, func(http.ResponseWriter, *http.Request, int) { <-answer })
	c := quick()
	c.PerHost, c.Window, c.Grace = all, time.Minute, 2*time.Second
	store := redisStore(t, server)
	var ids []string
	for range all {
		n := hook(r)
		put(t, store, n)
		ids = append(ids, n.ID)
	}
	for range 2 {
		sender(t, redisStore(t, server), c)
	}
	r.await(t, all)
	server.Kill()
	close(answer)
	<-time.After(c.Timeout + c.Grace + 200*time.Millisecond) // the outage
	server.Restart()
	for _, id := range ids {
		becomes(t, store, id, notify.Delivered)
	}
	r.came(t, all, 1)
}

// TestManySendersOneStore has each notification sent once, whoever of two Senders claims it.
func TestManySendersOneStore(t *testing.T) {
	each(t, func(t *testing.T, open func() notify.Store) {
		const all = 300
		r := receive(t, nil)
		store, c := open(), quick()
		c.Timeout, c.Window = 20*time.Second, time.Minute // a busy machine answers late, and no attempt may be made again for that
		for range 2 {
			s := sender(t, open(), c)
			for range all / 2 {
				send(t, s, hook(r))
			}
		}
		eventually(t, "all are delivered", func() bool {
			stats, err := store.Stats(t.Context())
			return err == nil && stats.Open == 0
		})
		r.came(t, all, 1)
	})
}

// TestReceiversThatHang has 2 of 20 receivers answer nothing: the others have theirs within a bound, in which no attempt at those ends.
func TestReceiversThatHang(t *testing.T) {
	each(t, func(t *testing.T, open func() notify.Store) {
		const hanging, taking, all = 2, 18, 100 // all: notifications to each
		store, c := open(), quick()
		c.Timeout, c.Window, c.Slots, c.PerHost = time.Minute, time.Hour, 64, 8
		s := sender(t, store, c)
		begin := time.Now()
		var hang, take []*receiver
		for range hanging {
			var r *receiver
			r = receive(t, func(_ http.ResponseWriter, q *http.Request, _ int) { r.hang(q) })
			hang = append(hang, r)
		}
		for range taking {
			take = append(take, receive(t, nil))
		}
		sendAll(t, s, append(hang, take...), all)
		eventually(t, "the others have theirs", func() bool {
			stats, err := store.Stats(t.Context())
			return err == nil && stats.Open <= hanging*all
		})
		t.Logf("%d notifications to %d receivers: %v", taking*all, taking, time.Since(begin))
		for _, r := range take {
			r.came(t, all, 1)
		}
		for _, r := range hang {
			r.came(t, c.PerHost, 1)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := s.Close(ctx); err == nil {
			t.Error("attempts at receivers that hang ended by themselves")
		}
	})
}

// sendAll sends so many notifications to each receiver, in turn.
func sendAll(t *testing.T, s *notify.Sender, to []*receiver, each int) {
	t.Helper()
	for range each {
		for _, r := range to {
			send(t, s, hook(r))
		}
	}
}
