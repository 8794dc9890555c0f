package rest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"syncgate/dialect/rest"
	"syncgate/signer"
)

// problemsOf gives the problems of a configuration, one a line.
func problemsOf(c rest.Config) string {
	if err := c.Validate(); err != nil {
		return err.Error()
	}
	return ""
}

func TestProblemsOfARoute(t *testing.T) {
	f := func(want string, edit func(*rest.RouteConfig)) {
		t.Helper()
		got := problemsOf(config([]rest.RouteConfig{route("a", "/a/{kind}", edit)}))
		if want == "" && got != "" || want != "" && !strings.HasPrefix(got, "routes[0]."+want) || strings.Count(got, "\n") > 0 {
			t.Errorf("want %q:\n%s", want, got)
		}
	}
	f("", func(*rest.RouteConfig) {})
	f("name: must not be empty", func(r *rest.RouteConfig) { r.Name = "" })
	f("name: must be up to 64", func(r *rest.RouteConfig) { r.Name = "a/b" })
	f("methods: must name", func(r *rest.RouteConfig) { r.Methods = nil })
	f("methods[0]: must be one of", func(r *rest.RouteConfig) { r.Methods[0] = "OPTIONS" })
	f("methods[1]: is there already", func(r *rest.RouteConfig) { r.Methods = []string{"GET", "GET"} })
	f("engine: is not one of", func(r *rest.RouteConfig) { r.Engine = "nobody" })
	f("auth: must be one of", func(r *rest.RouteConfig) { r.Auth = "" })
	f("auth: is key, and no entry", func(r *rest.RouteConfig) { r.Auth = rest.AuthKey })
	f("auth: is basic, and no entry", func(r *rest.RouteConfig) { r.Auth = rest.AuthBasic })
	f("at_wait_end: must be one of", func(r *rest.RouteConfig) { r.AtWaitEnd = "x" })
	f("", viewOS1)
	f("os1.event_type: must not be empty", func(r *rest.RouteConfig) { viewOS1(r); r.OS1.EventType = "" })
	f("os1.signature: must be one of", func(r *rest.RouteConfig) { viewOS1(r); r.OS1.Signature = "md5" })
	f("os1: is for routes with view os1", func(r *rest.RouteConfig) { r.OS1.Batch = "items" })
	f("os1: is for routes with view os1", func(r *rest.RouteConfig) { r.OS1.Signature = signer.OS1Concat })
	f("os1: is for routes with view os1", func(r *rest.RouteConfig) { r.OS1.Members = map[string]string{"a": ""} })
	f("subscriptions: must be false with view os1", func(r *rest.RouteConfig) { viewOS1(r); r.Subscriptions = true })
	f("os1.batch: needs methods that have a body: remove GET", func(r *rest.RouteConfig) { viewOS1(r); r.OS1.Batch, r.Methods = "items", []string{"POST", "GET"} })
	f("forward_headers[0]: carries what authenticates", func(r *rest.RouteConfig) { r.ForwardHeaders = []string{"x-coreos-ACCESS"} })
	f("view: must be one of: auto, plain, hal, os1", func(r *rest.RouteConfig) { r.View = "x" })
	f("hal.failed: must be one of", func(r *rest.RouteConfig) { r.HAL.Failed = "" })
	f("on_disconnect: must be one of", func(r *rest.RouteConfig) { r.OnDisconnect = "x" })
	f("", func(r *rest.RouteConfig) { r.OnDisconnect = "cancel" })
	f("", subscribable)
	f("limits.subscriptions: must be 1 to 100000", func(r *rest.RouteConfig) { r.Subscriptions, r.Limits.Subscriptions = true, 0 })
	f("limits.subscriptions: must be 1 to 100000", func(r *rest.RouteConfig) { r.Subscriptions, r.Limits.Subscriptions = true, 100_001 })
	f("path: has 60 segments: at most 59 are possible with subscriptions", func(r *rest.RouteConfig) {
		r.Subscriptions, r.Path = true, strings.Repeat("/a", 60)
	})
	f("wait.default: must not be negative", func(r *rest.RouteConfig) { r.Wait.Default = -1 })
	f("wait.default: is more than wait.max", func(r *rest.RouteConfig) { r.Wait.Default = time.Hour })
	f("wait.max: must be longer", func(r *rest.RouteConfig) { r.Wait = rest.Wait{} })
	f("idle: must not be negative", func(r *rest.RouteConfig) { r.Idle = -1 })
	f("idle: needs an engine that reports", func(r *rest.RouteConfig) { r.Idle = 1 })
	f("", func(r *rest.RouteConfig) { r.Idle, r.Engine = time.Second, "steps" })
	f("path: must have the parameter {kind}", func(r *rest.RouteConfig) { r.Engine, r.Path = "steps", "/a" })
	f("limits.rate: must be a number", func(r *rest.RouteConfig) { r.Limits.Rate = -1 })
	f("limits.parked: must not be negative", func(r *rest.RouteConfig) { r.Limits.Parked = -1 })
	f("limits.body: must not be negative", func(r *rest.RouteConfig) { r.Limits.Body = -1 })
	f("forward_headers[0]: is not the name", func(r *rest.RouteConfig) { r.ForwardHeaders = []string{"a b"} })
	f("forward_headers[1]: is there already", func(r *rest.RouteConfig) { r.ForwardHeaders = []string{"a", "A"} })
	f("forward_headers[0]: carries what authenticates", func(r *rest.RouteConfig) { r.ForwardHeaders = []string{"Authorization"} })
	f("forward_headers[0]: is about one connection", func(r *rest.RouteConfig) { r.ForwardHeaders = []string{"Connection"} })
	f("respond.headers[0]: is about one connection", func(r *rest.RouteConfig) { r.Respond.Headers = []string{"Content-Length"} })
	f("respond.status_header: is not the name", func(r *rest.RouteConfig) { r.Respond.StatusHeader = "a:b" })
	f("conv_id: is for routes whose engine is Corezoid", func(r *rest.RouteConfig) { r.ConvID = "1" })
	f("login: is for routes whose engine is Corezoid", func(r *rest.RouteConfig) { r.Login = "1" })
	f("data: is for routes whose engine is Corezoid", func(r *rest.RouteConfig) { r.Data = "raw" })
	f("conv_id: must not be empty", func(r *rest.RouteConfig) { ofCorezoid(r); r.ConvID = "" })
	f("login: must not be empty", func(r *rest.RouteConfig) { ofCorezoid(r); r.Login = "" })
	f("data: must be one of", func(r *rest.RouteConfig) { ofCorezoid(r); r.Data = "x" })
	f("schema: the file cannot be read: no such file", func(r *rest.RouteConfig) { r.Schema = "/nonexistent" })
}

func TestProblemsOfAPath(t *testing.T) {
	f := func(want, path string) {
		t.Helper()
		got := problemsOf(config([]rest.RouteConfig{route("a", path)}))
		if want == "" && got != "" || want != "" && !strings.HasPrefix(got, "routes[0].path: "+want) {
			t.Errorf("%s: %s", path, got)
		}
	}
	f("", "/v1/{a}/{b_2}/x")
	f("", "/{a}")
	f("", "/apis/x")
	f("must begin with /", "")
	f("must begin with /", "/")
	f("must begin with /", "v1")
	f("must end before its query", "/a?b=1")
	f("has a segment that no request can have", "/a/")
	f("has a segment that no request can have", "/a//b")
	f("has a segment that no request can have", "/a/../b")
	f("has a segment that no request can have", "/a/%2e/b")
	f("has a segment that no request can have", "/a/%zz")
	f("has a parameter that is none", "/{}")
	f("has a parameter that is none", "/{a-b}")
	f("has a parameter that is none", "/{a}b")
	f("has a parameter that is only a part", "/b{a}")
	f("has two parameters of one name", "/{a}/{a}")
	f("begins with /api/", "/api/1/json")
	f("begins with /api/", "/%61pi/x")
	f("begins with /tasks", "/tasks/{id}")
	f("is where the gateway says", "/healthz")
	f("is where the gateway says", "/readyz")
	f("", "/readyz/x")
	many := ""
	for i := range rest.MostParameters {
		many += fmt.Sprintf("/{p%d}", i)
	}
	f("", many)
	f("has 33 parameters: at most 32", many+"/{one}")
	f("has 62 segments: at most 61", strings.Repeat("/a", 62))
}

func TestTies(t *testing.T) {
	f := func(tie bool, routes ...rest.RouteConfig) {
		t.Helper()
		got := problemsOf(config(routes))
		if strings.Contains(got, "routes[1].path: is a tie with that of routes[0]") != tie {
			t.Errorf("%s and %s: %s", routes[0].Path, routes[1].Path, got)
		}
	}
	f(true, route("a", "/v1/{a}/x"), route("b", "/v1/y/{b}"))
	f(false, route("a", "/v1/{a}/x"), route("b", "/v1/y/{b}", withMethods("GET")))
	f(true, route("a", "/v1/{a}"), route("b", "/v1/{b}"))
	f(true, route("a", "/v1/a"), route("b", "/v1/%61"))
	f(false, route("a", "/v1/{a}"), route("b", "/v1/x"))
	f(false, route("a", "/v1/{a}/x"), route("b", "/v1/{b}/y"))
	f(false, route("a", "/v1/{a}/{b}"), route("b", "/{a}/x/y")) // the second is the more literal
	f(false, route("a", "/v1/x"), route("b", "/v1/x/y"))
	// Routes with subscriptions have {path}/tasks and {path}/tasks/{uuid} too.
	f(true, route("a", "/v1/a", subscribable), route("b", "/v1/a/tasks"))
	f(true, route("a", "/v1/{a}/tasks"), route("b", "/v1/{b}", subscribable))
	f(false, route("a", "/v1/a", subscribable), route("b", "/v1/a/tasks", withMethods("GET")))
	f(false, route("a", "/v1/a", subscribable), route("b", "/v1/a/{b}"))
	f(true, route("a", "/v1/a", subscribable), route("b", "/v1/a/tasks/{b}", withMethods("GET")))
	f(true, route("a", "/v1/a", subscribable), route("b", "/v1/a/tasks/{b}", withMethods("DELETE"))) // a path is a subscription's or a route's
	f(true, route("a", "/v1/{a}/tasks/x"), route("b", "/v1/b", subscribable))
	f(false, route("a", "/v1/a", subscribable), route("b", "/v1/a/{x}/{y}", withMethods("DELETE")))
	f(true, route("a", "/v1/a", subscribable), route("b", "/v1/a", subscribable, withMethods("PUT")))
	f(true, route("a", "/v1/{a}/{b}/{c}/{d}"), route("b", "/v1/{x}", withAuth(rest.AuthCorezoid))) // its signature has three segments
}

func TestProblemsOfAccess(t *testing.T) {
	routes := []rest.RouteConfig{route("k", "/k", withAuth(rest.AuthKey)), route("b", "/b", withAuth(rest.AuthBasic)), route("n", "/n")}
	all := rest.AccessConfig{Name: "all", Key: "a", User: "a", Password: "a", Routes: []string{"k", "b"}}
	f := func(want string, e rest.AccessConfig) {
		t.Helper()
		got := problemsOf(config(routes, all, e))
		if want == "" && got != "" || want != "" && !strings.HasPrefix(got, "access[1]."+want) || strings.Contains(got, "hunter2") {
			t.Errorf("want %q:\n%s", want, got)
		}
	}
	ok := func(edit func(*rest.AccessConfig)) rest.AccessConfig {
		e := rest.AccessConfig{Name: "x", Key: "hunter2", Routes: []string{"k"}}
		edit(&e)
		return e
	}
	f("", ok(func(*rest.AccessConfig) {}))
	f("name: is the same as that of access[0]", ok(func(e *rest.AccessConfig) { e.Name = "all" }))
	f("key: must not be empty", ok(func(e *rest.AccessConfig) { e.Key = "" }))
	f("keys[0]: must not be empty", ok(func(e *rest.AccessConfig) { e.Keys = []signer.Secret{""} }))
	f("keys[0]: is that of access[1].key", ok(func(e *rest.AccessConfig) { e.Keys = []signer.Secret{"hunter2"} }))
	f("key: is that of access[0].key", ok(func(e *rest.AccessConfig) { e.Key = "a" }))
	f("keys: are 101", ok(func(e *rest.AccessConfig) {
		for i := range 101 {
			e.Keys = append(e.Keys, signer.Secret(fmt.Sprint("hunter2", i)))
		}
	}))
	f("user: must not have a colon", ok(func(e *rest.AccessConfig) { e.User, e.Password = "a:b", "hunter2" }))
	f("user: is that of access[0].user", ok(func(e *rest.AccessConfig) { e.User, e.Password = "a", "hunter2" }))
	f("password: and user go together", ok(func(e *rest.AccessConfig) { e.User = "c" }))
	f("password: and user go together", ok(func(e *rest.AccessConfig) { e.Password = "hunter2" }))
	f("rate: must be a number", ok(func(e *rest.AccessConfig) { e.Rate = -1 }))
	f("rate: must be set with origins", ok(func(e *rest.AccessConfig) { e.Origins = []string{"https://a"} }))
	f("", ok(func(e *rest.AccessConfig) { e.Origins, e.Rate = []string{"https://a"}, 1 }))
	for _, bad := range []string{"*", "https://A", "https://a/", "a", "ftp://a", "null"} {
		f("origins[0]: is not an origin", ok(func(e *rest.AccessConfig) { e.Origins, e.Rate = []string{bad}, 1 }))
	}
	f("signing_secret: must begin with whsec_", ok(func(e *rest.AccessConfig) { e.SigningSecret = "hunter2" }))
	f("signing_secret: is not base64", ok(func(e *rest.AccessConfig) { e.SigningSecret = "whsec_hunter2!" }))
	f("", ok(func(e *rest.AccessConfig) { e.SigningSecret, e.CallbackSecret = signer.NewWebhookSecret(), "hunter2" }))
	f("routes: must name at least one", ok(func(e *rest.AccessConfig) { e.Routes = nil }))
	f("routes[0]: is not the name of a route", ok(func(e *rest.AccessConfig) { e.Routes[0] = "q" }))
	f("routes[1]: is there already", ok(func(e *rest.AccessConfig) { e.Routes = []string{"k", "k"} }))
	f("user: must not be empty: the route b wants a user", ok(func(e *rest.AccessConfig) { e.Routes[0] = "b" }))
	f("key: must not be empty: the route k wants a key", ok(func(e *rest.AccessConfig) { e.Key, e.User, e.Password = "", "c", "d" }))
	f("", ok(func(e *rest.AccessConfig) { e.Routes[0] = "n" })) // an entry may list what everybody may call
}

func TestProblemsOfAll(t *testing.T) {
	many := make([]rest.RouteConfig, rest.MostRoutes+1)
	for i := range many {
		many[i] = route(fmt.Sprint("r", i), fmt.Sprint("/r", i))
	}
	if got := problemsOf(config(many)); got != "routes: are 1001: at most 1000 are possible" {
		t.Error(got)
	}
	if got := problemsOf(config(many[:rest.MostRoutes])); got != "" {
		t.Error(got)
	}
	entries := make([]rest.AccessConfig, rest.MostAccess+1)
	routes := []rest.RouteConfig{route("k", "/k", withAuth(rest.AuthKey))}
	for i := range entries {
		entries[i] = rest.AccessConfig{Name: fmt.Sprint("e", i), Key: signer.Secret(fmt.Sprint("key", i)), Routes: []string{"k"}}
	}
	if got := problemsOf(config(routes, entries...)); got != "access: are 10001: at most 10000 are possible" {
		t.Error(got)
	}
	c := config([]rest.RouteConfig{route("a", "/a"), route("a", "/b")})
	c.Retention, c.RequireLogin = 0, true
	want := "results.retention: must be longer|results.require_login: must be false|routes[1].name: is the same as that of routes[0]"
	got := problemsOf(c)
	for i, w := range strings.Split(want, "|") {
		if !strings.HasPrefix(strings.Split(got+"\n\n\n", "\n")[i], w) {
			t.Error(got)
		}
	}
	c.Routes = nil
	if got := problemsOf(c); got != "" {
		t.Error(got)
	}
}
