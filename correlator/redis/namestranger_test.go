package redis_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/correlator"
	"syncgate/correlator/redis"
	"syncgate/internal/redistest"
)

// nameStranger may write everything in Redis, and has no callback key. It attacks a name, and wants it to point to an op of its own, which
// has another name.
type nameStranger struct {
	*goredis.Client
	t    *testing.T
	key  string            // of the name that is attacked
	who  string            // what the name holds, or would hold
	own  map[string]string // what the stranger's own name holds, and what it has held when it was finished and unbound
	late string            // what the attacked name has held of the stranger's op, whose time has passed
}

func (s *nameStranger) set(fields ...any) {
	s.t.Helper()
	if err := errors.Join(s.HSet(s.t.Context(), s.key, fields...).Err(), s.Expire(s.t.Context(), s.key, time.Hour).Err()); err != nil {
		s.t.Fatalf("the stranger: %v", err)
	}
}

func (s *nameStranger) replace(fields ...any) {
	s.t.Helper()
	s.Del(s.t.Context(), s.key)
	s.set(fields...)
}

// nameAttacks are what can be done with a name.
func nameAttacks() map[string]func(*nameStranger) {
	return map[string]func(*nameStranger){
		"writes what another name holds": func(s *nameStranger) {
			s.replace("who", s.own["who"], "task", s.own["task"], "data", s.own["data"])
		},
		"writes it beside a lease": func(s *nameStranger) {
			s.replace("who", s.own["who"], "task", s.own["task"], "data", s.own["data"], "lease", "1 00")
		},
		"writes what the name has held":    func(s *nameStranger) { s.replace("who", s.late, "task", "5f3e", "data", `{"sum":1}`) },
		"writes another op":                func(s *nameStranger) { s.set("who", s.who[:16]+s.own["who"][16:50]+s.who[50:]) },
		"writes a later end":               func(s *nameStranger) { s.set("who", s.who[:50]+"\x7f"+s.who[51:]) },
		"writes another task":              func(s *nameStranger) { s.set("who", s.who, "task", "another") },
		"writes other data":                func(s *nameStranger) { s.set("who", s.who, "data", `{"sum":1000}`) },
		"moves bytes from data to task":    func(s *nameStranger) { s.set("who", s.who, "task", `5f3e{`, "data", `"sum":1}`) },
		"takes the task away":              func(s *nameStranger) { s.HDel(s.t.Context(), s.key, "task", "data") },
		"writes junk":                      func(s *nameStranger) { s.set("who", "junk") },
		"writes nothing":                   func(s *nameStranger) { s.set("who", "") },
		"writes junk that is long enough":  func(s *nameStranger) { s.set("who", strings.Repeat("x", 58)) },
		"says that it is final":            func(s *nameStranger) { s.set("final", "junk") },
		"says so with another name's mark": func(s *nameStranger) { s.set("final", s.own["final"]) },
		"says so with no tag":              func(s *nameStranger) { s.set("final", strings.Repeat("x", 16)+s.who[16:50]) },
		"says so with the tag of who":      func(s *nameStranger) { s.set("final", s.who[:50]) },
		"says that it is unbound":          func(s *nameStranger) { s.set("unbound", strings.Repeat("x", 16)+s.who[16:50]) },
		"says so with another kind's mark": func(s *nameStranger) { s.set("unbound", s.own["final"]) },
		"writes junk as a lease":           func(s *nameStranger) { s.set("lease", "junk") },
		"writes a lease that has ended":    func(s *nameStranger) { s.set("lease", "99999999999999999999 00") },
		"makes it endless":                 func(s *nameStranger) { s.Persist(s.t.Context(), s.key) },
		"makes it a list": func(s *nameStranger) {
			s.Del(s.t.Context(), s.key)
			s.RPush(s.t.Context(), s.key, "junk")
		},
		"makes it a string": func(s *nameStranger) { s.Set(s.t.Context(), s.key, "junk", time.Hour) },
		"deletes it":        func(s *nameStranger) { s.Del(s.t.Context(), s.key) },
	}
}

func newNameStranger(t *testing.T, url string, c *redis.Correlator, n correlator.Name, op correlator.Named) *nameStranger {
	t.Helper()
	o, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	o.Network = "unix"
	s := &nameStranger{Client: goredis.NewClient(o), t: t, key: c.NameKey(n)}
	t.Cleanup(func() { _ = s.Close() })
	own, mine := newName(), newOp(c)
	bindName(t, c, own, mine)
	s.own = s.HGetAll(t.Context(), c.NameKey(own)).Val()
	if err := c.Finish(t.Context(), own, mine.ID, mine.Op, true); err != nil {
		t.Fatal(err)
	}
	s.own["final"] = s.HGet(t.Context(), c.NameKey(own), "final").Val()
	if err := c.Bind(t.Context(), n, mine, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	s.late = s.HGet(t.Context(), s.key, "who").Val()
	for begin := time.Now(); s.late == "" && time.Since(begin) < 5*time.Second; s.late = s.HGet(t.Context(), s.key, "who").Val() {
		_ = c.Bind(t.Context(), n, mine, 20*time.Millisecond) // it has passed before it was read
	}
	for s.Exists(t.Context(), s.key).Val() > 0 {
		if t.Context().Err() != nil {
			t.Fatal("the name does not pass")
		}
	}
	bindName(t, c, n, op)
	s.who = s.HGet(t.Context(), s.key, "who").Val()
	if len(s.who) != 58 || len(s.late) != 58 || len(s.own["who"]) != 58 || len(s.own["final"]) != 50 {
		t.Fatalf("the stranger has nothing to replay: %+v", s)
	}
	return s
}

// TestNameStranger: who may write everything, and has no callback key, makes no name point to another op, and stands in nobody's way: after an attack
// the op is bound again, or another one is.
func TestNameStranger(t *testing.T) {
	server := redistest.Start(t)
	home, other := start(t, config(server.URL())), start(t, config(server.URL()))
	for what, attack := range nameAttacks() {
		for when, test := range map[string]func(*testing.T, *nameStranger, *redis.Correlator, *redis.Correlator, correlator.Name, correlator.Named){
			"takes": takesGenuine, "binds again": bindsAgain, "binds another": bindsAnother, "is first": bindsAfter,
		} {
			t.Run(what+"/"+when, func(t *testing.T) {
				n, op := newName(), newOp(home)
				s := newNameStranger(t, server.URL(), home, n, op)
				if when == "is first" {
					s.Del(t.Context(), s.key)
				}
				attack(s)
				test(t, s, home, other, n, op)
			})
		}
	}
	if home.Forged()+other.Forged() < 40 {
		t.Errorf("%d and %d were counted", home.Forged(), other.Forged())
	}
}

// takesGenuine takes the name: it is the op's, or there is none to be had.
func takesGenuine(t *testing.T, _ *nameStranger, _, other *redis.Correlator, n correlator.Name, op correlator.Named) {
	t.Helper()
	got, err := other.Take(t.Context(), n, time.Minute)
	switch {
	case err == nil && (got.ID != op.ID || got.Op != op.Op || got.Task != op.Task || string(got.Data) != string(op.Data)):
		t.Errorf("took %v, op %d, %q, %q", got.ID, got.Op, got.Task, got.Data)
	case err != nil && !errors.Is(err, correlator.ErrNameUnknown) && !errors.Is(err, correlator.ErrNameBusy): // a lease has no tag
		t.Errorf("take: %v", err)
	}
}

func bindsAgain(t *testing.T, _ *nameStranger, home, other *redis.Correlator, n correlator.Name, op correlator.Named) {
	t.Helper()
	bindName(t, home, n, op)
	takes(t, other, n, op)
}

// bindsAnother has another op bound: where the first one's name stands as it was, that is refused, and else it has the name.
func bindsAnother(t *testing.T, _ *nameStranger, home, other *redis.Correlator, n correlator.Name, op correlator.Named) {
	t.Helper()
	next := newOp(other)
	switch err := other.Bind(t.Context(), n, next, time.Hour); {
	case err == nil:
		op = next
	case !errors.Is(err, correlator.ErrNameTaken):
		t.Fatalf("bind: %v", err)
	}
	takes(t, home, n, op)
}

// bindsAfter has the op bound first after the attack.
func bindsAfter(t *testing.T, s *nameStranger, home, other *redis.Correlator, n correlator.Name, op correlator.Named) {
	t.Helper()
	op.Task = "later" // what the stranger knows is another one
	bindName(t, home, n, op)
	takes(t, other, n, op)
	if ttl := s.PTTL(t.Context(), s.key).Val(); ttl <= 0 {
		t.Errorf("the name never ends: %v", ttl)
	}
}

// TestNamesAgree: whatever is called, memory and Redis give the same answers.
func TestNamesAgree(t *testing.T) {
	server := redistest.Start(t)
	nodes := []*redis.Correlator{start(t, config(server.URL())), start(t, config(server.URL()))}
	memory := correlator.NewMemory(correlator.Config{})
	t.Cleanup(func() { _ = memory.Shutdown(t.Context()) })
	rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's choices
	names := []correlator.Name{newName(), newName(), newName()}
	ops := []correlator.Named{newOp(nodes[0]), newOp(nodes[1]), newOp(nodes[0])}
	ctx := t.Context()
	for step := range 4000 {
		n, o := names[rnd.IntN(len(names))], rnd.IntN(len(ops))
		op, final, choice := ops[o], rnd.IntN(3) == 0, rnd.IntN(12)
		op.Task = strings.Repeat("t", rnd.IntN(3))
		var answers [2]correlator.Named
		var errs [2]error
		for i, c := range []correlator.Namer{memory, nodes[rnd.IntN(2)]} {
			switch {
			case choice < 4:
				errs[i] = c.Bind(ctx, n, op, time.Hour)
			case choice < 8:
				answers[i], errs[i] = c.Take(ctx, n, time.Hour)
			case choice < 11:
				errs[i] = c.Finish(ctx, n, op.ID, op.Op, final)
			default:
				errs[i] = c.Unbind(ctx, n, op.ID, op.Op)
				ops[o] = newOp(nodes[0]) // it is not bound again
			}
		}
		a, b := answers[0], answers[1]
		if !errors.Is(errs[1], errs[0]) || a.ID != b.ID || a.Op != b.Op || a.Task != b.Task || string(a.Data) != string(b.Data) {
			t.Fatalf("step %d, call %d: memory gives %v %q, %v; Redis %v %q, %v", step, choice, a.ID, a.Task, errs[0], b.ID, b.Task, errs[1])
		}
	}
}

// TestNameOfOtherKeys: a node that has other callback keys, as one may while they are replaced, knows nothing of a name, and leaves it to those that do.
func TestNameOfOtherKeys(t *testing.T) {
	server := redistest.Start(t)
	home := start(t, config(server.URL()))
	keys, err := correlator.NewKeys([]string{"another callback key, of one node alone"})
	if err != nil {
		t.Fatal(err)
	}
	other, err := redis.New(config(server.URL()), keys, redis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Shutdown(t.Context()) })
	open, finished, op := newName(), newName(), newOp(home)
	bindName(t, home, open, op)
	bindName(t, home, finished, op)
	if err := home.Finish(t.Context(), finished, op.ID, op.Op, true); err != nil {
		t.Fatal(err)
	}
	for _, n := range []correlator.Name{open, finished} {
		if _, err := other.Take(t.Context(), n, time.Millisecond); !errors.Is(err, correlator.ErrNameUnknown) {
			t.Errorf("take: %v", err)
		}
	}
	<-time.After(5 * time.Millisecond)
	takes(t, home, open, op)
	if _, err := home.Take(t.Context(), finished, time.Millisecond); !errors.Is(err, correlator.ErrNameFinished) {
		t.Errorf("take: %v", err)
	}
}
