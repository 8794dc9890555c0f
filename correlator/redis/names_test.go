package redis_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
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

func newName() correlator.Name {
	return correlator.Name{Process: "1234", Key: "ref", Text: rand.Text()}
}

func newOp(c *redis.Correlator) correlator.Named {
	return correlator.Named{ID: c.NewID(soon()), Op: 1, Task: "5f3e", Data: []byte(`{"sum":1}`)}
}

func bindName(t testing.TB, c *redis.Correlator, n correlator.Name, to correlator.Named) {
	t.Helper()
	if err := c.Bind(context.Background(), n, to, time.Hour); err != nil {
		t.Fatalf("bind: %v", err)
	}
}

// takes wants a Take to give an op, and ends it.
func takes(t testing.TB, c *redis.Correlator, n correlator.Name, want correlator.Named) {
	t.Helper()
	got, err := c.Take(context.Background(), n, time.Minute)
	if err != nil || got.ID != want.ID || got.Op != want.Op || got.Task != want.Task || string(got.Data) != string(want.Data) {
		t.Fatalf("took %v, op %d, %q, %q, %v; want %v, op %d", got.ID, got.Op, got.Task, got.Data, err, want.ID, want.Op)
	}
	if err := c.Finish(context.Background(), n, want.ID, want.Op, false); err != nil {
		t.Fatal(err)
	}
}

// TestNamesInGroups: over all slots of a Cluster of three, and through Sentinels, also when the replica has become the master.
func TestNamesInGroups(t *testing.T) {
	masters, failover := redistest.StartMasters(t, 3), redistest.StartFailover(t, "main")
	cluster, sentinel := config(masters.URL()), config(failover.URL())
	cluster.Mode, sentinel.Mode = redis.Cluster, redis.Sentinel
	for mode, cfg := range map[string]redis.Config{redis.Cluster: cluster, redis.Sentinel: sentinel} {
		home, other := start(t, cfg), start(t, cfg)
		names, ops := make([]correlator.Name, 50), make([]correlator.Named, 50)
		for i := range names {
			names[i], ops[i] = newName(), newOp(home)
			bindName(t, home, names[i], ops[i])
		}
		if mode == redis.Sentinel {
			failover.Master.Do("WAIT", "1", "5000")
			failover.Master.Kill()
			failover.AwaitPromotion()
			correlatortest.Eventually(t, "a new master", func() bool { return other.Finish(t.Context(), names[0], ops[0].ID, 0, false) == nil })
		}
		for i, n := range names {
			takes(t, other, n, ops[i])
			if err := home.Bind(t.Context(), n, newOp(home), time.Hour); !errors.Is(err, correlator.ErrNameTaken) {
				t.Errorf("%s: another op's bind: %v", mode, err)
			}
			if err := other.Unbind(t.Context(), n, ops[i].ID, ops[i].Op); err != nil {
				t.Errorf("%s: unbind: %v", mode, err)
			}
		}
	}
}

// TestNameMovesWithItsSlot: nothing is lost of names whose slot is moved.
func TestNameMovesWithItsSlot(t *testing.T) {
	m := redistest.StartMasters(t, 2)
	cfg := config(m.URL())
	cfg.Mode = redis.Cluster
	home, other := start(t, cfg), start(t, cfg)
	n, op := newName(), newOp(home)
	bindName(t, home, n, op)
	slot := m.Slot(home.NameKey(n))
	m.Move(slot, 1-m.Owner(slot))
	takes(t, other, n, op)
	takes(t, home, n, op)
}

// TestNamesWithoutRedis: each call says in time that it can be tried again, and nothing of the name.
func TestNamesWithoutRedis(t *testing.T) {
	s := redistest.Start(t)
	c := start(t, config(s.URL()))
	n, op := newName(), newOp(c)
	bindName(t, c, n, op)
	away := func(how string) {
		t.Helper()
		_, take := c.Take(t.Context(), n, time.Minute)
		for call, err := range map[string]error{
			"bind": c.Bind(t.Context(), n, op, time.Minute), "take": take,
			"finish": c.Finish(t.Context(), n, op.ID, op.Op, true), "unbind": c.Unbind(t.Context(), n, op.ID, op.Op),
		} {
			if !errors.Is(err, correlator.ErrUnavailable) || errors.Is(err, correlator.ErrNameUnknown) {
				t.Errorf("%s: %s: %v", how, call, err)
				continue
			}
			quotesNothing(t, err, n.Text, c.NameKey(n), op.Task)
		}
	}
	began := time.Now()
	s.Pause()
	away("paused")
	s.Resume()
	s.Kill()
	away("killed")
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("eight calls with a time-out of 500 ms took %v", took)
	}
	s.Restart() // without what it had
	correlatortest.Eventually(t, "another one", func() bool {
		_, err := c.Take(t.Context(), n, time.Minute)
		return errors.Is(err, correlator.ErrNameUnknown)
	})
}

// TestNoRoomForNames: a server that is full refuses a Bind, and what is there stays. That is worth another try.
func TestNoRoomForNames(t *testing.T) {
	s := redistest.Start(t, "--maxmemory-policy", "noeviction")
	c := start(t, config(s.URL()))
	n, op := newName(), newOp(c)
	bindName(t, c, n, op)
	s.Do("CONFIG", "SET", "maxmemory", "1")
	for _, name := range []correlator.Name{n, newName()} {
		if err := c.Bind(t.Context(), name, op, time.Hour); !errors.Is(err, correlator.ErrUnavailable) {
			t.Errorf("bind: %v", err)
		}
	}
	s.Do("CONFIG", "SET", "maxmemory", "0")
	takes(t, c, n, op)
}

// TestBindOnItsWay: a Bind that its caller has given up and undone comes later, and binds nothing.
func TestBindOnItsWay(t *testing.T) {
	s := redistest.Start(t)
	p := newProxy(t, s)
	slow, c := start(t, config(p.URL())), start(t, config(s.URL()))
	n, op, next := newName(), newOp(slow), newOp(c)
	if err := slow.Unbind(t.Context(), newName(), op.ID, op.Op); err != nil { // the scripts are there from now on
		t.Fatal(err)
	}
	bindName(t, c, newName(), op)
	h := p.hold(slow.NameKey(n))
	if err := slow.Bind(t.Context(), n, op, time.Hour); !errors.Is(err, correlator.ErrUnavailable) {
		t.Fatalf("bind: %v", err)
	}
	<-h.begun
	if err := slow.Unbind(t.Context(), n, op.ID, op.Op); err != nil {
		t.Fatalf("unbind: %v", err)
	}
	before := statistics(t, s)["evalsha"]
	close(h.release)
	correlatortest.Eventually(t, "the bind has come", func() bool { return statistics(t, s)["evalsha"] > before })
	if _, err := c.Take(t.Context(), n, time.Minute); !errors.Is(err, correlator.ErrNameUnknown) {
		t.Errorf("take: %v", err)
	}
	bindName(t, c, n, next)
	takes(t, slow, n, next)
}

// TestNamesExpire: in every state.
func TestNamesExpire(t *testing.T) {
	s := redistest.Start(t)
	c := start(t, config(s.URL()))
	op := newOp(c)
	ttl := func(n correlator.Name) time.Duration {
		t.Helper()
		ms, err := strconv.Atoi(strings.TrimPrefix(s.Do("PTTL", c.NameKey(n)), ":"))
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(ms) * time.Millisecond
	}
	open, taken, opened, finished, unbound := newName(), newName(), newName(), newName(), newName()
	for _, n := range []correlator.Name{open, taken, opened, finished, unbound} {
		bindName(t, c, n, op)
	}
	takes(t, c, opened, op)
	_, err := c.Take(t.Context(), taken, 2*time.Hour)
	if err := errors.Join(err, c.Finish(t.Context(), finished, op.ID, op.Op, true), c.Unbind(t.Context(), unbound, op.ID, op.Op)); err != nil {
		t.Fatal(err)
	}
	for what, n := range map[string]correlator.Name{"open": open, "taken": taken, "opened": opened, "finished": finished} {
		if d := ttl(n); d < 59*time.Minute || d > time.Hour {
			t.Errorf("%s: it lasts %v", what, d)
		}
	}
	if d := ttl(unbound); d <= 0 || d > time.Minute {
		t.Errorf("unbound: it lasts %v", d)
	}
	bindName(t, c, finished, op)
	if err := c.Bind(t.Context(), finished, op, 3*time.Hour); err != nil {
		t.Fatal(err)
	}
	if d := ttl(finished); d < 2*time.Hour {
		t.Errorf("finished, and bound for longer: it lasts %v", d)
	}
	if got := s.Do("HKEYS", c.NameKey(finished)); got != "final" {
		t.Errorf("of a finished name there is %q", got)
	}
}

// TestNameKeys: nothing of a name is in its key, which is as long for every name.
func TestNameKeys(t *testing.T) {
	c := launch(t, config("unix:///nowhere"))
	form := regexp.MustCompile(`^syncgate:2:\{[A-Za-z0-9_-]{43}\}:name$`)
	for _, n := range []correlator.Name{{}, {Process: "}", Key: "{", Text: "secret"}, {Process: "1", Key: "ref", Text: strings.Repeat("secret", 10_000)}} {
		if key := c.NameKey(n); !form.MatchString(key) || strings.Contains(key, "secret") {
			t.Errorf("the key of %.20q is %q", n.Text, key)
		}
	}
}

// TestCommandsPerName: each call is one script.
func TestCommandsPerName(t *testing.T) {
	s := redistest.Start(t)
	c := start(t, config(s.URL()))
	round := func() {
		n, op := newName(), newOp(c)
		bindName(t, c, n, op)
		takes(t, c, n, op)
		if err := c.Unbind(t.Context(), n, op.ID, op.Op); err != nil {
			t.Fatal(err)
		}
	}
	round()
	s.Do("CONFIG", "RESETSTAT")
	for range 100 {
		round()
	}
	if sent := calls(t, s); sent["evalsha"] < 400 || sent["evalsha"] > 402 || len(sent) != 1 {
		t.Errorf("400 calls sent %v", sent)
	}
	if n := c.Stats().Commands["name"].Count; n < 400 {
		t.Errorf("%d round trips are counted as those of names", n)
	}
}

// openNames binds n names, and gives what they take of the server's memory, in bytes each.
func openNames(t testing.TB, s *redistest.Server, c *redis.Correlator, n int, data string) (names []correlator.Name, each float64) {
	t.Helper()
	used := func() float64 {
		m := regexp.MustCompile(`used_memory:(\d+)`).FindStringSubmatch(s.Do("INFO", "memory"))
		bytes, _ := strconv.ParseFloat(m[1], 64)
		return bytes
	}
	op := newOp(c)
	op.Data = []byte(data)
	names = make([]correlator.Name, n)
	before := used()
	var all sync.WaitGroup
	for part := range 8 {
		all.Go(func() {
			for i := part; i < n; i += 8 {
				names[i] = correlator.Name{Process: "1234", Key: "ref", Text: strconv.Itoa(i)}
				if err := c.Bind(context.Background(), names[i], op, time.Hour); err != nil {
					t.Errorf("bind: %v", err)
				}
			}
		})
	}
	all.Wait()
	return names, (used() - before) / float64(n)
}

// TestBytesPerName: a short name is a short list for Redis.
func TestBytesPerName(t *testing.T) {
	s := redistest.Start(t)
	c := start(t, config(s.URL()))
	names, each := openNames(t, s, c, 8192, `{"a":1}`)
	t.Logf("%d open names: %.0f bytes each", len(names), each)
	if each > 450 {
		t.Errorf("a name takes %.0f bytes of Redis", each)
	}
	if got := s.Do("OBJECT", "ENCODING", c.NameKey(names[0])); !strings.Contains("listpack ziplist", got) {
		t.Errorf("Redis keeps a name as %s", got)
	}
}

// BenchmarkNames is what a name costs among 100,000 open ones.
func BenchmarkNames(b *testing.B) {
	for _, size := range []int{7, 512} {
		b.Run(fmt.Sprintf("take/%d bytes", size), func(b *testing.B) {
			s := redistest.Start(b)
			c := start(b, config(s.URL()))
			names, each := openNames(b, s, c, 100_000, strings.Repeat("x", size))
			i := 0
			spent(b, s, func() {
				for b.Loop() {
					if _, err := c.Take(context.Background(), names[i%len(names)], time.Millisecond); err != nil && !errors.Is(err, correlator.ErrNameBusy) {
						b.Fatal(err)
					}
					i++
				}
			})
			b.ReportMetric(each, "B/name")
		})
	}
}
