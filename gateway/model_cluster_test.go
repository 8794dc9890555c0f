package gateway_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"syncgate/correlator"
	"syncgate/correlator/redis"
	"syncgate/gateway"
	"syncgate/internal/enginesim"
	"syncgate/internal/faultproxy"
	"syncgate/internal/redistest"
)

// cluster is two gateways in one process over one real Redis, each behind a proxy that can break, and the engine of both.
type cluster struct {
	t       *testing.T
	redis   *redistest.Server
	engine  *enginesim.Engine
	keys    *correlator.Keys
	members [2]*member
	change  func(*gateway.Parts) // of each member; nil: nothing is changed
}

// member is one of the two.
type member struct {
	*gateway.Gateway
	t     *testing.T
	table *redis.Correlator
	link  *faultproxy.Proxy // to Redis
	log   *syncBuffer
	addr  string

	leaving atomic.Bool       // new requests may be refused from now on
	left    bool              // it has been closed
	heir    *faultproxy.Proxy // after that, leads its address to the other, as a balancer would
}

// modelTimeout is the correlator's time-out: short, so that faults outlast it.
const modelTimeout = 300 * time.Millisecond

func newCluster(t *testing.T, r *redistest.Server) *cluster {
	t.Helper()
	return newClusterOf(t, r, nil)
}

// newClusterOf is newCluster with other parts.
func newClusterOf(t *testing.T, r *redistest.Server, change func(*cluster, *gateway.Parts)) *cluster {
	t.Helper()
	c := &cluster{t: t, redis: r}
	if change != nil {
		c.change = func(p *gateway.Parts) { change(c, p) }
	}
	engine := enginesim.Default()
	engine.Credentials = map[string]string{login: secret}
	engine.Record = 1 << 16
	engine.CallbackTimeout = 10 * time.Second
	engine.Behaviour.Retries, engine.Behaviour.RetryDelay = 1000, 30*time.Millisecond
	var err error
	if c.engine, err = enginesim.Start(engine); err != nil {
		t.Fatal(err)
	}
	if c.keys, err = correlator.NewKeys([]string{correlator.RandomKey()}); err != nil {
		t.Fatal(err)
	}
	for i := range c.members {
		c.members[i] = c.join()
	}
	for _, m := range c.members {
		waitFor(t, func() bool { return m.table.Ready() == nil })
	}
	return c
}

// join starts a member.
func (c *cluster) join() *member {
	c.t.Helper()
	m := &member{t: c.t, log: new(syncBuffer)}
	var err error
	if m.link, err = faultproxy.Start("unix", c.redis.Addr()); err != nil {
		c.t.Fatal(err)
	}
	store := redis.Default()
	store.URL, store.Timeout = "redis://"+m.link.Addr(), modelTimeout
	if m.table, err = redis.New(store, c.keys, redis.Options{}); err != nil {
		c.t.Fatal(err)
	}
	cfg := gateway.Default()
	cfg.Listen.Public, cfg.Listen.Admin = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Engine.URL, cfg.Engine.Timeout = c.engine.URL(), time.Second
	d := newDialect(c.t, cfg)
	parts := gateway.Parts{
		Correlator: m.table, Keys: c.keys, Dialect: d, Engine: d, Log: zerolog.New(m.log), Metrics: prometheus.NewRegistry(), Version: "test",
	}
	if c.change != nil {
		c.change(&parts)
	}
	m.Gateway, err = gateway.New(cfg, parts)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := m.Listen(); err != nil {
		c.t.Fatal(err)
	}
	m.Serve()
	m.addr = m.PublicAddr().String()
	return m
}

// end ends everything and wants nothing to be left.
func (c *cluster) end() {
	for _, m := range c.members {
		if !m.left {
			m.leave(5 * time.Second)
		}
		if m.heir != nil {
			m.heir.Close()
		}
		m.link.Close()
		if log := m.log.String(); strings.Contains(log, "panic") {
			c.t.Errorf("the log has a panic:\n%s", log)
		}
	}
	c.engine.Close()
}

// leave drains a member as the program does and closes it.
func (m *member) leave(patience time.Duration) {
	m.leaving.Store(true)
	m.NotReady()
	m.RefuseNew()
	drain, cancel := context.WithTimeout(context.Background(), patience)
	_ = m.table.Drain(drain) // whoever still waits then is refused
	cancel()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := m.Close(ctx); err != nil {
		m.t.Errorf("close: %v", err)
	}
	_ = m.table.Shutdown(ctx) // Redis may be away: then what is settled stays until it expires
	m.left = true
	if n := m.table.Len(); n != 0 {
		m.t.Errorf("%d trips are left in the table", n)
	}
	waitFor(m.t, func() bool {
		bytes, open := m.Leaks()
		return bytes == 0 && open == 0
	})
}

// inherit leads the address of a member that has left to another.
func (m *member) inherit(other *member) {
	var err error
	if m.heir, err = faultproxy.StartAt(m.addr, "tcp", other.addr); err != nil {
		m.t.Errorf("lead %s to %s: %v", m.addr, other.addr, err)
	}
}

// storm breaks the way to Redis in one manner after the other, until done is closed; then all is well again.
func (c *cluster) storm(rng *rand.Rand, done <-chan struct{}) {
	pause := func(least, most time.Duration) bool {
		select {
		case <-time.After(least + upTo(rng, most-least)):
			return true
		case <-done:
			return false
		}
	}
	for pause(100*time.Millisecond, 800*time.Millisecond) {
		m := c.members[rng.IntN(len(c.members))]
		switch rng.IntN(7) {
		case 0:
			m.link.Cut()
		case 1:
			m.link.Deafen()
		case 2: // the network between one node and Redis
			m.link.Stall()
			pause(50*time.Millisecond, time.Second)
			m.link.Flow()
		case 3:
			m.link.Slow(upTo(rng, modelTimeout))
			pause(50*time.Millisecond, 300*time.Millisecond)
			m.link.Slow(0)
		case 4:
			m.link.Down()
			pause(50*time.Millisecond, 500*time.Millisecond)
			if err := m.link.Up(); err != nil {
				c.t.Error(err)
			}
		case 5: // Redis itself
			c.redis.Pause()
			pause(50*time.Millisecond, 800*time.Millisecond)
			c.redis.Resume()
		case 6:
			c.redis.Kill()
			pause(time.Millisecond, 300*time.Millisecond)
			c.redis.Restart()
		}
	}
}

// heal waits until every member that is left can reach the others.
func (c *cluster) heal() {
	c.t.Helper()
	for _, m := range c.members {
		if !m.left {
			waitFor(c.t, func() bool { return m.table.Ready() == nil })
		}
	}
}
