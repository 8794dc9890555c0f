package rest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/rest"
	"syncgate/internal/httpfield"
)

// taskCall reads a request about a task.
func taskCall(t testing.TB, d *rest.Dialect, line, body string, headers ...string) (dialect.TaskCall, *dialect.Fault) {
	t.Helper()
	req := request(line, body, headers...)
	r, ok := d.Route(httpfield.RawPath(req.Header.RequestURI()))
	if !ok || r.Kind != dialect.Task {
		t.Fatalf("%s is no task: %+v", line, r)
	}
	c, err := d.Task(req, r, now)
	if err != nil {
		f, ok := err.(*dialect.Fault) //nolint:errorlint // the contract
		if !ok {
			t.Fatal(err)
		}
		return c, f
	}
	return c, nil
}

// may gives the status that a caller hears of a task: 0 where it may read it.
func may(t testing.TB, d *rest.Dialect, login string, guarded bool, line string, headers ...string) int {
	t.Helper()
	c, f := taskCall(t, d, line, "", headers...)
	if f != nil {
		return f.Status
	}
	if c.MayRead == nil {
		return 0
	}
	if err := c.MayRead(login, guarded); err != nil {
		return err.(*dialect.Fault).Status //nolint:errorlint // the contract
	}
	return 0
}

func TestReaders(t *testing.T) {
	d := shop(t)
	f := func(want int, login string, guarded bool, line string, headers ...string) {
		t.Helper()
		if got := may(t, d, login, guarded, line, headers...); got != want {
			t.Errorf("%s %q of %s, %v: %d, want %d", line, headers, login, guarded, got, want)
		}
	}
	const one, three, four = "X-Api-Key: one", "X-Api-Key: three", "X-Api-Key: four"
	f(0, "route/open", false, "GET /tasks/x")
	f(0, "12345", false, "GET /tasks/x") // of Corezoid's dialect
	f(0, "route/open", false, "GET /tasks/x", one)
	f(0, "route/open", false, "GET /tasks/x", "Authorization: Bearer nobody's")
	f(401, "access/web", true, "GET /tasks/x")
	f(401, "access/web", true, "GET /tasks/x", "Authorization: Bearer nobody's")
	f(0, "access/web", true, "GET /tasks/x", one)
	f(0, "access/web", true, "DELETE /tasks/x", "X-Api-Key: two")
	f(404, "access/web", true, "GET /tasks/x/status", three)
	f(0, "access/both", true, "GET /tasks/x/result", basic("Ж:p:w"))
	f(0, "access/page", true, "GET /tasks/x", four, "Origin: https://shop.example")
	f(403, "access/page", true, "GET /tasks/x", four)
	f(403, "access/page", true, "GET /tasks/x", four, "Origin: https://evil.example")
	f(0, "777", true, "GET /tasks/x/777/1/good")
	f(0, "777", true, "GET /tasks/x/status/777/1/good")
	f(404, "778", true, "GET /tasks/x/777/1/good")
	f(401, "777", true, "GET /tasks/x/777/1/bad")
}

func TestTokenOfEvents(t *testing.T) {
	d := shop(t)
	id, other := taskID(t), taskID(t)
	stream := members(t, answer(d, must(t, d, "POST /open", ""), open(dialect.ErrHandedOver, id)).Body())["stream"].(string)
	if got := may(t, d, "access/web", true, "GET "+stream); got != 0 {
		t.Errorf("its own events: %d", got)
	}
	for origin, want := range map[string]int{"https://shop.example": 0, "https://evil.example": 403} {
		if got := may(t, d, "access/page", true, "GET "+stream, "Origin: "+origin); got != want {
			t.Errorf("its own events, for a page of %s: %d", origin, got)
		}
	}
	if got := may(t, d, "access/page", true, "GET "+stream, "Origin: https://shop.example", "Origin: https://evil.example"); got != 403 {
		t.Errorf("its own events, with two origins: %d", got)
	}
	if got := may(t, d, "access/web", true, "GET "+stream, "Origin: https://any.example"); got != 0 {
		t.Errorf("events of a key without origins, for a page: %d", got)
	}
	_, token, _ := strings.Cut(stream, "?")
	for _, line := range []string{"/tasks/" + other + "/events?" + token, stream + "x", stream[:len(stream)-1], "/tasks/x/events?" + token} {
		if got := may(t, d, "access/web", true, "GET "+line); got != 404 {
			t.Errorf("%s: %d", line, got)
		}
	}
	for _, line := range []string{"/tasks/" + id + "?" + token, "/tasks/" + id + "/result?" + token, "/tasks/" + id + "/events"} {
		if got := may(t, d, "access/web", true, "GET "+line); got != 401 {
			t.Errorf("%s: %d", line, got)
		}
	}
}

func TestWishes(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{route("one", "/one")}))
	f := func(do dialect.TaskVerb, wait time.Duration, applied, line string, headers ...string) dialect.TaskCall {
		t.Helper()
		c, fault := taskCall(t, d, line, "", headers...)
		if fault != nil || string(c.Task) != "x" || c.Do != do || c.Wait != wait || c.Applied != applied {
			t.Errorf("%s %q: %+v, %v", line, headers, c, fault)
		}
		return c
	}
	const s = time.Second
	f(dialect.Read, 0, "", "GET /tasks/x")
	f(dialect.Read, 5*s, "wait=5", "GET /tasks/x", "Prefer: wait=5, respond-async")
	f(dialect.Read, 300*s, "wait=300", "GET /tasks/x/status", "Prefer: wait=999")
	f(dialect.Read, 5*s, "redirect, wait=5", "GET /tasks/x", "Prefer: wait=5, redirect")
	f(dialect.Read, 0, "", "GET /tasks/x", "Prefer: redirect")
	if c := f(dialect.Read, 7*s, "", "GET /tasks/x?hop=2&wait=7"); c.Hop != 2 {
		t.Error(c.Hop)
	}
	f(dialect.Read, 5*s, "wait=5", "GET /tasks/x?hop=2&wait=7", "Prefer: wait=5")
	f(dialect.Read, 300*s, "", "GET /tasks/x?hop=2&wait=99999999999999999999")
	f(dialect.Read, 300*s, "", "GET /tasks/x?hop=2&wait=9999999999")
	f(dialect.Read, 0, "", "GET /tasks/x?hop=-1&wait=7")
	if c := f(dialect.Follow, 300*s, "", "GET /tasks/x/events"); c.After != 0 {
		t.Error(c.After)
	}
	if c := f(dialect.Follow, 5*s, "wait=5", "GET /tasks/x", "Accept: text/event-stream", "Prefer: wait=5", "Last-Event-ID: 17"); c.After != 17 {
		t.Error(c.After)
	}
	if c := f(dialect.Follow, 300*s, "", "GET /tasks/x/events?lastEventId=18"); c.After != 18 {
		t.Error(c.After)
	}
	if c := f(dialect.Follow, 300*s, "", "GET /tasks/x/events", "Last-Event-ID: nonsense"); c.After != 0 {
		t.Error(c.After)
	}
	f(dialect.CancelTask, 0, "", "DELETE /tasks/x", "Prefer: wait=5", "Accept: text/event-stream")
}

func TestPutStatus(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{route("one", "/one")}))
	f := func(status int, body string) {
		t.Helper()
		c, fault := taskCall(t, d, "PUT /tasks/x", body)
		switch {
		case status == 0 && (fault != nil || c.Do != dialect.CancelTask), status != 0 && (fault == nil || fault.Status != status):
			t.Errorf("%s: %+v, %v", body, c, fault)
		}
	}
	f(0, `{"status":"cancelled"}`)
	f(0, ` {"id":1,"status":"cancell\u0065d"}`)
	f(422, `{"status":"running"}`)
	f(422, `{"status":""}`)
	f(400, ``)
	f(400, `{}`)
	f(400, `{"status":1}`)
	f(400, `{"status":null}`)
	f(400, `[]`)
	f(400, `{"status":"cancelled"`)
	_, fault := taskCall(t, d, "PUT /tasks/x", `{"status":"x"}`)
	dst := new(fasthttp.Response)
	d.Refuse(dst, fault, "rq1")
	if p := isProblem(t, dst, 422, "unknown-status"); p["errors"].([]any)[0].(map[string]any)["pointer"] != "/status" {
		t.Error(p)
	}
}

// view words a task, made by a call, as a request asks for it.
func view(t testing.TB, d *rest.Dialect, made *dialect.Call, r *dialect.Reply, line string, headers ...string) *fasthttp.Response {
	t.Helper()
	body := ""
	if strings.HasPrefix(line, "PUT") {
		body = `{"status":"cancelled"}`
	}
	c, fault := taskCall(t, d, line, body, headers...)
	if fault != nil {
		t.Fatal(fault)
	}
	if made != nil {
		c.State = made.Options.State
	}
	dst := new(fasthttp.Response)
	d.View(dst, &c, r, func(dst *fasthttp.Response) {
		if made != nil {
			d.Answer(dst, made, r)
			return
		}
		dst.SetStatusCode(202)
		if r.Open == nil {
			dst.SetStatusCode(200)
		}
		dst.Header.SetContentType("application/json")
		dst.Header.Set("Location", "/api/1/tasks/x")
		dst.SetBodyString(`{"request_proc":"ok","ops":[]}`)
	})
	wantHeaders(t, dst, "Vary: Prefer, Accept", "Preference-Applied:")
	return dst
}

func TestPlainView(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{route("a", "/a")}))
	made := must(t, d, "POST /a", "", "Prefer: wait=5")
	id := taskID(t)
	for _, line := range []string{"GET /tasks/x", "HEAD /tasks/x", "GET /tasks/x/result", "GET /tasks/x?hop=9&wait=5", "GET /tasks/x?hop=1"} {
		dst := view(t, d, made, open(dialect.ErrPending, id), line)
		if m := members(t, dst.Body()); dst.StatusCode() != 202 || m["id"] != id || m["status"] != "running" {
			t.Errorf("%s: %s", line, dst)
		}
		wantHeaders(t, dst, "Location: /tasks/"+id, "Operation-Location: /tasks/"+id+"/status", "Retry-After: 2", "Content-Type: application/json")
	}
	for _, line := range []string{"GET /tasks/x", "GET /tasks/x/result", "GET /tasks/x?hop=3&wait=5"} {
		r := final(correlator.Complete, "done", head("text/plain", "CZ-AG-Status-Code: 201", "Content-Language: de"))
		r.Task = id
		dst := view(t, d, made, r, line)
		if dst.StatusCode() != 201 || string(dst.Body()) != "done" {
			t.Errorf("%s: %s", line, dst)
		}
		wantHeaders(t, dst, "Location:", "Content-Language: de", "Content-Type: text/plain")
		isProblem(t, view(t, d, made, final(correlator.Cancelled, "", nil), line), 409, "cancelled")
		isProblem(t, view(t, d, made, final(correlator.Failed, "", nil), line), 502, "bad-gateway")
	}
	dst := view(t, d, nil, open(dialect.ErrPending, id), "GET /tasks/x") // Corezoid's
	if dst.StatusCode() != 202 || members(t, dst.Body())["status"] != "running" {
		t.Errorf("%s", dst)
	}
	if dst := view(t, d, nil, final(correlator.Complete, "{}", nil), "GET /tasks/x"); string(dst.Body()) != `{"request_proc":"ok","ops":[]}` {
		t.Errorf("%s", dst)
	}
}

func TestHops(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{route("a", "/a")}))
	made, id := must(t, d, "POST /a", ""), taskID(t)
	f := func(status int, location, line string, headers ...string) {
		t.Helper()
		dst := view(t, d, made, open(dialect.ErrPending, id), line, headers...)
		if dst.StatusCode() != status {
			t.Errorf("%s: %d", line, dst.StatusCode())
		}
		wantHeaders(t, dst, "Location: /tasks/"+id+location)
	}
	f(303, "?hop=2&wait=7", "GET /tasks/x?hop=1&wait=7")
	f(303, "?hop=9&wait=7", "GET /tasks/x?hop=8&wait=7")
	f(202, "", "GET /tasks/x?hop=9&wait=7")
	f(202, "", "GET /tasks/x?hop=99&wait=7")
	f(303, "?hop=1&wait=4", "GET /tasks/x", "Prefer: redirect, wait=4")
	f(202, "", "GET /tasks/x", "Prefer: wait=4")
	f(202, "", "GET /tasks/x/result", "Prefer: redirect, wait=4")
}

func TestStatusMonitor(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{route("a", "/a")}))
	made, id := must(t, d, "POST /a", ""), taskID(t)
	f := func(r *dialect.Reply, made *dialect.Call, status string, headers ...string) map[string]any {
		t.Helper()
		r.Task, r.Accepted = id, now
		dst := view(t, d, made, r, "GET /tasks/x/status", "Accept: application/hal+json")
		m := members(t, dst.Body())
		if dst.StatusCode() != 200 || m["id"] != id || m["status"] != status || m["createdDateTime"] != "2026-11-29T07:00:00.000Z" || m["lastActionDateTime"] == nil {
			t.Errorf("%s", dst)
		}
		wantHeaders(t, dst, append(headers, "Content-Type: application/json", "Location:")...)
		return m
	}
	r := open(dialect.ErrPending, "")
	r.Merged = [][]byte{[]byte(`{"percentComplete":40.5}`)}
	if m := f(r, made, "Running", "Retry-After: 2"); m["percentComplete"] != 40.5 {
		t.Error(m)
	}
	for _, odd := range []string{`{"percent":101}`, `{"percent":"40"}`, `{}`} {
		r.Merged[0] = []byte(odd)
		if m := f(r, made, "Running"); m["percentComplete"] != nil {
			t.Error(m)
		}
	}
	if m := f(final(correlator.Complete, `{"a":1}`, nil), made, "Succeeded"); m["result"].(map[string]any)["a"] != 1.0 {
		t.Error(m)
	}
	if m := f(final(correlator.Complete, `{"a":1}`, head("text/plain")), made, "Succeeded"); m["result"] != nil {
		t.Error(m)
	}
	if m := f(final(correlator.Complete, `{}`, nil), nil, "Succeeded"); m["result"].(map[string]any)["request_proc"] != "ok" { // Corezoid's
		t.Error(m)
	}
	if m := f(final(correlator.Errored, `{"message":"broken","code":"E7"}`, nil), made, "Failed"); m["error"].(map[string]any)["code"] != "E7" || m["error"].(map[string]any)["message"] != "broken" {
		t.Error(m)
	}
	if m := f(final(correlator.Failed, "", nil), made, "Failed"); m["error"].(map[string]any)["message"] == "" {
		t.Error(m)
	}
	f(final(correlator.Answered, `{"proc":"error","description":"no"}`, nil), made, "Failed")
	f(final(correlator.Complete, `{}`, head("application/json", "CZ-AG-Status-Code: 99")), made, "Failed")
	if m := f(final(correlator.Cancelled, "", nil), made, "Canceled"); m["error"].(map[string]any)["code"] != "cancelled" {
		t.Error(m)
	}
}

func TestHALView(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{
		route("auto", "/auto"), route("hal", "/hal", func(r *rest.RouteConfig) { r.View = rest.ViewHAL }),
		route("status", "/status", func(r *rest.RouteConfig) { r.View, r.HAL.Failed = rest.ViewHAL, rest.FailedStatus }),
		route("plain", "/plain", func(r *rest.RouteConfig) { r.View = rest.ViewPlain }),
	}))
	id := taskID(t)
	const wants = "Accept: application/hal+json"
	auto, hal, status := must(t, d, "POST /auto", ""), must(t, d, "POST /hal", ""), must(t, d, "POST /status", "")
	for _, c := range []struct {
		made   *dialect.Call
		accept string
	}{{auto, wants}, {hal, "Accept: */*"}, {hal, wants}, {nil, wants}} {
		dst := view(t, d, c.made, open(dialect.ErrPending, id), "GET /tasks/x", c.accept)
		m := members(t, dst.Body())
		if dst.StatusCode() != 200 || m["retryAfter"] != 2.0 || m["message"] == nil || m["_links"].(map[string]any)["self"].(map[string]any)["href"] != "/tasks/"+id {
			t.Errorf("%s", dst)
		}
		wantHeaders(t, dst, "Content-Type: application/hal+json", "Retry-After: 2")
		r := final(correlator.Complete, "{}", nil)
		r.Task = id
		dst = view(t, d, c.made, r, "GET /tasks/x", c.accept)
		m = members(t, dst.Body())
		if dst.StatusCode() != 303 || m["_links"].(map[string]any)["result"].(map[string]any)["href"] != "/tasks/"+id+"/result" {
			t.Errorf("%s", dst)
		}
		wantHeaders(t, dst, "Content-Type: application/hal+json", "Location: /tasks/"+id+"/result")
	}
	dst := view(t, d, hal, final(correlator.Complete, "x", head("text/plain")), "GET /tasks/x/result", wants)
	if dst.StatusCode() != 200 || string(dst.Body()) != "x" {
		t.Errorf("%s", dst)
	}
	for made, want := range map[*dialect.Call]int{hal: 200, status: 409} {
		dst := view(t, d, made, final(correlator.Cancelled, "", nil), "GET /tasks/x")
		if p := members(t, dst.Body()); dst.StatusCode() != want || p["status"] != 409.0 || p["type"] != "/errors/cancelled" || string(dst.Header.ContentType()) != "application/problem+json" {
			t.Errorf("%s", dst)
		}
	}
	dst = view(t, d, status, final(correlator.Errored, `{"message":"broken"}`, nil), "GET /tasks/x")
	if p := isProblem(t, dst, 502, "engine-error"); p["detail"] != "broken" {
		t.Error(p)
	}
	if dst := view(t, d, must(t, d, "POST /plain", ""), open(dialect.ErrPending, id), "GET /tasks/x", wants); dst.StatusCode() != 202 {
		t.Errorf("%s", dst)
	}
}

func TestCancelView(t *testing.T) {
	d := newDialect(t, config([]rest.RouteConfig{route("a", "/a"), route("hal", "/hal", func(r *rest.RouteConfig) { r.View = rest.ViewHAL })}))
	id := taskID(t)
	for kind, made := range map[string]*dialect.Call{"application/json": must(t, d, "POST /a", ""), "application/hal+json": must(t, d, "POST /hal", "")} {
		for _, line := range []string{"DELETE /tasks/x", "PUT /tasks/x"} {
			r := final(correlator.Cancelled, "", nil)
			r.Task = id
			dst := view(t, d, made, r, line)
			if dst.StatusCode() != 202 || len(members(t, dst.Body())) < 2 {
				t.Errorf("%s: %s", line, dst)
			}
			wantHeaders(t, dst, "Content-Type: "+kind, "Location: /tasks/"+id)
			dst = new(fasthttp.Response)
			d.View(dst, &dialect.TaskCall{Do: dialect.CancelTask, Ended: true, State: made.Options.State}, r, func(*fasthttp.Response) {})
			isProblem(t, dst, 409, "task-over")
		}
	}
}
