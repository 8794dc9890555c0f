package rest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/rest"
)

var errDeadline = fmt.Errorf("wrapped: %w", correlator.ErrDeadline) // a constant

func TestResults(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{route("a", "/a", func(r *rest.RouteConfig) { r.Respond.Headers = append(r.Respond.Headers, "X-Show", "Location") })}))
	c := must(t, d, "POST /a", "")
	dst := answer(d, c, final(correlator.Complete, ` {"a" : 1e400} `, nil))
	if dst.StatusCode() != 200 || string(dst.Body()) != ` {"a" : 1e400} ` {
		t.Errorf("%s", dst)
	}
	wantHeaders(t, dst, "Content-Type: application/json", "Location:", "Vary: Prefer, Accept")
	r := final(correlator.Complete, "\xff\x00png", head("image/png", "Content-Type: image/png", "Content-Language: de", "X-Show: 1", "X-Hide: 1", "Connection: close", "CZ-AG-Status-Code: 201"))
	r.Task = taskID(t)
	dst = answer(d, c, r)
	if dst.StatusCode() != 201 || string(dst.Body()) != "\xff\x00png" {
		t.Errorf("%s", dst)
	}
	wantHeaders(t, dst, "Content-Type: image/png", "Content-Language: de", "X-Show: 1", "X-Hide:", "Cz-Ag-Status-Code:", "Location: /tasks/"+r.Task)
	dst = answer(d, c, final(correlator.Complete, "x", head("")))
	wantHeaders(t, dst, "Content-Type:")
	dst = answer(d, c, final(correlator.Complete, "dropped", head("text/plain", "cz-ag-status-code: 204")))
	if dst.StatusCode() != 204 || len(dst.Body()) != 0 {
		t.Errorf("%s", dst)
	}
	for _, good := range []string{"200", "404", "599"} {
		if dst := answer(d, c, final(correlator.Complete, "x", head("text/plain", "CZ-AG-Status-Code: "+good))); fmt.Sprint(dst.StatusCode()) != good {
			t.Errorf("%s: %d", good, dst.StatusCode())
		}
	}
	for _, bad := range []string{"", "100", "199", "600", "0200", "abc", "-200", "2e2", "+99"} {
		isProblem(t, answer(d, c, final(correlator.Complete, "x", head("text/plain", "CZ-AG-Status-Code: "+bad))), 502, "bad-gateway")
	}
}

func TestFailures(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{route("a", "/a")}))
	c := must(t, d, "POST /a", "")
	for _, said := range []struct{ body, kind string }{
		{`{"message":"no"}`, "application/json"}, {`{"type":"x"}`, "application/problem+json"},
	} {
		for _, status := range []correlator.Status{correlator.Errored, correlator.Answered} {
			dst := answer(d, c, final(status, said.body, head(said.kind)))
			if dst.StatusCode() != 502 || string(dst.Body()) != said.body || string(dst.Header.ContentType()) != said.kind {
				t.Errorf("%s", dst)
			}
		}
	}
	isProblem(t, answer(d, c, final(correlator.Errored, "", nil)), 502, "engine-error")
	isProblem(t, answer(d, c, final(correlator.Errored, "broken", head("text/plain"))), 502, "engine-error")
	isProblem(t, answer(d, c, final(correlator.Failed, "", nil)), 502, "bad-gateway")
	isProblem(t, answer(d, c, final(correlator.Cancelled, "", nil)), 409, "cancelled")
	if p := isProblem(t, answer(d, c, final(correlator.Cancelled, `{"message":"why"}`, nil)), 409, "cancelled"); p["detail"] != "why" {
		t.Error(p)
	}
	id := taskID(t)
	for why, want := range map[error]string{correlator.ErrDraining: "503 draining", dialect.ErrBadGateway: "502 bad-gateway", errors.New("other"): "502 bad-gateway"} {
		status, name, _ := strings.Cut(want, " ")
		dst := answer(d, c, open(why, id))
		isProblem(t, dst, map[string]int{"503": 503, "502": 502}[status], name)
		wantHeaders(t, dst, "Location: /tasks/"+id)
	}
	isProblem(t, answer(d, c, open(dialect.ErrBadGateway, "")), 502, "bad-gateway")
	isProblem(t, answer(d, c, open(dialect.ErrHandedOver, "")), 503, "unavailable") // nobody could ever read it
	isProblem(t, answer(d, c, open(errDeadline, "")), 504, "timeout")
}

func TestHandedOver(t *testing.T) {
	cfg := config([]rest.RouteConfig{
		route("a", "/a"), route("hal", "/hal", func(r *rest.RouteConfig) { r.View = rest.ViewHAL }),
		route("late", "/late", func(r *rest.RouteConfig) { r.AtWaitEnd = rest.EndTimeout }),
		route("sent", "/sent", func(r *rest.RouteConfig) { r.AtWaitEnd = rest.EndRedirect }),
	})
	id := taskID(t)
	for _, base := range []string{"", "https://api.example.com", "https://api.example.com/"} {
		cfg.PublicURL = base
		d, root := newDialect(t, cfg), strings.TrimSuffix(base, "/")
		r := open(dialect.ErrHandedOver, id)
		r.Merged = [][]byte{[]byte(`{"n":12345678901234567890}`)}
		dst := answer(d, must(t, d, "POST /a", ""), r)
		m := members(t, dst.Body())
		if dst.StatusCode() != 202 || m["id"] != id || m["status"] != "running" || !strings.HasPrefix(m["stream"].(string), root+"/tasks/"+id+"/events?t=") ||
			!strings.Contains(string(dst.Body()), `"progress":{"n":12345678901234567890}`) {
			t.Errorf("%s", dst.Body())
		}
		wantHeaders(t, dst, "Location: "+root+"/tasks/"+id, "Operation-Location: "+root+"/tasks/"+id+"/status", "Retry-After: 2", "Content-Type: application/json")
		dst = answer(d, must(t, d, "POST /hal", ""), open(dialect.ErrHandedOver, id))
		m = members(t, dst.Body())
		links := m["_links"].(map[string]any)
		if self := links["self"].(map[string]any)["href"]; dst.StatusCode() != 202 || self != "/tasks/"+id || m["retryAfter"] != 2.0 || m["message"] == "" ||
			!strings.HasPrefix(links["stream"].(map[string]any)["href"].(string), "/tasks/") {
			t.Errorf("%s", dst.Body())
		}
		wantHeaders(t, dst, "Location: "+root+"/tasks/"+id, "Retry-After: 2", "Content-Type: application/hal+json")
		dst = answer(d, must(t, d, "POST /late", ""), open(errDeadline, id))
		isProblem(t, dst, 504, "timeout")
		wantHeaders(t, dst, "Location: "+root+"/tasks/"+id)
		dst = answer(d, must(t, d, "POST /sent", "", "Prefer: wait=7"), open(errDeadline, id))
		if dst.StatusCode() != 303 {
			t.Error(dst.StatusCode())
		}
		wantHeaders(t, dst, "Location: "+root+"/tasks/"+id+"?hop=1&wait=7", "Operation-Location: "+root+"/tasks/"+id+"/status")
	}
}

// TestStateOutlivesItsRoute: what is recorded with a task is all that answering needs, on a node that knows no such route.
func TestStateOutlivesItsRoute(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{route("a", "/a", func(r *rest.RouteConfig) {
		r.AtWaitEnd, r.View, r.Respond = rest.EndRedirect, rest.ViewHAL, rest.Respond{StatusHeader: "X-Status", Headers: []string{"X-Show"}}
	})}))
	c := must(t, d, "POST /a", "", "Prefer: wait=3")
	recorded := &dialect.Call{Login: c.Login, Ops: c.Ops, Options: &dialect.Options{State: append([]byte(nil), c.Options.State...)}}
	other := newDialect(t, config(nil))
	for _, r := range []*dialect.Reply{
		open(dialect.ErrHandedOver, taskID(t)), open(errDeadline, taskID(t)), final(correlator.Complete, "x", head("text/plain", "X-Status: 201", "X-Show: 1", "Y: 1")),
	} {
		a, b := answer(d, c, r), answer(other, recorded, r)
		wantHeaders(t, a, "Preference-Applied: wait=3")
		a.Header.Del("Preference-Applied") // of the request alone
		if a.String() != b.String() {
			t.Errorf("%s\n%s", a, b)
		}
	}
	if dst := answer(other, &dialect.Call{Ops: c.Ops}, final(correlator.Complete, "x", nil)); dst.StatusCode() != 200 {
		t.Errorf("%s", dst)
	}
}

// TestConnectionHeadersStay: what is about the connection to the engine does not come to the client, whatever a record says.
func TestConnectionHeadersStay(t *testing.T) {
	d := newDialect(t, config(nil))
	c := &dialect.Call{Options: &dialect.Options{State: []byte(`{"h":["Connection","Content-Length","Transfer-Encoding","Date","X-A"]}`)}}
	dst := answer(d, c, final(correlator.Complete, "{}", head("application/json", "Connection: close", "Content-Length: 7", "Transfer-Encoding: chunked", "Date: never", "X-A: 1")))
	wantHeaders(t, dst, "X-A: 1", "Transfer-Encoding:", "Date:")
	if dst.ConnectionClose() || dst.Header.ContentLength() == 7 {
		t.Errorf("%s", dst)
	}
}

// TestCallerShares no memory: what a call says does not change with the next one.
func TestCallerShares(t *testing.T) {
	routes := []rest.RouteConfig{route("k", "/k", withAuth(rest.AuthKey), func(r *rest.RouteConfig) { r.Limits.Rate = 1 })}
	d := newDialect(t, config(routes, rest.AccessConfig{Name: "a", Key: "a", Routes: []string{"k"}, Rate: 1}, rest.AccessConfig{Name: "b", Key: "b", Routes: []string{"k"}, Rate: 2}))
	a := must(t, d, "POST /k", "", "X-Api-Key: a")
	b := must(t, d, "POST /k", "", "X-Api-Key: b")
	if a.Options.Quotas[1].Name != "access/a" || b.Options.Quotas[1].Name != "access/b" || a.Options.Quotas[0].Name != "route/k" {
		t.Errorf("%v %v", a.Options.Quotas, b.Options.Quotas)
	}
}
