package correlator_test

import (
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"syncgate/correlator"
	"syncgate/correlator/correlatortest"
)

func TestForgottenAreBounded(t *testing.T) {
	m := newMemory(t, correlator.Config{})
	expiry := time.Now().Add(time.Hour)
	first := m.NewID(expiry)
	m.Forget(first)
	for range 100_000 - 1 {
		m.Forget(m.NewID(expiry))
	}
	if err := m.Deliver(t.Context(), first, correlatortest.Final(0, `1`)); !errors.Is(err, correlator.ErrGone) {
		t.Errorf("the oldest of the last 100,000: %v", err)
	}
	m.Forget(m.NewID(expiry))
	if err := m.Deliver(t.Context(), first, correlatortest.Final(0, `1`)); err != nil {
		t.Errorf("beyond the last 100,000: %v", err)
	}
}

func TestOldestRecordsGo(t *testing.T) {
	m := newMemory(t, correlator.Config{Retention: time.Hour, Results: 10_300})
	save := func(body int, status correlator.Status) correlator.ID {
		t.Helper()
		id := m.NewID(time.Now().Add(time.Hour))
		rec := correlator.Record{Meta: []byte("m"), Finals: []correlator.Callback{{Status: status, Body: make([]byte, body)}}}
		if err := m.Save(t.Context(), id, rec); err != nil {
			t.Fatalf("save: %v", err)
		}
		return id
	}
	gone := func(id correlator.ID) bool {
		_, err := m.Lookup(t.Context(), id)
		return errors.Is(err, correlator.ErrGone)
	}
	unfinished := save(0, correlator.Open)
	finished := save(3000, correlator.Complete)
	third := save(3000, correlator.Complete)
	if gone(unfinished) || gone(finished) {
		t.Fatal("evicted too early")
	}
	fourth := save(3000, correlator.Complete)
	if !gone(unfinished) || gone(finished) || gone(third) || gone(fourth) {
		t.Error("not the oldest one went")
	}
	if err := m.Deliver(t.Context(), unfinished, correlatortest.Final(0, `1`)); !errors.Is(err, correlator.ErrGone) {
		t.Errorf("a callback of an evicted unfinished record: %v", err)
	}
	m.SetResults(4000)
	if !gone(finished) || !gone(third) || gone(fourth) {
		t.Error("the new limit does not hold")
	}
	if err := m.Deliver(t.Context(), finished, correlatortest.Final(0, `1`)); err != nil {
		t.Errorf("a callback of an evicted finished record: %v", err)
	}
	if n, bytes := m.Kept(); n != 1 || bytes > 4000 || bytes < 3000 {
		t.Errorf("kept %d records, %d bytes", n, bytes)
	}
}

func TestProlongedRecordsStay(t *testing.T) {
	m := newMemory(t, correlator.Config{Retention: time.Hour, Results: 10_000})
	id := m.NewID(time.Now().Add(time.Hour))
	if err := m.Save(t.Context(), id, correlator.Record{Finals: []correlator.Callback{correlatortest.Final(0, `1`)}}); err != nil {
		t.Fatal(err)
	}
	if err := m.Prolong(t.Context(), id, time.Hour); err != nil {
		t.Fatal(err)
	}
	m.SetResults(1)
	if _, err := m.Lookup(t.Context(), id); err != nil {
		t.Errorf("a prolonged record is evicted: %v", err)
	}
	if err := m.Prolong(t.Context(), id, 0); err != nil {
		t.Error(err)
	}
	if _, err := m.Lookup(t.Context(), id); !errors.Is(err, correlator.ErrGone) {
		t.Errorf("not evicted when it may be: %v", err)
	}
}

func TestRecordsThatDoNotFit(t *testing.T) {
	m := newMemory(t, correlator.Config{Retention: time.Hour, Results: 2000})
	small, large := m.NewID(time.Now().Add(time.Hour)), m.NewID(time.Now().Add(time.Hour))
	rec := correlator.Record{Finals: make([]correlator.Callback, 1)}
	if err := m.Save(t.Context(), small, rec); err != nil {
		t.Fatal(err)
	}
	if err := m.Save(t.Context(), large, correlator.Record{Meta: make([]byte, 5000)}); !errors.Is(err, correlator.ErrGone) {
		t.Errorf("a record larger than all may be: %v", err)
	}
	if _, err := m.Lookup(t.Context(), small); err != nil {
		t.Errorf("made room in vain: %v", err)
	}
	cb := correlator.Callback{Status: correlator.Complete, Body: make([]byte, 5000)}
	if err := m.Deliver(t.Context(), small, cb); err != nil { // a complete record that went
		t.Errorf("a callback that makes its record too large: %v", err)
	}
	if n, bytes := m.Kept(); n != 0 || bytes != 0 {
		t.Errorf("kept %d records, %d bytes", n, bytes)
	}
}

func TestUnfinishedRecordEndsWithItsID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, correlator.Config{Retention: time.Hour})
		unfinished, complete := m.NewID(time.Now().Add(10*time.Minute)), m.NewID(time.Now().Add(10*time.Minute))
		rec := correlator.Record{Meta: []byte("m"), Finals: make([]correlator.Callback, 1)}
		if err := errors.Join(m.Save(t.Context(), unfinished, rec), m.Save(t.Context(), complete, rec)); err != nil {
			t.Fatal(err)
		}
		look := func(id correlator.ID, when string, want error) {
			t.Helper()
			if _, err := m.Lookup(t.Context(), id); !errors.Is(err, want) {
				t.Errorf("%s: %v", when, err)
			}
		}
		<-time.After(10*time.Minute - time.Second)
		if err := m.Deliver(t.Context(), complete, correlatortest.Final(0, `1`)); err != nil {
			t.Error(err)
		}
		look(unfinished, "before its id's expiry", nil)
		<-time.After(2 * time.Second)
		look(unfinished, "past its id's expiry", correlator.ErrGone)
		if err := m.Save(t.Context(), unfinished, rec); !errors.Is(err, correlator.ErrGone) {
			t.Errorf("saved past its id's expiry: %v", err)
		}
		<-time.After(time.Hour - 3*time.Second)
		look(complete, "within its retention", nil)
		<-time.After(3 * time.Second)
		look(complete, "past its retention", correlator.ErrGone)
		if n, bytes := m.Kept(); n != 0 || bytes != 0 {
			t.Errorf("kept %d records, %d bytes", n, bytes)
		}
	})
}

// TestRecordsCountHonestly compares what records are said to take with what the heap grew by.
func TestRecordsCountHonestly(t *testing.T) {
	for _, ops := range []int{1, 10} {
		m := newMemory(t, correlator.Config{Retention: time.Hour})
		const n = 20_000
		before := heap()
		for range n {
			rec := correlator.Record{Meta: make([]byte, 64), Finals: make([]correlator.Callback, ops)}
			for i := range rec.Finals {
				rec.Finals[i] = correlator.Callback{Op: i, Status: correlator.Complete, Body: make([]byte, 128)}
			}
			if err := m.Save(t.Context(), m.NewID(time.Now().Add(time.Hour)), rec); err != nil {
				t.Fatal(err)
			}
		}
		grew := float64(heap()-before) / n
		_, bytes := m.Kept()
		said := float64(bytes) / n
		t.Logf("%d ops: a record takes %.0f bytes and counts as %.0f", ops, grew, said)
		if said < grew*0.95 || said > grew*1.3 {
			t.Errorf("%d ops: a record takes %.0f bytes and counts as %.0f", ops, grew, said)
		}
		runtime.KeepAlive(m)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
