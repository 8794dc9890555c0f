package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"syncgate/correlator"
	"syncgate/dialect/corezoid"
	"syncgate/gateway"
	"syncgate/signer"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// It sleeps up to ten seconds before it sees that it is not needed any more, and then ends.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		// It keeps the Date header for as long as the process lives.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
	)
}

const (
	login  = "12345"
	secret = "mysecret"
)

// node is a gateway under test, with its real listeners.
type node struct {
	*gateway.Gateway
	t    testing.TB
	url  string
	memo *correlator.Memory
	keys *correlator.Keys
	log  *syncBuffer
	http *http.Client
	raw  []net.Conn // closed before the gateway is
	reg  prometheus.Registerer
}

// start makes a gateway in front of the engine at engineURL.
func start(t testing.TB, engineURL string, change ...func(*gateway.Config)) *node {
	t.Helper()
	return startOver(t, engineURL, func(m *correlator.Memory) correlator.Correlator { return m }, change...)
}

// startOver is start with something between the gateway and its correlator.
func startOver(t testing.TB, engineURL string, over func(*correlator.Memory) correlator.Correlator, change ...func(*gateway.Config)) *node {
	t.Helper()
	return startParts(t, engineURL, func(n *node, p *gateway.Parts) { p.Correlator = over(n.memo) }, change...)
}

// startParts is start with some other parts.
func startParts(t testing.TB, engineURL string, replace func(*node, *gateway.Parts), change ...func(*gateway.Config)) *node {
	t.Helper()
	cfg := gateway.Default()
	cfg.Listen.Public, cfg.Listen.Admin = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Engine.URL = engineURL
	cfg.Engine.Timeout = 2 * time.Second
	for _, c := range change {
		c(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, log: new(syncBuffer)}
	n.memo = correlator.NewMemory(correlator.Config{Parked: cfg.Limits.Parked, Retention: cfg.Results.Retention, Results: int64(cfg.Limits.Results)})
	var err error
	if n.keys, err = correlator.NewKeys([]string{correlator.RandomKey()}); err != nil {
		t.Fatal(err)
	}
	// The callback URL has to be known before the port is: the engine of these tests calls back by token.
	d := newDialect(t, cfg)
	parts := gateway.Parts{Correlator: n.memo, Keys: n.keys, Dialect: d, Engine: d, Log: zerolog.New(n.log), Metrics: prometheus.NewRegistry(), Version: "test"}
	replace(n, &parts)
	n.reg = parts.Metrics
	if n.Gateway, err = gateway.New(cfg, parts); err != nil {
		t.Fatal(err)
	}
	if err := n.Listen(); err != nil {
		t.Fatal(err)
	}
	n.Serve()
	n.url = "http://" + n.PublicAddr().String()
	n.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	t.Cleanup(n.stop)
	return n
}

func (n *node) stop() {
	n.http.CloseIdleConnections()
	for _, c := range n.raw {
		_ = c.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = n.memo.Drain(ctx)
	if left := n.memo.Len(); left != 0 {
		n.t.Errorf("%d trips are left in the table", left)
	}
	if err := n.Close(ctx); err != nil {
		n.t.Errorf("close: %v", err)
	}
	_ = n.memo.Shutdown(ctx)
	n.wantNobody()
	for end := time.Now().Add(5 * time.Second); ; <-time.After(time.Millisecond) {
		bytes, open := n.Leaks()
		if bytes == 0 && open == 0 {
			return
		}
		if time.Now().After(end) {
			n.t.Errorf("left over: %d bytes of bodies, %d connections", bytes, open)
			return
		}
	}
}

// wantNobody wants that no client counts as one that waits.
func (n *node) wantNobody() {
	reg, ok := n.reg.(prometheus.Gatherer)
	if !ok {
		return
	}
	families, err := reg.Gather()
	if err != nil {
		n.t.Error(err)
	}
	for _, f := range families {
		if waiting := f.GetMetric()[0].GetGauge().GetValue(); f.GetName() == "syncgate_parked_clients" && waiting != 0 {
			n.t.Errorf("%v clients wait, as the metrics have it", waiting)
		}
	}
}

// sign gives the path of a create with that body.
func sign(body string) string {
	return signAt(strconv.FormatInt(time.Now().Unix(), 10), body)
}

// signAt gives the path of a create with that time and body.
func signAt(at, body string) string { return signAs(login, secret, at, body) }

// signAs gives the path of a create of a login.
func signAs(login, secret, at, body string) string {
	return "/api/1/json/" + login + "/" + at + "/" + string(signer.AppendSignature(nil, []byte(at), []byte(secret), []byte(body)))
}

// answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   string
	closed bool // by Connection: close
}

// create sends a create and waits for its reply.
func (n *node) create(body string, header ...string) answer {
	n.t.Helper()
	return n.do(http.MethodPost, sign(body), body, header...)
}

// createLater sends a create and gives its reply by channel.
func (n *node) createLater(body string, header ...string) <-chan answer {
	c := make(chan answer, 1)
	go func() { c <- n.do(http.MethodPost, sign(body), body, header...) }()
	return c
}

func (n *node) do(method, path, body string, header ...string) answer {
	req, err := http.NewRequestWithContext(n.t.Context(), method, n.url+path, strings.NewReader(body))
	if err != nil {
		n.t.Errorf("request: %v", err)
		return answer{}
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := n.http.Do(req)
	if err != nil {
		n.t.Errorf("%s %s: %v", method, path, err)
		return answer{}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Errorf("%s %s: read: %v", method, path, err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(b), closed: resp.Close}
	if problem := cached(a, path == "/healthz" || path == "/readyz"); problem != "" {
		n.t.Errorf("%s %s: %s", method, path, problem)
	}
	return a
}

// cached says what is wrong with the Cache-Control of an answer: every answer forbids caches to keep it, but those about health.
func cached(a answer, aboutHealth bool) string {
	health := aboutHealth && (a.status == 200 || a.status == 503)
	if control := a.header.Values("Cache-Control"); health != (len(control) == 0) || !health && (len(control) != 1 || control[0] != "no-store") {
		return fmt.Sprintf("%d with Cache-Control %q", a.status, control)
	}
	return ""
}

// callback posts a result as an engine does.
func (n *node) callback(token, body string) answer {
	n.t.Helper()
	return n.do(http.MethodPost, "/api/1/plugins/callback/"+token, body, "Content-Type", "application/json")
}

// engine is the engine's side in the hands of the test: each create waits for the test to say what happens.
type engine struct {
	*httptest.Server
	asked chan *asked
}

// asked is one create that has reached the engine.
type asked struct {
	body   string
	path   string
	tokens []string
	say    chan func(http.ResponseWriter)
}

var tokenPattern = regexp.MustCompile(`/api/1/plugins/callback/([A-Za-z0-9_-]+)"`)

func newEngine(t *testing.T) *engine {
	t.Helper()
	e := &engine{asked: make(chan *asked, 1000)}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		a := &asked{body: string(b), path: r.URL.Path, say: make(chan func(http.ResponseWriter), 1)}
		for _, m := range tokenPattern.FindAllStringSubmatch(a.body, -1) {
			a.tokens = append(a.tokens, m[1])
		}
		e.asked <- a
		select {
		case f := <-a.say:
			f(w)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(e.Close)
	return e
}

// next waits for the next create.
func (e *engine) next(t testing.TB) *asked {
	t.Helper()
	select {
	case a := <-e.asked:
		return a
	case <-time.After(5 * time.Second):
		t.Fatal("the engine was not asked within 5 s")
		return nil
	}
}

// accept answers as the vendor does, with one op for each that is in the package.
func (a *asked) accept() { a.answer(200, a.accepted()) }

func (a *asked) accepted() string {
	var pack struct {
		Ops []struct {
			ID json.RawMessage `json:"id"`
		} `json:"ops"`
	}
	if err := json.Unmarshal([]byte(a.body), &pack); err != nil { // a single op as an object
		return `{"request_proc":"ok","ops":[{"id":"","proc":"ok","obj":"task","ref":null,"obj_id":"5cf67011094bab1b9a00a31d"}]}`
	}
	ops := make([]string, len(pack.Ops))
	for i, op := range pack.Ops {
		id := string(op.ID)
		if id == "" {
			id = `""`
		}
		ops[i] = fmt.Sprintf(`{"id":%s,"proc":"ok","obj":"task","ref":null,"obj_id":"5cf67011094bab1b9a00a3%02x"}`, id, i)
	}
	return `{"request_proc":"ok","ops":[` + strings.Join(ops, ",") + `]}`
}

func (a *asked) answer(status int, body string) {
	a.say <- func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// reset breaks the connection after the request was read.
func (a *asked) reset() {
	a.say <- func(w http.ResponseWriter) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		}
	}
}

func oneOp(data string) string {
	return `{"timeout":5,"ops":[{"type":"create","obj":"task","conv_id":1,"data":` + data + `}]}`
}

// waitFor polls until ok, for five seconds at most.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not happen within 5 s")
		}
	}
}

func got(t testing.TB, c <-chan answer) answer {
	t.Helper()
	select {
	case a := <-c:
		return a
	case <-time.After(10 * time.Second):
		t.Fatal("no reply within 10 s")
		return answer{}
	}
}

func want(t *testing.T, a answer, status int, body string) {
	t.Helper()
	if a.status != status || a.body != body {
		t.Errorf("%d %s\nwant %d %s", a.status, a.body, status, body)
	}
	if a.header.Get("Content-Type") != "application/json" || a.header.Get("Content-Length") != strconv.Itoa(len(a.body)) {
		t.Errorf("headers %v of %d bytes; want JSON with its length", a.header, len(a.body))
	}
}

// syncBuffer is a log that may be written and read at once.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b.Reset()
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// newDialect is the real one.
func newDialect(t testing.TB, cfg gateway.Config) *corezoid.Dialect {
	t.Helper()
	keys, err := signer.NewKeyring([]signer.Credential{{Login: login, Secret: secret}, {Login: otherLogin, Secret: otherSecret, EngineLogin: engineLogin, EngineSecret: engineSecret}})
	if err != nil {
		t.Fatal(err)
	}
	c := corezoid.Default()
	c.EngineURL, c.CallbackURL, c.Timeouts = cfg.Engine.URL, cfg.Callback.CallbackURL(), cfg.Timeouts
	d, err := corezoid.New(c, corezoid.Access{Keys: keys, Window: 5 * time.Minute, MaxOps: cfg.Limits.Ops})
	if err != nil {
		t.Fatal(err)
	}
	return d
}
