package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/gateway"
	"syncgate/internal/whereabouts"
)

// token gives the token of the first op.
func (a *asked) token() string {
	if len(a.tokens) == 0 {
		return ""
	}
	return a.tokens[0]
}

// where asks where a request is, and gives the answer as it is.
func (n *node) where(t *testing.T, name string) string {
	t.Helper()
	resp, err := n.http.Get("http://" + n.AdminAddr().String() + "/api/trips/" + url.PathEscape(name))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if found := resp.StatusCode == http.StatusOK; !found && resp.StatusCode != http.StatusNotFound {
		t.Fatalf("%d %s", resp.StatusCode, b)
	}
	return string(b)
}

// find asks where a request is.
func (n *node) find(t *testing.T, name string) (w whereabouts.Answer) {
	t.Helper()
	if err := json.Unmarshal([]byte(n.where(t, name)), &w); err != nil {
		t.Fatal(err)
	}
	return w
}

// findOne wants one trip of a name.
func (n *node) findOne(t *testing.T, name string) whereabouts.Trip {
	t.Helper()
	w := n.find(t, name)
	if len(w.Trips) != 1 || w.More {
		t.Fatalf("%d trips have the name %q", len(w.Trips), name)
	}
	return w.Trips[0]
}

// An operator finds a request by every name that somebody may have for it, at every moment of its life.
func TestWhereIs(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	reply := n.createLater(`{"timeout":5,"ops":[{"type":"create","obj":"task","conv_id":12,"ref":"замовлення/1"},{"type":"create","obj":"task","conv_id":13,"ref":"b"}]}`,
		"X-Request-Id", "my-request")
	a := e.next(t)
	names := []string{"my-request", "замовлення/1", "b", a.tokens[0][:8], a.tokens[0], a.tokens[1]}
	for _, name := range names {
		if r := n.findOne(t, name); !isWaiting(&r) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	a.accept()
	waitFor(t, func() bool { return n.findOne(t, "b").EngineAnswered != nil })
	names = append(names, "5cf67011094bab1b9a00a300", "5cf67011094bab1b9a00a301")
	n.callback(a.tokens[1], `1`)
	if r := n.findOne(t, names[7]); r.EngineStatus != 200 || r.Callbacks != 1 || r.Ops[0].State != "open" || r.Ops[1].State != "final" {
		t.Errorf("%+v", r)
	}
	n.callback(a.tokens[0], `1`)
	got(t, reply)
	waitLog(t, n, `"outcome":"complete"`)
	for _, name := range names {
		r := n.findOne(t, name)
		if !isOver(&r) || r.Trip != a.tokens[0][:8] {
			t.Errorf("%s: %+v", name, r)
		}
		if op := r.Ops[0]; op.Process != "12" || op.Ref != "замовлення/1" || op.EngineTask != "5cf67011094bab1b9a00a300" || op.State != "final" {
			t.Errorf("%s: %+v", name, op)
		}
		wantTimes(t, &r)
	}
	wantNone(t, n, "nobody", "замовлення", a.tokens[0][:7], login)
	if text := n.where(t, a.tokens[0]); strings.Contains(text, a.tokens[0][8:20]) || strings.Contains(text, secret) {
		t.Errorf("the answer has more of a token than its beginning, or a secret: %s", text)
	}
}

// wantNone wants that no trip has one of these names.
func wantNone(t *testing.T, n *node, names ...string) {
	t.Helper()
	for _, name := range names {
		if w := n.find(t, name); len(w.Trips) != 0 {
			t.Errorf("%q has found %+v", name, w.Trips)
		}
	}
}

// wantTimes wants the times of a trip that has had everything, each possible.
func wantTimes(t *testing.T, r *whereabouts.Trip) {
	t.Helper()
	for _, at := range []*time.Time{r.Forwarded, r.EngineAnswered, r.FirstCallback, r.LastCallback, r.Replied} {
		if at == nil || at.Before(r.Accepted.Add(-time.Millisecond)) || at.After(time.Now()) {
			t.Errorf("%v is a wrong time, accepted at %v", at, r.Accepted)
		}
	}
}

// isWaiting reports whether a trip of two ops waits, and the engine has not answered yet.
func isWaiting(r *whereabouts.Trip) bool {
	return r.State == "waiting" && r.RequestID == "my-request" && r.Login == login && r.Forwarded != nil && r.EngineAnswered == nil &&
		r.Deadline != nil && len(r.Ops) == 2
}

// isOver reports whether a trip of two ops is over as it should be.
func isOver(r *whereabouts.Trip) bool {
	return r.State == "over" && r.Outcome == "complete" && r.Status == 200 && r.Callbacks == 2 && r.Replied != nil && r.KeptUntil == nil
}

// A trip that its client left unfinished is found with what came later.
func TestWhereIsALateCallback(t *testing.T) {
	for _, retention := range []time.Duration{time.Hour, 0} {
		e := newEngine(t)
		n := start(t, e.URL, func(c *gateway.Config) { c.Results.Retention = retention })
		reply := n.createLater(strings.Replace(oneOp(`{}`), `"timeout":5`, `"timeout":0.1`, 1))
		a := e.next(t)
		a.accept()
		location := got(t, reply).header.Get("Location")
		n.callback(a.tokens[0], `1`)
		n.callback(a.tokens[0], `1`) // a repeat where it is kept
		waitLog(t, n, `"outcome":"timeout"`)
		waitLog(t, n, fmt.Sprintf(`"trip":"%s","op":0,"kept":%v,"late":`, a.tokens[0][:8], retention > 0))
		r := n.findOne(t, a.tokens[0])
		state := map[bool]string{true: "final", false: "open"}[retention > 0]
		if len(r.Late) == 0 || r.Late[0].Kept != (retention > 0) || (r.KeptUntil != nil) != (retention > 0) || r.Ops[0].State != state {
			t.Errorf("retention %v: %+v", retention, r)
		}
		kept, gone, repeated := 1.0, 0.0, 1.0
		if retention == 0 {
			kept, gone, repeated = 0, 2, 0
		}
		wantMetric(t, n, `syncgate_callbacks_total{outcome="kept"}`, kept)
		wantMetric(t, n, `syncgate_callbacks_total{outcome="gone"}`, gone)
		wantMetric(t, n, `syncgate_callbacks_total{outcome="repeated"}`, repeated)
		if retention == 0 {
			continue
		}
		if w := n.find(t, strings.TrimPrefix(location, "/api/1/tasks/")); len(w.Trips) != 1 || w.Record == nil || w.Record.Final != 1 {
			t.Errorf("by its task id: %+v", w)
		}
	}
}

// The list is bounded, and so is an answer; what was refused is in it only with a proven login.
func TestRemembered(t *testing.T) {
	n := start(t, newEngine(t).URL, func(c *gateway.Config) { c.Admin.Trips = 30 })
	for i := range 40 {
		n.create("{", "X-Request-Id", fmt.Sprintf("request-%d", i))
	}
	if len(n.find(t, "request-9").Trips) != 0 || len(n.find(t, "request-10").Trips) != 1 || n.findOne(t, "request-39").Reason != "body" {
		t.Error("the last 30 are not those that are remembered")
	}
	for range 25 {
		n.create("{", "X-Request-Id", "same")
	}
	if w := n.find(t, "same"); len(w.Trips) != 20 || !w.More {
		t.Errorf("%d trips, more: %v", len(w.Trips), w.More)
	}
	n.do(http.MethodPost, sign("x"), "{", "X-Request-Id", "stranger")
	if w := n.find(t, "stranger"); len(w.Trips) != 0 {
		t.Errorf("a stranger is remembered: %+v", w.Trips)
	}
}

// Without the list those who wait are found all the same.
func TestNothingIsRemembered(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Admin.Trips = 0 })
	reply := n.createLater(oneOp(`{}`), "X-Request-Id", "r")
	a := e.next(t)
	a.accept()
	if n.findOne(t, "r").State != "waiting" {
		t.Error("it does not wait")
	}
	n.callback(a.tokens[0], `1`)
	got(t, reply)
	waitLog(t, n, `"outcome":"complete"`)
	if w := n.find(t, "r"); len(w.Trips) != 0 || w.Remembered != 0 {
		t.Errorf("%+v", w)
	}
}

// A task id and a token name the node where their trip is.
func TestWhereIsAtAnotherNode(t *testing.T) {
	n := start(t, newEngine(t).URL)
	home := correlator.NewNodeID()
	id := correlator.NewID(home, time.Now().Add(time.Hour))
	for _, name := range []string{string(n.keys.AppendTaskID(nil, id)), string(n.keys.AppendToken(nil, correlator.Token{Trip: id}))} {
		w := n.find(t, name)
		if w.Home != home.String() || w.Node != n.memo.Node().String() || len(w.Trips) != 0 {
			t.Errorf("%+v", w)
		}
	}
}

// A callback whose token is genuine, and which is refused, leaves a warning: its client waits for nothing, and nobody else would know why.
// Many of them leave few.
func TestRefusedCallbacksWarn(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Limits.CallbackBody = 1000 })
	reply := n.createLater(oneOp(`{}`))
	a := e.next(t)
	a.accept()
	path := "/api/1/plugins/callback/" + a.tokens[0]
	f := func(reason string, status int, method, body string, header ...string) {
		t.Helper()
		n.log.reset()
		if r := n.do(method, path, body, header...); r.status != status {
			t.Errorf("%s: %d, want %d", reason, r.status, status)
		}
		waitLog(t, n, `"level":"warn","reason":"`+reason+`"`)
		waitLog(t, n, `"trip":"`+a.tokens[0][:8]+`","op":0`)
	}
	f("body", 400, http.MethodPost, `{"a":`)
	f("body", 400, http.MethodPost, `hello`, "Content-Type", "application/json")
	f("encoding", 415, http.MethodPost, `{}`, "Content-Encoding", "gzip")
	f("body_size", 413, http.MethodPost, `"`+strings.Repeat("x", 1000)+`"`)
	f("method", 405, http.MethodDelete, ``)
	n.log.reset()
	for range 100 {
		n.do(http.MethodPost, path, `{`)
	}
	if lines := strings.Count(n.log.String(), "callback refused"); lines < 1 || lines > 50 {
		t.Errorf("%d lines of 100 callbacks", lines)
	}
	n.log.reset()
	n.do(http.MethodPost, path[:len(path)-1]+"!", `{}`)
	if strings.Contains(n.log.String(), `"warn"`) {
		t.Errorf("a forged token is a warning: %s", n.log)
	}
	n.callback(a.tokens[0], `{"answer":42}`)
	want(t, got(t, reply), 200, accepted)
}

// A trip that waits has a fixed size.
func TestSizeOfWaiting(t *testing.T) {
	if waiting := gateway.SizeOfWaiting(); waiting > 480 {
		t.Errorf("%d bytes", waiting)
	}
	const uuid = "0190b1c2-7e1f-7c3a-9f00-1d2e3f405162"
	if dialect.NewEngineTask([]byte(uuid)) == dialect.NewEngineTask([]byte(uuid[:35])) {
		t.Error("there is no room for a UUID")
	}
}
