package notify_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/internal/redistest"
	"syncgate/notify"
)

// TestCluster has notifications in all shards of a Cluster of three, and the operators find them.
func TestCluster(t *testing.T) {
	t.Parallel()
	const hosts = 20
	masters := redistest.StartMasters(t, 3)
	var addrs []string
	for _, m := range masters {
		addrs = append(addrs, m.Addr())
	}
	open := func() notify.Store {
		c := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: addrs, Protocol: 2, DisableIdentity: true})
		t.Cleanup(func() { _ = c.Close() })
		return notify.NewRedis(c, "cluster", 0)
	}
	store := open()
	senders := []*notify.Sender{sender(t, open(), quick()), sender(t, open(), quick())}
	var answer atomic.Int32
	answer.Store(500)
	ids := make(map[string]bool)
	for i := range hosts {
		r := receive(t, func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(int(answer.Load())) })
		n := hook(r)
		send(t, senders[i%2], n)
		ids[n.ID] = true
	}
	for id := range ids {
		becomes(t, store, id, notify.Dead)
	}
	if listed := pages(t, store, notify.Filter{State: notify.Dead, Limit: 3}); len(listed) != hosts {
		t.Errorf("%d are listed", len(listed))
	}
	if stats, err := store.Stats(t.Context()); err != nil || stats != (notify.Stats{Dead: hosts}) {
		t.Errorf("%+v, %v", stats, err)
	}
	answer.Store(200)
	for id := range ids {
		if err := store.Retry(t.Context(), id); err != nil { // the others look by themselves
			t.Error(err)
		}
		becomes(t, store, id, notify.Delivered)
	}
	used := 0
	for _, m := range masters {
		if m.Do("DBSIZE") != ":0" {
			used++
		}
	}
	if used < 2 {
		t.Errorf("all is at %d server", used)
	}
}

// TestAShardFails has one shard of a Cluster fail: each claim gives what the others have, wherever it begins.
func TestAShardFails(t *testing.T) {
	t.Parallel()
	var addrs []string
	for _, m := range redistest.StartMasters(t, 3) {
		addrs = append(addrs, m.Addr())
	}
	c := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: addrs, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = c.Close() })
	store := notify.NewRedis(c, "fails", 0)
	var names []string
	for i := range 64 {
		names = append(names, fmt.Sprintf("h%d-%d", i, i))
	}
	keep(t, store, names...)
	c.AddHook(failing("{notify-3}"))
	for range 8 {
		jobs, _, err := store.Claim(t.Context(), notify.Room{Most: 1000, Slots: 1, Grace: time.Minute})
		if !errors.Is(err, notify.ErrUnavailable) {
			t.Errorf("a shard failed: %v", err)
		}
		if len(jobs) < 32 {
			t.Errorf("%d are claimed of the other seven shards", len(jobs))
		}
		for _, j := range jobs {
			finish(t, store, j, notify.Open)
		}
	}
}

// failing has claims of a shard fail.
type failing string

func (failing) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (failing) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

func (f failing) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		if len(cmd.Args()) > 3 && strings.Contains(fmt.Sprint(cmd.Args()[3]), string(f)+":hosts") {
			cmd.SetErr(io.ErrUnexpectedEOF)
			return cmd.Err()
		}
		return next(ctx, cmd)
	}
}

// TestFailover has a master killed with notifications open that its replica has.
func TestFailover(t *testing.T) {
	t.Parallel()
	const all = 100
	f := redistest.StartFailover(t, "main")
	var addrs []string
	for _, s := range f.Sentinels {
		addrs = append(addrs, s.Addr())
	}
	open := func() notify.Store {
		c := goredis.NewFailoverClient(&goredis.FailoverOptions{
			MasterName: "main", SentinelAddrs: addrs, Protocol: 2, DialTimeout: time.Second, ReadTimeout: time.Second, DisableIdentity: true,
		})
		t.Cleanup(func() { _ = c.Close() })
		return notify.NewRedis(c, "failover", 0)
	}
	var up atomic.Bool
	r := receive(t, func(w http.ResponseWriter, _ *http.Request, _ int) {
		if !up.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	c := quick()
	c.Schedule, c.Window, c.Grace = []time.Duration{0, time.Second}, time.Minute, 2*time.Second
	store := open()
	s := sender(t, open(), c)
	var ids []string
	for range all {
		n := hook(r)
		send(t, s, n)
		ids = append(ids, n.ID)
	}
	f.Master.Do("WAIT", "1", "5000")
	f.Master.Kill()
	f.AwaitPromotion()
	up.Store(true)
	begin := time.Now()
	for _, id := range ids {
		becomes(t, store, id, notify.Delivered)
	}
	t.Logf("all are delivered %v after the promotion", time.Since(begin))
}

// TestErrorsOfRedisShowNothing has a Redis quote what it was sent.
func TestErrorsOfRedisShowNothing(t *testing.T) {
	q := redistest.StartQuoting(t, func(command []string) string { return "-ERR unknown command '" + strings.Join(command, " ") + "'" })
	c := goredis.NewClient(&goredis.Options{Addr: q.Addr(), Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = c.Close() })
	store := notify.NewRedis(c, "quoting", 0)
	put := store.Put(t.Context(), notify.Record{ID: "id", URL: "https://h/?querysecret", Body: []byte("bodysecret"), Sealed: []byte("sealed")})
	_, _, claimed := store.Claim(t.Context(), notify.Room{Most: 1, Slots: 1})
	_, _, listed := store.List(t.Context(), notify.Filter{})
	_, shown := store.Show(t.Context(), "id")
	_, counted := store.Stats(t.Context())
	for _, err := range []error{put, claimed, listed, shown, counted, store.Retry(t.Context(), "id"), store.Finish(t.Context(), notify.Verdict{ID: "id"})} {
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "ERR") {
			t.Errorf("%v", err)
		}
	}
}

// TestAFullRedis has a Redis without memory refuse what is new, and let what is open be claimed, claimed again, and delivered.
func TestAFullRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory-policy", "noeviction")
	store := redisStore(t, server)
	keep(t, store, "h-a", "h-b")
	room := notify.Room{Most: 10, Slots: 10, Lease: 10 * time.Millisecond, Grace: 10 * time.Millisecond}
	server.Do("CONFIG", "SET", "maxmemory", "1")
	claim(t, store, room, 2)
	var jobs map[string]notify.Job
	eventually(t, "they are claimed again", func() bool {
		jobs = claim(t, store, room, -1)
		return len(jobs) == 2
	})
	if err := store.Put(t.Context(), notify.Record{ID: "c", Host: "h:443"}); !errors.Is(err, notify.ErrUnavailable) {
		t.Errorf("a full Redis takes another: %v", err)
	}
	finish(t, store, jobs["a"], notify.Delivered)
	finish(t, store, jobs["b"], notify.Dead)
	are(t, store, map[string]notify.State{"a": notify.Delivered, "b": notify.Dead})
}

// evals gives how many scripts a Redis has run.
func evals(server *redistest.Server) (n int) {
	for line := range strings.Lines(server.Do("INFO", "commandstats")) {
		name, rest, _ := strings.Cut(line, ":calls=")
		if name == "cmdstat_evalsha" || name == "cmdstat_eval" {
			count := 0
			_, _ = fmt.Sscanf(rest, "%d", &count)
			n += count
		}
	}
	return n
}

// TestIdle counts what a Sender without work asks of Redis.
func TestIdle(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := quick()
	c.Poll = 0 // as it is by itself: 1 s
	sender(t, redisStore(t, server), c)
	calls := func() int { return evals(server) }
	eventually(t, "it looks", func() bool { return calls() >= 2 })
	before := calls()
	begin := time.Now()
	eventually(t, "it looks again", func() bool { return calls() >= before+2 })
	if after := time.Since(begin); after < 1400*time.Millisecond {
		t.Errorf("two looks take %v", after)
	}
}

// TestASlotMoves has the slots of all shards move to other servers of a Cluster, while notifications are open and more are sent: none is lost, and
// none comes again after a 2xx.
func TestASlotMoves(t *testing.T) {
	const before, meanwhile = 160, 160
	masters := redistest.StartMasters(t, 3)
	var addrs []string
	for _, m := range masters {
		addrs = append(addrs, m.Addr())
	}
	c := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: addrs, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = c.Close() })
	store := notify.NewRedis(c, "moves", 0)
	var up atomic.Bool
	receivers := make([]*receiver, 16)
	var taken sync.Map
	for i := range receivers {
		receivers[i] = receive(t, func(w http.ResponseWriter, r *http.Request, _ int) {
			if !up.Load() {
				w.WriteHeader(http.StatusBadGateway)
			} else if _, twice := taken.LoadOrStore(r.Header.Get("webhook-id"), true); twice {
				t.Error("one came again after it was taken")
			}
		})
	}
	config := quick()
	config.Window, config.Grace = time.Minute, 2*time.Second
	s := sender(t, store, config)
	for i := range before {
		send(t, s, hook(receivers[i%len(receivers)]))
	}
	up.Store(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range meanwhile {
			if err := s.Send(t.Context(), hook(receivers[i%len(receivers)])); err != nil {
				t.Error(err)
			}
		}
	}()
	for i := range 16 { // each twice
		slot := masters.Slot(fmt.Sprintf("moves:notify:1:{notify-%d}:hosts", i%8))
		masters.Move(slot, (masters.Owner(slot)+1)%len(masters))
	}
	<-done
	eventually(t, "all are delivered", func() bool {
		stats, err := store.Stats(t.Context())
		return err == nil && stats.Open == 0
	})
	n := 0
	taken.Range(func(any, any) bool { n++; return true })
	if n != before+meanwhile {
		t.Errorf("%d were taken", n)
	}
}
