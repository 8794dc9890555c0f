package main_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"syncgate/internal/enginesim"
	"syncgate/internal/freeport"
	"syncgate/signer"
)

const (
	login, secret = "12345", "mysecret"
	// patience bounds every wait: far above what anything takes, also under the race detector.
	patience = 30 * time.Second
)

// gate is a process of "syncgate serve".
type gate struct {
	t       *testing.T
	process *exec.Cmd
	log     *logbook // its standard error
	public  string   // host:port, as is
	admin   string
	ended   chan struct{} // closed when it has
}

// serve starts a gate at a public address, with further settings as VARIABLE=value, and waits until it serves.
func serve(t *testing.T, public string, env ...string) *gate {
	t.Helper()
	return launch(t, exec.Command("syncgate", "serve"), public, env...) // TestMain has put the program into the path
}

// launch is serve by another command line.
func launch(t *testing.T, command *exec.Cmd, public string, env ...string) *gate {
	t.Helper()
	g := prepare(t, command, public, env...)
	g.process.Stderr = g.log
	g.start()
	g.logged(`"message":"serving"`)
	return g
}

// prepare makes a gate that start starts. Its log goes nowhere, unless process.Stderr is set.
func prepare(t *testing.T, command *exec.Cmd, public string, env ...string) *gate {
	t.Helper()
	config := filepath.Join(t.TempDir(), "c.yaml")
	credentials := fmt.Sprintf("auth: {credentials: [{login: %q, secret: %q}]}\n", login, secret)
	if err := os.WriteFile(config, []byte(credentials), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &gate{t: t, process: command, log: new(logbook), public: public, admin: free(t, 1)[0], ended: make(chan struct{})}
	g.process.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=20", "SYNCGATE_CONFIG="+config, "SYNCGATE_DRAIN_DELAY=0s",
		"SYNCGATE_LISTEN_PUBLIC="+public, "SYNCGATE_LISTEN_ADMIN="+g.admin, "SYNCGATE_CALLBACK_BASE_URL=http://"+public)
	g.process.Env = append(g.process.Env, env...)
	return g
}

func (g *gate) start() {
	g.t.Helper()
	if err := g.process.Start(); err != nil {
		g.t.Fatal(err)
	}
	go func() {
		_ = g.process.Wait() // ProcessState tells
		close(g.ended)
	}()
	g.t.Cleanup(g.cleanup)
}

func (g *gate) cleanup() {
	_ = g.process.Process.Kill() // most have ended
	<-g.ended
	for line := range strings.Lines(g.log.String()) {
		if !strings.HasPrefix(line, "{") || strings.Contains(line, "panicked") {
			g.t.Errorf("the log has %s", line)
			break
		}
	}
	if g.t.Failed() {
		g.t.Logf("log of %s, lines of trips aside:\n%s", g.public, g.log.but(`"message":"trip"`))
	}
}

func (g *gate) signal(s os.Signal) {
	g.t.Helper()
	if err := g.process.Process.Signal(s); err != nil {
		g.t.Fatal(err)
	}
}

// stop ends the gate as an operator does, and wants it to end well.
func (g *gate) stop() {
	g.t.Helper()
	g.signal(syscall.SIGTERM)
	g.exits(0)
}

func (g *gate) exits(status int) {
	g.t.Helper()
	select {
	case <-g.ended:
	case <-time.After(patience):
		g.t.Fatalf("it has not ended after %v", patience)
	}
	if got := g.process.ProcessState.ExitCode(); got != status {
		g.t.Errorf("exit status %d, want %d", got, status)
	}
}

// logged waits for a line of the log.
func (g *gate) logged(pattern string) {
	g.t.Helper()
	re := regexp.MustCompile(pattern)
	eventually(g.t, "the log has "+pattern, func() bool {
		select {
		case <-g.ended:
			g.t.Fatalf("it has ended:\n%s", g.log)
		default:
		}
		return re.MatchString(g.log.String())
	})
}

// ready tells the status of /readyz.
func (g *gate) ready() int {
	status, _ := get(g.t, "http://"+g.admin+"/readyz")
	return status
}

// metric adds up the samples of a metric whose labels have all of these in them.
func (g *gate) metric(name string, labels ...string) (sum float64) {
	g.t.Helper()
	_, text := get(g.t, "http://"+g.admin+"/metrics")
	for line := range strings.Lines(text) {
		sample, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		match := sample == name || strings.HasPrefix(sample, name+"{")
		for _, l := range labels {
			match = match && strings.Contains(sample, l)
		}
		if match {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				g.t.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}

// get asks over a connection of its own; status 0 is no answer.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	r, err := c.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err.Error()
	}
	return r.StatusCode, string(b)
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, end := time.NewTicker(10*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// free gives n addresses of the loopback that nobody listens on.
func free(t *testing.T, n int) []string {
	t.Helper()
	addresses, err := freeport.Addresses(n)
	if err != nil {
		t.Fatal(err)
	}
	return addresses
}

// logbook is a log that may be written and read at once.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// but gives the lines without a text in them.
func (l *logbook) but(text string) string {
	var rest strings.Builder
	for line := range strings.Lines(l.String()) {
		if !strings.Contains(line, text) {
			rest.WriteString(line)
		}
	}
	return rest.String()
}

// simulate starts an engine that verifies signatures and calls back after a while.
func simulate(t *testing.T, change ...func(*enginesim.Config)) *enginesim.Engine {
	t.Helper()
	c := enginesim.Default()
	c.Credentials = map[string]string{login: secret}
	c.Behaviour.Delay = enginesim.Range{Min: time.Millisecond, Max: 20 * time.Millisecond}
	for _, f := range change {
		f(&c)
	}
	e, err := enginesim.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   string
	last   bool // the connection ends with it
}

// client is a caller with kept connections.
type client struct {
	http.Client
	url string
}

// caller makes a client of the gateway or balancer at an address.
func caller(t *testing.T, address string, connections int) *client {
	t.Helper()
	kept := &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}
	t.Cleanup(kept.CloseIdleConnections)
	return &client{http.Client{Transport: kept, Timeout: 2 * patience}, "http://" + address}
}

// create sends a signed create and waits for its reply.
func (c *client) create(body string) (a answer, err error) {
	now := strconv.FormatInt(time.Now().Unix(), 10)
	path := "/api/1/json/" + login + "/" + now + "/" + string(signer.AppendSignature(nil, []byte(now), []byte(secret), []byte(body)))
	r, err := c.Post(c.url+path, "application/json", strings.NewReader(body))
	if err != nil {
		return a, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return answer{r.StatusCode, r.Header, string(b), r.Close}, err
}

// createLater sends a create and gives its reply by channel; status 0 is none.
func (c *client) createLater(body string) <-chan answer {
	later := make(chan answer, 1)
	go func() {
		a, err := c.create(body)
		if err != nil {
			a.body = err.Error()
		}
		later <- a
	}()
	return later
}

// task is a package of one create, its data, and the reply that is its own.
func task(nonce string) (body, reply string) {
	return `{"timeout":30,"ops":[{"type":"create","obj":"task","conv_id":1,"ref":"` + nonce + `","data":{"nonce":"` + nonce + `"}}]}`,
		`{"request_proc":"ok","ops":[{"proc":"ok","ref":"` + nonce + `","data":{"nonce":"` + nonce + `"}}]}`
}

// storm runs trips over so many connections and wants that each gets its own result. It returns how long they took.
func storm(t *testing.T, c *client, trips, connections int) time.Duration {
	t.Helper()
	var next, wrong atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	for range connections {
		all.Go(func() {
			for n := next.Add(1); n <= int64(trips); n = next.Add(1) {
				body, reply := task(fmt.Sprintf("%d-%d", began.UnixNano(), n))
				a, err := c.create(body)
				if (err != nil || a.status != 200 || a.body != reply) && wrong.Add(1) <= 5 {
					t.Errorf("trip %d: %d %s %v", n, a.status, a.body, err)
				}
			}
		})
	}
	all.Wait()
	if n := wrong.Load(); n > 0 {
		t.Errorf("%d of %d trips went wrong", n, trips)
	}
	return time.Since(began)
}
