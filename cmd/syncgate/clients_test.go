//go:build unix

package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"syncgate/internal/enginesim"
	"syncgate/internal/faultproxy"
	"syncgate/internal/redistest"
)

// world is what the tests of the client libraries, which are processes of their own, call and steer: a gateway, its engines, and the network in between.
// They find it at the URL in SYNCGATE_WORLD.
type world struct {
	*httptest.Server
	engine *jobs
	nodes  []*gate
	front  *ear              // hears every request to the nodes
	net    *faultproxy.Proxy // what the clients connect to: it passes everything on to front
}

// worldRoutes are those that the tests call. Every entry of access may call each.
const worldRoutes = `
routes:
  - {name: kept, path: /v1/kept, engine: jobs, wait: {default: 20s, max: 60s}}
  - {name: brief, path: /v1/brief, engine: jobs, wait: {default: 1s, max: 1s}}
  - {name: sent, path: /v1/sent, engine: jobs, wait: {default: 1s}, at_wait_end: redirect}
  - {name: strict, path: /v1/strict, engine: jobs, wait: {default: 1s}, at_wait_end: timeout}
  - {name: hal, path: /v1/hal, engine: jobs, view: hal}
  - {name: signed, path: /v1/signed, engine: jobs, auth: corezoid}
  - {name: rated, path: /v1/rated, engine: jobs, limits: {rate: 1}}
access:
  - {name: shop, key: the-key, routes: [kept, brief, sent, strict, hal, rated]}
  - {name: other, key: another-key, routes: [brief]}
`

// newWorld starts a world of one node.
func newWorld(t *testing.T) *world {
	t.Helper()
	e, sim, at := newJobs(t), simulate(t), free(t, 1)[0]
	g := e.serveRoutes(t, at, worldRoutes, "SYNCGATE_ENGINE_URL="+sim.URL())
	return e.world(t, sim, at, g)
}

// newWorldOfTwo starts a world of two nodes that share a redis-server, behind haproxy.
func newWorldOfTwo(t *testing.T) *world {
	t.Helper()
	e, sim, at := newJobs(t), simulate(t), free(t, 3)
	env := append(shared(sim.URL(), redistest.StartTCP(t)), "SYNCGATE_CALLBACK_BASE_URL=http://"+at[2], "SYNCGATE_CORRELATOR_REDIS_TIMEOUT=5s")
	a, b := e.serveRoutes(t, at[0], worldRoutes, env...), e.serveRoutes(t, at[1], worldRoutes, env...)
	eventually(t, "both are ready", func() bool { return a.ready() == 200 && b.ready() == 200 })
	balance(t, at[2], a, b)
	return e.world(t, sim, at[2], a, b)
}

// world starts a proxy that passes connections on to an address, and a server by which the tests in other processes cut connections and kill nodes.
func (e *jobs) world(t *testing.T, sim *enginesim.Engine, at string, nodes ...*gate) *world {
	t.Helper()
	w := &world{engine: e, nodes: nodes, front: newEar(t, at)}
	var err error
	if w.net, err = faultproxy.Start("tcp", w.front.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.net.Close)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /world", func(rw http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(rw).Encode(map[string]string{"url": "http://" + w.net.Addr(), "login": login, "secret": secret})
	})
	mux.HandleFunc("POST /cut", func(http.ResponseWriter, *http.Request) { w.net.Cut() })
	mux.HandleFunc("POST /down", func(http.ResponseWriter, *http.Request) { w.net.Down() })
	mux.HandleFunc("POST /up", func(rw http.ResponseWriter, _ *http.Request) { replyError(rw, w.net.Up()) })
	mux.HandleFunc("GET /heard", func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, w.front.log.String()) })
	mux.HandleFunc("GET /simulated", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, sim.Stats().Tasks) })
	mux.HandleFunc("GET /jobs", w.jobs)
	mux.HandleFunc("GET /waiting", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, w.waiting()) })
	mux.HandleFunc("POST /report", w.report)
	mux.HandleFunc("POST /kill", w.kill)
	w.Server = httptest.NewServer(mux)
	t.Cleanup(w.Close)
	return w
}

func replyError(rw http.ResponseWriter, err error) {
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
	}
}

// jobs gives the tasks of the engine that have a text in their bodies.
func (w *world) jobs(rw http.ResponseWriter, r *http.Request) {
	type seen struct {
		Body    string `json:"body"`
		Stopped bool   `json:"stopped"`
	}
	all := []seen{}
	for _, j := range w.engine.named(r.FormValue("name")) {
		all = append(all, seen{j.body, j.stopped})
	}
	_ = json.NewEncoder(rw).Encode(all)
}

// waiting is how many clients wait, at all nodes.
func (w *world) waiting() (n int) {
	for _, g := range w.nodes {
		select {
		case <-g.ended:
		default:
			n += int(g.metric("syncgate_parked_clients"))
		}
	}
	return n
}

// report has the engine call back for a task: name, status, code, and the body.
func (w *world) report(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var header []string
	if code := r.URL.Query().Get("code"); code != "" {
		header = []string{"CZ-AG-Status-Code", code}
	}
	for tick, end := time.NewTicker(10*time.Millisecond), time.After(patience); ; {
		if found := w.engine.named(r.URL.Query().Get("name")); len(found) > 0 {
			tick.Stop()
			replyError(rw, found[0].report(r.URL.Query().Get("status"), string(body), header...))
			return
		}
		select {
		case <-tick.C:
		case <-end:
			http.Error(rw, "the engine has no such task", http.StatusGatewayTimeout)
			return
		}
	}
}

// kill ends the node at which a client waits.
func (w *world) kill(rw http.ResponseWriter, _ *http.Request) {
	for _, g := range w.nodes {
		if g.metric("syncgate_parked_clients") > 0 {
			replyError(rw, g.process.Process.Kill())
			<-g.ended
			return
		}
	}
	http.Error(rw, "no client waits", http.StatusConflict)
}

// run runs tests of a client library and wants that they pass. dir is that of the library.
func (w *world) run(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	tests := exec.CommandContext(ctx, program, args...)
	tests.Dir, tests.Env = dir, append(os.Environ(), "SYNCGATE_WORLD="+w.URL)
	out, err := tests.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", tests.Args, err, out)
	}
	t.Logf("%s", out)
}

// node runs the test files that a pattern names, in Node. Only one of these files may use the world: Node runs files at the same time, and a cut made for
// one would hit the others.
func (w *world) node(t *testing.T, pattern string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../../clients/js/test", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests of %s: %v", pattern, err)
	}
	args := []string{"--test"}
	for _, f := range files {
		args = append(args, filepath.Join("test", filepath.Base(f)))
	}
	w.run(t, "../../clients/js", "node", args...)
}

// TestJavaScriptClient runs the tests of clients/js.
func TestJavaScriptClient(t *testing.T) { newWorld(t).node(t, "*.test.js") }

// TestJavaScriptClientOutlivesANode has a call go on at the second node when the first one is killed.
func TestJavaScriptClientOutlivesANode(t *testing.T) { newWorldOfTwo(t).node(t, "*.nodes.js") }

// gotest runs tests of clients/go. Those that need a world are behind a tag.
func (w *world) gotest(t *testing.T, tag, names string) {
	t.Helper()
	w.run(t, "../../clients/go", "go", "test", "-race", "-count=1", "-tags="+tag, "-run="+names, ".")
}

// TestGoClient runs the tests of clients/go.
func TestGoClient(t *testing.T) { newWorld(t).gotest(t, "gateway", "") }

// TestGoClientOutlivesANode has a call go on at the second node when the first one is killed.
func TestGoClientOutlivesANode(t *testing.T) { newWorldOfTwo(t).gotest(t, "nodes", "TestNodeIsKilled") }
