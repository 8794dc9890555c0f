//go:build unix

package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// routesPage calls routes with the key of its origin. It asks its own site for each step that the test does, and waits for that.
const routesPage = `<!doctype html><meta charset="utf-8"><title>syncgate</title>
<script>
const gateway = %q, key = %q;
const step = name => fetch("/step/" + name, {method: "POST"});
const post = (path, body, headers, signal) => fetch(gateway + path, {method: "POST", body, signal,
	headers: {"Content-Type": "application/json", "X-Api-Key": key, ...headers}});
const text = answer => answer.then(async r => r.status + " " + await r.text(), e => e.name);

async function abort() {
	const c = new AbortController();
	const answer = text(post("/v1/forsaken", '{"job":"aborted"}', {}, c.signal));
	await step("aborted begun");
	c.abort();
	return await answer;
}

// listen reads a stream until the browser does not connect again.
function listen(url, heard) {
	return new Promise(resolve => {
		const source = new EventSource(url), seen = [];
		for (const kind of ["accepted", "progress", "result", "error", "timeout", "cancelled"]) source.addEventListener(kind, e => {
			if (e.data === undefined) return; // an error of the connection
			seen.push([kind, e.lastEventId, e.data].join(" "));
			heard(kind, seen.length);
		});
		source.onopen = () => seen.push("open");
		source.onerror = () => source.readyState === EventSource.CLOSED && resolve(seen);
	});
}

async function follow() {
	const answer = await post("/v1/kept", '{"job":"followed"}', {Prefer: "respond-async"});
	const task = await answer.json();
	return {
		status: answer.status, location: answer.headers.get("Location"), monitor: answer.headers.get("Operation-Location"),
		retry: answer.headers.get("Retry-After"), stream: task.stream,
		events: await listen(gateway + task.stream, (kind, n) => kind !== "result" && step("followed " + n)),
	};
}

// sentOn has fetch follow redirects, each of which needs a preflight for its key.
async function sentOn() {
	const answer = post("/v1/kept", '{"job":"sent on"}', {Prefer: "redirect, wait=1"});
	await step("sent on");
	const r = await answer;
	return {redirected: r.redirected, url: r.url, answer: r.status + " " + await r.text()};
}

const repeated = () => text(post("/v1/kept", '{"job":"reloaded"}', {"Idempotency-Key": "of-this-page", Prefer: "wait=60"}));

(async () => {
	let seen = JSON.parse(sessionStorage.getItem("seen"));
	if (seen === null) {
		seen = {origin: location.origin, aborted: await abort(), followed: await follow(), sentOn: await sentOn()};
		sessionStorage.setItem("seen", JSON.stringify(seen));
		repeated();
		await step("reloaded begun");
		location.reload();
		return;
	}
	await step("reloaded left");
	const answer = repeated();
	await step("reloaded waits");
	seen.reloaded = [await answer, await repeated()];
	await fetch("/seen", {method: "POST", body: JSON.stringify(seen)});
})();
</script>`

// routesSeen is what routesPage reports.
type routesSeen struct {
	Origin, Aborted string
	Followed        struct {
		Status                           int
		Location, Monitor, Retry, Stream string
		Events                           []string
	}
	SentOn struct {
		Redirected  bool
		URL, Answer string
	}
	Reloaded []string
}

// foreignPage tries what a page of another origin can try with the key, and with the URL of a stream.
const foreignPage = `<!doctype html><meta charset="utf-8"><title>foreign</title>
<script>
const gateway = %q, key = %q, stream = %q;
const tried = (path, init) => fetch(gateway + path, init).then(async r => r.type + " " + r.status + " " + await r.text(), e => e.name);
(async () => {
	const body = '{"job":"foreign"}', events = await new Promise(resolve => {
		const source = new EventSource(gateway + stream), seen = [];
		for (const kind of ["accepted", "progress", "result"]) source.addEventListener(kind, e => seen.push(e.data));
		source.onerror = () => source.readyState === EventSource.CLOSED && resolve(seen);
	});
	const tries = {
		"with the key": await tried("/v1/kept", {method: "POST", body, headers: {"Content-Type": "application/json", "X-Api-Key": key}}),
		"as a bearer": await tried("/v1/kept", {method: "POST", body, headers: {Authorization: "Bearer " + key}}),
		"without a preflight": await tried("/v1/kept", {method: "POST", body}),
		"a stream": await tried(stream),
	};
	const opaque = await tried("/v1/kept", {method: "POST", body, mode: "no-cors", headers: {"X-Api-Key": key}});
	await fetch("/seen", {method: "POST", body: JSON.stringify({tries, events, opaque})});
})();
</script>`

// pageSite serves a page, which is set when its origin is known, and clients/js below /syncgate/. It passes on the steps that it wants done, and hears what it has seen.
type pageSite struct {
	*httptest.Server
	html  atomic.Pointer[string]
	steps chan pageStep
	seen  chan []byte
}

type pageStep struct {
	name string
	done chan struct{}
}

func newPageSite(t *testing.T) *pageSite {
	t.Helper()
	s := &pageSite{steps: make(chan pageStep), seen: make(chan []byte, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, *s.html.Load())
	})
	mux.HandleFunc("POST /step/{name}", func(_ http.ResponseWriter, r *http.Request) {
		step := pageStep{r.PathValue("name"), make(chan struct{})}
		select {
		case s.steps <- step:
			<-step.done
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /seen", func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.seen <- body
	})
	mux.Handle("GET /syncgate/", http.StripPrefix("/syncgate/", http.FileServer(http.Dir("../../clients/js"))))
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// run opens a page, does its steps, and reads what it has seen. change may add to the browser's command.
func (s *pageSite) run(t *testing.T, html string, seen any, do func(step string), change ...func(*exec.Cmd)) {
	t.Helper()
	s.html.Store(&html)
	log, end := openBrowser(t, s.URL, change...)
	defer end()
	for late := time.After(2 * patience); ; {
		select {
		case step := <-s.steps:
			func() {
				defer close(step.done)
				do(step.name)
			}()
		case body := <-s.seen:
			if err := json.Unmarshal(body, seen); err != nil {
				t.Fatalf("the page's report: %v\n%s", err, body)
			}
			return
		case <-late:
			t.Fatalf("the page has not reported:\n%s", log)
		}
	}
}

const pageKey = "pk-of-a-page"

// TestBrowserRoutes has a page call routes with the key of its origin: it aborts a call, follows a task's events to the end, follows
// redirects, and is reloaded while it waits. Then a page of another origin tries the same key.
func TestBrowserRoutes(t *testing.T) {
	e, at := newJobs(t), free(t, 1)[0]
	front, own, foreign := newEar(t, at), newPageSite(t), newPageSite(t)
	g := e.serveRoutes(t, at, fmt.Sprintf(`
routes:
  - {name: kept, path: /v1/kept, engine: jobs}
  - {name: forsaken, path: /v1/forsaken, engine: jobs, on_disconnect: cancel}
access: [{name: page, key: %s, routes: [kept, forsaken], origins: ["%s"], rate: 100}]
`, pageKey, own.URL))
	gateway := "http://" + front.Addr().String()

	var seen routesSeen
	own.run(t, fmt.Sprintf(routesPage, gateway, pageKey), &seen, func(step string) { doStep(t, g, e, front, step) })
	if seen.Origin != own.URL || seen.Aborted != "AbortError" {
		t.Errorf("the page of %s has aborted a call and got %s", seen.Origin, seen.Aborted)
	}
	eventually(t, "the engine was asked to cancel what was aborted", func() bool { return e.begun(t, `"aborted"`).stopped })
	wantFollowed(t, seen, front)
	if s := seen.SentOn; !s.Redirected || s.Answer != `200 {"sent":"on"}` || !strings.HasSuffix(s.URL, "?hop=2&wait=1") || sentOn(front, 3) {
		t.Errorf("the page was sent on and got %+v", s)
	}
	if want := `200 {"reloaded":true}`; !slices.Equal(seen.Reloaded, []string{want, want}) {
		t.Errorf("the reloaded page got %q", seen.Reloaded)
	}
	for _, name := range []string{`"aborted"`, `"followed"`, `"sent on"`, `"reloaded"`} {
		if n := len(e.named(name)); n != 1 {
			t.Errorf("the engine has %d tasks %s", n, name)
		}
	}

	wantNothingForeign(t, e, gateway, foreign, seen.Followed.Stream)
}

// doStep does what routesPage waits for.
func doStep(t *testing.T, g *gate, e *jobs, front *ear, step string) {
	t.Helper()
	parked := func(n float64) {
		t.Helper()
		eventually(t, fmt.Sprintf("%v clients wait", n), func() bool { return g.metric("syncgate_parked_clients") == n })
	}
	var err error
	switch step {
	case "aborted begun":
		e.begun(t, `"aborted"`)
		parked(1)
	case "reloaded begun":
		e.begun(t, `"reloaded"`)
		parked(1)
	case "reloaded left":
		parked(0)
	case "reloaded waits":
		parked(1)
		err = e.begun(t, `"reloaded"`).report("complete", `{"reloaded":true}`)
	case "sent on":
		eventually(t, "the page is sent on twice", func() bool { return sentOn(front, 2) })
		err = e.begun(t, `"sent on"`).report("complete", `{"sent":"on"}`)
	case "followed 2": // open and accepted
		err = e.begun(t, `"followed"`).report("progress", `{"percent":40}`)
	case "followed 3":
		err = e.begun(t, `"followed"`).report("progress", `{"percent":80}`)
	case "followed 4":
		events := front.count("/events?")
		front.cut()
		eventually(t, "the browser asks for the rest of the events", func() bool { return front.count("/events?") > events })
		err = e.begun(t, `"followed"`).report("progress", `{"percent":90}`)
	case "followed 6": // it was opened again
		err = e.begun(t, `"followed"`).report("complete", `{"name":"Олена"}`)
	default:
		t.Errorf("the page wants %q", step)
	}
	if err != nil {
		t.Errorf("%s: %v", step, err)
	}
}

// sentOn reports whether a page has asked where the redirect of this number leads.
func sentOn(front *ear, hop int) bool {
	return regexp.MustCompile(fmt.Sprintf(`(?m)^GET /tasks/[\w-]+\?hop=%d&`, hop)).MatchString(front.log.String())
}

// wantFollowed wants that the page has read the headers of a 202, and each event once, although its connection broke, and that its browser has
// asked only once after the last event: 204 ends that.
func wantFollowed(t *testing.T, seen routesSeen, front *ear) {
	t.Helper()
	f, id := seen.Followed, strings.TrimPrefix(seen.Followed.Location, "/tasks/")
	if f.Status != 202 || id == f.Location || f.Monitor != f.Location+"/status" || f.Retry == "" || !strings.HasPrefix(f.Stream, f.Location+"/events?t=") {
		t.Errorf("the page got %+v", f)
	}
	want := []string{
		"open", fmt.Sprintf(`accepted 0 {"id":"%s","location":"%s"}`, id, f.Location), `progress 1 {"percent":40}`, `progress 2 {"percent":80}`,
		"open", `progress 3 {"percent":90}`, `result end {"name":"Олена"}`,
	}
	if !slices.Equal(f.Events, want) {
		t.Errorf("the page has heard %q\nnot %q", f.Events, want)
	}
	if asked, ended := front.count("GET "+f.Location+"/events?"), front.count("Last-Event-ID: end\r\n"); asked != 3 || ended != 1 {
		t.Errorf("the browser has asked for the events %d times, %d times behind their end", asked, ended)
	}
}

// wantNothingForeign wants that a page of another origin gets nothing, and that what it sends makes no task.
func wantNothingForeign(t *testing.T, e *jobs, gateway string, site *pageSite, stream string) {
	t.Helper()
	var seen struct {
		Tries  map[string]string
		Events []string
		Opaque string
	}
	site.run(t, fmt.Sprintf(foreignPage, gateway, pageKey, stream), &seen, func(step string) { t.Errorf("the foreign page wants %q", step) })
	for how, got := range seen.Tries {
		if got != "TypeError" {
			t.Errorf("a foreign page has tried %s and got %s", how, got)
		}
	}
	if len(seen.Tries) != 4 || len(seen.Events) > 0 || seen.Opaque != "opaque 0 " {
		t.Errorf("a foreign page has seen %+v", seen)
	}

	// It is the gateway that refuses, and not the browser alone.
	for _, to := range []string{"POST /v1/kept", "OPTIONS /v1/kept", "GET " + stream} {
		wantForbidden(t, to, gateway, site.URL)
	}
	if n := len(e.named(`"foreign"`)); n > 0 {
		t.Errorf("a foreign page has made %d tasks", n)
	}
}

// wantForbidden wants that a request of an origin is refused and that no page can read the answer. to is a method and a path.
func wantForbidden(t *testing.T, to, gateway, origin string) {
	t.Helper()
	method, path, _ := strings.Cut(to, " ")
	req, err := http.NewRequest(method, gateway+path, strings.NewReader(`{"job":"foreign"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{
		"Origin": {origin}, "X-Api-Key": {pageKey}, "Content-Type": {"application/json"},
		"Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"x-api-key"},
	}
	transport := &http.Transport{DisableKeepAlives: true}
	r, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusForbidden {
		t.Errorf("%s of a foreign origin: %d", to, r.StatusCode)
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s of a foreign origin gets %s", to, name)
		}
	}
}
