package redis

import (
	"context"
	"sync"

	"syncgate/correlator"
)

const ledgerShards = 64

// ledger knows of the trips parked here which callbacks are being handed over, and whether anything is stored of them.
// It holds nothing of a trip that neither is true of.
type ledger struct {
	shards [ledgerShards]ledgerShard
}

type ledgerShard struct {
	mu    sync.Mutex // guards the rest, and the handovers of its trips
	trips map[correlator.ID]account
	_     [48]byte // a cache line of its own
}

type account struct {
	open   *handover // being handed over, or held by the trip and not stored yet
	stored bool
}

// handover is one callback on its way to a trip of this node. Repeats of it that come meanwhile share its outcome.
type handover struct {
	// Fixed.
	id    correlator.ID
	cb    correlator.Callback // the first one: it is what is stored, also when a repeat has it stored
	shard *ledgerShard

	// Guarded by shard.mu.
	next     *handover
	outcome  correlator.Disposition
	settled  bool
	awaiting chan struct{} // closed when settled; nil until somebody waits
}

func newLedger() *ledger {
	l := new(ledger)
	for i := range l.shards {
		l.shards[i].trips = make(map[correlator.ID]account)
	}
	return l
}

func (l *ledger) shard(id correlator.ID) *ledgerShard { return &l.shards[id[0]%ledgerShards] }

// enter gives the handover of a callback, and whether the caller is the first and has to hand it to the trip.
func (l *ledger) enter(id correlator.ID, cb correlator.Callback) (h *handover, first bool) {
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.trips[id]
	for h = a.open; h != nil; h = h.next {
		if h.cb.Op == cb.Op {
			return h, false
		}
	}
	h = &handover{id: id, cb: cb, shard: s, next: a.open}
	a.open = h
	s.trips[id] = a
	return h, true
}

// settle says what the trip did with the callback. One that is held stays until it is stored or its trip is closed.
func (h *handover) settle(d correlator.Disposition) {
	s := h.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	h.outcome, h.settled = d, true
	if h.awaiting != nil {
		close(h.awaiting)
	}
	if d != correlator.Held {
		s.leave(h, false)
	}
}

// wait gives what the trip did. Its error is the context's.
func (h *handover) wait(ctx context.Context) (correlator.Disposition, error) {
	h.shard.mu.Lock()
	if h.settled {
		defer h.shard.mu.Unlock()
		return h.outcome, nil
	}
	if h.awaiting == nil {
		h.awaiting = make(chan struct{})
	}
	awaiting := h.awaiting
	h.shard.mu.Unlock()
	select {
	case <-awaiting:
		return h.outcome, nil
	case <-ctx.Done():
		return correlator.Gone, ctx.Err()
	}
}

// stored notes that a held callback is stored.
func (l *ledger) stored(h *handover) {
	h.shard.mu.Lock()
	defer h.shard.mu.Unlock()
	h.shard.leave(h, true)
}

// mark notes that something is stored of a trip.
func (l *ledger) mark(id correlator.ID) {
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.trips[id]
	a.stored = true
	s.trips[id] = a
}

// close drops all that is known of a trip, and reports whether something is stored of it.
func (l *ledger) close(id correlator.ID) (stored bool) {
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	stored = s.trips[id].stored
	delete(s.trips, id)
	return stored
}

// leave takes h out of its trip's account, which may be closed already. The caller holds the mutex.
func (s *ledgerShard) leave(h *handover, stored bool) {
	a := s.trips[h.id]
	for at := &a.open; *at != nil; at = &(*at).next {
		if *at == h {
			*at = h.next
			break
		}
	}
	a.stored = a.stored || stored
	if a.open == nil && !a.stored {
		delete(s.trips, h.id)
		return
	}
	s.trips[h.id] = a
}
