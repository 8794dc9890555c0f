package correlator_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"syncgate/correlator"
	"syncgate/correlator/correlatortest"
)

// claimAs has a new trip claim the key of that name. Its record has a Meta of so many bytes.
func claimAs(t *testing.T, m *correlator.Memory, name string, meta int) (id, owner correlator.ID, err error) {
	t.Helper()
	id = m.NewID(time.Now().Add(time.Hour))
	rec := correlator.Record{Meta: make([]byte, meta), Finals: make([]correlator.Callback, 1)}
	owner, err = m.Claim(t.Context(), correlator.Key{Name: name}, [32]byte{}, id, rec)
	return id, owner, err
}

// TestInFlightIsNotEvicted: however full it gets, a key whose trip may still be answered does not become free.
func TestInFlightIsNotEvicted(t *testing.T) {
	m := newMemory(t, correlator.Config{Retention: time.Hour, Results: 10_000})
	first, _, err := claimAs(t, m, "first", 3000)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Park(first, new(expiry), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		id := m.NewID(time.Now().Add(time.Hour))
		rec := correlator.Record{Meta: make([]byte, 3000), Finals: []correlator.Callback{correlatortest.Final(0, `1`)}}
		if err := m.Save(t.Context(), id, rec); err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
	if _, owner, err := claimAs(t, m, "first", 0); err != nil || owner != first {
		t.Fatalf("in flight, but its key is free: %v", err)
	}
	m.Close(first)
	m.SetResults(7000)
	if _, err := m.Lookup(t.Context(), first); err != nil { // two of the others are older
		t.Errorf("over, but not the oldest: %v", err)
	}
	m.SetResults(1000)
	if _, owner, err := claimAs(t, m, "first", 0); err != nil || owner == first {
		t.Errorf("evicted, but its key is not free: %v", err)
	}
}

// TestClaimsAreBounded: what cannot be evicted is refused before there is too much of it, and nothing goes in vain.
func TestClaimsAreBounded(t *testing.T) {
	m := newMemory(t, correlator.Config{Retention: time.Hour, Results: 10_000})
	kept := m.NewID(time.Now().Add(time.Hour))
	if err := m.Save(t.Context(), kept, correlator.Record{Finals: make([]correlator.Callback, 1)}); err != nil {
		t.Fatal(err)
	}
	id, _, err := claimAs(t, m, "first", 4000)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := claimAs(t, m, "second", 4000); err != nil {
		t.Fatal(err)
	}
	if _, _, err := claimAs(t, m, "third", 4000); !errors.Is(err, correlator.ErrUnavailable) {
		t.Errorf("no room: %v", err)
	}
	if _, err := m.Lookup(t.Context(), kept); err != nil {
		t.Errorf("made room in vain: %v", err)
	}
	if err := m.Release(t.Context(), correlator.Key{Name: "first"}, id); err != nil {
		t.Fatal(err)
	}
	if _, _, err := claimAs(t, m, "third", 4000); err != nil {
		t.Errorf("room again: %v", err)
	}
	if _, bytes := m.Kept(); bytes > 10_000 {
		t.Errorf("kept %d bytes", bytes)
	}
}

// TestLargeResultInFlight: a result that is larger than all records may be is heard by whoever waits, and then goes.
func TestLargeResultInFlight(t *testing.T) {
	m := newMemory(t, correlator.Config{Retention: time.Hour, Results: 5000})
	id, _, err := claimAs(t, m, "k", 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Park(id, new(expiry), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	waiter := correlatortest.Always(correlator.Held)
	detach, err := m.Attach(t.Context(), id, waiter, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	rec := correlator.Record{Finals: []correlator.Callback{correlatortest.Final(0, strings.Repeat(" ", 9000))}}
	if err := m.Save(t.Context(), id, rec); err != nil {
		t.Errorf("save: %v", err)
	}
	if cb := correlatortest.Next(t, waiter.Heard, "final"); len(cb.Body) != 9000 {
		t.Errorf("heard %d bytes", len(cb.Body))
	}
	m.Close(id)
	detach()
	if n, bytes := m.Kept(); n != 0 || bytes != 0 {
		t.Errorf("kept %d records, %d bytes", n, bytes)
	}
	if m.Len() != 0 {
		t.Errorf("%d parked", m.Len())
	}
}

// TestClaimEndsWithItsID: a claim that nobody releases lasts as long as callbacks may come, with and without retention.
func TestClaimEndsWithItsID(t *testing.T) {
	for _, retention := range []time.Duration{0, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory(t, correlator.Config{Retention: retention, Results: 1 << 20})
			id, _, err := claimAs(t, m, "k", 10)
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Hour - time.Second)
			if _, owner, err := claimAs(t, m, "k", 10); err != nil || owner != id {
				t.Errorf("retention %v, before the id's expiry: %v", retention, err)
			}
			<-time.After(2 * time.Second)
			if _, owner, err := claimAs(t, m, "k", 10); err != nil || owner == id {
				t.Errorf("retention %v, past the id's expiry: %v", retention, err)
			}
			if n, _ := m.Kept(); n != 1 {
				t.Errorf("kept %d records", n)
			}
		})
	}
}

// TestClaimsCountHonestly compares what claimed records are said to take with what the heap grew by, and sees that
// nothing is left of them after their release.
func TestClaimsCountHonestly(t *testing.T) {
	m := newMemory(t, correlator.Config{Retention: time.Hour})
	const n = 20_000
	ids, keys := make([]correlator.ID, n), make([]correlator.Key, n)
	for i := range keys {
		keys[i] = correlator.Key{Login: "12345", Name: fmt.Sprintf("%036d", i)}
	}
	before := heap()
	for i := range ids {
		ids[i] = m.NewID(time.Now().Add(time.Hour))
		key := correlator.Key{Login: strings.Clone(keys[i].Login), Name: strings.Clone(keys[i].Name)}
		rec := correlator.Record{Meta: make([]byte, 64), Finals: make([]correlator.Callback, 1)}
		if _, err := m.Claim(t.Context(), key, [32]byte{}, ids[i], rec); err != nil {
			t.Fatal(err)
		}
	}
	grew := float64(heap()-before) / n
	_, bytes := m.Kept()
	said := float64(bytes) / n
	t.Logf("a claimed record takes %.0f bytes and counts as %.0f", grew, said)
	if said < grew*0.95 || said > grew*1.3 {
		t.Errorf("a claimed record takes %.0f bytes and counts as %.0f", grew, said)
	}
	for i, id := range ids {
		if i%2 == 0 {
			m.Close(id)
		}
		if err := m.Release(t.Context(), keys[i], id); err != nil {
			t.Fatal(err)
		}
	}
	if n, bytes := m.Kept(); n != 0 || bytes != 0 {
		t.Errorf("kept %d records, %d bytes", n, bytes)
	}
	runtime.KeepAlive(m)
}

// TestDetachedLeaveNothing: who has come and gone takes no memory, however long what they waited for is kept.
func TestDetachedLeaveNothing(t *testing.T) {
	m := newMemory(t, correlator.Config{Retention: time.Hour})
	id, _, err := claimAs(t, m, "k", 10)
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	for range 50_000 {
		detach, err := m.Attach(t.Context(), id, new(expiry), time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		detach()
	}
	if grew := int64(heap()) - int64(before); grew > 200_000 { //nolint:gosec // a heap
		t.Errorf("50,000 that are gone take %d bytes", grew)
	}
	runtime.KeepAlive(m)
}

// TestClaimsAndEvictions has claims, saves, closes, releases and waits meet in a store that is too small: it stays within
// its limit, and in the end nothing is left.
func TestClaimsAndEvictions(t *testing.T) {
	const limit = 50_000
	m := newMemory(t, correlator.Config{Retention: time.Hour, Results: limit})
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := range 500 {
				evicting(t, m, fmt.Sprint(i%40), (w+i)%4)
				if _, bytes := m.Kept(); bytes > limit+8*3000 { // a trip in flight may grow
					t.Errorf("kept %d bytes", bytes)
				}
			}
		})
	}
	all.Wait()
	m.SetResults(1)
	if n, bytes := m.Kept(); n != 0 || bytes != 0 {
		t.Errorf("kept %d records, %d bytes", n, bytes)
	}
	if m.Len() != 0 {
		t.Errorf("%d parked", m.Len())
	}
}

// evicting is one trip with a key, which ends in one of four ways, or waits for the owner of the key.
func evicting(t *testing.T, m *correlator.Memory, name string, way int) {
	k := correlator.Key{Name: name}
	id := m.NewID(time.Now().Add(time.Hour))
	rec := correlator.Record{Meta: make([]byte, 100), Finals: make([]correlator.Callback, 1)}
	owner, err := m.Claim(t.Context(), k, [32]byte{}, id, rec)
	if err != nil {
		t.Errorf("claim: %v", err)
		return
	}
	if owner != id {
		detach, err := m.Attach(t.Context(), owner, new(expiry), time.Now().Add(time.Hour))
		if err == nil {
			detach()
		} else if !errors.Is(err, correlator.ErrGone) {
			t.Errorf("attach: %v", err)
		}
		return
	}
	if err := m.Park(id, new(expiry), time.Now().Add(time.Hour)); err != nil {
		t.Errorf("park: %v", err)
	}
	switch way {
	case 0:
		_ = m.Release(t.Context(), k, id)
	case 1:
		rec.Finals = []correlator.Callback{correlatortest.Final(0, strings.Repeat(" ", 3000))}
		if err := m.Save(t.Context(), id, rec); err != nil {
			t.Errorf("save: %v", err)
		}
	case 2:
		if err := m.Deliver(t.Context(), id, correlatortest.Final(0, strings.Repeat(" ", 2000))); err != nil {
			t.Errorf("deliver: %v", err)
		}
	}
	m.Close(id)
}
