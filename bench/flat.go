package main

import (
	"context"
	"time"
)

// flat is the scene of what a trip costs while others wait.
type flat struct {
	cpu map[int]samples // microseconds a trip, by the number of others
}

func (f *flat) round(ctx context.Context, b *bench) error {
	if f.cpu == nil {
		f.cpu = make(map[int]samples)
	}
	return b.each(ctx, func(p program) bool { return p.name == "floor" || p.name == "memory" }, func(p program) error {
		return f.measure(ctx, b, p)
	})
}

// measure makes the same trips beside more and more clients whose callbacks never come.
func (f *flat) measure(ctx context.Context, b *bench, p program) error {
	const connections, delay = 256, 20 * time.Millisecond
	r, err := b.start(ctx, p, setting{delay: delay, inside: true})
	if err != nil {
		return err
	}
	defer r.stop()
	if err := r.warm(ctx, r.load(connections, b.warm)); err != nil {
		return err
	}
	c := gather(r, 0)
	defer c.leave(true)
	for _, n := range b.others {
		if n > b.room(p) {
			break
		}
		if err := c.grow(ctx, n); err != nil {
			return err
		}
		pause(ctx, b.settle)
		res, cpu, err := r.take(ctx, r.load(connections, b.during))
		if err != nil {
			return err
		}
		c.beside()
		s := f.cpu[n]
		s.add(p.name, micros(cpu.user+cpu.kernel)/float64(res.good()))
		f.cpu[n] = s
	}
	return nil
}

func (f *flat) sections(b *bench) []section {
	most := b.others[len(b.others)-1]
	s := section{
		title: "CPU of a trip while others wait",
		text:  "Trips that are parked for 20 ms, over 256 connections, beside clients that wait for a callback that does not come. Microseconds a trip; the last column compares the ends of its row in the same round.",
		head:  []string{""},
		goals: []goal{{"CPU of a trip beside " + figure(float64(most), 0) + " parked", 1.1, median(f.growth("memory", most)), " x alone", 2}},
	}
	for _, n := range b.others {
		s.head = append(s.head, figure(float64(n), 0)+" parked")
	}
	s.head = append(s.head, "x alone")
	c := chart{file: "cpu.svg", title: "CPU of a trip while others wait", x: "clients parked", y: "CPU, microseconds a trip"}
	for _, p := range b.among(f.cpu[0]) {
		row, l := []string{p.title}, line{name: p.title}
		for _, n := range b.others {
			row = append(row, spread(f.cpu[n][p.name], 1))
			if len(f.cpu[n][p.name]) > 0 {
				l.points = append(l.points, point{float64(n), f.cpu[n].median(p.name)})
			}
		}
		s.rows = append(s.rows, append(row, spread(f.growth(p.name, most), 2)))
		c.lines = append(c.lines, l)
	}
	s.charts = []chart{c}
	return []section{s}
}

// growth is what a trip costs beside n others against alone, round by round.
func (f *flat) growth(program string, n int) []float64 {
	return samples{"n": f.cpu[n][program], "0": f.cpu[0][program]}.against("n", "0")
}
