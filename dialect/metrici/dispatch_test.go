package metrici_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/metrici"
	"syncgate/dialect/rest"
	"syncgate/internal/httpfield"
)

// resource asks a Dialect that is in no gateway. An error is given as its text.
func resource(t *testing.T, d *metrici.Dialect, target, body string) string {
	t.Helper()
	r, ok := d.Route(httpfield.RawPath([]byte(target)))
	if !ok || r.Kind != dialect.Report {
		t.Fatalf("%s has no route", target)
	}
	req, dst := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	req.Header.SetMethod("POST")
	req.SetRequestURI(target)
	req.Header.SetContentType("application/json")
	req.SetBodyString(body)
	_, err := d.Resource(context.Background(), dst, req, dialect.ResourceCall{Route: r, Now: time.Now()})
	switch {
	case errors.Is(err, correlator.ErrForged):
		return "not a genuine token"
	case err != nil:
		return err.Error()
	}
	return string(dst.Body())
}

const dispatch = "POST /callback/dispatch?token="

// Everybody who has a token reports by the dispatch endpoint, in any format of a callback.
func TestDispatch(t *testing.T) {
	s := newSite(t)
	n := s.nodes[0]
	for _, f := range []struct {
		query, body, header string
		result              string
	}{
		{"", `{"b":2}`, "", `{"a":1,"b":2}`},
		{"&status=complete", `{"b":2}`, "", `{"a":1,"b":2}`},
		{"", `b=2&b=3`, formType, `{"a":1,"b":["2","3"]}`},
		{"", `<x><b>2</b></x>`, "Content-Type: text/xml", `{"a":1,"root":{"b":"2"}}`},
		{"", ``, "", `{"a":1}`},
		{"", `[2]`, "", `[2]`},
	} {
		reply := n.post(`{"a":1}`)
		w := s.next(t)
		wantAnswer(t, n.do(dispatch+w.token+f.query, f.body, f.header), 200, `{}`)
		wantAnswer(t, soon(t, reply), 200, f.result)
		a := n.do(dispatch+w.token+f.query, f.body, f.header)
		wantAnswer(t, a, 200, `{}`)
		if a.header.Get("X-Callback-Status") != "complete" {
			t.Errorf("a repeat hears %v", a.header)
		}
		wantAnswer(t, n.do("GET /callback/dispatch?token="+w.token, ""), 200, is(w.token, "complete", f.result))
	}
	reply := n.post(`{"a":1}`)
	w := s.next(t)
	const corezoid = `{"ops":[{"ref":"r","type":"data","obj":"task","obj_id":"7","extra":{"b":2}}]}`
	wantAnswer(t, n.do(dispatch+w.token, corezoid), 200, `{"request_proc":"ok","ops":[{"ref":"r","obj_id":"7","proc":"ok","res_data":{}}]}`)
	wantAnswer(t, soon(t, reply), 200, `{"a":1,"b":2}`)

	reply = n.post(`{"a":1}`)
	w = s.next(t)
	for _, f := range [][3]string{{"&status=start", "", `{"a":1}`}, {"&status=progress", `{"p":1}`, `{"a":1,"p":1}`}, {"&status=complete&callback_status=progress", `{"p":2}`, `{"a":1,"p":2}`}} {
		wantAnswer(t, n.do(dispatch+w.token+f[0], f[1]), 200, `{}`)
		status := "progress"
		if f[1] == "" {
			status = "start"
		}
		wantAnswer(t, n.do("GET /callback/dispatch?token="+w.token, ""), 200, is(w.token, status, f[2]))
	}
	wantAnswer(t, n.do(dispatch+w.token+"&status=progress", `{"why":1}`, "X-Callback-Status: error"), 200, `{}`)
	wantAnswer(t, soon(t, reply), 502, `{"why":1}`)
}

// A plain token, of an engine of another kind, is as good there; it reads no result.
func TestDispatchOfPlainTokens(t *testing.T) {
	s := newSite(t)
	n := s.nodes[0]
	state := func(token string) string { return n.do("GET /callback/dispatch?token="+token, "").body }
	for _, mode := range []string{"X: y", "Prefer: respond-async"} {
		reply := make(chan answer, 1)
		go func() { reply <- n.do("POST /v1/jobs", `{"a":1}`, mode) }()
		w := s.next(t)
		if len(w.plain) != correlator.LongTokenLen {
			t.Fatalf("%q", w.plain)
		}
		eventually(t, "the engine has answered", func() bool { return mode == "X: y" || len(reply) > 0 })
		want(t, state(w.plain), `{"status":"open"}`)
		wantAnswer(t, n.do(dispatch+w.plain+"&status=progress", `{"b":1}`), 200, `{}`)
		if mode != "X: y" { // without a record nothing is kept of progress
			want(t, state(w.plain), `{"status":"progress"}`)
		}
		wantAnswer(t, n.do(dispatch+w.plain, `{"c":1}`), 200, `{}`)
		a := soon(t, reply)
		if mode == "X: y" {
			wantAnswer(t, a, 200, `{"c":1}`)
			wantAnswer(t, n.do("GET /callback/dispatch?token="+w.plain, ""), 410, "") // its client has everything: nothing is kept
		} else {
			wantAnswer(t, n.do("GET "+a.header.Get("Location"), ""), 200, `{"c":1}`)
			want(t, state(w.plain), `{"status":"complete"}`)
		}
		wantAnswer(t, n.do(dispatch+w.plain, `{"d":1}`), 200, `{}`)
	}
	// Of the default engine.
	token := string(s.keys.AppendToken(nil, correlator.Token{Trip: n.table.NewID(time.Now().Add(time.Hour))}))
	wantAnswer(t, n.do(dispatch+token, `{}`), 200, `{}`) // finished: in memory a trip that is not there is
	expired := string(s.keys.AppendToken(nil, correlator.Token{Trip: n.table.NewID(time.Now().Add(-time.Hour))}))
	wantAnswer(t, n.do(dispatch+expired, `{}`), 410, "")
}

// What cannot be dispatched is refused with the status that says why.
func TestDispatchesThatAreRefused(t *testing.T) {
	s := newSite(t, func(c *setup) { c.report.Signed = []string{"plain"} })
	n := s.nodes[0]
	reply := n.post(`{}`)
	w := s.next(t)
	text, _ := base64.StdEncoding.DecodeString(w.token)
	_, own, _ := strings.Cut(string(text), `"auth":"`)
	own = strings.TrimSuffix(own, `"}`)
	for _, f := range []struct {
		line, body, header string
		status             int
		says               string
	}{
		{dispatch + w.token + "&status=done", ``, "", 400, "status must be one of start, progress, complete, cancel, error"},
		{dispatch + w.token + "&status=timeout", ``, "", 400, "status must be one of"},
		{dispatch + w.token, ``, "X-Callback-Status: accept", 400, "its status is none of"},
		{dispatch + w.token, `{`, "", 400, "Incorrect callback: at byte"},
		{dispatch + w.token, `{}`, "Content-Encoding: gzip", 415, "Content-Encoding"},
		{"POST /callback/dispatch", ``, "", 400, "the query must have one token"},
		{dispatch + w.token + "&token=" + w.token, ``, "", 400, "the query must have one token"},
		{dispatch + own, `{}`, "", 404, "Not found"},
		{"POST /api/1/plugins/callback/" + own, `{}`, "", 404, "{}"},
		{"GET /callback/dispatch?token=" + own, ``, "", 404, "Not found"},
		{"GET /callback/dispatch?token=x", ``, "", 404, "Not found"},
		{"PUT /callback/dispatch?token=" + w.token, ``, "", 405, "Method not allowed"},
		{"HEAD /callback/dispatch?token=" + w.token, ``, "", 405, ""},
	} {
		a := n.do(f.line, f.body, f.header)
		if a.status != f.status || !strings.Contains(a.body, f.says) || strings.Contains(a.body, own) {
			t.Errorf("%s: %d %s\nwant %d %s", f.line, a.status, a.body, f.status, f.says)
		}
	}
	job := make(chan answer, 1)
	go func() { job <- n.do("POST /v1/jobs", `{}`) }()
	signed := s.next(t)
	a := n.do(dispatch+signed.plain, `{}`)
	if a.status != 403 || !strings.Contains(a.body, "signs its callbacks") {
		t.Errorf("%d %s", a.status, a.body)
	}
	wantAnswer(t, n.do("GET /callback/dispatch?token="+signed.plain, ``), 200, `{"status":"open"}`)
	wantAnswer(t, n.do("POST /api/1/plugins/callback/"+signed.plain, `{"x":1}`), 200, `{}`)
	wantAnswer(t, soon(t, job), 200, `{"x":1}`)
	want(t, n.query(w.token), is(w.token, "create", `{}`))
	want(t, n.report(w.token, "complete", ``), said(w.token, "complete", `{}`))
	soon(t, reply)
}

// A route says with which status it answers: by the task's state, else by the group of that.
func TestStates(t *testing.T) {
	states := map[string]int{"active": 202, "progress": 206, "error": 424, "cancel": 410, "complete": 201}
	s := newSite(t, func(c *setup) { c.route.States = states })
	n := s.nodes[0]
	for _, f := range []struct {
		status, data string
		code         int
		body         string
	}{
		{"start", ``, 202, `{"a":1}`},
		{"progress", `{"b":2}`, 206, `{"a":1,"b":2}`},
		{"progress", `{"a":2,"b":2}`, 206, `{"a":2,"b":2}`}, // what is reported is newer than what was asked
		{"progress", `7`, 206, `{"a":1}`},
		{"complete", `{"b":2}`, 201, `{"a":1,"b":2}`},
		{"error", `{"message":"m"}`, 424, `{"message":"m"}`},
		{"cancel", ``, 410, ``},
	} {
		reply := n.post(`{"a":1}`)
		w := s.next(t)
		n.report(w.token, f.status, f.data)
		a := soon(t, reply)
		wantAnswer(t, a, f.code, f.body)
		location := a.header.Get("Location")
		if f.status == "cancel" && !strings.Contains(a.body, `"status":410`) {
			t.Errorf("the problem's own status is another: %s", a.body)
		}
		if f.code != 202 && f.code != 206 {
			continue
		}
		if a.header.Get("Content-Type") != "application/json" || location == "" {
			t.Errorf("%v", a.header)
		}
		wantAnswer(t, n.do("GET "+location, ""), 202, "")
		n.report(w.token, "complete", `{"c":3}`)
		if a = n.do("GET "+location, ""); a.status != 201 || !strings.Contains(a.body, `"c":3`) {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	reply := n.post(`{"callbackTimeout":"PT0.2S"}`)
	s.next(t)
	wantAnswer(t, soon(t, reply), 424, "")
}

// No route can have a path where workers report.
func TestPathsAreReserved(t *testing.T) {
	for _, path := range metrici.Paths() {
		r := rest.DefaultRoute()
		r.Name, r.Path, r.Auth, r.Engine = "r", path, rest.AuthNone, "e"
		c := rest.Config{Routes: []rest.RouteConfig{r}, Retention: time.Hour, Engines: []rest.Engine{{Name: "e"}}}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "routes[0].path: is where engines report: choose another") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A route whose states cannot be says so.
func TestProblemsOfStates(t *testing.T) {
	for _, f := range []struct {
		states   map[string]int
		progress bool
		says     string
	}{
		{map[string]int{"active": 202, "start": 201, "error": 500, "timeout": 599}, true, ""},
		{map[string]int{"create": 200}, true, "routes[0].states: has a state that no reply has"},
		{map[string]int{"error": 199}, true, "routes[0].states.error: must be an HTTP status from 200 to 599"},
		{map[string]int{"complete": 204}, true, "routes[0].states.complete: must be an HTTP status"},
		{map[string]int{"start": 202}, true, "routes[0].states: has start or progress without active"},
		{map[string]int{"active": 202}, false, "routes[0].states.active: needs an engine that reports start or progress"},
	} {
		r := rest.DefaultRoute()
		r.Name, r.Path, r.Auth, r.Engine, r.States = "r", "/r", rest.AuthNone, "e", f.states
		c := rest.Config{Routes: []rest.RouteConfig{r}, Retention: time.Hour, Engines: []rest.Engine{{Name: "e", Progress: f.progress}}}
		if err := c.Validate(); (err == nil) != (f.says == "") || err != nil && !strings.Contains(err.Error(), f.says) {
			t.Errorf("%v: %v, want %s", f.states, err, f.says)
		}
	}
}
