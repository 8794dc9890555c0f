package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

// Every scene with real processes, and the documents that come of it; the figures mean nothing at this length.
func TestQuick(t *testing.T) {
	var out bytes.Buffer
	dir := t.TempDir()
	if err := command(t.Context(), []string{"-quick", "-out", dir}, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	document, err := os.ReadFile(filepath.Join(dir, "benchmarks", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`(?m)^\| CPU of a trip in memory, no delay, 64 connections \| at most 1\.14 x floor \| [0-9.]+ x floor \| (met|\*\*missed\*\*) \|$`,
		`(?m)^\| floor \| [1-9].* \| - \| [0-9.]+ \| 1\.00 \|`,
		`(?m)^\| CPU of a trip in memory, TLS, no delay, 64 connections \| at most 1\.25 x floor with TLS \| [0-9.]+ x floor with TLS \| (met|\*\*missed\*\*) \|$`,
		`(?m)^\| CPU of a trip whose request and callback come in two segments each, no delay, 64 connections \| at most 1\.05 x in one \| [0-9.]+ x in one \|`,
		`(?m)^\| floor, pipelined to the engine \| [1-9]`,
		`(?m)^\| syncgate, Redis, two nodes, callback at the other \| [1-9].* \| [1-9][0-9.]* \| `,
		`(?m)^\| Go net/http, SUBSCRIBE per request \| [1-9]`,
		`(?m)^(\| node, ioredis, SUBSCRIBE per request \| [1-9]|- node, ioredis, SUBSCRIBE per request: )`,
		`(?m)(\| instructions, thousands: user \| kernel \| x floor \|$|perf. was not to be had)`,
		`(?m)^\| RST \| [0-9]`, `(?m)^\| told before it \| 0 \|$`,
		`!\[Memory of a parked client\]\(memory\.svg\)`, `!\[CPU of a trip while others wait\]\(cpu\.svg\)`,
	} {
		if !regexp.MustCompile(want).Match(document) {
			t.Errorf("no %s in\n%s", want, document)
		}
	}
	if t.Failed() {
		t.Logf("%s", &out)
	}
	for name, want := range map[string]string{
		"benchmarks/memory.svg": "syncgate, in memory", "benchmarks/cpu.svg": "clients parked", "scaling.md": "| **gateways** | 2 |",
	} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Contains(text, []byte(want)) {
			t.Errorf("%s has no %s: %v\n%s", name, want, err, text)
		}
	}
}

// What cannot run here is left out, with the reason, and is no failure.
func TestWithoutNode(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var out bytes.Buffer
	if err := command(t.Context(), []string{"-quick", "-scene", "trips", "-programs", "ioredis,redis"}, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"left out: node, ioredis, SUBSCRIBE per request: there is no redis-server\n", "left out: syncgate, Redis: there is no redis-server\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if why, err := installNode(t.Context(), t.TempDir()); err == nil || why != "there is no node" {
		t.Errorf("%q, %v", why, err)
	}
}

// A baseline that fails is left out of the rest; a fault of the product or of the floor ends the run.
func TestFailure(t *testing.T) {
	var out bytes.Buffer
	b := &bench{programs: programs(), out: &out}
	broken := errors.New("broken")
	all := func(program) bool { return true }
	measured := 0
	err := b.each(t.Context(), all, func(p program) error {
		if p.baseline {
			return broken
		}
		measured++
		return nil
	})
	if err != nil || len(b.programs) != len(programs())-2 || len(b.absent) != 2 || measured != len(b.programs) {
		t.Errorf("%v: %d programs of which %d were measured, absent: %v", err, len(b.programs), measured, b.absent)
	}
	if err := b.each(t.Context(), all, func(program) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a fault of ours: %v", err)
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
	f("none of floor, pipelined, memory, ", "-programs", "nginx")
	f("none of trips, latency, memory, ", "-scene", "trips,war")
	f("rounds: not within", "-rounds", "0")
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
