package redis

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"syncgate/correlator"
)

const ledgerShards = 64

// ledger knows of the trips parked here which callbacks are being handed over, whether anything is stored of them, and
// which of them have claimed a key. It holds nothing of a trip that none of it is true of.
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
	claim  *claim // nil when it has none
	saved  bool   // its record is complete
	record bool   // there is a record without a claim
}

// owes reports whether the record of the trip still wants its callbacks.
func (a account) owes() bool { return a.record || a.claim != nil && !a.saved }

// empty reports whether nothing is known of the trip.
func (a account) empty() bool { return a.open == nil && !a.stored && a.claim == nil && !a.record }

// final gives the callback of an op that the record of a claimed trip is known to have.
func (a account) final(op int) (cb correlator.Callback, is bool) {
	if a.claim == nil || op >= len(a.claim.rec.Finals) {
		return cb, false
	}
	cb = a.claim.rec.Finals[op]
	return cb, cb.Status.Final()
}

// claim is what it takes to bind a key again.
type claim struct {
	// Fixed.
	key     string
	binding binding

	// Guarded by the shard's mutex.
	rec      correlator.Record // what is known to be stored; its finals are the claim's own
	released bool
}

func newClaim(key string, b binding, rec correlator.Record) *claim {
	return &claim{key: key, binding: b, rec: correlator.Record{Meta: rec.Meta, Finals: slices.Clone(rec.Finals)}}
}

func (c *claim) id() correlator.ID { return c.binding.id() }

// has reports whether all that is final in rec, and its Meta, are known to be stored.
func (c *claim) has(rec correlator.Record) bool {
	if !bytes.Equal(c.rec.Meta, rec.Meta) || len(c.rec.Finals) != len(rec.Finals) {
		return false
	}
	for i, cb := range rec.Finals {
		known := c.rec.Finals[i]
		cb.Op, known.Op = i, i
		if cb.Status.Final() && !cb.Equal(known) {
			return false
		}
	}
	return true
}

// handover is one callback on its way to a trip of this node. Repeats of it that come meanwhile share its outcome.
type handover struct {
	// Fixed.
	id    correlator.ID
	shard *ledgerShard

	// Guarded by shard.mu.
	cb       correlator.Callback // the first one, whether it came here or is in the record: what is stored, also by a repeat
	next     *handover
	outcome  correlator.Disposition
	settled  bool
	awaiting chan struct{}     // closed when settled; nil until somebody waits
	owed     bool              // to the record of a claimed trip, whatever the trip does with it
	recorded bool              // that has it
	before   correlator.Status // of the final that was there before it; Open: there was none
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
	h = &handover{id: id, cb: cb, shard: s, next: a.open, owed: a.owes()}
	if known, is := a.final(cb.Op); is {
		h.cb, h.owed, h.recorded, h.before = known, false, true, known.Status
	}
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
	if d != correlator.Held || h.recorded {
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

// callback gives what is handed over: the callback that came first, here or to the record.
func (h *handover) callback() correlator.Callback {
	h.shard.mu.Lock()
	defer h.shard.mu.Unlock()
	return h.cb
}

// inRecord notes that the record of the trip has cb, and the status that it had before; Open: none.
func (h *handover) inRecord(cb correlator.Callback, before correlator.Status) {
	h.shard.mu.Lock()
	defer h.shard.mu.Unlock()
	h.cb, h.owed, h.recorded, h.before = cb, false, true, before
}

// supersede notes that there was a final before.
func (h *handover) supersede(before correlator.Status) {
	h.shard.mu.Lock()
	defer h.shard.mu.Unlock()
	h.before = before
}

// superseded gives the error for a callback that was handed over, or, unless it is the first one, found another on its way.
func (h *handover) superseded(first bool) error {
	h.shard.mu.Lock()
	defer h.shard.mu.Unlock()
	before := h.before
	if !first {
		before = h.cb.Status
	}
	return supersededBy(before)
}

// supersededBy is what Deliver gives where an op has a final; Open: it is not known which.
func supersededBy(before correlator.Status) error {
	if before.Final() {
		return &correlator.Superseded{Status: before}
	}
	return nil
}

// toRecord says whether the record of a claimed trip, which may be closed already, wants the callback, or has it.
func (h *handover) toRecord() (owed, recorded bool) {
	h.shard.mu.Lock()
	defer h.shard.mu.Unlock()
	return h.owed, h.recorded
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

// keep notes that there is a record of a trip, or that the trip is not to be known for that any more.
func (l *ledger) keep(id correlator.ID, record bool) {
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.trips[id]
	a.record = record && a.claim == nil
	if s.trips[id] = a; a.empty() {
		delete(s.trips, id)
	}
}

// keeps reports whether there may be a record of a parked trip.
func (l *ledger) keeps(id correlator.ID) bool {
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.trips[id]
	return a.claim != nil || a.record
}

// claim notes that a trip has claimed a key.
func (l *ledger) claim(c *claim) {
	s := l.shard(c.id())
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.trips[c.id()]
	a.claim = c
	s.trips[c.id()] = a
}

// claimed reports whether a trip has claimed a key.
func (l *ledger) claimed(id correlator.ID) bool {
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trips[id].claim != nil
}

// saved notes that the record of a trip is complete.
func (l *ledger) saved(id correlator.ID) {
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.trips[id]
	if a.claim == nil {
		return
	}
	a.saved = true
	s.trips[id] = a
	a.settleDebts()
}

// has reports whether the claimed record of a trip is known to have all of rec.
func (l *ledger) has(id correlator.ID, rec correlator.Record) bool {
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.trips[id]
	return a.claim != nil && a.claim.has(rec)
}

// recorded notes that the record of a trip has a callback.
func (l *ledger) recorded(id correlator.ID, cb correlator.Callback) {
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.trips[id]
	if a.claim == nil && !a.record {
		return
	}
	if a.claim != nil && cb.Op < len(a.claim.rec.Finals) {
		a.claim.rec.Finals[cb.Op] = cb
	}
	for h := a.open; h != nil; h = h.next {
		if h.cb.Op == cb.Op {
			if !h.cb.Equal(cb) {
				h.before = cb.Status
			}
			h.cb, h.owed, h.recorded = cb, false, true
		}
	}
}

// release notes that the claim of a trip is undone, and reports whether it had one on key.
func (l *ledger) release(id correlator.ID, key string) bool {
	s := l.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.trips[id]
	if a.claim == nil || a.claim.key != key {
		return false
	}
	a.settleDebts()
	a.claim.released = true
	a.claim, a.record = nil, false
	s.trips[id] = a
	if a.empty() {
		delete(s.trips, id)
	}
	return true
}

// settleDebts says that no record wants anything of the trip any more.
func (a account) settleDebts() {
	for h := a.open; h != nil; h = h.next {
		h.owed = false
	}
}

// inFlight is a claim of a trip that is not over, with what is known to be stored of it.
type inFlight struct {
	claim *claim
	rec   correlator.Record
}

// claims gives the claims of the trips that are not over. It drops those whose ids have expired.
func (l *ledger) claims() (all []inFlight) {
	for i := range l.shards {
		all = append(all, l.shards[i].claims()...)
	}
	return all
}

func (s *ledgerShard) claims() (all []inFlight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, a := range s.trips {
		switch {
		case a.claim == nil:
		case expired(id):
			delete(s.trips, id)
		default:
			rec := correlator.Record{Meta: a.claim.rec.Meta, Finals: slices.Clone(a.claim.rec.Finals)}
			all = append(all, inFlight{a.claim, rec})
		}
	}
	return all
}

// isReleased reports whether the claim has been undone.
func (l *ledger) isReleased(c *claim) bool {
	s := l.shard(c.id())
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.released
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
	if a.empty() {
		delete(s.trips, h.id)
		return
	}
	s.trips[h.id] = a
}
