package redis

import (
	"context"
	"strconv"
	"time"

	"syncgate/correlator"
)

const (
	// collectInterval is between two readings of the inbox that nothing has asked for.
	collectInterval = time.Second
	// fetchHints is how many announced callbacks wait to be fetched. More are left to the next reading of the inbox.
	fetchHints = 1024
	// fetchCount and fetchBytes are how much is fetched at once: at least one callback.
	fetchCount = 128
	fetchBytes = 1 << 20
)

// collector fetches stored callbacks that did not come over the channel: those too large for it, and those missed.
type collector struct {
	store        *store
	node         correlator.NodeID
	accept       func(entry, correlator.Callback) // one that waits in the inbox
	acceptStored func(entry, correlator.Callback) // one that is stored in the hash of its trip
	missing      func(entry)                      // there is an entry and no value
	known        func(entry) bool                 // the entry will be removed
	hints        chan entry
	kicks        chan struct{}
}

// kick has the inbox read now.
func (c *collector) kick() { kick(c.kicks) }

// fetch has one callback fetched. It does not block.
func (c *collector) fetch(e entry) {
	select {
	case c.hints <- e:
	default:
		c.kick()
	}
}

// run fetches until ctx ends. What goes wrong is tried again with the next reading of the inbox.
func (c *collector) run(ctx context.Context) {
	ticker := time.NewTicker(collectInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-c.hints:
			_ = c.deliver(ctx, []entry{e})
		case <-c.kicks:
			_ = c.readInbox(ctx)
		case <-ticker.C:
			_ = c.readInbox(ctx)
		}
	}
}

// readInbox hands over everything that the node has not heard yet.
func (c *collector) readInbox(ctx context.Context) error {
	for cursor := uint64(0); ; {
		waiting, next, err := c.store.unread(ctx, c.node, cursor)
		if err != nil {
			return err
		}
		if err := c.collect(ctx, waiting); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// collect hands over what waits in the inbox, and fetches the others by their sizes, some at a time.
func (c *collector) collect(ctx context.Context, waiting map[string]string) error {
	var batch []entry
	bytes := 0
	for text, is := range waiting {
		e, err := parseEntry(c.node, text)
		if err != nil || c.known(e) { // nobody's, or heard already
			continue
		}
		if cb, rest, err := parseFrame(e.op, is); err == nil && rest == "" {
			c.accept(e, cb)
			continue
		}
		size, _ := strconv.Atoi(is) // one that is none counts as 0: it only bounds what is fetched at once
		if len(batch) > 0 && (len(batch) >= fetchCount || bytes+size > fetchBytes) {
			if err := c.deliver(ctx, batch); err != nil {
				return err
			}
			batch, bytes = batch[:0], 0
		}
		batch, bytes = append(batch, e), bytes+size
	}
	return c.deliver(ctx, batch)
}

// deliver fetches callbacks and hands them over.
func (c *collector) deliver(ctx context.Context, entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	values, err := c.store.fetch(ctx, entries)
	if err != nil {
		return err
	}
	for i, e := range entries {
		cb, err := parseValue(e.op, values[i])
		if err != nil { // removed meanwhile
			c.missing(e)
			continue
		}
		c.acceptStored(e, cb)
	}
	return nil
}
