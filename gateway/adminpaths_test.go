package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"syncgate/gateway"
	"syncgate/internal/admin"
)

// operated makes a node whose admin listener has a further path, and gives a function that asks that listener.
func operated(t *testing.T, change ...func(*gateway.Config)) (n *node, ask func(method, path string, header ...string) answer) {
	t.Helper()
	n = startParts(t, newEngine(t).URL, func(_ *node, p *gateway.Parts) {
		p.AdminPaths = []admin.Path{{Path: "/api/things", Serve: func(ctx *fasthttp.RequestCtx, rest string) {
			if strings.HasSuffix(rest, "/panic") {
				panic(rest)
			}
			ctx.SetBodyString(string(ctx.Method()) + " [" + rest + "] " + string(ctx.QueryArgs().Peek("a")))
		}}}
	}, change...)
	n.url = "http://" + n.AdminAddr().String()
	return n, func(method, path string, header ...string) answer {
		t.Helper()
		return n.do(method, path, "", header...)
	}
}

// TestAdminPaths: a further path is served with what is behind it, and nothing beside it.
func TestAdminPaths(t *testing.T) {
	n, ask := operated(t)
	for path, want := range map[string]string{
		"/api/things": "GET [] ", "/api/things?a=b": "GET [] b", "/api/things/": "GET [/] ", "/api/things/x%2Fy/z?a=c": "GET [/x%2Fy/z] c",
	} {
		r := ask(http.MethodGet, path)
		if r.status != 200 || r.body != want || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %+v", path, r)
		}
	}
	for _, path := range []string{"/api/thingsx", "/api/thing", "/api"} {
		if r := ask(http.MethodGet, path); r.status != 404 || !strings.Contains(r.body, "/api/things, and /debug/pprof/ are here, and the page is at /") {
			t.Errorf("%s: %+v", path, r)
		}
	}
	n.url = "http://" + n.PublicAddr().String()
	if r := ask(http.MethodGet, "/api/things"); r.status != 404 {
		t.Errorf("on the public listener: %+v", r)
	}
}

// TestAdminActions: what changes something needs admin.actions, and from a page more.
func TestAdminActions(t *testing.T) {
	n, ask := operated(t)
	f := func(method, path string, status int, want string, header ...string) {
		t.Helper()
		if r := ask(method, path, header...); r.status != status || !strings.Contains(r.body, want) {
			t.Errorf("%s %s: %+v, want %d %s", method, path, r, status, want)
		}
	}
	for _, method := range []string{"POST", "DELETE", "PUT", "PATCH"} {
		f(method, "/api/things/1", 403, "set admin.actions to true")
	}
	n.SetAdmin(gateway.Admin{Actions: true})
	f("POST", "/api/things/1", 200, "POST [/1]")
	f("DELETE", "/api/things/1", 200, "DELETE [/1]")
	own := "http://" + n.AdminAddr().String()
	f("POST", "/api/things/1", 403, "a page of another origin", "Origin", "http://localhost:9090", "X-Syncgate-Action", "1")
	f("POST", "/api/things/1", 403, "has to send X-Syncgate-Action: 1", "Origin", own)
	f("POST", "/api/things/1", 200, "POST [/1]", "Origin", own, "X-Syncgate-Action", "1")
	f("GET", "/api/things/1", 200, "GET [/1]", "Origin", own)
	for _, path := range []string{"/healthz", "/metrics", "/api/trips/x", "/debug/pprof/"} { // the others stay as they are
		r := ask("POST", path)
		if r.status != 405 || r.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: %+v", path, r)
		}
	}
	for _, method := range []string{"GET", "POST", "DELETE"} { // what is not there is not there for any method
		for _, path := range []string{"/api/demo", "/nowhere", "/", "/web/x.js"} {
			f(method, path, 404, "Not found: /healthz, ")
		}
	}
	n.SetAdmin(gateway.Admin{})
	f("POST", "/api/things/1", 403, "set admin.actions to true")
	_, ask = operated(t, func(c *gateway.Config) { c.Admin.Actions = true })
	f("POST", "/api/things/1", 200, "POST [/1]")
}

// TestAdminPage: Parts.AdminPage is at / and /web/, on the admin listener alone.
func TestAdminPage(t *testing.T) {
	n := startParts(t, newEngine(t).URL, func(_ *node, p *gateway.Parts) {
		p.AdminPage = func(ctx *fasthttp.RequestCtx, path string) bool {
			ctx.SetBodyString("page " + path)
			return true
		}
	}, func(c *gateway.Config) { c.Admin.Hosts = []string{"gateway.internal"} })
	at := n.url
	n.url = "http://" + n.AdminAddr().String()
	for _, path := range []string{"/", "/web/x/y.js"} {
		if r := n.do(http.MethodGet, path, ""); r.status != 200 || r.body != "page "+path {
			t.Errorf("%s: %+v", path, r)
		}
	}
	for host, status := range map[string]int{"gateway.internal": 200, "evil.example": 403} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		req.Header.Set("User-Agent", "Mozilla/5.0")
		resp, err := n.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%s: %d", host, resp.StatusCode)
		}
	}
	n.url = at
	if r := n.do(http.MethodGet, "/", ""); r.status != 404 {
		t.Errorf("on the public listener: %+v", r)
	}
}

// TestAdminPathPanics: its connection is lost, and the next request is served.
func TestAdminPathPanics(t *testing.T) {
	n, ask := operated(t)
	if r, err := http.Get(n.url + "/api/things/panic"); err == nil {
		_ = r.Body.Close()
		t.Errorf("answered %d", r.StatusCode)
	}
	if r := ask(http.MethodGet, "/api/things"); r.status != 200 {
		t.Errorf("%+v", r)
	}
	waitLog(t, n, `serving an operator panicked`)
}
