package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// figures of one program under one load.
type figures struct {
	rate               float64 // trips a second
	p50, p90, p99, max time.Duration
	cpu, user, kernel  float64 // processor time in microseconds a trip; the first is the sum of the others
	resident           float64 // MiB, at the end
}

func (f figures) String() string {
	return fmt.Sprintf("%.0f trips/s, %.1f us CPU a trip, p50 %s, p99 %s", f.rate, f.cpu, short(f.p50), short(f.p99))
}

// medians takes each figure's own.
func medians(rounds []figures) figures {
	return figures{
		rate:     median(rounds, func(f figures) float64 { return f.rate }),
		p50:      median(rounds, func(f figures) time.Duration { return f.p50 }),
		p90:      median(rounds, func(f figures) time.Duration { return f.p90 }),
		p99:      median(rounds, func(f figures) time.Duration { return f.p99 }),
		max:      median(rounds, func(f figures) time.Duration { return f.max }),
		user:     median(rounds, func(f figures) float64 { return f.user }),
		kernel:   median(rounds, func(f figures) float64 { return f.kernel }),
		cpu:      median(rounds, func(f figures) float64 { return f.cpu }),
		resident: median(rounds, func(f figures) float64 { return f.resident }),
	}
}

func median[F any, T cmp.Ordered](list []F, of func(F) T) T {
	values := make([]T, len(list))
	for i, x := range list {
		values[i] = of(x)
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

type cell struct{ target, scene string }

// table is every round's figures.
type table struct {
	targets []target
	scenes  []scene
	figures map[cell][]figures
}

func (t *table) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, s := range t.scenes {
		fmt.Fprintf(w, "\n%s\ttrips/s\tp50\tp90\tp99\tmax\tCPU us/trip\tuser\tkernel\tMiB\tx floor\t(least..most)\t\n", s.name)
		for _, target := range t.targets {
			m := medians(t.figures[cell{target.name, s.name}])
			fmt.Fprintf(w, "%s\t%.0f\t%s\t%s\t%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%s\t\n", target.name, m.rate,
				short(m.p50), short(m.p90), short(m.p99), short(m.max),
				m.cpu, m.user, m.kernel, m.resident, t.ratio(target.name, s.name))
		}
	}
	return w.Flush()
}

// ratio compares a target's CPU a trip with the floor's, round by round, and gives the median and the extremes.
func (t *table) ratio(target, scene string) string {
	ours, floor := t.figures[cell{target, scene}], t.figures[cell{"floor", scene}]
	if len(floor) != len(ours) || len(ours) == 0 {
		return "-\t"
	}
	ratios := make([]float64, len(ours))
	for i := range ours {
		if floor[i].cpu == 0 { // a run shorter than a tick of the clock
			return "-\t"
		}
		ratios[i] = ours[i].cpu / floor[i].cpu
	}
	same := func(r float64) float64 { return r }
	return fmt.Sprintf("%.2f\t(%.2f..%.2f)", median(ratios, same), slices.Min(ratios), slices.Max(ratios))
}
