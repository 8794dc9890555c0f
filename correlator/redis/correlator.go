package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"syncgate/correlator"
)

// Correlator is one node's table of trips, and its way to the trips of the others.
type Correlator struct {
	*correlator.Table // the trips that are parked here

	// Fixed after New.
	store     *store
	batcher   *batcher
	link      *link
	ledger    *ledger
	cleaner   *cleaner
	collector *collector
	binder    *binder
	watch     *watch
	cancel    context.CancelFunc
	running   sync.WaitGroup // the goroutines of the package comment
}

var (
	_ correlator.Correlator = (*Correlator)(nil)
	_ correlator.Keeper     = (*Correlator)(nil)
	_ correlator.Relay      = (*Correlator)(nil)
	_ correlator.Admitting  = (*Correlator)(nil)
)

// Options are what a Correlator tells its user. Every func may be nil, and must neither block nor call the Correlator.
type Options struct {
	// Changed is called with an Unready when Redis has been unusable for a second, again when the cause is another one, and with nil when all is
	// well, for the first time or again. What comes and goes is reported once in ten seconds at most.
	Changed func(error)
	// Forged is called, once a minute at most, when something that was read from Redis has no good tag: it was not written by a node
	// that has our keys.
	Forged func(error)
}

// New makes the Correlator of a new node and starts its goroutines. Redis may be away: Ready says when it is usable. keys are
// those of all nodes: they authenticate what is stored in Redis, where others may write. Shutdown ends what New started.
func New(cfg Config, keys *correlator.Keys, o Options) (*Correlator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("correlator/redis: %w", err)
	}
	st, err := newStore(cfg, &tags{keys: keys, tell: o.Forged})
	if err != nil {
		return nil, fmt.Errorf("correlator/redis: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Correlator{
		Table:   correlator.NewTable(cfg.Parked),
		store:   st,
		batcher: newBatcher(st),
		link:    newLink(o.Changed),
		ledger:  newLedger(),
		cancel:  cancel,
	}
	c.cleaner = newCleaner(st, c.Node())
	c.collector = &collector{
		store: st, node: c.Node(), accept: c.accept, acceptStored: c.acceptStored, missing: c.missing, known: c.cleaner.knows,
		hints: make(chan entry, fetchHints), kicks: make(chan struct{}, 1),
	}
	c.binder = newBinder(st, c.ledger)
	c.watch = newWatch(st, c.Table)
	c.start(ctx)
	return c, nil
}

// start starts the goroutines.
func (c *Correlator) start(ctx context.Context) {
	p := newProber(c.store, c.Node(), c.link, func() {
		c.collector.kick()
		c.watch.all()
	})
	var subscribed atomic.Bool
	l := &listener{
		store: c.store, node: c.Node(), link: c.link, accept: c.accept, acceptStored: c.acceptStored,
		fetch: c.collector.fetch, hint: c.watch.hint, event: c.event,
		begun: func() {
			if subscribed.Swap(true) {
				c.store.counts.reconnects.Add(1)
			}
			p.begin()
			c.collector.kick() // of what came while nobody listened
			c.watch.all()
			c.binder.lost() // it may be another server, or the same one without what it had
		},
	}
	for _, run := range []func(context.Context){l.run, p.run, c.collector.run, c.cleaner.run, c.binder.run, c.watch.run} {
		c.running.Go(func() { run(ctx) })
	}
}

// Ready is nil while the subscription is confirmed and the last probe that has ended was written, published, and heard over it. Else it is an
// Unready.
func (c *Correlator) Ready() error { return c.link.ready() }

// Admits is nil while Redis takes what is written, or did so a second ago: a subscription that is killed, deaf or moved by a Cluster is
// replaced, and callbacks wait in the inbox until then.
func (c *Correlator) Admits() error { return c.link.reachable() }

// Deliver hands a callback to its trip. When it returns nil the callback was written to the client, or is stored.
func (c *Correlator) Deliver(ctx context.Context, id correlator.ID, cb correlator.Callback) error {
	switch {
	case id.Home() != c.Node():
		return c.deliverThere(ctx, id, cb)
	case cb.Status.Running():
		return c.reportHere(ctx, id, cb)
	}
	if err := cb.Head.Check(); err != nil {
		return err
	}
	return c.deliverHere(ctx, id, cb)
}

// SetProgress changes how many bytes of what the engine has reported of an op are merged, 0: any number. What is merged stays.
func (c *Correlator) SetProgress(limit int64) { c.store.progress.Store(limit) }

// deliverHere hands a callback to a trip of this node. What the trip cannot write yet is stored.
func (c *Correlator) deliverHere(ctx context.Context, id correlator.ID, cb correlator.Callback) error {
	h, first := c.ledger.enter(id, cb)
	if first {
		c.recordFirst(ctx, h)
		if !c.Offer(id, h.callback(), h.settle) {
			h.settle(correlator.Gone)
		}
	}
	d, err := h.wait(ctx)
	if err != nil {
		return unavailable("deliver", err)
	}
	owed, recorded := h.toRecord()
	if first && d != correlator.Gone {
		c.store.counts.delivered[whereHome].Add(1)
	}
	switch {
	case recorded:
	case d == correlator.Repeated:
		return supersededBy(c.Standing(id, cb.Op))
	case d == correlator.Gone:
		return c.late(ctx, id, cb)
	case d == correlator.Held && c.Parked(id): // else it was answered, or saved, meanwhile
		err = c.hold(ctx, h, always)
	case owed:
		err = c.hold(ctx, h, ifRecorded)
	}
	if err != nil {
		return err
	}
	return h.superseded(first)
}

// reportHere hands what an engine reports to a trip of this node. Where there can be no record of that it takes no command.
func (c *Correlator) reportHere(ctx context.Context, id correlator.ID, cb correlator.Callback) error {
	if before := c.Standing(id, cb.Op); before.Final() {
		return supersededBy(before)
	}
	if parked := c.Parked(id); !parked && expired(id) || parked && !c.ledger.keeps(id) {
		c.Offer(id, cb, ignore)
		return nil
	}
	w, err := newReport(id, cb, false)
	if err != nil {
		return err
	}
	if w, err = c.batcher.wait(ctx, w); err != nil {
		return unavailable("keep what is reported", err)
	}
	if err := c.relayed(w); err != nil {
		return err
	}
	cb.Seq = w.seq
	c.Offer(id, cb, ignore)
	return nil
}

// recordFirst puts a callback into the record of its trip, where that has claimed a key: others may be reading the
// record, and would see another result than the trip if that heard this callback first and the record another one of the
// same op. With Redis away the trip comes first.
func (c *Correlator) recordFirst(ctx context.Context, h *handover) {
	if owed, _ := h.toRecord(); !owed {
		return
	}
	cb := h.callback()
	result, standing, err := c.batcher.put(ctx, h.id, cb, ifRecorded)
	if err != nil || result != kept {
		return
	}
	before := correlator.Open
	if standing != nil {
		cb, before = *standing, standing.Status
	}
	h.inRecord(cb, before) // also where the trip has been closed meanwhile
	c.ledger.recorded(h.id, cb)
}

// hold stores a callback that the trip has and its client, or its record, has not. A repeat of it comes here until it is
// stored.
func (c *Correlator) hold(ctx context.Context, h *handover, when rule) error {
	c.ledger.mark(h.id) // now, as it may be stored though we hear of an error
	cb := h.callback()
	_, standing, err := c.batcher.put(ctx, h.id, cb, when)
	if err == nil {
		c.ledger.stored(h)
	}
	if standing != nil && !standing.Equal(cb) {
		h.supersede(standing.Status)
	}
	if !c.Parked(h.id) { // closed before there was anything to remove
		c.ledger.close(h.id)
		c.cleaner.drop(h.id)
	}
	return err
}

// late deals with a callback for a trip of this node that is over.
func (c *Correlator) late(ctx context.Context, id correlator.ID, cb correlator.Callback) error {
	c.store.counts.delivered[whereLate].Add(1)
	if err := c.Settled(id); err != nil {
		return err
	}
	_, standing, err := c.batcher.put(ctx, id, cb, ifRecorded)
	if err == nil && standing != nil {
		return supersededBy(standing.Status)
	}
	return err // without a record it is a finished trip's callback, once more
}

// deliverThere hands a callback to a trip of another node.
func (c *Correlator) deliverThere(ctx context.Context, id correlator.ID, cb correlator.Callback) error {
	heard := make(chan error, 1)
	c.relay(id, cb, func(err error) { heard <- err })
	select {
	case err := <-heard:
		return err
	case <-ctx.Done():
		return unavailable("deliver", ctx.Err())
	}
}

// Relay hands a callback to a trip of another node, and has nobody wait. It is stored within the time-out, or done hears
// ErrUnavailable.
func (c *Correlator) Relay(id correlator.ID, cb correlator.Callback, done func(error)) bool {
	if id.Home() == c.Node() {
		return false
	}
	c.relay(id, cb, done)
	return true
}

// relay stores a callback for a trip of another node and tells that node.
func (c *Correlator) relay(id correlator.ID, cb correlator.Callback, done func(error)) {
	now, reports := time.Now(), cb.Status.Running()
	gone := !now.Before(id.Lasts())
	switch err := cb.Head.Check(); {
	case gone && reports: // there is no record, and nobody waits
		done(nil)
		return
	case gone:
		done(correlator.ErrGone)
		return
	case err != nil && !reports:
		done(err)
		return
	}
	w := &write{id: id, cb: cb, when: always, announce: true}
	switch {
	case reports:
		var err error
		if w, err = newReport(id, cb, true); err != nil {
			done(err)
			return
		}
	case c.store.retention == 0:
		w.when = ifAlive
	}
	w.since, w.done = now, func(w *write) { done(c.relayed(w)) }
	c.batcher.add(w)
}

// relayed says what became of a callback for another node, or of what an engine has reported.
func (c *Correlator) relayed(w *write) error {
	switch {
	case errors.Is(w.err, correlator.ErrTooLarge):
		return fmt.Errorf("correlator/redis: report: %w", w.err)
	case w.err != nil:
		return unavailable("store a callback", w.err)
	case w.standing != nil:
		return supersededBy(w.standing.Status)
	case w.report:
		return nil
	case w.result == kept:
		c.store.counts.delivered[whereRemote].Add(1)
		return nil
	case w.result == notAlive && !c.link.steady(): // after a restart of Redis every node has to say first that it lives
		return unavailable("deliver", errUnsteady)
	default:
		return correlator.ErrGone
	}
}

// accept hands a callback that waits in the inbox to its trip. It is called by the listener and the collector, and does not
// block. A trip with a key has a record, which would have the callback, had Redis not lost it: the entry stays for when that is
// restored, until the trip is over.
func (c *Correlator) accept(e entry, cb correlator.Callback) {
	claimed := c.ledger.claimed(e.id)
	done := func(correlator.Disposition) {
		if !claimed || !c.Parked(e.id) {
			c.cleaner.heard(e, false)
		}
	}
	if !c.Offer(e.id, cb, done) {
		done(correlator.Gone)
	}
}

// acceptStored hands a callback that is stored in the hash of its trip to that trip. It is called by the listener and the
// collector, and does not block.
func (c *Correlator) acceptStored(e entry, cb correlator.Callback) {
	c.ledger.mark(e.id) // first: a Close may follow at once
	c.ledger.recorded(e.id, cb)
	done := func(d correlator.Disposition) {
		parked := c.Parked(e.id)
		if !parked {
			c.ledger.close(e.id)
		}
		c.cleaner.heard(e, !parked || d == correlator.Gone)
	}
	if !c.Offer(e.id, cb, done) {
		done(correlator.Gone)
	}
}

// event hands what an engine has reported to those who follow its trip, and to the trip itself. It is called by the listener, and does not block.
func (c *Correlator) event(id correlator.ID, cb correlator.Callback) {
	if cb.Seq > 0 {
		c.watch.event(id, cb)
	}
	if id.Home() == c.Node() {
		c.Offer(id, cb, ignore)
	}
}

// missing deals with an entry whose callback is not stored any more. While its trip is parked that is odd, and the entry
// stays.
func (c *Correlator) missing(e entry) {
	if !c.Parked(e.id) {
		c.cleaner.heard(e, true)
	}
}

// Close takes a trip out of the table. What was stored of it is removed later, unless it is a record.
func (c *Correlator) Close(id correlator.ID) {
	c.Table.Close(id)
	if c.ledger.close(id) {
		c.cleaner.drop(id)
	}
}

// Forget closes like Close a trip that ended unfinished with nothing kept, and lets the other nodes know a little later.
func (c *Correlator) Forget(id correlator.ID) {
	c.Table.Forget(id)
	c.ledger.close(id)
	c.cleaner.forget(id)
}

// Shutdown removes what is settled and still stored, as far as ctx lets it, tells the others that this node lives no
// more, and ends all goroutines. Trips that are still parked do not expire any more.
func (c *Correlator) Shutdown(ctx context.Context) error {
	c.cancel()
	c.link.close()
	c.running.Wait()
	c.Table.Shutdown()
	undoing := c.binder.finish(ctx) // first: it waits for Redis
	err := c.cleaner.flush(ctx)
	if err == nil {
		err = undoing
	}
	if err == nil {
		err = c.store.farewell(ctx, c.Node())
	}
	c.batcher.close()
	if closing := c.store.client.Close(); err == nil && closing != nil {
		err = fmt.Errorf("correlator/redis: close: %w", worded(closing))
	}
	return err
}

// expired reports whether nothing is kept of an id any more.
func expired(id correlator.ID) bool { return !time.Now().Before(id.Lasts()) }
