package admin

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"syncgate/internal/whereabouts"
)

// asker makes a Handler with a page and a further path, and gives a function that asks it and gives the status and the body. A header is written as in HTTP.
func asker(t *testing.T, change func(*Config)) (h *Handler, ask func(method, path string, headers ...string) (status int, body string)) {
	t.Helper()
	cfg := Config{
		Metrics: prometheus.NewRegistry(),
		Trips:   func([]byte) whereabouts.Answer { return whereabouts.Answer{} },
		Paths: []Path{{Path: "/api/things", Serve: func(ctx *fasthttp.RequestCtx, rest string) {
			ctx.SetBodyString(string(ctx.Method()) + " [" + rest + "]")
		}}},
		Page: func(ctx *fasthttp.RequestCtx, path string) bool {
			ctx.SetBodyString("page " + path)
			return path != "/web/none"
		},
	}
	change(&cfg)
	h = New(cfg)
	return h, func(method, path string, headers ...string) (status int, body string) {
		t.Helper()
		var ctx fasthttp.RequestCtx
		ctx.Init(new(fasthttp.Request), nil, nil)
		ctx.Request.Header.SetMethod(method)
		ctx.Request.SetRequestURI(path)
		for _, line := range headers {
			name, value, _ := strings.Cut(line, ": ")
			ctx.Request.Header.Add(name, value)
		}
		if h.mayAsk(&ctx) {
			h.serve(&ctx, path)
		}
		return ctx.Response.StatusCode(), string(ctx.Response.Body())
	}
}

// Where a browser asks, and what it says of the page that asks.
const (
	here     = "Host: 127.0.0.1:9090"
	page     = "Origin: http://127.0.0.1:9090"
	means    = "X-Syncgate-Action: 1"
	foreign  = "another origin"
	unlisted = "add the name to admin.hosts"
)

// TestBrowsersRead: a browser reads under an IP address, localhost or a name that is listed. What is no browser may use any name.
func TestBrowsersRead(t *testing.T) {
	_, ask := asker(t, func(c *Config) { c.Hosts = []string{"Syncgate.internal"} })
	f := func(refusal string, headers ...string) {
		t.Helper()
		for _, path := range []string{"/", "/web/app.js", "/api/things", "/metrics", "/api/trips/x", "/debug/pprof/", "/nowhere"} {
			if status, body := ask("GET", path, headers...); (status == 403) != (refusal != "") || !strings.Contains(body, refusal) {
				t.Errorf("%s %q: %d %s, want %q", path, headers, status, body, refusal)
			}
		}
	}
	for _, browser := range []string{"Sec-Fetch-Site: none", "User-Agent: Mozilla/5.0 (X11)", "Accept-Language: uk"} {
		for _, host := range []string{"127.0.0.1:9090", "10.0.0.7", "[::1]:9090", "[::1]", "localhost", "LOCALHOST:9090", "syncgate.internal:9090", "syncgate.internal"} {
			f("", "Host: "+host, browser)
		}
		for _, host := range []string{"evil.example:9090", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "internal", "syncgate.internal.", ""} {
			f(unlisted, "Host: "+host, browser)
		}
	}
	f(unlisted, "Host: evil.example:9090", "Origin: http://evil.example:9090")
	f("", "Host: evil.example:9090", "User-Agent: curl/8.5.0")
	f("", "Host: evil.example:9090", "User-Agent: Prometheus/2.53")
	f("", "Host: evil.example:9090", "User-Agent: node", "Accept-Language: *", "Sec-Fetch-Mode: cors") // Node's fetch
	f("", here, page)
	f("", "Host: syncgate.internal", "Origin: https://syncgate.internal") // a proxy with TLS
	for _, origin := range []string{"https://127.0.0.1:9090", "http://127.0.0.1", "http://127.0.0.1:80", "http://localhost:9090", "null", "", "http://", "http://evil.example"} {
		f(foreign, here, "Origin: "+origin)
	}
	f(foreign, here, page, "Origin: http://evil.example")
	f(foreign, "Host: syncgate.internal", "Origin: https://evil.example")
}

// TestBrowsersChange: a change needs admin.actions, and from a page also that it is one of this listener's own and means it.
func TestBrowsersChange(t *testing.T) {
	h, ask := asker(t, func(c *Config) { c.Actions = true })
	f := func(refusal string, headers ...string) {
		t.Helper()
		want := "POST [/1]"
		if refusal != "" {
			want = "Forbidden: "
		}
		if _, body := ask("POST", "/api/things/1", headers...); !strings.HasPrefix(body, want) || !strings.Contains(body, refusal) {
			t.Errorf("%q: %s, want %q", headers, body, want+refusal)
		}
	}
	f("", here, page, means)
	f("", here, page, means, "Sec-Fetch-Site: same-origin")
	f("", "Host: localhost:9090", "Origin: http://LOCALHOST:9090", means)
	f("", "Host: gateway:9090", "User-Agent: curl/8.5.0") // no browser
	f("X-Syncgate-Action: 1", here, page)
	f("X-Syncgate-Action: 1", here, page, "X-Syncgate-Action: 0")
	f(foreign, here, "Origin: http://evil.example", means)
	f(foreign, here, "Origin: null", means)
	for _, site := range []string{"same-site", "cross-site", "none"} {
		f(foreign, here, page, means, "Sec-Fetch-Site: "+site)
	}
	f(foreign, here, page, means, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site")
	f("Origin of this listener", here, means, "Sec-Fetch-Site: same-origin")
	f("Origin of this listener", here, means, "User-Agent: Mozilla/5.0")
	f(unlisted, "Host: evil.example", "Origin: http://evil.example", means, "Sec-Fetch-Site: same-origin")
	h.SetAccess(true, []string{"evil.example"})
	f("", "Host: evil.example", "Origin: http://evil.example", means, "Sec-Fetch-Site: same-origin")
	h.SetAccess(false, nil)
	f("set admin.actions to true", here, page, means)
	f("set admin.actions to true")
}

// TestPage: the page is at / and /web/, for those who only read.
func TestPage(t *testing.T) {
	h, ask := asker(t, func(*Config) {})
	f := func(method, path string, status int, want string) {
		t.Helper()
		if got, body := ask(method, path, here); got != status || !strings.Contains(body, want) {
			t.Errorf("%s %s: %d %s, want %d %s", method, path, got, body, status, want)
		}
	}
	f("GET", "/", 200, "page /")
	f("HEAD", "/", 200, "page /")
	f("GET", "/web/app.js", 200, "page /web/app.js")
	f("GET", "/web/none", 404, "Not found: ")
	f("GET", "/webb", 404, "Not found: ")
	f("POST", "/", 405, "GET, HEAD would do")
	h.cfg.Page = nil
	f("GET", "/", 404, "Not found: ")
	f("GET", "/web/app.js", 404, "Not found: ")
}
