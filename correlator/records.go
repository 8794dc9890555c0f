package correlator

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"syncgate/internal/timerwheel"
)

const (
	// recordsTick is how exactly a record's end is kept.
	recordsTick = 100 * time.Millisecond
	// recordCost, finalCost and claimCost are the bytes that a record, each of its ops, and its claim take beside
	// their contents.
	recordCost = 368
	finalCost  = 40
	claimCost  = 160
)

// records keeps Records in memory, the newest when there are too many, and who has claimed them and waits for them.
type records struct {
	// Fixed after newRecords.
	retention time.Duration
	wheel     *timerwheel.Wheel[*record]
	table     *Table // where whoever waits for a record is parked

	claimed atomic.Int64 // len(claims), for whoever only wants to know that there are none

	mu         sync.Mutex // guards the rest, and the records
	byID       map[ID]*record
	claims     map[Key]*record // each of them is in byID
	head, tail *record         // those that may be evicted, by the time since when they may, oldest first
	bytes      int64
	pinned     int64 // the part of bytes that may not be evicted
	limit      int64 // of bytes; 0: none
}

type record struct {
	Record
	id           ID
	bytes        int64
	expires      time.Time
	alarm        *timerwheel.Timer[*record]
	older, newer *record
	listed       bool            // it may be evicted
	claim        *claim          // nil when no key is bound to it
	watchers     map[ID]struct{} // under which whoever waits for it is parked; nil until somebody does
}

// news is what has become final, and who has to hear of it. It is told once the mutex is free.
type news struct {
	finals []Callback
	to     []ID
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
	inFlight := claimed && !r.listed // its trip holds the same finals: they cost nothing more until it is over
	if s.retention == 0 && !claimed || !time.Now().Before(id.Expiry()) || s.limit > 0 && cost(rec) > s.limit && !inFlight {
		s.mu.Unlock()
		return ErrGone
	}
	if r == nil {
		r = s.insert(id)
		s.list(r)
	}
	n := s.merge(r, rec)
	stays := s.byID[id] == r // it may have grown so much that it had to go itself
	s.mu.Unlock()
	s.tell(n)
	if !stays {
		return ErrGone
	}
	return nil
}

func (s *records) lookup(id ID) (Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.byID[id]
	if r == nil {
		return Record{}, ErrGone
	}
	return Record{Meta: r.Meta, Finals: slices.Clone(r.Finals)}, nil
}

// add stores a callback in the record of its trip, unless its op is final there, and reports whether there is such a
// record, and still is with the callback in it.
func (s *records) add(id ID, cb Callback) bool {
	s.mu.Lock()
	r := s.byID[id]
	if r == nil || cb.Op < 0 || cb.Op >= len(r.Finals) {
		s.mu.Unlock()
		return false
	}
	var n news
	if cb.Status.Final() && !r.Finals[cb.Op].Status.Final() {
		r.Finals[cb.Op] = cb
		n = r.news(cb)
		s.changed(r)
	}
	stays := s.byID[id] == r
	s.mu.Unlock()
	s.tell(n)
	return stays
}

// merge takes the newest Meta into r, and what is new of the finals. The caller holds the mutex.
func (s *records) merge(r *record, rec Record) news {
	finals := slices.Clone(rec.Finals)
	var fresh []Callback
	for i := range finals {
		switch {
		case i < len(r.Finals) && r.Finals[i].Status.Final():
			finals[i] = r.Finals[i]
		case finals[i].Status.Final():
			fresh = append(fresh, finals[i])
		}
	}
	r.Record = Record{Meta: rec.Meta, Finals: finals}
	n := r.news(fresh...)
	s.changed(r)
	return n
}

// news addresses finals to whoever waits for r.
func (r *record) news(finals ...Callback) news {
	if len(r.watchers) == 0 || len(finals) == 0 {
		return news{}
	}
	return news{finals: finals, to: slices.Collect(maps.Keys(r.watchers))}
}

// tell hands news over. The caller does not hold the mutex: whoever is told may ask for something.
func (s *records) tell(n news) {
	for _, id := range n.to {
		for _, cb := range n.finals {
			s.table.Offer(id, cb, ignore)
		}
	}
}

// ignore is a done for whoever only listens.
func ignore(Disposition) {}

// insert makes an empty record, which nothing evicts until it is listed. The caller holds the mutex.
func (s *records) insert(id ID) *record {
	r := &record{id: id}
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

// changed counts r anew, sets its end, and makes room. The caller holds the mutex.
func (s *records) changed(r *record) {
	s.count(r, cost(r.Record)+r.claim.cost())
	r.expires = r.id.Expiry()
	if s.retention > 0 && r.Complete() {
		r.expires = time.Now().Add(s.retention)
	}
	if r.alarm != nil && r.alarm.End() {
		s.wheel.Remove(r.alarm)
	}
	r.alarm = &timerwheel.Timer[*record]{Value: r}
	s.wheel.Add(r.alarm, r.expires)
	s.evict()
}

// count says that r takes so many bytes. The caller holds the mutex.
func (s *records) count(r *record, bytes int64) {
	s.bytes += bytes - r.bytes
	if !r.listed {
		s.pinned += bytes - r.bytes
	}
	r.bytes = bytes
}

// evict loses the oldest records until the rest fits, or none may go. The caller holds the mutex.
func (s *records) evict() {
	for s.limit > 0 && s.bytes > s.limit && s.head != nil {
		s.lose(s.head)
	}
}

// expire loses r when its time has come. An alarm that rang while r was changed is not the last one.
func (s *records) expire(r *record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[r.id] == r && !time.Now().Before(r.expires) {
		s.lose(r)
	}
}

// lose drops r; callbacks that it still waits for hear ErrGone from now on. The caller holds the mutex.
func (s *records) lose(r *record) {
	if !r.Complete() {
		s.table.forgotten.add(r.id)
	}
	s.drop(r)
}

// drop takes r out, and frees the key that is bound to it. The caller holds the mutex.
func (s *records) drop(r *record) {
	if r.alarm.End() {
		s.wheel.Remove(r.alarm)
	}
	s.count(r, 0)
	delete(s.byID, r.id)
	if r.listed {
		s.unlist(r)
	}
	s.unbind(r)
}

// cost is what rec takes of the limit, in bytes. A body counts with all that its array holds beyond it.
func cost(rec Record) int64 {
	n := recordCost + cap(rec.Meta) + len(rec.Finals)*finalCost
	for i := range rec.Finals {
		n += cap(rec.Finals[i].Body)
	}
	return int64(n)
}
