package notify_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"syncgate/correlator"
	"syncgate/internal/redistest"
	"syncgate/notify"
)

// outboxOf is an OutboxStore in a Redis, under the prefix that a child has.
func outboxOf(t testing.TB, server *redistest.Server) notify.OutboxStore {
	return notify.NewRedisOutbox(client(t, server), "faults", 0)
}

// TestOutboxIsKilledInTheMiddle has a process killed while it looks at tasks. Another one looks at all of them when the lease has ended, and not before.
func TestOutboxIsKilledInTheMiddle(t *testing.T) {
	const all = 20
	server := durable(t)
	store := outboxOf(t, server)
	victim := startChild(t, server, "faults")
	began := time.Now()
	for range all {
		owe(t, store, newTask(), 0, false)
	}
	eventually(t, "the process looks at them", func() bool { return server.Do("GET", childLooks) == "20" })
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	first := make(chan time.Time, all)
	p := &pushes{answer: func(context.Context, correlator.ID, int, bool) (time.Duration, bool, error) {
		first <- time.Now()
		return 0, true, nil
	}}
	outbox(t, outboxOf(t, server), childOutbox()).Start(p.push)
	empties(t, store)
	if p.all() != all {
		t.Errorf("%d are looked at", p.all())
	}
	if after := (<-first).Sub(began); after < childOutbox().Lease {
		t.Errorf("another process looks after %v", after)
	}
	if after := time.Since(began); after > childOutbox().Lease+5*time.Second {
		t.Errorf("the takeover took %v", after)
	}
}

// TestOutboxWhileRedisIsAway has looks be asked for while Redis is away, results come of others meanwhile, and Redis be back with what it had: each task
// that is not done is looked at, and soon.
func TestOutboxWhileRedisIsAway(t *testing.T) {
	server := durable(t)
	store, log := outboxOf(t, server), new(logs)
	began, goOn := make(chan struct{}, 1), make(chan struct{})
	running := newTask()
	p := &pushes{answer: func(_ context.Context, task correlator.ID, _ int, _ bool) (time.Duration, bool, error) {
		if task == running {
			began <- struct{}{}
			<-goOn
		}
		return 0, true, nil
	}}
	c := quickly()
	c.Lease, c.Log = 20*time.Second, zerolog.New(log)
	o := outbox(t, outboxOf(t, server), c)
	o.Start(p.push)
	owe(t, o, running, time.Hour, false)
	o.Look(running)
	<-began
	var tasks []correlator.ID
	for i := range 20 {
		tasks = append(tasks, newTask())
		owe(t, o, tasks[i], time.Hour, false)
	}
	server.Kill()
	for _, task := range tasks {
		o.Look(task)
	}
	close(goOn)
	if err := o.Owe(t.Context(), newTask(), 0, false); !errors.Is(err, correlator.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	eventually(t, "that Redis is away is logged", func() bool { return strings.Contains(log.String(), "the store of their tasks does not answer") })
	server.Restart()
	empties(t, store)
	for _, task := range append(tasks, running) {
		if n := p.count(task); n != 1 {
			t.Errorf("%d looks", n)
		}
	}
	eventually(t, "that Redis is back is logged", func() bool { return strings.Contains(log.String(), "the store of their tasks answers") })
	if n := strings.Count(log.String(), "does not answer"); n > 3 { // a connection that is old may fail after a new one was good
		t.Errorf("%d lines", n)
	}
}

// TestOutboxFailover has a master be replaced by its replica.
func TestOutboxFailover(t *testing.T) {
	t.Parallel()
	const all = 50
	f := redistest.StartFailover(t, "main")
	var addrs []string
	for _, s := range f.Sentinels {
		addrs = append(addrs, s.Addr())
	}
	c := goredis.NewFailoverClient(&goredis.FailoverOptions{
		MasterName: "main", SentinelAddrs: addrs, Protocol: 2, DialTimeout: time.Second, ReadTimeout: time.Second, DisableIdentity: true, ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() { _ = c.Close() })
	store := notify.NewRedisOutbox(c, "failover", 0)
	for range all {
		owe(t, store, newTask(), time.Second, true)
	}
	f.Master.Do("WAIT", "1", "5000")
	f.Master.Kill()
	f.AwaitPromotion()
	p := &pushes{answer: func(_ context.Context, _ correlator.ID, _ int, sent bool) (time.Duration, bool, error) {
		if !sent {
			t.Error("that it is sent is forgotten")
		}
		return 0, true, nil
	}}
	outbox(t, store, quickly()).Start(p.push)
	empties(t, store)
	if p.all() != all {
		t.Errorf("%d are looked at", p.all())
	}
}

// TestOutboxOfAFullRedis has tasks that are kept be looked at, put off and done with, while new ones are refused.
func TestOutboxOfAFullRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory-policy", "noeviction")
	store := outboxOf(t, server)
	first, second := newTask(), newTask()
	owe(t, store, first, 0, false)
	owe(t, store, second, 0, false)
	server.Do("CONFIG", "SET", "maxmemory", "1")
	failsWith(t, correlator.ErrUnavailable, store.Owe(t.Context(), newTask(), 0, false))
	due(t, store, 0, notify.Owed{Task: first}, notify.Owed{Task: second})
	moves(t, store, first, false, true)
	owe(t, store, first, 0, true)
	due(t, store, 0, notify.Owed{Task: first, Sent: true}, notify.Owed{Task: second})
	done(t, store, first, second)
	counts(t, store, 0)
}

// TestOutboxIsIdle counts what an Outbox without work asks of Redis.
func TestOutboxIsIdle(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	owe(t, outboxOf(t, server), newTask(), time.Hour, false)
	outbox(t, outboxOf(t, server), notify.OutboxConfig{}).Start(new(pushes).push)
	eventually(t, "it looks", func() bool { return evals(server) >= 3 })
	before, begin := evals(server), time.Now()
	eventually(t, "it looks again", func() bool { return evals(server) >= before+2 })
	if after := time.Since(begin); after < 1400*time.Millisecond {
		t.Errorf("two looks take %v", after)
	}
}
