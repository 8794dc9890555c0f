package retryqueue

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"syncgate/correlator"
)

// store keeps what it is given, unless it is away.
type store struct {
	correlator.Keeper
	away  atomic.Bool
	saved map[correlator.ID]correlator.Record
}

func (s *store) Save(_ context.Context, id correlator.ID, rec correlator.Record) error {
	if s.away.Load() {
		return correlator.ErrUnavailable
	}
	s.saved[id] = rec
	return nil
}

func record(bodies ...string) (rec correlator.Record) {
	for i, body := range bodies {
		cb := correlator.Callback{Op: i}
		if body != "" {
			cb.Status, cb.Body = correlator.Complete, []byte(body)
		}
		rec.Finals = append(rec.Finals, cb)
	}
	return rec
}

func bodies(rec correlator.Record) (all []string) {
	for _, cb := range rec.Finals {
		all = append(all, string(cb.Body))
	}
	return all
}

func start() (*Queue, *store, correlator.ID) {
	s := &store{saved: make(map[correlator.ID]correlator.Record)}
	s.away.Store(true)
	return New(s, time.Second), s, correlator.NewID(correlator.NewNodeID(), time.Now())
}

// TestRecordsAreSavedLater with every final that was added, as soon as the store is back.
func TestRecordsAreSavedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s, id := start()
		q.Add(id, record("a", ""))
		q.Add(id, record("", "b"))
		if err := q.Save(id); err == nil || q.Len() != 1 {
			t.Errorf("%v, %d wait", err, q.Len())
		}
		<-time.After(10 * pause)
		synctest.Wait()
		s.away.Store(false)
		<-time.After(pause)
		synctest.Wait()
		if got := bodies(s.saved[id]); q.Len() != 0 || !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("%q is saved, %d wait", got, q.Len())
		}
		if q.bytes != 0 || q.retrying {
			t.Errorf("%d bytes, retrying %t", q.bytes, q.retrying)
		}
	})
}

// TestDroppedRecordIsNotSaved and what has no room is not added.
func TestDroppedRecordIsNotSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s, id := start()
		q.Add(id, record("a"))
		q.Add(correlator.NewID(id.Home(), time.Now()), record(string(make([]byte, mostBytes))))
		if q.Len() != 1 {
			t.Errorf("%d wait", q.Len())
		}
		q.Drop(id)
		s.away.Store(false)
		<-time.After(2 * pause)
		synctest.Wait()
		if len(s.saved) != 0 || q.Len() != 0 {
			t.Errorf("%d are saved, %d wait", len(s.saved), q.Len())
		}
	})
}

// TestCloseSaysWhatIsLost after its last attempts.
func TestCloseSaysWhatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s, id := start()
		q.Add(id, record("a"))
		begun := time.Now()
		if lost := q.Close(t.Context()); lost != 1 || time.Since(begun) < lastAttempts {
			t.Errorf("%d are lost after %v", lost, time.Since(begun))
		}
		s.away.Store(false)
		if lost := q.Close(t.Context()); lost != 0 || len(s.saved) != 1 {
			t.Errorf("%d are lost, %d saved", lost, len(s.saved))
		}
	})
}

// saver saves as a function says.
type saver func(correlator.ID, correlator.Record) error

func (s saver) Save(_ context.Context, id correlator.ID, rec correlator.Record) error {
	return s(id, rec)
}

// TestFinalThatComesMeanwhile: a final that is added while an earlier state of the record is being saved is saved, too.
func TestFinalThatComesMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := correlator.NewID(correlator.NewNodeID(), time.Now())
		var saved []correlator.Record
		var q *Queue
		q = New(saver(func(_ correlator.ID, rec correlator.Record) error {
			if saved = append(saved, rec); len(saved) == 1 {
				q.Add(id, record("", "b"))
			}
			return nil
		}), time.Second)
		q.Add(id, record("a", ""))
		if err := q.Save(id); err != nil || q.Len() != 1 {
			t.Errorf("%v, %d wait", err, q.Len())
		}
		<-time.After(2 * pause)
		synctest.Wait()
		if len(saved) != 2 || !slices.Equal(bodies(saved[1]), []string{"a", "b"}) || q.Len() != 0 || q.bytes != 0 {
			t.Errorf("%d are saved, %d wait, %d bytes", len(saved), q.Len(), q.bytes)
		}
	})
}

// TestRecordThatTheStoreRefuses is given up: it would be refused again, and the callbacks of its trip wait for it.
func TestRecordThatTheStoreRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, refusal := range []error{correlator.ErrGone, correlator.ErrTooLarge, errors.New("bad record")} {
			q := New(saver(func(correlator.ID, correlator.Record) error { return refusal }), time.Second)
			id := correlator.NewID(correlator.NewNodeID(), time.Now())
			q.Add(id, record("a"))
			if err := q.Save(id); err != nil || q.Len() != 0 || q.bytes != 0 {
				t.Errorf("%v: %v, %d wait", refusal, err, q.Len())
			}
			<-time.After(2 * pause)
			synctest.Wait()
		}
	})
}

// TestQueueTakesAgain: it starts again after it was empty, has room again for what was saved or dropped, and takes nothing after Close.
func TestQueueTakesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, s, id := start()
		body := make([]byte, mostBytes)
		large := func() correlator.Record {
			return correlator.Record{Finals: []correlator.Callback{{Status: correlator.Complete, Body: body}}}
		}
		for range 3 {
			q.Add(id, large())
			q.Drop(id)
			s.away.Store(false)
			q.Add(id, large())
			if q.Len() != 1 {
				t.Fatalf("%d wait", q.Len())
			}
			<-time.After(2 * pause)
			synctest.Wait()
			if q.Len() != 0 || len(s.saved[id].Finals) != 1 {
				t.Fatalf("%d wait, %d are saved", q.Len(), len(s.saved))
			}
			delete(s.saved, id)
		}
		if lost := q.Close(t.Context()); lost != 0 {
			t.Errorf("%d are lost", lost)
		}
		if q.Add(id, record("a")); q.Len() != 0 {
			t.Error("it takes a record after Close")
		}
	})
}

// TestCloseWaits for a save that is under way, however little time is left: nothing is saved when it has returned.
func TestCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn, calls := make(chan struct{}), 0
		q := New(saver(func(correlator.ID, correlator.Record) error {
			if calls++; calls == 1 {
				<-goOn
			}
			return nil
		}), time.Second)
		q.Add(correlator.NewID(correlator.NewNodeID(), time.Now()), record("a"))
		<-time.After(2 * pause)
		closed := make(chan int64, 1)
		go func() { closed <- q.Close(t.Context()) }()
		synctest.Wait()
		if len(closed) != 0 {
			t.Error("it has returned while a record is being saved")
		}
		close(goOn)
		if lost := <-closed; lost != 0 {
			t.Errorf("%d are lost", lost)
		}
	})
}
