package main

import (
	"errors"
	"os"
	"path/filepath"
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
