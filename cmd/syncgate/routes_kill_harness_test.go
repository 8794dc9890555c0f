package main_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/internal/redistest"
)

// work is a task as the engine of a route has it.
type work struct {
	callback string        // path of the callback URL
	asked    int           // how often the engine was asked for it
	cancels  int           // how often the engine was asked to cancel it
	answer   chan struct{} // the engine answers when it is closed
}

// workshop is an engine of kind http. It accepts every task, and calls back when the test does.
type workshop struct {
	*httptest.Server
	t *testing.T

	mu   sync.Mutex
	jobs map[string]*work // by nonce
	slow bool             // the engine answers when the test lets it
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	w := &workshop{t: t, jobs: make(map[string]*work)}
	w.Server = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(func() {
		w.CloseClientConnections()
		w.Close()
	})
	return w
}

func (w *workshop) serve(rw http.ResponseWriter, r *http.Request) {
	if nonce, ok := strings.CutPrefix(r.URL.Path, "/work/"); ok {
		w.mu.Lock()
		w.jobs[nonce].cancels++
		w.mu.Unlock()
		rw.WriteHeader(http.StatusNoContent)
		return
	}
	var body struct{ Nonce string }
	callback, err := url.Parse(r.Header.Get("X-Callback-Url"))
	if err == nil {
		err = json.NewDecoder(r.Body).Decode(&body)
	}
	if err != nil {
		w.t.Errorf("the engine got %v", err)
	}
	w.mu.Lock()
	j := w.jobs[body.Nonce]
	if j == nil {
		j = &work{callback: callback.Path, answer: make(chan struct{})}
		w.jobs[body.Nonce] = j
	}
	j.asked++
	slow := w.slow
	w.mu.Unlock()
	if slow {
		select {
		case <-j.answer:
		case <-r.Context().Done():
			return
		}
	}
	rw.Header().Set("Content-Type", "application/json")
	rw.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(rw, `{"id":%q}`, body.Nonce)
}

// job gives a copy of what the engine has of a task. ok is false where the engine was not asked for it.
func (w *workshop) job(nonce string) (j work, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.jobs[nonce] == nil {
		return j, false
	}
	return *w.jobs[nonce], true
}

func (w *workshop) size() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.jobs)
}

// pair is two nodes with the same route, and its engine.
type pair struct {
	t               *testing.T
	engine          *workshop
	env             []string // of both
	home, other     *gate
	atHome, atOther *client
	killing         sync.Once
}

// startPair starts two nodes that share a redis-server. settings are further keys of the route.
func startPair(t *testing.T, settings string) *pair {
	t.Helper()
	r := redistest.StartTCP(t)
	w := newWorkshop(t)
	text := fmt.Sprintf(`engines: [{name: flow, kind: http, url: "%[1]s/work", cancel: {method: DELETE, url: "%[1]s/work/{accepted.id}"}}]
routes: [{name: orders, path: /v1/orders, engine: flow, auth: none, %[2]s}]
`, w.URL, settings)
	return newPair(t, w, text, shared(w.URL, r))
}

// newPair starts two nodes with a configuration. env are further settings.
func newPair(t *testing.T, w *workshop, text string, env []string) *pair {
	t.Helper()
	config := filepath.Join(t.TempDir(), "routes.yaml")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env = append(env, "SYNCGATE_CONFIG="+config, "SYNCGATE_CORRELATOR_REDIS_TIMEOUT=5s") // for a busy machine
	at := free(t, 2)
	p := &pair{t: t, engine: w, env: env, home: serve(t, at[0], env...), other: serve(t, at[1], env...)}
	p.atHome, p.atOther = caller(t, at[0], 0), caller(t, at[1], 0) // any number of connections
	for _, c := range []*client{p.atHome, p.atOther} {
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	p.ready()
	return p
}

// ready waits until both nodes are.
func (p *pair) ready() {
	p.t.Helper()
	eventually(p.t, "both are ready", func() bool { return p.home.ready() == 200 && p.other.ready() == 200 })
}

// kill ends the home at once. Only the first call does.
func (p *pair) kill() {
	p.killing.Do(func() {
		if err := p.home.process.Process.Kill(); err != nil {
			p.t.Errorf("kill the home: %v", err)
		}
		<-p.home.ended
	})
}

// end stops the other node, and wants no warning and no error in its log, but those about the configuration: that the home was killed is not a fault of the other node.
func (p *pair) end() {
	p.t.Helper()
	p.other.stop()
	for line := range strings.Lines(p.other.log.String()) {
		if strings.Contains(line, `"level":"error"`) || strings.Contains(line, `"level":"warn"`) && !strings.Contains(line, "a setting of Redis") &&
			!strings.Contains(line, `"message":"notify.`) {
			p.t.Errorf("the log has %s", line)
		}
	}
}

// awaitDeath waits until the home is killed.
func (p *pair) awaitDeath() {
	select {
	case <-p.home.ended:
	case <-time.After(patience):
		p.t.Errorf("the home was not killed within %v", patience)
		p.kill()
	}
}

// crowdOf runs n clients at once, and waits until all have ended. Each client has its own nonce.
func crowdOf(n int, play func(nonce string, n int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { play(nonceOf(i), i) })
	}
	all.Wait()
}

func nonceOf(n int) string { return fmt.Sprintf("n%d", n) }

// reach sends a request and reads its answer. Status 0 is none.
func (c *client) reach(method, path, body string, header ...string) answer {
	a, err := c.try(method, path, body, header...)
	if err != nil {
		return answer{body: err.Error()}
	}
	return a
}

// post is a request of the route.
func (c *client) post(nonce string, header ...string) answer {
	return c.reach(http.MethodPost, "/v1/orders", orderOf(nonce), header...)
}

func orderOf(nonce string) string  { return fmt.Sprintf(`{"nonce":%q}`, nonce) }
func resultOf(nonce string) string { return fmt.Sprintf(`{"result":%q}`, nonce) }

// report has the engine call back at a node, which has to hear it.
func (p *pair) report(at *client, nonce, status, body string) answer {
	j, ok := p.engine.job(nonce)
	if !ok {
		p.t.Errorf("%s: the engine was not asked", nonce)
		return answer{}
	}
	a := at.reach(http.MethodPost, j.callback, body, "X-Callback-Status: "+status)
	if a.status != 200 || a.body != "{}" {
		p.t.Errorf("%s: the callback got %d %s", nonce, a.status, a.body)
	}
	return a
}

// complete has the engine call back with the result at the other node, twice.
func (p *pair) complete(nonce string) {
	p.report(p.atOther, nonce, "complete", resultOf(nonce))
	p.report(p.atOther, nonce, "complete", resultOf("a second result of "+nonce))
}

// wantResult wants that a client has its own result, and that the engine was asked once.
func (p *pair) wantResult(nonce string, a answer) {
	if a.status != 200 || a.body != resultOf(nonce) {
		p.t.Errorf("%s got %d %s %v", nonce, a.status, a.body, a.header)
	}
	if j, _ := p.engine.job(nonce); j.asked != 1 {
		p.t.Errorf("%s: the engine was asked %d times", nonce, j.asked)
	}
}

// event is one of a stream.
type event struct{ id, name, data string }

// feed hears the events of one task.
type feed struct {
	heard []event
	cuts  int // how often its connection broke
}

// hear reads events until the stream ends. It counts each event. whole: the last event was there.
func (f *feed) hear(r *http.Response, each func(event)) (whole bool) {
	defer r.Body.Close()
	var e event
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "":
			if e == (event{}) {
				continue // the end of a heartbeat
			}
			f.heard = append(f.heard, e)
			each(e)
			if e.id == "end" {
				return true
			}
			e = event{}
		}
	}
	f.cuts++
	return false
}

// last is the id of the last event.
func (f *feed) last() string { return f.heard[len(f.heard)-1].id }

// countdown calls f when it was counted n times.
type countdown struct {
	n atomic.Int64
	f func()
}

func newCountdown(n int, f func()) *countdown {
	c := &countdown{f: f}
	c.n.Store(int64(n))
	return c
}

func (c *countdown) count() {
	if c.n.Add(-1) == 0 {
		c.f()
	}
}
