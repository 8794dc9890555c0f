package redis

import (
	"context"
	"errors"
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
	found := 0
	for cursor := uint64(0); ; {
		waiting, next, err := c.store.unread(ctx, c.node, cursor)
		if err != nil {
			return err
		}
		found += len(waiting)
		if err := c.collect(ctx, waiting); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			c.store.counts.inbox.Store(int64(found))
			return nil
		}
	}
}

// collect hands over what waits in the inbox, and fetches the others by their sizes, some at a time. What is not ours is removed.
func (c *collector) collect(ctx context.Context, waiting map[string]string) error {
	var batch []entry
	var misfits []misfit
	bytes := 0
	for text, is := range waiting {
		e, size, err := c.waits(text, is)
		if err != nil {
			misfits = append(misfits, misfit{c.store.inbox(c.node), text, is})
		}
		if err != nil || size < 0 {
			continue
		}
		if len(batch) > 0 && (len(batch) >= fetchCount || bytes+size > fetchBytes) {
			if err := c.deliver(ctx, batch); err != nil {
				return err
			}
			batch, bytes = batch[:0], 0
		}
		batch, bytes = append(batch, e), bytes+size
	}
	if err := c.expel(ctx, misfits); err != nil {
		return err
	}
	return c.deliver(ctx, batch)
}

// waits reads what the inbox has of an entry: the callback, which it hands over, or the size of what has to be fetched. The size is -1 when there is
// nothing more to do. An error says that this is not ours.
func (c *collector) waits(text, is string) (e entry, size int, err error) {
	if e, err = parseEntry(c.node, text); err != nil {
		c.store.tags.refuse(kindCallback)
		return e, -1, err
	}
	if c.known(e) { // heard already
		return e, -1, nil
	}
	if size, err = strconv.Atoi(is); err == nil { // it only bounds what is fetched at once
		return e, max(size, 0), nil
	}
	cb, rest, err := c.store.tags.parseFrame(e, is)
	switch {
	case errors.Is(err, errForged): // that is counted
		return e, -1, err
	case err != nil || rest != "":
		c.store.tags.refuse(kindCallback)
		return e, -1, errWire
	}
	c.accept(e, cb)
	return e, -1, nil
}

// expel removes what is not ours.
func (c *collector) expel(ctx context.Context, misfits []misfit) error {
	if len(misfits) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.store.timeout)
	defer cancel()
	return c.store.expelAll(ctx, misfits)
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
	var misfits []misfit
	for i, e := range entries {
		if values[i] == "" { // removed meanwhile
			c.missing(e)
			continue
		}
		cb, err := c.store.tags.parseValue(e, values[i])
		if err != nil {
			misfits = append(misfits, misfit{c.store.trip(e.id), strconv.Itoa(e.op), values[i]})
			continue
		}
		c.acceptStored(e, cb)
	}
	return c.expel(ctx, misfits)
}
