package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

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
		`(?m)^\| CPU of a trip beside waiters of other processes, no delay, 64 connections \| at most 1\.05 x without \| [0-9.]+ x without \|`,
		`(?m)^\| CPU of a trip whose request and callback come in two segments each, no delay, 64 connections \| at most 1\.05 x in one \| [0-9.]+ x in one \|`,
		`(?m)^\| floor, pipelined to the engine \| [1-9]`,
		`(?m)^\| syncgate, Redis, two nodes, callback at the other \| [1-9].* \| [1-9][0-9.]* \| `,
		`(?m)^\| Go net/http, SUBSCRIBE per request \| [1-9]`,
		`(?m)^(\| node, ioredis, SUBSCRIBE per request \| [1-9]|- node, ioredis, SUBSCRIBE per request: )`,
		`(?m)(\| instructions, thousands: user \| kernel \| x floor \|$|perf. was not to be had)`,
		`(?m)^\| CPU of a held trip through a route before an http engine, parked 20 ms, 256 connections \| at most 1\.20 x Corezoid's \| [0-9.]+ x Corezoid's \|`,
		`(?m)^\| 10 events to each of 300 streams, in memory \| at most 2,000 ms \| [1-9]`,
		`(?m)^\| syncgate, in memory, a route before an http engine \| [0-9,-]+ \| [1-9][0-9,]* \| [1-9][0-9,]* \| [1-9][0-9.]* \| - \| [1-9]`,
		`(?m)^\| syncgate, Redis, two nodes, reports at the other \| - \| [1-9][0-9,]* \| [1-9][0-9,]* \| [1-9][0-9.]* \| [1-9][0-9.]* \| [1-9]`,
		`(?m)^\| RST \| [0-9]`, `(?m)^\| expired before it \| 0 \|$`,
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
