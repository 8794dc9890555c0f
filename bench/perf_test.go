package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestParsePerf(t *testing.T) {
	const user, kernel = "112734,,instructions:u,496810,100.00,,\n", "482489,,instructions:k,496810,100.00,,\n"
	for _, text := range []string{
		user + kernel,
		"# started on some day\n\n" + kernel + user,
		"112734,,instructions:uH,1,62.50,1.02,insn per cycle\n" + "3,,cycles:u,1,100.00,,\na warning, of perf, instructions:u\n" + kernel,
	} {
		if n, err := parsePerf(text); err != nil || n != (instructions{112734, 482489}) {
			t.Errorf("%q: %v, %v", text, n, err)
		}
	}
	for _, bad := range []string{
		"", "\n", "garbage", ",,,,\n", user, kernel, user + user, user + kernel + kernel,
		"<not supported>,,instructions:u,0,100.00,,\n<not supported>,,instructions:k,0,100.00,,\n",
		user + "<not counted>,,instructions:k,0,0.00,,\n",
		user + "0,,instructions:k,0,100.00,,\n", user + "-5,,instructions:k,1,100.00,,\n", user + "x,,instructions:k,1,100.00,,\n",
		user + "482489,,instructions,1,100.00,,\n", user + "482489,,instructions:uk,1,100.00,,\n", user + "482489,,instruct",
	} {
		if n, err := parsePerf(bad); err == nil {
			t.Errorf("%q is %v", bad, n)
		}
	}
}

// A program in perf's place counts until it is interrupted, or does not.
func TestCount(t *testing.T) {
	broken := errors.New("broken")
	f := func(script string, load, want error) {
		t.Helper()
		dir := t.TempDir()
		if script != "" {
			if err := os.WriteFile(filepath.Join(dir, "perf"), []byte("#!/bin/sh\n"+script), 0o700); err != nil { //nolint:gosec // it is to be run
				t.Fatal(err)
			}
		}
		t.Setenv("PATH", dir)
		loaded := false
		n, err := count(t.Context(), dir, []int{os.Getpid(), os.Getppid()}, func() error {
			loaded = true
			return load
		})
		if !errors.Is(err, want) || (err == nil) != (n == instructions{7000, 3000}) {
			t.Errorf("%q: %v, %v, want %v", script, n, err, want)
		}
		if load != nil && !loaded {
			t.Errorf("%q: the load did not run", script)
		}
	}
	const waits = "trap 'trap - INT; printf %s \"$out\" >&2; kill -INT $$' INT\nwhile :; do :; done\n"
	f("out='7000,,instructions:u,1,100.00,,\n3000,,instructions:k,1,100.00,,\n'\n"+waits, nil, nil)
	f("out='<not supported>,,instructions:u,0,100.00,,\n'\n"+waits, nil, errNoPerf)
	f("out=''\n"+waits, broken, broken)
	f("echo Access is limited >&2; exit 255\n", nil, errNoPerf)
	f("", nil, errNoPerf)
}

// Without perf there are no columns of instructions, and the document says why; a program that was not counted has none.
func TestInstructionsInTables(t *testing.T) {
	f := func(noPerf error, fill func(*tripFigures), says, head string, rows ...string) {
		t.Helper()
		scene := newTrips()
		scene.figures[0].own = samples{"floor": {10}, "memory": {20}}
		fill(&scene.figures[0])
		s := scene.sections(&bench{noPerf: noPerf, sizes: sizes{counted: 20_000}})[0]
		if got := strings.Join(s.head[9:], "|"); got != head || !strings.Contains(s.text, says) {
			t.Errorf("head %q, want %q; text has no %q: %s", got, head, says, s.text)
		}
		var got []string
		for _, row := range s.rows {
			got = append(got, strings.Join(row[10:], "|"))
		}
		if !slices.Equal(got, rows) {
			t.Errorf("rows %q, want %q", got, rows)
		}
	}
	const head = "p99, ms|instructions, thousands: user|kernel|x floor"
	floor := func(f *tripFigures) {
		f.userInstructions, f.kernelInstructions, f.instructions = samples{"floor": {49}}, samples{"floor": {44}}, samples{"floor": {93}}
	}
	f(errNoPerf, func(*tripFigures) {}, "`perf` was not to be had", "p99, ms", "", "")
	f(errNoPerf, floor, "`perf` was not to be had", head, "49.0|44.0|1.00", "-|-|-")
	f(nil, func(f *tripFigures) {
		floor(f)
		f.userInstructions.add("memory", 140)
		f.kernelInstructions.add("memory", 46)
		f.instructions.add("memory", 186)
	}, "over 20,000 trips", head, "49.0|44.0|1.00", "140.0|46.0|2.00")
}
