package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"syncgate/internal/admin"
	"syncgate/internal/whereabouts"
)

const topHelp = `Shows what a running gateway does, each second until SIGINT (Ctrl-C) or SIGTERM: clients that wait, engines, and for each route and login the
requests in flight, how many end, how long engines and clients take, and how the requests of the last minute ended. On a terminal it draws one
screen again and again, as wide and as high as the terminal. Elsewhere, as in a pipe, it prints one block after the other, whole.

Without --admin it reads the same configuration as serve, to know the address. Each node knows its own requests.
`

const (
	statusPath  = "/api/status"
	summaryPath = "/api/summary"
	// liveRetry is the time between two attempts to hear a gateway again.
	liveRetry = time.Second
)

// Control sequences of terminals (ECMA-48): the cursor to the first place, and clear what follows it, on the line or on the screen.
const (
	cursorHome  = "\x1b[H"
	clearLine   = "\x1b[K"
	clearScreen = "\x1b[J"
)

func top(p *program, fs *flag.FlagSet, args []string) error {
	path, where := configFlag(fs), adminFlag(fs)
	once := fs.Bool("once", false, "print it once, and end")
	if err := parseConfigFlags(fs, args); err != nil {
		return err
	}
	address, err := p.adminAddress(*where, *path)
	if err != nil {
		return err
	}
	if *once {
		return topOnce(p.out, address)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return endWith(ctx, (&topScreen{out: p.out, address: address}).follow)
}

// endWith gives what f gives. When ctx has ended it waits for f no longer than printTimeout: a write into a pipe that nobody reads does not end. Then the
// goroutine that runs f goes on, at most until the process ends.
func endWith(ctx context.Context, f func(ctx context.Context) error) error {
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(printTimeout):
		return nil
	}
}

// topOnce asks for the two parts, and prints them.
func topOnce(w io.Writer, address string) error {
	var view topView
	for path, part := range map[string]any{statusPath: &view.status, summaryPath: &view.summary} {
		answer, err := askAdmin(http.MethodGet, address, path)
		if err != nil {
			return err
		}
		if err := answer.read(address, "how it is", part, func() bool { return true }); err != nil {
			return err
		}
	}
	if !view.whole() {
		return errElsewhere(address, "how it is")
	}
	_, err := io.WriteString(w, strings.Join(view.lines(time.Now()), "\n")+"\n")
	return err
}

// topScreen draws what a gateway says of itself.
type topScreen struct {
	out     io.Writer
	address string
	view    topView
	drawn   bool  // something was
	failed  error // why nothing more can be drawn
}

// follow draws until ctx ends, or until that fails. When the gateway that it draws is lost a terminal says so and waits for its return; elsewhere that is the end.
func (s *topScreen) follow(ctx context.Context) error {
	for {
		err := followLive(ctx, s.address, askTimeout, s.event)
		_, _, terminal := terminalSize(s.out)
		if ctx.Err() != nil {
			return nil
		}
		if !terminal || !s.drawn || s.failed != nil || errors.Is(err, errNotEvents) {
			return err
		}
		if err := s.draw(err.Error()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(liveRetry):
		}
	}
}

// errNotEvents says that the events are no gateway's.
var errNotEvents = errors.New("what comes is not what a gateway of this version says")

// event takes an event, and draws with each summary.
func (s *topScreen) event(name string, data []byte) error {
	var err error
	switch name {
	case "status":
		s.view.status = admin.Status{}
		err = json.Unmarshal(data, &s.view.status)
	case "summary":
		s.view.summary = whereabouts.Summary{}
		err = json.Unmarshal(data, &s.view.summary)
	}
	switch {
	case err != nil:
		return errNotEvents
	case name == "summary" && s.view.whole():
		return s.draw("")
	}
	return nil
}

// draw draws a screen, or prints a block. trouble is why there is nothing newer.
func (s *topScreen) draw(trouble string) error {
	lines := s.view.lines(time.Now())
	columns, rows, terminal := terminalSize(s.out)
	if !terminal {
		return s.write(strings.Join(lines, "\n") + "\n\n")
	}
	if trouble != "" {
		lines = append([]string{trouble, ""}, lines...)
	}
	if over := len(lines) - (rows - 1); over > 0 && rows > 2 { // the last row is the cursor's
		lines = append(lines[:rows-2], fmt.Sprintf("and %s", count(over+1, "more line")))
	}
	var b strings.Builder
	b.WriteString(cursorHome)
	for _, line := range lines {
		b.WriteString(clearLine + cut(line, columns) + "\n") // cleared first: behind the last column there is nothing to clear
	}
	b.WriteString(clearScreen)
	return s.write(b.String())
}

func (s *topScreen) write(text string) error {
	s.drawn = true
	_, s.failed = io.WriteString(s.out, text)
	return s.failed
}

// cut gives as many characters of a line as there are columns.
func cut(line string, columns int) string {
	n := 0
	for i := range line {
		if n++; n > columns {
			return line[:i]
		}
	}
	return line
}
