//go:build linux

package deploy_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
)

// pod is the first container of a pod, running.
type pod struct {
	*container
	cmd   *exec.Cmd
	log   *lines
	ended chan error
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start starts the container with the arguments of the Deployment.
func start(t *testing.T, c *container) *pod {
	t.Helper()
	p := &pod{container: c, cmd: c.command(c.args...), log: new(lines), ended: make(chan error, 1)}
	p.cmd.Stderr = p.log
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of a pod:\n%s", p.log)
		}
	})
	run(t, p.cmd, p.ended)
	return p
}

// run starts a command, and ends it with the test. What Wait says comes over ended.
func run(t *testing.T, cmd *exec.Cmd, ended chan error) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() { // ends with the command
		defer close(over)
		ended <- cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-over
	})
}

// freePorts gives ports of the loopback that nobody uses.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// eventually waits for a condition to become true.
func eventually(t *testing.T, what string, within time.Duration, ok func() bool) {
	t.Helper()
	end := time.After(within)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("after %v it is not true: %s", within, what)
		}
	}
}

// status gives that of a GET, 0 if there is no answer, and the body.
func status(url string) (int, string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

// ask asks what a probe of the pod asks, as the kubelet does.
func (p *pod) ask(probe *core.Probe) int {
	code, _ := status(fmt.Sprintf("http://127.0.0.1:%d%s", portOf(p.pod, probe.HTTPGet.Port), probe.HTTPGet.Path))
	return code
}

func (p *pod) live() int  { return p.ask(p.pod.Containers[0].LivenessProbe) }
func (p *pod) ready() int { return p.ask(p.pod.Containers[0].ReadinessProbe) }

func (p *pod) port(name string) int32 {
	for _, port := range p.pod.Containers[0].Ports {
		if port.Name == name {
			return port.ContainerPort
		}
	}
	return 0
}

// parked gives how many clients wait at the pod, as Prometheus reads it.
func (p *pod) parked() string {
	_, metrics := status(fmt.Sprintf("http://127.0.0.1:%d/metrics", p.port("admin")))
	for line := range strings.Lines(metrics) {
		if value, ok := strings.CutPrefix(line, "syncgate_parked_clients "); ok {
			return strings.TrimSpace(value)
		}
	}
	return "none"
}

// answer is what a client got.
type answer struct {
	code int
	body string
	took time.Duration
}

// call creates a task at the pod, as the login of the values, and gives the answer when it has come.
func (p *pod) call(t *testing.T, data string) <-chan answer {
	t.Helper()
	body := `{"ops":[{"type":"create","obj":"task","conv_id":1,"data":` + data + `}]}`
	var said bytes.Buffer
	sign := p.command("sign", "--login", "12345", "--secret-file", "/secrets/syncgate/login-12345", "--url", fmt.Sprintf("http://127.0.0.1:%d", p.port("public")))
	sign.Stdin, sign.Stdout, sign.Stderr = strings.NewReader(body), &said, &said
	if err := sign.Run(); err != nil {
		t.Fatalf("sign: %v\n%s", err, &said)
	}
	answers := make(chan answer, 1)
	go func() { // ends with the answer; every wait of these tests is bounded
		began := time.Now()
		resp, err := http.Post(strings.TrimSpace(said.String()), "application/json", strings.NewReader(body))
		if err != nil {
			answers <- answer{body: err.Error()}
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		answers <- answer{resp.StatusCode, string(text), time.Since(began)}
	}()
	return answers
}

// world is a Redis, an engine, and values for pods on this machine.
type world struct {
	secrets map[string]string
	values  string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ports := freePorts(t, 2)
	const password = "a-password-of-redis"
	redis := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", fmt.Sprint(ports[0]), "--save", "", "--dir", t.TempDir(), "--requirepass", password)
	redis.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	run(t, redis, make(chan error, 1))
	binary, err := program()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, binary)
	}
	file := filepath.Join(t.TempDir(), "syncgate")
	if err := os.WriteFile(file, binary, 0o700); err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[1])
	engine := exec.Command(file, "engine", "--listen", address, "--delay", "50ms")
	engine.SysProcAttr = redis.SysProcAttr
	run(t, engine, make(chan error, 1))
	return &world{
		secrets: map[string]string{"redis-password": password + "\n", "login-12345": "a-secret-of-the-login\n"},
		values: fmt.Sprintf(`configuration:
  engine: {url: "http://%s"}
  drain: {delay: 3s, timeout: 6s}
  correlator: {redis: {url: "redis://127.0.0.1:%d/0"}}
`, address, ports[0]),
	}
}

// pods starts two pods that differ in their ports alone, as they share one machine here. Callbacks of both come to the second one.
func (w *world) pods(t *testing.T) (first, second *pod) {
	t.Helper()
	ports := freePorts(t, 6)
	callbacks := fmt.Sprintf("configuration: {callback: {base_url: \"http://127.0.0.1:%d\"}}\n", ports[4])
	begin := func(ports []int) *pod {
		own := fmt.Sprintf("ports: {public: %d, callback: %d, admin: %d}\n", ports[0], ports[1], ports[2])
		return start(t, newContainer(t, decode(t, mustRender(t, w.values, callbacks, own)), w.secrets))
	}
	first, second = begin(ports[:3]), begin(ports[3:])
	for _, p := range []*pod{first, second} {
		eventually(t, "both pods are ready", 20*time.Second, func() bool { return p.ready() == http.StatusOK })
		if p.live() != http.StatusOK {
			t.Error("a ready pod does not live")
		}
	}
	return first, second
}

// TestPods runs two pods as their Deployment says, with a Redis and an engine. They serve, answer probes, and drain in the time that they have.
func TestPods(t *testing.T) {
	first, second := newWorld(t).pods(t)
	if a := <-first.call(t, `{"amount":5}`); a.code != http.StatusOK || !strings.Contains(a.body, `"amount":5`) {
		t.Fatalf("the client got %+v", a)
	}
	patient := first.call(t, `{"__sim":{"delay_ms":5000}}`)
	hopeless := first.call(t, `{"__sim":{"callback":"never"}}`)
	eventually(t, "two clients wait", 10*time.Second, func() bool { return first.parked() == "2" })

	grace := time.Duration(*first.pod.TerminationGracePeriodSeconds) * time.Second
	began := time.Now()
	if err := first.cmd.Process.Signal(syscall.SIGTERM); err != nil { // as the kubelet does
		t.Fatal(err)
	}
	eventually(t, "a pod that ends is not ready", 2*time.Second, func() bool { return first.ready() == http.StatusServiceUnavailable })
	if first.live() != http.StatusOK {
		t.Error("a pod that drains does not live")
	}
	if a := <-first.call(t, `{"late":1}`); a.code != http.StatusOK {
		t.Errorf("within drain.delay a client got %+v", a)
	}
	if a := <-patient; a.code != http.StatusOK || !strings.Contains(a.body, `"proc":"ok"`) || a.took < 5*time.Second {
		t.Errorf("who waited got %+v", a)
	}
	if a := <-hopeless; a.code != http.StatusServiceUnavailable {
		t.Errorf("who waited in vain got %+v", a)
	}
	select {
	case err := <-first.ended:
		if took := time.Since(began); err != nil || took > grace-5*time.Second {
			t.Errorf("the pod ended after %v of %v: %v", took, grace, err)
		}
	case <-time.After(grace):
		t.Errorf("after %v the pod runs: Kubernetes would kill it", grace)
	}
	if a := <-second.call(t, `{"amount":6}`); a.code != http.StatusOK || !strings.Contains(a.body, `"amount":6`) {
		t.Errorf("at the other pod a client got %+v", a)
	}
}

// TestExec runs the commands of the document and of the notes in a pod, as kubectl exec does.
func TestExec(t *testing.T) {
	first, _ := newWorld(t).pods(t)
	for _, args := range [][]string{{"health"}, {"check", "--quiet"}, {"check", "--online"}, {"doctor", "--wait", "1s"}} {
		out, err := first.command(args...).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
		if args[len(args)-1] == "--online" {
			for _, what := range []string{"redis", "engine", "callback"} {
				wantLine(t, string(out), what)
			}
		}
	}
	if _, body := status(fmt.Sprintf("http://127.0.0.1:%d/metrics", first.port("public"))); strings.Contains(body, "syncgate_parked_clients") {
		t.Error("the public port has the metrics")
	}
}

// wantLine wants a line that names something, and that begins with ok.
func wantLine(t *testing.T, text, what string) {
	t.Helper()
	s := bufio.NewScanner(strings.NewReader(text))
	for s.Scan() {
		if strings.Contains(strings.ToLower(s.Text()), what) && strings.HasPrefix(s.Text(), "ok") {
			return
		}
	}
	t.Errorf("no line says that %s is ok:\n%s", what, text)
}

// TestWithoutRedis wants a pod without Redis alive and not ready, and ready again by itself.
func TestWithoutRedis(t *testing.T) {
	w := newWorld(t)
	ports := freePorts(t, 4)
	lost := fmt.Sprintf("configuration: {correlator: {redis: {url: 'redis://127.0.0.1:%d'}}}\nports: {public: %d, callback: %d, admin: %d}", ports[0], ports[1], ports[2], ports[3])
	p := start(t, newContainer(t, decode(t, mustRender(t, w.values, lost)), w.secrets))
	eventually(t, "it lives", 20*time.Second, func() bool { return p.live() == http.StatusOK })
	if code := p.ready(); code != http.StatusServiceUnavailable {
		t.Errorf("it is ready: %d", code)
	}
}

// TestNoPolicy wants a pod without a NetworkPolicy to keep its admin listener to itself, and its probes to work.
func TestNoPolicy(t *testing.T) {
	w := newWorld(t)
	ports := freePorts(t, 3)
	open := fmt.Sprintf("networkPolicy: {enabled: false}\nports: {public: %d, callback: %d, admin: %d}", ports[0], ports[1], ports[2])
	p := start(t, newContainer(t, decode(t, mustRender(t, w.values, open)), w.secrets))
	eventually(t, "it is ready", 20*time.Second, func() bool { return p.ready() == http.StatusOK && p.live() == http.StatusOK })
	if code, _ := status(fmt.Sprintf("http://127.0.0.1:%d/healthz", ports[2])); code != http.StatusOK {
		t.Errorf("the admin listener on the loopback: %d", code)
	}
	if code, body := status(fmt.Sprintf("http://127.0.0.2:%d/healthz", ports[2])); code != 0 {
		t.Errorf("the admin listener at another address: %d %s", code, body)
	}
	if code, _ := status(fmt.Sprintf("http://127.0.0.2:%d/healthz", ports[0])); code != http.StatusOK {
		t.Errorf("the public listener at another address: %d", code)
	}
}
