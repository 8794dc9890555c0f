package gateway_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/internal/redistest"
)

// answeredWithoutRedis has a client with a key ask the first node, and be answered while that cannot reach Redis.
func answeredWithoutRedis(t *testing.T, c *cluster, sim string) (s *story, x *sight) {
	t.Helper()
	m := c.members[0]
	s = &story{
		g: &game{cluster: c}, nonce: "n", key: "k",
		ops: []string{fmt.Sprintf(`"to":%q,"body":{"nonce":"n-0","n":"{{n}}"},%s`, m.addr, sim)},
	}
	first := make(chan *sight, 1)
	go func() { first <- s.create(&ask{patience: 5 * time.Second}) }()
	waitFor(t, func() bool { return c.engine.Stats().Requests == 1 })
	m.link.Down()
	x = <-first
	if x.status != 200 || x.isOpen() {
		t.Fatalf("without Redis: %d %s %v", x.status, x.body, x.err)
	}
	if err := m.link.Up(); err != nil {
		t.Fatal(err)
	}
	c.heal()
	return s, x
}

// A client with a key that was answered while Redis was away gets the same answer again when it is back: the engine's own
// answer, which never comes twice, and of several callbacks the one that it has read.
func TestAnswerWithoutRedisIsKeptForItsKey(t *testing.T) {
	for name, sim := range map[string]string{
		"the engine's own answer": `"ack":"not_unical_ref","ack_delay_ms":600`,
		"the first of callbacks":  `"delay_ms":600,"duplicates":3,"gap_ms":50`,
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, redistest.Start(t, "--appendonly", "yes"))
			defer c.end()
			s, x := answeredWithoutRedis(t, c, sim)
			for node := range c.members {
				again := s.create(&ask{node: node, patience: 5 * time.Second})
				if again.status != x.status || string(again.body) != string(x.body) {
					t.Errorf("again at node %d: %d %s\nat first %d %s", node, again.status, again.body, x.status, x.body)
				}
			}
			if n := c.engine.Stats().Requests; n != 1 {
				t.Errorf("%d packages", n)
			}
		})
	}
}

// The engine's own answer that comes after its client has left, while Redis is away, is not lost for the key.
func TestLateAnswerWithoutRedisIsKept(t *testing.T) {
	c := newCluster(t, redistest.Start(t, "--appendonly", "yes"))
	defer c.end()
	m := c.members[0]
	op := `"ack":"not_unical_ref","ack_delay_ms":600`
	s := &story{g: &game{cluster: c}, nonce: "n", key: "k", ops: []string{op, op}}
	if x := s.create(&ask{patience: 200 * time.Millisecond}); !x.isOpen() || x.location == "" {
		t.Fatalf("it has not timed out: %d %s", x.status, x.body)
	}
	m.link.Down()
	waitFor(t, func() bool { return c.engine.Stats().OpErrors == 2 })
	<-time.After(700 * time.Millisecond) // the answer comes, and finds nobody
	if err := m.link.Up(); err != nil {
		t.Fatal(err)
	}
	c.heal()
	if x := s.create(&ask{patience: 3 * time.Second}); x.status != 200 || x.isOpen() {
		t.Errorf("again: %d %s", x.status, x.body)
	}
}

// fullStore is a correlator that takes no records for a while.
type fullStore struct {
	*correlator.Memory
	full    atomic.Bool
	refused atomic.Int64
}

func (s *fullStore) Save(ctx context.Context, id correlator.ID, rec correlator.Record) error {
	if s.full.Load() {
		s.refused.Add(1)
		return correlator.ErrUnavailable
	}
	return s.Memory.Save(ctx, id, rec)
}

// owingNode has a client with a key time out while the store takes nothing.
func owingNode(t *testing.T) (n *node, e *engine, store *fullStore, location string) {
	t.Helper()
	e, store = newEngine(t), new(fullStore)
	n = startOver(t, e.URL, func(m *correlator.Memory) correlator.Correlator {
		store.Memory = m
		return store
	})
	store.full.Store(true)
	r := n.create(`{"timeout":0.1,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{}}]}`, "Idempotency-Key", "k")
	if location = r.header.Get("Location"); r.status != 200 || location == "" || store.refused.Load() == 0 {
		t.Fatalf("it has not timed out: %+v", r)
	}
	return n, e, store, location
}

// What is owed of a trip is forgiven when its key is released: saved after that, a record of a task that was never made
// would tell whoever asks to wait.
func TestNothingIsOwedOfAReleasedKey(t *testing.T) {
	n, e, store, location := owingNode(t)
	e.next(t).answer(200, `{"request_proc":"format_error","ops":[]}`)
	waitFor(t, func() bool { return n.do("GET", location, "").status == 410 })
	store.full.Store(false)
	<-time.After(1500 * time.Millisecond) // debts are paid every second
	if r := n.do("GET", location, ""); r.status != 410 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// A gateway that ends while the store takes nothing goes on trying for a while.
func TestDebtsArePaidAtTheEnd(t *testing.T) {
	n, e, store, _ := owingNode(t)
	e.next(t).accept()
	defer time.AfterFunc(700*time.Millisecond, func() { store.full.Store(false) }).Stop()
	n.http.CloseIdleConnections()
	if err := n.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if n := store.refused.Load(); n < 2 {
		t.Errorf("%d attempts", n)
	}
	if log := n.log.String(); strings.Contains(log, "results are not kept") {
		t.Errorf("it was given up:\n%s", log)
	}
}
