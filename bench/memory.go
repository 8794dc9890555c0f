package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"time"
)

// memory is the scene of what a client costs that waits, or has waited.
type memory struct {
	// Bytes a client, by program; the first three by number of clients too.
	resident, redis, kernel map[int]samples
	heap, idle              samples
	most                    map[string]int // clients that were parked, by program
}

func (m *memory) round(ctx context.Context, b *bench) error {
	if m.resident == nil {
		m.resident, m.redis, m.kernel, m.most = make(map[int]samples), make(map[int]samples), make(map[int]samples), make(map[string]int)
	}
	return b.each(ctx, func(p program) bool { return p.parks }, func(p program) error {
		if err := m.waiting(ctx, b, p); err != nil {
			return fmt.Errorf("parked clients: %w", err)
		}
		if err := m.waited(ctx, b, p); err != nil {
			return fmt.Errorf("idle clients: %w", err)
		}
		return nil
	})
}

// footing is a rig and what it takes before there is a client.
type footing struct {
	*rig
	resident, redis, heap, slab int64
}

// found starts p with an engine inside, lets it serve a few trips, and reads its memory.
func (b *bench) found(ctx context.Context, p program) (f *footing, err error) {
	r, err := b.start(ctx, p, setting{inside: true})
	if err != nil {
		return nil, err
	}
	f = &footing{rig: r}
	defer func() {
		if err != nil {
			r.stop()
		}
	}()
	l := r.load(burst, 0)
	l.trips = 10 * burst
	if err := r.warm(ctx, l); err != nil {
		return nil, err
	}
	pause(ctx, b.settle)
	if p.profiled {
		if f.heap, err = r.heap(ctx); err != nil {
			return nil, err
		}
	}
	f.resident, f.redis, f.slab, err = f.settled(ctx, b)
	return f, err
}

// settled reads once the node's resident memory has come to rest, or after the bench's patience: the gateway gives memory
// back to the system in the seconds after a burst.
func (f *footing) settled(ctx context.Context, b *bench) (node, redis, slab int64, err error) {
	pause(ctx, b.settle)
	if err := rests(ctx, f.nodes[0].resident, b.calm, b.patience-b.settle); err != nil {
		return 0, 0, 0, err
	}
	return f.read()
}

// steady is the part of a size in bytes by which it may differ and yet count as the same.
const steady = 0.02

// rests waits until what size reads in bytes has been steady for calm, or patience has passed.
func rests(ctx context.Context, size func() (int64, error), calm, patience time.Duration) error {
	began := time.Now()
	since, was := began, int64(0)
	for {
		is, err := size()
		if err != nil {
			return err
		}
		now := time.Now()
		if math.Abs(float64(is-was)) > steady*float64(was) {
			since, was = now, is
		}
		if now.Sub(since) >= calm || now.Sub(began) >= patience {
			return nil
		}
		if !pause(ctx, calm/20) {
			return ctx.Err()
		}
	}
}

// read gives resident bytes of the node and of Redis, and those of the kernel's own objects on the whole machine.
func (f *footing) read() (node, redis, slab int64, err error) {
	if node, err = f.nodes[0].resident(); err != nil {
		return 0, 0, 0, err
	}
	if f.rig.redis != nil {
		if redis, err = f.rig.redis.resident(); err != nil {
			return 0, 0, 0, err
		}
	}
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, 0, 0, fmt.Errorf("read the kernel's memory: %w", err)
	}
	slab, err = parseKB(string(info), "Slab")
	return node, redis, slab, err
}

// room is how many clients p can park within the limit of open files: the engine and its callbacks need some too.
func (b *bench) room(p program) int {
	const others = 1900
	return (b.files - others) / p.files
}

// waiting parks more and more clients whose callbacks never come.
func (m *memory) waiting(ctx context.Context, b *bench, p program) error {
	f, err := b.found(ctx, p)
	if err != nil {
		return err
	}
	defer f.stop()
	c := gather(f.rig, 0)
	defer c.leave(true)
	for _, n := range b.parked {
		if n > b.room(p) {
			break
		}
		if err := c.grow(ctx, n); err != nil {
			return err
		}
		node, redis, slab, err := f.settled(ctx, b)
		if err != nil {
			return err
		}
		for figures, bytes := range map[*map[int]samples]int64{&m.resident: node - f.resident, &m.redis: redis - f.redis, &m.kernel: (slab - f.slab) / 2} {
			s := (*figures)[n]
			s.add(p.name, float64(bytes)/float64(n))
			(*figures)[n] = s
		}
		m.most[p.name] = n
	}
	if n := len(c.clients); p.profiled && n > 0 {
		heap, err := f.rig.heap(ctx)
		if err != nil {
			return err
		}
		m.heap.add(p.name, float64(heap-f.heap)/float64(n))
	}
	return nil
}

// idleDelay is how long clients wait that are to be idle afterwards: long enough to be parked, as most clients are.
const idleDelay = time.Second

// waited lets as many clients wait as were parked, reads their replies, and leaves their connections open.
func (m *memory) waited(ctx context.Context, b *bench, p program) error {
	n := m.most[p.name]
	if n == 0 {
		return nil // too few files may be open for any row
	}
	f, err := b.found(ctx, p)
	if err != nil {
		return err
	}
	defer f.stop()
	c := gather(f.rig, idleDelay)
	defer c.leave(true)
	if err := c.grow(ctx, n); err != nil {
		return err
	}
	if err := c.collect(); err != nil {
		return err
	}
	node, _, _, err := f.settled(ctx, b)
	if err != nil {
		return err
	}
	m.idle.add(p.name, float64(node-f.resident)/float64(n))
	return nil
}

func (m *memory) sections(b *bench) []section {
	s := section{
		title: "Memory of a parked client",
		text: "Resident memory (`VmRSS`) of the process, less what it had before the first client, divided by the clients, whose callbacks do not come. " +
			"It is read when it " + b.rest() + ": the gateway gives memory back to the system in the seconds after a burst, and what is left is what waiting clients hold. " +
			"*Redis*, *kernel*, *live heap* and *idle* are at the highest number reached: of redis-server, of the kernel for a connection (`Slab` of the whole machine, " +
			"halved, as both ends are here: rough), and of Go's heap after a collection, touched or not. *Idle* is the resident memory, read in the same way after the last reply, of as many clients each of which waited for a second, has its reply and keeps its connection. Bytes.",
		head:   []string{""},
		charts: []chart{m.chart(b)},
		goals: []goal{
			{"resident bytes of a parked client, " + figure(float64(b.last()), 0) + " parked", 1400, m.resident[b.last()].median("memory"), "", 0},
			{"resident bytes of a parked client behind TLS, " + figure(float64(b.last()), 0) + " parked", 12_288, m.resident[b.last()].median("tls"), "", 0},
			{"resident bytes of an idle client after its reply", 4000, m.idle.median("memory"), "", 0},
		},
	}
	for _, n := range b.parked {
		s.head = append(s.head, figure(float64(n), 0)+" parked")
	}
	s.head = append(s.head, "live heap", "Redis", "kernel", "idle")
	for _, p := range b.among(m.idle) {
		row := []string{p.title}
		for _, n := range b.parked {
			row = append(row, spread(m.resident[n][p.name], 0))
		}
		most, redis := m.most[p.name], "-"
		if p.redis {
			redis = figure(m.redis[most].median(p.name), 0)
		}
		s.rows = append(s.rows, append(row, figure(m.heap.median(p.name), 0), redis,
			figure(m.kernel[most].median(p.name), 0), figure(m.idle.median(p.name), 0)))
	}
	return []section{s}
}

// rest words when resident memory is read.
func (b *bench) rest() string {
	return fmt.Sprintf("has not changed by more than %s %% for %s s, or after %s s",
		figure(100*steady, 0), figure(b.calm.Seconds(), 1), figure(b.patience.Seconds(), 0))
}

// last is the highest number of parked clients.
func (b *bench) last() int { return b.parked[len(b.parked)-1] }

func (m *memory) chart(b *bench) chart {
	c := chart{
		file: "memory.svg", title: "Memory of a parked client",
		x: "clients parked", y: "resident bytes a client",
	}
	for _, p := range b.among(m.idle) {
		l := line{name: p.title}
		for _, n := range b.parked {
			if len(m.resident[n][p.name]) > 0 {
				l.points = append(l.points, point{float64(n), m.resident[n].median(p.name)})
			}
		}
		c.lines = append(c.lines, l)
	}
	return c
}
