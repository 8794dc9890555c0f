//go:build linux

package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"syncgate/internal/enginesim"
)

// longID is a request id that makes the line of a trip long.
var longID = strings.Repeat("i", 120)

// pipe makes a pipe of one page, which 20 lines fill. The test closes both ends at its end.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, os.Getpagesize()); err != nil {
		t.Fatal(err)
	}
	return r, w
}

// fullPipe makes a pipe into which not a byte goes before somebody reads.
func fullPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w = pipe(t)
	if n, err := w.Write(make([]byte, os.Getpagesize())); err != nil || n != os.Getpagesize() {
		t.Fatal(n, err)
	}
	return r, w
}

// serves waits until the gate is ready. It does not need the log, which may be unreadable.
func (g *gate) serves() {
	g.t.Helper()
	eventually(g.t, "it is ready", func() bool { return g.ready() == 200 })
}

// lives wants that the gate answers wherever it listens.
func (g *gate) lives() {
	g.t.Helper()
	for _, url := range []string{g.public + "/healthz", g.public + "/readyz", g.admin + "/healthz", g.admin + "/readyz", g.admin + "/metrics", g.admin + "/debug/pprof/cmdline"} {
		if status, body := get(g.t, "http://"+url); status != 200 {
			g.t.Errorf("%s: %d %s", url, status, body)
		}
	}
}

// refused sends so many creates with a wrong signature. Each is a line of the log, and no work for the engine.
func refused(t *testing.T, address string, requests int) {
	t.Helper()
	const connections = 8
	c := caller(t, address, connections)
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			for range requests / connections {
				if err := c.refused(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// refused sends one such create.
func (c *client) refused() error {
	url := c.url + "/api/1/json/" + login + "/1/" + strings.Repeat("0", 40)
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	req.Header.Set("X-Request-Id", longID)
	r, err := c.Do(req)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return err
	}
	if r.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("refused with %d", r.StatusCode)
	}
	return nil
}

// TestUnreadLog serves while nobody reads the log. Trips, health and metrics go on; lines are dropped and counted.
// When somebody reads, every trip has its line, or is one of those that a line reports as dropped.
func TestUnreadLog(t *testing.T) {
	const batch = 400
	e := simulate(t)
	at := free(t, 1)[0]
	r, w := pipe(t)
	g := prepare(t, exec.Command("syncgate", "serve"), at, "SYNCGATE_ENGINE_URL="+e.URL())
	g.process.Stderr = w
	g.start()
	_ = w.Close() // the gate has the only one
	g.serves()

	c := caller(t, at, 10)
	storm(t, c, batch, 10) // far more than the pipe takes
	trips := batch
	g.lives()
	for g.metric("syncgate_log_dropped_total", `level="info"`) == 0 {
		refused(t, at, batch)
		if trips += batch; trips > 100*batch || t.Failed() {
			t.Fatalf("%d lines were not too many", trips)
		}
	}
	storm(t, c, batch, 10)
	trips += batch
	g.lives()

	read := make(chan error, 1)
	go func() {
		_, err := io.Copy(g.log, r)
		read <- err
	}()
	g.logged(`"level":"warn".*"dropped":.*"message":"lines of the log were dropped`)
	storm(t, c, 10, 1)
	trips += 10
	dropped := g.metric("syncgate_log_dropped_total")
	g.stop()
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(g.log.String(), `"message":"stopped"`) {
		t.Error("the log does not go to its end")
	}
	g.accountsFor(trips, int(dropped))
}

// accountsFor wants that each trip is a line of the log or dropped, and that the log says how many were.
func (g *gate) accountsFor(trips, dropped int) {
	g.t.Helper()
	written, reported := 0, 0
	for line := range strings.Lines(g.log.String()) {
		var l struct {
			Message string `json:"message"`
			Dropped int    `json:"dropped"`
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			g.t.Errorf("%q: %v", line, err)
		}
		if l.Message == "trip" {
			written++
		}
		reported += l.Dropped
	}
	g.t.Logf("%d trips, %d written, %d dropped", trips, written, dropped)
	if written+dropped != trips || reported != dropped || dropped == 0 {
		g.t.Errorf("%d trips, %d written, %d dropped, %d reported", trips, written, dropped, reported)
	}
}

// deadEnds are places for a log that take nothing, or nothing any more.
func deadEnds(t *testing.T) map[string]*os.File {
	t.Helper()
	_, unread := fullPipe(t)
	r, broken := pipe(t)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = full.Close() })
	return map[string]*os.File{"a pipe that nobody reads": unread, "a pipe whose reader has gone": broken, "a full disk": full}
}

// TestLogIsLost serves and ends without a log, and loses nothing else.
func TestLogIsLost(t *testing.T) {
	e := simulate(t)
	for name, stderr := range deadEnds(t) {
		for _, format := range []string{"json", "console"} {
			t.Run(name+", "+format, func(t *testing.T) {
				at := free(t, 1)[0]
				g := prepare(t, exec.Command("syncgate", "serve"), at, "SYNCGATE_ENGINE_URL="+e.URL(), "SYNCGATE_LOG_FORMAT="+format)
				g.process.Stderr = stderr
				g.servesWithoutLog(at)
			})
		}
	}
	t.Run("no descriptor", func(t *testing.T) {
		at := free(t, 1)[0]
		g := prepare(t, exec.Command("sh", "-c", "exec syncgate serve 2>&-"), at, "SYNCGATE_ENGINE_URL="+e.URL())
		g.servesWithoutLog(at)
	})
}

func (g *gate) servesWithoutLog(at string) {
	g.start()
	g.serves()
	storm(g.t, caller(g.t, at, 10), 100, 10)
	g.lives()
	g.stop()
}

// TestSecondSignalWithAnUnreadLog ends at once, though nobody reads and somebody waits.
func TestSecondSignalWithAnUnreadLog(t *testing.T) {
	e := simulate(t, func(c *enginesim.Config) { c.Behaviour.Delay = enginesim.Range{Min: time.Minute, Max: time.Minute} })
	at := free(t, 1)[0]
	_, w := fullPipe(t)
	g := prepare(t, exec.Command("syncgate", "serve"), at, "SYNCGATE_ENGINE_URL="+e.URL())
	g.process.Stderr = w
	g.start()
	g.serves()
	body, _ := task("1")
	caller(t, at, 1).createLater(body)
	eventually(t, "the client is parked", func() bool { return g.metric("syncgate_parked_clients") == 1 })
	g.signal(syscall.SIGTERM)
	eventually(t, "it leaves", func() bool { return g.ready() == 503 })
	g.signal(syscall.SIGTERM)
	g.exits(1)
}

// TestFailedStartWithAnUnreadLog has its exit status wherever the message goes.
func TestFailedStartWithAnUnreadLog(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, stderr := range deadEnds(t) {
		for _, f := range []struct {
			why, setting string
			status       int
		}{
			{"a taken address", "SYNCGATE_LISTEN_ADMIN=" + taken.Addr().String(), 1},
			{"a bad configuration", "SYNCGATE_LIMITS_OPS=none", 2},
		} {
			t.Run(name+", "+f.why, func(t *testing.T) {
				g := prepare(t, exec.Command("syncgate", "serve"), free(t, 1)[0], f.setting)
				g.process.Stderr = stderr
				g.start()
				g.exits(f.status)
			})
		}
	}
}

// TestDemoWithoutReaders: neither the demo nor the engine waits for the reader of its log or of its output.
func TestDemoWithoutReaders(t *testing.T) {
	for name, nowhere := range deadEnds(t) {
		for _, command := range []string{"demo", "engine"} {
			t.Run(name+", "+command, func(t *testing.T) {
				at := free(t, 1)[0]
				g := prepare(t, exec.Command("syncgate", command, "--listen", at), at)
				g.process.Stdout, g.process.Stderr = nowhere, nowhere
				g.start()
				eventually(t, "it listens", func() bool { status, _ := get(t, "http://"+at+"/healthz"); return status != 0 })
				g.stop()
			})
		}
	}
}
