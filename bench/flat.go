package main

import (
	"context"
	"errors"
	"time"
)

// flat is the scene of what a trip costs while others wait.
type flat struct {
	beside, alone map[int]samples // CPU in microseconds a trip, by the number of others, and in the same turns without any
}

func (f *flat) round(ctx context.Context, b *bench) error {
	if f.beside == nil {
		f.beside, f.alone = make(map[int]samples), make(map[int]samples)
	}
	return b.each(ctx, func(p program) bool { return p.name == "floor" || p.name == "memory" }, func(p program) error {
		return f.measure(ctx, b, p)
	})
}

// measure makes the same trips at two processes in turn, one of which has more and more clients whose callbacks never come.
func (f *flat) measure(ctx context.Context, b *bench, p program) error {
	const connections, delay = 256, 20 * time.Millisecond
	var rigs [2]*rig // alone, beside
	for i := range rigs {
		r, err := b.start(ctx, p, setting{delay: delay, inside: true})
		if err != nil {
			return err
		}
		defer r.stop()
		if err := r.warm(ctx, r.load(connections, b.warm)); err != nil {
			return err
		}
		rigs[i] = r
	}
	c := gather(rigs[1], 0)
	defer c.leave(true)
	for _, n := range b.others {
		if n > b.room(p) {
			break
		}
		if err := c.grow(ctx, n); err != nil {
			return err
		}
		pause(ctx, b.settle)
		for range turns {
			err := errors.Join(
				note(ctx, f.alone, n, rigs[0], rigs[0].load(connections, b.during/turns)),
				note(ctx, f.beside, n, rigs[1], rigs[1].load(connections, b.during/turns)),
			)
			if err != nil {
				return err
			}
		}
		c.beside()
	}
	return nil
}

// note takes the load's CPU a trip beside n others.
func note(ctx context.Context, into map[int]samples, n int, r *rig, l load) error {
	res, cpu, err := r.take(ctx, l)
	if err != nil {
		return err
	}
	s := into[n]
	s.add(r.program.name, micros(cpu.user+cpu.kernel)/float64(res.good()))
	into[n] = s
	return nil
}

func (f *flat) sections(b *bench) []section {
	most := b.others[len(b.others)-1]
	s := section{
		title: "CPU of a trip while others wait",
		text:  "Trips that are parked for 20 ms, over 256 connections, beside clients that wait for a callback that does not come. Microseconds a trip; the last column compares the one before it with another process of the same program, measured in the same turns, that nobody waits at.",
		head:  []string{""},
		goals: []goal{{"CPU of a trip beside " + figure(float64(most), 0) + " parked", 1.1, median(f.growth("memory", most)), " x alone", 2}},
	}
	for _, n := range b.others {
		s.head = append(s.head, figure(float64(n), 0)+" parked")
	}
	s.head = append(s.head, "x alone")
	c := chart{file: "cpu.svg", title: "CPU of a trip while others wait", x: "clients parked", y: "CPU, microseconds a trip"}
	for _, p := range b.among(f.beside[0]) {
		row, l := []string{p.title}, line{name: p.title}
		for _, n := range b.others {
			row = append(row, spread(f.beside[n][p.name], 1))
			if len(f.beside[n][p.name]) > 0 {
				l.points = append(l.points, point{float64(n), f.beside[n].median(p.name)})
			}
		}
		s.rows = append(s.rows, append(row, spread(f.growth(p.name, most), 2)))
		c.lines = append(c.lines, l)
	}
	s.charts = []chart{c}
	return []section{s}
}

// growth is what a trip costs beside n others against alone, turn by turn.
func (f *flat) growth(program string, n int) []float64 {
	return samples{"beside": f.beside[n][program], "alone": f.alone[n][program]}.against("beside", "alone")
}
