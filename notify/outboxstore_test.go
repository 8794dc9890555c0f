package notify_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/correlator"
	"syncgate/internal/redistest"
	"syncgate/notify"
)

// outboxes are the makers of OutboxStores that the contract is for. Each gives another handle on one store every time that the maker's result is called.
func outboxes(t *testing.T) map[string]func(t *testing.T, most int) func() notify.OutboxStore {
	server := redistest.Start(t, "--appendonly", "no")
	return map[string]func(t *testing.T, most int) func() notify.OutboxStore{
		"memory": func(_ *testing.T, most int) func() notify.OutboxStore {
			m := notify.NewMemoryOutbox(most)
			return func() notify.OutboxStore { return m }
		},
		"redis": func(t *testing.T, most int) func() notify.OutboxStore {
			return func() notify.OutboxStore { return notify.NewRedisOutbox(client(t, server), t.Name(), most) }
		},
	}
}

// andCluster adds a Cluster of three.
func andCluster(all map[string]func(t *testing.T, most int) func() notify.OutboxStore) map[string]func(t *testing.T, most int) func() notify.OutboxStore {
	all["cluster"] = func(t *testing.T, most int) func() notify.OutboxStore {
		masters := redistest.StartMasters(t, 3)
		return func() notify.OutboxStore { return notify.NewRedisOutbox(clusterClient(t, masters), "o", most) }
	}
	return all
}

func clusterClient(t testing.TB, masters redistest.Masters) *goredis.ClusterClient {
	var addrs []string
	for _, m := range masters {
		addrs = append(addrs, m.Addr())
	}
	c := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: addrs, Protocol: 2, DisableIdentity: true, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// eachOutbox runs a test of the contract for each OutboxStore.
func eachOutbox(t *testing.T, most int, test func(t *testing.T, open func() notify.OutboxStore)) {
	runOutboxes(t, outboxes(t), most, test)
}

func runOutboxes(t *testing.T, all map[string]func(t *testing.T, most int) func() notify.OutboxStore, most int, test func(t *testing.T, open func() notify.OutboxStore)) {
	for name, start := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t, most))
		})
	}
}

func newTask() correlator.ID {
	return correlator.NewID(correlator.NewNodeID(), time.Now().Add(time.Hour)).Mark()
}

func owe(t testing.TB, store interface {
	Owe(ctx context.Context, task correlator.ID, after time.Duration, sent bool) error
}, task correlator.ID, after time.Duration, sent bool,
) {
	t.Helper()
	if err := store.Owe(t.Context(), task, after, sent); err != nil {
		t.Error(err)
	}
}

// due wants exactly these tasks to be due, in any order, and puts them off by a lease.
func due(t testing.TB, store notify.OutboxStore, lease time.Duration, want ...notify.Owed) (next time.Duration) {
	t.Helper()
	tasks, next, err := store.Due(t.Context(), 100, lease)
	if err != nil {
		t.Fatal(err)
	}
	same := len(tasks) == len(want)
	for _, w := range want {
		found := false
		for _, task := range tasks {
			found = found || task == w
		}
		same = same && found
	}
	if !same {
		t.Errorf("due are %v, want %v", tasks, want)
	}
	return next
}

func TestOutboxStore(t *testing.T) {
	runOutboxes(t, andCluster(outboxes(t)), 1000, func(t *testing.T, open func() notify.OutboxStore) {
		a, b := open(), open()
		now, sent, later := newTask(), newTask(), newTask()
		if next := due(t, a, time.Minute); next != math.MaxInt64 {
			t.Errorf("nothing is kept, and the next is due in %v", next)
		}
		owe(t, a, now, -time.Second, false)
		owe(t, a, sent, 0, true)
		owe(t, b, sent, 0, false) // it stays sent
		owe(t, b, later, time.Hour, false)
		if next := due(t, b, time.Minute, notify.Owed{Task: now}, notify.Owed{Task: sent, Sent: true}); next < 50*time.Second || next > time.Minute+time.Millisecond {
			t.Errorf("the next is due in %v", next)
		}
		due(t, a, time.Minute) // they are leased
		counts(t, a, 3)
		moves(t, a, sent, true, true)
		moves(t, a, later, false, true)
		due(t, b, time.Millisecond, notify.Owed{Task: sent, Sent: true}, notify.Owed{Task: later})
		eventually(t, "a lease ends", func() bool {
			_, late, err := b.Count(t.Context())
			return err == nil && late > 20*time.Millisecond
		})
		due(t, a, time.Minute, notify.Owed{Task: sent, Sent: true}, notify.Owed{Task: later})
		done(t, a, now, sent, later, newTask())
		moves(t, b, sent, false, false)
		counts(t, b, 0) // nor is it kept now
		owe(t, a, sent, 0, false)
		due(t, b, time.Minute, notify.Owed{Task: sent}) // it is another one
		counts(t, a, 1)
	})
}

// counts wants a store to keep n tasks, none of which is late.
func counts(t testing.TB, store notify.OutboxStore, n int) {
	t.Helper()
	if got, after, err := store.Count(t.Context()); got != n || after != 0 || err != nil {
		t.Errorf("%d tasks, %v late, %v", got, after, err)
	}
}

// moves makes a task due, and wants it to be sent, and to be known.
func moves(t testing.TB, store notify.OutboxStore, task correlator.ID, sent, known bool) {
	t.Helper()
	if is, knows, err := store.Move(t.Context(), task, 0); is != sent || knows != known || err != nil {
		t.Errorf("sent %v, known %v, %v", is, knows, err)
	}
}

func done(t testing.TB, store notify.OutboxStore, tasks ...correlator.ID) {
	t.Helper()
	for _, task := range tasks {
		if err := store.Done(t.Context(), task); err != nil {
			t.Error(err)
		}
	}
}

// TestOutboxOrder has the longest due come first, and no more than are asked for.
func TestOutboxOrder(t *testing.T) {
	for _, name := range []string{"memory", "redis"} {
		store := outboxes(t)[name](t, 1000)()
		var tasks []correlator.ID
		for i := range 10 {
			tasks = append(tasks, newTask())
			owe(t, store, tasks[i], time.Duration(10-i)*2*time.Millisecond, false)
		}
		eventually(t, "all are due", func() bool {
			_, late, _ := store.Count(t.Context())
			return late > 30*time.Millisecond
		})
		for i := 9; i >= 0; i -= 2 {
			got, _, err := store.Due(t.Context(), 2, time.Hour)
			if err != nil || len(got) != 2 || got[0].Task != tasks[i] || got[1].Task != tasks[i-1] {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
	}
}

// TestOutboxIsBounded refuses one task too many, and lets those that are known be changed.
func TestOutboxIsBounded(t *testing.T) {
	for _, name := range []string{"memory", "redis"} {
		store := outboxes(t)[name](t, 3)()
		known := newTask()
		owe(t, store, known, time.Hour, false)
		owe(t, store, newTask(), time.Hour, false)
		owe(t, store, newTask(), time.Hour, false)
		err := store.Owe(t.Context(), newTask(), 0, false)
		if !errors.Is(err, correlator.ErrFull) || !errors.Is(err, correlator.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		owe(t, store, known, 0, true)
		due(t, store, time.Hour, notify.Owed{Task: known, Sent: true})
		done(t, store, known)
		owe(t, store, newTask(), 0, false)
	}
}

// TestOutboxLeases has many ask at once: each task is given once.
func TestOutboxLeases(t *testing.T) {
	const all, askers = 400, 8
	runOutboxes(t, andCluster(outboxes(t)), 1000, func(t *testing.T, open func() notify.OutboxStore) {
		var group sync.WaitGroup
		given := make(chan notify.Owed, 2*all)
		for range askers {
			store := open()
			group.Go(func() {
				for range all / askers {
					owe(t, store, newTask(), 0, false)
				}
				drain(t, store, given)
			})
		}
		group.Wait()
		drain(t, open(), given)
		close(given)
		seen := make(map[notify.Owed]bool)
		for task := range given {
			if seen[task] {
				t.Errorf("%v was given twice", task)
			}
			seen[task] = true
		}
		if len(seen) != all {
			t.Errorf("%d were given", len(seen))
		}
	})
}

// drain takes what is due until nothing is.
func drain(t testing.TB, store notify.OutboxStore, to chan<- notify.Owed) {
	for {
		tasks, _, err := store.Due(t.Context(), 7, time.Hour)
		if err != nil {
			t.Error(err)
		}
		if len(tasks) == 0 {
			return
		}
		for _, task := range tasks {
			to <- task
		}
	}
}

// TestOutboxOfOthers has a Redis hold what is not ours.
func TestOutboxOfOthers(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "no")
	store := notify.NewRedisOutbox(client(t, server), "others", 0)
	const key = "others:outbox:1:{outbox-0}:due"
	task := newTask()
	owe(t, store, task, 0, false)
	server.Do("ZADD", key, "-inf", "short", "0", strings.Repeat("x", 33), "1", "", "+inf", strings.Repeat("y", 32))
	if next := due(t, store, time.Hour, notify.Owed{Task: task}); next < 50*time.Minute {
		t.Errorf("the next is due in %v", next)
	}
	if n := server.Do("ZCARD", key); n != ":2" {
		t.Errorf("there are %s: what is no task is not removed", n)
	}
	server.Do("ZADD", key, "-1e300", strings.Repeat("z", 32))
	if n, late, err := store.Count(t.Context()); n != 3 || late < time.Hour || err != nil {
		t.Errorf("%d, %v, %v", n, late, err)
	}
	server.Do("SET", "others:outbox:1:{outbox-0}:sent", "none")
	if err := store.Owe(t.Context(), task, 0, true); !errors.Is(err, correlator.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// TestOutboxErrorsShowNothing has a Redis quote what it was sent, answer what no script does, and be away.
func TestOutboxErrorsShowNothing(t *testing.T) {
	task := newTask()
	for _, answer := range []string{"-ERR unknown command 'quoted'", "*0", "*2\r\n$1\r\nx\r\n*3\r\n$1\r\na\r\n:1\r\n$2\r\nbb", "+OK", ""} {
		q := redistest.StartQuoting(t, func([]string) string { return answer })
		c := goredis.NewClient(&goredis.Options{Addr: q.Addr(), Protocol: 2, DisableIdentity: true, MaxRetries: -1, ReadTimeout: 200 * time.Millisecond})
		t.Cleanup(func() { _ = c.Close() })
		store := notify.NewRedisOutbox(c, "quoting", 0)
		tasks, _, looked := store.Due(t.Context(), 1, time.Second)
		_, _, moved := store.Move(t.Context(), task, 0)
		if len(tasks) > 0 || answer != "" && moved == nil {
			t.Errorf("%q: %v, %v", answer, tasks, moved)
		}
		for _, err := range []error{looked, moved, store.Owe(t.Context(), task, 0, false)} {
			if err != nil && (!errors.Is(err, correlator.ErrUnavailable) || strings.Contains(err.Error(), "quoted")) {
				t.Errorf("%q: %v", answer, err)
			}
		}
	}
}
