package redis

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"syncgate/correlator"
)

const (
	// watchInterval is between two looks at the trips that are waited for here that nothing has asked for.
	watchInterval = time.Second
	// watchBatch is how many trips are looked at in one round trip.
	watchBatch = 64
	// nothingKnown is no number of finals: it has all of them shown.
	nothingKnown = -1
)

// watch knows who waits on this node for which trip, wherever that has its home, and tells them of its finals. It looks
// for them in the store when a hint comes, and now and then, as hints may be lost.
type watch struct {
	store *store
	table *correlator.Table
	kicks chan struct{}

	mu    sync.Mutex // guards the rest
	trips map[correlator.ID]*watched
	due   map[correlator.ID]struct{} // of which a hint has come; each of them is in trips
}

type watched struct {
	waiters map[correlator.ID]struct{} // the ids that they are parked under
	known   int                        // how many finals they have been told of
}

func newWatch(s *store, t *correlator.Table) *watch {
	return &watch{
		store: s, table: t, kicks: make(chan struct{}, 1),
		trips: make(map[correlator.ID]*watched), due: make(map[correlator.ID]struct{}),
	}
}

// attach lets who is parked under own wait for a trip, and tells them what is final already. ErrGone.
func (w *watch) attach(ctx context.Context, id, own correlator.ID) error {
	w.add(id, own) // before the look: what becomes final after it is told to those who are here
	state, err := w.look(ctx, []correlator.ID{id}, []int{nothingKnown})
	if err == nil && state != recorded {
		err = correlator.ErrGone
	}
	if err != nil {
		w.detach(id, own)
	}
	return err
}

func (w *watch) add(id, own correlator.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.trips[id]
	if t == nil {
		t = &watched{waiters: make(map[correlator.ID]struct{}), known: nothingKnown}
		w.trips[id] = t
	}
	t.waiters[own] = struct{}{}
}

// detach ends the wait of who is parked under own.
func (w *watch) detach(id, own correlator.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.trips[id]
	if t == nil {
		return
	}
	delete(t.waiters, own)
	if len(t.waiters) == 0 { // the store forgets by itself that we watched
		delete(w.trips, id)
		delete(w.due, id)
	}
}

// hint has a trip looked at. It does not block.
func (w *watch) hint(id correlator.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.trips[id] != nil {
		w.due[id] = struct{}{}
		kick(w.kicks)
	}
}

// all has every trip looked at.
func (w *watch) all() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.trips {
		w.due[id] = struct{}{}
	}
	kick(w.kicks)
}

// run looks until ctx ends.
func (w *watch) run(ctx context.Context) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.kicks:
		case <-ticker.C:
			w.all()
		}
		for {
			ids, known := w.batch()
			if len(ids) == 0 {
				break
			}
			if _, err := w.look(ctx, ids, known); err != nil {
				break // the next tick has all of them looked at again
			}
		}
	}
}

// batch takes some of what is due.
func (w *watch) batch() (ids []correlator.ID, known []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.due {
		if len(ids) == watchBatch {
			break
		}
		delete(w.due, id)
		ids, known = append(ids, id), append(known, w.trips[id].known)
	}
	return ids, known
}

// look looks at trips and tells those who wait for them. It gives the state of the last one, and an error when one could
// not be seen.
func (w *watch) look(ctx context.Context, ids []correlator.ID, known []int) (state sighted, err error) {
	sights, errs := w.store.sights(ctx, w.table.Node(), ids, known)
	for i, id := range ids {
		if errs[i] != nil {
			err = errs[i]
			continue
		}
		w.tell(id, sights[i])
		state = sights[i].state
	}
	return state, err
}

// tell hands over what was seen of a trip.
func (w *watch) tell(id correlator.ID, s sight) {
	for _, own := range w.waiters(id, s) {
		for _, cb := range s.finals {
			w.table.Offer(own, cb, ignore)
		}
		if s.state == released {
			w.table.Expire(own, correlator.ErrReleased)
		}
	}
}

// waiters gives who waits for a trip, and notes what they will know.
func (w *watch) waiters(id correlator.ID, s sight) []correlator.ID {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.trips[id]
	if t == nil {
		return nil
	}
	if s.state == recorded { // else it may come back
		t.known = s.known
	}
	if len(s.finals) == 0 && s.state != released {
		return nil
	}
	return slices.Collect(maps.Keys(t.waiters))
}

// ignore is a done for whoever only listens.
func ignore(correlator.Disposition) {}
