package rest_test

import (
	"context"
	"fmt"
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
	"syncgate/dialect/httpengine"
	"syncgate/dialect/rest"
	"syncgate/gateway"
	"syncgate/internal/wiretest"
	"syncgate/notify"
	"syncgate/signer"
)

// asked is what the engine of a test was asked.
type asked struct {
	path, body, token string
	header            http.Header
}

// whole is a gateway with the route orders, whose engine the test is.
type whole struct {
	*pushing
	t       *testing.T
	gateway *gateway.Gateway
	client  *http.Client
	api     string
	engine  chan asked
	refuses chan int // statuses of the engine's answers; without one it says 202
	log     wiretest.Log
}

// startWhole makes a gateway in memory, with a real outbox, sender and receiver.
func startWhole(t *testing.T, edits ...func(*rest.RouteConfig)) *whole {
	t.Helper()
	return startWholeWith(t, nil, edits...)
}

// startWholeWith makes one that has more engines than flow.
func startWholeWith(t *testing.T, more []gateway.NamedEngine, edits ...func(*rest.RouteConfig)) *whole {
	t.Helper()
	w := &whole{pushing: newPushing(t), t: t, engine: make(chan asked, 1000), refuses: make(chan int, 10), client: &http.Client{Timeout: 10 * time.Second}}
	engine := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		url := r.Header.Get("X-Callback-Url")
		w.engine <- asked{r.URL.Path, string(body), url[strings.LastIndexByte(url, '/')+1:], r.Header}
		select {
		case status := <-w.refuses:
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(status)
			_, _ = io.WriteString(rw, `{"message":"not now"}`)
		default:
			if strings.HasPrefix(r.URL.Path, "/api/2/json") {
				takeAll(rw, body)
				return
			}
			rw.WriteHeader(http.StatusAccepted)
		}
	}))
	t.Cleanup(engine.Close)
	keys := newKeys(t)
	cfg := gateway.Default()
	cfg.Listen.Public, cfg.Listen.Admin, cfg.Engine.URL, cfg.Engine.Timeout = "127.0.0.1:0", "127.0.0.1:0", engine.URL, 2*time.Second
	memory := correlator.NewMemory(correlator.Config{Parked: cfg.Limits.Parked, Retention: cfg.Results.Retention, Results: int64(cfg.Limits.Results)})
	edits = append([]func(*rest.RouteConfig){subscribable, keyed}, edits...)
	routes := config([]rest.RouteConfig{route("orders", "/v1/orders/{kind}", edits...), route("other", "/v1/other/{kind}", edits...)}, callersOf("orders", "other")...)
	var err error
	if w.Dialect, err = rest.New(routes, rest.Outside{Keys: keys, Push: w.push}); err != nil {
		t.Fatal(err)
	}
	outbox, err := notify.NewOutbox(notify.NewMemoryOutbox(1000), notify.OutboxConfig{Poll: 10 * time.Millisecond, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	of := wholeEngine(t, engine.URL)
	g, err := gateway.New(cfg, gateway.Parts{
		Correlator: memory, Keys: keys, Dialect: corezoidDialect(t, cfg), Engine: corezoidDialect(t, cfg), Dialects: []dialect.Dialect{w.Dialect}, Outbox: outbox,
		Engines: append(more, of), Log: zerolog.New(&w.log), Metrics: prometheus.NewRegistry(), Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Listen(); err != nil {
		t.Fatal(err)
	}
	g.Serve()
	outbox.Start(g.Push)
	w.gateway, w.api = g, "http://"+g.PublicAddr().String()
	t.Cleanup(func() {
		w.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = memory.Drain(ctx)
		_ = outbox.Close(ctx)
		if err := g.Close(ctx); err != nil {
			t.Error(err)
		}
		_ = memory.Shutdown(ctx)
	})
	return w
}

func wholeEngine(t *testing.T, url string) gateway.NamedEngine {
	t.Helper()
	e := httpengine.Config{Name: "flow", Kind: "http", URL: url + "/hooks/{kind}"}
	code, err := httpengine.New(e, httpengine.Options{CallbackURL: "http://gateway/api/1/plugins/callback/"})
	if err != nil {
		t.Fatal(err)
	}
	connection := e.Connection()
	connection.Timeout = 2 * time.Second
	return gateway.NamedEngine{Name: e.Name, Code: code, Config: connection}
}

func corezoidDialect(t *testing.T, cfg gateway.Config) *corezoid.Dialect {
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

// said is an answer of the gateway.
type said struct {
	status int
	header http.Header
	body   string
}

// do sends a request of the shop, or of the caller that headers name.
func (w *whole) do(line, body string, headers ...string) said {
	w.t.Helper()
	method, path, _ := strings.Cut(line, " ")
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.api+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", "k-shop")
	req.Header.Set("Content-Type", "application/json")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if req.Header.Set(name, value); value == "" {
			req.Header.Del(name)
		}
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return said{resp.StatusCode, resp.Header, string(b)}
}

// want wants a status.
func (w *whole) want(s said, status int) said {
	w.t.Helper()
	if s.status != status {
		w.t.Fatalf("%d %s, want %d", s.status, s.body, status)
	}
	return s
}

// nextAsked gives what the engine is asked.
func (w *whole) nextAsked() asked {
	w.t.Helper()
	select {
	case a := <-w.engine:
		return a
	case <-time.After(5 * time.Second):
		w.t.Fatal("the engine is not asked within 5 s")
		return asked{}
	}
}

// callBack gives the result of a task.
func (w *whole) callBack(a asked, body string) {
	w.t.Helper()
	w.want(w.do("POST /api/1/plugins/callback/"+a.token, body), 200)
}

// body wants a notification with these texts in it.
func (w *whole) wantPost(texts ...string) post {
	w.t.Helper()
	got := w.next(w.t)
	for _, text := range texts {
		if !strings.Contains(got.body, text) {
			w.t.Errorf("%s has no %s", got.body, text)
		}
	}
	return got
}

// TestCallbackThroughAGateway: the whole way of a call that names a receiver.
func TestCallbackThroughAGateway(t *testing.T) {
	w := startWhole(t)
	body := `{"n": 1.50, "callback\u0055rl":"` + w.url + `","secret":"` + ownSecret + `"}`
	first := w.want(w.do("POST /v1/orders/card", body, "Idempotency-Key: a"), 202)
	a := w.nextAsked()
	if a.body != `{"n": 1.50}` || a.path != "/hooks/card" {
		t.Errorf("the engine gets %s at %s", a.body, a.path)
	}
	if again := w.want(w.do("POST /v1/orders/card", body, "Idempotency-Key: a"), 202); again.header.Get("Location") != first.header.Get("Location") {
		t.Error("a repeat makes another task")
	}
	at := first.header.Get("Location")
	w.want(w.do("GET "+at, ""), 202)
	w.callBack(a, `{"done": 1.0}`)
	got := w.wantPost(`"self":{"href":"`+at+`"}`, `"UUID":"`+strings.TrimPrefix(at, "/tasks/")+`"`, `"status":"Succeeded","data":{"done": 1.0}`)
	signedBy(t, got, ownSecret)
	if s := w.want(w.do("GET "+at, ""), 200); s.body != `{"done": 1.0}` {
		t.Errorf("the task's result is %s", s.body)
	}
	w.wantQuiet(t)
}

// TestSubscriptionsThroughAGateway: one of a task and one of all, until they end.
func TestSubscriptionsThroughAGateway(t *testing.T) {
	w := startWhole(t)
	all := w.want(w.do("POST /v1/orders/card/tasks", `{"callbackUrl":"`+w.url+`","mode":"continuous"}`), 201)
	once := w.want(w.do("POST /v1/orders/card/tasks", `{"n":1,"callbackUrl":"`+w.url+`"}`, "Idempotency-Key: b"), 201)
	a := w.nextAsked()
	if a.body != `{"n":1}` {
		t.Errorf("the engine gets %s", a.body)
	}
	if again := w.want(w.do("POST /v1/orders/card/tasks", `{"n":1,"callbackUrl":"`+w.url+`"}`, "Idempotency-Key: b"), 201); again.header.Get("Location") != once.header.Get("Location") ||
		strings.Contains(again.body, "signingSecret") || again.header.Get("Cache-Control") != "no-store" {
		t.Errorf("a repeat is another subscription, or shows the secret: %s", again.body)
	}
	w.callBack(a, `{"x":1}`)
	got := []string{w.next(t).body, w.next(t).body}
	for _, s := range []said{all, once} {
		uuid := s.header.Get("Location")[strings.LastIndexByte(s.header.Get("Location"), '/')+1:]
		if text := strings.Join(got, "\n"); strings.Count(text, `"UUID":"`+uuid+`"`) != 1 {
			t.Errorf("%s hears not once: %s", uuid, text)
		}
	}
	// A held call: its client has the result, and so has who subscribed.
	reply := make(chan said)
	go func() { reply <- w.do("POST /v1/orders/card", `{}`) }()
	w.callBack(w.nextAsked(), `{"x":2}`)
	if s := <-reply; s.status != 200 || s.body != `{"x":2}` {
		t.Errorf("%+v", s)
	}
	w.wantPost(`"data":{"x":2}`)
	// A call that is cancelled.
	s := w.want(w.do("POST /v1/orders/card", `{}`, "Prefer: respond-async"), 202)
	w.nextAsked()
	w.want(w.do("DELETE "+s.header.Get("Location"), ""), 202)
	w.wantPost(`"status":"Canceled","data":{"type":"/errors/cancelled"`)
	w.want(w.do("PUT "+all.header.Get("Location"), ""), 202)
	w.want(w.do("PUT "+all.header.Get("Location"), ""), 403)
	s = w.want(w.do("POST /v1/orders/card", `{}`, "Prefer: respond-async"), 202)
	w.callBack(w.nextAsked(), `{"x":3}`)
	eventually(t, "no result", func() bool { return w.do("GET "+s.header.Get("Location"), "").status == 200 })
	w.wantQuiet(t)
}

// TestTaskThatIsNotMade: the client hears so, and its subscription does not count.
func TestTaskThatIsNotMade(t *testing.T) {
	w := startWhole(t, func(r *rest.RouteConfig) { r.Limits.Subscriptions = 1 })
	for range 3 {
		w.refuses <- http.StatusUnprocessableEntity
		w.want(w.do("POST /v1/orders/card/tasks", `{"callbackUrl":"`+w.url+`"}`), 422)
		w.nextAsked()
	}
	w.want(w.do("POST /v1/orders/card/tasks", `{"callbackUrl":"`+w.url+`"}`), 201)
	w.want(w.do("POST /v1/orders/card/tasks", `{"callbackUrl":"`+w.url+`"}`), 403)
	w.callBack(w.nextAsked(), `{}`)
	w.wantPost(`"status":"Succeeded"`)
	if len(w.engine) > 0 {
		t.Error("the engine got a task whose subscription is not accepted")
	}
	w.wantQuiet(t)
}

// TestPagesAndSubscriptions: a browser key is good for its origins, on these paths too.
func TestPagesAndSubscriptions(t *testing.T) {
	w := startWhole(t)
	page := []string{"X-Api-Key: k-page", "Origin: https://shop.example"}
	s := w.want(w.do("POST /v1/orders/card/tasks", `{"callbackUrl":"`+w.url+`","mode":"continuous"}`, page...), 201)
	at := s.header.Get("Location")
	preflight := w.do("OPTIONS "+at, "", "Origin: https://shop.example", "Access-Control-Request-Method: PUT")
	for _, s := range []said{s, w.want(w.do("GET "+at, "", page...), 200), w.want(w.do("PUT "+at, "", page...), 202), w.want(preflight, 204)} {
		if s.header.Get("Access-Control-Allow-Origin") != "https://shop.example" {
			t.Errorf("no CORS: %v", s.header)
		}
	}
	if !strings.Contains(preflight.header.Get("Access-Control-Allow-Methods"), "PUT") {
		t.Errorf("%v", preflight.header)
	}
	for _, line := range []string{"GET " + at, "PUT " + at, "POST /v1/orders/card/tasks"} {
		s := w.want(w.do(line, "", "X-Api-Key: k-page", "Origin: https://evil.example"), 403)
		if s.header.Get("Access-Control-Allow-Origin") != "" || !strings.Contains(s.body, `"type":"/errors/origin"`) {
			t.Errorf("%s: %v %s", line, s.header, s.body)
		}
	}
	// A key of servers in the hands of another key's page: the page cannot read the answer.
	server := w.do("POST /v1/orders/card/tasks", `{"callbackUrl":"`+w.url+`","mode":"continuous"}`, "X-Api-Key: k-shop")
	s = w.want(w.do("GET "+server.header.Get("Location"), "", "X-Api-Key: k-shop", "Origin: https://shop.example"), 200)
	if s.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a page may read what a server's key gets: %v", s.header)
	}
	if s := w.want(w.do("HEAD "+at, "", page...), 200); s.body != "" || s.header.Get("Content-Type") != "application/hal+json" {
		t.Errorf("%+v", s)
	}
	w.want(w.do("DELETE "+at, ""), 405)
	w.want(w.do("GET /v1/orders/card/tasks", ""), 405)
}

// TestRateIsSaid: answers of routes with a rate say what is left of it.
func TestRateIsSaid(t *testing.T) {
	w := startWhole(t, func(r *rest.RouteConfig) { r.Limits.Rate = 1; r.View = rest.ViewHAL })
	var last said
	for i := range 100 {
		last = w.do("POST /v1/orders/card/tasks", fmt.Sprintf(`{"callbackUrl":%q,"mode":"continuous","n":%d}`, w.url, i))
		if last.header.Get("RateLimit-Limit") == "" || last.header.Get("RateLimit-Remaining") == "" || last.header.Get("RateLimit-Reset") == "" {
			t.Fatalf("%d %v", last.status, last.header)
		}
		if last.status == http.StatusTooManyRequests {
			break
		}
	}
	if last.status != 429 || last.header.Get("RateLimit-Remaining") != "0" || last.header.Get("Retry-After") == "" {
		t.Errorf("%d %v", last.status, last.header)
	}
}

// TestRefusedFormsAreNoErrors: what a client asks for in vain is not counted as a fault of the gateway.
func TestRefusedFormsAreNoErrors(t *testing.T) {
	w := startWhole(t, func(r *rest.RouteConfig) { r.View = rest.ViewHAL })
	w.want(w.do("POST /v1/orders/card", `{}`, "X-Api-Key: k-shop", "Accept: text/plain"), 406)
	if log := w.log.String(); !strings.Contains(log, `"reason":"accept"`) || strings.Contains(log, "internal_error") {
		t.Error(log)
	}
}
