package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// perfBegins is how long perf has to find the threads of idle processes and to count them.
	perfBegins = 300 * time.Millisecond
	// perfEnds is how long it may take to word its counts.
	perfEnds = 5 * time.Second
)

// errNoPerf says that perf is not installed, may not count, or counts nothing here.
var errNoPerf = errors.New("perf was not to be had")

// instructions is how many were executed in user and in kernel mode.
type instructions struct{ user, kernel float64 }

// count gives the instructions that processes, and threads that they start, execute while load runs. Its error is load's, or
// an errNoPerf. What perf writes goes to a file in dir.
func count(ctx context.Context, dir string, pids []int, load func() error) (n instructions, err error) {
	var list []string
	for _, pid := range pids {
		list = append(list, strconv.Itoa(pid))
	}
	perf, err := start(ctx, dir, "perf", "stat", "-x,", "-e", "instructions:u,instructions:k", "-p", strings.Join(list, ","))
	if err != nil {
		return n, fmt.Errorf("%w: %w", errNoPerf, err)
	}
	defer perf.stop()
	if perf.ends(perfBegins) {
		return n, fmt.Errorf("%w: it ended: %s", errNoPerf, perf.tail())
	}
	if err := load(); err != nil {
		return n, err
	}
	if err := perf.cmd.Process.Signal(os.Interrupt); err != nil {
		return n, fmt.Errorf("%w: stop it: %w: %s", errNoPerf, err, perf.tail())
	}
	if !perf.ends(perfEnds) {
		return n, fmt.Errorf("%w: it does not end: %s", errNoPerf, perf.tail())
	}
	if n, err = parsePerf(perf.tail()); err != nil {
		return n, fmt.Errorf("%w: %w", errNoPerf, err)
	}
	return n, nil
}

// parsePerf reads what perf stat -x, writes: a line for each event with its count, the count's unit, and the event's name.
// Both events have to be there, once each, and to have been counted.
func parsePerf(s string) (n instructions, err error) {
	n.user, n.kernel = -1, -1
	for line := range strings.Lines(s) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		if len(fields) < 3 {
			continue
		}
		name, mode, _ := strings.Cut(fields[2], ":") // further letters of mode may be perf's own
		if name != "instructions" {
			continue
		}
		user, kernel := strings.Contains(mode, "u"), strings.Contains(mode, "k")
		into := &n.user
		if kernel {
			into = &n.kernel
		}
		count, err := strconv.ParseUint(fields[0], 10, 64) // or <not counted>, <not supported>
		switch {
		case err != nil:
			return instructions{}, fmt.Errorf("count %s: %q", fields[2], fields[0])
		case count == 0 || *into >= 0 || user == kernel:
			return instructions{}, fmt.Errorf("count instructions: %q", line)
		}
		*into = float64(count)
	}
	if n.user < 0 || n.kernel < 0 {
		return instructions{}, fmt.Errorf("count instructions: not both in %q", s)
	}
	return n, nil
}
