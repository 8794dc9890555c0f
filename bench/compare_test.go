package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain is the program itself where a test has started it as the engine.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "engine" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// The whole comparison, with real processes; its figures mean nothing at this length.
func TestCompare(t *testing.T) {
	var out bytes.Buffer
	err := command(t.Context(), []string{"-rounds", "1", "-trips", "300", "-limit", "1m"}, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{
		`round 1, no delay, 64 connections, floor: [1-9]`, `round 1, parked 20 ms, 256 connections, syncgate: [1-9]`,
		`(?m)^ +floor +[1-9].* (1\.00 +\(1\.00\.\.1\.00\)|-)`, `(?m)^ +syncgate +[1-9]`,
	} {
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("no %s in\n%s", want, &out)
		}
	}
}

func TestCommand(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		if err := command(t.Context(), args, &out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", args, err, want)
		}
	}
	f("none of compare, load, engine", "fly")
	f("none of floor, syncgate", "-programs", "nginx")
	f("rounds, trips, limit", "-rounds", "0")
	f("trips: 0", "load", "-trips", "0")
	f("ack: ", "engine", "-ack", "never")
	if err := command(t.Context(), []string{"load", "-h"}, new(bytes.Buffer)); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
}

// A program that ends by itself is reported with what it said, at once.
func TestProgramThatEnds(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("echo address in use >&2; exit 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := start(t.Context(), t.TempDir(), "/bin/sh", script)
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	if err := p.answers(t.Context(), "http://127.0.0.1:1/"); err == nil || !strings.Contains(err.Error(), "sh ended: address in use") {
		t.Errorf("got %v", err)
	}
}

// What /proc says of this process grows with what it does.
func TestUsage(t *testing.T) {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	p := &process{name: "self", cmd: &exec.Cmd{Process: self}}
	user, system, err := p.cpu()
	if err != nil {
		t.Fatal(err)
	}
	began, sink := time.Now(), 0
	for time.Since(began) < 100*time.Millisecond {
		sink++
	}
	user2, system2, err := p.cpu()
	if spent := user2 + system2 - user - system; err != nil || spent <= 0 || spent > 10*time.Second || sink == 0 {
		t.Errorf("%v of CPU time, %v", spent, err)
	}
	if resident, err := p.resident(); err != nil || resident < 1<<20 {
		t.Errorf("%d bytes resident, %v", resident, err)
	}
}

func TestParseProc(t *testing.T) {
	user, system, err := parseStat("42 (a ) b) S 1 42 42 0 -1 4194560 500 0 0 0 123 45 0 0 20 0 9 0 100 1000 200 0")
	if err != nil || user != 1230*time.Millisecond || system != 450*time.Millisecond {
		t.Errorf("stat: %s, %s, %v", user, system, err)
	}
	for _, bad := range []string{"", "42 (a) S 1", "42 (a) S 1 42 42 0 -1 4194560 500 0 0 0 x y"} {
		if _, _, err := parseStat(bad); err == nil {
			t.Errorf("stat %q is accepted", bad)
		}
	}
	if n, err := parseStatus("Name:\ta\nVmRSS:\t    2048 kB\nVmData: 1 kB\n"); err != nil || n != 2<<20 {
		t.Errorf("status: %d, %v", n, err)
	}
	if _, err := parseStatus("Name:\ta\n"); err == nil {
		t.Error("status without VmRSS is accepted")
	}
}

func TestTable(t *testing.T) {
	figuresOf := func(cpus ...float64) (list []figures) {
		for i, cpu := range cpus {
			list = append(list, figures{
				rate: float64(100 * (i + 1)), p50: time.Duration(i+1) * time.Millisecond, p99: 2500 * time.Millisecond,
				cpu: cpu, user: cpu / 4, kernel: cpu * 3 / 4, resident: 12.34,
			})
		}
		return list
	}
	tab := table{targets: targets(), scenes: []scene{{name: "scene"}}, figures: map[cell][]figures{
		{"floor", "scene"}:    figuresOf(10, 20, 40),
		{"syncgate", "scene"}: figuresOf(30, 30, 40),
	}}
	var out bytes.Buffer
	if err := tab.print(&out); err != nil {
		t.Fatal(err)
	}
	want := `
     scene  trips/s     p50  p90   p99  max  CPU us/trip  user  kernel   MiB  x floor  (least..most)
     floor      200  2.00ms   0s  2.5s   0s         20.0   5.0    15.0  12.3     1.00   (1.00..1.00)
  syncgate      200  2.00ms   0s  2.5s   0s         30.0   7.5    22.5  12.3     1.50   (1.00..3.00)
`
	if out.String() != want {
		t.Errorf("table is\n%s, want\n%s", &out, want)
	}
	delete(tab.figures, cell{"floor", "scene"})
	if got := tab.ratio("syncgate", "scene"); got != "-\t" {
		t.Errorf("ratio without a floor is %s", strconv.Quote(got))
	}
}
