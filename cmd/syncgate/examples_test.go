package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

const examplesDir = "../../configs/examples/"

// exampleEnv has the secrets of the examples.
func exampleEnv() []string {
	return []string{"WEB_KEY=of-the-shop", "WORKER_TOKEN=of-the-worker", "COREZOID_SECRET=" + secret}
}

// TestExamplesAreValid wants that check finds nothing in the examples.
func TestExamplesAreValid(t *testing.T) {
	files, err := filepath.Glob(examplesDir + "*.yaml")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		said, status := output(t, exec.Command("syncgate", "check", "--quiet", "--config", file), exampleEnv()...)
		if status != 0 || said != "" {
			t.Errorf("check of %s: status %d\n%s", file, status, said)
		}
	}
}

// example starts a gateway with an example's file. It replaces the address of the engine that stands in the file by another one.
func example(t *testing.T, file, stands, engine string) *gate {
	t.Helper()
	text, err := os.ReadFile(examplesDir + file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "http://"+stands) {
		t.Fatalf("%s does not name %s", file, stands)
	}
	config := filepath.Join(t.TempDir(), file)
	if err := os.WriteFile(config, []byte(strings.ReplaceAll(string(text), "http://"+stands, "http://"+engine)), 0o600); err != nil {
		t.Fatal(err)
	}
	return launch(t, exec.Command("syncgate", "serve", "--config", config), free(t, 1)[0], exampleEnv()...)
}

// background starts a program and waits until it says that it is ready. What it says is the answer.
func background(t *testing.T, ready string, command *exec.Cmd, env ...string) *logbook {
	t.Helper()
	log := new(logbook)
	command.Stdout, command.Stderr = log, log
	command.Env = append(append(os.Environ(), "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1"), env...)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = command.Wait() // it is killed
		close(ended)
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("%s has said:\n%s", command, log)
		}
	})
	eventually(t, command.String()+" says "+ready, func() bool {
		select {
		case <-ended:
			t.Fatalf("%s has ended:\n%s", command, log)
		default:
		}
		return strings.Contains(log.String(), ready)
	})
	return log
}

// exampleWorker starts a worker of the examples and gives its address.
func exampleWorker(t *testing.T, program, file string) (at string, log *logbook) {
	t.Helper()
	at = free(t, 1)[0]
	_, port, _ := net.SplitHostPort(at)
	log = background(t, "the worker listens on port "+port, exec.Command(program, examplesDir+file), append(exampleEnv(), "PORT="+port)...)
	return at, log
}

const asShop = "X-Api-Key: of-the-shop"

// ask sends a request with JSON and gives its answer. Headers are written as on the wire.
func (c *client) ask(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	a, err := c.try(method, path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (c *client) try(method, path, body string, headers ...string) (a answer, err error) {
	r, err := c.open(method, path, body, headers...)
	if err != nil {
		return a, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return answer{r.StatusCode, r.Header, string(b), r.Close}, err
}

func (c *client) open(method, path, body string, headers ...string) (*http.Response, error) {
	req, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	return c.Do(req)
}

// later asks for the result of a task that was handed out, until it is there.
func (c *client) later(t *testing.T, handed answer) answer {
	t.Helper()
	location := handed.header.Get("Location")
	if handed.status != 202 || !strings.HasPrefix(location, "/tasks/") {
		t.Fatalf("not handed out: %d %s %s", handed.status, location, handed.body)
	}
	if first := c.ask(t, "GET", location, "", asShop); first.status != 202 || first.header.Get("Retry-After") == "" {
		t.Errorf("the task is %d %s at once", first.status, first.body)
	}
	var got answer
	eventually(t, "the task has a result", func() bool {
		got = c.ask(t, "GET", location, "", asShop, "Prefer: wait=1")
		return got.status != 202
	})
	return got
}

func wantAnswer(t *testing.T, got answer, status int, body string) {
	t.Helper()
	if got.status != status || got.body != body {
		t.Errorf("%d %s; want %d %s", got.status, got.body, status, body)
	}
}

// TestExampleWorkers: a client waits for the workers in Python and Node, or asks later; an error of theirs is a 502.
func TestExampleWorkers(t *testing.T) {
	for _, of := range []struct{ config, program, file, result, problem string }{
		{"worker-python.yaml", "python3", "worker.py", `{"greeting": "Hello, Olena"}`, `"message": "TypeError`},
		{"worker-node.yaml", "node", "worker.js", `{"greeting":"Hello, Olena"}`, `"message":"TypeError`},
	} {
		t.Run(of.program, func(t *testing.T) {
			t.Parallel()
			worker, _ := exampleWorker(t, of.program, of.file)
			g := example(t, of.config, "127.0.0.1:9000", worker)
			c := caller(t, g.public, 2)
			wantAnswer(t, c.ask(t, "POST", "/v1/greetings", `{"name":"Olena"}`, asShop), 200, of.result)
			wantAnswer(t, c.later(t, c.ask(t, "POST", "/v1/greetings", `{"name":"Olena"}`, asShop, "Prefer: respond-async")), 200, of.result)
			if a := c.ask(t, "POST", "/v1/greetings", `null`, asShop); a.status != 502 || !strings.Contains(a.body, of.problem) {
				t.Errorf("of a task that the worker cannot do: %d %s", a.status, a.body)
			}
			if a := c.ask(t, "POST", "/v1/greetings", `{"name":"Olena"}`); a.status != 401 {
				t.Errorf("without a key: %d", a.status)
			}
			repeats(t, worker, 401, "complete", of.result)
			g.stop()
		})
	}
}

// repeats wants that a worker takes nothing from strangers, and calls again after a 5xx and when nobody answers. refused is what a stranger
// hears, and status what the worker says with its result.
func repeats(t *testing.T, worker string, refused int, status, result string) {
	t.Helper()
	var mu sync.Mutex
	var calls []string
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, r.Method+" "+r.Header.Get("X-Callback-Status")+" "+string(body))
		switch len(calls) {
		case 1:
			w.WriteHeader(503)
		case 2:
			panic(http.ErrAbortHandler) // the connection ends without an answer
		}
	}))
	defer gateway.Close()
	c := caller(t, worker, 1)
	if a := c.ask(t, "POST", "", `{"name":"Olena"}`, "X-Callback-Url: "+gateway.URL, "Authorization: Bearer of-a-stranger"); a.status != refused {
		t.Errorf("a stranger hears %d", a.status)
	}
	if a := c.ask(t, "POST", "", `{"name":"Olena"}`, "X-Callback-Url: "+gateway.URL, "Authorization: Bearer of-the-worker"); a.status/100 != 2 {
		t.Errorf("a task is answered %d", a.status)
	}
	so := func() []string {
		mu.Lock()
		defer mu.Unlock()
		return calls
	}
	eventually(t, "the worker has called again", func() bool { return len(so()) > 2 })
	for _, call := range so() {
		if call != "POST "+status+" "+result {
			t.Errorf("the worker calls %s", call)
		}
	}
}

// TestExampleCorezoid: a plain request becomes a task of a process.
func TestExampleCorezoid(t *testing.T) {
	at := free(t, 1)[0]
	background(t, "simulated engine on", exec.Command("syncgate", "engine", "--listen", at, "--credential", login+":"+secret, "--delay", "300ms"))
	g := example(t, "corezoid-rest.yaml", "127.0.0.1:9000", at)
	c := caller(t, g.public, 2)
	const body = `{"amount": 12.0}`
	a := c.ask(t, "POST", "/v1/transfers/card", body, asShop)
	wantAnswer(t, a, 200, body)
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("the content type is %s", got)
	}
	wantAnswer(t, c.later(t, c.ask(t, "POST", "/v1/transfers/card", body, asShop, "Prefer: respond-async")), 200, body)
	if a := c.ask(t, "POST", "/v1/transfers/card", body, "X-Api-Key: of-nobody"); a.status != 401 {
		t.Errorf("with a wrong key: %d", a.status)
	}
	g.stop()
}

// TestExampleProgress reads events, and cancels.
func TestExampleProgress(t *testing.T) {
	worker, log := exampleWorker(t, "python3", "progress.py")
	g := example(t, "progress.yaml", "127.0.0.1:9000", worker)
	c := caller(t, g.public, 2)
	r, err := c.open("POST", "/v1/reports", `{"pages":4}`, asShop, "Accept: text/event-stream")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	stream, err := io.ReadAll(r.Body) // it ends
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, m := range regexp.MustCompile(`(?m)^event: (.*)\ndata: (.*)$`).FindAllStringSubmatch(string(stream), -1) {
		seen = append(seen, m[1]+" "+m[2])
	}
	want := []string{"progress {\"state\": \"begun\"}"}
	for page := 1; page <= 4; page++ {
		want = append(want, fmt.Sprintf(`progress {"state": "busy", "page": %d, "percent": %d}`, page, 25*page))
	}
	want = append(want, `result {"pages": 4}`)
	if len(seen) == 0 || !strings.HasPrefix(seen[0], "accepted ") || strings.Join(seen[1:], "\n") != strings.Join(want, "\n") {
		t.Errorf("the stream is\n%s", stream)
	}

	handed := c.ask(t, "POST", "/v1/reports", `{"pages":1000}`, asShop, "Prefer: respond-async")
	task := handed.header.Get("Location")
	var status struct {
		Status          string
		PercentComplete *int
	}
	eventually(t, "the task says how far it is", func() bool {
		a := c.ask(t, "GET", task+"/status", "", asShop)
		return a.status == 200 && json.Unmarshal([]byte(a.body), &status) == nil && status.PercentComplete != nil
	})
	if a := c.ask(t, "DELETE", task, "", asShop); a.status != 202 {
		t.Errorf("DELETE: %d %s", a.status, a.body)
	}
	eventually(t, "the worker has stopped", func() bool { return strings.Contains(log.String(), "stopped at page") })
	if a := c.ask(t, "GET", task, "", asShop); a.status != 409 {
		t.Errorf("the cancelled task: %d %s", a.status, a.body)
	}
	g.stop()
}

// TestExampleBrowserKey: the key of a page is good for pages of its origin alone, and each client address has a rate.
func TestExampleBrowserKey(t *testing.T) {
	worker, _ := exampleWorker(t, "python3", "worker.py")
	g := example(t, "browser-key.yaml", "127.0.0.1:9000", worker)
	c := caller(t, g.public, 2)
	const key, body = "X-Api-Key: pk-shop", `{"name":"Olena"}`
	const cors = "Access-Control-Allow-Origin"
	const ours, foreign = "Origin: https://shop.example", "Origin: https://evil.example"
	preflight := func(origin string) answer {
		return c.ask(t, "OPTIONS", "/v1/greetings", "", origin, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type,x-api-key")
	}
	a := preflight(ours)
	if allowed := strings.ToLower(a.header.Get("Access-Control-Allow-Headers")); a.status != 204 || a.header.Get(cors) != "https://shop.example" ||
		!strings.Contains(allowed, "x-api-key") || !strings.Contains(allowed, "content-type") {
		t.Errorf("preflight: %d %v", a.status, a.header)
	}
	if a := preflight(foreign); a.status != 403 || a.header.Get(cors) != "" {
		t.Errorf("preflight of a foreign page: %d %v", a.status, a.header)
	}
	for _, headers := range [][]string{{key, foreign}, {key}} {
		if a := c.ask(t, "POST", "/v1/greetings", body, headers...); a.status != 403 || a.header.Get(cors) != "" || !strings.Contains(a.body, "/errors/origin") {
			t.Errorf("%s: %d %v %s", headers, a.status, a.header, a.body)
		}
	}
	a = c.ask(t, "POST", "/v1/greetings", body, key, ours)
	wantAnswer(t, a, 200, `{"greeting": "Hello, Olena"}`)
	if a.header.Get(cors) != "https://shop.example" {
		t.Errorf("the answer has no CORS: %v", a.header)
	}
	const most = 200
	for n := 1; ; n++ {
		a := c.ask(t, "POST", "/v1/greetings", body, key, ours, "Prefer: respond-async")
		if a.status == 429 {
			break
		}
		if a.status != 202 || n == most {
			t.Fatalf("request %d of many is answered %d %s", n, a.status, a.body)
		}
	}
	g.stop()
}
