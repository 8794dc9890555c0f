package main

import (
	"context"
	"fmt"
	"os/exec"
)

// inProcess is the scene of the table of trips alone, without sockets: a benchmark of the package that has it.
type inProcess struct {
	figures map[string][]float64
}

// The benchmark's figures.
const (
	late      = "Scale/deadline late-ms"
	early     = "Scale/deadline early"
	bytesEach = "Scale/million B/trip"
	pauseGC   = "Scale/million pause-us"
	cycleGC   = "Scale/million cycle-ms"
	deliverNS = "Scale/million ns/deliver"
	alone     = "Scale/million ns/deliver-alone"
)

func (s *inProcess) round(ctx context.Context, _ *bench) error {
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkScale$", "-benchtime", "1x", "syncgate/correlator").CombinedOutput()
	if err != nil {
		return fmt.Errorf("run the benchmark: %w\n%s", err, out)
	}
	found, err := parseBenchmarks(string(out))
	if err != nil {
		return err
	}
	if s.figures == nil {
		s.figures = make(map[string][]float64)
	}
	for _, name := range []string{late, early, bytesEach, pauseGC, cycleGC, deliverNS, alone} {
		if len(found[name]) == 0 {
			return fmt.Errorf("run the benchmark: it does not say %s:\n%s", name, out)
		}
		s.figures[name] = append(s.figures[name], found[name]...)
	}
	return nil
}

func (s *inProcess) sections(*bench) []section {
	if s.figures == nil {
		return nil
	}
	row := func(name, figure string) []string { return []string{name, spread(s.figures[figure], 0)} }
	return []section{{
		title: "The table of trips alone",
		text:  "Without sockets and HTTP: `go test -bench Scale ./correlator`.",
		head:  []string{"", "measured"},
		rows: [][]string{
			row("100,000 trips with the same deadline: the last expired after it, ms", late),
			row("expired before it", early),
			row("one million parked: live bytes each", bytesEach),
			row("the longest pause of a garbage collection with them, us", pauseGC),
			row("a whole collection, which runs beside the program, ms", cycleGC),
			row("a delivery with them, ns", deliverNS),
			row("a delivery without them, ns", alone),
		},
		goals: []goal{
			{"100,000 trips with the same deadline expired", 100, median(s.figures[late]), " ms", 0},
			{"of them expired early", 0, median(s.figures[early]), "", 0},
		},
	}}
}
