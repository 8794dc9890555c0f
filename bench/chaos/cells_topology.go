package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// Redis as several servers: Sentinel and Cluster.

func topologyCells() []cell {
	return []cell{
		{
			component: "Sentinel", fault: "failover: the master is killed",
			what:   "Three sentinels promote the replica under load. What the master had not yet replicated is lost with it; what gateways know to be in flight they store again.",
			setup:  setup{kind: sentinels},
			strike: failover, bites: some(recovered, refused),
		},
		{
			component: "Sentinel", fault: "failover on request",
			what:   "SENTINEL FAILOVER, as for maintenance: the master becomes a replica.",
			setup:  setup{kind: sentinels},
			strike: switchover,
		},
		{
			component: "Cluster", fault: "slot migration", short: true,
			what:   "Of three masters, those that have the gateways' keys hand these slots over to others under load.",
			setup:  setup{kind: masters},
			load:   traffic{sim: other},
			strike: func(ctx context.Context, w *world) error { return w.store.migrate(ctx) }, bites: both(some(answered), all(answered, recovered, refused)),
		},
		{
			component: "Cluster", fault: "a master restarts",
			what:   "One of three masters is killed and started again after a second.",
			setup:  setup{kind: masters},
			load:   traffic{sim: other},
			strike: func(ctx context.Context, w *world) error { return w.restart(ctx, time.Second) },
		},
	}
}

// elected waits until the sentinels name another master.
func (s *store) elected(ctx context.Context, old string) error {
	return until(ctx, "another master is elected", func() bool {
		for _, sentinel := range s.sentinels {
			at, err := sentinel.do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", masterName)
			if err != nil {
				return false
			}
			if host, port, _ := strings.Cut(at, "\n"); net.JoinHostPort(host, port) == old {
				return false
			}
		}
		return true
	})
}

func failover(ctx context.Context, w *world) error {
	master := w.store.servers[0]
	master.kill()
	return w.store.elected(ctx, master.addr)
}

func switchover(ctx context.Context, w *world) error {
	if err := w.store.sentinels[0].want("SENTINEL", "FAILOVER", masterName); err != nil {
		return fmt.Errorf("ask for a failover: %w", err)
	}
	return w.store.elected(ctx, w.store.servers[0].addr)
}
