package redis

import (
	"context"
	"slices"
	"sync"
	"time"

	"syncgate/correlator"
)

const (
	// cleanPause lets what is to be cleaned come together: nobody waits for it.
	cleanPause = 20 * time.Millisecond
	// cleanRetry is between two attempts while Redis is away.
	cleanRetry = time.Second
	// cleanBatch is how many trips go into one command.
	cleanBatch = 256
	// cleanQueue is how many trips wait at most. What is beyond is left to the inbox's next reading and to its expiry.
	cleanQueue = 1 << 16
)

// settled is what may be removed of one trip of the node.
type settled struct {
	heard     []int // ops whose callbacks were heard: nobody has to find them in the inbox
	over      bool  // what is stored goes, unless it is a record
	forgotten int64 // when it goes, for how long the trip is marked as forgotten, ms; 0: not
}

// with adds what another one says.
func (s settled) with(o settled) settled {
	for _, op := range o.heard {
		if !slices.Contains(s.heard, op) {
			s.heard = append(s.heard, op)
		}
	}
	return settled{heard: s.heard, over: s.over || o.over, forgotten: max(s.forgotten, o.forgotten)}
}

// cleaner removes what the node has settled from Redis, in batches.
type cleaner struct {
	store *store
	node  correlator.NodeID
	kicks chan struct{}

	mu      sync.Mutex // guards the rest
	waiting map[correlator.ID]settled
	leaving map[correlator.ID]settled // the batch that is being removed; run reads it without the mutex
}

func newCleaner(s *store, node correlator.NodeID) *cleaner {
	return &cleaner{store: s, node: node, kicks: make(chan struct{}, 1), waiting: make(map[correlator.ID]settled), leaving: make(map[correlator.ID]settled)}
}

// heard has an entry removed from the inbox, and what is stored of its trip when that is over. It has to be one step:
// of a callback that is stored once more in between, the entry alone would be removed.
func (c *cleaner) heard(e entry, over bool) { c.add(e.id, settled{heard: []int{e.op}, over: over}) }

// drop has what is stored of a trip removed, unless it is a record.
func (c *cleaner) drop(id correlator.ID) { c.add(id, settled{over: true}) }

// forget has it removed as drop does, and the trip marked as forgotten until its id expires.
func (c *cleaner) forget(id correlator.ID) { c.add(id, settled{over: true, forgotten: life(id)}) }

func (c *cleaner) add(id correlator.ID, s settled) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, waits := c.waiting[id]; waits || len(c.waiting) < cleanQueue {
		c.waiting[id] = known.with(s)
		kick(c.kicks)
	}
}

// knows reports whether an entry is waiting to be removed or being removed.
func (c *cleaner) knows(e entry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.waiting[e.id].heard, e.op) || slices.Contains(c.leaving[e.id].heard, e.op)
}

// run cleans until ctx ends.
func (c *cleaner) run(ctx context.Context) {
	pause := cleanPause
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.kicks:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		switch n, err := c.remove(ctx); {
		case err != nil:
			pause = cleanRetry
			kick(c.kicks)
		case n == cleanBatch: // there may be more that has waited for as long
			pause = 0
			kick(c.kicks)
		default:
			pause = cleanPause
		}
	}
}

// flush removes all that waits. What could not be removed waits on.
func (c *cleaner) flush(ctx context.Context) error {
	for {
		n, err := c.remove(ctx)
		if err != nil || n == 0 {
			return err
		}
	}
}

// remove removes a batch, and says of how many trips.
func (c *cleaner) remove(ctx context.Context) (n int, err error) {
	batch := c.batch()
	if n = len(batch); n == 0 {
		return 0, nil
	}
	err = c.store.settle(ctx, c.node, batch)
	c.done(err)
	return n, err
}

// batch takes a part of what waits. It is good until done.
func (c *cleaner) batch() map[correlator.ID]settled {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.leaving)
	for id, s := range c.waiting {
		if len(c.leaving) == cleanBatch {
			break
		}
		c.leaving[id] = s
		delete(c.waiting, id)
	}
	return c.leaving
}

// done ends a batch. What was not removed waits again.
func (c *cleaner) done(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		for id, s := range c.leaving {
			c.waiting[id] = c.waiting[id].with(s)
		}
	}
	clear(c.leaving)
}
