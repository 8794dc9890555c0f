package rest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"syncgate/dialect"
	"syncgate/dialect/httpengine"
	"syncgate/dialect/os1"
	"syncgate/dialect/rest"
	"syncgate/gateway"
	"syncgate/signer"
)

// takeAll answers a package of Corezoid as its engine does that takes every task.
func takeAll(rw http.ResponseWriter, body []byte) {
	var sent struct {
		Ops []struct{ ID string }
	}
	_ = json.Unmarshal(body, &sent)
	answer := []string{}
	for _, op := range sent.Ops {
		answer = append(answer, `{"id":"`+op.ID+`","proc":"ok","obj":"task","obj_id":"`+strings.Repeat("5", 24)+`"}`)
	}
	rw.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(rw, `{"request_proc":"ok","ops":[`+strings.Join(answer, ",")+`]}`)
}

// startWholeOS1 is a gateway whose routes are for clients that speak OS1.
func startWholeOS1(t *testing.T, edits ...func(*rest.RouteConfig)) *whole {
	t.Helper()
	return startWhole(t, append([]func(*rest.RouteConfig){unsubscribable}, edits...)...)
}

// ask sends a request in the words of OS1.
func (w *whole) ask(body string, more ...string) said {
	w.t.Helper()
	return w.do("POST /v1/orders/card?dry=1", body, coreos("k-signed", more...)...)
}

// wantSaid compares a whole answer.
func (w *whole) wantSaid(s said, status int, body string) {
	w.t.Helper()
	if s.status != status || s.body != body || s.header.Get("Content-Type") != "application/json" || s.header.Get("X-Request-Id") == "" {
		w.t.Errorf("%d %v\n%s\nwant %d\n%s", s.status, s.header, s.body, status, body)
	}
}

const read = "X-Api-Key: k-signed"

// TestOS1ThroughAGateway: the whole way of a request with a callback, and every view of its task.
func TestOS1ThroughAGateway(t *testing.T) {
	w := startWholeOS1(t)
	body := `{"n": 1.50, "callback":{"url":"` + w.url + `","meta":{"n":1.00}}}`
	secret := "X-COREOS-CALLBACK-SECRET: " + os1Secret
	first := w.ask(body, secret, "Idempotency-Key: a")
	at := first.header.Get("Location")
	task := strings.TrimPrefix(at, "/tasks/")
	w.wantSaid(first, 202, `{"data":{"id":"`+task+`"},"request":`+echoOf(body)+`}`)
	a := w.nextAsked()
	if a.body != `{"n": 1.50}` || a.path != "/hooks/card" {
		t.Errorf("the engine gets %s at %s", a.body, a.path)
	}
	ours := func(name string) bool { return strings.HasPrefix(name, "X-Coreos") || strings.HasPrefix(name, "X-Api") }
	if names := slices.DeleteFunc(slices.Collect(maps.Keys(a.header)), func(name string) bool { return !ours(name) }); len(names) > 0 {
		t.Errorf("the engine gets %s", names)
	}
	if again := w.ask(body, secret, "Idempotency-Key: a"); again.status != 202 || again.header.Get("Location") != at {
		t.Errorf("a repeat gets %d %v", again.status, again.header)
	}
	if s := w.ask(`{"n":2,"callback":"`+w.url+`"}`, "Idempotency-Key: a"); s.status != 422 || !strings.HasPrefix(s.body, `{"error":{"code":"idempotency-key",`) {
		t.Errorf("%d %s", s.status, s.body)
	}
	if s := w.want(w.do("GET "+at, "", read), 202); !strings.HasPrefix(s.body, `{"id":"`+task+`","status":"running","stream":"/tasks/`) || s.header.Get("Retry-After") == "" {
		t.Errorf("%v %s", s.header, s.body)
	}
	if s := w.want(w.do("GET "+at+"/status", "", read), 200); !strings.Contains(s.body, `"status":"Running"`) {
		t.Error(s.body)
	}
	w.want(w.do("GET "+at, "", "X-Api-Key: k-shop"), 404)
	w.callBack(a, `{"done": 1.0, "id":"c1"}`)
	got := w.next(t)
	if want := callbackOf(task, "success", "", `,"result":{"id":"c1"},"done": 1.0`); got.body != want {
		t.Errorf("%s\nwant\n%s", got.body, want)
	}
	os1Signed(t, got, os1Secret)
	signedBy(t, got, entrySecret)
	w.wantViews(at, `{"data":{"done": 1.0, "id":"c1"},"request":`+echoOf(body)+`}`)
	w.want(w.do("DELETE "+at, "", read), 409)
	w.wantQuiet(t)
	if log := w.log.String(); !strings.Contains(log, "orders") || strings.Contains(log, os1Secret) || strings.Contains(log, entryOS1Secret) || strings.Contains(log, "token-of-the-client") {
		t.Errorf("the log has no line, or a secret: %s", log)
	}
}

// wantViews compares every form of a task that has succeeded.
func (w *whole) wantViews(at, result string) {
	w.t.Helper()
	w.wantSaid(w.do("GET "+at, "", read), 200, result)
	w.wantSaid(w.do("GET "+at+"/result", "", read), 200, result)
	w.wantSaid(w.do("GET "+at, "", read, "Accept: application/hal+json"), 200, result)
	if s := w.want(w.do("GET "+at+"/status", "", read), 200); !strings.Contains(s.body, `"status":"Succeeded"`) || !strings.Contains(s.body, `"result":`+strings.ReplaceAll(result, " ", "")+"}") {
		w.t.Error(s.body)
	}
	if s := w.want(w.do("GET "+at+"/events", "", read), 200); !strings.HasSuffix(s.body, "id: end\nevent: result\ndata: "+result+"\n\n") {
		w.t.Error(s.body)
	}
}

// TestOS1FailsThroughAGateway: what becomes of a task that has no result, held and with a callback.
func TestOS1FailsThroughAGateway(t *testing.T) {
	w := startWholeOS1(t)
	reply := make(chan said)
	go func() { reply <- w.ask(`{"n":1}`) }()
	w.callBack(w.nextAsked(), `{"n":2}`)
	w.wantSaid(<-reply, 200, `{"data":{"n":2},"request":`+echoOf(`{"n":1}`)+`}`)
	go func() { reply <- w.ask(`{"n":1}`) }()
	a := w.nextAsked()
	a.token += "?callback_status=error"
	w.callBack(a, `{"message":"full"}`)
	const failure = `{"error":{"code":"engine-error","description":"full","additionalInfo":{"errorTrace":[],"data":{"message":"full"}}},"request":`
	w.wantSaid(<-reply, 502, failure+echoOf(`{"n":1}`)+`}`)

	body := `{"callback":{"url":"` + w.url + `","meta":{"n":1.00}}}`
	at := w.want(w.ask(body), 202).header.Get("Location")
	a = w.nextAsked()
	a.token += "?callback_status=error"
	w.callBack(a, `{"message":"full"}`)
	got := w.next(t)
	if want := callbackOf(strings.TrimPrefix(at, "/tasks/"), "failed", "full", `,"message":"full"`); got.body != want {
		t.Errorf("%s\nwant\n%s", got.body, want)
	}
	os1Signed(t, got, entryOS1Secret)
	w.wantSaid(w.do("GET "+at, "", read), 502, failure+echoOf(body)+`}`)
	if s := w.want(w.do("GET "+at+"/status", "", read), 200); !strings.Contains(s.body, `"status":"Failed"`) || !strings.HasSuffix(s.body, `,"error":{"code":"engine-error","message":"full"}}`) {
		t.Error(s.body)
	}

	at = w.want(w.ask(body), 202).header.Get("Location")
	w.nextAsked()
	w.want(w.do("DELETE "+at, "", read), 202)
	if got := w.next(t); !strings.Contains(got.body, `"status":"failed","reason":"The task is cancelled"`) {
		t.Error(got.body)
	}
	if s := w.want(w.do("GET "+at+"/status", "", read), 200); !strings.Contains(s.body, `"status":"Canceled"`) || !strings.HasSuffix(s.body, `,"error":{"code":"cancelled","message":"The task is cancelled"}}`) {
		t.Error(s.body)
	}
	w.wantQuiet(t)
}

// TestOS1FaultsThroughAGateway: every refusal has OS1's form, whoever refuses.
func TestOS1FaultsThroughAGateway(t *testing.T) {
	w := startWholeOS1(t, func(r *rest.RouteConfig) { r.Limits.Body = 200 })
	f := func(s said, status int, code, echo string) {
		t.Helper()
		if s.status != status || !strings.HasPrefix(s.body, `{"error":{"code":"`+code+`","description":"`) || !strings.HasSuffix(s.body, `,"request":`+echo+`}`) ||
			s.header.Get("Content-Type") != "application/json" || s.header.Get("X-Request-Id") == "" {
			t.Errorf("%d %v %s, want %d %s", s.status, s.header, s.body, status, code)
		}
	}
	const line = "POST /v1/orders/card?dry=1"
	f(w.do(line, `{}`, "X-Api-Key: k-shop"), 400, "malformed", echoOf("null"))
	f(w.do(line, `{}`, coreos("wrong")...), 401, "unauthorized", `{}`)
	f(w.ask(`{"callback":"http://10.0.0.1/"}`), 403, "subscription", echoOf(`{"callback":"http://10.0.0.1/"}`))
	f(w.do("DELETE /v1/orders/card", ``, coreos("k-shop")...), 405, "method", `{}`)
	f(w.ask(`{"n":"`+strings.Repeat("x", 200)+`"}`), 413, "body-too-large", `{}`)
	f(w.ask(`{}`, "Idempotency-Key: a b"), 400, "idempotency-key", echoOf(`{}`))
	for _, status := range []int{http.StatusTeapot, http.StatusInternalServerError} {
		w.refuses <- status
		s := w.ask(`{"callback":"` + w.url + `"}`)
		if status == http.StatusTeapot {
			f(s, 418, "engine-error", echoOf(`{"callback":"`+w.url+`"}`))
			if !strings.Contains(s.body, `"description":"not now","additionalInfo":{"errorTrace":[],"data":{"message":"not now"}}`) {
				t.Error(s.body)
			}
		} else {
			f(s, 502, "bad-gateway", echoOf(`{"callback":"`+w.url+`"}`))
		}
		w.nextAsked()
	}
	if s := w.do("GET /nowhere", ""); s.status != 404 || s.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v", s.status, s.header)
	}
	limited := startWholeOS1(t, func(r *rest.RouteConfig) { r.Limits.Rate = 0.001 })
	w = limited
	w.refuses <- http.StatusTeapot
	w.ask(`{}`)
	s := w.ask(`{}`)
	f(s, 429, "too-many-requests", echoOf(`{}`))
	if s.header.Get("RateLimit-Remaining") != "0" || s.header.Get("Retry-After") == "" {
		t.Errorf("%v", s.header)
	}
}

// TestOS1RefusalsOfTheEdge: what the gateway refuses before a route has read it, or after its task has ended, has OS1's form, too.
func TestOS1RefusalsOfTheEdge(t *testing.T) {
	w := startWholeOS1(t)
	f := func(s said, status int, code, echo string) {
		t.Helper()
		if s.status != status || !strings.HasPrefix(s.body, `{"error":{"code":"`+code+`","description":"`) || !strings.HasSuffix(s.body, `,"request":`+echo+`}`) ||
			s.header.Get("Content-Type") != "application/json" || s.header.Get("X-Request-Id") == "" {
			t.Errorf("%d %v %s, want %d %s", s.status, s.header, s.body, status, code)
		}
	}
	f(w.ask(`{}`, "X-Large: "+strings.Repeat("x", 80<<10)), 431, "head-too-large", `{}`)
	f(w.raw("POST /v1/orders/card HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"), 400, "malformed", `{}`)
	f(w.ask(`{}`, "X-Api-Key: k-page", "Origin: https://evil.example"), 403, "origin", `{}`)
	reply := make(chan said)
	go func() { reply <- w.ask(`{"n":1}`) }()
	w.callBack(w.nextAsked(), `{}`)
	w.want(<-reply, 200)

	body := `{"callback":"` + w.url + `"}`
	at := w.want(w.ask(body), 202).header.Get("Location")
	w.callBack(w.nextAsked(), `{}`)
	w.next(t)
	f(w.do("DELETE "+at, "", read), 409, "task-over", echoOf(body))
	if s := w.do("GET "+at, "", "X-Api-Key: k-shop"); s.status != 404 || s.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("who may not know of a task hears %d %v %s", s.status, s.header, s.body)
	}

	limits := gateway.Default().Limits
	limits.StreamsPerLogin = 1
	w.gateway.SetLimits(limits)
	at = w.want(w.ask(body), 202).header.Get("Location")
	defer w.following(at + "/events")()
	f(w.do("GET "+at+"/events", "", read), 429, "too-many-requests", echoOf(body))

	w.gateway.RefuseNew()
	f(w.ask(`{}`), 503, "draining", `{}`)
}

// following opens a stream of events, and gives what leaves it.
func (w *whole) following(path string) (leave func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.api+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", "k-signed")
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("no stream: %d", resp.StatusCode)
	}
	return func() {
		cancel()
		_ = resp.Body.Close()
	}
}

// raw sends bytes, and reads one answer.
func (w *whole) raw(text string) said {
	w.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.api, "http://"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, text); err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return said{resp.StatusCode, resp.Header, string(body)}
}

// TestOS1Events: {{SSE_CALLBACK}} has the stream of events end with the callback, and nothing is sent.
func TestOS1Events(t *testing.T) {
	w := startWholeOS1(t)
	body := `{"n":1,"callback":{"url":"{{SSE_CALLBACK}}","meta":{"n":1.00}}}`
	s := w.ask(body)
	task := strings.TrimPrefix(s.header.Get("Location"), "/tasks/")
	w.wantSaid(s, 202, `{"data":{"id":"`+task+`"},"request":`+echoOf(body)+`}`)
	link := regexp.MustCompile(`^<(.*)>; rel="monitor"; type="text/event-stream"$`).FindStringSubmatch(s.header.Get("Link"))
	if link == nil {
		t.Fatalf("%v", s.header)
	}
	a := w.nextAsked()
	w.callBack(a, `{"b":2.0}`)
	if s := w.do("GET "+link[1], "", "X-Api-Key: "); s.status != 200 || !strings.HasSuffix(s.body, "id: end\nevent: result\ndata: "+callbackOf(task, "success", "", `,"b":2.0`)+"\n\n") {
		t.Errorf("%d %s", s.status, s.body)
	}
	w.wantSaid(w.do("GET /tasks/"+task, "", read), 200, `{"data":{"b":2.0},"request":`+echoOf(body)+`}`)

	// A client that asks for events gets them at once.
	reply := make(chan said)
	go func() { reply <- w.ask(body, "Accept: text/event-stream") }()
	a = w.nextAsked()
	a.token += "?callback_status=error"
	w.callBack(a, `{"reason":"full"}`)
	s = <-reply
	id := regexp.MustCompile(`"id":"([^"]+)"`).FindStringSubmatch(s.body)
	if s.status != 200 || id == nil || !strings.HasSuffix(s.body, "id: end\nevent: error\ndata: "+callbackOf(id[1], "failed", "full", `,"reason":"full"`)+"\n\n") {
		t.Errorf("%d %s", s.status, s.body)
	}
	// Without a callback the last event is the reply, and the end of the wait OS1's error.
	go func() { reply <- w.ask(`{}`, "Accept: text/event-stream") }()
	w.callBack(w.nextAsked(), `{"b":3}`)
	if s = <-reply; !strings.HasSuffix(s.body, "id: end\nevent: result\ndata: "+`{"data":{"b":3},"request":`+echoOf(`{}`)+"}\n\n") {
		t.Error(s.body)
	}
	if s = w.ask(`{}`, "Accept: text/event-stream", "Prefer: wait=1"); !strings.Contains(s.body, "event: timeout\ndata: "+`{"error":{"code":"timeout",`) {
		t.Error(s.body)
	}
	w.wantQuiet(t)
}

const threeItems = `{"items":[{"refID":"a"},{"refID":2.50},{"refID":"c"}],"callback":`

// tokensOf gives the tokens of a package of tasks.
func tokensOf(t *testing.T, a asked) (tokens []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`"__callback_url":"[^"]*/([^"/]+)"`).FindAllStringSubmatch(a.body, -1) {
		tokens = append(tokens, m[1])
	}
	if len(tokens) != 3 {
		t.Fatalf("the engine gets %s", a.body)
	}
	return tokens
}

// TestOS1Batches: each element is a task of its process, and there is one callback, or one reply, for all.
func TestOS1Batches(t *testing.T) {
	w := startWholeOS1(t, func(r *rest.RouteConfig) {
		r.OS1.Batch, r.Engine, r.ConvID, r.Login = "items", dialect.DefaultEngine, "1234", "1"
	})
	const outcomes = `{"status":"partial","success":2,"failed":1,"total":3},"success":[{"refID":"a","data":{"n":0}},{"refID":"c","data":{"n":2}}],` +
		`"errors":[{"refID":2.50,"error":{"code":"engine-error","description":"full","additionalInfo":{"errorTrace":[],"data":{"message":"full"}}}}]`
	end := func(tokens []string) {
		w.callBack(asked{token: tokens[1] + "?callback_status=error"}, `{"message":"full"}`)
		w.callBack(asked{token: tokens[0]}, `{"n":0}`)
		w.callBack(asked{token: tokens[2]}, `{"n":2}`)
	}
	body := threeItems + `{"url":"` + w.url + `","meta":{"k":1.0}}}`
	s := w.ask(body, "X-COREOS-CALLBACK-SECRET: "+os1Secret)
	task := strings.TrimPrefix(s.header.Get("Location"), "/tasks/")
	w.wantSaid(s, 202, `{"data":{"id":"`+task+`"},"request":`+echoOf(body)+`}`)
	tokens := tokensOf(t, w.nextAsked())
	w.callBack(asked{token: tokens[2] + "?callback_status=progress"}, `{"p":5}`)
	if s := w.want(w.do("GET /tasks/"+task, "", read), 202); !strings.Contains(s.body, `"progress":[null,null,{"p":5}]`) {
		t.Error(s.body)
	}
	end(tokens)
	got := w.next(t)
	if want := `{"tenantId":"acme","eventType":"CONTAINER_CREATED","service":"Container","status":"failed","reason":"1 of 3 have failed","data":{"id":"` + task + `"},"meta":{"k":1.0,` +
		outcomes[1:] + `,"containerType":"shipment"}`; got.body != want {
		t.Errorf("%s\nwant\n%s", got.body, want)
	}
	os1Signed(t, got, os1Secret)
	result := `{"data":{"meta":` + outcomes + `},"request":`
	w.wantSaid(w.do("GET /tasks/"+task, "", read), 200, result+echoOf(body)+`}`)
	if s := w.want(w.do("GET /tasks/"+task+"/status", "", read), 200); !strings.Contains(s.body, `"status":"Succeeded"`) {
		t.Error(s.body)
	}
	reply := make(chan said)
	go func() { reply <- w.ask(threeItems + `null}`) }()
	end(tokensOf(t, w.nextAsked()))
	w.wantSaid(<-reply, 200, result+echoOf(threeItems+`null}`)+`}`)
	go func() { reply <- w.ask(threeItems + `null}`) }()
	for _, token := range tokensOf(t, w.nextAsked()) {
		w.callBack(asked{token: token + "?callback_status=error"}, `{"message":"full"}`)
	}
	if s := <-reply; s.status != 200 || !strings.Contains(s.body, `"status":"failed","success":0,"failed":3,"total":3},"success":[],`) {
		t.Errorf("%d %s", s.status, s.body)
	}
	if s := w.ask(`{"items":[{"refID":1},{"refID":2},{"refID":3},{"refID":4}]}`); s.status != 400 || !strings.Contains(s.body, "items has more than 3 elements") {
		t.Errorf("%d %s", s.status, s.body)
	}
	w.wantQuiet(t)
}

// TestOS1BatchOfOneTask: an engine of another kind gets the whole batch, and says what has become of each element.
func TestOS1BatchOfOneTask(t *testing.T) {
	w := startWholeOS1(t, func(r *rest.RouteConfig) { r.OS1.Batch = "items" })
	body := threeItems + `"` + w.url + `"}`
	task := strings.TrimPrefix(w.want(w.ask(body), 202).header.Get("Location"), "/tasks/")
	a := w.nextAsked()
	if a.body != `{"items":[{"refID":"a"},{"refID":2.50},{"refID":"c"}]}` {
		t.Errorf("the engine gets %s", a.body)
	}
	w.callBack(a, `{"success":[{"refID":"a"},{"refID":2.50}],"errors":[{"refID":"c"}]}`)
	if got := w.next(t); !strings.Contains(got.body, `"data":{"id":"`+task+`"},"meta":{"status":"partial","success":2,"failed":1,"total":3},"success":[{"refID":"a"},{"refID":2.50}],"errors":[{"refID":"c"}]`) {
		t.Error(got.body)
	}
	w.wantQuiet(t)
}

// TestOS1BothSides: the engine's side asks the client's side of another gateway, and takes its signed callback.
func TestOS1BothSides(t *testing.T) {
	server := startWholeOS1(t)
	var api atomic.Pointer[url.URL]
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(api.Load()) }})
	t.Cleanup(proxy.Close)
	e := httpengine.Config{Name: "peer", Kind: os1.Kind, URL: server.api + "/v1/orders/card", Headers: map[string]signer.Secret{
		"X-COREOS-TID": "acme", "X-COREOS-ACCESS": "token-of-the-client", "X-Api-Key": "k-shop",
	}}
	code, err := os1.New(os1.EngineConfig{CallbackSecret: os1Secret}, e, httpengine.Options{CallbackURL: proxy.URL + "/api/1/plugins/callback/"})
	if err != nil {
		t.Fatal(err)
	}
	client := startWholeWith(t, []gateway.NamedEngine{{Name: "peer", Code: code, Config: os1.HTTP(e).Connection()}}, func(r *rest.RouteConfig) {
		r.Engine, r.Subscriptions = "peer", false
	})
	at, err := url.Parse(client.api)
	if err != nil {
		t.Fatal(err)
	}
	api.Store(at)
	for status, want := range map[string]said{"": {status: 200, body: `{"b":2.0`}, "?callback_status=error": {status: 502, body: `{"message":"full"`}} {
		reply := make(chan said)
		go func() { reply <- client.do("POST /v1/orders/card", `{"a":1.0,"callback":"https://nobody.example/"}`) }()
		a := server.nextAsked()
		if a.body != `{"a":1.0}` {
			t.Errorf("the engine gets %s", a.body)
		}
		a.token += status
		server.callBack(a, map[bool]string{true: `{"b":2.0}`, false: `{"reason":"full"}`}[status == ""])
		s := <-reply
		if s.status != want.status || !strings.Contains(s.body, strings.TrimPrefix(want.body, "{")) {
			t.Errorf("%d %s, want %+v", s.status, s.body, want)
		}
	}
}

// TestOS1AccessIsAKey: a client that speaks OS1 alone has no other header for its key.
func TestOS1AccessIsAKey(t *testing.T) {
	w := startWholeOS1(t)
	head := []string{"X-Api-Key: ", "Content-Type: application/json", "X-COREOS-REQUEST-ID: r1", "X-COREOS-TID: acme"}
	body := `{"callback":"` + w.url + `"}`
	s := w.want(w.do("POST /v1/orders/card", body, append(head, "X-COREOS-ACCESS: k-signed")...), 202)
	w.want(w.do("GET "+s.header.Get("Location"), "", "X-Api-Key: ", "X-COREOS-ACCESS: k-signed"), 202)
	w.want(w.do("GET "+s.header.Get("Location"), "", "X-Api-Key: ", "X-COREOS-ACCESS: k-shop"), 404)
	w.want(w.do("POST /v1/orders/card", body, append(head, "X-COREOS-ACCESS: wrong")...), 401)
	w.want(w.do("POST /v1/orders/card", body, append(head, "X-COREOS-ACCESS: k-signed", "X-Api-Key: wrong")...), 401)
	w.callBack(w.nextAsked(), `{}`)
	w.next(t)
}
