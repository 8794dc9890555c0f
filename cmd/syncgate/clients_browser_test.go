//go:build unix

package main_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"
)

// clientPage calls a route by clients/js, with the key of its origin. The test cuts its network in mid-call.
const clientPage = `<!doctype html><meta charset="utf-8"><title>syncgate</title>
<script type="module">
import {Syncgate} from "/syncgate/index.js";
const gate = new Syncgate({url: %q, key: %q});
const step = name => fetch("/step/" + name, {method: "POST"}).catch(() => {}); // the network may be cut before it has an answer
const heard = [];
const seen = {};

const held = gate.call("/v1/kept", {job: "held"});
await step("held begun");
seen.held = await held;

const followed = gate.call("/v1/kept", {job: "followed"}, {onProgress: p => {
	heard.push(p.percent);
	if (p.percent === 40) step("followed begun");
}});
step("followed reports");
seen.followed = await followed;
seen.heard = heard;

const stop = new AbortController(), left = gate.call("/v1/kept", {job: "left"}, {signal: stop.signal}).catch(e => e);
await step("left begun");
stop.abort();
const error = await left;
seen.left = [error.name, error.code, await error.cancelled].join(" ");

try {
	new Syncgate({url: "http://a.example", login: 1, secret: "s"});
} catch (e) {
	seen.secret = e.name;
}
await fetch("/seen", {method: "POST", body: JSON.stringify(seen)});
</script>`

// TestBrowserClientSurvivesTheNetwork has a page call routes by clients/js in Chromium. DevTools put its network off in mid-call and on again: each promise has the
// result of its one task, although the engine calls back while the page is away.
func TestBrowserClientSurvivesTheNetwork(t *testing.T) {
	e, at := newJobs(t), free(t, 1)[0]
	front, own := newEar(t, at), newPageSite(t)
	g := e.serveRoutes(t, at, fmt.Sprintf(`
routes: [{name: kept, path: /v1/kept, engine: jobs}]
access: [{name: page, key: %s, routes: [kept], origins: ["%s"], rate: 100}]
`, pageKey, own.URL))
	tools := newDevTools(t)
	var seen clientSeen
	own.run(t, fmt.Sprintf(clientPage, "http://"+front.Addr().String(), pageKey), &seen, func(step string) {
		if err := doClientStep(t, g, e, front, tools, step); err != nil {
			t.Errorf("%s: %v", step, err)
		}
	}, tools.attach)
	if seen.Held.Name != "Олена" || seen.Followed.Name != "Олена" || !slices.Equal(seen.Heard, []int{40, 80}) {
		t.Errorf("the page has got %+v", seen)
	}
	if seen.Left != "AbortError aborted true" || !e.begun(t, `"left"`).stopped || seen.Secret != "TypeError" {
		t.Errorf("the page has left with %q, and may have a secret: %q", seen.Left, seen.Secret)
	}
	for _, name := range []string{`"held"`, `"followed"`, `"left"`} {
		if n := len(e.named(name)); n != 1 {
			t.Errorf("the engine has %d tasks %s", n, name)
		}
	}
	keys := regexp.MustCompile(`(?i)\r\nIdempotency-Key: (\S+)`).FindAllStringSubmatch(front.log.String(), -1)
	if len(keys) < 4 || keys[0][1] != keys[1][1] {
		t.Errorf("the page has sent the keys %q: the request that was cut was not repeated", keys)
	}
}

// clientSeen is what clientPage reports.
type clientSeen struct {
	Held, Followed struct{ Name string }
	Heard          []int
	Left, Secret   string
}

// doClientStep does what clientPage waits for.
func doClientStep(t *testing.T, g *gate, e *jobs, front *ear, tools *devTools, step string) error {
	t.Helper()
	parked := func(n float64) {
		t.Helper()
		eventually(t, fmt.Sprintf("%v clients wait", n), func() bool { return g.metric("syncgate_parked_clients") == n })
	}
	away := func() {
		t.Helper()
		tools.offline(t, true)
		front.cut() // what is under way would go on: DevTools refuse what is new alone
		parked(0)
	}
	const result = `{"name":"Олена"}`
	switch step {
	case "held begun":
		j := e.begun(t, `"held"`)
		parked(1)
		away()
		defer tools.offline(t, false)
		return j.report("complete", result)
	case "followed reports":
		return e.begun(t, `"followed"`).report("progress", `{"percent":40}`)
	case "followed begun":
		j := e.begun(t, `"followed"`)
		away()
		defer tools.offline(t, false)
		return errors.Join(j.report("progress", `{"percent":80}`), j.report("complete", result))
	case "left begun":
		e.begun(t, `"left"`)
		parked(1)
		return nil
	}
	return errors.New("there is no such step")
}

// devTools steer a browser by the DevTools protocol, over a pair of pipes: https://chromedevtools.github.io/devtools-protocol/.
type devTools struct {
	to           *os.File
	from         *bufio.Reader
	theirs, ours [2]*os.File // read and written by the browser; written and read by the test
	id           int
	session      string // of the page; empty: not attached
}

func newDevTools(t *testing.T) *devTools {
	t.Helper()
	d := new(devTools)
	for i := range 2 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			d.theirs[0], d.ours[0] = r, w
		} else {
			d.ours[1], d.theirs[1] = r, w
		}
		t.Cleanup(func() {
			_ = r.Close()
			_ = w.Close()
		})
	}
	d.to, d.from = d.ours[0], bufio.NewReader(d.ours[1])
	return d
}

// attach gives the browser its ends of the pipes, as descriptors 3 and 4.
func (d *devTools) attach(browser *exec.Cmd) {
	browser.Args = slices.Insert(browser.Args, 1, "--remote-debugging-pipe")
	browser.ExtraFiles = d.theirs[:]
}

// do sends a command and gives its result. Events that come meanwhile are dropped.
func (d *devTools) do(t *testing.T, method string, params, result any) {
	t.Helper()
	d.id++
	command := map[string]any{"id": d.id, "method": method, "params": params}
	if d.session != "" {
		command["sessionId"] = d.session
	}
	text, err := json.Marshal(command)
	if err == nil {
		_, err = d.to.Write(append(text, 0))
	}
	for err == nil {
		var answer struct {
			ID            int
			Result, Error json.RawMessage
		}
		if text, err = d.from.ReadBytes(0); err != nil {
			break
		}
		if err = json.Unmarshal(text[:len(text)-1], &answer); err == nil && answer.ID == d.id {
			if answer.Error != nil {
				t.Fatalf("%s: %s", method, answer.Error)
			}
			_ = json.Unmarshal(answer.Result, result)
			return
		}
	}
	t.Fatalf("%s: %v", method, err)
}

// offline puts the page's network off or on.
func (d *devTools) offline(t *testing.T, off bool) {
	t.Helper()
	if d.session == "" {
		var all struct {
			TargetInfos []struct{ TargetID, Type string }
		}
		d.do(t, "Target.getTargets", map[string]any{}, &all)
		for _, target := range all.TargetInfos {
			if target.Type == "page" {
				var attached struct{ SessionID string }
				d.do(t, "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
				d.session = attached.SessionID
			}
		}
		d.do(t, "Network.enable", map[string]any{}, &struct{}{})
	}
	d.do(t, "Network.emulateNetworkConditions", map[string]any{"offline": off, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}, &struct{}{})
}
