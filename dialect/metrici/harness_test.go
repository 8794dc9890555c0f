package metrici_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"syncgate/correlator"
	"syncgate/correlator/redis"
	"syncgate/dialect"
	"syncgate/dialect/corezoid"
	"syncgate/dialect/httpengine"
	"syncgate/dialect/metrici"
	"syncgate/dialect/rest"
	"syncgate/gateway"
	"syncgate/internal/redistest"
	"syncgate/signer"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"))
}

const patience = 10 * time.Second

// start is a start request as a worker gets it.
type start struct {
	header             http.Header
	query              url.Values
	body               string
	task               string // JSON
	token, id, parent  string // as the documented names have them
	plain, contentType string // plain: the callback token of an engine of kind http
}

// worker starts tasks. It accepts each of them, unless says has another answer.
type worker struct {
	*httptest.Server
	started chan start
	says    chan func(http.ResponseWriter)
}

func newWorker(t *testing.T) *worker {
	t.Helper()
	w := &worker{started: make(chan start, 1000), says: make(chan func(http.ResponseWriter), 10)}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		s := start{header: r.Header, query: r.URL.Query(), body: string(b), task: string(b), contentType: r.Header.Get("Content-Type")}
		if form, err := url.ParseQuery(s.body); err == nil && form.Has("data") {
			s.task = form.Get("data")
		}
		var task struct{ CallbackToken, CallbackID, CallbackParentToken string }
		_ = json.Unmarshal([]byte(s.task), &task) // of an engine of another kind there is none
		s.token, s.id, s.parent = task.CallbackToken, task.CallbackID, task.CallbackParentToken
		plain := r.Header.Get("X-Callback-Url")
		s.plain = plain[strings.LastIndexByte(plain, '/')+1:]
		w.started <- s
		select {
		case say := <-w.says:
			say(rw)
		default:
			rw.WriteHeader(http.StatusAccepted)
		}
	}))
	t.Cleanup(w.Close)
	return w
}

// setup is what a test changes of a site.
type setup struct {
	engine  metrici.EngineConfig
	http    httpengine.Config // of the engine
	route   rest.RouteConfig
	gateway gateway.Config
	report  metrici.Config // Engines apart
	redis   *redistest.Server
	nodes   int
}

// site is gateways with a route to a worker.
type site struct {
	*worker
	t     *testing.T
	keys  *correlator.Keys
	nodes []*node
}

// node is one gateway.
type node struct {
	*gateway.Gateway
	t     *testing.T
	url   string
	table table
	http  *http.Client
}

type table interface {
	correlator.Correlator
	Shutdown(ctx context.Context) error
}

// newSite starts a gateway in memory, or nodes over Redis. The routes are tasks (kind metrici) and jobs (kind http).
func newSite(t *testing.T, change ...func(*setup)) *site {
	t.Helper()
	s := &site{worker: newWorker(t), t: t}
	c := setup{http: httpengine.Config{Name: "worker", Kind: metrici.Kind, URL: s.URL + "/execute", Merge: true}, route: rest.DefaultRoute(), gateway: gateway.Default(), nodes: 1}
	c.report = metrici.Config{Await: c.gateway.Timeouts.Max, Report: metrici.ReportTime(c.gateway.Listen.WriteTimeout)}
	c.route.Name, c.route.Path, c.route.Engine, c.route.Auth = "tasks", "/v1/tasks", "worker", rest.AuthNone
	c.gateway.Listen.Public, c.gateway.Listen.Admin, c.gateway.Engine.URL = "127.0.0.1:0", "", s.URL
	for _, f := range change {
		f(&c)
	}
	var err error
	if s.keys, err = correlator.NewKeys([]string{correlator.RandomKey()}); err != nil {
		t.Fatal(err)
	}
	for range c.nodes {
		s.nodes = append(s.nodes, s.join(&c))
	}
	for _, n := range s.nodes {
		eventually(t, "ready", func() bool { return n.table.Ready() == nil })
	}
	return s
}

// join starts a node.
func (s *site) join(c *setup) *node {
	s.t.Helper()
	n := &node{t: s.t, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if c.redis == nil {
		n.table = correlator.NewMemory(correlator.Config{Parked: 5000, Retention: c.gateway.Results.Retention, Results: 64 << 20, Progress: int64(c.gateway.Limits.CallbackBody)})
	} else {
		cfg := redis.Default()
		cfg.URL, cfg.Timeout, cfg.Retention, cfg.Progress = c.redis.URL(), 5*time.Second, c.gateway.Results.Retention, int64(c.gateway.Limits.CallbackBody)
		made, err := redis.New(cfg, s.keys, redis.Options{})
		if err != nil {
			s.t.Fatal(err)
		}
		n.table = made
	}
	c.report.Engines = []metrici.Named{{Name: "worker", EngineConfig: c.engine}}
	reports := metrici.New(c.report, s.keys)
	engine, err := metrici.NewEngine(c.engine, c.http)
	if err != nil {
		s.t.Fatal(err)
	}
	plain := httpengine.Config{Name: "plain", Kind: httpengine.Kind, URL: s.URL + "/plain"}
	other, err := httpengine.New(plain, httpengine.Options{CallbackURL: "http://gateway/"})
	if err != nil {
		s.t.Fatal(err)
	}
	jobs := rest.DefaultRoute()
	jobs.Name, jobs.Path, jobs.Engine, jobs.Auth = "jobs", "/v1/jobs", "plain", rest.AuthNone
	routes, err := rest.New(rest.Config{
		Routes: []rest.RouteConfig{c.route, jobs}, MaxWait: time.Minute, Retention: c.gateway.Results.Retention,
		Engines: []rest.Engine{{Name: "worker", Progress: true}, {Name: "plain"}},
	}, rest.Outside{Keys: s.keys})
	if err != nil {
		s.t.Fatal(err)
	}
	d := newCorezoid(s.t, c.gateway)
	n.Gateway, err = gateway.New(c.gateway, gateway.Parts{
		Correlator: n.table, Keys: s.keys, Dialect: d, Engine: d, Dialects: []dialect.Dialect{reports, routes}, Log: zerolog.Nop(), Metrics: prometheus.NewRegistry(), Version: "test",
		Engines: []gateway.NamedEngine{{Name: "worker", Code: engine, Config: metrici.HTTP(c.engine, c.http).Connection()}, {Name: "plain", Code: other, Config: plain.Connection()}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	reports.Connect(n.Gateway)
	if err = n.Listen(); err != nil {
		s.t.Fatal(err)
	}
	n.Serve()
	n.url = "http://" + n.PublicAddr().String()
	s.t.Cleanup(n.stop)
	return n
}

func newCorezoid(t *testing.T, cfg gateway.Config) *corezoid.Dialect {
	t.Helper()
	keys, err := signer.NewKeyring([]signer.Credential{{Login: "1", Secret: "s"}})
	if err != nil {
		t.Fatal(err)
	}
	c := corezoid.Default()
	c.EngineURL, c.CallbackURL, c.Timeouts = cfg.Engine.URL, cfg.Callback.CallbackURL(), cfg.Timeouts
	d, err := corezoid.New(c, corezoid.Access{Keys: keys, MaxOps: cfg.Limits.Ops})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (n *node) stop() {
	n.http.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = n.table.Drain(ctx)
	if err := n.Close(context.Background()); err != nil {
		n.t.Error(err)
	}
	_ = n.table.Shutdown(context.Background())
}

// answer is one of a gateway.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request. headers are "Name: value"; without Content-Type the body is JSON.
func (n *node) do(line, body string, headers ...string) answer {
	a, err := n.try(line, body, headers...)
	if err != nil {
		n.t.Errorf("%s: %v", line, err)
	}
	return a
}

func (n *node) try(line, body string, headers ...string) (a answer, err error) {
	method, path, _ := strings.Cut(line, " ")
	req, err := http.NewRequestWithContext(context.Background(), method, n.url+path, strings.NewReader(body))
	if err != nil {
		return a, err
	}
	req.Header.Set("Content-Type", "application/json")
	for _, h := range headers {
		if name, value, ok := strings.Cut(h, ": "); ok {
			req.Header.Set(name, value)
		}
	}
	resp, err := n.http.Do(req)
	if err != nil {
		return a, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b)}, err
}

// post is a client that waits for its result.
func (n *node) post(body string, headers ...string) <-chan answer {
	c := make(chan answer, 1)
	go func() { c <- n.do("POST /v1/tasks", body, headers...) }()
	return c
}

// next gives the next start request.
func (w *worker) next(t *testing.T) start {
	t.Helper()
	return soon(t, w.started)
}

func soon[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("nothing within %v", patience)
	}
	return v
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// message is what a worker says.
func message(token, status, data string) string {
	m := fmt.Sprintf(`{"type":"CALLBACK","callbackToken":%q,"callbackStatus":%q`, token, status)
	if data != "" {
		m += `,"callbackData":` + data
	}
	return m + "}"
}

const formPath = "/callback/metrici?action=callback"

// report sends a message, and gives the answer's body.
func (n *node) report(token, status, data string) string {
	n.t.Helper()
	return n.call(message(token, status, data))
}

// call sends the text of a message.
func (n *node) call(text string) string {
	n.t.Helper()
	a := n.do("POST "+formPath, text)
	if a.status != 200 || a.header.Get("Content-Type") != "application/json" {
		n.t.Errorf("%s: %d %s", text, a.status, a.body)
	}
	return a.body
}

func (n *node) query(token string) string {
	n.t.Helper()
	return n.call(fmt.Sprintf(`{"type":"CALLBACK","callbackToken":%q,"callbackAction":"getCallback"}`, token))
}

// said is the answer to a report, as the documented names have it.
func said(token, status, data string) string {
	return fmt.Sprintf(`{"callbackToken":%q,"callbackStatus":%q,"callbackData":%s}`, token, status, data)
}

// is is the answer to a question.
func is(token, status, data string) string {
	return fmt.Sprintf(`{"token":%q,"status":%q,"data":%s}`, token, status, data)
}

func want(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func wantAnswer(t *testing.T, a answer, status int, body string) {
	t.Helper()
	if a.status != status || body != "" && a.body != body {
		t.Errorf("%d %s\nwant %d %s", a.status, a.body, status, body)
	}
}
