package main_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// jobs is an engine of kind http in the hands of a test. It accepts each task, and calls back when the test says so.
type jobs struct {
	*httptest.Server
	mu  sync.Mutex
	all []*job
}

// job is a task as its engine has it.
type job struct {
	body, callback string
	stopped        bool // the engine was asked to cancel it
}

func newJobs(t *testing.T) *jobs {
	t.Helper()
	e := new(jobs)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /jobs", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		e.mu.Lock()
		e.all = append(e.all, &job{body: string(body), callback: r.Header.Get("X-Callback-Url")})
		n := len(e.all) - 1
		e.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"job":%d}`, n)
	})
	mux.HandleFunc("POST /jobs/{job}/stop", func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if n, err := strconv.Atoi(r.PathValue("job")); err == nil && n < len(e.all) {
			e.all[n].stopped = true
			return
		}
		http.NotFound(w, r)
	})
	e.Server = httptest.NewServer(mux)
	t.Cleanup(e.Close)
	return e
}

// named gives copies of the jobs with a text in their bodies.
func (e *jobs) named(text string) (found []job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, j := range e.all {
		if strings.Contains(j.body, text) {
			found = append(found, *j)
		}
	}
	return found
}

// begun waits for the job with a text in its body.
func (e *jobs) begun(t *testing.T, text string) job {
	t.Helper()
	eventually(t, "the engine has "+text, func() bool { return len(e.named(text)) > 0 })
	return e.named(text)[0]
}

// report calls back with a status and JSON, and wants that the gateway takes it.
func (j job) report(status, body string, header ...string) error {
	req, err := http.NewRequest(http.MethodPost, j.callback, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Callback-Status", status)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	r, err := c.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if said, _ := io.ReadAll(r.Body); r.StatusCode != http.StatusOK {
		return fmt.Errorf("the gateway answers a callback with %d %s", r.StatusCode, said)
	}
	return nil
}

// serveRoutes starts a gateway. Its configuration has text, which is the sections routes and access, and this engine under the name jobs.
func (e *jobs) serveRoutes(t *testing.T, at, text string, env ...string) *gate {
	t.Helper()
	config := filepath.Join(t.TempDir(), "routes.yaml")
	text = fmt.Sprintf(`
auth: {credentials: [{login: %q, secret: %q}]}
engines: [{name: jobs, kind: http, url: "%[3]s/jobs", cancel: {url: "%[3]s/jobs/{accepted.job}/stop"}}]
`, login, secret, e.URL) + text
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return serve(t, at, append([]string{"SYNCGATE_CONFIG=" + config}, env...)...)
}
