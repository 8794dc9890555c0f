//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

const (
	liveStatus = `{"node":"0a0b","version":"v1.2.3","started":"2026-01-02T03:00:00.000Z","now":"2026-01-02T06:04:00.000Z","state":"ready","missing":"","actions":true,"pushes":false,"demo":true,` +
		`"correlator":{"backend":"redis","up":true},"parked":7,"limit_parked":100,"queued":1,"streams":2,"unsaved":0,"results_kept":3,"results_kept_bytes":1536,` +
		`"engines":[{"name":"default","busy":5,"idle":2,"queued":1,"breaker_open":false,"limit":64},{"name":"flow","busy":0,"idle":0,"queued":0,"breaker_open":true,"limit":8}],"remembered":10}`
	liveSummary = `{"node":"0a0b","now":"2026-01-02T06:04:00.000Z","window_s":60,"covered_s":12.5,"groups":[` +
		`{"route":"corezoid","login":"12345","in_flight":7,"queued":1,"oldest_ms":2500,"ended":250,"rate":20,"outcomes":{"timeout":10,"complete":240},"engine_p50_ms":0.25,"engine_p99_ms":80.5,"wait_p50_ms":310,"wait_p99_ms":1200},` +
		`{"route":"transfer","login":"access/web","in_flight":0,"queued":0,"oldest_ms":0,"ended":0,"rate":0,"outcomes":{},"engine_p50_ms":null,"engine_p99_ms":null,"wait_p50_ms":null,"wait_p99_ms":null}],"more":true}`
	liveShown = `00:00:00  syncgate v1.2.3  node 0a0b  ready (demo)  up 3h
waiting 7 of 100  queued 1  streams 2  results kept 3 (1.5 KiB)  redis
engine default  busy 5 of 64  idle 2  queued 1
engine flow  busy 0 of 8  idle 0  queued 0  BREAKER OPEN: it refuses connections

ROUTE     LOGIN       IN FLIGHT  OLDEST  QUEUED  RATE  ENGINE P50/P99  WAIT P50/P99  ENDED
corezoid  12345       7          2.5s    1       20/s  0.2ms / 80ms    310ms / 1.2s  complete 240, timeout 10
transfer  access/web  0          -       0       0/s   -               -             -
These are the 2 busiest.
What has ended is known for the last 12s of 60s: raise admin.trips to remember more.
`
)

// unclocked sets the time of day that begins a line to midnight.
func unclocked(text string) string {
	return regexp.MustCompile(`(?m)^((\x1b\[H)?\x1b\[K)?\d\d:\d\d:\d\d `).ReplaceAllString(text, "${1}00:00:00 ")
}

// live makes the events of a listener, which end when the channel that they are sent on is closed.
func (a *fakeAdmin) live() chan<- string {
	events := make(chan string)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers["GET /api/live"] = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.WriteHeader(http.StatusOK)
		for {
			_ = http.NewResponseController(w).Flush() // an error is the next read's
			select {
			case event, more := <-events:
				if !more {
					return
				}
				_, _ = io.WriteString(w, event)
			case <-r.Context().Done():
				return
			}
		}
	}
	return events
}

// liveSecond is what comes each second.
const liveSecond = ": a comment\nevent: status\ndata: " + liveStatus + "\n\nevent: summary\ndata:" + liveSummary + "\r\n\r\nevent: else\ndata: {}\n\n"

func TestTopOnce(t *testing.T) {
	a := newFakeAdmin(t)
	const other = "syncgate top: %s does not say how it is: is it the admin listener of a gateway of this version?\n"
	a.wants(t, exitFailed, "", fmt.Sprintf(other, a.address), "top", "--once")
	a.says("GET /api/status", 200, jsonMedia, liveStatus)
	a.says("GET /api/summary", 200, jsonMedia, `{}`)
	a.wants(t, exitFailed, "", fmt.Sprintf(other, a.address), "top", "--once")
	a.says("GET /api/summary", 200, jsonMedia, liveSummary)
	status, out, errs := runs("top", "--once", "--admin", a.address)
	if status != exitOK || errs != "" || unclocked(out) != liveShown {
		t.Errorf("status %d %s\n%s\nwant\n%s", status, errs, out, liveShown)
	}
	a.says("GET /api/status", 200, jsonMedia, `{"version":"v1","started":"2026-01-02T03:00:00Z","node":"\u001b[2J","state":"correlator unusable","missing":"sub\u009bscription","unsaved":4,"correlator":{"backend":"redis"}}`)
	a.says("GET /api/summary", 200, jsonMedia, `{"now":"2026-01-02T03:00:59Z","window_s":60,"covered_s":58.7,"groups":[]}`)
	_, out, _ = runs("top", "--once", "--admin", a.address)
	for _, want := range []string{`  node \u001b[2J  CORRELATOR UNUSABLE: sub\u009bscription  `, "  UNSAVED 4  redis DOWN\n", "Nothing is in flight, and nothing has ended lately.\nWhat has ended is counted since the start, 59s ago.\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%s\nhas no %q", out, want)
		}
	}
}

// blocks sends what is written, write by write, until ctx ends.
type blocks struct {
	ctx  context.Context
	text chan string
}

func (w blocks) Write(b []byte) (int, error) {
	select {
	case w.text <- string(b):
		return len(b), nil
	case <-w.ctx.Done():
		return 0, w.ctx.Err()
	}
}

// starts has a screen follow the gateway. That ends with ctx, or with the test, which waits for it.
func (s *topScreen) starts(ctx context.Context, t *testing.T) (ended <-chan error) {
	all, over := make(chan error, 1), make(chan struct{})
	ctx, stop := context.WithCancel(ctx)
	go func() {
		defer close(over)
		all <- s.follow(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-over
	})
	return all
}

// TestTopPrintsBlocks: into a pipe, one block for each second, and the end of the events is the end.
func TestTopPrintsBlocks(t *testing.T) {
	a := newFakeAdmin(t)
	a.wants(t, exitFailed, "", "syncgate top: ADMIN does not say how it is: is it the admin listener of a gateway of this version?\n", "top")
	a.says("GET /api/live", 503, textMedia, "Unavailable: 16 listen already")
	a.wants(t, exitFailed, "", "syncgate top: Unavailable: 16 listen already\n", "top")
	events, out := a.live(), blocks{t.Context(), make(chan string)}
	ended := (&topScreen{out: out, address: a.address}).starts(t.Context(), t)
	for range 2 {
		events <- liveSecond
		if got := unclocked(<-out.text); got != liveShown+"\n" {
			t.Errorf("%s\nwant\n%s", got, liveShown)
		}
	}
	close(events)
	want := "hear how the gateway at " + a.address + " is: the gateway has ended them: it stops, or they were read too slowly"
	if err := <-ended; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	events = a.live()
	ended = (&topScreen{out: out, address: a.address}).starts(t.Context(), t)
	events <- "event: status\ndata: []\n\n"
	if err := <-ended; !errors.Is(err, errNotEvents) {
		t.Error(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	a.live()
	ended = (&topScreen{out: out, address: a.address}).starts(ctx, t)
	stop()
	if err := <-ended; err != nil {
		t.Errorf("stopped: %v", err)
	}
}

// unwritable is what nothing can be written to.
type unwritable struct{}

func (unwritable) Write([]byte) (int, error) { return 0, errUnwritable }

var errUnwritable = errors.New("no space left")

// TestTopEndsWhenItCannotPrint: on a full disk, or on a terminal that has gone, it does not go on for nobody.
func TestTopEndsWhenItCannotPrint(t *testing.T) {
	a := newFakeAdmin(t)
	events := a.live()
	ended := (&topScreen{out: unwritable{}, address: a.address}).starts(t.Context(), t)
	events <- liveSecond
	if err := <-ended; !errors.Is(err, errUnwritable) {
		t.Error(err)
	}
	_, terminal := openTerminal(t, 40, 9)
	gone, err := os.OpenFile(terminal.Name(), os.O_RDONLY|unix.O_NOCTTY, 0) // a terminal that takes nothing
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Close()
	events = a.live()
	ended = (&topScreen{out: gone, address: a.address}).starts(t.Context(), t)
	events <- liveSecond
	if err := <-ended; !errors.Is(err, unix.EBADF) {
		t.Error(err)
	}
}

// TestSignalEndsTop: a signal ends what waits for a reader that reads nothing. What ends by itself is waited for.
func TestSignalEndsTop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		stop()
		began, read := time.Now(), make(chan struct{})
		defer close(read)
		stuck := func(context.Context) error {
			<-read
			return errUnwritable
		}
		if err := endWith(ctx, stuck); err != nil || time.Since(began) != printTimeout {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if err := endWith(ctx, func(context.Context) error { return errUnwritable }); !errors.Is(err, errUnwritable) {
			t.Error(err)
		}
	})
}

// openTerminal makes a terminal.
func openTerminal(t *testing.T, columns, rows uint16) (screen, terminal *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	resize(t, terminal, columns, rows)
	return screen, terminal
}

func resize(t *testing.T, terminal *os.File, columns, rows uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
		t.Fatal(err)
	}
}

// drawn reads what is drawn at once, and gives its lines without control sequences.
func drawn(t *testing.T, screen *os.File) (lines []string) {
	t.Helper()
	var all []byte
	for room := make([]byte, 4096); !bytes.HasSuffix(all, []byte(clearScreen)); {
		n, err := screen.Read(room)
		if err != nil {
			t.Fatalf("%v after %q", err, all)
		}
		all = append(all, room[:n]...)
	}
	text, begins := strings.CutPrefix(strings.ReplaceAll(unclocked(string(all)), "\r\n", "\n"), cursorHome)
	if !begins || strings.Count(text, cursorHome) > 0 {
		t.Fatalf("%q", all)
	}
	for line := range strings.Lines(strings.TrimSuffix(text, clearScreen)) {
		line, cleared := strings.CutPrefix(strings.TrimSuffix(line, "\n"), clearLine)
		if !cleared {
			t.Errorf("%q is not cleared", line)
		}
		lines = append(lines, line)
	}
	return lines
}

// TestTopDrawsOneScreen: as wide and as high as the terminal, also when that changes, and through a restart of the gateway.
func TestTopDrawsOneScreen(t *testing.T) {
	a := newFakeAdmin(t)
	screen, terminal := openTerminal(t, 40, 9)
	events := a.live()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := (&topScreen{out: terminal, address: a.address}).starts(ctx, t)
	whole := strings.Split(strings.TrimSuffix(liveShown, "\n"), "\n")
	want := func(when string, lines []string, got []string) {
		t.Helper()
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", lines) {
			t.Errorf("%s: %q, want %q", when, got, lines)
		}
	}
	events <- liveSecond
	narrow := make([]string, 0, 8)
	for _, line := range whole[:7] {
		narrow = append(narrow, cut(line, 40))
	}
	want("narrow", append(narrow, "and 3 more lines"), drawn(t, screen))
	resize(t, terminal, 200, 50)
	events <- liveSecond
	want("wide", whole, drawn(t, screen))
	close(events)
	lost := "hear how the gateway at " + a.address + " is: the gateway has ended them: it stops, or they were read too slowly"
	want("lost", append([]string{lost, ""}, whole...), drawn(t, screen))
	events = a.live()
	events <- liveSecond
	want("again", whole, drawn(t, screen))
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestTopOnATerminalEndsWithoutAGateway: there is nothing to wait for that was never there.
func TestTopOnATerminalEndsWithoutAGateway(t *testing.T) {
	a := newFakeAdmin(t)
	_, terminal := openTerminal(t, 0, 0)
	if columns, rows, ok := terminalSize(terminal); columns != 80 || rows != 24 || !ok {
		t.Errorf("%d columns, %d rows, %t", columns, rows, ok)
	}
	err := (&topScreen{out: terminal, address: a.address}).follow(t.Context())
	if err == nil || !strings.Contains(err.Error(), "is it the admin listener") {
		t.Error(err)
	}
}

// TestSilentGatewayIsLost has a gateway that says something now and then, to somebody who is slow at first, and then nothing.
func TestSilentGatewayIsLost(t *testing.T) {
	const patience = 600 * time.Millisecond
	a := newFakeAdmin(t)
	events, ended, heard := a.live(), make(chan error, 1), make(chan string, 10)
	go func() { // ends when the gateway says nothing more
		ended <- followLive(t.Context(), a.address, patience, func(name string, _ []byte) error {
			if name == "slow" { // who prints it takes longer than the gateway may
				<-time.After(patience * 3 / 2)
			}
			heard <- name
			return nil
		})
	}()
	events <- "event: slow\ndata: {}\n\n"
	<-heard
	began := time.Now()
	for time.Since(began) < patience*3/2 {
		select {
		case events <- "event: status\ndata: {}\n\n":
			<-heard
		case err := <-ended:
			t.Fatal(err)
		}
		<-time.After(patience / 6)
	}
	want := "hear how the gateway at " + a.address + " is: nothing has come for 600ms"
	if err := <-ended; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	a.mu.Lock()
	a.answers["GET /api/live"] = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	a.mu.Unlock()
	err := followLive(t.Context(), a.address, patience, func(string, []byte) error { return nil })
	if want := "ask the gateway at " + a.address + ": nothing has come for 600ms"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestEventsAreRead(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		var got []string
		err := readEvents(strings.NewReader(text), func(name string, data []byte) error {
			got = append(got, name+"="+string(data))
			return nil
		})
		if fmt.Sprint(got) != want || err == nil {
			t.Errorf("%q: %q %v, want %s", text, got, err, want)
		}
	}
	f("", "[]")
	f("data: a", "[]")
	f("data: a\n\n", "[=a]")
	f("event:x\ndata: a\ndata:b\nid: 1\nretry: 1\n\nevent: y\n\ndata:c:d\n\n", "[x=a\nb =c:d]")
	f(":\n\n:\n\n", "[]")
	f("data: "+strings.Repeat("a", mostAnswer)+"\n\n", "[]")
}
