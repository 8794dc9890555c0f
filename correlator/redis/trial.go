package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/correlator"
)

const (
	// trialLife is how long what a trial leaves behind lasts when it fails half-way, beside the binding of its key: at least this, and trialTurns
	// of the time-out.
	trialLife  = 4 * time.Second
	trialTurns = 4
	// trialKeys is how many keys of clients are looked for: a Cluster has them on all its servers, and one that is taken for a single server
	// refuses those of the others.
	trialKeys = 8
)

// trial does with a trip that nobody waits for what is done with others, so that a user who may not use a command, a key or a channel, or a
// wrong kind of server, is found before a trip is lost by it. It takes some round trips, and leaves nothing behind.
func (s *store) trial(ctx context.Context, node correlator.NodeID) error {
	home := correlator.NewNodeID() // one that there is not: this one is to hear nothing of it
	id := correlator.NewID(home, time.Now().Add(trialLife+trialTurns*s.timeout))
	rec := correlator.Record{Finals: make([]correlator.Callback, 2)} // one stays open: what is complete is kept for longer
	k := correlator.Key{Name: "trial " + rand.Text()}
	key, e := keyName(s.prefix, k), entry{id: id}
	for _, try := range []func() error{
		func() error { return s.tryKeys(ctx) },
		func() error {
			_, err := s.bind(ctx, key, bindingOf([32]byte{}, id), rec, "")
			return err
		},
		func() error { return s.tryReports(ctx, id) }, // before they are looked at
		func() error {
			_, errs := s.sights(ctx, node, []glance{{id, nothingKnown, 0}})
			return errs[0]
		},
		func() error {
			w := &write{id: id, cb: correlator.Callback{Status: correlator.Failed}, when: always, announce: true, since: time.Now()}
			s.putAll(ctx, []*write{w})
			return w.err
		},
		func() error {
			if _, err := s.lookup(ctx, id); !errors.Is(err, correlator.ErrGone) {
				return err
			}
			return nil // it was slow, and is past its life
		},
		func() error { _, err := s.fetch(ctx, []entry{e}); return err },
		func() error { _, err := s.bound(ctx, key); return err },
		func() error { return s.expelAll(ctx, []misfit{{s.trip(id), "0", "nothing"}}) },
		func() error { return s.mendKeys(ctx, []string{s.trip(id), s.watchers(id)}) },
		func() error { return s.undo(ctx, key, id) },
		func() error { return s.forgetKey(ctx, key) },
		func() error {
			return s.settle(ctx, home, map[correlator.ID]settled{id: {heard: []int{0}, over: true}})
		},
		func() error { _, _, err := s.unread(ctx, home, 0); return err },
		func() error { return s.tryNames(ctx, id) },
	} {
		if err := try(); err != nil {
			return err
		}
	}
	return nil
}

// tryReports keeps two events, of which the first has to go again.
func (s *store) tryReports(ctx context.Context, id correlator.ID) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var events []*write
	for range 2 {
		event, err := newReport(id, correlator.Callback{Op: 1, Status: correlator.Progress, Body: []byte(`{"a":1}`)}, true)
		if err != nil {
			return err
		}
		events = append(events, event)
	}
	if err := firstError(s.together(ctx, []call{s.reporting(alikeOf(events[0]), events, 1)})); err != nil {
		return unavailable("keep what is reported", err)
	}
	return nil
}

// tryKeys looks for some keys of clients.
func (s *store) tryKeys(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	pipe := s.client.Pipeline()
	replies := make([]*goredis.StringCmd, trialKeys)
	for i := range replies {
		replies[i] = pipe.Get(ctx, keyName(s.prefix, correlator.Key{Name: rand.Text()}))
	}
	_, _ = pipe.Exec(ctx) // every command has its own error
	for _, reply := range replies {
		if err := reply.Err(); err != nil && !errors.Is(err, goredis.Nil) {
			return unavailable("look for a key's owner", err)
		}
	}
	return nil
}

// tryNames binds, takes and finishes a name that no op has, and forgets it.
func (s *store) tryNames(ctx context.Context, id correlator.ID) error {
	n, to := correlator.Name{Key: "trial", Text: rand.Text()}, correlator.Named{ID: id, Task: "1", Data: []byte("{}")}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err := s.inOrder(ctx, s.bindingName(n, to, trialLife, ""), s.taking(n, trialLife, newTurn()), s.finishing(n, id, 0, true), s.unbinding(n, id, 0))
	if err != nil {
		return unavailable("bind, take, finish and unbind a name", err)
	}
	return s.forgetKey(ctx, s.nameKey(n))
}

// forgetKey removes a key that no client has.
func (s *store) forgetKey(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.client.Del(ctx, key).Err(); err != nil {
		return unavailable("remove a key", err)
	}
	return nil
}
