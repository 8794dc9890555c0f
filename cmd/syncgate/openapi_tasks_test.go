package main_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"syncgate/internal/redistest"
)

// forms are the paths of a task.
func forms() []string { return []string{"", "/status", "/result", "/events"} }

// asked asks about tasks, of each kind of path, in all that can become of them.
func (d *described) asked(s *spec, c *client) {
	all := requests()
	for _, name := range []string{"reports", "signed", "transfers", "rates", "containers"} {
		d.askedOf(s, c, all[name])
	}
	// In hal+json.
	for _, r := range []request{all["transfers"], all["feeds"], all["signed"]} {
		accept := "Accept: application/hal+json"
		running := d.begun(s, c, r)
		r.task(s, c, 200, "GET", running, "", accept)
		r.task(s, c, 202, "DELETE", running, "", accept)
		r.task(s, c, 200, "GET", running, "", accept) // the problem
		done := d.begun(s, c, r)
		d.ends("result")
		r.task(s, c, 303, "GET", done, "", accept, "Prefer: wait=20")
	}
	feed := d.begun(s, c, all["feeds"])
	all["feeds"].task(s, c, 406, "GET", feed, "", "Accept: image/png")
	// Of somebody else.
	report := d.begun(s, c, all["reports"])
	for _, form := range forms() {
		s.wants(401, c, "GET", report+form, "")
		s.wants(403, c, "GET", report+form, "", browserKey)
		s.wants(404, c, "GET", report+form, "", shopKey)
	}
	for status, headers := range map[int][]string{401: nil, 403: {browserKey}, 404: {shopKey}} {
		s.wants(status, c, "DELETE", report, "", headers...)
		s.wants(status, c, "PUT", report, `{"status":"cancelled"}`, headers...)
	}
	d.stream(s, c)
}

// askedOf asks about tasks of a route.
func (d *described) askedOf(s *spec, c *client, r request) {
	running := d.begun(s, c, r)
	var wait sync.WaitGroup
	wait.Go(func() { r.task(s, c, 202, "GET", running, "", "Prefer: wait=1") })
	wait.Go(func() { r.task(s, c, 200, "GET", running+"/status", "", "Prefer: wait=1") })
	wait.Go(func() { r.task(s, c, 303, "GET", running+"?hop=1&wait=1", "") })
	wait.Go(func() { r.task(s, c, 200, "GET", running, "", "Accept: text/event-stream", "Prefer: wait=1") })
	wait.Go(func() { r.task(s, c, 200, "GET", running+"/events", "", "Prefer: wait=1") })
	wait.Wait()
	r.task(s, c, 202, "GET", running+"/result", "")
	r.task(s, c, 204, "GET", running, "", "Accept: text/event-stream", "Last-Event-ID: end")
	r.task(s, c, 204, "GET", running+"/events", "", "Last-Event-ID: end")
	r.task(s, c, 400, "PUT", running, `{"status":`)
	r.task(s, c, 422, "PUT", running, `{"status":"done"}`)
	r.task(s, c, 202, "PUT", running, `{"status":"cancelled"}`)
	for _, form := range []string{"", "/result"} {
		r.task(s, c, 409, "GET", running+form, "")
	}
	r.task(s, c, 409, "PUT", running, `{"status":"cancelled"}`)
	r.task(s, c, 409, "DELETE", running, "")
	running = d.begun(s, c, r)
	r.task(s, c, 202, "DELETE", running, "")
	done := d.begun(s, c, r)
	d.ends("result")
	r.task(s, c, 200, "GET", done, "", "Prefer: wait=20")
	for _, form := range forms() {
		r.task(s, c, 200, "GET", done+form, "")
		if r.signs {
			s.wants(401, c, "GET", done+form+"/"+login+"/1700000000/"+strings.Repeat("0", 40), "")
		}
		r.task(s, c, 404, "GET", "/tasks/"+strings.Repeat("A", 64)+form, "")
	}
	r.task(s, c, 404, "DELETE", "/tasks/"+strings.Repeat("A", 64), "")
	r.task(s, c, 404, "PUT", "/tasks/"+strings.Repeat("A", 64), `{"status":"cancelled"}`)
	if r.signs {
		s.wants(401, c, "DELETE", done+"/"+login+"/1700000000/"+strings.Repeat("0", 40), "")
		s.wants(401, c, "PUT", done+"/"+login+"/1700000000/"+strings.Repeat("0", 40), `{"status":"cancelled"}`)
	}
	failed := d.begun(s, c, r)
	d.ends("error")
	r.task(s, c, 502, "GET", failed, "", "Prefer: wait=20")
	for form, status := range map[string]int{"/status": 200, "/result": 502, "/events": 200} {
		r.task(s, c, status, "GET", failed+form, "")
	}
	if r.name == "rates" || r.name == "containers" { // where the engine gives no status
		return
	}
	own := d.begun(s, c, r)
	d.ends("status")
	r.task(s, c, 207, "GET", own, "", "Prefer: wait=20")
	r.task(s, c, 207, "GET", own+"/result", "")
}

// stream opens the URL of a task's events, which needs no key, and has the engine report progress meanwhile.
func (d *described) stream(s *spec, c *client) {
	d.now("never")
	r := requests()["reports"]
	a := r.call(s, c, 202, "Prefer: respond-async")
	var task struct{ ID, Stream string }
	if err := json.Unmarshal([]byte(a.body), &task); err != nil {
		s.t.Fatal(err)
	}
	d.call(200, d.last(), `{"state":"busy","percent":40}`, "Content-Type: application/json")
	if a := r.task(s, c, 200, "GET", "/tasks/"+task.ID+"/status", ""); !strings.Contains(a.body, `"percentComplete":40`) {
		s.t.Errorf("the status is %s", a.body)
	}
	d.call(200, d.last(), `{"state":"done","pages":4}`, "Content-Type: application/json")
	u, err := url.Parse(task.Stream)
	if err != nil {
		s.t.Fatal(err)
	}
	if a := s.wants(200, c, "GET", u.Path+"?"+u.RawQuery, ""); !strings.Contains(a.body, "event: progress") || !strings.Contains(a.body, "event: result") {
		s.t.Errorf("the stream is %s", a.body)
	}
}

// calledBack calls a callback URL as it cannot be called, and again.
func (d *described) calledBack(s *spec) {
	task := d.last()
	const kind = "Content-Type: application/json"
	d.call(200, task, `{"state":"done"}`, kind) // it was called before
	d.call(400, task, `{`, kind)
	d.call(400, task, `{}`, kind, "X-Callback-Status: perhaps")
	d.call(415, task, `{}`, kind, "Content-Encoding: gzip")
	u, err := url.Parse(task.callback)
	if err != nil {
		s.t.Fatal(err)
	}
	for status, head := range map[int]string{
		408: "Content-Length: 100\r\n\r\n{", 413: "Content-Length: 99999999\r\n\r\n{", 431: "X-Large: " + strings.Repeat("x", 17<<10) + "\r\n\r\n",
	} {
		a, err := raw(s.t, u.Host, "POST "+u.Path+" HTTP/1.1\r\nHost: x\r\n"+head)
		if err != nil || a.status != status {
			s.t.Errorf("a callback is answered with %d %s (%v), want %d", a.status, a.body, err, status)
			continue
		}
		s.checkAnswer("callback", task.calls, a)
	}
	task.callback = task.callback[:len(task.callback)-1]
	d.call(404, task, `{}`, kind)
}

// limited reaches limits.
func (d *described) limited(t *testing.T, s *spec) {
	g, c := d.gate(t, "SYNCGATE_LIMITS_STREAMS_PER_LOGIN=1", "SYNCGATE_LIMITS_PARKED_PER_LOGIN=1")
	d.now("never")
	all := requests()
	for _, name := range []string{"containers", "reports", "rates", "signed"} { // each for another login
		r := all[name]
		req, err := http.NewRequestWithContext(t.Context(), r.method, c.url+r.target(), strings.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range r.with("Accept: text/event-stream", "Content-Type: application/json", "Prefer: wait=60") {
			name, value, _ := strings.Cut(h, ": ")
			req.Header.Set(name, value)
		}
		stream, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Body.Close()
		part := make([]byte, 4<<10)
		n, err := stream.Body.Read(part)
		_, after, _ := strings.Cut(string(part[:n]), `"id":"`)
		id, _, _ := strings.Cut(after, `"`)
		if err != nil || id == "" {
			t.Fatalf("%s: the stream begins with %s (%v)", r.name, part[:n], err)
		}
		r.call(s, c, 429, "Prefer: wait=1")
		if name != "containers" {
			r.task(s, c, 429, "GET", "/tasks/"+id+"/events", "")
			r.task(s, c, 429, "GET", "/tasks/"+id, "", "Accept: text/event-stream")
		}
	}
	all["transfers"].call(s, c, 429)
	all["feeds"].call(s, c, 429)
	s.wants(429, c, "POST", "/v1/feeds/tasks", `{"feed":"shoes","callbackUrl":"`+d.URL+`/receiver"}`, shopKey)
	_ = g.process.Process.Kill()
}

// gone asks for results that are kept no more. late is a callback URL of another process, of which this one knows nothing.
func (d *described) gone(t *testing.T, s *spec, late taskAtEngine) {
	_, c := d.gate(t, "SYNCGATE_RESULTS_RETENTION=1s")
	d.now("result")
	all := requests()
	var wait sync.WaitGroup
	for _, name := range []string{"reports", "signed"} {
		r := all[name]
		task := d.begun(s, c, r)
		d.ends("result")
		wait.Go(func() {
			eventually(t, "the result is gone", func() bool {
				target := task
				if r.signs {
					target += signature("")
				}
				return s.sent(c, "GET", target, "", r.headers...).status == 410
			})
			for _, form := range forms() {
				r.task(s, c, 410, "GET", task+form, "")
			}
			r.task(s, c, 410, "DELETE", task, "")
			r.task(s, c, 410, "PUT", task, `{"status":"cancelled"}`)
		})
	}
	wait.Wait()
	u, err := url.Parse(late.callback)
	if err != nil {
		t.Fatal(err)
	}
	late.callback = c.url + u.Path
	d.call(410, late, `{}`, "Content-Type: application/json")
}

// unavailable takes the store away while clients wait.
func (d *described) unavailable(t *testing.T, s *spec) {
	r := redistest.StartTCP(t)
	g, c := d.gate(t, "SYNCGATE_CORRELATOR_BACKEND=redis", "SYNCGATE_CORRELATOR_REDIS_URL="+r.URL())
	eventually(t, "it is ready", func() bool { return g.ready() == 200 })
	all := requests()
	d.now("never")
	report, signed := d.begun(s, c, all["reports"]), d.begun(s, c, all["signed"])
	last := d.last()
	topic := s.wants(201, c, "POST", "/v1/feeds/tasks", `{"feed":"shoes","topic":true}`, shopKey)
	var made struct{ UUID string }
	if err := json.Unmarshal([]byte(topic.body), &made); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for _, name := range []string{"transfers", "reports", "rates", "signed", "containers"} {
		wait.Go(func() { all[name].call(s, c, 504, "Prefer: wait=5") })
	}
	eventually(t, "they wait", func() bool { return g.metric("syncgate_parked_clients") == 5 })
	r.Kill()
	eventually(t, "it is not ready", func() bool { return g.ready() != 200 })
	wait.Wait()
	for _, r := range all {
		r.call(s, c, 503)
	}
	s.wants(503, c, "POST", "/v1/feeds/tasks", `{"mode":"continuous","callbackUrl":"`+d.URL+`/receiver"}`, shopKey)
	s.wants(503, c, "GET", "/v1/feeds/tasks/"+made.UUID, "", shopKey)
	s.wants(503, c, "PUT", "/v1/feeds/tasks/"+made.UUID, "", shopKey)
	for task, r := range map[string]request{report: all["reports"], signed: all["signed"]} {
		for _, form := range forms() {
			r.task(s, c, 503, "GET", task+form, "")
		}
		r.task(s, c, 503, "DELETE", task, "")
		r.task(s, c, 503, "PUT", task, `{"status":"cancelled"}`)
	}
	d.call(503, last, `{}`, "Content-Type: application/json")
	_ = g.process.Process.Kill()
}
