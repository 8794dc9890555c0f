package rest_test

import (
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"syncgate/dialect"
	"syncgate/dialect/rest"
)

// routed gives the names of the route of each method of a path: "GET a, POST b".
func routed(t testing.TB, d *rest.Dialect, path string) (said string, methods []string) {
	t.Helper()
	r, ok := d.Route([]byte(path))
	if !ok {
		return "not ours", nil
	}
	if r.Kind != dialect.Create {
		return "", r.Methods
	}
	for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		c, err := d.Accept(request(m+" "+path, ""), r, now)
		if (err == nil) != slices.Contains(r.Methods, m) {
			t.Errorf("%s %s: %v, and the path answers %v", m, path, err, r.Methods)
		}
		if err == nil {
			said += m + " " + c.Options.Route
			for _, p := range c.Options.Asked.Params {
				said += " " + p.Name + "=" + p.Value
			}
			said += "; "
		}
	}
	return strings.TrimSuffix(said, "; "), r.Methods
}

func TestRouting(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{
		route("one", "/v1/orders/{id}", withMethods("GET", "PUT")),
		route("new", "/v1/orders/new", withMethods("GET")),
		route("make", "/v1/orders/{order}", withMethods("POST")),
		route("all", "/v1/{a}/{b}"),
		route("odd", "/v1/caf%C3%A9/a b"),
		route("root", "/{x}", withMethods("DELETE")),
	}))
	f := func(path, want string, methods ...string) {
		t.Helper()
		got, have := routed(t, d, path)
		if got != want || len(methods) > 0 && !slices.Equal(have, append(methods, "OPTIONS")) {
			t.Errorf("%s: %q %v, want %q %v", path, got, have, want, methods)
		}
	}
	f("/v1/orders/7", "GET one id=7; HEAD one id=7; POST make order=7; PUT one id=7", "GET", "HEAD", "PUT", "POST")
	f("/v1/orders/new", "GET new; HEAD new; POST make order=new; PUT one id=new")
	f("/v1/Orders/7", "POST all a=Orders b=7", "POST")
	f("/v1/orders/a%2Fb", "GET one id=a/b; HEAD one id=a/b; POST make order=a/b; PUT one id=a/b")
	f("/v1/%6frders/%6Eew", "GET new; HEAD new; POST make order=new; PUT one id=new")
	f("/v1/orders/%D0%96%20+", "GET one id=Ж +; HEAD one id=Ж +; POST make order=Ж +; PUT one id=Ж +")
	f("/v1/caf%c3%a9/a%20b", "POST odd")
	f("/one", "DELETE root x=one")
	for _, none := range []string{
		"/", "/v1/orders", "/v1/orders/7/", "/v1/orders/", "/v1//7", "//v1/orders/7", "/v1/orders/.", "/v1/orders/..", "/v1/./7", "/v1/orders/%2e",
		"/v1/orders/%2E%2e", "/v1/orders/%", "/v1/orders/%4", "/v1/orders/%zz", "/v1/orders/%ff", "/v1/orders/7/x", strings.Repeat("/x", 100), "/tasks/",
		"/tasks//status", "/tasks/x/other", "/tasks/x/status/", "/tasks/x/a/b", "/tasks/x/status/a/b/c/d",
	} {
		f(none, "")
		if r, _ := d.Route([]byte(none)); r.Kind != 0 {
			t.Errorf("%s: %+v", none, r)
		}
	}
	f("/api/x", "not ours")
	f("", "not ours")
	f("x", "not ours")
	f("/api/1/tasks/x", "not ours")
	f("/apis", "DELETE root x=apis")
}

func TestTaskRoutes(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{route("one", "/one")}))
	for path, methods := range map[string]string{
		"/tasks/x": "GET HEAD PUT DELETE OPTIONS", "/tasks/x/l/t/s": "GET HEAD PUT DELETE OPTIONS", "/tasks/x/status": "GET HEAD OPTIONS",
		"/tasks/x/result": "GET HEAD OPTIONS", "/tasks/x/events": "GET HEAD OPTIONS", "/tasks/x/status/l/t/s": "GET HEAD OPTIONS",
	} {
		r, ok := d.Route([]byte(path))
		if !ok || r.Kind != dialect.Task || strings.Join(r.Methods, " ") != methods {
			t.Errorf("%s: %+v", path, r)
		}
	}
}

// TestRequestsFinishUnderTheirRoutes: a request whose head was read before the configuration changed goes on with what it was for.
func TestRequestsFinishUnderTheirRoutes(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{route("old", "/a/{x}"), route("other", "/b")}))
	req := request("POST /a/1", "")
	r, _ := d.Route([]byte("/a/1"))
	if err := d.Set(config([]rest.RouteConfig{route("other", "/b"), route("next", "/c")})); err != nil {
		t.Fatal(err)
	}
	c, err := d.Accept(req, r, now)
	if err != nil || c.Options.Route != "old" || c.Options.Asked.Params[0].Value != "1" {
		t.Errorf("%+v, %v", c, err)
	}
	if r, _ := d.Route([]byte("/a/1")); r.Kind != 0 {
		t.Error("the old route is there")
	}
	if err := d.Set(config([]rest.RouteConfig{route("other", "/b"), route("other", "/c")})); err == nil {
		t.Error("two of one name")
	}
	if r, _ := d.Route([]byte("/c")); r.Name != "next" {
		t.Error("a wrong configuration has changed something")
	}
}

// matches is the rule, segment by segment.
func matches(pattern, path string) bool {
	p, q := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(p) != len(q) {
		return false
	}
	for i := range p {
		text, err := url.PathUnescape(q[i])
		parameter := strings.HasPrefix(p[i], "{")
		if i > 0 && (err != nil || text == "" || text == "." || text == "..") || !parameter && p[i] != text {
			return false
		}
	}
	return true
}

// TestRandomRoutes makes tables of routes, and compares what random paths find with the rule.
func TestRandomRoutes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // the same routes in each run
	tried := 0
	for range 3000 {
		routes := randomRoutes(r)
		cfg := config(routes)
		if cfg.Validate() != nil {
			continue // a tie
		}
		tried++
		path := ""
		for range 1 + r.IntN(3) {
			path += "/" + []string{"a", "b", "c", "%61", "a%2fb", "%2e"}[r.IntN(6)]
		}
		if got, want := nameOf(t, newDialect(t, cfg), path), mostLiteral(routes, path); got != want {
			t.Fatalf("%s of %+v: %q, want %q", path, routes, got, want)
		}
	}
	if tried < 300 {
		t.Errorf("only %d tables were without ties", tried)
	}
}

func randomRoutes(r *rand.Rand) (routes []rest.RouteConfig) {
	for i := range 1 + r.IntN(5) {
		path := ""
		for n := range 1 + r.IntN(3) {
			path += "/" + []string{"a", "b", "{" + "xyz"[n:n+1] + "}", "%61"}[r.IntN(4)]
		}
		routes = append(routes, route("ABCDE"[i:i+1], path))
	}
	return routes
}

// nameOf gives the name of the route that a POST to a path is for, empty when there is none.
func nameOf(t *testing.T, d *rest.Dialect, path string) string {
	t.Helper()
	r, _ := d.Route([]byte(path))
	if r.Kind == 0 {
		return ""
	}
	c, err := d.Accept(request("POST "+path, ""), r, now)
	if err != nil {
		t.Fatal(err)
	}
	return c.Options.Route
}

// mostLiteral gives the route that has the most literal segments of those that match.
func mostLiteral(routes []rest.RouteConfig, path string) (name string) {
	most := -1
	for _, one := range routes {
		decoded := strings.ReplaceAll(one.Path, "%61", "a")
		if n := strings.Count(decoded, "/") - strings.Count(decoded, "{"); matches(decoded, path) && n > most {
			name, most = one.Name, n
		}
	}
	return name
}

func FuzzPath(f *testing.F) {
	d := newDialect(f, config([]rest.RouteConfig{
		route("one", "/v1/{id}", withMethods("GET")), route("two", "/v1/x"), route("three", "/{a}/{b}/{c}"), route("signed", "/s/{a}", withAuth(rest.AuthCorezoid)),
	}))
	for _, seed := range []string{"/v1/x", "/v1/%2e", "/a/%2F/c", "/s/1/l/t/good", "/tasks/x/status", "//", "/%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r, ok := d.Route([]byte(path))
		if ok != (strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "/api/")) {
			t.Fatalf("%q: %v", path, ok)
		}
		if r.Kind != dialect.Create || strings.ContainsAny(path, " ?#\r\n\x00") {
			return
		}
		for _, m := range r.Methods {
			if c, err := d.Accept(request(m+" "+path, ""), r, now); err == nil && m != "OPTIONS" {
				wantSegments(t, c.Options.Asked)
			}
		}
	})
}

// wantSegments wants every parameter to be a segment of the path.
func wantSegments(t *testing.T, a *dialect.Asked) {
	t.Helper()
	var segments []string
	for part := range strings.SplitSeq(string(a.Path), "/") {
		text, _ := url.PathUnescape(part)
		segments = append(segments, text)
	}
	for _, p := range a.Params {
		if p.Value == "" || p.Value == "." || p.Value == ".." || !slices.Contains(segments, p.Value) {
			t.Errorf("%q: %+v", a.Path, p)
		}
	}
}
