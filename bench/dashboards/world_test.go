//go:build unix

// Package dashboards_test asks the queries of deploy/grafana at a real Prometheus, which reads two gateways while a story happens to them, and can draw what it hears.
package dashboards_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"syncgate/internal/enginesim"
	"syncgate/internal/faultproxy"
	"syncgate/internal/freeport"
	"syncgate/internal/hooksim"
	"syncgate/internal/redistest"
)

const (
	secret, shopKey = "a secret of both logins", "a-key-of-the-web-shop"
	callbackKey     = "a key that both gateways of the story have"
	waiterHash      = "0123456789abcdef0123456789abcdef01234567"
	waiterNode      = "0123456789abcdef01234567"
	senderSecret    = "the secret of the sender that calls the waiter"
	receivers       = 4
	patience        = 20 * time.Second
)

// world is two gateways and all that is around them. Each thing runs until the end of the test.
type world struct {
	t      *testing.T
	dir    string
	engine *enginesim.Engine
	way    *faultproxy.Proxy // from the gateways to the engine
	redis  *redistest.Server
	link   *faultproxy.Proxy // from the gateways to Redis
	hooks  *hooksim.Sim
	nodes  [2]*node
	client http.Client

	prometheus string        // its address
	unit       time.Duration // of the story's time
	short      bool          // it is too short for what is rare

	mood  atomic.Pointer[mood] // what clients and the engine are like
	calls sync.WaitGroup       // of clients
}

// node is one gateway, perhaps in several processes one after the other.
type node struct {
	public, admin, callback string
	config                  string // its file
	log                     *reader
	process                 *exec.Cmd
	away                    atomic.Bool // clients go to the other one
}

// newWorld starts everything, and returns when Prometheus has read both gateways.
func newWorld(t *testing.T, unit time.Duration) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), unit: unit, redis: redistest.StartTCP(t), client: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}}
	w.mood.Store(new(mood))
	t.Cleanup(w.client.CloseIdleConnections)
	var err error
	cfg := enginesim.Default()
	cfg.Credentials = map[string]string{"12345": secret, "67890": secret}
	cfg.Behaviour.Retries, cfg.Behaviour.RetryDelay, cfg.CallbackTimeout = 1000, 300*time.Millisecond, 2*time.Second
	if w.engine, err = enginesim.Start(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.engine.Close)
	at, err := freeport.Addresses(9)
	if err != nil {
		t.Fatal(err)
	}
	w.way, w.link = proxy(t, at[7], w.engine.Addr()), proxy(t, at[8], w.redis.Addr())
	if w.hooks, err = hooksim.Start(hooksim.Config{Hosts: receivers}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.hooks.Close)
	binary := filepath.Join(w.dir, "syncgate")
	if out, err := exec.Command("go", "build", "-o", binary, "syncgate/cmd/syncgate").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for i := range w.nodes {
		w.nodes[i] = &node{public: at[3*i], admin: at[3*i+1], callback: at[3*i+2], config: filepath.Join(w.dir, fmt.Sprintf("node-%d.yaml", i+1)), log: newReader(t)}
		w.configure(w.nodes[i], "")
		w.start(w.nodes[i])
	}
	w.prometheus = at[6]
	w.startPrometheus()
	return w
}

// proxy starts one at an address that the system gives to nobody while the proxy is down: else its clients could find a stranger there.
func proxy(t *testing.T, addr, target string) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.StartAt(addr, "tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// configure writes the configuration of a node, and something more.
func (w *world) configure(n *node, more string) {
	w.t.Helper()
	text := fmt.Sprintf(`
listen: {public: %q, admin: %q, callback: %q}
callback: {base_url: "http://%[3]s", keys: [%q]}
engine: {url: %q, max_connections: 4, timeout: 2s}
auth: {credentials: [{login: "12345", secret: %q}, {login: "67890", secret: %[6]q}]}
limits: {rate_per_login: 40}
drain: {delay: %[13]q, timeout: 20s}
correlator: {backend: redis, redis: {url: %[7]q}}
log: {level: debug}
engines: [{name: shop, kind: http, url: "%[5]s/orders", max_connections: 4, status: {from: state, map: {failed: error}}}]
routes:
  - {name: orders, path: /v1/orders, engine: shop, subscriptions: true}
  - {name: payments, path: /v1/payments, conv_id: 2000, login: "67890"}
access: [{name: web-shop, key: %[8]q, routes: [orders, payments]}]
waiters:
  - {name: payments, conv_id: 2000, key: data.order, hashes: [%[9]q], node: %[10]q, path: order, timer: 30s, early: 500ms, engine: none,
     verify: {kind: hmac, secret: %[11]q, header: X-Signature}}
notify: {allow_http: true, allow_networks: [127.0.0.0/8], timeout: 500ms, window: %[12]q}
%[14]s
`, n.public, n.admin, n.callback, callbackKey, "http://"+w.way.Addr(), secret, "redis://"+w.link.Addr(), shopKey, waiterHash, waiterNode, senderSecret, (3 * w.unit / 2).String(), max(w.unit/3, 1500*time.Millisecond).String(), more)
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// start starts a node and waits until it is ready. The end of the test kills it.
func (w *world) start(n *node) {
	w.t.Helper()
	n.process = w.run(n.log.end(), filepath.Join(w.dir, "syncgate"), "serve", "--config", n.config)
	w.until("a gateway is ready", func() bool { return w.status("http://"+n.admin+"/readyz") == http.StatusOK })
	n.away.Store(false)
}

// run starts a program, which the end of the test kills.
func (w *world) run(stderr io.Writer, program string, args ...string) *exec.Cmd {
	w.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		w.t.Fatalf("%s (.ci/setup installs what is missing): %v", program, err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// restart ends a node as its operator does, with clients that wait, and starts it again.
func (w *world) restart(n *node) {
	w.t.Helper()
	n.away.Store(true)
	if err := n.process.Process.Signal(syscall.SIGTERM); err != nil {
		w.t.Fatal(err)
	}
	if err := n.process.Wait(); err != nil {
		w.t.Errorf("a gateway that was to end: %v", err)
	}
	w.start(n)
}

// reload has a node read its configuration again.
func (w *world) reload(n *node, more string) {
	w.configure(n, more)
	if err := n.process.Process.Signal(syscall.SIGHUP); err != nil {
		w.t.Error(err)
	}
}

// startPrometheus starts a Prometheus that reads both gateways each second, and evaluates the alerts.
func (w *world) startPrometheus() {
	w.t.Helper()
	alerts, err := filepath.Abs("../../deploy/prometheus/alerts.yaml")
	if err != nil {
		w.t.Fatal(err)
	}
	config := filepath.Join(w.dir, "prometheus.yaml")
	text := fmt.Sprintf(`
global: {scrape_interval: %s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - job_name: syncgate
    static_configs:
      - {targets: [%q], labels: {instance: gateway-1}}
      - {targets: [%q], labels: {instance: gateway-2}}
`, scrapes, alerts, w.nodes[0].admin, w.nodes[1].admin)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	var log strings.Builder
	w.t.Cleanup(func() { // when Prometheus has ended
		if w.t.Failed() {
			w.t.Logf("prometheus:\n%s", log.String())
		}
	})
	w.run(&log, "prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(w.dir, "tsdb"), "--web.listen-address="+w.prometheus, "--log.level=warn")
	w.until("Prometheus has read both gateways", func() bool {
		answer, err := w.query("query", "query", "count(up == 1)")
		return err == nil && len(answer) == 1 && answer[0].Value.value == 2
	})
}

// status gives the status of the answer to a GET; 0: there is no answer.
func (w *world) status(url string) int {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(patience); !ok(); w.pause(50 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("%s: that has not come in %s", what, patience)
		}
	}
}

func (w *world) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-w.t.Context().Done():
	}
}

// reader reads the log of a node, except between stop(true) and stop(false).
type reader struct {
	t       *testing.T
	mu      sync.Mutex
	reading *sync.Cond // reading changes
	stopped bool       // guarded by mu
}

func newReader(t *testing.T) *reader {
	r := &reader{t: t}
	r.reading = sync.NewCond(&r.mu)
	t.Cleanup(func() { r.stop(false) })
	return r
}

// stop has nobody read the log, or somebody again.
func (r *reader) stop(stopped bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = stopped
	r.reading.Broadcast()
}

// end gives a pipe's end for a process to write to. What comes is read until the process and the test have ended.
func (r *reader) end() *os.File {
	r.t.Helper()
	from, to, err := os.Pipe()
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = to.Close() })
	go func() { // ends when the process and the cleanup above have closed the other end
		defer func() { _ = from.Close() }()
		for buf := make([]byte, 64<<10); ; {
			r.mu.Lock()
			for r.stopped {
				r.reading.Wait()
			}
			r.mu.Unlock()
			if _, err := from.Read(buf); err != nil {
				return
			}
		}
	}()
	return to
}
