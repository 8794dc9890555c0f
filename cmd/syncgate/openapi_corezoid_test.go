package main_test

import (
	"encoding/json"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"syncgate/internal/redistest"
)

const (
	cork  = `{"timeout":1,"ops":[{"conv_id":1234,"type":"create","obj":"task","ref":"order-1","data":{"param":1}}]}`
	plain = `{"ops":[{"conv_id":1234,"type":"create","obj":"task","ref":"order-1","data":{"param":1}}]}`
)

// corezoidGate starts a gateway for packages alone.
func (d *described) corezoidGate(t *testing.T, env ...string) (*gate, *client) {
	t.Helper()
	public := free(t, 1)[0]
	g := serve(t, public, append([]string{
		"SYNCGATE_ENGINE_URL=" + d.URL + "/corezoid", "SYNCGATE_TIMEOUTS_DEFAULT=3s", "SYNCGATE_LISTEN_BODY_TIMEOUT=1s",
		"SYNCGATE_CORS_ORIGINS=https://shop.example.com", "SYNCGATE_CORS_ENFORCE=true", "SYNCGATE_CALLBACK_KEYS=an-example-of-a-key-that-nobody-uses",
	}, env...)...)
	return g, caller(t, public, 20)
}

// ways are how a package can be signed: in the path of either version, and in headers.
func ways(body string) map[string][]string {
	parts := strings.Split(signature(body), "/")
	return map[string][]string{
		"/api/1/json" + signature(body): nil,
		"/api/2/json" + signature(body): nil,
		"/api/1/json":                   {"X-Syncgate-Login: " + parts[1], "X-Syncgate-Time: " + parts[2], "X-Syncgate-Signature: " + parts[3]},
	}
}

// packaged sends a package in each way, and wants a status. The answers are the same but for what has a clock.
func (s *spec) packaged(c *client, status int, body string, headers ...string) (last answer) {
	s.t.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	for target, signed := range ways(body) {
		all.Go(func() {
			a := s.wants(status, c, "POST", target, body, append(signed, headers...)...)
			mu.Lock()
			defer mu.Unlock()
			last = a
		})
	}
	all.Wait()
	return last
}

// TestDescribedCorezoid holds the description of Corezoid's Sync API against a gateway.
func TestDescribedCorezoid(t *testing.T) {
	t.Parallel()
	text, err := exec.Command("syncgate", "openapi", "corezoid").Output()
	if err != nil {
		t.Fatal(err)
	}
	d, s := newDescribed(t), newSpec(t, text)
	d.spec = s
	g, c := d.corezoidGate(t)
	d.now("result")
	for _, example := range s.examples() {
		s.packaged(c, 200, example)
	}
	s.packaged(c, 200, plain)
	s.packaged(c, 200, `{"ops":{"conv_id":"1234","type":"create","obj":"task","data":[]},"timeout":"2"}`)
	s.packaged(c, 200, `{"ops":[{"type":"delete","obj":"conv","id":7},{"conv_id":1,"type":"modify","obj":"task","ref":"a","data":{}}]}`)
	s.packaged(c, 200, plain, "Idempotency-Key: first")
	s.packaged(c, 422, cork[:len(cork)-2]+`,{"type":"create","obj":"task"}]}`, "Idempotency-Key: first")
	for acts, status := range map[string]int{"error": 200, "cancel": 200, "format_error": 200, "refuse": 418, "broken": 502} {
		d.now(acts)
		s.packaged(c, status, plain)
	}
	d.now("never")
	var late answer
	var wait sync.WaitGroup
	wait.Go(func() { late = s.packaged(c, 200, cork) })
	wait.Go(func() { s.packaged(c, 504, plain) })
	wait.Wait()
	for status, headers := range map[int][]string{400: {"Idempotency-Key: a b"}, 403: {"Origin: https://evil.example.com"}, 415: {"Content-Encoding: gzip"}} {
		s.packaged(c, status, plain, headers...)
	}
	s.packaged(c, 400, `{"ops":[]}`)
	if !s.refusesBody("POST", "/api/1/json", `{"ops":[]}`) || !s.refusesBody("POST", "/api/1/json", `{"ops":[{"type":"create","obj":"task","data":"x"}]}`) {
		t.Error("the description has packages that the gateway refuses")
	}
	s.wants(401, c, "POST", "/api/1/json/12345/1700000000/"+strings.Repeat("0", 40), plain)
	s.wants(401, c, "POST", "/api/1/json", plain)
	d.fetched(s, c, late.header.Get("Location"))
	d.calledBack(s)
	d.calledInForms(t, s, c)
	for _, target := range []string{"/api/1/json/1/2/3", "/api/2/json/1/2/3", "/api/1/json", "/api/1/tasks/x", "/api/1/tasks/x/1/2/3", "/healthz", "/readyz"} {
		s.methods(c, target)
	}
	if n := len(s.root.in("paths").object); n != 6 {
		t.Errorf("the description has %d paths", n)
	}
	s.wants(200, c, "GET", "/healthz", "")
	s.wants(200, c, "GET", "/readyz", "")
	s.broken(c)
	before := d.last()
	g.stop()
	d.limitedPackages(t, s)
	d.packagesGone(t, s, before)
	d.packagesUnavailable(t, s)
	s.complete("500")
	_, calls := s.hook("package", "post")
	s.wantSeen("callback", calls, []string{"500"})
}

// examples gives the examples of packages.
func (s *spec) examples() (all []string) {
	named := s.operation("POST", "/api/{version}/json").in("requestBody", "content", "application/json", "examples")
	for name := range named.object {
		text, err := json.Marshal(named.in(name).object["value"])
		if err != nil {
			s.t.Error(err)
		}
		all = append(all, string(text))
	}
	if len(all) < 2 {
		s.t.Errorf("there are %d examples of packages", len(all))
	}
	return all
}

// fetched asks for a result that has not come in time, and then comes.
func (d *described) fetched(s *spec, c *client, location string) {
	s.t.Helper()
	task := strings.TrimPrefix(location, "/api/1/tasks/")
	if task == location {
		s.t.Fatalf("Location: %q", location)
	}
	signed := location + signature("")
	for _, target := range []string{location, signed} {
		s.wants(202, c, "GET", target, "", "Prefer: wait=1")
		s.wants(403, c, "GET", target, "", "Origin: https://evil.example.com")
		s.wants(404, c, "GET", strings.Replace(target, task, strings.Repeat("A", 64), 1), "")
	}
	s.wants(401, c, "GET", location+"/12345/1700000000/"+strings.Repeat("0", 40), "")
	s.wants(401, c, "GET", location, "", "X-Syncgate-Login: 12345")
	d.now("result")
	a := s.packaged(c, 200, plain, "Idempotency-Key: kept")
	for _, target := range []string{a.header.Get("Location"), a.header.Get("Location") + signature("")} {
		s.wants(200, c, "GET", target, "")
	}
}

// calledInForms has the engine call back in the forms that the description has.
func (d *described) calledInForms(t *testing.T, s *spec, c *client) {
	for kind, body := range map[string]string{
		"application/json": `{"ops":[{"type":"data","ref":"order-1","obj_id":"5","extra":{"a":1}}]}`, "application/x-www-form-urlencoded": "a=1", "text/xml": "<r>1</r>", "text/plain": `[1]`,
	} {
		d.now("never")
		var wait sync.WaitGroup
		wait.Go(func() {
			a := s.wants(200, c, "POST", "/api/1/json"+signature(cork), cork)
			if !strings.Contains(a.body, `"proc":"ok"`) {
				t.Errorf("a callback of the type %s: %s", kind, a.body)
			}
		})
		before := d.last().callback
		eventually(t, "the engine has the task", func() bool { return d.last().callback != before })
		d.call(200, d.last(), body, "Content-Type: "+kind)
		wait.Wait()
	}
}

// limitedPackages reaches the limit of a login.
func (d *described) limitedPackages(t *testing.T, s *spec) {
	g, c := d.corezoidGate(t, "SYNCGATE_LIMITS_PARKED_PER_LOGIN=1")
	d.now("never")
	var wait sync.WaitGroup
	wait.Go(func() { s.wants(504, c, "POST", "/api/1/json"+signature(plain), plain) })
	eventually(t, "a client waits", func() bool { return g.metric("syncgate_parked_clients") == 1 })
	s.packaged(c, 429, plain)
	wait.Wait()
}

// packagesGone asks for what is kept no more. before is a callback of another process.
func (d *described) packagesGone(t *testing.T, s *spec, before taskAtEngine) {
	_, c := d.corezoidGate(t, "SYNCGATE_RESULTS_RETENTION=1s")
	d.now("result")
	a := s.packaged(c, 200, plain, "Idempotency-Key: short")
	location := a.header.Get("Location")
	eventually(t, "the result is gone", func() bool { return s.sent(c, "GET", location, "").status == 410 })
	s.wants(410, c, "GET", location+signature(""), "")
	u, err := url.Parse(before.callback)
	if err != nil {
		t.Fatal(err)
	}
	before.callback = c.url + u.Path
	d.call(410, before, `{}`, "Content-Type: application/json")
}

// packagesUnavailable takes Redis away.
func (d *described) packagesUnavailable(t *testing.T, s *spec) {
	r := redistest.StartTCP(t)
	g, c := d.corezoidGate(t, "SYNCGATE_CORRELATOR_BACKEND=redis", "SYNCGATE_CORRELATOR_REDIS_URL="+r.URL())
	eventually(t, "it is ready", func() bool { return g.ready() == 200 })
	d.now("never")
	location := s.wants(200, c, "POST", "/api/1/json"+signature(cork), cork).header.Get("Location")
	last := d.last()
	r.Kill()
	eventually(t, "it takes no package", func() bool { return s.sent(c, "POST", "/api/1/json"+signature(cork), cork).status == 503 })
	s.packaged(c, 503, plain)
	s.wants(503, c, "GET", location, "")
	s.wants(503, c, "GET", location+signature(""), "")
	s.wants(503, c, "GET", "/readyz", "")
	d.call(503, last, `{}`, "Content-Type: application/json")
	_ = g.process.Process.Kill()
}
