package main_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// installed copies a directory of testdata and has npm install what its lock file says.
func installed(t *testing.T, dir string) string {
	t.Helper()
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
	npm.Dir = copied
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm: %v\n%s", err, out)
	}
	return copied
}

// polled is a line of testdata/lro/poll.mjs.
type polled struct {
	Name, Status, URL, Error string
	Ended                    bool
	Polls                    int
	Result                   json.RawMessage
}

// TestAzurePollers has @azure/core-lro, as SDKs for Azure use it, poll tasks to their ends.
func TestAzurePollers(t *testing.T) {
	dir := installed(t, "testdata/lro")
	e, at := newJobs(t), free(t, 1)[0]
	e.serveRoutes(t, at, `
routes: [{name: jobs, path: /v1/jobs, engine: jobs, wait: {default: 0s}}]
access: [{name: azure, key: the-key, routes: [jobs]}]
`, "SYNCGATE_LISTEN_PUBLIC_URL=http://"+at)

	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	node, log := exec.CommandContext(ctx, "node", filepath.Join(dir, "poll.mjs"), "http://"+at+"/v1/jobs", "the-key"), new(logbook)
	node.Stderr = log
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(map[string]polled)
	for lines := json.NewDecoder(out); ; {
		var p polled
		if err := lines.Decode(&p); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Errorf("a line of the pollers: %v", err)
			}
			break
		}
		if p.Ended {
			ended[p.Name] = p
		} else {
			endJob(t, e, p)
		}
	}
	if err := node.Wait(); err != nil {
		t.Errorf("the pollers: %v\n%s", err, log)
	}
	wantPolled(t, ended)
	for _, j := range e.named(" ") {
		if j.stopped != strings.Contains(j.body, "canceled") {
			t.Errorf("the engine was asked to cancel %s: %v", j.body, j.stopped)
		}
	}
}

// endJob ends a job as its name says, when its poller has seen that it runs.
func endJob(t *testing.T, e *jobs, p polled) {
	t.Helper()
	if p.Status != "running" {
		t.Errorf("%s begins with %s", p.Name, p.Status)
	}
	var err error
	switch j := e.begun(t, p.Name); p.Name[strings.LastIndexByte(p.Name, ' ')+1:] {
	case "succeeded":
		err = j.report("complete", `{"of":"`+p.Name+`"}`, "CZ-AG-Status-Code", "201")
	case "failed":
		err = j.report("error", `{"code":"no-funds","message":"Not enough money"}`)
	default:
		req, _ := http.NewRequest(http.MethodDelete, strings.TrimSuffix(p.URL, "/status"), nil)
		req.Header.Set("Authorization", "Bearer the-key")
		err = ask(req, http.StatusAccepted)
	}
	if err != nil {
		t.Errorf("%s: %v", p.Name, err)
	}
}

// ask sends a request and wants a status.
func ask(req *http.Request, status int) error {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	r, err := c.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if body, _ := io.ReadAll(r.Body); r.StatusCode != status {
		return fmt.Errorf("%s %s: %d %s, not %d", req.Method, req.URL, r.StatusCode, body, status)
	}
	return nil
}

// wantPolled wants that each poller has seen the end that its job had. A poller of Location knows the status of an answer alone.
func wantPolled(t *testing.T, ended map[string]polled) {
	t.Helper()
	const failed = "The long-running operation has failed"
	for _, version := range []string{"version3", "version2"} {
		for _, way := range []string{"both", "status", "location"} {
			name := version + " " + way + " "
			status, said, cancelled := "canceled", failed+". no-funds. Not enough money", "Operation was canceled"
			if way == "location" {
				status, said, cancelled = "failed", failed, failed
			}
			wantPoll(t, ended[name+"succeeded"], "succeeded", "", way)
			wantPoll(t, ended[name+"failed"], "failed", said, way)
			wantPoll(t, ended[name+"canceled"], status, cancelled, way)
		}
	}
	if len(ended) != 18 {
		t.Errorf("%d pollers have ended, not 18", len(ended))
	}
}

// wantPoll wants an end, and that it was found where the poller had to look. For the result a poller of both asks at Location.
func wantPoll(t *testing.T, p polled, status, said, way string) {
	t.Helper()
	result := ""
	switch {
	case status != "succeeded":
	case way == "status":
		var monitor struct{ Result json.RawMessage }
		_ = json.Unmarshal(p.Result, &monitor)
		p.Result, result = monitor.Result, `{"of":"`+p.Name+`"}`
	default:
		result = `{"of":"` + p.Name + `"}`
	}
	if p.Status != status || p.Error != said || status == "succeeded" && string(p.Result) != result {
		t.Errorf("%s: %+v with %s\nwant %s, %q", p.Name, p, p.Result, status, said)
	}
	if monitor := strings.HasSuffix(p.URL, "/status"); monitor != (way == "status" || way == "both" && status != "succeeded") {
		t.Errorf("%s has found the end at %s", p.Name, p.URL)
	}
	if p.Polls < 2 {
		t.Errorf("%s has polled %d times", p.Name, p.Polls)
	}
}
