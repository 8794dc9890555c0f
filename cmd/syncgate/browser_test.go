//go:build unix

package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// page signs creates as the protocol says, calls the gateway from its own origin, shows what it got and reports it.
const page = `<!doctype html><meta charset="utf-8"><title>syncgate</title><p id="result">waiting<p id="timeout">waiting
<script>
const gateway = %q, login = %q, secret = %q;
async function signed(body) {
	const time = Math.floor(Date.now() / 1000).toString();
	const sum = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(time + secret + body + secret));
	return {time, hex: [...new Uint8Array(sum)].map(b => b.toString(16).padStart(2, "0")).join("")};
}
async function path(body) {
	const {time, hex} = await signed(body);
	return gateway + "/api/1/json/" + login + "/" + time + "/" + hex;
}
async function byHeaders(body) {
	const {time, hex} = await signed(body);
	try {
		const r = await fetch(gateway + "/api/1/json", {method: "POST", body,
			headers: {"Content-Type": "application/json", "X-Syncgate-Login": login, "X-Syncgate-Time": time, "X-Syncgate-Signature": hex}});
		return r.status + " " + await r.text();
	} catch (e) {
		return e.name;
	}
}
async function call(body, badly) {
	try {
		const r = await fetch(await path(body) + (badly || ""), {method: "POST", body,
			headers: {"Content-Type": "application/json", "X-Request-Id": "from-a-page"}});
		return {status: r.status, body: await r.text(), id: r.headers.get("X-Request-Id"), location: r.headers.get("Location"),
			retry: r.headers.get("Retry-After"), vary: r.headers.get("Vary")};
	} catch (e) {
		return {error: e.name};
	}
}
const op = data => '"ops":[{"type":"create","obj":"task","conv_id":1,"data":' + data + "}]}";
(async () => {
	const seen = {origin: location.origin};
	seen.result = await call('{"timeout":20,' + op('{"name":"Олена"}'));
	document.getElementById("result").textContent = seen.result.body || seen.result.error;
	seen.timeout = await call('{"timeout":0.3,' + op('{"__sim":{"callback":"never"}}'));
	document.getElementById("timeout").textContent = seen.timeout.body || seen.timeout.error;
	seen.later = seen.timeout.location ? await fetch(gateway + seen.timeout.location, {headers: {"Prefer": "wait=1"}}).then(async r =>
		({status: r.status, body: await r.text(), retry: r.headers.get("Retry-After"), date: r.headers.get("Date"),
			applied: r.headers.get("Preference-Applied")})) : {};
	seen.refused = await call('{"timeout":20,' + op("{}"), "0");
	seen.headers = [];
	for (let i = 0; i < 3; i++) seen.headers.push(await byHeaders('{"timeout":20,' + op('{"i":' + i + "}")));
	const form = '{"timeout":20,' + op('{"simple":1}');
	seen.simple = await fetch(await path(form), {method: "POST", body: form}).then(r => r.status.toString(), e => e.name); // needs no preflight
	seen.shown = [...document.querySelectorAll("p")].map(p => p.textContent.trim());
	await fetch("/seen", {method: "POST", body: JSON.stringify(seen)});
})();
</script>`

// seen is what the page reports.
type seen struct {
	Origin                          string
	Result, Timeout, Later, Refused struct {
		Status                          int
		Body, ID, Location, Retry, Vary string
		Date, Applied                   string
		Error                           string
	}
	Headers []string
	Simple  string
	Shown   []string
}

// TestBrowser has a page of another origin call the gateway, and then the same page from an origin that is not allowed.
func TestBrowser(t *testing.T) {
	e := simulate(t)
	at := free(t, 1)[0]
	front := newEar(t, at)
	allowed, foreign := site(t, front.Addr().String()), site(t, front.Addr().String())
	serve(t, at, "SYNCGATE_ENGINE_URL="+e.URL(), "SYNCGATE_CORS_ORIGINS="+allowed.URL, "SYNCGATE_CORS_ENFORCE=true")

	s := browse(t, allowed)
	const result = `{"request_proc":"ok","ops":[{"proc":"ok","data":{"name":"Олена"}}]}`
	if s.Result.Status != 200 || s.Result.Body != result || s.Result.ID != "from-a-page" {
		t.Errorf("the page got %+v", s.Result)
	}
	if s.Result.Vary != "" {
		t.Error("the page can read a header that is not exposed: this browser shows nothing")
	}
	const timeout = `{"request_proc":"ok","ops":[{"proc":"error","description":"Timeout for create task"}]}`
	if s.Timeout.Status != 200 || s.Timeout.Body != timeout || !strings.HasPrefix(s.Timeout.Location, "/api/1/tasks/") {
		t.Errorf("after its time-out the page got %+v", s.Timeout)
	}
	if s.Later.Status != 202 || s.Later.Retry == "" || !strings.Contains(s.Later.Body, `"proc":"pending"`) {
		t.Errorf("asking for the result the page got %+v", s.Later)
	}
	wantExposed(t, s, front)
	if s.Refused.Status != 401 || !strings.Contains(s.Refused.Body, "Incorrect signature") {
		t.Errorf("an error that the page may read: %+v", s.Refused)
	}
	if len(s.Shown) != 2 || s.Shown[0] != result || s.Shown[1] != timeout {
		t.Errorf("the page shows %q", s.Shown)
	}

	before := e.Stats().Tasks
	s = browse(t, foreign)
	wantForeign(t, s)
	if n := e.Stats().Tasks - before; n != 0 {
		t.Errorf("a page of a foreign origin has made %d tasks", n)
	}
}

// wantExposed wants that a page can read the headers that are for it, and that requests with one URL need one preflight.
func wantExposed(t *testing.T, s seen, front *ear) {
	t.Helper()
	if _, err := http.ParseTime(s.Later.Date); err != nil || s.Later.Applied != "wait=1" {
		t.Errorf("the page can read Date %q and Preference-Applied %q", s.Later.Date, s.Later.Applied)
	}
	for i, got := range s.Headers {
		if want := fmt.Sprintf(`200 {"request_proc":"ok","ops":[{"proc":"ok","data":{"i":%d}}]}`, i); got != want {
			t.Errorf("signed in headers the page got %s", got)
		}
	}
	if asked, sent := front.count("OPTIONS /api/1/json HTTP"), front.count("POST /api/1/json HTTP"); asked != 1 || sent != 3 || len(s.Headers) != 3 {
		t.Errorf("%d requests that are signed in headers needed %d preflights", sent, asked)
	}
	if s.Simple != "200" {
		t.Errorf("a request without a preflight got %s", s.Simple)
	}
}

// wantForeign wants that a page of a foreign origin has got nothing.
func wantForeign(t *testing.T, s seen) {
	t.Helper()
	if s.Simple != "TypeError" || strings.Join(s.Headers, " ") != "TypeError TypeError TypeError" {
		t.Errorf("a page of a foreign origin got %s, %s", s.Simple, s.Headers)
	}
	if s.Result.Error != "TypeError" || s.Timeout.Error != "TypeError" || s.Refused.Error != "TypeError" {
		t.Errorf("a page of a foreign origin got %+v", s)
	}
}

// ear passes on what comes, to a gateway, and hears it.
type ear struct {
	net.Listener
	log   *logbook
	conns sync.Map // of its clients
}

func newEar(t *testing.T, gateway string) *ear {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &ear{Listener: ln, log: new(logbook)}
	var running sync.WaitGroup
	t.Cleanup(func() {
		_ = ln.Close()
		running.Wait()
	})
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { e.pass(c, gateway) })
		}
	})
	return e
}

// pass ends when either side closes.
func (e *ear) pass(c net.Conn, gateway string) {
	defer c.Close()
	e.conns.Store(c, nil)
	defer e.conns.Delete(c)
	up, err := net.Dial("tcp", gateway)
	if err != nil {
		return
	}
	defer up.Close()
	go func() {
		_, _ = io.Copy(c, up)
		_ = c.Close()
	}()
	_, _ = io.Copy(up, io.TeeReader(c, e.log))
}

// cut breaks every connection.
func (e *ear) cut() {
	e.conns.Range(func(c, _ any) bool {
		_ = c.(net.Conn).Close()
		return true
	})
}

func (e *ear) count(line string) int { return strings.Count(e.log.String(), line) }

// website serves the page, and hears what it has seen.
type website struct {
	*httptest.Server
	heard chan seen
}

func site(t *testing.T, gateway string) *website {
	t.Helper()
	w := &website{heard: make(chan seen, 1)}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			rw.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprintf(rw, page, "http://"+gateway, login, secret)
		case "/seen":
			var s seen
			if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
				t.Errorf("the page's report: %v", err)
			}
			w.heard <- s
		default:
			http.NotFound(rw, r)
		}
	}))
	t.Cleanup(w.Close)
	return w
}

// browse opens the site in a new browser and gives what its page has seen.
func browse(t *testing.T, w *website) seen {
	t.Helper()
	log, end := openBrowser(t, w.URL)
	defer end()
	select {
	case s := <-w.heard:
		if s.Origin != w.URL {
			t.Errorf("the page is of %s, not of %s", s.Origin, w.URL)
		}
		return s
	case <-time.After(2 * patience):
		t.Fatalf("the page has not reported:\n%s", log)
		return seen{}
	}
}

// openBrowser opens a page in a new browser, which end ends. change may add to the command.
func openBrowser(t *testing.T, url string, change ...func(*exec.Cmd)) (log *logbook, end func()) {
	t.Helper()
	log = new(logbook)
	browser := exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
		"--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
		"--remote-debugging-port=0", "--user-data-dir="+t.TempDir(), url)
	browser.Stdout, browser.Stderr = log, log
	browser.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it is many processes
	for _, f := range change {
		f(browser)
	}
	if err := browser.Start(); err != nil {
		t.Fatal(err)
	}
	return log, func() {
		_ = syscall.Kill(-browser.Process.Pid, syscall.SIGKILL)
		_ = browser.Wait()
		eventually(t, "all of the browser has ended", func() bool { return syscall.Kill(-browser.Process.Pid, 0) != nil })
	}
}
