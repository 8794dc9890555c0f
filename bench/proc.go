package main

import (
	"bufio"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parseStat reads fields 14 and 15 of /proc/PID/stat. The second one is the program's name in brackets, with blanks perhaps.
func parseStat(s string) (user, system time.Duration, err error) {
	fields := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	const utime, stime = 14 - 3, 15 - 3
	if len(fields) <= stime {
		return 0, 0, errors.New("read cpu time: too few fields")
	}
	u, err1 := strconv.ParseInt(fields[utime], 10, 64)
	k, err2 := strconv.ParseInt(fields[stime], 10, 64)
	const tick = time.Second / ticksPerSecond
	return time.Duration(u) * tick, time.Duration(k) * tick, errors.Join(err1, err2)
}

// parseKB finds a line such as "VmRSS:   2048 kB" in /proc/PID/status or /proc/meminfo and gives the bytes.
func parseKB(s, name string) (int64, error) {
	for line := range strings.Lines(s) {
		rest, ok := strings.CutPrefix(line, name+":")
		value, isKB := strings.CutSuffix(strings.TrimSpace(rest), " kB")
		if !ok || !isKB {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		return kib << 10, err
	}
	return 0, fmt.Errorf("read memory: no %s", name)
}

// parseHeap finds how much of Go's heap is in use in /debug/pprof/heap?debug=1.
func parseHeap(s string) (int64, error) {
	_, rest, ok := strings.Cut(s, "\n# HeapAlloc = ")
	value, _, _ := strings.Cut(rest, "\n")
	if !ok {
		return 0, errors.New("read the heap's size: no HeapAlloc")
	}
	return strconv.ParseInt(value, 10, 64)
}

// parseGauge finds a metric without labels in Prometheus' text.
func parseGauge(text, name string) (float64, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("read metrics: no %s", name)
}

// parseBenchmarks gives every figure that go test's benchmarks report, by "Name unit", the name less Benchmark and the
// number of processors.
func parseBenchmarks(s string) (map[string][]float64, error) {
	all := make(map[string][]float64)
	lines := bufio.NewScanner(strings.NewReader(s))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(fields[0], "Benchmark")
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			name = name[:i]
		}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("read a benchmark: %w", err)
			}
			key := name + " " + fields[i+1]
			all[key] = append(all[key], value)
		}
	}
	return all, lines.Err()
}
