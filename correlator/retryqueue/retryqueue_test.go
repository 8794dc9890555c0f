package retryqueue

import (
	"context"
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
