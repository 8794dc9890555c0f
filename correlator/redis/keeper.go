package redis

import (
	"context"
	"errors"
	"time"

	"syncgate/correlator"
)

// Save keeps a record: an unfinished one until the id's expiry, a complete one for the retention. The newest Meta
// counts, and the first final of each op. ErrGone: the id has expired, or the retention is 0 and the record not claimed.
// ErrUnavailable.
func (c *Correlator) Save(ctx context.Context, id correlator.ID, rec correlator.Record) error {
	if expired(id) {
		return correlator.ErrGone
	}
	if !c.ledger.has(id, rec) { // else each final was stored when it came
		when := always
		if c.store.retention == 0 {
			when = ifRecorded
		}
		saved, err := c.store.record(ctx, id, rec, when)
		if err != nil {
			return err
		}
		if !saved {
			return correlator.ErrGone
		}
	}
	if rec.Complete() {
		c.ledger.saved(id)
	}
	if c.Parked(id) {
		c.ledger.keep(id, true)
		if !c.Parked(id) { // closed before there was anything to forget
			c.ledger.keep(id, false)
		}
	}
	return nil
}

// Lookup reads a record, on any node. ErrGone, ErrUnavailable.
func (c *Correlator) Lookup(ctx context.Context, id correlator.ID) (correlator.Record, error) {
	return c.store.lookup(ctx, id)
}

// Prolong keeps the record of a trip for at least d more; 0 lets it go. ErrGone, ErrUnavailable.
func (c *Correlator) Prolong(ctx context.Context, id correlator.ID, d time.Duration) error {
	return c.store.extend(ctx, id, d)
}

// Claim binds k to id and saves rec, or gives the id that k is bound to. When it cannot tell whether it has, it sees to it
// that it has not. rec's bytes must not change afterwards. ErrOtherBody, ErrUnavailable; ErrGone: the id has expired.
func (c *Correlator) Claim(ctx context.Context, k correlator.Key, fingerprint [32]byte, id correlator.ID, rec correlator.Record) (owner correlator.ID, err error) {
	if expired(id) {
		return correlator.ID{}, correlator.ErrGone
	}
	ctx, cancel := context.WithTimeout(ctx, c.store.timeout) // for every attempt
	defer cancel()
	key, mine := keyName(c.store.prefix, k), bindingOf(fingerprint, id)
	for seen := ""; ; {
		bound, text, recorded, err := c.bind(ctx, key, mine, rec, seen)
		switch {
		case errors.Is(err, errForged): // the key is free, but for what it holds
			seen = text
		case err != nil:
			c.binder.undo(id, key)
			return correlator.ID{}, err
		case bound == mine:
			c.ledger.claim(newClaim(key, mine, rec))
			return id, nil
		case !recorded || c.binder.undoes(bound.id()): // the key is free here, too
			seen = text
		case bound.fingerprint() != fingerprint:
			return correlator.ID{}, correlator.ErrOtherBody
		default:
			return bound.id(), nil
		}
	}
}

// bind tries once to bind a key. It gives whose the key is then, what it holds, and whether there is a record of that trip. errForged: what it holds is
// not ours.
func (c *Correlator) bind(ctx context.Context, key string, mine binding, rec correlator.Record, seen string) (bound binding, text string, recorded bool, err error) {
	if text, err = c.store.bind(ctx, key, mine, rec, seen); err != nil {
		return "", "", false, err
	}
	if bound, err = c.store.tags.parseBound(key, text); err != nil {
		return "", text, false, err
	}
	switch bound {
	case "":
		return "", text, false, unavailable("claim a key", errUndone)
	case mine:
		return mine, text, true, nil
	}
	recorded, err = c.store.yield(ctx, mine.id(), bound.id())
	return bound, text, recorded, err
}

// Release undoes a Claim by id. It does nothing when k is not bound to id. ErrUnavailable: it will be done later.
func (c *Correlator) Release(ctx context.Context, k correlator.Key, id correlator.ID) error {
	key := keyName(c.store.prefix, k)
	if !c.ledger.release(id, key) { // not claimed here, or its trip is over
		bound, err := c.store.bound(ctx, key)
		if err != nil {
			c.binder.undo(id, key)
			return err
		}
		if bound == "" || bound.id() != id {
			return nil
		}
	}
	err := c.store.undo(ctx, key, id)
	if err != nil {
		c.binder.undo(id, key)
	}
	return err
}

// Attach lets r wait for a trip of which there is a record, on any node. A record that vanishes without a Release leaves r
// to its deadline. ErrBusy, ErrDraining, ErrGone, ErrUnavailable.
func (c *Correlator) Attach(ctx context.Context, id correlator.ID, r correlator.Receiver, deadline time.Time) (detach func(), err error) {
	return c.wait(ctx, id, r, nil, deadline)
}

// Follow lets r wait for a trip of which there is a record, and hear its events after a number, on any node. A record that vanishes without a Release
// leaves r to its deadline. ErrBusy, ErrDraining, ErrGone, ErrUnavailable.
func (c *Correlator) Follow(
	ctx context.Context, id correlator.ID, r correlator.Receiver, after uint32, deadline time.Time,
) (detach func(), err error) {
	f := correlator.NewFollower(r, after)
	leave, err := c.wait(ctx, id, r, f, deadline)
	if err != nil {
		return nil, err
	}
	return func() {
		f.End()
		leave()
	}, nil
}

// wait parks r, which waits for a trip. With a Follower that hears what comes.
func (c *Correlator) wait(
	ctx context.Context, id correlator.ID, r correlator.Receiver, f *correlator.Follower, deadline time.Time,
) (detach func(), err error) {
	own := c.NewID(deadline)
	if err := c.Park(own, r, deadline); err != nil {
		return nil, err
	}
	if err := c.watch.attach(ctx, id, own, f); err != nil {
		c.Table.Close(own)
		return nil, err
	}
	return func() {
		c.Table.Close(own)
		c.watch.detach(id, own)
	}, nil
}
