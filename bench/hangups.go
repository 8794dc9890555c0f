package main

import (
	"context"
	"fmt"
	"time"
)

// hangups is the scene of parked clients that go away all at once.
type hangups struct {
	first, last   samples // milliseconds until the gateway knew of all, from the first one's leaving and from the last one's
	before, after samples // resident bytes, more than without clients
	heap          samples // live bytes afterwards, more than without clients
}

// leaving is a way to do so.
type leaving struct {
	name  string
	reset bool
}

func leavings() []leaving { return []leaving{{"FIN", false}, {"RST", true}} }

func (h *hangups) round(ctx context.Context, b *bench) error {
	return b.each(ctx, func(p program) bool { return p.name == "memory" }, func(p program) error {
		for _, way := range leavings() {
			if err := h.measure(ctx, b, p, way.name, way.reset); err != nil {
				return fmt.Errorf("%s: %w", way.name, err)
			}
		}
		return nil
	})
}

// parkedGauge is the gateway's metric of the clients that wait.
const parkedGauge = "syncgate_parked_clients"

func (h *hangups) measure(ctx context.Context, b *bench, p program, name string, reset bool) error {
	f, err := b.found(ctx, p)
	if err != nil {
		return err
	}
	defer f.stop()
	c := gather(f.rig, 0)
	defer c.leave(true)
	n := min(b.few, b.room(p))
	if err := c.grow(ctx, n); err != nil {
		return err
	}
	pause(ctx, max(b.settle, time.Second)) // until all are parked
	if got, err := f.gauge(ctx); err != nil || int(got) != n {
		return fmt.Errorf("%v clients of %d are parked: %w", got, n, err)
	}
	before, _, _, err := f.read()
	if err != nil {
		return err
	}
	began := time.Now()
	c.leave(reset)
	left := time.Now()
	if err := f.forgotten(ctx); err != nil {
		return err
	}
	known := time.Now()
	pause(ctx, b.settle)
	after, _, _, err := f.read()
	if err != nil {
		return err
	}
	heap, err := f.rig.heap(ctx)
	if err != nil {
		return err
	}
	h.first.add(name, micros(known.Sub(began))/1000)
	h.last.add(name, micros(known.Sub(left))/1000)
	h.before.add(name, float64(before-f.resident))
	h.after.add(name, float64(after-f.resident))
	h.heap.add(name, float64(heap-f.heap))
	return nil
}

// gauge is how many clients the gateway knows to wait.
func (f *footing) gauge(ctx context.Context) (float64, error) {
	text, err := read(ctx, "http://"+f.at[0].admin+"/metrics")
	if err != nil {
		return 0, err
	}
	return parseGauge(text, parkedGauge)
}

// forgotten waits until the gateway knows of no client that waits.
func (f *footing) forgotten(ctx context.Context) error {
	limit := time.Now().Add(crowdTime)
	for {
		n, err := f.gauge(ctx)
		if err != nil || n == 0 {
			return err
		}
		if time.Now().After(limit) || !pause(ctx, 2*time.Millisecond) {
			return fmt.Errorf("%v clients are still parked", n)
		}
	}
}

func (h *hangups) sections(b *bench) []section {
	const mib = 1 << 20
	n := figure(float64(b.few), 0)
	s := section{
		title: "Clients that hang up",
		text: n + " parked clients close their connections one right after the other. *From the first* is from the first close until the gateway's gauge of parked clients says 0, and " +
			"so the most that it took to notice any of them; *from the last* is what of it came after the last close. Memory is more than before the clients came, in MiB; " +
			"Go's runtime gives freed memory back to the system slowly, the live heap shows what is really held.",
		head: []string{"", "from the first, ms", "from the last, ms", "resident before", "resident after", "live heap after"},
	}
	for _, way := range leavings() {
		if len(h.first[way.name]) == 0 {
			continue
		}
		s.rows = append(s.rows, []string{
			way.name, spread(h.first[way.name], 0), spread(h.last[way.name], 0),
			figure(h.before.median(way.name)/mib, 1), figure(h.after.median(way.name)/mib, 1), figure(h.heap.median(way.name)/mib, 1),
		})
		s.goals = append(s.goals, goal{"all of " + n + " hang-ups known (" + way.name + ")", 1000, h.first.median(way.name), " ms", 0})
	}
	return []section{s}
}
