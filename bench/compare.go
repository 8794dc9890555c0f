package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// options of a comparison.
type options struct {
	short   bool
	rounds  int
	trips   int
	limit   time.Duration // of one run
	targets string
	keep    bool
}

func defaults() options {
	return options{rounds: 5, trips: 100_000, limit: 3 * time.Minute, targets: "floor,syncgate"}
}

func (o *options) flags(fs *flag.FlagSet) {
	fs.BoolVar(&o.short, "short", o.short, "2 rounds of 4,000 trips: shows that it works, and no more")
	fs.IntVar(&o.rounds, "rounds", o.rounds, "of every program, in turn; the table has their medians")
	fs.IntVar(&o.trips, "trips", o.trips, "measured in each round")
	fs.DurationVar(&o.limit, "limit", o.limit, "for one program's round")
	fs.StringVar(&o.targets, "programs", o.targets, "`list` of programs: floor, syncgate")
	fs.BoolVar(&o.keep, "keep", o.keep, "keep the programs, their configuration and logs, and say where they are")
}

func (o *options) validate() error {
	if o.short {
		o.rounds, o.trips = 2, 4000
	}
	const maxRounds, maxTrips = 100, 1_000_000
	if o.rounds < 1 || o.rounds > maxRounds || o.trips < 1 || o.trips > maxTrips || o.limit <= 0 {
		return fmt.Errorf("rounds, trips, limit: not within 1 and %d, 1 and %d, and more than 0", maxRounds, maxTrips)
	}
	return nil
}

// scene is a load under which the programs are compared.
type scene struct {
	name        string
	connections int
	delay       time.Duration // of the engine's callback
}

func scenes() []scene {
	return []scene{
		{"no delay, 64 connections", 64, 0},
		{"parked 20 ms, 256 connections", 256, 20 * time.Millisecond},
	}
}

// compare builds the targets, runs them, and prints the table.
func compare(ctx context.Context, o options, out io.Writer) (err error) {
	if err := o.validate(); err != nil {
		return err
	}
	targets, err := pick(o.targets)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "syncgate-bench-")
	if err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	if o.keep {
		fmt.Fprintln(out, "programs and logs are in", dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if err := build(ctx, dir, targets); err != nil {
		return err
	}
	t := table{targets: targets, scenes: scenes(), figures: make(map[cell][]figures)}
	for round := range o.rounds {
		if err := t.round(ctx, o, dir, round+1, out); err != nil {
			return err
		}
	}
	return t.print(out)
}

// round runs every target under every scene, the targets one after the other, as what else happens on the machine may change.
func (t *table) round(ctx context.Context, o options, dir string, n int, out io.Writer) error {
	for _, s := range t.scenes {
		for _, target := range t.targets {
			f, err := measure(ctx, o, dir, target, s)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", target.name, s.name, err)
			}
			fmt.Fprintf(out, "round %d, %s, %s: %s\n", n, s.name, target.name, f)
			at := cell{target.name, s.name}
			t.figures[at] = append(t.figures[at], f)
		}
	}
	return nil
}

func pick(names string) (chosen []target, err error) {
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(targets(), func(t target) bool { return t.name == name })
		if i < 0 {
			return nil, fmt.Errorf("programs: %q is none of floor, syncgate", name)
		}
		chosen = append(chosen, targets()[i])
	}
	return chosen, nil
}

// measure runs one target with an engine of its own, warms it up, and takes its figures under load.
func measure(ctx context.Context, o options, dir string, t target, s scene) (f figures, err error) {
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		return f, fmt.Errorf("find own program: %w", err)
	}
	free, err := freeAddrs(3)
	if err != nil {
		return f, err
	}
	at := addresses{public: free[0], admin: free[1], engine: free[2]}
	args, err := t.args(dir, at)
	if err != nil {
		return f, err
	}
	engine, err := start(ctx, dir, self, "engine", "-listen", at.engine, "-delay", s.delay.String())
	if err != nil {
		return f, err
	}
	defer engine.stop()
	p, err := start(ctx, dir, t.program(dir), args...)
	if err != nil {
		return f, err
	}
	defer p.stop()
	if err := errors.Join(engine.answers(ctx, "http://"+at.engine), p.answers(ctx, "http://"+at.public+"/readyz")); err != nil {
		return f, err
	}
	l := defaultLoad()
	l.urls, l.connections, l.limit = []string{"http://" + at.public}, s.connections, o.limit
	l.trips = max(o.trips/10, 2*s.connections)
	if _, err := take(ctx, p, l); err != nil {
		return f, fmt.Errorf("warm up: %w", err)
	}
	l.trips = o.trips
	return take(ctx, p, l)
}

// take runs the load and says what it cost the process.
func take(ctx context.Context, p *process, l load) (f figures, err error) {
	user, system, err := p.cpu()
	if err != nil {
		return f, err
	}
	r, err := l.run(ctx)
	if err != nil {
		return f, err
	}
	if err := r.err(); err != nil {
		return f, err
	}
	user2, system2, err := p.cpu()
	if err != nil {
		return f, err
	}
	resident, err := p.resident()
	aTrip := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(r.good()) }
	return figures{
		rate:     r.rate(),
		p50:      r.percentile(50),
		p90:      r.percentile(90),
		p99:      r.percentile(99),
		max:      r.percentile(100),
		cpu:      aTrip(user2 + system2 - user - system),
		user:     aTrip(user2 - user),
		kernel:   aTrip(system2 - system),
		resident: float64(resident) / (1 << 20),
	}, err
}
