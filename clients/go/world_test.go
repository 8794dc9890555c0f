//go:build gateway || nodes

package syncgate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	syncgate "syncgate/clients/go"
)

// patience bounds every wait.
const patience = 20 * time.Second

// world is what the tests call and steer: a gateway, its engines and the network in between. TestGoClient of cmd/syncgate starts it.
type world struct {
	t                  *testing.T
	base               string
	URL, Login, Secret string
	gate               *syncgate.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, base: os.Getenv("SYNCGATE_WORLD")}
	if w.base == "" {
		t.Fatal("SYNCGATE_WORLD is not set: run these tests by go test -run TestGoClient ./cmd/syncgate")
	}
	if err := json.Unmarshal([]byte(w.steer("GET", "/world", "")), w); err != nil {
		t.Fatal(err)
	}
	w.gate = &syncgate.Client{URL: w.URL, Key: "the-key"}
	return w
}

func (w *world) steer(method, path, body string) string {
	w.t.Helper()
	req, err := http.NewRequest(method, w.base+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 {
		w.t.Fatalf("%s: %d %s", path, resp.StatusCode, text)
	}
	return string(text)
}

// job is a task as the engine has it.
type job struct {
	Body    string
	Stopped bool
}

func (w *world) jobs(name string) (all []job) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(w.steer("GET", "/jobs?name="+url.QueryEscape(name), "")), &all); err != nil {
		w.t.Fatal(err)
	}
	return all
}

// wantOne wants that the engine has one task of this name.
func (w *world) wantOne(name string) {
	w.t.Helper()
	if n := len(w.jobs(name)); n != 1 {
		w.t.Errorf("the engine has %d tasks %s", n, name)
	}
}

// report has the engine call back for the task with this name in its data.
func (w *world) report(name, status, body string) {
	w.t.Helper()
	w.steer("POST", "/report?"+url.Values{"name": {name}, "status": {status}}.Encode(), body)
}

func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	tick, end := time.NewTicker(10*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			w.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func (w *world) begun(name string) {
	w.t.Helper()
	w.eventually("the engine has "+name, func() bool { return len(w.jobs(name)) > 0 })
}

func (w *world) waiting(n int) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%d clients wait", n), func() bool { return w.steer("GET", "/waiting", "") == fmt.Sprint(n) })
}

var names atomic.Int64

// newName gives a name for a job, and the data of a task that has it.
func newName() (name string, data map[string]string) {
	name = fmt.Sprintf("job-%d-%d.", os.Getpid(), names.Add(1))
	return name, map[string]string{"job": name}
}

// outcome is what a call gives.
type outcome struct {
	result *syncgate.Result
	err    error
}

// later calls in a goroutine, which ends with the call.
func later(call func() (*syncgate.Result, error)) <-chan outcome {
	c := make(chan outcome, 1)
	go func() {
		r, err := call()
		c <- outcome{r, err}
	}()
	return c
}

func (w *world) wantResult(c <-chan outcome, body string) {
	w.t.Helper()
	o := <-c
	if o.err != nil || string(o.result.Body) != body {
		w.t.Fatalf("the call gives %+v, %v", o.result, o.err)
	}
}

func wantError(t *testing.T, err error, code string, maybe bool) syncgate.Error {
	t.Helper()
	var e *syncgate.Error
	if !errors.As(err, &e) {
		t.Fatalf("the call gives %v", err)
	}
	if e.Code != code || e.Maybe != maybe {
		t.Fatalf("the call gives %s, maybe %v; want %s, %v: %v", e.Code, e.Maybe, code, maybe, err)
	}
	return *e
}
