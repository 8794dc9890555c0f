package main_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"syncgate/internal/redistest"
	"syncgate/notify"
)

const (
	signingSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"             //nolint:gosec // the example of Standard Webhooks
	nextSecret    = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDMfKQ9r8GKYo=" //nolint:gosec // of these tests
	firstKey      = "this-is-the-first-key-of-at-least-32-characters"
	secondKey     = "this-is-another-key-of-at-least-32-characters"
)

// receiver keeps what it had, and answers a status. 0: nothing, until the test ends.
type receiver struct {
	*httptest.Server

	mu     sync.Mutex
	status int
	had    []hooked
	ends   chan struct{}
}

// hooked is a request that a receiver had.
type hooked struct {
	id     string
	header http.Header
	body   string
}

func receive(t *testing.T, status int) *receiver {
	r := &receiver{status: status, ends: make(chan struct{})}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.had = append(r.had, hooked{req.Header.Get("webhook-id"), req.Header, string(body)})
		status := r.status
		r.mu.Unlock()
		if status == 0 {
			<-r.ends
			return
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(func() {
		close(r.ends)
		r.Close()
	})
	return r
}

func (r *receiver) answers(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// await waits for the nth request, 1 for the first.
func (r *receiver) await(t *testing.T, n int) hooked {
	t.Helper()
	var h hooked
	eventually(t, "the receiver has its request", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.had) >= n {
			h = r.had[n-1]
		}
		return len(r.had) >= n
	})
	return h
}

// pusher is a configuration file of gates whose route pushes, and its texts as they are.
type pusher struct {
	t                    *testing.T
	path                 string
	keys, notify, routes string
	admin                string
}

const pushingRoutes = `[{name: pay, path: "/v1/pay", conv_id: 1, login: "12345", subscriptions: true}]`

func newPusher(t *testing.T) *pusher {
	p := &pusher{t, filepath.Join(t.TempDir(), "push.yaml"), firstKey, "signing_secret: " + signingSecret + ", allow_http: true, allow_networks: [127.0.0.0/8]", pushingRoutes, "{actions: true}"}
	p.write()
	return p
}

func (p *pusher) write() {
	p.t.Helper()
	text := `auth: {credentials: [{login: "12345", secret: mysecret}]}
callback: {keys: [` + p.keys + `]}
admin: ` + p.admin + `
drain: {delay: 0s, timeout: 30s}
notify: {` + p.notify + `}
routes: ` + p.routes + `
access: [{name: web, key: the-key, routes: [pay]}]
`
	if err := os.WriteFile(p.path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// reload writes the file and has a gate read it.
func (p *pusher) reload(g *gate, line string) {
	p.t.Helper()
	p.write()
	before := strings.Count(g.log.String(), line)
	g.signal(syscall.SIGHUP)
	eventually(p.t, "the log has "+line+" once more", func() bool { return strings.Count(g.log.String(), line) > before })
}

// serve starts a gate, and waits until it is ready.
func (p *pusher) serve(engine string, env ...string) *gate {
	p.t.Helper()
	g := serve(p.t, free(p.t, 1)[0], append([]string{"SYNCGATE_CONFIG=" + p.path, "SYNCGATE_ENGINE_URL=" + engine}, env...)...)
	eventually(p.t, "it is ready", func() bool { return g.ready() == http.StatusOK })
	return g
}

// eachPusher runs a test in memory and with Redis. env goes to each gate.
func eachPusher(t *testing.T, test func(t *testing.T, p *pusher, env []string)) {
	t.Run("memory", func(t *testing.T) { test(t, newPusher(t), nil) })
	t.Run("redis", func(t *testing.T) {
		r := redistest.StartTCP(t)
		if got := r.Do(append([]string{"ACL", "SETUSER", "syncgate"}, documentedRights(t)...)...); got != "+OK" {
			t.Fatal(got)
		}
		r.Do("ACL", "SETUSER", "default", "off") // whoever else connects is nobody
		test(t, newPusher(t), []string{"SYNCGATE_CORRELATOR_BACKEND=redis", "SYNCGATE_CORRELATOR_REDIS_URL=redis://syncgate:PASSWORD@" + r.Addr()})
	})
}

// documentedRights are those of the user that docs/operations.md makes.
func documentedRights(t *testing.T) (rights []string) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if right, ok := strings.CutPrefix(line, "    ACL SETUSER syncgate "); ok {
			rights = append(rights, strings.Fields(right)...)
		}
	}
	return rights
}

// ask sends a request to a gate as the caller that the file has. Without a body it is a GET.
func (g *gate) ask(path, body string) (status int, text string) {
	g.t.Helper()
	method := http.MethodPost
	if body == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(g.t.Context(), method, "http://"+g.public+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Api-Key", "the-key")
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// subscription waits until a subscription is in a state.
func (g *gate) subscription(path, state string) {
	g.t.Helper()
	eventually(g.t, "the subscription is "+state, func() bool {
		_, text := g.ask(path, "")
		return strings.Contains(text, state)
	})
}

// subscribe makes a subscription, and gives its path.
func (g *gate) subscribe(url, mode string) (path string) {
	g.t.Helper()
	status, text := g.ask("/v1/pay/tasks", `{"callbackUrl":"`+url+`","mode":"`+mode+`","x":1}`)
	var s struct{ UUID string }
	if err := json.Unmarshal([]byte(text), &s); status != 201 || err != nil || s.UUID == "" {
		g.t.Fatalf("%d %s", status, text)
	}
	return "/v1/pay/tasks/" + s.UUID
}

// notify runs syncgate notify.
func (g *gate) notify(status int, args ...string) (out string) {
	g.t.Helper()
	cmd := exec.Command("syncgate", append([]string{"notify", "--admin", g.admin}, args...)...)
	text, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != status {
		g.t.Errorf("syncgate notify %v: %d, want %d: %s", args, got, status, text)
	}
	return string(text)
}

// becomes waits until a notification is in a state, which this gate says.
func (g *gate) becomes(id string, state notify.State) (e notify.Entry) {
	g.t.Helper()
	eventually(g.t, id+" is "+string(state), func() bool {
		_, text := get(g.t, "http://"+g.admin+"/api/notifications/"+id)
		return json.Unmarshal([]byte(text), &e) == nil && e.State == state && !e.Sending
	})
	return e
}

// signed wants that a request is signed by a secret.
func (h hooked) signed(t *testing.T, secret string) {
	t.Helper()
	w, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Verify([]byte(h.body), h.header); err != nil {
		t.Errorf("the signature: %v", err)
	}
}

// TestPushed: a result reaches the URL that its client has named, signed, and operators see it.
func TestPushed(t *testing.T) {
	eachPusher(t, func(t *testing.T, p *pusher, env []string) {
		r := receive(t, 200)
		g := p.serve(simulate(t).URL(), env...)
		if status, text := g.ask("/v1/pay", `{"callbackUrl":"`+r.URL+`/hook?token=hunter2","x":1}`); status != 202 {
			t.Fatalf("%d %s", status, text)
		}
		h := r.await(t, 1)
		h.signed(t, signingSecret)
		if !strings.Contains(h.body, `"status":"Succeeded"`) || !strings.Contains(h.body, `"data":{"x":1}`) {
			t.Errorf("it got %s", h.body)
		}
		if e := g.becomes(h.id, notify.Delivered); e.Attempts != 1 || e.URL != r.URL+"/hook?…" {
			t.Errorf("%+v", e)
		}
		if n := g.metric("syncgate_notify_attempts_total", `outcome="delivered"`); n != 1 {
			t.Errorf("%v attempts are counted", n)
		}
		eventually(t, "nothing is open", func() bool { return g.metric("syncgate_notify_open") == 0 && g.metric("syncgate_outbox_tasks") >= 0 })
		g.logged(`"outcome":"delivered".*"message":"notification"`)
		g.stop()
		if text := g.log.String(); strings.Contains(text, "hunter2") || strings.Contains(text, signingSecret) {
			t.Error("the log shows a secret")
		}
	})
}

// TestPushedOnce: what comes of a subscription for one task, and that an operator can have a refused notification sent again.
func TestPushedOnce(t *testing.T) {
	eachPusher(t, func(t *testing.T, p *pusher, env []string) {
		r := receive(t, 403)
		g := p.serve(simulate(t).URL(), env...)
		ended := g.subscribe(r.URL, "once")
		h := r.await(t, 1)
		g.becomes(h.id, notify.Refused)
		g.subscription(ended, "ended")
		if out := g.notify(0, "list", "--state", "refused"); !strings.Contains(out, h.id) {
			t.Error(out)
		}
		r.answers(204)
		g.notify(0, "retry", h.id)
		if again := r.await(t, 2); again.id != h.id {
			t.Errorf("%s came, and not %s", again.id, h.id)
		}
		g.becomes(h.id, notify.Delivered)
		if out := g.notify(1, "retry", h.id); !strings.Contains(out, "it was delivered") {
			t.Error(out)
		}
		completed := g.subscribe(r.URL, "once")
		g.becomes(r.await(t, 3).id, notify.Delivered)
		g.subscription(completed, "completed")
		g.stop()
	})
}

// TestPushedUntilGone: a 410 ends a subscription for many tasks, so the next result is not sent, and a notification of it that is open is not tried again.
func TestPushedUntilGone(t *testing.T) {
	eachPusher(t, func(t *testing.T, p *pusher, env []string) {
		r := receive(t, 500)
		g := p.serve(simulate(t).URL(), env...)
		path := g.subscribe(r.URL, "continuous")
		if status, text := g.ask("/v1/pay", `{"x":1}`); status != 200 {
			t.Fatalf("%d %s", status, text)
		}
		open := r.await(t, 1)
		g.becomes(open.id, notify.Open)
		r.answers(410)
		g.ask("/v1/pay", `{"x":2}`)
		g.becomes(r.await(t, 2).id, notify.Gone)
		g.subscription(path, "ended")
		g.notify(0, "retry", open.id)
		if e := g.becomes(open.id, notify.Gone); e.Last.Outcome != notify.OutcomeEnded || e.Attempts != e.Last.Number {
			t.Errorf("%d attempts, %+v", e.Attempts, e.Last)
		}
		g.notify(0, "drop", open.id)
		g.notify(1, "show", open.id)
		g.stop()
	})
}

// TestPushMetricsAreDocumented: each metric of a node that pushes, its type and the values of its labels are in docs/operations.md, and the page lists no others.
func TestPushMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	page, found := string(text), make(map[string]bool)
	g := newPusher(t).serve(simulate(t).URL())
	_, metrics := get(t, "http://"+g.admin+"/metrics")
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (syncgate_(?:notify|outbox)_\w+) (\w+)$`).FindAllStringSubmatch(metrics, -1) {
		found[m[1]] = true
		if !strings.Contains(page, "| `"+m[1]+"` | "+m[2]+" |") {
			t.Errorf("docs/operations.md has no %s %s", m[2], m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^syncgate_(?:notify|outbox)_\w+\{\w+="(\w+)"\}`).FindAllStringSubmatch(metrics, -1) {
		if !strings.Contains(page, "`"+m[1]+"`") {
			t.Errorf("docs/operations.md does not explain %s", m[1])
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(syncgate_(?:notify|outbox)_\\w+)` ").FindAllStringSubmatch(page, -1) {
		if !found[m[1]] {
			t.Errorf("docs/operations.md has %s, which is not there", m[1])
		}
	}
	if len(found) < 7 {
		t.Errorf("only %d metrics", len(found))
	}
	g.stop()
}
