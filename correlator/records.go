package correlator

import (
	"slices"
	"sync"
	"time"
)

const (
	// recordsTick is how exactly a record's end is kept.
	recordsTick = 100 * time.Millisecond
	// recordCost and finalCost are the bytes that a record, and each of its ops, takes beside its contents.
	recordCost = 352
	finalCost  = 40
)

// records keeps Records in memory, the newest when there are too many.
type records struct {
	// Fixed after newRecords.
	retention time.Duration
	wheel     *wheel[*record]
	forget    func(ID) // called for every record that leaves unfinished, before it does

	mu         sync.Mutex // guards the rest, and the records
	byID       map[ID]*record
	head, tail *record // by the time of their first Save, oldest first
	bytes      int64
	limit      int64 // 0: none
}

type record struct {
	Record
	id           ID
	bytes        int64
	expires      time.Time
	alarm        *timer[*record]
	older, newer *record
}

func newRecords(retention time.Duration, limit int64, forget func(ID)) *records {
	s := &records{retention: retention, limit: limit, forget: forget, byID: make(map[ID]*record)}
	s.wheel = newWheel(recordsTick, s.expire)
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

func (s *records) save(id ID, rec Record) error {
	finals := slices.Clone(rec.Finals)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.byID[id]
	if r != nil {
		for i := range min(len(finals), len(r.Finals)) {
			if r.Finals[i].Status.Final() {
				finals[i] = r.Finals[i]
			}
		}
	} else {
		r = &record{id: id}
	}
	rec.Finals = finals
	if s.retention == 0 || !time.Now().Before(id.Expiry()) || s.limit > 0 && cost(rec) > s.limit {
		return ErrGone
	}
	r.Record = rec
	s.insert(r)
	s.changed(r)
	if s.byID[id] != r { // grown so much that it had to go itself
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
	defer s.mu.Unlock()
	r := s.byID[id]
	if r == nil || cb.Op < 0 || cb.Op >= len(r.Finals) {
		return false
	}
	if cb.Status.Final() && !r.Finals[cb.Op].Status.Final() {
		r.Finals[cb.Op] = cb
		s.changed(r)
	}
	return s.byID[id] == r
}

// insert makes a new record the newest one; it does nothing for one that is kept already. The caller holds the mutex.
func (s *records) insert(r *record) {
	if s.byID[r.id] == r {
		return
	}
	s.byID[r.id] = r
	r.older = s.tail
	if s.tail != nil {
		s.tail.newer = r
	} else {
		s.head = r
	}
	s.tail = r
}

// changed counts r anew, sets its end, and makes room. The caller holds the mutex.
func (s *records) changed(r *record) {
	s.bytes -= r.bytes
	r.bytes = cost(r.Record)
	s.bytes += r.bytes
	r.expires = r.id.Expiry()
	if r.Complete() {
		r.expires = time.Now().Add(s.retention)
	}
	if r.alarm != nil && r.alarm.end() {
		s.wheel.remove(r.alarm)
	}
	r.alarm = &timer[*record]{value: r}
	s.wheel.add(r.alarm, r.expires)
	s.evict()
}

// evict drops the oldest records until the rest fits. The caller holds the mutex.
func (s *records) evict() {
	for s.limit > 0 && s.bytes > s.limit && s.head != nil {
		s.drop(s.head)
	}
}

// expire drops r when its time has come. An alarm that rang while r was changed is not the last one.
func (s *records) expire(r *record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[r.id] == r && !time.Now().Before(r.expires) {
		s.drop(r)
	}
}

// drop takes r out. The caller holds the mutex.
func (s *records) drop(r *record) {
	if !r.Complete() {
		s.forget(r.id)
	}
	if r.alarm.end() {
		s.wheel.remove(r.alarm)
	}
	delete(s.byID, r.id)
	s.bytes -= r.bytes
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
}

// cost is what rec takes of the limit, in bytes. A body counts with all that its array holds beyond it.
func cost(rec Record) int64 {
	n := recordCost + cap(rec.Meta) + len(rec.Finals)*finalCost
	for i := range rec.Finals {
		n += cap(rec.Finals[i].Body)
	}
	return int64(n)
}
