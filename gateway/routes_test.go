package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/httpengine"
	"syncgate/dialect/rest"
	"syncgate/gateway"
)

// hook is a task as a plain HTTP engine gets it.
type hook struct {
	method, path, body string
	header             http.Header
	token              string
	say                chan func(http.ResponseWriter)
}

// answer has the engine answer with a status and a body.
func (h *hook) answer(status int, contentType, body string) {
	h.say <- func(w http.ResponseWriter) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// hooks is a plain HTTP engine in the hands of the test.
type hooks struct {
	*httptest.Server
	asked chan *hook
}

func newHooks(t *testing.T) *hooks {
	t.Helper()
	e := &hooks{asked: make(chan *hook, 1000)}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		h := &hook{method: r.Method, path: r.URL.RequestURI(), body: string(b), header: r.Header, say: make(chan func(http.ResponseWriter), 1)}
		url := r.Header.Get("X-Callback-Url")
		h.token = url[strings.LastIndexByte(url, '/')+1:]
		e.asked <- h
		select {
		case f := <-h.say:
			f(w)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *hooks) next(t testing.TB) *hook {
	t.Helper()
	select {
	case h := <-e.asked:
		return h
	case <-time.After(5 * time.Second):
		t.Fatal("the engine was not asked within 5 s")
		return nil
	}
}

// routed is a gateway with routes before a plain HTTP engine.
type routed struct {
	*node
	*hooks
	t *testing.T
}

const shopKey = "a-key-of-the-shop"

func startRouted(t *testing.T, change ...func(*rest.RouteConfig, *httpengine.Config)) *routed {
	t.Helper()
	return startRoutedOver(t, func(m *correlator.Memory) correlator.Correlator { return m }, change...)
}

// startRoutedOver is startRouted with another store.
func startRoutedOver(t *testing.T, over func(*correlator.Memory) correlator.Correlator, change ...func(*rest.RouteConfig, *httpengine.Config)) *routed {
	t.Helper()
	e := newHooks(t)
	engine := httpengine.Config{Name: "flow", Kind: "http", URL: e.URL + "/hooks/{kind}"}
	route := rest.DefaultRoute()
	route.Name, route.Path, route.Engine, route.Auth = "transfer", "/v1/transfers/{kind}", "flow", rest.AuthNone
	route.Respond.StatusHeader = "CZ-AG-Status-Code"
	for _, f := range change {
		f(&route, &engine)
	}
	n := startParts(t, "http://127.0.0.1:1", func(n *node, p *gateway.Parts) {
		p.Correlator = over(n.memo)
		addRoutes(t, n.keys, p, []rest.RouteConfig{route}, engine)
	})
	return &routed{n, e, t}
}

func addRoutes(t *testing.T, keys *correlator.Keys, p *gateway.Parts, routes []rest.RouteConfig, engines ...httpengine.Config) {
	t.Helper()
	cfg := rest.Config{
		Routes: routes, MaxWait: time.Minute, Retention: time.Hour, Engines: []rest.Engine{{Name: dialect.DefaultEngine, Corezoid: true}},
		Access: []rest.AccessConfig{{Name: "shop", Key: shopKey, Routes: []string{routes[0].Name}}, {Name: "other", Key: "a-key-of-another", Routes: []string{routes[0].Name}}},
	}
	for _, e := range engines {
		made, err := httpengine.New(e, httpengine.Options{CallbackURL: "http://gateway/api/1/plugins/callback/", Fields: []string{"CZ-AG-Status-Code", "Content-Language"}})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Engines = append(cfg.Engines, rest.Engine{Name: e.Name, Progress: true, Parameters: e.Params()})
		connection := e.Connection()
		connection.Timeout = 2 * time.Second
		p.Engines = append(p.Engines, gateway.NamedEngine{Name: e.Name, Code: made, Config: connection})
	}
	d, err := rest.New(cfg, rest.Outside{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	p.Dialects = append(p.Dialects, d)
}

// post sends a request of the route and gives its answer by channel.
func (r *routed) post(body string, header ...string) <-chan answer {
	c := make(chan answer, 1)
	go func() {
		c <- r.do(http.MethodPost, "/v1/transfers/p2p", body, append([]string{"Content-Type", "application/json"}, header...)...)
	}()
	return c
}

func (r *routed) report(h *hook, body string, header ...string) answer {
	return r.do(http.MethodPost, "/api/1/plugins/callback/"+h.token, body, append([]string{"Content-Type", "application/json"}, header...)...)
}

// wantReply wants a status and a body.
func wantReply(t *testing.T, a answer, status int, body string) {
	t.Helper()
	if a.status != status || body != "" && a.body != body {
		t.Errorf("%d %s\nwant %d %s", a.status, a.body, status, body)
	}
}

// A held call: the engine gets the body as it is, and the client the result as it is.
func TestRouteIsHeld(t *testing.T) {
	r := startRouted(t)
	reply := r.post(`{"amount": 5}`)
	h := r.next(t)
	if h.method != "POST" || h.path != "/hooks/p2p" || h.body != `{"amount": 5}` || len(h.token) != correlator.LongTokenLen {
		t.Errorf("%+v", h)
	}
	h.answer(202, "", "")
	a := r.report(h, `{"done": 1.0}`, "CZ-AG-Status-Code", "201", "Content-Language", "uk", "Set-Cookie", "a=b")
	want(t, a, 200, `{}`)
	got := got(t, reply)
	wantReply(t, got, 201, `{"done": 1.0}`)
	if got.header.Get("Content-Type") != "application/json" || got.header.Get("Content-Language") != "uk" || got.header.Get("Set-Cookie") != "" || got.header.Get("X-Request-Id") == "" {
		t.Errorf("%v", got.header)
	}
}

// What engines may say of themselves: a result at once, a refusal, a callback before the answer, an image.
func TestRouteAndItsEngine(t *testing.T) {
	r := startRouted(t, func(c *rest.RouteConfig, e *httpengine.Config) { e.Final = []int{200} })
	reply := r.post(`{}`)
	r.next(t).answer(200, "text/plain", "at once")
	if a := got(t, reply); a.status != 200 || a.body != "at once" || a.header.Get("Content-Type") != "text/plain" {
		t.Errorf("at once: %+v", a)
	}
	reply = r.post(`{}`)
	r.next(t).answer(422, "application/vnd.engine+json", `{"reason":"no funds"}`)
	if a := got(t, reply); a.status != 422 || a.body != `{"reason":"no funds"}` || a.header.Get("Content-Type") != "application/vnd.engine+json" {
		t.Errorf("refused: %+v", a)
	}
	reply = r.post(`{}`)
	h := r.next(t)
	want(t, r.do(http.MethodPost, "/api/1/plugins/callback/"+h.token, "\x89PNG\xff", "Content-Type", "image/png"), 200, `{}`)
	if a := got(t, reply); a.status != 200 || a.body != "\x89PNG\xff" || a.header.Get("Content-Type") != "image/png" {
		t.Errorf("before the answer: %+v", a)
	}
	h.answer(202, "", "")
	reply = r.post(`{}`)
	h = r.next(t)
	h.answer(202, "", "")
	want(t, r.report(h, `{"message":"no funds"}`, "X-Callback-Status", "error"), 200, `{}`)
	wantReply(t, got(t, reply), 502, `{"message":"no funds"}`)
	reply = r.post(`{}`)
	h = r.next(t)
	h.answer(500, "text/html", "<p>")
	a := got(t, reply)
	if a.status != 502 || a.header.Get("Content-Type") != "application/problem+json" || a.header.Get("Location") == "" || !strings.Contains(a.body, `"instance":"`+a.header.Get("X-Request-Id")) {
		t.Errorf("not usable: %+v", a)
	}
}

// A call that is handed over: 202, its task in every view, and the result.
func TestRouteIsHandedOver(t *testing.T) {
	r := startRouted(t)
	reply := r.post(`{}`, "Prefer", "respond-async")
	h := r.next(t)
	h.answer(202, "", "")
	a := got(t, reply)
	location := a.header.Get("Location")
	if a.status != 202 || !strings.HasPrefix(location, "/tasks/") || a.header.Get("Operation-Location") != location+"/status" || a.header.Get("Retry-After") != "1" ||
		a.header.Get("Preference-Applied") != "respond-async" {
		t.Fatalf("%+v", a)
	}
	a = r.do(http.MethodGet, location, "")
	if a.status != 202 || a.header.Get("Location") != location || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, `"status":"running"`) {
		t.Errorf("%+v", a)
	}
	if a = r.do(http.MethodGet, location+"/status", ""); a.status != 200 || !strings.Contains(a.body, `"status":"Running"`) || !strings.Contains(a.body, "createdDateTime") {
		t.Errorf("%+v", a)
	}
	waiting := make(chan answer, 1)
	go func() { waiting <- r.do(http.MethodGet, location, "", "Prefer", "wait=30") }()
	want(t, r.report(h, `{"done":1}`), 200, `{}`)
	wantReply(t, got(t, waiting), 200, `{"done":1}`)
	wantReply(t, r.do(http.MethodGet, location, ""), 200, `{"done":1}`)
	wantReply(t, r.do(http.MethodGet, location+"/result", ""), 200, `{"done":1}`)
	if a = r.do(http.MethodGet, location+"/status", ""); !strings.Contains(a.body, `"status":"Succeeded"`) || !strings.Contains(a.body, `"result":{"done":1}`) {
		t.Errorf("%+v", a)
	}
	wantReply(t, r.do(http.MethodGet, "/api/1"+location, ""), 200, `{"done":1}`)
	if !strings.Contains(r.log.String(), `"message":"task ended"`) {
		t.Errorf("no line says that the task has ended:\n%s", r.log)
	}
	if trip := r.findOne(t, strings.TrimPrefix(location, "/tasks/")); len(trip.Late) != 1 || !trip.Late[0].Kept || trip.Ops[0].State != "final" {
		t.Errorf("operators see %+v", trip)
	}
}

// At the end of its wait a call becomes a task, or times out, or the client is sent on until the result is there.
func TestRouteAtWaitEnd(t *testing.T) {
	short := func(end string) func(*rest.RouteConfig, *httpengine.Config) {
		return func(c *rest.RouteConfig, _ *httpengine.Config) {
			c.AtWaitEnd, c.Wait.Default, c.Wait.Max = end, time.Second, time.Second
		}
	}
	r := startRouted(t, short("task"))
	reply := r.post(`{}`)
	r.next(t).answer(202, "", "")
	if a := got(t, reply); a.status != 202 || a.header.Get("Location") == "" {
		t.Errorf("task: %+v", a)
	}
	waitLog(t, r.node, `"outcome":"handed_over"`)
	r = startRouted(t, short("timeout"))
	reply = r.post(`{}`)
	h := r.next(t)
	h.answer(202, "", "")
	if a := got(t, reply); a.status != 504 || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("timeout: %+v", a)
	}
	waitLog(t, r.node, `"outcome":"timeout"`)
	want(t, r.report(h, `{}`), 200, `{}`)
	waitLog(t, r.node, `"message":"late callback"`)
	r = startRouted(t, short("redirect"))
	reply = r.post(`{}`)
	h = r.next(t)
	h.answer(202, "", "")
	heard := make(chan answer, 1)
	time.AfterFunc(2500*time.Millisecond, func() { heard <- r.report(h, `{"done":1}`) })
	wantReply(t, got(t, reply), 200, `{"done":1}`) // Go's client follows
	want(t, got(t, heard), 200, `{}`)
	waitLog(t, r.node, `"message":"task ended"`)
	if strings.Contains(r.log.String(), "late callback") {
		t.Error("the callback is late for a client that was sent on")
	}
}

// A repeat with the same key is the same task, quoted or not.
func TestRouteWithAKey(t *testing.T) {
	r := startRouted(t)
	first, second := r.post(`{}`, "Idempotency-Key", "k-1"), (<-chan answer)(nil)
	h := r.next(t)
	h.answer(202, "", "")
	second = r.post(`{}`, "Idempotency-Key", `"k-1"`)
	wantReply(t, r.do(http.MethodPost, "/v1/transfers/p2p", `{"other":1}`, "Content-Type", "application/json", "Idempotency-Key", "k-1"), 422, "")
	want(t, r.report(h, `{"done":1}`), 200, `{}`)
	wantReply(t, got(t, first), 200, `{"done":1}`)
	wantReply(t, got(t, second), 200, `{"done":1}`)
	handed := got(t, r.post(`{}`, "Idempotency-Key", "k-1", "Prefer", "respond-async"))
	if handed.status != 202 || handed.header.Get("Location") == "" {
		t.Errorf("%+v", handed)
	}
	if len(r.asked) > 0 {
		t.Error("the engine was asked again")
	}
}

// Cancelling: the parked caller hears it at once, a later result is dropped, and the engine is asked, once.
func TestRouteIsCancelled(t *testing.T) {
	r := startRouted(t, func(_ *rest.RouteConfig, e *httpengine.Config) {
		e.Cancel = httpengine.Cancel{Method: "DELETE", URL: strings.TrimSuffix(e.URL, "/hooks/{kind}") + "/jobs/{accepted.job}"}
	})
	reply := r.post(`{}`, "Prefer", "respond-async")
	h := r.next(t)
	h.answer(202, "application/json", `{"job":"j 7"}`)
	location := got(t, reply).header.Get("Location")
	waiting := make(chan answer, 1)
	go func() { waiting <- r.do(http.MethodGet, location, "", "Prefer", "wait=30") }()
	wantReply(t, r.do(http.MethodDelete, location, ""), 202, "")
	c := r.next(t)
	if c.method != "DELETE" || c.path != "/jobs/j%207" {
		t.Errorf("the engine is asked %s %s", c.method, c.path)
	}
	c.answer(204, "", "")
	wantReply(t, got(t, waiting), 409, "")
	late := r.report(h, `{"done":1}`)
	wantReply(t, late, 200, `{}`)
	if late.header.Get("X-Callback-Status") != "cancel" {
		t.Errorf("the worker does not hear that it can stop: %v", late.header)
	}
	wantReply(t, r.do(http.MethodDelete, location, ""), 409, "")
	a := r.do(http.MethodGet, location, "")
	var p struct{ Type, Title string }
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.status != 409 || p.Title == "" {
		t.Errorf("%+v", a)
	}
}

// A client that hangs up takes its task along, where the route says so.
func TestRouteCancelsForsakenTasks(t *testing.T) {
	r := startRouted(t, func(c *rest.RouteConfig, e *httpengine.Config) {
		c.OnDisconnect = "cancel"
		e.Cancel = httpengine.Cancel{URL: strings.TrimSuffix(e.URL, "/hooks/{kind}") + "/stop"}
	})
	for answers, when := range []string{"before the engine's answer", "handed over, before the engine's answer", "after it"} {
		c := r.dial()
		_, _ = io.WriteString(c, request(http.MethodPost, "/v1/transfers/p2p", `{}`, "Prefer: "+map[bool]string{true: "respond-async"}[answers == 1]))
		h := r.next(t)
		if when == "after it" {
			h.answer(202, "", "")
			wantMetric(t, r.node, `syncgate_engine_request_duration_seconds_count{code="202"}`, float64(answers+1))
		}
		_ = c.Close()
		if when != "after it" {
			waitFor(t, func() bool { return strings.Count(r.log.String(), `"outcome":"hung_up"`) == answers+1 })
			h.answer(202, "", "")
		}
		if stop := r.next(t); stop.path != "/stop" || stop.method != "POST" {
			t.Errorf("%s: %s %s", when, stop.method, stop.path)
		} else {
			stop.answer(200, "", "")
		}
		for _, status := range []string{"progress", "complete"} {
			late := r.report(h, `{}`, "X-Callback-Status", status)
			wantReply(t, late, 200, `{}`)
			if late.header.Get("X-Callback-Status") != "cancel" {
				t.Errorf("%s, %s: the worker does not hear that it can stop: %v", when, status, late.header)
			}
		}
	}
	select {
	case h := <-r.asked:
		t.Errorf("the engine is asked once more: %s %s", h.method, h.path)
	case <-time.After(200 * time.Millisecond): // nothing says that none will come
	}
}

// Tasks of one caller are not those of another.
func TestRouteAccess(t *testing.T) {
	r := startRouted(t, func(c *rest.RouteConfig, _ *httpengine.Config) { c.Auth = rest.AuthKey })
	if a := got(t, r.post(`{}`)); a.status != 401 || a.header.Get("WWW-Authenticate") == "" || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("without a key: %+v", a)
	}
	reply := r.post(`{}`, "X-Api-Key", shopKey, "Prefer", "respond-async")
	h := r.next(t)
	if h.header.Get("X-Api-Key") != "" || strings.Contains(h.body, shopKey) {
		t.Error("the engine gets the caller's key")
	}
	h.answer(202, "", "")
	location := got(t, reply).header.Get("Location")
	wantReply(t, r.do(http.MethodGet, location, "", "Authorization", "Bearer "+shopKey), 202, "")
	wantReply(t, r.do(http.MethodGet, location, "", "X-Api-Key", "a-key-of-another"), 404, "")
	wantReply(t, r.do(http.MethodGet, location, ""), 401, "")
	waitFor(t, func() bool { return strings.Count(r.log.String(), `"message":"request refused"`) == 2 })
	if lines := r.log.String(); strings.Contains(lines, strings.TrimPrefix(location, "/tasks/")) {
		t.Errorf("the log has the task's id:\n%s", lines)
	}
	wantReply(t, r.do(http.MethodGet, "/api/1"+location, ""), 401, "")
	if a := r.do(http.MethodPut, "/v1/transfers/p2p", ""); a.status != 405 || !strings.Contains(a.header.Get("Allow"), "POST") {
		t.Errorf("%+v", a)
	}
	if a := r.do(http.MethodGet, "/nowhere", ""); a.status != 404 || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%+v", a)
	}
	if a := r.do(http.MethodGet, "/api/nowhere", ""); a.status != 404 || !strings.Contains(a.body, `"request_proc":"error"`) {
		t.Errorf("%+v", a)
	}
}
