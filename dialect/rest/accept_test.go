package rest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"syncgate/dialect"
	"syncgate/dialect/rest"
)

func TestAsked(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{
		route("http", "/h/{kind}", withMethods("POST", "GET"), func(r *rest.RouteConfig) {
			r.ForwardHeaders, r.Idle, r.OnDisconnect = []string{"x-tenant", "X-Other"}, 0, "drop"
			r.Limits = rest.RouteLimits{Body: 10, Rate: 2, Parked: 3}
		}),
		route("core", "/c", ofCorezoid, func(r *rest.RouteConfig) { r.Data = rest.DataRequest }),
		route("plain", "/p", ofCorezoid),
	}))
	c := must(t, d, "POST /h/a%20b?x=1&y", "text", "Content-Type: text/plain", "X-Tenant: 7", "X-Tenant: 8", "Authorization: Bearer s", "X-Api-Key: s", "Cookie: s", "Connection: x-other", "X-Other: 1")
	a, o := c.Options.Asked, c.Options
	if a.Method != "POST" || string(a.Path) != "/h/a%20b" || string(a.Query) != "x=1&y" || string(a.ContentType) != "text/plain" || string(a.Body) != "text" ||
		a.Process != "" || a.Signer != "" || a.Data != "" || len(a.Params) != 1 || a.Params[0] != (dialect.Param{Name: "kind", Value: "a b"}) {
		t.Errorf("%+v", a)
	}
	if got := fmt.Sprint(a.Forwarded); got != "[{X-Tenant 7, 8}]" {
		t.Error(got)
	}
	if o.Route != "http" || o.Engine != "flow" || o.OnDisconnect != "drop" || o.Guarded || len(o.Quotas) != 1 || o.Quotas[0] != (dialect.Quota{Name: "route/http", Parked: 3, Rate: 2}) {
		t.Errorf("%+v", o)
	}
	if r, _ := d.Route([]byte("/h/x")); r.Body != 10 || r.Name != "http" {
		t.Errorf("%+v", r)
	}
	if len(c.Ops) != 1 || !c.Ops[0].Create || c.Wait != 20*time.Second || o.Mode != dialect.Hold {
		t.Errorf("%+v", c)
	}
	if c := must(t, d, "HEAD /h/x", ""); c.Options.Asked.Method != "GET" {
		t.Error("HEAD is not asked for as GET")
	}
	c = must(t, d, "POST /c", "<x/>", "Content-Type: text/xml", "X-A: 1", "Authorization: hunter2", "Proxy-Authorization: hunter2",
		"Cookie: a=hunter2", "X-Api-Key: hunter2", "X-Syncgate-Login: hunter2", "X-Syncgate-Time: hunter2", "X-Syncgate-Signature: hunter2", "Connection: x-b", "X-B: hunter2", "Te: hunter2", "Host: h")
	a = c.Options.Asked
	if a.Process != "1234" || a.Signer != "12345" || a.Data != rest.DataRequest || string(c.Ops[0].Process) != "1234" || strings.Contains(fmt.Sprint(a.Headers), "hunter2") ||
		!strings.Contains(fmt.Sprint(a.Headers), "{X-A 1}") {
		t.Errorf("%+v", a)
	}
	if c := must(t, d, "POST /p", "{}", "X-A: 1"); c.Options.Asked.Headers != nil || c.Options.Asked.Data != rest.DataMembers {
		t.Errorf("%+v", c.Options.Asked)
	}
}

func TestBodies(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{
		route("http", "/h"), route("members", "/m", ofCorezoid), route("both", "/b", ofCorezoid, func(r *rest.RouteConfig) { r.Data = rest.DataBoth }),
		route("raw", "/r", ofCorezoid, func(r *rest.RouteConfig) { r.Data = rest.DataRaw }), route("key", "/k", withAuth(rest.AuthKey)),
	}, rest.AccessConfig{Name: "a", Key: "k", Routes: []string{"key"}}))
	const isJSON, isText = "Content-Type: application/json; charset=utf-8", "Content-Type: text/plain"
	f := func(status int, line, body string, headers ...string) {
		t.Helper()
		_, fault := accept(t, d, line, body, headers...)
		switch {
		case fault == nil && status != 0, fault != nil && fault.Status != status:
			t.Errorf("%s %q %q: %v, want %d", line, body, headers, fault, status)
		}
	}
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	f(0, "POST /h", "anything", isText)
	f(0, "POST /h", "\xff\x00")
	f(0, "POST /h", "", isJSON)
	f(0, "POST /h", "[1]", isJSON)
	f(0, "POST /h", deep(128), isJSON)
	f(400, "POST /h", deep(129), isJSON)
	f(400, "POST /h", "{", isJSON)
	f(400, "POST /h", "{} {}", isJSON)
	f(400, "POST /h", "\ufeff{}", "Content-Type: application/problem+JSON")
	f(400, "POST /h", "\"\xff\"", isJSON)
	f(0, "POST /m", "")
	f(0, "POST /m", `{"a":1}`, isText)
	f(400, "POST /m", "[]", isJSON)
	f(400, "POST /m", "a=b", "Content-Type: application/x-www-form-urlencoded")
	f(400, "POST /b", "1")
	f(0, "POST /b", "")
	f(0, "POST /r", "a=b")
	f(400, "POST /r", "{", isJSON)
	f(415, "POST /h", "x", "Content-Encoding: gzip")
	f(415, "POST /h", "x", "Content-Encoding: identity", "Content-Encoding: identity, br")
	f(0, "POST /h", "x", "Content-Encoding: Identity")
	// The order: key, encoding, body.
	f(401, "POST /k", "{", isJSON, "Content-Encoding: gzip")
	f(415, "POST /k", "{", isJSON, "Content-Encoding: gzip", "X-Api-Key: k")
	f(400, "POST /k", "{", isJSON, "X-Api-Key: k")
	if _, fault := accept(t, d, "POST /k", "{", isJSON, "X-Api-Key: k"); fault.Login != "access/a" {
		t.Errorf("%+v", fault)
	}
}

// preferring is a dialect with a route for each default.
func preferring(t *testing.T) *rest.Dialect {
	t.Helper()
	return newDialect(t, config([]rest.RouteConfig{
		route("held", "/held"), route("never", "/never", func(r *rest.RouteConfig) { r.Wait.Default = 0 }),
		route("hal", "/hal", func(r *rest.RouteConfig) { r.View = rest.ViewHAL }),
		route("plain", "/plain", func(r *rest.RouteConfig) { r.View = rest.ViewPlain }),
		route("sent", "/sent", func(r *rest.RouteConfig) { r.AtWaitEnd = rest.EndRedirect }),
	}))
}

func TestPreferences(t *testing.T) {
	d := preferring(t)
	f := func(mode dialect.Mode, wait time.Duration, applied, path string, headers ...string) {
		t.Helper()
		c := must(t, d, "POST "+path, "", headers...)
		dst := answer(d, c, open(dialect.ErrHandedOver, taskID(t)))
		if got := string(dst.Header.Peek("Preference-Applied")); c.Options.Mode != mode || c.Wait != wait || got != applied {
			t.Errorf("%s %q: %v, %v, %q", path, headers, c.Options.Mode, c.Wait, got)
		}
		wantHeaders(t, dst, "Vary: Prefer, Accept")
	}
	const s = time.Second
	f(dialect.Hold, 20*s, "", "/held")
	f(dialect.Hold, 5*s, "wait=5", "/held", "Prefer: wait=5")
	f(dialect.Hold, 120*s, "wait=120", "/held", "Prefer: wait=9999")
	f(dialect.Hold, 20*s, "", "/held", "Prefer: wait=x, wait=5, y")
	f(dialect.Hold, 5*s, "wait=5", "/held", "Prefer: wait=5, wait=7", "Prefer: wait=8")
	f(dialect.HandOver, 120*s, "wait=0", "/held", "Prefer: wait=0")
	f(dialect.HandOver, 120*s, "respond-async", "/held", "Prefer: respond-async")
	f(dialect.HandOver, 120*s, "respond-async, wait=0", "/held", "Prefer: wait=0, respond-async")
	f(dialect.Hold, 5*s, "respond-async, wait=5", "/held", "Prefer: wait=5", "Prefer: respond-async")
	f(dialect.Hold, 5*s, "redirect, wait=5", "/held", `Prefer: redirect, wait="5"`)
	f(dialect.Hold, 20*s, "redirect", "/held", "Prefer: redirect")
	f(dialect.HandOver, 120*s, "", "/never")
	f(dialect.Hold, 5*s, "wait=5", "/never", "Prefer: wait=5")
	f(dialect.HandOver, 120*s, "", "/never", "Prefer: redirect")
	f(dialect.Stream, 120*s, "", "/held", "Accept: text/event-stream")
	f(dialect.Stream, 120*s, "", "/never", "Accept: text/event-stream", "Prefer: respond-async, wait=0")
	f(dialect.Stream, 7*s, "wait=7", "/held", "Accept: text/event-stream", "Prefer: redirect, wait=7")
	f(dialect.Hold, 20*s, "", "/held", "Accept: application/json, text/event-stream")
	f(dialect.Hold, 20*s, "", "/held", "Accept: image/png")
}

func TestEndsOfWaits(t *testing.T) {
	d := preferring(t)
	end := func(status int, path string, headers ...string) {
		t.Helper()
		dst := answer(d, must(t, d, "POST "+path, "", headers...), open(errDeadline, taskID(t)))
		if dst.StatusCode() != status {
			t.Errorf("%s %q: %d", path, headers, dst.StatusCode())
		}
	}
	end(202, "/held")
	end(303, "/held", "Prefer: redirect")
	end(303, "/sent", "Prefer: wait=5")
	end(202, "/sent", "Prefer: respond-async, wait=5")

	kind := func(want, path string, headers ...string) {
		t.Helper()
		dst := answer(d, must(t, d, "POST "+path, "", headers...), open(dialect.ErrHandedOver, taskID(t)))
		if got := string(dst.Header.ContentType()); got != want {
			t.Errorf("%s %q: %s", path, headers, got)
		}
	}
	kind("application/json", "/held")
	kind("application/hal+json", "/held", "Accept: application/hal+json, */*")
	kind("application/json", "/plain", "Accept: application/hal+json")
	kind("application/hal+json", "/hal")
	kind("application/hal+json", "/hal", "Accept: application/problem+json")
	if _, fault := accept(t, d, "POST /hal", "", "Accept: text/html"); fault == nil || fault.Status != 406 {
		t.Error(fault)
	}
}

func TestFingerprint(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{
		route("a", "/a", withMethods("POST", "PUT")), route("s", "/s", withAuth(rest.AuthCorezoid), ofCorezoid),
	}))
	of := func(line, body string) [32]byte { return *must(t, d, line, body, "Idempotency-Key: k").Fingerprint }
	one := of("POST /a?x", "{}")
	if one == ([32]byte{}) || one != of("POST /a?x", "{}") || must(t, d, "POST /a", "").Fingerprint != nil {
		t.Error("not the same for the same")
	}
	for _, other := range [][2]string{{"PUT /a?x", "{}"}, {"POST /a?y", "{}"}, {"POST /a", "{}"}, {"POST /a?x", "{} "}, {"POST /a?x{}", ""}, {"POST /%61?x", "{}"}} {
		if of(other[0], other[1]) == one {
			t.Errorf("%q is the same", other)
		}
	}
	if of("POST /s/1/2/good", "{}") != of("POST /s/1/3/good", "{}") {
		t.Error("the signature counts")
	}
}
