package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"syncgate/internal/enginesim"
	"syncgate/internal/faultproxy"
	"syncgate/internal/freeport"
	"syncgate/internal/hooksim"
)

const (
	login, secret = "12345", "secret of chaos"
	callbackKey   = "a key that both gateways of chaos have"
)

// Kinds of Redis.
const (
	standalone = "" // one server, behind a proxy for each gateway
	sentinels  = "sentinel"
	masters    = "cluster"
	none       = "memory"
)

// setup says what a world is made of, beside two gateways and an engine.
type setup struct {
	kind     string // of Redis; memory: one gateway
	balanced bool   // clients and callbacks come through haproxy
	absent   bool   // Redis is started only by the fault
	routes   string // of the gateways' configuration
	env      []string
	engine   func(*enginesim.Config)
	hooks    hooksim.Answer // what receivers of pushed results answer; nil: there are none
}

// world is what a fault happens to.
type world struct {
	setup
	ctx context.Context // of the children, who live as long as the world
	dir string

	engine   *enginesim.Engine
	hooks    *hooksim.Sim      // nil: no results are pushed
	named    atomic.Int64      // how many trips have named a receiver
	outbound *faultproxy.Proxy // from the gateways to the engine
	store    *store
	links    []*faultproxy.Proxy // from each gateway to Redis, standalone only
	inbound  []*faultproxy.Proxy // from the engine to each gateway
	nodes    []*node
	balancer *process
	front    string // its address
}

// node is one gateway, perhaps in several processes one after the other.
type node struct {
	*process
	dir, program string
	routes       string
	addr, admin  string
	env          []string
	mu           sync.Mutex
	away         bool // it was killed, or has left; guarded by mu
	killed       bool // it was killed, perhaps more than once; the strike's alone
}

// build makes a world whose gateways serve.
func (s setup) build(ctx context.Context, dir string) (w *world, err error) {
	w = &world{setup: s, ctx: ctx, store: new(store)}
	if w.dir, err = os.MkdirTemp(dir, "world"); err != nil {
		return w, fmt.Errorf("make a directory: %w", err)
	}
	for _, step := range []func() error{w.startEngine, w.startHooks, w.startStore, w.startNodes, w.startBalancer} {
		if err := step(); err != nil {
			return w, err
		}
	}
	if s.absent {
		return w, nil
	}
	return w, w.ready(ctx)
}

func (w *world) startEngine() (err error) {
	cfg := enginesim.Default()
	cfg.Credentials = map[string]string{login: secret}
	cfg.Behaviour.Delay = enginesim.Range{Min: 50 * time.Millisecond, Max: 400 * time.Millisecond}
	cfg.Behaviour.Retries, cfg.Behaviour.RetryDelay = 1000, 200*time.Millisecond
	cfg.CallbackTimeout = 2 * time.Second
	cfg.Record = 1 << 17
	if w.setup.engine != nil {
		w.setup.engine(&cfg)
	}
	if w.engine, err = enginesim.Start(cfg); err != nil {
		return err
	}
	w.outbound, err = faultproxy.Start("tcp", w.engine.Addr())
	return err
}

func (w *world) startStore() (err error) {
	made := (*store)(nil)
	switch w.kind {
	case standalone:
		made, err = newStandalone(w.ctx, w.dir)
	case sentinels:
		made, err = newSentinels(w.ctx, w.dir)
	case masters:
		made, err = newMasters(w.ctx, w.dir)
	}
	if made != nil {
		w.store = made
	}
	if err == nil && w.absent {
		w.store.servers[0].kill()
	}
	return err
}

func (w *world) startNodes() error {
	n := 2
	if w.kind == none {
		n = 1
	}
	at, err := freeport.Addresses(2*n + 1)
	if err != nil {
		return err
	}
	w.front = at[2*n]
	for i := range n {
		if err := w.startNode(at[2*i], at[2*i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) startNode(addr, admin string) error {
	in, err := faultproxy.Start("tcp", addr)
	if err != nil {
		return err
	}
	w.inbound = append(w.inbound, in)
	base := addr
	if w.balanced {
		base = w.front
	}
	n := &node{dir: w.dir, program: filepath.Join(filepath.Dir(w.dir), "syncgate"), routes: w.routes, addr: addr, admin: admin}
	n.env = []string{
		"SYNCGATE_LISTEN_PUBLIC=" + addr, "SYNCGATE_LISTEN_ADMIN=" + admin, "SYNCGATE_CALLBACK_BASE_URL=http://" + base,
		"SYNCGATE_CALLBACK_KEYS=" + callbackKey, "SYNCGATE_ENGINE_URL=http://" + w.outbound.Addr(), "SYNCGATE_DRAIN_DELAY=1s",
		"SYNCGATE_ENGINE_TIMEOUT=2s",
	}
	if w.kind != none {
		url := w.store.url
		if w.kind == standalone {
			link, err := faultproxy.Start("tcp", w.store.servers[0].addr)
			if err != nil {
				return err
			}
			w.links = append(w.links, link)
			url = "redis://" + link.Addr()
		}
		n.env = append(n.env, "SYNCGATE_CORRELATOR_BACKEND=redis", "SYNCGATE_CORRELATOR_REDIS_URL="+url)
		if w.kind != standalone {
			n.env = append(n.env, "SYNCGATE_CORRELATOR_REDIS_MODE="+w.kind)
		}
	}
	n.env = append(n.env, w.env...)
	w.nodes = append(w.nodes, n)
	return n.start(w.ctx)
}

// start starts the gateway, or the next one at the same address, and waits until it lives.
func (n *node) start(ctx context.Context) (err error) {
	config := filepath.Join(n.dir, "gateway.yaml")
	text := fmt.Sprintf("auth: {credentials: [{login: %q, secret: %q}]}\n", login, secret) + n.routes
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	if n.process, err = start(ctx, n.dir, n.program, n.env, "serve", "--config", config); err != nil {
		return err
	}
	err = until(ctx, "the gateway lives", func() bool { return status("http://"+n.admin+"/healthz") == http.StatusOK || !n.running() })
	if err == nil && !n.running() {
		err = fmt.Errorf("the gateway has ended: see %s", n.log)
	}
	n.is(false)
	return err
}

// is notes that the gateway is away, or leaves, so that clients who have the choice go elsewhere.
func (n *node) is(away bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away = away
}

func (n *node) here() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.away
}

// die kills the gateway.
func (n *node) die() {
	n.is(true)
	n.killed = true
	n.kill()
}

// status asks over a connection of its own; 0 is no answer.
func status(url string) int {
	r, err := ask(url)
	if err != nil {
		return 0
	}
	_ = r.Body.Close()
	return r.StatusCode
}

// ask gets what a child says within a second, over a connection of its own.
func ask(url string) (*http.Response, error) {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	return c.Get(url) // the time-out bounds it, with the reading of the body
}

// haproxy's configuration: as the product ships it in what matters, but faster to notice.
const haproxyConfig = `global
    maxconn 2000
defaults
    mode http
    timeout connect 2s
    timeout client 330s
    timeout server 330s
    retries 2
    option redispatch 1
    retry-on conn-failure
frontend clients_and_callbacks
    bind %s
    default_backend gateways
backend gateways
    balance leastconn
    option httpchk GET /readyz
    default-server check inter 100ms fall 1 rise 1
    server gateway-1 %s
    server gateway-2 %s
`

func (w *world) startBalancer() (err error) {
	if !w.balanced {
		return nil
	}
	file := filepath.Join(w.dir, "haproxy.cfg")
	if err := os.WriteFile(file, fmt.Appendf(nil, haproxyConfig, w.front, w.nodes[0].addr, w.nodes[1].addr), 0o600); err != nil {
		return fmt.Errorf("write haproxy's configuration: %w", err)
	}
	if w.balancer, err = start(w.ctx, w.dir, "haproxy", nil, "-db", "-f", file); err != nil {
		return err
	}
	return until(w.ctx, "haproxy has found a gateway", func() bool { return status("http://"+w.front+"/readyz") == http.StatusOK })
}

// ready waits until every gateway that is there is.
func (w *world) ready(ctx context.Context) error {
	return until(ctx, "the gateways are ready", func() bool {
		for _, n := range w.nodes {
			if n.here() && status("http://"+n.admin+"/readyz") != http.StatusOK {
				return false
			}
		}
		return true
	})
}

// door is where a client asks that prefers a node: there if it is not away, else at another.
func (w *world) door(prefer int) string {
	if w.balanced {
		return w.front
	}
	for i := range w.nodes {
		if n := w.nodes[(prefer+i)%len(w.nodes)]; n.here() {
			return n.addr
		}
	}
	return w.nodes[0].addr
}

// anywhere is a gateway that the engine is to call back, chosen anew each time.
func (w *world) anywhere() string { return w.nodes[rand.IntN(len(w.nodes))].addr } //nolint:gosec // a choice and no secret

// close ends everything, and says what is wrong with the gateways that are left.
func (w *world) close() error {
	errs := w.stop()
	if w.balancer != nil {
		w.balancer.kill()
	}
	w.store.close()
	for _, p := range append(append(w.links, w.inbound...), w.outbound) {
		if p != nil {
			p.Close()
		}
	}
	if w.engine != nil {
		w.engine.Close()
	}
	if w.hooks != nil {
		w.hooks.Close()
	}
	return errors.Join(append(errs, w.panics())...)
}

// stop ends the gateways that are left, together.
func (w *world) stop() (errs []error) {
	grace, cancel := context.WithTimeout(w.ctx, patience)
	defer cancel()
	var left []*node
	for _, n := range w.nodes {
		if n.process != nil && n.running() {
			left = append(left, n)
			_ = n.signal(syscall.SIGCONT)
			_ = n.signal(syscall.SIGTERM)
		}
	}
	for _, n := range left {
		errs = append(errs, n.ends(grace))
		n.kill()
	}
	return errs
}

// panics looks for what no log may have.
func (w *world) panics() error {
	logs, err := filepath.Glob(filepath.Join(w.dir, "syncgate-*.log"))
	if err != nil {
		return fmt.Errorf("find the logs: %w", err)
	}
	for _, name := range logs {
		text, err := os.ReadFile(name) //nolint:gosec // a log that this run wrote
		if err != nil {
			return fmt.Errorf("read a log: %w", err)
		}
		for _, bad := range []string{"DATA RACE", "panic:", "panicked"} {
			if strings.Contains(string(text), bad) {
				return fmt.Errorf("%s has %q", name, bad)
			}
		}
	}
	return nil
}
