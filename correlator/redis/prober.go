package redis

import (
	"context"
	"sync/atomic"
	"time"

	"syncgate/correlator"
)

const (
	// probeInterval is between two probes.
	probeInterval = time.Second
	// missesAllowed is how many probes in a row may be lost before the subscription is taken for deaf.
	missesAllowed = 1
)

// prober sends probes over the node's channel and has a deaf subscription replaced.
type prober struct {
	store  *store
	node   correlator.NodeID
	link   *link
	missed func() // a probe did not come back
	kicks  chan struct{}
	due    atomic.Bool // a trial: there is a new subscription, perhaps to another server
}

func newProber(s *store, node correlator.NodeID, l *link, missed func()) *prober {
	return &prober{store: s, node: node, link: l, missed: missed, kicks: make(chan struct{}, 1)}
}

// begin has all that a trip needs tried, and the next probe sent, now.
func (p *prober) begin() {
	p.due.Store(true)
	kick(p.kicks)
}

// run probes until ctx ends.
func (p *prober) run(ctx context.Context) {
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-p.kicks:
			ticker.Reset(probeInterval) // the next one needs its time to come back
		}
		p.probe(ctx)
	}
}

func (p *prober) probe(ctx context.Context) {
	number, misses := p.link.next()
	if misses > 0 {
		p.missed()
	}
	if misses > missesAllowed {
		p.link.cut()
	}
	if err := p.try(ctx, number); err != nil {
		p.link.unsent(err)
		return
	}
	p.link.published()
}

// try sends a probe, and tries what a trip needs if that has not been done yet.
func (p *prober) try(ctx context.Context, number uint64) error {
	if err := p.store.probe(ctx, p.node, number); err != nil {
		return err
	}
	if !p.due.Swap(false) {
		return nil
	}
	if err := p.store.trial(ctx, p.node); err != nil {
		p.due.Store(true)
		return unready(stepTrial, err)
	}
	return nil
}

// kick wakes who reads c, which has room for one.
func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
