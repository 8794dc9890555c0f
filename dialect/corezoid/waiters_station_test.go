package corezoid_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"syncgate/correlator"
	"syncgate/correlator/redis"
	"syncgate/dialect"
	"syncgate/dialect/corezoid"
	"syncgate/dialect/rest"
	"syncgate/dialect/waiter"
	"syncgate/gateway"
	"syncgate/internal/redistest"
	"syncgate/signer"
)

// station is one or two real gateways with waiters, and an engine that takes what it is asked for.
type station struct {
	t      *testing.T
	client *http.Client
	nodes  []*stationNode // the last one is where completions come
	engine chan packaged
	redis  *redistest.Server

	mu   sync.Mutex
	made int // ops that the engine got
}

type stationNode struct {
	url     string
	gateway *gateway.Gateway
	names   correlator.Namer
}

// packaged is a package as the engine got it.
type packaged struct {
	body string
	ops  []packagedOp
}

type packagedOp struct {
	ID, Ref json.RawMessage
	Type    string
	ObjID   string `json:"obj_id"`
	Data    struct {
		URL    string `json:"__callback_url"`
		Refuse bool
	}
}

// serveEngine answers like the engine: a task for each create, but those that are to be refused, and ok to each modify, but those.
func (s *station) serveEngine(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var p struct{ Ops []packagedOp }
	if err := json.Unmarshal(body, &p); err != nil {
		s.t.Errorf("the engine gets %s: %v", body, err)
	}
	s.mu.Lock()
	first := s.made + 1
	s.made += len(p.Ops)
	s.mu.Unlock()
	s.engine <- packaged{string(body), p.Ops}
	var ops []string
	for i, op := range p.Ops {
		if op.Data.Refuse {
			ops = append(ops, fmt.Sprintf(`{"id":%s,"proc":"error","description":"no"}`, op.ID))
			continue
		}
		ops = append(ops, fmt.Sprintf(`{"id":%s,"proc":"ok","obj":"task","obj_id":"e%d"}`, op.ID, first+i))
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"request_proc":"ok","ops":[`+strings.Join(ops, ",")+`]}`)
}

// eachStation runs f with a gateway in memory, and with two over Redis. Process 1 forwards, 2 and 3 do not.
func eachStation(t *testing.T, f func(t *testing.T, s *station), change ...func(*waiter.Config)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { f(t, newStation(t, nil, change...)) })
	t.Run("redis", func(t *testing.T) { f(t, newStation(t, redistest.Start(t), change...)) })
}

func newStation(t *testing.T, r *redistest.Server, change ...func(*waiter.Config)) *station {
	t.Helper()
	s := &station{t: t, client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 100}}, engine: make(chan packaged, 1000), redis: r}
	engine := httptest.NewServer(http.HandlerFunc(s.serveEngine))
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		engine.Close()
	})
	keys, err := correlator.NewKeys([]string{correlator.RandomKey()})
	if err != nil {
		t.Fatal(err)
	}
	list := []waiter.Config{
		waiterOf("1", waiter.EngineForward, append([]func(*waiter.Config){func(c *waiter.Config) { c.Logins = []string{login} }}, change...)...),
		waiterOf("2", waiter.EngineNone, change...),
		waiterOf("3", waiter.EngineNone, append([]func(*waiter.Config){func(c *waiter.Config) { c.Key = "data.order.no" }}, change...)...),
	}
	s.join(engine.URL, keys, list)
	if r != nil {
		s.join(engine.URL, keys, list)
	}
	return s
}

// join starts a node.
func (s *station) join(engineURL string, keys *correlator.Keys, list []waiter.Config) {
	s.t.Helper()
	cfg := gateway.Default()
	cfg.Listen.Public, cfg.Listen.Admin, cfg.Engine.URL, cfg.Engine.Timeout = "127.0.0.1:0", "", engineURL, 5*time.Second
	n := new(stationNode)
	table, shutdown := s.table(keys, cfg)
	n.names = table.(correlator.Namer)
	waiters, err := waiter.New(list, waiter.Options{Names: n.names, Log: zerolog.Nop()})
	if err != nil {
		s.t.Fatal(err)
	}
	d := newDialect(s.t, func(c *corezoid.Config) { c.EngineURL, c.CallbackURL = engineURL, cfg.Callback.CallbackURL() })
	who := access(s.t, signer.Credential{Login: otherLogin, Secret: otherSecret})
	who.MaxOps, who.Window = 100, 0
	d.SetAccess(who)
	n.gateway, err = gateway.New(cfg, gateway.Parts{
		Correlator: table, Keys: keys, Dialect: d, Engine: d, Dialects: []dialect.Dialect{routesOf(s.t, keys)}, Log: zerolog.New(zerolog.NewTestWriter(s.t)).Level(zerolog.WarnLevel),
		Metrics: prometheus.NewRegistry(), Version: "test",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	waiters.Connect(n.gateway)
	d.SetWaiters(waiters, n.gateway)
	if err := n.gateway.Listen(); err != nil {
		s.t.Fatal(err)
	}
	n.gateway.Serve()
	n.url = "http://" + n.gateway.PublicAddr().String()
	s.nodes = append(s.nodes, n)
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.client.CloseIdleConnections()
		_ = table.Drain(ctx)
		_ = waiters.Close(ctx)
		_ = n.gateway.Close(ctx)
		shutdown(ctx)
	})
	waitUntil(s.t, "the node is ready", func() bool { return table.Ready() == nil })
}

// table makes a node's table.
func (s *station) table(keys *correlator.Keys, cfg gateway.Config) (table correlator.Correlator, shutdown func(context.Context)) {
	if s.redis == nil {
		m := correlator.NewMemory(correlator.Config{Parked: cfg.Limits.Parked, Retention: cfg.Results.Retention, Results: int64(cfg.Limits.Results)})
		return m, func(ctx context.Context) { _ = m.Shutdown(ctx) }
	}
	store := redis.Default()
	store.URL, store.Timeout = s.redis.URL(), 2*time.Second
	r, err := redis.New(store, keys, redis.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	return r, func(ctx context.Context) { _ = r.Shutdown(ctx) }
}

const (
	otherLogin  = "67890"
	otherSecret = "anothersecret"
)

// routesOf makes a dialect with a route to each process.
func routesOf(t *testing.T, keys *correlator.Keys) dialect.Dialect {
	t.Helper()
	cfg := rest.Config{MaxWait: time.Minute, Retention: time.Hour, Engines: []rest.Engine{{Name: dialect.DefaultEngine, Corezoid: true}}}
	for _, process := range []string{"1", "2", "3"} {
		r := rest.DefaultRoute()
		r.Name, r.Path, r.Engine, r.Auth, r.ConvID, r.Login = "r"+process, "/r/"+process, dialect.DefaultEngine, rest.AuthNone, process, login
		cfg.Routes = append(cfg.Routes, r)
	}
	d, err := rest.New(cfg, rest.Outside{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// heard is what a client got.
type heard struct {
	status int
	header http.Header
	body   string
}

// at sends a package to a node and gives what comes back.
func (s *station) at(node *stationNode, ops string) heard {
	return s.signed(node, login, secret, `{"timeout":10,"ops":[`+ops+`]}`)
}

func (s *station) signed(node *stationNode, login, secret, body string) heard {
	return s.do(node, http.MethodPost, path(login, strconv.FormatInt(time.Now().Unix(), 10), secret, body), body)
}

func (s *station) do(node *stationNode, method, path, body string, header ...string) heard {
	req, err := http.NewRequestWithContext(context.Background(), method, node.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return heard{}
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Error(err)
		return heard{}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Error(err)
	}
	return heard{resp.StatusCode, resp.Header, string(text)}
}

func (s *station) home() *stationNode  { return s.nodes[0] }
func (s *station) other() *stationNode { return s.nodes[len(s.nodes)-1] }

// create sends ops to the home node and gives the reply by channel.
func (s *station) create(ops string) <-chan heard {
	c := make(chan heard, 1)
	go func() { c <- s.at(s.home(), ops) }()
	return c
}

// wantOps wants a package with these ops.
func (s *station) wantOps(h heard, ops string) {
	s.t.Helper()
	if h.status != 200 || h.body != `{"request_proc":"ok","ops":[`+ops+`]}` {
		s.t.Errorf("got  %d %s\nwant %s", h.status, h.body, ops)
	}
}

// asked waits for a package of the engine.
func (s *station) asked() packaged {
	s.t.Helper()
	select {
	case p := <-s.engine:
		return p
	case <-time.After(10 * time.Second):
		s.t.Fatal("the engine was not asked within 10 s")
		return packaged{}
	}
}

func (s *station) unasked() {
	s.t.Helper()
	select {
	case p := <-s.engine:
		s.t.Errorf("the engine gets %s", p.body)
	case <-time.After(20 * time.Millisecond):
	}
}

// bound waits until an op has a name: who takes it gives it back.
func (s *station) bound(process, ref string) {
	s.t.Helper()
	waitUntil(s.t, ref+" is a name", func() bool {
		n := correlator.Name{Process: process, Key: waiter.KeyRef, Text: ref}
		to, err := s.other().names.Take(context.Background(), n, time.Second)
		if err != nil {
			return false
		}
		return s.other().names.Finish(context.Background(), n, to.ID, to.Op, false) == nil
	})
}

func (s *station) answered(c <-chan heard) heard {
	s.t.Helper()
	select {
	case h := <-c:
		return h
	case <-time.After(20 * time.Second):
		s.t.Fatal("no reply within 20 s")
		return heard{}
	}
}

func waitUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}
