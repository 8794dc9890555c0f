package main

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"
)

// Redis as one server, behind a proxy for each gateway. It keeps what it has acknowledged (appendfsync always).

func redisCells() []cell { return slices.Concat(outageCells(), connectionCells(), slowCells()) }

func outageCells() []cell {
	return []cell{
		{
			component: "Redis", fault: "kill -9 and restart after 2 s", short: true,
			what:   "While it is away new requests get 503; callbacks at the node of their client are delivered, others get 503 and are repeated by the engine.",
			strike: func(ctx context.Context, w *world) error { return w.restart(ctx, 2*time.Second) }, bites: both(some(refused, recovered), all(answered, recovered, refused)),
		},
		{
			component: "Redis", fault: "restart at once",
			what:   "Every connection breaks, and the scripts are gone.",
			strike: func(ctx context.Context, w *world) error { return w.restart(ctx, 0) }, bites: all(answered, recovered, refused),
		},
		{
			component: "Redis", fault: "frozen for 5 s",
			what:   "SIGSTOP: its connections stay open, and nothing answers.",
			load:   traffic{timeout: 15 * time.Second},
			strike: pauseRedis, bites: both(some(refused, recovered), all(answered, recovered, refused)),
		},
		{
			component: "Redis", fault: "SCRIPT FLUSH",
			what:   "It forgets the scripts, twenty times.",
			load:   traffic{sim: other},
			strike: repeat(20, 100*time.Millisecond, "SCRIPT", "FLUSH"), bites: all(answered),
		},
		{
			component: "Redis", fault: "full",
			what:   "maxmemory is reached for two seconds, with noeviction: it takes no writes.",
			strike: full, bites: both(some(refused, recovered), all(answered, recovered, refused)),
		},
		{
			component: "Redis", fault: "away at the start",
			what:  "The gateways start without it, refuse, and serve when it comes.",
			setup: setup{absent: true},
			strike: func(ctx context.Context, w *world) error {
				pause(ctx, 2*time.Second)
				return w.store.servers[0].start(w.ctx)
			}, bites: both(some(refused), some(answered)),
		},
		{
			component: "Redis", fault: "away with correlator.when_down local",
			what:   "New requests without a key are taken while it is away, as their callbacks come to the node of their client.",
			setup:  setup{env: []string{"SYNCGATE_CORRELATOR_WHEN_DOWN=local"}},
			load:   traffic{home: 1, sim: to(1, 50, 400), keys: -1},
			strike: func(ctx context.Context, w *world) error { return w.restart(ctx, 2*time.Second) }, bites: all(answered),
		},
	}
}

func connectionCells() []cell {
	return []cell{
		{
			component: "Redis", fault: "CLIENT KILL TYPE pubsub", short: true,
			what:   "The subscriptions are cut five times within two seconds.",
			load:   traffic{sim: other},
			strike: repeat(5, 400*time.Millisecond, "CLIENT", "KILL", "TYPE", "pubsub"), bites: all(answered, recovered, refused),
		},
		{
			component: "Redis", fault: "CLIENT KILL TYPE normal",
			what:   "All other connections are cut, as often.",
			load:   traffic{sim: other},
			strike: repeat(5, 400*time.Millisecond, "CLIENT", "KILL", "TYPE", "normal"), bites: all(answered, recovered, refused),
		},
		{
			component: "Redis", fault: "half-open subscriber", short: true,
			what:   "Both subscriptions stay open, and what Redis says over them gets lost. Every callback goes to the node that does not have its client.",
			load:   traffic{sim: other},
			strike: deafen, bites: all(answered, recovered, refused),
		},
		{
			component: "Redis", fault: "connections are reset",
			what:   "Every 50 ms for two seconds.",
			load:   traffic{sim: other},
			strike: resets, bites: all(answered, recovered, refused),
		},
		{
			component: "Redis", fault: "cut off from one node",
			what: "The way of one node to Redis lets nothing pass for four seconds; the other node works on.",
			strike: func(ctx context.Context, w *world) error {
				w.links[0].Stall()
				pause(ctx, 4*time.Second)
				w.links[0].Flow()
				return nil
			}, bites: both(some(refused, recovered), all(answered, recovered, refused)),
		},
		{
			component: "Redis", fault: "refuses one node",
			what: "Connections of one node are refused for three seconds.",
			strike: func(ctx context.Context, w *world) error {
				w.links[1].Down()
				pause(ctx, 3*time.Second)
				return w.links[1].Up()
			}, bites: both(some(refused, recovered), all(answered, recovered, refused)),
		},
	}
}

func slowCells() []cell {
	return []cell{
		{
			component: "Redis", fault: "slow but within the time-out",
			what:   "100 ms each way for two seconds.",
			strike: slowly(100 * time.Millisecond), bites: all(answered, recovered, refused),
		},
		{
			component: "Redis", fault: "slower than the time-out",
			what:   "600 ms each way for two seconds, where a command may take 500 ms: commands happen whose callers have given up.",
			strike: slowly(600 * time.Millisecond), bites: both(some(refused, recovered), all(answered, recovered, refused)),
		},
	}
}

// other has every task's callback go to one gateway after the other, without regard to its client.
func other(w *world) string { return `"delay_ms":[50,400],"to":"` + w.anywhere() + `"` }

// restart kills Redis and starts it again.
func (w *world) restart(ctx context.Context, away time.Duration) error {
	w.store.servers[0].kill()
	pause(ctx, away)
	return w.store.servers[0].start(w.ctx)
}

func pauseRedis(ctx context.Context, w *world) error {
	if err := w.store.servers[0].signal(syscall.SIGSTOP); err != nil {
		return err
	}
	pause(ctx, 5*time.Second)
	return w.store.servers[0].signal(syscall.SIGCONT)
}

// repeat sends a command again and again.
func repeat(times int, every time.Duration, command ...string) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error {
		for range times {
			if _, err := w.store.servers[0].do(command...); err != nil {
				return err
			}
			pause(ctx, every)
		}
		return nil
	}
}

func deafen(_ context.Context, w *world) error {
	for _, l := range w.links {
		if l.Deafen() != 1 {
			return errors.New("a gateway has not one subscription")
		}
	}
	return nil
}

// slowly delays what passes between gateways and Redis.
func slowly(d time.Duration) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error {
		for _, l := range w.links {
			l.Slow(d)
			defer l.Slow(0)
		}
		pause(ctx, 2*time.Second)
		return nil
	}
}

func resets(ctx context.Context, w *world) error {
	for range 40 {
		for _, l := range w.links {
			l.Cut()
		}
		pause(ctx, 50*time.Millisecond)
	}
	return nil
}

func full(ctx context.Context, w *world) error {
	s := w.store.servers[0]
	if err := s.want("CONFIG", "SET", "maxmemory-policy", "noeviction"); err != nil {
		return err
	}
	if err := s.want("CONFIG", "SET", "maxmemory", "1"); err != nil {
		return err
	}
	pause(ctx, 2*time.Second)
	return s.want("CONFIG", "SET", "maxmemory", "0")
}
