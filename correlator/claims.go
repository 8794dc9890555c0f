package correlator

import (
	"fmt"
	"time"
)

// claim binds a key to a record. While the trip that made it may be in flight the record is not evicted: a repeat of the
// key would make a second task.
type claim struct {
	key         Key
	fingerprint [32]byte
}

// cost is what the claim takes of the limit, in bytes.
func (c *claim) cost() int64 {
	if c == nil {
		return 0
	}
	return int64(claimCost + len(c.key.Login) + len(c.key.Name))
}

// bind binds k to id and saves rec, or gives the id that k is bound to. What is kept already goes before a claim is
// refused; what is in flight does not.
func (s *records) bind(k Key, fingerprint [32]byte, id ID, rec Record) (owner ID, err error) {
	c := &claim{key: k, fingerprint: fingerprint}
	s.mu.Lock()
	if r := s.claims[k]; r != nil {
		defer s.mu.Unlock()
		if r.claim.fingerprint != fingerprint {
			return ID{}, ErrOtherBody
		}
		return r.id, nil
	}
	if !time.Now().Before(id.Lasts()) {
		s.mu.Unlock()
		return ID{}, ErrGone
	}
	if s.limit > 0 && s.pinned+cost(rec)+c.cost() > s.limit {
		s.mu.Unlock()
		return ID{}, fmt.Errorf("correlator: claim: %w", ErrFull)
	}
	r := s.byID[id]
	if r == nil {
		r = s.insert(id)
	}
	s.pin(r)
	s.unbind(r)
	r.claim = c
	s.claims[k] = r
	s.setLive(r, true)
	n := s.merge(r, rec)
	s.mu.Unlock()
	s.notify(n)
	return id, nil
}

// unbind frees the key that is bound to r, if one is. The caller holds the mutex.
func (s *records) unbind(r *record) {
	if r.claim == nil {
		return
	}
	delete(s.claims, r.claim.key)
	r.claim = nil
}

// pin keeps r from being evicted. The caller holds the mutex.
func (s *records) pin(r *record) {
	if r.listed {
		s.unlist(r)
		s.pinned += r.bytes
	}
}

// unpin says that the trip of a record is over: the record may be evicted as any other.
func (s *records) unpin(id ID) {
	if s.live.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.byID[id]
	if r == nil {
		return
	}
	s.setLive(r, false)
	s.unpinned(r)
}

// unpinned undoes pin, unless something else keeps r. The caller holds the mutex.
func (s *records) unpinned(r *record) {
	if r.listed || r.live || r.held || !r.prolonged.IsZero() {
		return
	}
	s.pinned -= r.bytes
	s.list(r)
	s.evict()
}

// release drops the record that k is bound to, if it is id's, and ends the wait of the receivers that are attached.
func (s *records) release(k Key, id ID) {
	s.mu.Lock()
	r := s.claims[k]
	if r == nil || r.id != id {
		s.mu.Unlock()
		return
	}
	s.drop(r)
	watchers := r.watchers // nobody has r any more
	s.mu.Unlock()
	for w := range watchers.all() {
		s.table.Expire(w, ErrReleased)
	}
}

// watch has the receiver that is parked under own notified of every final of id's record from now on, and gives the finals so far. With a Follower
// that hears them, and the events. ErrGone.
func (s *records) watch(id, own ID, f *Follower) ([]Callback, error) {
	s.mu.Lock()
	r := s.byID[id]
	if r == nil {
		s.mu.Unlock()
		return nil, ErrGone
	}
	r.watchers.add(own, f)
	finals := r.finals()
	s.mu.Unlock()
	if f != nil {
		s.tell(r, []*Follower{f})
	}
	return finals, nil
}

// finals gives those that there are. The caller holds the mutex.
func (r *record) finals() (all []Callback) {
	for _, cb := range r.Finals {
		if cb.Status.Final() {
			all = append(all, cb)
		}
	}
	return all
}

// unwatch undoes watch.
func (s *records) unwatch(id, own ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.byID[id]; r != nil {
		r.watchers.remove(own)
	}
}
