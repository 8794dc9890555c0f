package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// runLimit bounds a whole run.
const runLimit = 40 * time.Minute

// options of a run.
type options struct {
	quick    bool
	keep     bool
	rounds   int
	scenes   string
	programs string
	out      string
}

func (o *options) flags(fs *flag.FlagSet) {
	fs.BoolVar(&o.quick, "quick", false, "a minute with short measurements and few clients: shows that it works; its figures are rough")
	fs.BoolVar(&o.keep, "keep", false, "keep the programs, their configuration and logs, and say where they are")
	fs.IntVar(&o.rounds, "rounds", 3, "of every scene, in turn; the tables have their medians")
	fs.StringVar(&o.scenes, "scene", "", "`list` of scenes: "+strings.Join(sceneNames(), ", ")+" (default all)")
	fs.StringVar(&o.programs, "programs", "", "`list` of programs: "+strings.Join(programNames(), ", ")+" (default all)")
	fs.StringVar(&o.out, "out", "", "`directory` of the repository's documents to write into (default docs for a whole run, else none)")
}

// sizes of what is measured.
type sizes struct {
	rounds       int
	warm, during time.Duration // of a load: before, and while it is measured
	counted      int           // trips whose instructions are counted
	settle       time.Duration // after a change, before the machine is measured
	calm         time.Duration // that resident memory has not changed for when it is read
	patience     time.Duration // for that, at most
	parked       []int         // clients at which memory is read
	few          int           // clients of the hang-ups
	others       []int         // clients that are parked beside a load; the first is 0
}

func (o *options) sizes() sizes {
	if o.quick {
		return sizes{
			rounds: 1, warm: 200 * time.Millisecond, during: 600 * time.Millisecond, counted: 1000,
			settle: 300 * time.Millisecond, calm: 200 * time.Millisecond, patience: time.Second,
			parked: []int{200, 400}, few: 300, others: []int{0, 300},
		}
	}
	return sizes{
		rounds: o.rounds, warm: 700 * time.Millisecond, during: 2500 * time.Millisecond, counted: 20_000,
		settle: time.Second, calm: 2 * time.Second, patience: 15 * time.Second,
		parked: []int{1000, 5000, 10_000, 18_000}, few: 10_000, others: []int{0, 5000, 10_000, 15_000},
	}
}

// scene is one thing that is measured, of several programs.
type scene interface {
	// round measures everything once, one program after the other.
	round(ctx context.Context, b *bench) error
	// sections word what all rounds have shown.
	sections(b *bench) []section
}

type namedScene struct {
	name   string
	rounds int // at most; 0: as many as there are
	scene
}

func scenes() []namedScene {
	return []namedScene{
		{"trips", 0, newTrips()},
		{"latency", 0, new(latency)},
		{"memory", 2, new(memory)}, // long, and much the same each time
		{"flat", 0, new(flat)},
		{"hangups", 0, new(hangups)},
		{"streams", 2, new(streams)}, // long, as memory is
		{"table", 0, new(inProcess)},
	}
}

func sceneNames() (names []string) {
	for _, s := range scenes() {
		names = append(names, s.name)
	}
	return names
}

// bench is a run.
type bench struct {
	options
	sizes
	dir   string // of programs, configurations and logs
	out   io.Writer
	files int // that a process may have open

	programs []program // that can run here
	absent   []absence
	noPerf   error // why instructions are not counted; nil while they are
}

// absence is a program that is not in the tables, or not in all of them.
type absence struct{ title, why string }

// runAll builds the programs, plays every round of every scene, and words the outcome.
func runAll(ctx context.Context, o options, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, runLimit)
	defer cancel()
	b := &bench{options: o, sizes: o.sizes(), out: out}
	chosen, err := b.choose()
	if err != nil {
		return err
	}
	if b.files, err = openFiles(); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "syncgate-bench-"); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	if o.keep {
		fmt.Fprintln(out, "programs and logs are in", b.dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	}
	if err := b.build(ctx); err != nil {
		return err
	}
	if err := b.play(ctx, chosen); err != nil {
		return err
	}
	return b.conclude(ctx, chosen)
}

// play plays the scenes in turn, round by round, as what else happens on the machine may change.
func (b *bench) play(ctx context.Context, chosen []namedScene) error {
	for n := range b.sizes.rounds {
		for _, s := range chosen {
			if s.rounds > 0 && n >= s.rounds {
				continue
			}
			began := time.Now()
			if err := s.round(ctx, b); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			fmt.Fprintf(b.out, "round %d of %d, %s: %.0f s\n", n+1, b.sizes.rounds, s.name, time.Since(began).Seconds())
		}
	}
	return nil
}

// choose picks what the options name and completes them.
func (b *bench) choose() (chosen []namedScene, err error) {
	const maxRounds = 100
	if b.options.rounds < 1 || b.options.rounds > maxRounds {
		return nil, fmt.Errorf("rounds: not within 1 and %d", maxRounds)
	}
	wanted, err := pick("scene", b.scenes, sceneNames())
	if err != nil {
		return nil, err
	}
	for _, s := range scenes() {
		if slices.Contains(wanted, s.name) {
			chosen = append(chosen, s)
		}
	}
	wanted, err = pick("programs", b.options.programs, programNames())
	if err != nil {
		return nil, err
	}
	for _, p := range programs() {
		if slices.Contains(wanted, p.name) {
			b.programs = append(b.programs, p)
		}
	}
	if whole := len(chosen) == len(scenes()) && len(b.programs) == len(programs()); whole && !b.quick && b.options.out == "" {
		b.options.out = "docs"
	}
	return chosen, nil
}

// pick gives the names in list, or all when it is empty.
func pick(what, list string, all []string) ([]string, error) {
	if list == "" {
		return all, nil
	}
	names := strings.Split(list, ",")
	for _, name := range names {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("%s: %q is none of %s", what, name, strings.Join(all, ", "))
		}
	}
	return names, nil
}

// each measures those programs that want says, one after the other, in an order by chance: what the one before leaves behind
// on the machine meets another each time. A baseline that fails is left out from then on; a fault of the product or of the
// floor ends the run, as there are no figures of a run that was not right.
func (b *bench) each(ctx context.Context, want func(program) bool, measure func(program) error) error {
	var order []program
	for _, i := range rand.Perm(len(b.programs)) { //nolint:gosec // an order and no secret
		order = append(order, b.programs[i])
	}
	for _, p := range order {
		if !want(p) {
			continue
		}
		switch err := measure(p); {
		case err == nil:
		case p.baseline && ctx.Err() == nil:
			b.leaveOut(p, "it failed in this run", err)
		default:
			return fmt.Errorf("%s: %w", p.title, err)
		}
	}
	return nil
}

// leaveOut takes a program out of what is still to come. The detail is for who looks at the run and not for the documents.
func (b *bench) leaveOut(p program, why string, detail error) {
	fmt.Fprintf(b.out, "%s is left out: %s (%v)\n", p.title, why, detail)
	b.absent = append(b.absent, absence{p.title, why})
	b.programs = slices.DeleteFunc(b.programs, func(other program) bool { return other.name == p.name })
}

// openFiles is how many files a process may have open; Go's own programs raise their limit to that.
func openFiles() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read the limit of open files: %w", err)
	}
	const enough = 1 << 20
	return int(min(limit.Max, enough)), nil
}
