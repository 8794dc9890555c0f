package gateway_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"syncgate/gateway"
	"syncgate/internal/admin"
	"syncgate/internal/whereabouts"
)

// Operators see how the node is.
func TestAdminStatus(t *testing.T) {
	e := newEngine(t)
	n := startParts(t, e.URL, func(_ *node, p *gateway.Parts) { p.Backend, p.Pushes = "memory", func() bool { return true } },
		func(c *gateway.Config) { c.Limits.Parked, c.Engine.MaxConnections, c.Admin.Trips = 7, 1, 20 })
	first, second := n.createLater(oneOp(`{}`)), n.createLater(oneOp(`{}`))
	a := e.next(t)
	var s admin.Status
	waitFor(t, func() bool { s = show[admin.Status](n, "/api/status"); return s.Queued == 1 })
	if s.Node != n.memo.Node().String() || s.Version != "test" || s.State != "ready" || s.Missing != "" || s.Actions || !s.Pushes || s.Demo ||
		s.Correlator != (admin.Correlator{Backend: "memory", Up: true}) || s.Parked != 2 || s.LimitParked != 7 || s.Streams != 0 || s.Remembered != 20 {
		t.Errorf("%+v", s)
	}
	if len(s.Engines) != 1 || s.Engines[0] != (admin.Engine{Name: "corezoid", Busy: 1, Queued: 1, Limit: 1}) || s.ResultsKept == nil || *s.ResultsKept != 0 {
		t.Errorf("%+v", s.Engines)
	}
	if s.Started.After(s.Now) || time.Since(s.Now) > time.Minute {
		t.Errorf("started %v, now %v", s.Started, s.Now)
	}
	for _, a := range []*asked{a, nil} {
		if a == nil {
			a = e.next(t)
		}
		n.callback(a.tokens[0], `{"answer":42}`)
		a.accept()
	}
	want(t, got(t, first), 200, accepted)
	want(t, got(t, second), 200, accepted)
	n.NotReady()
	if s = show[admin.Status](n, "/api/status"); s.State != "shutting down" || s.Parked != 0 {
		t.Errorf("%+v", s)
	}
}

// Operators see what trips do by route and login, and list them, with routes and engines.
func TestAdminShowsTrips(t *testing.T) {
	r := startRouted(t)
	done := r.post(`{}`)
	h := r.next(t)
	h.answer(202, "", "")
	r.report(h, `{"done":1}`)
	wantReply(t, got(t, done), 200, `{"done":1}`)
	task := r.post(`{}`, "Prefer", "respond-async")
	r.next(t).answer(202, "", "")
	got(t, task)
	waits := r.post(`{}`, "X-Request-Id", "waits")
	h = r.next(t)
	h.answer(202, "", "")
	waitFor(t, func() bool { return show[whereabouts.Trips](r.node, "/api/trips?state=over").Total == 2 })

	list := show[whereabouts.Trips](r.node, "/api/trips")
	if list.Total != 1 || list.Node == "" || list.More {
		t.Fatalf("%+v", list)
	}
	if trip := list.Trips[0]; trip.RequestID != "waits" || trip.Route != "transfer" || trip.Login != "route/transfer" || trip.Engine != "flow" || trip.State != "waiting" {
		t.Errorf("%+v", trip)
	}
	s := show[whereabouts.Summary](r.node, "/api/summary?window=10")
	if len(s.Groups) != 1 || s.Window != 10 || s.Node == "" {
		t.Fatalf("%+v", s)
	}
	if g := s.Groups[0]; g.Route != "transfer" || g.Login != "route/transfer" || g.InFlight != 1 || g.Ended != 2 || g.Outcomes["handed_over"] != 1 || g.Outcomes["complete"] != 1 || g.EngineP99 == nil {
		t.Errorf("%+v", g)
	}
	for query, total := range map[string]int{
		"state=over&limit=1": 2, "state=over&outcome=complete": 1, "state=over&route=transfer&login=route%2Ftransfer": 2, "state=over&route=corezoid": 0,
		"state=waiting": 1, "state=queued": 0, "older_ms=3600000": 0, "state=in_flight&order=newest": 1,
	} {
		if list := show[whereabouts.Trips](r.node, "/api/trips?"+query); list.Total != total {
			t.Errorf("%s: %d", query, list.Total)
		}
	}
	r.report(h, `{"done":3}`)
	wantReply(t, got(t, waits), 200, `{"done":3}`)
}

// A callback behind a time-out is late, and the result of a task whose client did not wait is not. The trip says what to check.
func TestAdminShowsLate(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	short := strings.Replace(oneOp(`{}`), `"timeout":5`, `"timeout":0.1`, 1)
	reply := n.createLater(short)
	a := e.next(t)
	a.accept()
	n.answeredByEngine(t, a.tokens[0])
	got(t, reply)
	waitLog(t, n, `"outcome":"timeout"`)
	if trip := n.findOne(t, a.tokens[0]); len(trip.Next) != 4 || !strings.HasPrefix(trip.Next[0], "No callback came. Look for the task 5cf67011094bab1b9a00a300 in the engine corezoid") ||
		!strings.HasPrefix(trip.Next[3], "A result that comes later is still kept: ") {
		t.Errorf("%q", trip.Next)
	}
	n.callback(a.tokens[0], `1`)
	late := show[whereabouts.LateCallbacks](n, "/api/late?limit=5")
	if len(late.Late) != 1 || late.Late[0].Trip != a.tokens[0][:8] || !late.Late[0].Kept || late.Node == "" {
		t.Errorf("%+v", late)
	}
	if trip := n.findOne(t, a.tokens[0]); len(trip.Next) != 2 || !strings.HasPrefix(trip.Next[0], "A callback came ") || !strings.HasPrefix(trip.Next[1], "The result is kept") {
		t.Errorf("%q", trip.Next)
	}

	r := startRouted(t)
	task := r.post(`{}`, "Prefer", "respond-async")
	h := r.next(t)
	h.answer(202, "", "")
	got(t, task)
	waitLog(t, r.node, `"outcome":"handed_over"`)
	r.report(h, `{"done":2}`)
	waitLog(t, r.node, `task ended`)
	if late := show[whereabouts.LateCallbacks](r.node, "/api/late"); len(late.Late) != 0 {
		t.Errorf("%+v", late)
	}
	if trips := show[whereabouts.Trips](r.node, "/api/trips?state=over").Trips; len(trips) != 1 || len(trips[0].Late) != 1 || trips[0].Next != nil {
		t.Errorf("%+v", trips)
	}
}

// TestAdminRefusesParameters: what there is not is named, and nothing else is done.
func TestAdminRefusesParameters(t *testing.T) {
	n := start(t, newEngine(t).URL)
	f := func(path, says string) {
		t.Helper()
		if status, body := n.operate(http.MethodGet, path); status != 400 || body != "Incorrect request: "+says {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	const names = "it has a parameter that there is not; there are state, route, login, outcome, older_ms, order, limit"
	f("/api/trips?stat=over", names)
	f("/api/trips?state=over&window=60", names)
	f("/api/trips?state=done", "state must be one of in_flight, queued, waiting, over")
	f("/api/trips?state=", "state must be one of in_flight, queued, waiting, over")
	f("/api/trips?order=random", "order must be one of newest, oldest")
	f("/api/trips?state=over&outcome=good", "outcome must be one of "+strings.Join(gateway.Outcomes(), ", "))
	f("/api/trips?outcome=complete", "outcome is of those that are over: add state=over")
	f("/api/trips?route=", "route is empty: leave it out for any")
	f("/api/trips?state=over&state=queued", "state is there more than once")
	for _, limit := range []string{"0", "1001", "-1", "1.5", "x", "", "99999999999999999999"} {
		f("/api/trips?limit="+limit, "limit must be a whole number from 1 to 1000")
		f("/api/late?limit="+limit, "limit must be a whole number from 1 to 1000")
	}
	f("/api/trips?older_ms=-1", "older_ms must be a whole number from 0 to 31622400000")
	for _, window := range []string{"9", "3601", "60s", ""} {
		f("/api/summary?window="+window, "window must be a whole number from 10 to 3600")
	}
	f("/api/status?x=1", "it has a parameter, and there is none here")
	f("/api/live?x=1", "it has a parameter, and there is none here")
	for _, path := range []string{"/api/status", "/api/summary", "/api/late", "/api/trips", "/api/live"} {
		if status, body := n.operate(http.MethodPost, path); status != 405 || body != "Method not allowed: GET, HEAD would do" {
			t.Errorf("POST %s: %d %s", path, status, body)
		}
	}
}

// nextEvent reads a stream up to the next event with a name, and gives its data.
func nextEvent[T any](t *testing.T, lines *bufio.Scanner, name string) (data T) {
	t.Helper()
	for lines.Scan() {
		if lines.Text() != "event: "+name {
			continue
		}
		lines.Scan()
		if err := json.Unmarshal([]byte(strings.TrimPrefix(lines.Text(), "data: ")), &data); err != nil {
			t.Fatalf("%v in %s", err, lines.Text())
		}
		return data
	}
	t.Fatalf("no %s", name)
	return data
}

// Operators hear each second how the node is, until it ends.
func TestAdminLive(t *testing.T) {
	n := start(t, newEngine(t).URL)
	resp, err := http.Get("http://" + n.AdminAddr().String() + "/api/live")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	var before admin.Status
	for i := range 3 {
		s, sum := nextEvent[admin.Status](t, lines, "status"), nextEvent[whereabouts.Summary](t, lines, "summary")
		if s.State != "ready" || s.Node == "" || sum.Window != 60 || sum.Node != s.Node || sum.Groups == nil {
			t.Errorf("%+v %+v", s, sum)
		}
		if apart := s.Now.Sub(before.Now); i > 0 && (apart < 500*time.Millisecond || apart > 5*time.Second) {
			t.Errorf("%v apart", apart)
		}
		before = s
	}
	n.stop()
	for lines.Scan() {
		continue
	}
	if err := lines.Err(); err != nil {
		t.Errorf("it does not end as a whole: %v", err)
	}
}

// Every way in which a trip ends that has something to check says what, and every reason of a refusal.
func TestWhatNextIsKnown(t *testing.T) {
	now := time.Now()
	for _, reason := range gateway.Reasons() {
		generic := whereabouts.Trip{State: "over", Outcome: "overloaded"}
		trip := whereabouts.Trip{State: "over", Outcome: "overloaded", Reason: reason}
		own := trip.WhatNext(now)[0] != generic.WhatNext(now)[0]
		if said := strings.HasPrefix(reason, "engine_") || reason == "correlator_down" || reason == "draining" || reason == "internal_error"; own == said { // whose outcome says it
			t.Errorf("%s: %q", reason, trip.WhatNext(now))
		}
	}
	for _, outcome := range gateway.Outcomes() {
		trip := whereabouts.Trip{State: "over", Outcome: outcome, Engine: "flow"}
		fine := outcome == "complete" || outcome == "registered" || outcome == "handed_over"
		if next := trip.WhatNext(now); len(next) == 0 != fine {
			t.Errorf("%s: %q", outcome, next)
		}
	}
}
