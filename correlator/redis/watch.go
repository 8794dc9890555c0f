package redis

import (
	"context"
	"maps"
	"sync"
	"time"

	"syncgate/correlator"
)

const (
	// watchInterval is between two looks at the trips that are waited for here that nothing has asked for. Each time there are watchLooks of them, or
	// a part of all, one of watchRounds: a hint is lost only with a subscription, which the prober sees, or within a Cluster. A look at each comes
	// within twice as many intervals, which end before leftFor and watchFor do. There are more looks than these only where the
	// waits for many others have ended.
	watchInterval = time.Second
	watchLooks    = 500
	watchRounds   = 4
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
	tick  uint32                     // intervals that have passed
}

type watched struct {
	waiters map[correlator.ID]*correlator.Follower // by the ids that they are parked under; nil for those who hear finals alone
	known   int                                    // how many finals they have heard
	looked  uint32                                 // the interval of the last look
}

// after gives the last event that all who follow the trip know.
func (t *watched) after() int64 {
	after := int64(noEvents)
	for _, f := range t.waiters {
		if f != nil && (after == noEvents || int64(f.After()) < after) {
			after = int64(f.After())
		}
	}
	return after
}

func newWatch(s *store, t *correlator.Table) *watch {
	return &watch{
		store: s, table: t, kicks: make(chan struct{}, 1),
		trips: make(map[correlator.ID]*watched), due: make(map[correlator.ID]struct{}),
	}
}

// attach lets who is parked under own wait for a trip, and tells them what is there already. f is nil for those who hear finals alone. ErrGone.
func (w *watch) attach(ctx context.Context, id, own correlator.ID, f *correlator.Follower) error {
	g := w.add(id, own, f) // before the look: those who are here hear what comes after it
	state, err := w.look(ctx, []glance{g})
	if err == nil && state != recorded {
		err = correlator.ErrGone
	}
	if err != nil {
		w.detach(id, own)
	}
	return err
}

func (w *watch) add(id, own correlator.ID, f *correlator.Follower) glance {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.trips[id]
	if t == nil {
		t = &watched{waiters: make(map[correlator.ID]*correlator.Follower), known: nothingKnown, looked: w.tick}
		w.trips[id] = t
	}
	t.waiters[own] = f
	return glance{id, nothingKnown, t.after()}
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

// some has those trips looked at that it is time for.
func (w *watch) some() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tick++
	most := max(watchLooks, len(w.trips)/watchRounds+1)
	age := uint32(min((len(w.trips)+watchLooks-1)/watchLooks, watchRounds)) // in so many intervals there are looks for all
	for id, t := range w.trips {
		old := w.tick - t.looked
		if old < age || most == 0 && old < 2*watchRounds-1 {
			continue
		}
		most = max(most-1, 0)
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
			w.some()
		}
		w.looks(ctx)
	}
}

// looks looks at what is due. What cannot be seen stays due, until the next tick or hint.
func (w *watch) looks(ctx context.Context) {
	for {
		glances := w.batch()
		if len(glances) == 0 {
			return
		}
		if _, err := w.look(ctx, glances); err != nil {
			w.putBack(glances)
			return
		}
	}
}

// batch takes some of what is due.
func (w *watch) batch() (all []glance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.due {
		if len(all) == watchBatch {
			break
		}
		delete(w.due, id)
		t := w.trips[id]
		t.looked = w.tick
		all = append(all, glance{id, t.known, t.after()})
	}
	return all
}

// putBack makes due again what batch took.
func (w *watch) putBack(glances []glance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, g := range glances {
		if w.trips[g.id] != nil {
			w.due[g.id] = struct{}{}
		}
	}
}

// look looks at trips and tells those who wait for them. It gives the state of the last one, and an error when one could
// not be seen.
func (w *watch) look(ctx context.Context, glances []glance) (state sighted, err error) {
	sights, errs := w.store.sights(ctx, w.table.Node(), glances)
	for i, g := range glances {
		if errs[i] != nil {
			err = errs[i]
			continue
		}
		w.tell(g, sights[i])
		state = sights[i].state
	}
	return state, err
}

// tell hands over what was seen of a trip.
func (w *watch) tell(g glance, s sight) {
	for own, f := range w.waiters(g.id, s) {
		if f != nil && !f.Hear(uint32(max(g.after, 0)), s.events, s.finals) { //nolint:gosec // the number of an event
			w.again(g.id)
			continue
		}
		if f == nil {
			for _, cb := range s.finals {
				w.table.Offer(own, cb, ignore)
			}
		}
		if s.state == released {
			w.table.Expire(own, correlator.ErrReleased)
		}
	}
}

// event hands an event that was announced to those who follow its trip.
func (w *watch) event(id correlator.ID, cb correlator.Callback) {
	for _, f := range w.followers(id) {
		if !f.Hear(cb.Seq-1, []correlator.Callback{cb}, nil) {
			w.again(id)
		}
	}
}

// again has a trip looked at of which somebody could not hear what was there.
func (w *watch) again(id correlator.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t := w.trips[id]; t != nil {
		t.known = nothingKnown
		w.due[id] = struct{}{}
		kick(w.kicks)
	}
}

// followers gives who follows a trip.
func (w *watch) followers(id correlator.ID) (all []*correlator.Follower) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.trips[id]
	if t == nil {
		return nil
	}
	for _, f := range t.waiters {
		if f != nil {
			all = append(all, f)
		}
	}
	return all
}

// waiters gives who waits for a trip and has something to hear, and notes what they will know.
func (w *watch) waiters(id correlator.ID, s sight) map[correlator.ID]*correlator.Follower {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.trips[id]
	if t == nil {
		return nil
	}
	if s.state == recorded { // else it may come back
		t.known = s.known
	}
	if len(s.finals) == 0 && len(s.events) == 0 && s.state != released {
		return nil
	}
	return maps.Clone(t.waiters)
}

// ignore is the done of those who only listen.
func ignore(correlator.Disposition) {}
