package gateway_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"syncgate/dialect/httpengine"
	"syncgate/dialect/rest"
	"syncgate/gateway"
)

// events reads a stream of events until it ends.
type events struct {
	t    *testing.T
	resp *http.Response
	r    *bufio.Reader
}

// event is what one of them says.
type event struct{ id, name, data string }

func (r *routed) stream(method, path, body string, header ...string) *events {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := r.http.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	return &events{r.t, resp, bufio.NewReader(resp.Body)}
}

// next gives the next event, and false at the end.
func (e *events) next() (v event, ok bool) {
	for {
		line, err := e.r.ReadString('\n')
		if err != nil {
			return v, false
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			v.id = value
		case "event":
			v.name = value
		case "data":
			v.data += value
		case "":
			if v.name != "" {
				return v, true
			}
		}
	}
}

func (e *events) want(id, name, data string) {
	e.t.Helper()
	v, ok := e.next()
	if !ok || v.id != id || v.name != name || data != "" && v.data != data {
		e.t.Errorf("the event is %+v (%v), want %s %s %s", v, ok, id, name, data)
	}
}

func (e *events) wantEnd() {
	e.t.Helper()
	if v, ok := e.next(); ok {
		e.t.Errorf("there is one more event: %+v", v)
	}
	_ = e.resp.Body.Close()
}

// A stream: the task, what is reported of it, and its result. Another one goes on where the first was cut.
func TestRouteIsStreamed(t *testing.T) {
	r := startRouted(t)
	opened := make(chan *events, 1)
	go func() {
		opened <- r.stream(http.MethodPost, "/v1/transfers/p2p", `{}`, "Prefer", "wait=30, respond-async")
	}()
	h := r.next(t)
	h.answer(202, "", "")
	s := <-opened
	if applied := s.resp.Header.Get("Preference-Applied"); applied != "wait=30" {
		t.Errorf("applied: %q", applied)
	}
	if s.resp.StatusCode != 200 || s.resp.Header.Get("Content-Type") != "text/event-stream" || s.resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", s.resp.StatusCode, s.resp.Header)
	}
	v, _ := s.next()
	var task struct{ ID, Location string }
	if err := json.Unmarshal([]byte(v.data), &task); err != nil || v.name != "accepted" || task.Location != "/tasks/"+task.ID {
		t.Fatalf("%+v", v)
	}
	want(t, r.report(h, `{"step":1}`, "X-Callback-Status", "start"), 200, `{}`)
	s.want("1", "progress", `{"step":1}`)
	want(t, r.report(h, `{"step":2,"of":3}`, "X-Callback-Status", "progress"), 200, `{}`)
	s.want("2", "progress", `{"step":2,"of":3}`)
	if a := r.do(http.MethodGet, task.Location, ""); !strings.Contains(a.body, `"progress":{"of":3,"step":2}`) {
		t.Errorf("the running view: %s", a.body)
	}
	other := r.stream(http.MethodGet, task.Location, "", "Last-Event-ID", "1", "Prefer", "wait=20")
	if applied := other.resp.Header.Get("Preference-Applied"); applied != "wait=20" || other.resp.Header.Get("X-Accel-Buffering") != "no" {
		t.Errorf("applied: %q; %v", applied, other.resp.Header)
	}
	if line, err := other.r.ReadString('\n'); line != ":\n" { // something is sent at once, so that what is on the way sends the head on
		t.Errorf("it begins with %q, %v", line, err)
	}
	other.want("2", "progress", `{"step":2,"of":3}`)
	want(t, r.report(h, `{"done":1}`), 200, `{}`)
	s.want("end", "result", `{"done":1}`)
	s.wantEnd()
	other.want("end", "result", `{"done":1}`)
	other.wantEnd()
	late := r.report(h, `{"step":3}`, "X-Callback-Status", "progress")
	if late.status != 200 || late.header.Get("X-Callback-Status") != "complete" {
		t.Errorf("progress after the result: %+v", late)
	}
	after := r.stream(http.MethodGet, task.Location+"/events", "")
	after.want("0", "accepted", "")
	after.want("1", "progress", "")
	after.want("2", "progress", "")
	after.want("end", "result", `{"done":1}`)
	after.wantEnd()
}

// Before it begins a stream is an ordinary request, and it ends as the task does.
func TestRouteStreamEnds(t *testing.T) {
	r := startRouted(t, func(c *rest.RouteConfig, _ *httpengine.Config) {
		c.Wait.Default, c.Wait.Max = time.Second, 3*time.Second
	})
	play := func(f func(h *hook), header ...string) *events {
		opened := make(chan *events, 1)
		go func() { opened <- r.stream(http.MethodPost, "/v1/transfers/p2p", `{}`, header...) }()
		f(r.next(t))
		return <-opened
	}
	refused := play(func(h *hook) { h.answer(409, "text/plain", "no") })
	if b, _ := io.ReadAll(refused.resp.Body); refused.resp.StatusCode != 409 || string(b) != "no" {
		t.Errorf("refused: %d %s", refused.resp.StatusCode, b)
	}
	heard := make(chan answer, 1)
	failed := play(func(h *hook) {
		h.answer(202, "", "")
		go func() { heard <- r.report(h, `{"message":"no funds"}`, "X-Callback-Status", "error") }()
	})
	want(t, got(t, heard), 200, `{}`)
	failed.want("0", "accepted", "")
	failed.want("end", "error", `{"message":"no funds"}`)
	failed.wantEnd()
	slow := play(func(*hook) {}) // the engine says nothing: after a second the stream begins all the same
	slow.want("0", "accepted", "")
	slow.want("", "timeout", "")
	slow.wantEnd()
}

// While nothing is reported a stream says that it is open, and the wait of a held call goes on with each report.
func TestRouteHeartbeatAndIdle(t *testing.T) {
	e := newHooks(t)
	engine := httpengine.Config{Name: "flow", Kind: "http", URL: e.URL + "/{kind}"}
	route := rest.DefaultRoute()
	route.Name, route.Path, route.Engine, route.Auth, route.AtWaitEnd, route.Idle = "transfer", "/v1/transfers/{kind}", "flow", rest.AuthNone, "timeout", time.Second
	n := startParts(t, "http://127.0.0.1:1", func(n *node, p *gateway.Parts) { addRoutes(t, n.keys, p, []rest.RouteConfig{route}, engine) },
		func(c *gateway.Config) { c.Listen.Heartbeat = 300 * time.Millisecond })
	r := &routed{n, e, t}
	opened := make(chan *events, 1)
	go func() { opened <- r.stream(http.MethodPost, "/v1/transfers/p2p", `{}`) }()
	h := r.next(t)
	h.answer(202, "", "")
	s := <-opened
	s.want("0", "accepted", "")
	for beats := 0; beats < 3; {
		line, err := s.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, ":") {
			beats++
		}
	}
	wantMetricLine(t, n, "syncgate_streams 1")
	want(t, r.report(h, `1`), 200, `{}`)
	s.want("end", "result", `1`)
	s.wantEnd()
	waitFor(t, func() bool { return strings.Contains(n.metrics(), "\nsyncgate_streams 0\n") })

	reply := r.post(`{}`)
	h = r.next(t)
	h.answer(202, "", "")
	began := time.Now()
	for i := range 4 {
		<-time.After(600 * time.Millisecond)
		want(t, r.report(h, strconv.Itoa(i), "X-Callback-Status", "progress"), 200, `{}`)
	}
	if a := got(t, reply); a.status != 504 || time.Since(began) < 3*time.Second {
		t.Errorf("after %v: %+v", time.Since(began), a)
	}
}

// A report near the end of the wait moves the client's deadline to that end, and not beyond.
func TestRouteIdleEndsWithTheWait(t *testing.T) {
	r := startRouted(t, func(c *rest.RouteConfig, e *httpengine.Config) {
		c.Idle, c.AtWaitEnd = 2500*time.Millisecond, "timeout"
		e.Status = httpengine.Status{From: "state", Map: map[string]string{"works": "progress"}}
	})
	began := time.Now()
	reply := r.post(`{}`, "Prefer", "wait=3")
	h := r.next(t)
	h.answer(202, "", "")
	for _, pause := range []time.Duration{0, 2 * time.Second} {
		<-time.After(pause)
		want(t, r.report(h, `1`, "X-Callback-Status", "progress"), 200, `{}`)
	}
	if a, took := got(t, reply), time.Since(began); a.status != 504 || took < 2900*time.Millisecond || took > 4200*time.Millisecond {
		t.Errorf("after %v: %+v", took, a)
	}
}

// As many streams as a caller may have are open, and no more.
func TestRouteStreamsAreBounded(t *testing.T) {
	r := startRouted(t)
	limits := gateway.Default().Limits
	limits.StreamsPerLogin = 1
	r.SetLimits(limits)
	opened := make(chan *events, 1)
	go func() { opened <- r.stream(http.MethodPost, "/v1/transfers/p2p", `{}`) }()
	h := r.next(t)
	h.answer(202, "", "")
	s := <-opened
	v, _ := s.next()
	var task struct{ ID, Location string }
	_ = json.Unmarshal([]byte(v.data), &task)
	wantReply(t, got(t, r.post(`{}`, "Accept", "text/event-stream")), 429, "")
	wantReply(t, r.do(http.MethodGet, task.Location, "", "Accept", "text/event-stream"), 429, "")
	want(t, r.report(h, `1`), 200, `{}`)
	s.want("end", "result", `1`)
	s.wantEnd()
	again := r.stream(http.MethodGet, task.Location, "")
	again.want("0", "accepted", "")
	again.want("end", "result", `1`)
	again.wantEnd()
}

// An engine that fails is asked again to cancel a task; nobody waits for it.
func TestRouteCancelIsAskedAgain(t *testing.T) {
	r := startRouted(t, func(_ *rest.RouteConfig, e *httpengine.Config) {
		e.Cancel = httpengine.Cancel{URL: strings.TrimSuffix(e.URL, "/hooks/{kind}") + "/stop/{task}"}
	})
	reply := r.post(`{}`, "Prefer", "respond-async")
	r.next(t).answer(202, "", "")
	location := got(t, reply).header.Get("Location")
	wantReply(t, r.do(http.MethodPut, location, `{"status":"cancelled"}`, "Content-Type", "application/json"), 202, "")
	first := r.next(t)
	if first.path != "/stop/"+strings.TrimPrefix(location, "/tasks/") {
		t.Errorf("%s", first.path)
	}
	first.answer(503, "", "")
	r.next(t).answer(200, "", "")
	wantReply(t, r.do(http.MethodPut, location, `{"status":"paused"}`, "Content-Type", "application/json"), 422, "")
}
