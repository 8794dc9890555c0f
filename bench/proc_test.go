package main

import (
	"slices"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	user, system, err := parseStat("42 (a ) b) S 1 42 42 0 -1 4194560 500 0 0 0 123 45 0 0 20 0 9 0 100 1000 200 0")
	if err != nil || user != 1230*time.Millisecond || system != 450*time.Millisecond {
		t.Errorf("%s, %s, %v", user, system, err)
	}
	for _, bad := range []string{"", "42 (a) S 1", "42 (a) S 1 42 42 0 -1 4194560 500 0 0 0 x y"} {
		if _, _, err := parseStat(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestParseKB(t *testing.T) {
	const status = "Name:\ta\nVmRSS:\t    2048 kB\nVmData: 1 kB\nThreads: 7\n"
	if n, err := parseKB(status, "VmRSS"); err != nil || n != 2<<20 {
		t.Errorf("%d, %v", n, err)
	}
	for _, name := range []string{"Vm", "Threads", "Slab"} {
		if n, err := parseKB(status, name); err == nil {
			t.Errorf("%s is %d", name, n)
		}
	}
}

func TestParseHeap(t *testing.T) {
	if n, err := parseHeap("heap profile: 1\n# Alloc = 5\n# HeapAlloc = 1234\n# HeapSys = 9\n"); err != nil || n != 1234 {
		t.Errorf("%d, %v", n, err)
	}
	for _, bad := range []string{"", "# HeapAlloc = 1\n", "\n# HeapAlloc = x\n"} {
		if _, err := parseHeap(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestParseGauge(t *testing.T) {
	const text = "# TYPE parked gauge\nparked_all 3\nparked 18000\nother{a=\"b\"} 1\nbig 1e+06\n"
	for name, want := range map[string]float64{"parked": 18000, "parked_all": 3, "big": 1e6} {
		if v, err := parseGauge(text, name); err != nil || v != want {
			t.Errorf("%s is %v, %v", name, v, err)
		}
	}
	if _, err := parseGauge(text, "other"); err == nil {
		t.Error("a metric that is not there is found")
	}
}

func TestParseBenchmarks(t *testing.T) {
	const text = "goos: linux\nBenchmarkScale/a-late-2 \t 1\t 2000 ns/op\t 17.5 late-ms\nBenchmarkScale/a-late-2 1 1 ns/op 18 late-ms\nBenchmarkScale\nPASS\n"
	found, err := parseBenchmarks(text)
	if err != nil || !slices.Equal(found["Scale/a-late late-ms"], []float64{17.5, 18}) || len(found) != 2 {
		t.Errorf("%v, %v", found, err)
	}
	if _, err := parseBenchmarks("BenchmarkX-2 1 x ns/op\n"); err == nil {
		t.Error("a figure that is none is accepted")
	}
}
