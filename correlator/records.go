package correlator

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"syncgate/internal/timerwheel"
)

const (
	// recordsTick is how exactly a record's end is kept.
	recordsTick = 100 * time.Millisecond
	// recordCost, finalCost, headCost and claimCost are the bytes that a record, each of its ops, what came beside a final's body, and its
	// claim take beside their contents.
	recordCost = 384
	finalCost  = 48
	headCost   = 48
	claimCost  = 160
)

// records keeps Records in memory, with the keys that are bound to them and the receivers that wait for them. When there are
// too many, the newest stay.
type records struct {
	// Fixed after newRecords.
	retention time.Duration
	wheel     *timerwheel.Wheel[*record]
	table     *Table // where the receivers that wait for a record are parked

	live     atomic.Int64 // records whose trips may be parked; read without the mutex
	progress atomic.Int64 // most bytes of what is merged of an op; 0: any number

	mu         sync.Mutex // guards the rest, and the records
	byID       map[ID]*record
	claims     map[Key]*record // each of them is in byID
	head, tail *record         // records that may be evicted, the one that may longest first
	bytes      int64
	pinned     int64 // the part of bytes that may not be evicted
	limit      int64 // of bytes; 0: none
}

type record struct {
	Meta         []byte     // as in Record
	Finals       []Callback // as in Record
	id           ID
	bytes        int64
	expires      time.Time
	timer        *timerwheel.Timer[*record]
	older, newer *record
	listed       bool      // it may be evicted
	live         bool      // its trip may be parked
	prolonged    time.Time // it is neither evicted nor dropped before; zero: nobody has asked for that
	held         bool      // its id is marked, and nobody has let it go: it is neither evicted nor dropped before MarkedFor is over
	claim        *claim    // nil when no key is bound to it
	reports      *reports  // nil until the engine has reported something
	watchers     watchers
}

// notice is what is new of a record, and the receivers that wait for it.
type notice struct {
	of        *record
	finals    []Callback
	to        []ID        // of those who hear finals alone
	followers []*Follower // these read what is new themselves
}

func newRecords(retention time.Duration, limit int64, table *Table) *records {
	s := &records{
		retention: retention, limit: limit, table: table,
		byID: make(map[ID]*record), claims: make(map[Key]*record),
	}
	s.wheel = timerwheel.New(recordsTick, s.expire)
	return s
}

func (s *records) setLimit(limit int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = limit
	s.evict()
}

func (s *records) size() (n int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byID), s.bytes
}

// save keeps rec, or what is new in it. ErrGone.
func (s *records) save(id ID, rec Record) error {
	s.mu.Lock()
	r := s.byID[id]
	claimed := r != nil && r.claim != nil
	inFlight := claimed && !r.listed // its trip has the same finals: they cost nothing more until it is over
	parked := s.table.Parked(id)
	if s.retention == 0 && !claimed || !time.Now().Before(id.Lasts()) || s.limit > 0 && cost(rec) > s.limit && !inFlight {
		s.mu.Unlock()
		return ErrGone
	}
	if r == nil {
		r = s.insert(id)
		if !r.held {
			s.list(r)
		}
	}
	s.setLive(r, r.live || parked)
	n := s.merge(r, rec)
	stays := s.byID[id] == r // it may have grown so much that it was evicted itself
	s.mu.Unlock()
	s.notify(n)
	if !stays {
		return ErrGone
	}
	return nil
}

func (s *records) lookup(id ID) (Record, error) {
	s.mu.Lock()
	r := s.byID[id]
	if r == nil {
		s.mu.Unlock()
		return Record{}, ErrGone
	}
	rec := Record{Meta: r.Meta, Finals: slices.Clone(r.Finals), Seq: r.reports.last(), Last: r.reports.statuses(len(r.Finals))}
	merged := r.reports.members(len(rec.Finals))
	s.mu.Unlock() // what follows may take a while
	for op, members := range merged {
		if object := Merge(members); object != nil {
			if rec.Merged == nil {
				rec.Merged = make([][]byte, len(rec.Finals))
			}
			rec.Merged[op] = object
		}
	}
	return rec, nil
}

// adding is what became of a callback that was to be stored in a record.
type adding uint8

const (
	noRecord adding = iota // there is none, or is none any more
	added
	standing // its op was final
)

// add stores a final in the record of its trip, unless its op is final there: then it gives the status that stands.
func (s *records) add(id ID, cb Callback) (adding, Status) {
	s.mu.Lock()
	r := s.byID[id]
	if r == nil || cb.Op < 0 || cb.Op >= len(r.Finals) {
		s.mu.Unlock()
		return noRecord, Open
	}
	if before := r.Finals[cb.Op].Status; before.Final() || !cb.Status.Final() {
		s.mu.Unlock()
		return standing, before
	}
	r.Finals[cb.Op] = cb
	n := r.notice(cb)
	s.changed(r)
	stays := s.byID[id] == r
	s.mu.Unlock()
	s.notify(n)
	if !stays {
		return noRecord, Open
	}
	return added, cb.Status
}

// merge takes the newest Meta into r, and what is new of the finals. The caller holds the mutex.
func (s *records) merge(r *record, rec Record) notice {
	finals := r.Finals
	if len(finals) != len(rec.Finals) {
		finals = make([]Callback, len(rec.Finals))
		copy(finals, r.Finals)
	}
	var fresh []Callback
	for i := range finals {
		if finals[i].Status.Final() {
			continue
		}
		if finals[i] = rec.Finals[i]; finals[i].Status.Final() {
			fresh = append(fresh, finals[i])
		}
	}
	r.Meta, r.Finals = rec.Meta, finals
	n := r.notice(fresh...)
	s.changed(r)
	return n
}

// notice addresses finals to the receivers that wait for r.
func (r *record) notice(finals ...Callback) notice {
	if len(finals) == 0 {
		return notice{}
	}
	n := notice{of: r, finals: finals}
	for own, f := range r.watchers.all() {
		if f != nil {
			n.followers = append(n.followers, f)
		} else {
			n.to = append(n.to, own)
		}
	}
	return n
}

// notify delivers n. The caller does not hold the mutex, as a receiver may ask for something.
func (s *records) notify(n notice) {
	for _, id := range n.to {
		for _, cb := range n.finals {
			s.table.Offer(id, cb, ignore)
		}
	}
	s.tell(n.of, n.followers)
}

// ignore is the done of a delivery whose outcome does not matter.
func ignore(Disposition) {}

// insert makes an empty record, which nothing evicts until it is listed. The caller holds the mutex.
func (s *records) insert(id ID) *record {
	r := &record{id: id, held: id.Marked()}
	s.byID[id] = r
	return r
}

// list makes r the newest of those that may be evicted. The caller holds the mutex.
func (s *records) list(r *record) {
	r.listed = true
	r.older = s.tail
	if s.tail != nil {
		s.tail.newer = r
	} else {
		s.head = r
	}
	s.tail = r
}

// unlist undoes list. The caller holds the mutex.
func (s *records) unlist(r *record) {
	if r.older != nil {
		r.older.newer = r.newer
	} else {
		s.head = r.newer
	}
	if r.newer != nil {
		r.newer.older = r.older
	} else {
		s.tail = r.older
	}
	r.older, r.newer, r.listed = nil, nil, false
}

// changed counts the bytes of r again, sets its expiry, and evicts what is too much. The caller holds the mutex.
func (s *records) changed(r *record) {
	s.count(r, r.cost())
	r.expires = r.id.Lasts()
	if s.retention > 0 && r.Complete() && !r.id.Outlasts() {
		r.expires = time.Now().Add(s.retention)
	}
	if r.held && r.Complete() {
		r.expires = later(r.expires, time.Now().Add(MarkedFor))
	}
	s.schedule(r)
	s.evict()
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// schedule has r dropped when it expires. The caller holds the mutex.
func (s *records) schedule(r *record) {
	r.expires = later(r.expires, r.prolonged)
	if r.timer != nil && r.timer.End() {
		s.wheel.Remove(r.timer)
	} else { // there is none, or it fires at this moment
		r.timer = &timerwheel.Timer[*record]{Value: r}
	}
	s.wheel.Add(r.timer, r.expires)
}

// prolong keeps the record of id for d more, at least; 0: lets it go. ErrGone.
func (s *records) prolong(id ID, d time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.byID[id]
	switch {
	case r == nil:
		return ErrGone
	case d <= 0:
		s.letGo(r)
		return nil
	}
	r.prolonged = time.Now().Add(d)
	s.pin(r)
	s.schedule(r)
	return nil
}

// letGo keeps r for no longer than others from now on. The caller holds the mutex.
func (s *records) letGo(r *record) {
	kept := r.held || !r.prolonged.IsZero()
	r.held, r.prolonged = false, time.Time{}
	if natural := time.Now().Add(s.retention); kept && s.retention > 0 && r.Complete() && !r.id.Outlasts() && natural.Before(r.expires) {
		r.expires = natural
		s.schedule(r)
	}
	s.unpinned(r)
}

// count sets the bytes that r takes. The caller holds the mutex.
func (s *records) count(r *record, bytes int64) {
	s.bytes += bytes - r.bytes
	if !r.listed {
		s.pinned += bytes - r.bytes
	}
	r.bytes = bytes
}

// evict expires the oldest records until the rest is within the limit, or none may be evicted. The caller holds the mutex.
func (s *records) evict() {
	for s.limit > 0 && s.bytes > s.limit && s.head != nil {
		s.lose(s.head)
	}
}

// expire drops r at its expiry. A timer that fired while r was changed is not its last one, and does nothing.
func (s *records) expire(r *record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[r.id] == r && !time.Now().Before(r.expires) {
		s.lose(r)
	}
}

// lose drops r. Callbacks that are still to come get ErrGone from now on. The caller holds the mutex.
func (s *records) lose(r *record) {
	if !r.Complete() {
		s.table.forgotten.add(r.id)
	}
	s.drop(r)
}

// drop takes r out, and frees the key that is bound to it. The caller holds the mutex.
func (s *records) drop(r *record) {
	if r.timer.End() {
		s.wheel.Remove(r.timer)
	}
	s.count(r, 0)
	delete(s.byID, r.id)
	if r.listed {
		s.unlist(r)
	}
	s.setLive(r, false)
	s.unbind(r)
}

// setLive says whether the trip of r may be parked. The caller holds the mutex.
func (s *records) setLive(r *record, live bool) {
	if live != r.live {
		r.live = live
		if live {
			s.live.Add(1)
		} else {
			s.live.Add(-1)
		}
	}
}

// record gives what Save and Claim have brought.
func (r *record) record() Record { return Record{Meta: r.Meta, Finals: r.Finals} }

// Complete reports whether every op is final.
func (r *record) Complete() bool { return r.record().Complete() }

// cost is what r takes of the limit, in bytes.
func (r *record) cost() int64 { return cost(r.record()) + r.claim.cost() + r.reports.cost() }

// cost is what rec takes of the limit, in bytes. A body counts with all that its array holds beyond it.
func cost(rec Record) int64 {
	n := recordCost + cap(rec.Meta) + len(rec.Finals)*finalCost
	for i := range rec.Finals {
		n += cap(rec.Finals[i].Body)
		if h := rec.Finals[i].Head; h != nil {
			n += headCost + len(h.ContentType) + cap(h.Fields)
		}
	}
	return int64(n)
}
