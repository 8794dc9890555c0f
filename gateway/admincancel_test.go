package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/dialect/httpengine"
	"syncgate/dialect/rest"
	"syncgate/gateway"
	"syncgate/internal/whereabouts"
)

// operate asks the admin listener, and gives the status and the body.
func (n *node) operate(method, path string) (status int, body string) {
	n.t.Helper()
	req, err := http.NewRequestWithContext(n.t.Context(), method, "http://"+n.AdminAddr().String()+path, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	resp, err := n.http.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.Header.Get("Cache-Control") != "no-store" {
		n.t.Errorf("%s %s: %v, %v", method, path, err, resp.Header)
	}
	return resp.StatusCode, string(b)
}

// show reads what the admin listener has at a path.
func show[T any](n *node, path string) (of T) {
	n.t.Helper()
	status, body := n.operate(http.MethodGet, path)
	if err := json.Unmarshal([]byte(body), &of); status != 200 || err != nil {
		n.t.Fatalf("%s: %d %s", path, status, body)
	}
	return of
}

// cancels has an operator cancel the trip with a name, and wants it over.
func (n *node) cancels(t *testing.T, name string) (w whereabouts.Answer) {
	t.Helper()
	status, body := n.operate(http.MethodPost, "/api/trips/"+url.PathEscape(name)+"/cancel")
	if err := json.Unmarshal([]byte(body), &w); status != 200 || err != nil || len(w.Trips) != 1 || w.Trips[0].State != "over" {
		t.Fatalf("cancel %s: %d %s", name, status, body)
	}
	return w
}

// refusesCancel wants a reason why a trip cannot be cancelled.
func (n *node) refusesCancel(t *testing.T, name string, status int, reason string) {
	t.Helper()
	got, body := n.operate(http.MethodPost, "/api/trips/"+url.PathEscape(name)+"/cancel")
	if got != status || !strings.Contains(body, reason) {
		t.Errorf("cancel %s: %d %s, want %d %s", name, got, body, status, reason)
	}
}

// answeredByEngine waits until the engine has answered the request with a name.
func (n *node) answeredByEngine(t *testing.T, name string) {
	t.Helper()
	waitFor(t, func() bool {
		trips := n.find(t, name).Trips
		return len(trips) == 1 && trips[0].EngineAnswered != nil
	})
}

func withActions(c *gateway.Config) { c.Admin.Actions = true }

const cancelled = `{"request_proc":"ok","ops":[{"proc":"error","description":"Cancelled"}]}`

// An operator cancels what a client of the Sync API waits for: by any name, once, with everybody who has joined, and not what has its result.
func TestOperatorCancels(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, withActions)
	reply := n.createLater(oneOp(`{}`), "X-Request-Id", "first")
	a := e.next(t)
	a.accept()
	if w := n.cancels(t, "first"); w.Trips[0].Outcome != "cancelled" || w.Trips[0].Callbacks != 0 || w.Trips[0].Trip != a.tokens[0][:8] || len(w.Trips[0].Next) == 0 {
		t.Errorf("%+v", w)
	}
	want(t, got(t, reply), 200, cancelled)
	waitLog(t, n, `"message":"cancelled by an operator"`)
	want(t, n.callback(a.tokens[0], `{"answer":1}`), 200, `{}`) // the engine need not try again
	for _, name := range []string{"first", a.tokens[0][:8], a.tokens[0]} {
		n.refusesCancel(t, name, 409, "it was over")
	}

	two := `{"timeout":5,"ops":[{"type":"create","obj":"task","conv_id":1,"ref":"a","data":{}},{"type":"create","obj":"task","conv_id":2,"data":{}}]}`
	replies := []<-chan answer{n.createLater(two, "Idempotency-Key", "k"), n.createLater(two, "Idempotency-Key", "k")}
	a = e.next(t)
	a.accept()
	waitFor(t, func() bool { return len(n.find(t, a.tokens[0]).Trips) == 2 })
	n.callback(a.tokens[1], `{"b":2}`)
	if status, body := n.operate(http.MethodPost, "/api/trips/a/cancel"); status != 200 || strings.Contains(body, `"waiting"`) {
		t.Errorf("%d %s", status, body)
	}
	for _, reply := range replies {
		want(t, got(t, reply), 200, `{"request_proc":"ok","ops":[{"proc":"error","ref":"a","description":"Cancelled"},{"proc":"ok","data":{"b":2}}]}`)
	}
}

// An operator cancels a task whose client has heard of its time-out: its result is not kept any more, and the client hears that.
func TestOperatorCancelsWhatIsKeptOpen(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, withActions)
	reply := n.createLater(strings.Replace(oneOp(`{}`), `"timeout":5`, `"timeout":0.1`, 1))
	a := e.next(t)
	a.accept()
	location := got(t, reply).header.Get("Location")
	waitLog(t, n, `"outcome":"timeout"`)
	if w := n.cancels(t, strings.TrimPrefix(location, "/api/1/tasks/")); w.Record == nil || w.Record.Final != 1 {
		t.Errorf("%+v", w)
	}
	want(t, n.do(http.MethodGet, location, ""), 200, cancelled)
	if r := n.callback(a.tokens[0], `{"answer":1}`); r.status != 200 || r.header.Get("X-Callback-Status") != "cancel" {
		t.Errorf("%+v", r)
	}
	if trip := n.find(t, a.tokens[0]).Trips[0]; trip.Ops[0].State != "final" || len(trip.Late) != 0 || len(trip.Next) != 1 || !strings.Contains(trip.Next[0], "It was cancelled") {
		t.Errorf("%+v", trip)
	}
	if late := show[whereabouts.LateCallbacks](n, "/api/late"); len(late.Late) != 0 {
		t.Errorf("%+v", late)
	}
	n.refusesCancel(t, a.tokens[0], 409, "it was over")
}

// A client's own cancel is seen as an operator's is.
func TestClientCancelsWhatIsKeptOpen(t *testing.T) {
	r := startRouted(t)
	reply := r.post(`{}`, "Prefer", "respond-async", "X-Request-Id", "left")
	r.next(t).answer(202, "", "")
	location := got(t, reply).header.Get("Location")
	waitLog(t, r.node, `"outcome":"handed_over"`)
	wantReply(t, r.do(http.MethodDelete, location, ""), 202, "")
	if trip := r.find(t, "left").Trips[0]; trip.Ops[0].State != "final" {
		t.Errorf("%+v", trip)
	}
}

// An operator who comes when the result is on its way to the client hears that it is too late, however the client waits.
func TestOperatorCancelsTooLate(t *testing.T) {
	for _, headers := range [][]string{{"X-Request-Id", "late"}, {"X-Request-Id", "late", "Idempotency-Key", "k"}} {
		e, held, goOn := newEngine(t), make(chan struct{}), make(chan struct{})
		var calls atomic.Int32
		n := startParts(t, e.URL, func(_ *node, p *gateway.Parts) {
			p.SetHook(func(point string) {
				if point == "reply" && calls.Add(1) == 1 {
					close(held)
					<-goOn
				}
			})
		}, withActions)
		reply := n.createLater(oneOp(`{}`), headers...)
		a := e.next(t)
		a.accept()
		heard := make(chan answer, 1)
		go func() { heard <- n.callback(a.tokens[0], `{"answer":42}`) }()
		<-held
		refused := make(chan struct{})
		go func() {
			defer close(refused)
			n.refusesCancel(t, "late", 409, "it was over")
		}()
		select {
		case <-refused:
		case <-time.After(50 * time.Millisecond): // it waits for the reply
		}
		close(goOn)
		<-refused
		want(t, got(t, reply), 200, accepted)
		want(t, <-heard, 200, `{}`)
		if strings.Contains(n.log.String(), "cancelled by an operator") {
			t.Errorf("%q", n.log.String())
		}
	}
}

// The engine is asked to stop where somebody has cancelled its task and did not come to ask: by the operator who finds that it was over.
func TestOperatorAsksForAnother(t *testing.T) {
	var store *correlator.Memory
	r := startRoutedOver(t, func(m *correlator.Memory) correlator.Correlator { store = m; return m }, cancellable)
	r.SetAdmin(gateway.Admin{Actions: true})
	reply := r.post(`{}`, "Prefer", "respond-async", "X-Request-Id", "left")
	r.next(t).answer(202, "application/json", `{"id":"n"}`)
	got(t, reply)
	waitLog(t, r.node, `"outcome":"handed_over"`)
	ids := r.IDs("left")
	if err := store.Deliver(t.Context(), ids[0], correlator.Callback{Status: correlator.Cancelled}); err != nil {
		t.Fatal(err)
	}
	r.refusesCancel(t, "left", 409, "it was over")
	c := r.next(t)
	c.answer(204, "", "")
	if c.path != "/jobs/n" {
		t.Errorf("the engine is asked for %s", c.path)
	}
}

// A task that the list has forgotten is cancelled at once: nobody waits for what will not come into the list.
func TestOperatorCancelsWhatIsForgotten(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, withActions, func(c *gateway.Config) { c.Admin.Trips = 1 })
	reply := n.createLater(strings.Replace(oneOp(`{}`), `"timeout":5`, `"timeout":0.1`, 1))
	e.next(t).accept()
	location := got(t, reply).header.Get("Location")
	waitLog(t, n, `"outcome":"timeout"`)
	n.create("{")
	waitFor(t, func() bool { return len(n.find(t, strings.TrimPrefix(location, "/api/1/tasks/")).Trips) == 0 })
	before := time.Now()
	status, body := n.operate(http.MethodPost, "/api/trips/"+strings.TrimPrefix(location, "/api/1/tasks/")+"/cancel")
	if took := time.Since(before); status != 200 || !strings.Contains(body, `"final": 1`) || took > 900*time.Millisecond {
		t.Errorf("%d %s after %v", status, body, took)
	}
}

// A request that waits for a connection to the engine is cancelled before anything is sent.
func TestOperatorCancelsWhatIsQueued(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, withActions, func(c *gateway.Config) { c.Engine.MaxConnections = 1 })
	first := n.createLater(oneOp(`{}`))
	a := e.next(t)
	second := n.createLater(oneOp(`{}`), "X-Request-Id", "second")
	waitFor(t, func() bool { w := n.find(t, "second"); return len(w.Trips) == 1 && w.Trips[0].State == "queued" })
	if queued := show[whereabouts.Trips](n, "/api/trips?state=queued"); queued.Total != 1 || queued.Trips[0].RequestID != "second" || !strings.Contains(queued.Trips[0].Next[0], "max_connections") {
		t.Errorf("%+v", queued)
	}
	n.cancels(t, "second")
	want(t, got(t, second), 200, cancelled)
	n.callback(a.tokens[0], `{"answer":42}`)
	a.accept()
	want(t, got(t, first), 200, accepted)
	if r := n.createLater(oneOp(`{}`)); r != nil { // the connection is free, and the cancelled request does not come
		b := e.next(t)
		n.callback(b.tokens[0], `{"answer":42}`)
		b.accept()
		want(t, got(t, r), 200, accepted)
	}
	select {
	case a := <-e.asked:
		t.Errorf("the engine was asked: %s", a.body)
	default:
	}
}

// The engine of a route is asked to stop, once: where the client is held, and where it has its task.
func TestOperatorCancelsAtTheEngine(t *testing.T) {
	r := startRouted(t, cancellable)
	r.SetAdmin(gateway.Admin{Actions: true})
	for i, headers := range [][]string{{"X-Request-Id", "r0"}, {"X-Request-Id", "r1", "Idempotency-Key", "k"}, {"X-Request-Id", "r2", "Prefer", "respond-async"}} {
		reply := r.post(`{}`, headers...)
		h := r.next(t)
		h.answer(202, "application/json", fmt.Sprintf(`{"id":"n%d"}`, i))
		r.answeredByEngine(t, fmt.Sprintf("r%d", i))
		location := ""
		if i == 2 {
			location = got(t, reply).header.Get("Location")
			waitLog(t, r.node, `"outcome":"handed_over"`)
		}
		if w := r.cancels(t, fmt.Sprintf("r%d", i)); w.Trips[0].Route != "transfer" || w.Trips[0].Engine != "flow" {
			t.Errorf("%+v", w.Trips[0])
		}
		if i == 2 {
			wantReply(t, r.do(http.MethodGet, location, ""), 409, "")
		} else {
			wantReply(t, got(t, reply), 409, "")
		}
		c := r.next(t)
		c.answer(204, "", "")
		if c.method != http.MethodDelete || c.path != fmt.Sprintf("/jobs/n%d", i) {
			t.Errorf("the engine is asked %s %s", c.method, c.path)
		}
	}
	reply := r.post(`{}`, "X-Request-Id", "early") // before the engine has answered
	h := r.next(t)
	r.cancels(t, "early")
	wantReply(t, got(t, reply), 409, "")
	h.answer(202, "application/json", `{"id":"early"}`)
	c := r.next(t)
	c.answer(204, "", "")
	if c.path != "/jobs/early" {
		t.Errorf("the engine is asked for %s", c.path)
	}
	select {
	case c := <-r.asked:
		t.Errorf("the engine is asked again: %s %s", c.method, c.path)
	case <-time.After(100 * time.Millisecond): // nothing says that nothing comes
	}
}

// Another node cancels a task by its id.
func TestOperatorCancelsAtAnotherNode(t *testing.T) {
	n := startTwoNodes(t, func(r *rest.RouteConfig, e *httpengine.Config) { cancellable(r, e) })
	n.other.SetAdmin(gateway.Admin{Actions: true})
	reply := n.home.post(`{}`, "Prefer", "respond-async")
	n.engine.next(t).answer(202, "application/json", `{"id":"n"}`)
	location := got(t, reply).header.Get("Location")
	status, body := n.other.operate(http.MethodPost, "/api/trips/"+strings.TrimPrefix(location, "/tasks/")+"/cancel")
	var w whereabouts.Answer
	if err := json.Unmarshal([]byte(body), &w); status != 200 || err != nil || w.Home == "" || w.Record == nil || w.Record.Final != 1 {
		t.Fatalf("%d %s", status, body)
	}
	c := n.engine.next(t)
	c.answer(204, "", "")
	wantReply(t, n.home.do(http.MethodGet, location, ""), 409, "")
	n.other.refusesCancel(t, strings.TrimPrefix(location, "/tasks/"), 409, "it was over")
}

// What cannot be cancelled, and who may not.
func TestOperatorCannotCancel(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, withActions)
	n.refusesCancel(t, "nobody", 404, "knows no such request")
	n.refusesCancel(t, strings.Repeat("x", 5000), 400, "Incorrect request")
	n.create("{", "X-Request-Id", "refused")
	n.refusesCancel(t, "refused", 409, "it was refused")
	var replies []<-chan answer
	var asked []*asked
	for range 2 {
		replies = append(replies, n.createLater(oneOp(`{}`), "X-Request-Id", "twice"))
		asked = append(asked, e.next(t))
	}
	n.refusesCancel(t, "twice", 409, "use the trip of one of them")
	n.SetAdmin(gateway.Admin{})
	n.refusesCancel(t, "twice", 403, "admin.actions")
	n.SetAdmin(gateway.Admin{Actions: true})
	for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPut} {
		if status, body := n.operate(method, "/api/trips/twice/cancel"); status != 405 || !strings.Contains(body, "POST would do") {
			t.Errorf("%s: %d %s", method, status, body)
		}
	}
	for i, a := range asked {
		a.accept()
		n.callback(a.tokens[0], `{"answer":42}`)
		want(t, got(t, replies[i]), 200, accepted)
	}
}
