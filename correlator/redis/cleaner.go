package redis

import (
	"context"
	"sync"
	"time"

	"syncgate/correlator"
)

const (
	// cleanPause lets what is to be cleaned come together: nobody waits for it.
	cleanPause = 20 * time.Millisecond
	// cleanRetry is between two attempts while Redis is away.
	cleanRetry = time.Second
	// cleanBatch is how many entries, and how many trips, go into one command.
	cleanBatch = 256
	// cleanQueue is how many entries, and how many trips, wait at most. What is beyond is left to the inbox's next
	// reading and to its expiry.
	cleanQueue = 1 << 16
)

// cleaner removes what the node has settled from Redis, in batches.
type cleaner struct {
	store *store
	node  correlator.NodeID
	kicks chan struct{}

	mu      sync.Mutex // guards the rest
	entries map[string]struct{}
	trips   map[correlator.ID]int64 // for how long to be marked as forgotten, ms; 0: not
	leaving map[string]struct{}     // entries of the batch that is being removed
}

func newCleaner(s *store, node correlator.NodeID) *cleaner {
	return &cleaner{
		store: s, node: node, kicks: make(chan struct{}, 1),
		entries: make(map[string]struct{}), trips: make(map[correlator.ID]int64),
	}
}

// heard has an entry removed from the inbox.
func (c *cleaner) heard(entry string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) < cleanQueue {
		c.entries[entry] = struct{}{}
		kick(c.kicks)
	}
}

// knows reports whether an entry is waiting to be removed or being removed.
func (c *cleaner) knows(entry string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, waits := c.entries[entry]
	_, leaves := c.leaving[entry]
	return waits || leaves
}

// drop has what is stored of a trip removed, unless it is a record.
func (c *cleaner) drop(id correlator.ID) { c.queue(id, 0) }

// forget has it removed as drop does, and the trip marked as forgotten until its id expires.
func (c *cleaner) forget(id correlator.ID) { c.queue(id, life(id)) }

func (c *cleaner) queue(id correlator.ID, forgotten int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, queued := c.trips[id]; queued || len(c.trips) < cleanQueue {
		c.trips[id] = max(known, forgotten)
		kick(c.kicks)
	}
}

// run cleans until ctx ends.
func (c *cleaner) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.kicks:
		}
		pause := cleanPause
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			if c.flush(ctx) == nil {
				break
			}
			pause = cleanRetry
		}
	}
}

// flush removes all that waits. What could not be removed waits on.
func (c *cleaner) flush(ctx context.Context) error {
	for {
		entries, trips := c.batch()
		if len(entries)+len(trips) == 0 {
			return nil
		}
		err := c.store.settle(ctx, c.node, entries, trips)
		c.done(entries, trips, err)
		if err != nil {
			return err
		}
	}
}

// batch takes a part of what waits.
func (c *cleaner) batch() (entries []string, trips map[correlator.ID]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = make(map[string]struct{}, min(len(c.entries), cleanBatch))
	for e := range c.entries {
		if len(entries) == cleanBatch {
			break
		}
		entries = append(entries, e)
		c.leaving[e] = struct{}{}
		delete(c.entries, e)
	}
	trips = make(map[correlator.ID]int64, min(len(c.trips), cleanBatch))
	for id, forgotten := range c.trips {
		if len(trips) == cleanBatch {
			break
		}
		trips[id] = forgotten
		delete(c.trips, id)
	}
	return entries, trips
}

// done ends a batch. What was not removed waits again.
func (c *cleaner) done(entries []string, trips map[correlator.ID]int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.leaving)
	if err == nil {
		return
	}
	for _, e := range entries {
		c.entries[e] = struct{}{}
	}
	for id, forgotten := range trips {
		c.trips[id] = max(c.trips[id], forgotten)
	}
}
