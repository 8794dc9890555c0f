package main

import (
	"context"
)

// latency is the scene of what a program adds to the time that a client waits, at a load that leaves the machine room.
type latency struct {
	rate, p50, p99 samples // trips a second; microseconds
}

const (
	latencyConnections = 32
	latencyLoad        = 0.3       // of what the gateway can do on this machine
	latencyTurns       = 4 * turns // the slowest hundredth of a short turn is what happened on the machine just then
)

// round starts floor and gateway, finds what the gateway can do, and offers both a part of that.
func (l *latency) round(ctx context.Context, b *bench) error {
	rigs := make(map[string]*rig)
	defer stopAll(rigs)
	compared := func(p program) bool { return p.name == "floor" || p.name == "memory" }
	if err := b.ready(ctx, rigs, compared, tripLoad{connections: latencyConnections}); err != nil || rigs["memory"] == nil {
		return err
	}
	most, _, err := rigs["memory"].take(ctx, rigs["memory"].load(latencyConnections, b.during/2))
	if err != nil {
		return err
	}
	for range latencyTurns {
		err := b.each(ctx, compared, func(p program) error {
			load := rigs[p.name].load(latencyConnections, b.during/2)
			load.rate = latencyLoad * most.rate()
			res, _, err := rigs[p.name].take(ctx, load)
			if err != nil {
				return err
			}
			l.rate.add(p.name, res.rate())
			l.p50.add(p.name, micros(res.percentile(50)))
			l.p99.add(p.name, micros(res.percentile(99)))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *latency) sections(b *bench) []section {
	s := section{
		title: "Latency at 30 % load",
		text: "As many trips a second for both programs as are 30 % of what the gateway did at its fastest in the round, without delay in the engine. " +
			"A trip that begins late because the one before took too long counts from when it should have begun. Microseconds.",
		head: []string{"", "trips/s", "p50", "x floor", "p99", "x floor"},
		goals: []goal{
			{"p50 at 30 % load", 1.25, median(l.p50.against("memory", "floor")), " x floor", 2},
			{"p99 at 30 % load", 1.25, median(l.p99.against("memory", "floor")), " x floor", 2},
		},
	}
	for _, p := range b.among(l.p50) {
		s.rows = append(s.rows, []string{
			p.title, figure(l.rate.median(p.name), 0),
			spread(l.p50[p.name], 0), spread(l.p50.against(p.name, "floor"), 2),
			spread(l.p99[p.name], 0), spread(l.p99.against(p.name, "floor"), 2),
		})
	}
	return []section{s}
}
