package gateway_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"syncgate/gateway"
	"syncgate/internal/cors"
	"syncgate/signer"
)

func TestCORS(t *testing.T) {
	e := newEngine(t)
	const page = "https://shop.example"
	n := start(t, e.URL, func(c *gateway.Config) { c.CORS.Origins = []string{page} })
	path := sign("{}")
	ask := []string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type, x-request-id"}
	r := n.do(http.MethodOptions, path, "", append(ask, "Origin", page)...)
	if r.status != 204 || r.header.Get("Access-Control-Allow-Origin") != page || r.header.Get("Access-Control-Allow-Headers") != ask[3] ||
		!strings.Contains(r.header.Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("preflight: %+v", r)
	}
	if r := n.do(http.MethodOptions, path, "", append(ask, "Origin", "https://evil.example")...); r.status != 403 || r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("foreign preflight: %+v", r)
	}
	r = n.create("{", "Origin", page) // errors carry it too
	if r.status != 400 || r.header.Get("Access-Control-Allow-Origin") != page || r.header.Get("Access-Control-Expose-Headers") != "Location, X-Request-Id, Retry-After, Date, Preference-Applied, X-Syncgate-Forwarded" {
		t.Errorf("error: %+v", r)
	}
	if r := n.create("{", "Origin", "https://evil.example"); r.status != 400 || r.header.Get("Access-Control-Allow-Origin") != "" || r.header.Get("Vary") != "Origin" {
		t.Errorf("foreign error: %+v", r)
	}
}

// With cors.enforce a page of another origin makes no task, also by a request that needs no preflight.
func TestForeignOriginsAreRefused(t *testing.T) {
	const page = "https://shop.example"
	simple := []string{"Content-Type", "text/plain"} // as a form may send it
	e := newEngine(t)
	trip := func(n *node, method, path, body string, header ...string) answer {
		t.Helper()
		reply := make(chan answer, 1)
		go func() { reply <- n.do(method, path, body, header...) }()
		a := e.next(t)
		a.accept()
		n.callback(a.tokens[0], `{"answer":42}`)
		r := got(t, reply)
		want(t, r, 200, accepted)
		return r
	}
	body := oneOp(`{}`)

	lenient := start(t, e.URL, func(c *gateway.Config) { c.CORS.Origins = []string{page} })
	if r := trip(lenient, "POST", sign(body), body, append(simple, "Origin", "https://evil.example")...); r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%v", r.header)
	}

	n := start(t, e.URL, func(c *gateway.Config) { c.CORS = cors.Config{Origins: []string{page}, Enforce: true} })
	task := n.taskOf(t, e)
	refused := func(r answer) {
		t.Helper()
		if r.status != 403 || !strings.Contains(r.body, `"description":"Origin is not allowed`) || r.header.Get("Access-Control-Allow-Origin") != "" ||
			r.header.Get("X-Request-Id") == "" || r.header.Get("Vary") != "Origin" {
			t.Errorf("%+v", r)
		}
	}
	for _, origin := range []string{"https://evil.example", "null", page + ".evil.example", "http://shop.example", page + ":8443", strings.ToUpper(page), n.url, "x"} {
		refused(n.do("POST", sign(body), body, append(simple, "Origin", origin)...))
		refused(n.do("POST", "/api/1/json/1/2/3", strings.Repeat("x", 100_000), "Origin", origin)) // whatever else is wrong
		refused(n.do("GET", task, "", "Origin", origin))
		refused(n.do("OPTIONS", sign(body), "", "Origin", origin, "Access-Control-Request-Method", "POST"))
	}
	waitLog(t, n, `"status":403`)
	select {
	case a := <-e.asked:
		t.Errorf("the engine was asked %s", a.body)
	default:
	}
	trip(n, "POST", sign(body), body, append(simple, "Origin", page)...)
	trip(n, "POST", sign(body), body) // no page
	want(t, n.do("GET", "/healthz", "", "Origin", "https://evil.example"), 200, `{"status":"alive"}`)
	if r := n.do("PUT", sign(body), "", "Origin", "https://evil.example"); r.status != 405 {
		t.Errorf("path and method come first: %+v", r)
	}
	reply := n.createLater(body)
	a := e.next(t)
	a.accept()
	want(t, n.do("POST", "/api/1/plugins/callback/"+a.tokens[0], `{"answer":42}`, "Origin", "https://evil.example"), 200, `{}`) // an engine is no page
	want(t, got(t, reply), 200, accepted)
	n.RefuseNew()
	if r := n.do("POST", sign(body), body, "Origin", "https://evil.example"); r.status != 503 {
		t.Errorf("draining comes first: %+v", r)
	}

	anybody := start(t, e.URL, func(c *gateway.Config) { c.CORS = cors.Config{Origins: []string{"*"}, Enforce: true} })
	trip(anybody, "POST", sign(body), body, append(simple, "Origin", "https://evil.example")...)
	nobody := start(t, e.URL, func(c *gateway.Config) { c.CORS.Enforce = true })
	if r := nobody.do("POST", sign(body), body, "Origin", page); r.status != 403 {
		t.Errorf("no origin is listed: %+v", r)
	}
}

// taskOf makes a trip that times out, and gives the path of its task.
func (n *node) taskOf(t *testing.T, e *engine) string {
	t.Helper()
	reply := n.createLater(strings.Replace(oneOp(`{}`), `"timeout":5`, `"timeout":0.1`, 1))
	e.next(t).accept()
	return got(t, reply).header.Get("Location")
}

// signedIn gives the headers that sign a body.
func signedIn(body string) []string {
	now := strconv.FormatInt(time.Now().Unix(), 10)
	signature := string(signer.AppendSignature(nil, []byte(now), []byte(secret), []byte(body)))
	return []string{"X-Syncgate-Login", login, "X-Syncgate-Time", now, "X-Syncgate-Signature", signature}
}

// A request may be signed in its headers, so that all requests of a page have one URL. Its preflight allows these headers.
func TestSignatureInHeaders(t *testing.T) {
	const page = "https://shop.example"
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.CORS.Origins = []string{page} })
	names := "content-type,idempotency-key,x-syncgate-login,x-syncgate-signature,x-syncgate-time"
	for _, path := range []string{"/api/1/json", "/api/2/json"} {
		r := n.do("OPTIONS", path, "", "Origin", page, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", names)
		if r.status != 204 || r.header.Get("Access-Control-Allow-Headers") != names || r.header.Get("Access-Control-Max-Age") != "7200" || r.header.Get("Access-Control-Allow-Origin") != page {
			t.Errorf("preflight: %+v", r)
		}
		body := oneOp(`{"x":"` + path + `"}`)
		reply := make(chan answer, 1)
		go func() { reply <- n.do("POST", path, body, signedIn(body)...) }()
		a := e.next(t)
		if strings.Contains(a.path, "X-Syncgate") || !strings.HasPrefix(a.path, "/api/2/json/"+login+"/") {
			t.Errorf("the engine was asked at %s", a.path)
		}
		a.accept()
		n.callback(a.tokens[0], `{"answer":42}`)
		want(t, got(t, reply), 200, accepted)
		for _, header := range [][]string{nil, signedIn(body + " "), signedIn(body)[:4], append(signedIn(body)[:5:5], strings.Repeat("0", 40))} {
			if r := n.do("POST", path, body, header...); r.status != 401 || r.header.Get("WWW-Authenticate") == "" || !strings.Contains(r.body, "Incorrect signature or login") {
				t.Errorf("%v: %+v", header, r)
			}
		}
		if r := n.do("GET", path, ""); r.status != 405 {
			t.Errorf("%+v", r)
		}
	}
}

// A client that comes back for a result may sign in headers too.
func TestReaderSignsInHeaders(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Results.RequireLogin = true })
	task := n.taskOf(t, e)
	pending := `{"request_proc":"ok","ops":[{"proc":"pending"}]}`
	want(t, n.do(http.MethodGet, task, "", signedIn("")...), 202, pending)
	want(t, n.do(http.MethodGet, task+strings.TrimPrefix(sign(""), "/api/1/json"), ""), 202, pending)
	for _, header := range [][]string{nil, signedIn("{}"), signedIn("")[:2]} {
		if r := n.do(http.MethodGet, task, "", header...); r.status != 401 || r.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%v: %+v", header, r)
		}
	}
	open := start(t, e.URL)
	task = open.taskOf(t, e)
	want(t, open.do(http.MethodGet, task, ""), 202, pending)
	want(t, open.do(http.MethodGet, task, "", signedIn("")...), 202, pending)
	if r := open.do(http.MethodGet, task, "", signedIn("{}")...); r.status != 401 {
		t.Errorf("a wrong signature that nobody asked for: %+v", r)
	}
}
