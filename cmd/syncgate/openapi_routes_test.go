package main_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"syncgate/signer"
)

const describedDir = "../../openapi/"

// gate starts a gateway with the configuration that openapi/routes.yaml describes, and with these engines in the place of its own.
func (d *described) gate(t *testing.T, env ...string) (g *gate, c *client) {
	t.Helper()
	text, err := os.ReadFile(describedDir + "example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs(describedDir)
	if err != nil {
		t.Fatal(err)
	}
	public := free(t, 1)[0]
	all := strings.NewReplacer(
		"https://flow.example.com", d.URL+"/flow", "https://rates.example.com", d.URL+"/rates", "https://vault.example.com", d.URL+"/vault",
		"https://api.example.com", d.URL+"/corezoid", "schema: ", "schema: "+dir+"/", "https://sync.example.com", "http://"+public,
		"an-example-of-a-secret", secret,
	).Replace(string(text))
	config := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(config, []byte(all), 0o600); err != nil {
		t.Fatal(err)
	}
	env = append([]string{
		"SYNCGATE_CONFIG=" + config, "SYNCGATE_NOTIFY_ALLOW_HTTP=true", "SYNCGATE_NOTIFY_ALLOW_NETWORKS=127.0.0.0/8", "SYNCGATE_LISTEN_BODY_TIMEOUT=1s",
	}, env...)
	g = serve(t, public, env...)
	if d.spec == nil {
		describe := exec.Command("syncgate", "openapi", "--config", config)
		describe.Env = append(os.Environ(), env...)
		said, err := describe.Output()
		if err != nil {
			t.Fatalf("syncgate openapi: %v", err)
		}
		s := newSpec(t, said)
		d.mu.Lock()
		d.spec = s
		d.mu.Unlock()
	}
	c = caller(t, public, 20)
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return g, c
}

// request is how a route of the configuration is called.
type request struct {
	name, method, path, body string
	signs                    bool
	headers                  []string
}

// basic is the header of a user with a password.
func basic(user, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

const (
	shopKey    = "X-Api-Key: an-example-of-a-key"
	browserKey = "X-Api-Key: pk-shop"
)

// requests are those of all routes.
func requests() map[string]request {
	all := []request{
		{"transfers", "POST", "/v1/transfers/card", `{"amount":12.5,"to":"DE89370400440532013000"}`, false, []string{"Authorization: Bearer an-example-of-a-key"}},
		{"reports", "POST", "/v1/reports/daily", `{"pages":4}`, false, []string{basic("office", "another-example-of-a-password")}},
		{"rates", "GET", "/v1/rates", "", false, nil},
		{"feeds", "POST", "/v1/feeds", `{"feed":"shoes"}`, false, []string{shopKey}},
		{"signed", "POST", "/v1/signed", `{"n":1}`, true, nil},
		{"containers", "POST", "/v1/containers", `{"weight":12}`, false, []string{shopKey, "X-COREOS-REQUEST-ID: 1", "X-COREOS-TID: acme", "X-COREOS-ACCESS: a-token"}},
	}
	named := make(map[string]request)
	for _, r := range all {
		named[r.name] = r
	}
	return named
}

// signature signs a body as Corezoid does.
func signature(body string) string {
	now := strconv.FormatInt(time.Now().Unix(), 10)
	return "/" + login + "/" + now + "/" + string(signer.AppendSignature(nil, []byte(now), []byte(secret), []byte(body)))
}

// target gives the path to ask.
func (r request) target() string {
	if r.signs {
		return r.path + signature(r.body)
	}
	return r.path
}

// with gives the headers, and more.
func (r request) with(headers ...string) []string { return append(slices.Clone(r.headers), headers...) }

// call sends it, and wants a status.
func (r request) call(s *spec, c *client, status int, headers ...string) answer {
	s.t.Helper()
	return s.wants(status, c, r.method, r.target(), r.body, r.with(headers...)...)
}

// task asks about a task of it.
func (r request) task(s *spec, c *client, status int, method, task, body string, headers ...string) answer {
	s.t.Helper()
	if r.signs {
		at, query, asks := strings.Cut(task, "?")
		task = at + signature(body)
		if asks {
			task += "?" + query
		}
	}
	return s.wants(status, c, method, task, body, r.with(headers...)...)
}

// begun has a task made that its client comes back for, and that the engine does not end, and gives its path.
func (d *described) begun(s *spec, c *client, r request) string {
	s.t.Helper()
	d.now("never")
	a := s.wants(202, c, r.method, r.target(), r.body, r.with("Prefer: respond-async")...)
	_, path, ok := strings.Cut(a.header.Get("Location"), "/tasks/")
	if !ok {
		s.t.Fatalf("%s: Location: %s", r.name, a.header.Get("Location"))
	}
	return "/tasks/" + path
}

// raw sends bytes, and gives the answer to them.
func raw(t *testing.T, address, text string) (a answer, err error) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return a, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprint(conn, text); err != nil {
		return a, err
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return a, err
	}
	defer r.Body.Close()
	var body strings.Builder
	_, err = bufio.NewReader(r.Body).WriteTo(&body)
	return answer{r.StatusCode, r.Header, body.String(), r.Close}, err
}

// broken sends to each operation what no HTTP server takes, whatever the operation is for.
func (s *spec) broken(c *client) {
	s.t.Helper()
	address := strings.TrimPrefix(c.url, "http://")
	filled := strings.NewReplacer("{version}", "1", "{login}", login, "{time}", "1", "{signature}", strings.Repeat("0", 40), "{id}", "x", "{task}", "x", "{uuid}", "x", "{kind}", "card", "{name}", "x")
	var all sync.WaitGroup
	for _, name := range s.operations() {
		method, path, _ := strings.Cut(name, " ")
		target := filled.Replace(path)
		for status, head := range map[int]string{
			400: "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
			408: "Content-Length: 100\r\n\r\n{",
			413: "Content-Length: 99999999\r\n\r\n{",
			431: "X-Large: " + strings.Repeat("x", 17<<10) + "\r\n\r\n",
		} {
			all.Go(func() {
				a, err := raw(s.t, address, method+" "+target+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+head)
				if err != nil || a.status != status {
					s.t.Errorf("%s: %d %s (%v), want %d", name, a.status, a.body, err, status)
					return
				}
				s.check(exchange{method, target, nil, "", a})
			})
		}
	}
	all.Wait()
}

// TestDescribedRoutes holds the description of the routes in openapi/example.yaml against a gateway with this configuration: each operation is asked for
// each answer that the description has.
func TestDescribedRoutes(t *testing.T) {
	t.Parallel()
	d := newDescribed(t)
	g, c := d.gate(t)
	s := d.spec
	t.Run("calls", func(t *testing.T) { d.calledWell(s, c) })
	t.Run("refusals", func(t *testing.T) { d.calledBadly(s, c) })
	t.Run("subscriptions", func(t *testing.T) { d.subscribed(s, c) })
	t.Run("tasks", func(t *testing.T) { d.asked(s, c) })
	t.Run("methods", func(t *testing.T) {
		for _, target := range []string{
			"/v1/transfers/card", "/v1/reports/daily", "/v1/rates", "/v1/feeds", "/v1/feeds/tasks", "/v1/feeds/tasks/x", "/v1/signed/1/2/3", "/v1/containers",
			"/tasks/x", "/tasks/x/status", "/tasks/x/result", "/tasks/x/events", "/tasks/x/1/2/3", "/tasks/x/status/1/2/3", "/tasks/x/result/1/2/3", "/tasks/x/events/1/2/3",
		} {
			s.methods(c, target)
		}
		if n := len(s.root.in("paths").object); n != 16 {
			t.Errorf("the description has %d paths", n)
		}
	})
	t.Run("broken", func(t *testing.T) { s.broken(c) })
	t.Run("callbacks", func(t *testing.T) { d.calledBack(s) })
	late := d.last()
	g.stop()
	t.Run("limits", func(t *testing.T) { d.limited(t, s) })
	t.Run("gone", func(t *testing.T) { d.gone(t, s, late) })
	t.Run("Redis", func(t *testing.T) { d.unavailable(t, s) })
	s.complete("500")
	for name := range s.root.in("webhooks").object {
		for method := range s.root.in("webhooks", name).object {
			_, calls := s.hook(name, method)
			s.wantSeen("callback", calls, []string{"500"})
		}
	}
}

// calledWell calls each route as a client does, and its task comes to all that it can.
func (d *described) calledWell(s *spec, c *client) {
	for _, r := range requests() {
		d.now("result")
		a := r.call(s, c, 200, "Prefer: wait=20", "Idempotency-Key: "+r.name)
		if a.header.Get("Preference-Applied") != "wait=20" {
			s.t.Errorf("%s: Preference-Applied: %s", r.name, a.header.Get("Preference-Applied"))
		}
		r.call(s, c, 200, "Accept: text/event-stream")
		d.begun(s, c, r)
		for acts, status := range map[string]int{"cancel": 409, "error": 502, "broken": 502} {
			d.now(acts)
			r.call(s, c, status, "Prefer: wait=20")
		}
		d.now("refuse")
		r.call(s, c, 418, "Prefer: wait=20")
		d.now("status")
		if r.name == "containers" || r.name == "rates" { // where the header says nothing
			r.call(s, c, 200, "Prefer: wait=20")
		} else {
			r.call(s, c, 207, "Prefer: wait=20")
		}
	}
	d.now("never")
	var wait sync.WaitGroup
	for _, r := range requests() {
		wait.Go(func() { r.call(s, c, 303, "Prefer: redirect, wait=1") })
	}
	wait.Go(func() { requests()["rates"].call(s, c, 504, "Prefer: wait=1") })
	wait.Wait()
	all := requests()
	d.now("final")
	all["rates"].call(s, c, 200)
	d.now("format_error")
	all["transfers"].call(s, c, 502)
	d.now("result")
	all["feeds"].call(s, c, 202)
	s.wants(200, c, "POST", "/v1/transfers/card", all["transfers"].body, browserKey, "Origin: https://shop.example.com")
	d.now("never")
	all["reports"].call(s, c, 202, "Prefer: respond-async", "Accept: application/hal+json")
	d.now("result")
	d.pushed(s, c, all["containers"], 202, `{"weight":12,"callback":{"url":"`+d.URL+`/receiver","meta":{"n":1}}}`, "application/json", "X-COREOS-CALLBACK-SECRET: its-secret")
	d.pushed(s, c, all["feeds"], 202, `{"feed":"shoes","callbackUrl":"`+d.URL+`/receiver","secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZg=="}`, "application/hal+json")
}

// pushed sends a request whose result goes to the receiver.
func (d *described) pushed(s *spec, c *client, r request, status int, body, kind string, headers ...string) answer {
	s.t.Helper()
	a := s.wants(status, c, r.method, r.path, body, r.with(headers...)...)
	select {
	case got := <-d.heard:
		if !strings.HasPrefix(got, kind+" ") {
			s.t.Errorf("the receiver hears %s", got)
		}
	case <-time.After(patience):
		s.t.Fatal("the receiver hears nothing")
	}
	return a
}

// calledBadly calls each route as it cannot be called.
func (d *described) calledBadly(s *spec, c *client) {
	d.now("result")
	for _, r := range requests() {
		r.call(s, c, 400, "Idempotency-Key: a b")
		r.call(s, c, 415, "Content-Encoding: gzip")
		again := r
		again.path += "?n=2" // of a request that was sent with this key before
		if r.signs {
			again.path, again.body = r.path, `{"n":2}`
		}
		again.call(s, c, 422, "Idempotency-Key: "+r.name)
		switch {
		case r.signs:
			s.wants(401, c, r.method, r.path+"/"+login+"/1700000000/"+strings.Repeat("0", 40), r.body)
		case r.name != "rates":
			s.wants(401, c, r.method, r.path, r.body, slices.DeleteFunc(r.with(), func(h string) bool { return strings.HasPrefix(h, "Authorization") || strings.HasPrefix(h, "X-Api-Key") })...)
		}
	}
	all := requests()
	s.wants(403, c, "POST", "/v1/transfers/card", all["transfers"].body, browserKey)
	s.wants(403, c, "POST", "/v1/reports/daily", "{}", basic("shop", "an-example-of-a-password"))
	all["feeds"].call(s, c, 406, "Accept: image/png")
	s.wants(403, c, "POST", "/v1/feeds", `{"feed":"shoes","callbackUrl":"https://192.168.1.7/"}`, shopKey)
	body := `{"weight":12,"callback":"https://192.168.1.7/"}`
	s.wants(403, c, "POST", "/v1/containers", body, all["containers"].headers...)
	s.wants(400, c, "POST", "/v1/containers", `{}`, shopKey)
	for _, wrong := range []string{`{}`, `{"amount":0,"to":"DE89370400440532013000"}`, `{"amount":1,"to":"x"}`, `{"amount":1,"to":"DE89370400440532013000","x":1}`, `[]`} {
		status := 422
		if wrong == `[]` {
			status = 400
		}
		s.wants(status, c, "POST", "/v1/transfers/card", wrong, all["transfers"].headers...)
		if !s.refusesBody("POST", "/v1/transfers/card", wrong) {
			s.t.Errorf("the gateway refuses %s, and the description does not", wrong)
		}
	}
}

// subscribed makes, reads and cancels subscriptions.
func (d *described) subscribed(s *spec, c *client) {
	const path = "/v1/feeds/tasks"
	d.now("result")
	feeds := requests()["feeds"]
	feeds.path = path
	a := d.pushed(s, c, feeds, 201, `{"feed":"shoes","callbackUrl":"`+d.URL+`/receiver"}`, "application/hal+json")
	_, once, _ := strings.Cut(a.header.Get("Location"), c.url)
	eventually(s.t, "the subscription has ended", func() bool {
		return strings.Contains(s.wants(200, c, "GET", once, "", shopKey).body, `"status":"completed"`)
	})
	continuous := `{"mode":"continuous","callbackUrl":"` + d.URL + `/receiver","secret":"whsec_MDEyMzQ1Njc4OWFiY2RlZg=="}`
	a = s.wants(201, c, "POST", path, continuous, shopKey)
	var made struct{ UUID string }
	if err := json.Unmarshal([]byte(a.body), &made); err != nil {
		s.t.Fatal(err)
	}
	one := path + "/" + made.UUID
	for _, h := range [][]string{{"401"}, {"403", browserKey}, {"406", shopKey, "Accept: image/png"}} {
		status, _ := strconv.Atoi(h[0])
		s.wants(status, c, "GET", one, "", h[1:]...)
		s.wants(status, c, "PUT", one, `{"status":"cancelled"}`, h[1:]...)
		s.wants(status, c, "POST", path, continuous, h[1:]...)
	}
	s.wants(404, c, "GET", path+"/0b0b0b0b-0b0b-0b0b-8b0b-0b0b0b0b0b0b", "", shopKey)
	s.wants(400, c, "PUT", one, `{"status":`, shopKey)
	s.wants(422, c, "PUT", one, `{"status":"done"}`, shopKey)
	s.wants(202, c, "PUT", one, `{"UUID":"`+made.UUID+`","status":"cancelled"}`, shopKey)
	s.wants(403, c, "PUT", one, "", shopKey)
	for status, headers := range map[int][]string{400: {shopKey, "Idempotency-Key: a b"}, 415: {shopKey, "Content-Encoding: gzip"}} {
		s.wants(status, c, "POST", path, continuous, headers...)
	}
	s.wants(403, c, "POST", path, `{"feed":"shoes"}`, shopKey)
	s.wants(422, c, "POST", path, `{"callbackUrl":"`+d.URL+`/receiver"}`, shopKey)
	for acts, status := range map[string]int{"refuse": 418, "broken": 502} {
		d.now(acts)
		s.wants(status, c, "POST", path, `{"feed":"shoes","callbackUrl":"`+d.URL+`/receiver"}`, shopKey)
	}
}
