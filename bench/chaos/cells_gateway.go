package main

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// to has the engine call back one gateway, 1 or 2, after so many milliseconds at least and at most.
func to(node, least, most int) func(w *world) string {
	return func(w *world) string {
		return fmt.Sprintf(`"to":%q,"delay_ms":[%d,%d]`, w.nodes[node-1].addr, least, most)
	}
}

// slow has tasks take so long that many are parked when the fault comes; callbacks go where the balancer sends them.
func slow(least, most int) func(w *world) string {
	return func(*world) string { return fmt.Sprintf(`"delay_ms":[%d,%d]`, least, most) }
}

func gatewayCells() []cell { return slices.Concat(killCells(), routeCells(), stopCells()) }

func killCells() []cell {
	return []cell{
		{
			component: "gateway", fault: "kill -9 right after a callback was acknowledged", short: true,
			what:   "The node where the clients wait is frozen while the engine hears 200 at the other node, and then killed. Clients with a key ask the other node.",
			load:   traffic{home: 1, sim: to(2, 50, 400)},
			strike: killAcknowledged, bites: some(recovered),
		},
		{
			component: "gateway", fault: "kill -9 while clients wait",
			what:   "The node is killed while the engine still works. Clients with a key ask the other node, which hears the callbacks that are to come.",
			load:   traffic{home: 1, sim: to(2, 1500, 2500)},
			strike: func(_ context.Context, w *world) error { w.nodes[0].die(); return nil }, bites: some(recovered),
		},
		{
			component: "gateway", fault: "kill -9 of both nodes and restart",
			what:   "Both are killed while clients wait, and started again. Clients with a key ask again; callbacks come to the new processes.",
			load:   traffic{sim: slow(1000, 2000)},
			setup:  setup{balanced: true},
			strike: killBoth, bites: some(recovered),
		},
		{
			component: "gateway", fault: "frozen for 5 s",
			what:   "The node where the clients wait is stopped (SIGSTOP) for five seconds; callbacks come to the other node.",
			load:   traffic{home: 1, sim: to(2, 50, 400), timeout: 15 * time.Second},
			strike: freeze, bites: all(answered),
		},
	}
}

func stopCells() []cell {
	return []cell{
		{
			component: "gateway", fault: "SIGTERM under load behind haproxy", short: true,
			what:   "One of two nodes is to end. The clients that wait there are answered, new ones are served by the other node.",
			setup:  setup{balanced: true},
			load:   traffic{sim: slow(100, 1500)},
			strike: func(ctx context.Context, w *world) error { return w.nodes[0].retire(ctx) }, bites: all(answered),
		},
		{
			component: "gateway", fault: "rolling restart behind haproxy",
			what:   "Both nodes are replaced, one after the other.",
			setup:  setup{balanced: true},
			load:   traffic{sim: slow(50, 800)},
			strike: roll, bites: all(answered),
		},
		{
			component: "gateway", fault: "SIGTERM with clients that outwait drain.timeout",
			what:   "A client that still waits at drain.timeout gets 503 with Location, and finds its result at the other node.",
			setup:  setup{env: []string{"SYNCGATE_DRAIN_DELAY=0s", "SYNCGATE_DRAIN_TIMEOUT=500ms"}},
			load:   traffic{home: 1, sim: to(2, 2500, 3500)},
			strike: func(ctx context.Context, w *world) error { return w.nodes[0].retire(ctx) }, bites: both(some(recovered), all(answered, recovered)),
		},
		{
			component: "gateway", fault: "SIGTERM with one node and no Redis",
			what:   "The correlator is in memory. Clients that wait are answered, new ones are refused.",
			setup:  setup{kind: none},
			load:   traffic{sim: slow(100, 1500), keys: -1},
			strike: func(ctx context.Context, w *world) error { return w.nodes[0].retire(ctx) }, bites: both(some(answered), all(answered, refused, cut)),
		},
		{
			component: "gateway", fault: "more clients than limits.parked",
			what:   "Each node takes ten clients at once. The others get 503 before anything is forwarded; callbacks are served as ever.",
			setup:  setup{env: []string{"SYNCGATE_LIMITS_PARKED=10"}},
			load:   traffic{clients: 60, keys: 20},
			strike: wait(2 * time.Second), bites: both(some(refused), all(answered, recovered, refused)),
		},
	}
}

// wait is no fault but time.
func wait(d time.Duration) func(context.Context, *world) error {
	return func(ctx context.Context, _ *world) error { pause(ctx, d); return nil }
}

func killAcknowledged(ctx context.Context, w *world) error {
	home := w.nodes[0]
	if err := home.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	before := w.engine.Stats().Heard[200]
	err := until(ctx, "callbacks are acknowledged while the home is frozen", func() bool { return w.engine.Stats().Heard[200] >= before+5 })
	home.die()
	return err
}

func killBoth(ctx context.Context, w *world) error {
	for _, n := range w.nodes {
		n.die()
	}
	for _, n := range w.nodes {
		if err := n.start(w.ctx); err != nil {
			return err
		}
	}
	return w.ready(ctx)
}

func freeze(ctx context.Context, w *world) error {
	if err := w.nodes[0].signal(syscall.SIGSTOP); err != nil {
		return err
	}
	pause(ctx, 5*time.Second)
	return w.nodes[0].signal(syscall.SIGCONT)
}

// retire ends a gateway as an operator does, and wants it to end well.
func (n *node) retire(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := n.signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := n.ends(ctx)
	n.is(true)
	return err
}

func roll(ctx context.Context, w *world) error {
	for _, n := range w.nodes {
		if err := n.retire(ctx); err != nil {
			return err
		}
		if err := n.start(w.ctx); err != nil {
			return err
		}
		if err := w.ready(ctx); err != nil {
			return err
		}
		pause(ctx, 300*time.Millisecond) // haproxy looks every 100 ms
	}
	return nil
}
