package main_test

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	mostHops = 9 // redirects of one call; Go's client gives up at the tenth
	hopWait  = time.Second
)

// brief is an haproxy that waits for 2 s and no longer.
const brief = `
defaults
	mode http
	timeout connect 2s
	timeout client 2s
	timeout server 2s
frontend clients
	bind %s
	default_backend gateways
backend gateways
	server one %s
`

// travel is what a client has asked for, one request after the other, and what it got in the end.
type travel struct {
	asked []string // method and path
	answer
	took time.Duration
	err  error
}

// route gives the URL of each redirect without the task's id.
func (g *travel) route() string {
	return regexp.MustCompile(`/tasks/[^?]+`).ReplaceAllString(strings.Join(g.asked, "\n"), "/tasks/ID")
}

// wholeRoute is what a client asks for that follows every redirect.
func wholeRoute() string {
	route := "POST /v1/jobs"
	for hop := 1; hop <= mostHops; hop++ {
		route += fmt.Sprintf("\nGET /tasks/ID?hop=%d&wait=1", hop)
	}
	return route
}

// tracked notes requests, and has each announce itself before it is sent.
type tracked struct {
	http.RoundTripper
	announce func(r *http.Request)
}

func (t tracked) RoundTrip(r *http.Request) (*http.Response, error) {
	t.announce(r)
	return t.RoundTripper.RoundTrip(r)
}

// goClient has Go's client, as it is, make a call. last is called before its last request leaves.
func goClient(url, body string, last func(), header ...string) (g travel) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c := http.Client{Timeout: patience, Transport: tracked{transport, func(r *http.Request) {
		g.asked = append(g.asked, r.Method+" "+r.URL.RequestURI())
		if strings.Contains(r.URL.RawQuery, fmt.Sprintf("hop=%d&", mostHops)) {
			last()
		}
	}}}
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return travel{err: err}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer the-key")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	began := time.Now()
	r, err := c.Do(req)
	if err != nil {
		g.err = err
		return g
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	g.answer, g.took, g.err = answer{status: r.StatusCode, header: r.Header, body: string(b)}, time.Since(began), err
	return g
}

// curl has curl -L make a call. Its talk is on log, so that a test sees where it is.
func curl(url, body string, log *logbook) (g travel) {
	command := exec.Command("curl", "--silent", "--show-error", "--verbose", "--location", "--max-time", "30", "--noproxy", "*",
		"--header", "Authorization: Bearer the-key", "--header", "Content-Type: application/json", "--data", body,
		"--write-out", "\n%{http_code} %{num_redirects}", url)
	command.Stderr = log
	began := time.Now()
	out, err := command.Output()
	g.took, g.err = time.Since(began), err
	for _, m := range regexp.MustCompile(`(?m)^> ([A-Z]+ \S+) HTTP`).FindAllStringSubmatch(log.String(), -1) {
		g.asked = append(g.asked, m[1])
	}
	end := strings.LastIndexByte(string(out), '\n')
	if err != nil || end < 0 {
		return g
	}
	g.body = string(out[:end])
	redirects := 0
	if _, err := fmt.Sscan(string(out[end:]), &g.status, &redirects); err != nil || redirects != mostHops {
		g.err = fmt.Errorf("curl counts %d redirects, not %d: %w", redirects, mostHops, err)
	}
	return g
}

// TestRedirectsOutlastABalancer has clients that follow redirects wait behind an haproxy for a job that takes nearly five times as long as
// haproxy waits, and for one that never ends. A client that is held all the while gets haproxy's 504.
func TestRedirectsOutlastABalancer(t *testing.T) {
	e, at := newJobs(t), free(t, 2)
	g := e.serveRoutes(t, at[0], `
routes: [{name: jobs, path: /v1/jobs, engine: jobs, at_wait_end: redirect, wait: {default: 1s, max: 30s}}]
access: [{name: one, key: the-key, routes: [jobs]}]
`)
	startHaproxy(t, fmt.Sprintf(brief, at[1], g.public))
	front := "http://" + at[1]
	eventually(t, "haproxy has found the gateway", func() bool { status, _ := get(t, front+"/readyz"); return status == 200 })

	var all sync.WaitGroup
	var held, inGo, inGoNever, inCurl, inCurlNever travel
	log := new(logbook)
	release := func(name string) {
		for _, j := range e.named(`"` + name) {
			if err := j.report("complete", `{"of":"`+name+`"}`, "CZ-AG-Status-Code", "201"); err != nil {
				t.Error(err)
			}
		}
	}
	all.Go(func() { held = goClient(front+"/v1/jobs", `{"job":"held"}`, func() {}, "Prefer", "wait=20") })
	all.Go(func() { inGo = goClient(front+"/v1/jobs", `{"job":"in Go"}`, func() { release("in Go") }) })
	all.Go(func() { inGoNever = goClient(front+"/v1/jobs", `{"job":"endless in Go"}`, func() {}) })
	all.Go(func() { inCurl = curl(front+"/v1/jobs", `{"job":"in curl"}`, log) })
	all.Go(func() { inCurlNever = curl(front+"/v1/jobs", `{"job":"endless in curl"}`, new(logbook)) })
	func() {
		defer all.Wait()
		eventually(t, "curl is at its last hop", func() bool { return strings.Contains(log.String(), fmt.Sprintf("hop=%d&wait=1 HTTP", mostHops)) })
		release("in curl")
	}()

	if !strings.Contains(held.body, "504 Gateway Time-out") || held.status != 504 || held.header.Get("X-Request-Id") != "" || len(held.asked) != 1 {
		t.Errorf("held for longer than haproxy waits: %+v", held)
	}
	wantTravel(t, "Go", inGo, 201, `{"of":"in Go"}`, mostHops*hopWait)
	wantTravel(t, "curl", inCurl, 201, `{"of":"in curl"}`, mostHops*hopWait)
	wantTravel(t, "Go, without a result", inGoNever, 202, "", (mostHops+1)*hopWait)
	wantTravel(t, "curl, without a result", inCurlNever, 202, "", (mostHops+1)*hopWait)

	// The last 202 says where the task is.
	release("endless in Go")
	req, _ := http.NewRequest(http.MethodGet, front+inGoNever.header.Get("Location"), nil)
	req.Header.Set("Authorization", "Bearer the-key")
	if err := ask(req, 201); err != nil {
		t.Error(err)
	}
}

// wantTravel wants that a client has followed every redirect and got this in the end, after so long at least. body is empty for a running task.
func wantTravel(t *testing.T, who string, g travel, status int, body string, least time.Duration) {
	t.Helper()
	if g.err != nil || g.status != status || body != "" && g.body != body || body == "" && !strings.Contains(g.body, `"status":"running"`) {
		t.Errorf("%s: %v, %d %s", who, g.err, g.status, g.body)
	}
	if got, want := g.route(), wholeRoute(); got != want {
		t.Errorf("%s has asked for\n%s\nnot for\n%s", who, got, want)
	}
	if g.took < least {
		t.Errorf("%s has waited for %v, less than %v", who, g.took, least)
	}
}
