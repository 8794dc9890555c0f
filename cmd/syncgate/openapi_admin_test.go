package main_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"syncgate/internal/redistest"
)

// TestDescribedAdmin holds the description of the admin listener against the listeners of a demo and of gateways.
func TestDescribedAdmin(t *testing.T) {
	t.Parallel()
	text, err := exec.Command("syncgate", "openapi", "admin").Output()
	if err != nil {
		t.Fatal(err)
	}
	s, at := newSpec(t, text), free(t, 2)
	background(t, "A gateway is on", exec.Command("syncgate", "demo", "--listen", at[0], "--admin", at[1]))
	public, c := caller(t, at[0], 10), caller(t, at[1], 30)
	s.operators(c)
	s.demoCalls(c)
	s.demoCallbacks(public, c)
	s.demoNotifications(public, c)
	s.heardLive(c)
	s.listed(c)
	if got := s.wants(200, c, "GET", "/openapi.yaml", ""); got.body != string(text) {
		t.Errorf("the listener serves %d bytes", len(got.body))
	}
	for _, name := range s.operations() {
		method, path, _ := strings.Cut(name, " ")
		if path != "/healthz" && path != "/readyz" {
			s.wants(403, c, method, filled(path), "", "Origin: https://evil.example.com")
		}
	}
	s.operatedPoorly(t)
	s.operatedWithoutRedis(t)
	s.complete()
}

// filled gives a target of a path.
func filled(path string) string { return strings.NewReplacer("{name}", "x", "{id}", "x").Replace(path) }

// operators reads what there is.
func (s *spec) operators(c *client) {
	for _, path := range []string{
		"/api/status", "/api/summary", "/api/trips", "/api/late", "/api/config", "/api/warnings", "/api/waiters", "/api/notifications", "/metrics", "/debug/pprof/", "/healthz", "/readyz",
	} {
		s.wants(200, c, "GET", path, "")
	}
	for _, target := range []string{
		"/api/summary?window=3600", "/api/trips?state=over&outcome=complete&order=oldest&limit=1000", "/api/trips?state=waiting&route=corezoid&login=demo&older_ms=10&order=newest",
		"/api/late?limit=1", "/api/notifications?state=open&subscription=x&limit=10",
	} {
		s.wants(200, c, "GET", target, "")
	}
	for _, target := range []string{
		"/api/status?x=1", "/api/summary?window=1", "/api/live?x=1", "/api/trips?state=gone", "/api/late?limit=0", "/api/config?x=1", "/api/warnings?x=1", "/api/waiters?x=1",
		"/api/notifications?state=delivered", "/openapi.yaml?x=1", "/api/trips/" + strings.Repeat("x", 5000),
	} {
		s.wants(400, c, "GET", target, "")
	}
	s.wants(404, c, "GET", "/api/trips/nobody", "")
	s.wants(404, c, "POST", "/api/trips/nobody/cancel", "")
	s.wants(400, c, "POST", "/api/trips/"+strings.Repeat("x", 5000)+"/cancel", "")
	s.wants(400, c, "POST", "/api/demo", `{"kind":"other"}`)
}

// demoCalls makes calls, finds them, and ends one.
func (s *spec) demoCalls(c *client) {
	ref := func(body string) (demo struct{ Ref string }) {
		if err := json.Unmarshal([]byte(s.wants(202, c, "POST", "/api/demo", body).body), &demo); err != nil {
			s.t.Fatal(err)
		}
		return demo
	}
	examples := s.operation("POST", "/api/demo").in("requestBody", "content", "application/json", "examples")
	for name := range examples.object {
		body, err := json.Marshal(examples.in(name).object["value"])
		if err != nil {
			s.t.Fatal(err)
		}
		demo := ref(string(body))
		eventually(s.t, "the call waits", func() bool {
			return strings.Contains(s.sent(c, "GET", "/api/trips/"+demo.Ref, "").body, `"state": "waiting"`)
		})
		if name == "timeout" {
			eventually(s.t, "the call is over", func() bool {
				return strings.Contains(s.sent(c, "GET", "/api/trips/"+demo.Ref, "").body, `"next": [`)
			})
			continue
		}
		s.wants(200, c, "POST", "/api/trips/"+demo.Ref+"/cancel", "")
		s.wants(409, c, "POST", "/api/trips/"+demo.Ref+"/cancel", "")
	}
	s.wants(200, c, "GET", "/api/summary", "")
	s.wants(200, c, "GET", "/api/trips?state=over", "")
	for calls := 0; s.sent(c, "POST", "/api/demo", `{"kind":"timeout"}`).status != 503; calls++ {
		if calls > 50 {
			s.t.Fatal("any number of calls can be under way")
		}
	}
}

// demoCallbacks reads a trip that has had reports of progress and a callback.
func (s *spec) demoCallbacks(public, c *client) {
	public.ask(s.t, "POST", "/v1/greetings", `{"hello":"callbacks"}`, "X-Request-Id: heard")
	eventually(s.t, "the call is over", func() bool { return strings.Contains(s.sent(c, "GET", "/api/trips/heard", "").body, `"replied": `) })
	a := s.wants(200, c, "GET", "/api/trips/heard", "")
	for _, member := range []string{"callback", "first_callback", "last_callback", "reports", "first_report", "last_report"} {
		if !strings.Contains(a.body, `"`+member+`": `) {
			s.t.Errorf("the answer has no %s: %s", member, a.body)
		}
	}
}

// demoNotifications has one notification delivered, and drops another one.
func (s *spec) demoNotifications(public, c *client) {
	var answers atomic.Int32
	answers.Store(503)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(answers.Load())) }))
	defer receiver.Close()
	send := func(url string) string {
		a := public.ask(s.t, "POST", "/v1/feeds/tasks", `{"feed":"shoes","callbackUrl":"`+url+`"}`, "X-Api-Key: demo-key")
		var made struct{ UUID string }
		if err := json.Unmarshal([]byte(a.body), &made); err != nil || a.status != 201 {
			s.t.Fatalf("%d %s", a.status, a.body)
		}
		return made.UUID
	}
	listed := func(uuid string) (id string) {
		eventually(s.t, "there is a notification that was tried", func() bool {
			var list struct {
				Notifications []struct {
					ID       string
					Attempts int
				}
			}
			text := s.wants(200, c, "GET", "/api/notifications?limit=1&subscription="+uuid, "").body
			if json.Unmarshal([]byte(text), &list) != nil || len(list.Notifications) == 0 || list.Notifications[0].Attempts == 0 {
				return false
			}
			id = list.Notifications[0].ID
			return true
		})
		return id
	}
	first := listed(send(receiver.URL))
	at := "/api/notifications/" + first
	s.wants(200, c, "GET", at, "")
	s.wants(200, c, "POST", at+"/retry", "")
	s.wants(204, c, "DELETE", at, "")
	s.wants(404, c, "GET", at, "")
	s.wants(404, c, "POST", at+"/retry", "")
	s.wants(404, c, "DELETE", at, "")
	second := "/api/notifications/" + listed(send(receiver.URL))
	answers.Store(200)
	s.wants(200, c, "POST", second+"/retry", "")
	eventually(s.t, "it is delivered", func() bool { return strings.Contains(s.sent(c, "GET", second, "").body, `"state": "delivered"`) })
	s.wants(409, c, "POST", second+"/retry", "")
}

// heardLive opens as many streams as there can be, and one more.
func (s *spec) heardLive(c *client) {
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	for n := range 16 {
		req, err := http.NewRequestWithContext(ctx, "GET", c.url+"/api/live", nil)
		if err != nil {
			s.t.Fatal(err)
		}
		r, err := c.Do(req)
		if err != nil {
			s.t.Fatal(err)
		}
		defer r.Body.Close()
		if n == 0 {
			s.hearsEvents(r)
		}
	}
	s.wants(503, c, "GET", "/api/live", "")
}

// hearsEvents reads two events. Each has the JSON of another path.
func (s *spec) hearsEvents(r *http.Response) {
	var heard strings.Builder
	for part := make([]byte, 4<<10); strings.Count(heard.String(), "\ndata: ") < 2 || !strings.HasSuffix(heard.String(), "\n\n"); {
		size, err := r.Body.Read(part)
		if heard.Write(part[:size]); err != nil {
			s.t.Fatal(err)
		}
	}
	s.check(exchange{"GET", "/api/live", nil, "", answer{r.StatusCode, r.Header, heard.String(), r.Close}})
	for _, m := range regexp.MustCompile(`(?m)^event: (\w+)\ndata: (.*)$`).FindAllStringSubmatch(heard.String(), -1) {
		for _, wrong := range s.operation("GET", "/api/"+m[1]).in("responses", "200").wrongBody("application/json", m[2]) {
			s.t.Errorf("an event %s: %s", m[1], wrong)
		}
	}
}

// listed holds the paths that the listener itself names against those of the description, and the methods of each.
func (s *spec) listed(c *client) {
	a := c.ask(s.t, "GET", "/nowhere", "")
	text, _, _ := strings.Cut(strings.TrimPrefix(a.body, "Not found: "), " are here")
	names := strings.Split(strings.ReplaceAll(text, "and ", ""), ", ")
	if a.status != 404 || len(names) < 10 {
		s.t.Fatalf("%d %s", a.status, a.body)
	}
	for i, name := range names {
		if path, _ := s.path(filled(name)); path == "" {
			s.t.Errorf("the listener has %s, and the description does not", name)
		}
		names[i] = filled(name)
	}
	for path := range s.root.in("paths").object {
		target := filled(path)
		known := func(name string) bool { return target == name || strings.HasPrefix(target, name+"/") }
		if !slices.ContainsFunc(names, known) {
			s.t.Errorf("the description has %s, and the listener does not name it", path)
		}
		want := s.methodsOf(path)
		if slices.Contains(want, "GET") {
			want = append(want, "HEAD")
		}
		slices.Sort(want)
		a := c.ask(s.t, "TRACE", target, "")
		got := strings.Split(strings.ReplaceAll(a.header.Get("Allow"), " ", ""), ",")
		slices.Sort(got)
		if a.status != 405 || !slices.Equal(got, want) {
			s.t.Errorf("TRACE of %s: %d, Allow: %v; the description has %v", path, a.status, got, want)
		}
	}
}

// operatedPoorly asks a gateway that allows nothing and has no routes.
func (s *spec) operatedPoorly(t *testing.T) {
	g := serve(t, free(t, 1)[0], "SYNCGATE_LISTEN_BODY_TIMEOUT=1s")
	c := caller(t, g.admin, 30)
	s.broken(c)
	s.wants(403, c, "POST", "/api/trips/x/cancel", "")
	s.wants(403, c, "POST", "/api/notifications/x/retry", "")
	s.wants(404, c, "POST", "/api/demo", `{"kind":"result"}`)
	s.wants(403, c, "DELETE", "/api/notifications/x", "")
	s.wants(404, c, "GET", "/api/notifications", "")
	s.wants(404, c, "GET", "/api/notifications/x", "")
	g.stop()
}

// operatedWithoutRedis takes Redis away from a gateway, and asks it.
func (s *spec) operatedWithoutRedis(t *testing.T) {
	e, r := newJobs(t), redistest.StartTCP(t)
	g := e.serveRoutes(t, free(t, 1)[0], `
routes: [{name: feeds, path: /v1/feeds, engine: jobs, subscriptions: true}]
access: [{name: shop, key: the-key, routes: [feeds]}]
`, "SYNCGATE_CORRELATOR_BACKEND=redis", "SYNCGATE_CORRELATOR_REDIS_URL="+r.URL(), "SYNCGATE_CALLBACK_KEYS="+callbackKey, "SYNCGATE_ADMIN_ACTIONS=true")
	eventually(t, "it is ready", func() bool { return g.ready() == 200 })
	public, c := caller(t, g.public, 1), caller(t, g.admin, 1)
	a := public.ask(t, "POST", "/v1/feeds", `{}`, "X-Api-Key: the-key", "Prefer: respond-async")
	_, task, _ := strings.Cut(a.header.Get("Location"), "/tasks/")
	s.wants(200, c, "GET", "/api/status", "")
	s.wants(200, c, "GET", "/api/trips/"+task, "")
	r.Kill()
	eventually(t, "it is not ready", func() bool { return s.sent(c, "GET", "/readyz", "").status == 503 })
	s.wants(503, c, "POST", "/api/trips/"+task+"/cancel", "")
	s.wants(503, c, "GET", "/api/notifications", "")
	s.wants(503, c, "GET", "/api/notifications/x", "")
	s.wants(503, c, "POST", "/api/notifications/x/retry", "")
	s.wants(503, c, "DELETE", "/api/notifications/x", "")
	s.wants(200, c, "GET", "/api/status", "")
	_ = g.process.Process.Kill()
}
