package gateway_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"

	"syncgate/gateway"
)

// What the head of an engine's answer says to the client: when to try again, and how to authenticate; nothing else.
func TestHeadOfTheEnginesAnswer(t *testing.T) {
	const refused = `{"request_proc":"limit","ops":[]}`
	const date = "Sun, 06 Nov 1994 08:49:37 GMT"
	e := newEngine(t)
	n := start(t, e.URL)
	f := func(op string, status int, body string, head map[string][]string, wantStatus int, retryAfter string, authenticate ...string) {
		t.Helper()
		r := n.answered(t, e, op, status, body, head)
		if r.status != wantStatus || wantStatus == status && r.body != body {
			t.Errorf("%d %s got %d %s", status, body, r.status, r.body)
		}
		for name, want := range map[string][]string{"Retry-After": {retryAfter}, "Www-Authenticate": authenticate} {
			if want = slices.DeleteFunc(want, func(s string) bool { return s == "" }); !slices.Equal(r.header.Values(name), want) {
				t.Errorf("%d %s with %v: %s %q, want %q", status, body, head, name, r.header.Values(name), want)
			}
		}
	}
	after := func(value ...string) map[string][]string { return map[string][]string{"Retry-After": value} }
	op := oneOp(`{}`)
	f(op, 429, refused, after("7"), 429, "7")
	f(op, 429, refused, after(date), 429, date)
	f(op, 400, `{"error":"x"}`, after("0"), 400, "0")
	f(op, 200, refused, after("60"), 200, "60")
	f(op, 429, refused, nil, 429, "")
	for _, none := range []string{"", "soon", "-1", "1.5", "+1", "99999999999999", "1;x"} {
		f(op, 429, refused, after(none), 429, "")
	}
	basic, digest := `Basic realm="engine, one"`, `Digest realm="engine", nonce="x"`
	f(op, 401, refused, map[string][]string{"WWW-Authenticate": {basic}}, 401, "", basic)
	f(op, 401, refused, map[string][]string{"WWW-Authenticate": {basic, digest}, "Retry-After": {"1"}}, 401, "1", basic, digest)
	f(op, 401, refused, nil, 401, "")

	// A 5xx is a 502, which says when to try again; what is no answer of the protocol says nothing.
	f(op, 503, "<html>", after("30"), 502, "30")
	f(op, 500, refused, after(date), 502, date)
	f(op, 503, refused, map[string][]string{"WWW-Authenticate": {basic}}, 502, "")
	f(op, 302, "", after("30"), 502, "")
	f(op, 404, "<html>", after("30"), 502, "")
	f(op, 200, "<html>", after("30"), 502, "")

	// The answer to one op is not that to the package.
	modify := `{"timeout":5,"ops":[{"type":"modify","obj":"task","ref":"r","data":{}}]}`
	reply := n.createLater(modify)
	e.next(t).say <- func(w http.ResponseWriter) {
		w.Header().Set("Retry-After", "9")
		_, _ = w.Write([]byte(`{"request_proc":"ok","ops":[{"proc":"error"}]}`))
	}
	r := got(t, reply)
	want(t, r, 200, `{"request_proc":"ok","ops":[{"proc":"error","ref":"r"}]}`)
	if r.header.Get("Retry-After") != "" {
		t.Error("an op's answer has the Retry-After of its package")
	}
}

// answered has the engine answer a create with that head, and with some that is not for the client.
func (n *node) answered(t *testing.T, e *engine, op string, status int, body string, head map[string][]string) answer {
	t.Helper()
	reply := n.createLater(op)
	e.next(t).say <- func(w http.ResponseWriter) {
		w.Header()["Content-Type"] = []string{"application/json"}
		w.Header()["Set-Cookie"], w.Header()["Location"], w.Header()["X-Engine"] = []string{"a=b"}, []string{"/evil"}, []string{"1"}
		maps.Copy(w.Header(), head)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
	r := got(t, reply)
	if r.header.Get("Set-Cookie") != "" || r.header.Get("X-Engine") != "" {
		t.Errorf("the client got the engine's %v", r.header)
	}
	if location := r.header.Get("Location"); (location != "") != (r.status == 502) || location == "/evil" {
		t.Errorf("%d has Location %q", r.status, location)
	}
	return r
}

// An op of the engine's own answer has the client's id and ref, whichever path it takes to the reply: at once, beside ops that wait, after the
// time-out, from the record.
func TestAnEnginesErrorNamesItsOp(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Results.Retention = gateway.Default().Results.Retention })
	ops := func(timeout string, second string) string {
		return `{"timeout":` + timeout + `,"ops":[{"id":"a","ref":1.0,"type":"create","obj":"task","data":{}},` + second + `]}`
	}
	const says = `{"request_proc":"ok","ops":[{"proc":"error","description":"no"},%s]}`
	const first = `{"proc":"error","description":"no","id":"a","ref":1.0}`
	f := func(reply <-chan answer, status int, second string) answer {
		t.Helper()
		r := got(t, reply)
		want(t, r, status, `{"request_proc":"ok","ops":[`+first+`,`+second+`]}`)
		return r
	}
	const create = `{"id":2,"ref":null,"type":"create","obj":"task","data":{}}`
	reply := n.createLater(ops("5", create))
	e.next(t).answer(200, fmt.Sprintf(says, `{"proc":"error","ref":""}`))
	f(reply, 200, `{"proc":"error","ref":null,"id":2}`)

	reply = n.createLater(ops("5", create))
	a := e.next(t)
	a.answer(200, fmt.Sprintf(says, `{"proc":"ok"}`))
	n.callback(a.tokens[1], `{}`)
	f(reply, 200, `{"proc":"ok","id":2,"ref":null,"data":{}}`)

	reply = n.createLater(ops("0.3", create))
	a = e.next(t)
	a.answer(200, fmt.Sprintf(says, `{"proc":"ok"}`))
	r := f(reply, 200, `{"proc":"error","id":2,"ref":null,"description":"Timeout for create task"}`)
	n.callback(a.tokens[1], `{}`)
	want(t, n.do(http.MethodGet, r.header.Get("Location"), ""), 200, `{"request_proc":"ok","ops":[`+first+`,{"proc":"ok","id":2,"ref":null,"data":{}}]}`)

	reply = n.createLater(ops("5", `{"id":"x","ref":"y","type":"delete","obj":"conv"}`))
	e.next(t).answer(200, `{"request_proc":"ok","ops":[{"proc":"error","description":"no"}]}`)
	f(reply, 200, `{"proc":"error","id":"x","ref":"y","description":"Operation is not allowed: delete conv"}`)
}
