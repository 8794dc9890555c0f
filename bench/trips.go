package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// tripLoad is a load under which the programs are compared.
type tripLoad struct {
	name        string
	connections int
	delay       time.Duration // of the engine's callback
	keyed       bool          // each request has an Idempotency-Key, which the programs of others do not know
	tls         bool          // of the programs with TLS
}

// parkedLoad is the place among the loads of the one in which clients wait, as they do in life.
const parkedLoad = 1

func tripLoads() []tripLoad {
	return []tripLoad{
		{name: "no delay, 64 connections", connections: 64},
		{name: "parked 20 ms, 256 connections", connections: 256, delay: 20 * time.Millisecond},
		{name: "with an Idempotency-Key, no delay, 64 connections", connections: 64, keyed: true},
		{name: "TLS, no delay, 64 connections", connections: 64, tls: true},
	}
}

// compares reports whether a program is measured under the load. One that knows no keys is the same under both, and the floor is what
// others are compared with.
func (l tripLoad) compares(p program) bool {
	if p.plain && p.redis { // its trip is the one in memory: without a task that a client can ask for it writes nothing
		return false
	}
	return p.tls == l.tls && (!l.keyed || p.name == "floor" || p.keys)
}

// floor is the program that others are compared with.
func (l tripLoad) floor() string {
	if l.tls {
		return "floortls"
	}
	return "floor"
}

// on is the load on a program that runs.
func (l tripLoad) on(r *rig, during time.Duration) load {
	one := r.load(l.connections, during)
	one.keyed = l.keyed
	return one
}

// trips is the scene of what a trip costs, under each load.
type trips struct {
	loads   []tripLoad
	figures []tripFigures // by load
}

// tripFigures are of one load.
type tripFigures struct {
	user, kernel, own samples // processor time in microseconds a trip; own is both
	redis, together   samples // the same of redis-server, and all
	rate, p50, p99    samples // trips a second; microseconds

	userInstructions, kernelInstructions, instructions samples // thousands a trip, of turns of their own; instructions is both
}

func newTrips() *trips {
	loads := tripLoads()
	return &trips{loads, make([]tripFigures, len(loads))}
}

func (t *trips) round(ctx context.Context, b *bench) error {
	for i, l := range t.loads {
		if err := t.figures[i].round(ctx, b, l); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return nil
}

// round starts every program, and measures them in short turns, so that a busy moment of the machine meets all of them. Then
// each has a turn in which its instructions are counted: that inflates processor time.
func (f *tripFigures) round(ctx context.Context, b *bench, l tripLoad) error {
	rigs := make(map[string]*rig)
	defer stopAll(rigs)
	if err := b.ready(ctx, rigs, l.compares, l); err != nil {
		return err
	}
	started := func(p program) bool { return rigs[p.name] != nil }
	for range turns {
		err := b.each(ctx, started, func(p program) error {
			return f.measure(ctx, rigs[p.name], l.on(rigs[p.name], b.during/turns))
		})
		if err != nil {
			return err
		}
	}
	return b.each(ctx, started, func(p program) error { return f.count(ctx, b, rigs[p.name], l) })
}

// turns is how many parts a measurement has between which the other programs are measured.
const turns = 3

// ready starts programs, each with an engine of its own, and warms them up. Those started are in rigs, whatever the error.
func (b *bench) ready(ctx context.Context, rigs map[string]*rig, want func(program) bool, l tripLoad) error {
	return b.each(ctx, want, func(p program) error {
		r, err := b.start(ctx, p, setting{delay: l.delay})
		if err != nil {
			return err
		}
		rigs[p.name] = r
		return r.warm(ctx, l.on(r, b.warm))
	})
}

func stopAll(rigs map[string]*rig) {
	for _, r := range rigs {
		r.stop()
	}
}

// measure takes the figures of one turn.
func (f *tripFigures) measure(ctx context.Context, r *rig, l load) error {
	res, cpu, err := r.take(ctx, l)
	if err != nil {
		return err
	}
	p := r.program
	a := func(d time.Duration) float64 { return micros(d) / float64(res.good()) }
	f.user.add(p.name, a(cpu.user))
	f.kernel.add(p.name, a(cpu.kernel))
	f.own.add(p.name, a(cpu.user+cpu.kernel))
	f.redis.add(p.name, a(cpu.redis))
	f.together.add(p.name, a(cpu.user+cpu.kernel+cpu.redis))
	f.rate.add(p.name, res.rate())
	f.p50.add(p.name, micros(res.percentile(50)))
	f.p99.add(p.name, micros(res.percentile(99)))
	return nil
}

// count takes the instructions of one turn, unless perf was found wanting.
func (f *tripFigures) count(ctx context.Context, b *bench, r *rig, tl tripLoad) error {
	if b.noPerf != nil {
		return nil
	}
	l := tl.on(r, 0)
	l.trips, l.limit = b.counted, time.Minute
	n, err := count(ctx, b.dir, r.pids(), func() error {
		_, _, err := r.take(ctx, l)
		return err
	})
	if errors.Is(err, errNoPerf) {
		fmt.Fprintf(b.out, "instructions are not counted: %v\n", err)
		b.noPerf = err
		return nil
	}
	if err != nil {
		return err
	}
	a := func(n float64) float64 { return n / 1000 / float64(l.trips) }
	f.userInstructions.add(r.program.name, a(n.user))
	f.kernelInstructions.add(r.program.name, a(n.kernel))
	f.instructions.add(r.program.name, a(n.user+n.kernel))
	return nil
}

// micros is d in microseconds.
func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func (t *trips) sections(b *bench) (all []section) {
	for i, l := range t.loads {
		f := &t.figures[i]
		s := section{
			title: "CPU of a trip: " + l.name,
			head: []string{
				"", "CPU, us/trip", "user", "kernel", "Redis", "together", "x floor", "trips/s", "p50, ms", "p99, ms",
			},
			goals: f.goals(l),
		}
		counted := len(f.instructions) > 0
		if counted {
			s.head = append(s.head, "instructions, thousands: user", "kernel", "x floor")
		}
		if i == 0 {
			s.text = tripsText + b.instructionsText(counted)
		}
		for _, p := range b.among(f.own) {
			row := f.row(p, l.floor())
			if counted {
				row = append(row, figure(f.userInstructions.median(p.name), 1), figure(f.kernelInstructions.median(p.name), 1),
					spread(f.instructions.against(p.name, l.floor()), 2))
			}
			s.rows = append(s.rows, row)
		}
		all = append(all, s)
	}
	return all
}

// row words a program's figures but for its instructions.
func (f *tripFigures) row(p program, floor string) []string {
	redis := "-"
	if p.redis {
		redis = figure(f.redis.median(p.name), 1)
	}
	return []string{
		p.title, figure(f.own.median(p.name), 1), figure(f.user.median(p.name), 1), figure(f.kernel.median(p.name), 1), redis,
		figure(f.together.median(p.name), 1), spread(f.together.against(p.name, floor), 2), figure(f.rate.median(p.name), 0),
		figure(f.p50.median(p.name)/1000, 2), figure(f.p99.median(p.name)/1000, 2),
	}
}

// instructionsText says how instructions were counted, or that they were not.
func (b *bench) instructionsText(counted bool) (text string) {
	if counted {
		text = " *Instructions* are thousands a trip that `perf stat` counts of the program's processes, without redis-server, over " +
			figure(float64(b.counted), 0) + " trips in a turn of their own, as counting inflates processor time. On a busy or virtual machine they vary far less than that. " +
			"Their *x floor* compares user and kernel together with the floor's of the same round."
	}
	if b.noPerf != nil {
		text += " `perf` was not to be had, or not all the time, so that instructions are missing."
	}
	return text
}

const tripsText = "Processor time of the program's processes (`utime + stime` of `/proc/PID/stat`) in microseconds a trip, and that of redis-server beside it. " +
	"*x floor* compares both together with the floor's of the same turn. Trips a second and latency are what is left when the load, the engine, " +
	"Redis and the program share the processors: they say how these fit together, and not what the program could do alone."

// goals are those of a load.
func (f *tripFigures) goals(l tripLoad) []goal {
	switch {
	case l.keyed:
		return []goal{{"CPU of a trip in memory, " + l.name, 1.6, median(f.together.against("memory", "floor")), " x floor", 2}}
	case l.tls:
		return []goal{{"CPU of a trip in memory, " + l.name, 1.25, median(f.together.against("tls", "floortls")), " x floor with TLS", 2}}
	}
	most := 1.14
	if l.delay > 0 {
		most = 1
	}
	return []goal{
		{"CPU of a held trip through a route before an http engine, " + l.name, 1.2, median(f.own.against("route", "memory")), " x Corezoid's", 2},
		{"CPU of a trip in memory, " + l.name, most, median(f.together.against("memory", "floor")), " x floor", 2},
		{"CPU of a trip beside waiters of other processes, " + l.name, 1.05, median(f.own.against("waiters", "memory")), " x without", 2},
		{"CPU of a trip whose request and callback come in two segments each, " + l.name, 1.05, median(f.together.against("split", "memory")), " x in one", 2},
		{"CPU of both gateways, callback at the other node, " + l.name, 1.5, median(f.own.against("remote", "two")), " x callback at home", 2},
		{"redis-server's CPU, callback at the other node, " + l.name, 12, f.redis.median("remote"), " us/trip", 1},
	}
}

// among gives the programs that there are figures of, in their order.
func (b *bench) among(s samples) (some []program) {
	for _, p := range programs() {
		if len(s[p.name]) > 0 {
			some = append(some, p)
		}
	}
	return some
}
