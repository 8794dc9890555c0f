package waiter_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/corezoid"
	"syncgate/dialect/waiter"
	"syncgate/gateway"
	"syncgate/internal/wiretest"
	"syncgate/signer"
)

// hash is the secret part of a waiter's URL.
const hash = "0123456789abcdef0123456789abcdef01234567"

// shared is a correlator of one node, or a node of several.
type shared interface {
	correlator.Correlator
	correlator.Namer
	Shutdown(ctx context.Context) error
}

// whole is a gateway with waiters, whose engine takes everything and is told nothing.
type whole struct {
	t       *testing.T
	url     string
	table   *waiter.Table
	metrics *prometheus.Registry
	log     *wiretest.Log
	asked   chan string // bodies that the engine got
}

// startWhole makes a gateway with waiters over a correlator.
func startWhole(t *testing.T, c shared, keys *correlator.Keys, all ...waiter.Config) *whole {
	t.Helper()
	w := &whole{t: t, metrics: prometheus.NewRegistry(), log: new(wiretest.Log), asked: make(chan string, 1000)}
	engine := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.asked <- string(body)
		var sent struct{ Ops []struct{ ID string } }
		_ = json.Unmarshal(body, &sent)
		rw.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(rw, `{"request_proc":"ok","ops":[{"id":"`+sent.Ops[0].ID+`","proc":"ok","obj":"task","obj_id":"e7"}]}`)
	}))
	t.Cleanup(engine.Close)
	cfg := gateway.Default()
	cfg.Listen.Public, cfg.Listen.Admin, cfg.Engine.URL = "127.0.0.1:0", "127.0.0.1:0", engine.URL
	log := zerolog.New(w.log)
	var err error
	if w.table, err = waiter.New(all, waiter.Options{Names: c, Log: log, Metrics: w.metrics}); err != nil {
		t.Fatal(err)
	}
	api := newCorezoid(t, cfg)
	g, err := gateway.New(cfg, gateway.Parts{
		Correlator: c, Keys: keys, Dialect: api, Engine: api, Dialects: []dialect.Dialect{waiter.NewDialect(w.table)},
		Log: log, Metrics: w.metrics, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	w.table.Connect(g)
	api.SetWaiters(w.table, g)
	if err := g.Listen(); err != nil {
		t.Fatal(err)
	}
	g.Serve()
	w.url = "http://" + g.PublicAddr().String()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Drain(ctx)
		if err := g.Close(ctx); err != nil {
			t.Error(err)
		}
		if err := w.table.Close(ctx); err != nil {
			t.Error(err)
		}
		_ = c.Shutdown(ctx)
	})
	return w
}

// startMemory makes one of a single node.
func startMemory(t *testing.T, all ...waiter.Config) *whole {
	t.Helper()
	return startWhole(t, correlator.NewMemory(correlator.Config{Parked: 1000, Retention: time.Hour, Results: 1 << 20}), newKeys(t), all...)
}

func newKeys(t *testing.T) *correlator.Keys {
	t.Helper()
	keys, err := correlator.NewKeys([]string{strings.Repeat("k", correlator.MinKeyLen)})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func newCorezoid(t *testing.T, cfg gateway.Config) *corezoid.Dialect {
	t.Helper()
	keys, err := signer.NewKeyring([]signer.Credential{{Login: "1", Secret: "s"}})
	if err != nil {
		t.Fatal(err)
	}
	c := corezoid.Default()
	c.EngineURL, c.CallbackURL, c.Timeouts = cfg.Engine.URL, cfg.Callback.CallbackURL(), cfg.Timeouts
	d, err := corezoid.New(c, corezoid.Access{Keys: keys, Window: time.Minute, MaxOps: cfg.Limits.Ops})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// said is an answer.
type said struct {
	status int
	body   string
	header http.Header
}

// send sends a request, and gives the answer.
func (w *whole) send(method, path, body string, headers ...string) said {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return said{resp.StatusCode, string(text), resp.Header}
}

// create sends a signed package that creates a task, and gives what will be answered once it is parked.
func (w *whole) create(ref, data string) <-chan said {
	w.t.Helper()
	body := `{"timeout":30,"ops":[{"type":"create","obj":"task","conv_id":"1234","ref":"` + ref + `","data":` + data + `}]}`
	stamp := string(signer.AppendTime(nil, time.Now()))
	path := "/api/2/json/1/" + stamp + "/" + string(signer.AppendSignature(nil, []byte(stamp), []byte("s"), []byte(body)))
	done := make(chan said, 1)
	before := w.parked()
	go func() { done <- w.send(http.MethodPost, path, body) }()
	w.until(func() bool { return w.parked() > before || len(done) > 0 })
	return done
}

func (w *whole) until(done func() bool) {
	w.t.Helper()
	for end := time.Now().Add(5 * time.Second); !done(); {
		if time.Now().After(end) {
			w.t.Fatal("it does not happen within 5 s")
		}
		<-time.After(time.Millisecond)
	}
}

// parked is how many clients wait.
func (w *whole) parked() int { return int(w.metric("syncgate_parked_clients", "", "")) }

// metric gives a metric whose labels have these values, in the order of their names.
func (w *whole) metric(name string, values ...string) float64 {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			match := true
			for i, l := range m.GetLabel() {
				match = match && i < len(values) && l.GetValue() == values[i]
			}
			if match {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// want wants an answer.
func (s said) want(t *testing.T, status int, body string) {
	t.Helper()
	if s.status != status || s.body != body {
		t.Errorf("%d %s; want %d %s", s.status, s.body, status, body)
	}
}
