package correlator_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"syncgate/correlator"
	"syncgate/correlator/correlatortest"
)

func newMemory(t testing.TB, cfg correlator.Config) *correlator.Memory {
	t.Helper()
	m := correlator.NewMemory(cfg)
	t.Cleanup(func() {
		if err := m.Shutdown(context.Background()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return m
}

func TestContract(t *testing.T) {
	correlatortest.Run(t, func(t *testing.T, o correlatortest.Options) correlatortest.Nodes {
		m := newMemory(t, correlator.Config{Parked: o.Parked, Retention: o.Retention})
		return correlatortest.Nodes{Home: m, Other: m}
	})
}

func TestConfig(t *testing.T) {
	if err := correlator.Default().Validate(); err != nil {
		t.Errorf("default: %v", err)
	}
	err := correlator.Config{Parked: -1, Retention: -1, Results: -1}.Validate()
	const want = "parked: must not be negative\nretention: must not be negative\nresults: must not be negative"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// expiry is a Receiver that notes when it expired.
type expiry struct {
	at    atomic.Int64 // Unix nanoseconds
	times atomic.Int32
}

func (e *expiry) Deliver(_ correlator.Callback, done func(correlator.Disposition)) {
	done(correlator.Written)
}

func (e *expiry) Expire(error) {
	e.at.Store(time.Now().UnixNano())
	e.times.Add(1)
}

// timed is a trip with a deadline.
type timed struct {
	expiry
	deadline time.Time
	closed   bool
}

// park parks the trip, and takes it out again if it is to be closed.
func (tr *timed) park(t *testing.T, m *correlator.Memory, closed bool) {
	t.Helper()
	id := m.NewID(tr.deadline)
	if err := m.Park(id, tr, tr.deadline); err != nil {
		t.Fatal(err)
	}
	if closed {
		m.Close(id)
		tr.closed = true
	}
}

// check tells whether the trip expired as it should have, at most slack after its deadline.
func (tr *timed) check(slack time.Duration) error {
	times, late := tr.times.Load(), time.Duration(tr.at.Load()-tr.deadline.UnixNano())
	if tr.closed && times > 0 {
		return errors.New("expired after its close")
	}
	if !tr.closed && (times != 1 || late < 0 || late > slack) {
		return fmt.Errorf("expired %d times, %v after its deadline", times, late)
	}
	return nil
}

// TestDeadlines parks trips at all distances, beyond several rounds of the wheel too, while others come and go.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, correlator.Config{})
		rnd := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's choices
		trips := make([]timed, 3000)
		for i := range trips {
			if i%100 == 0 { // the wheel is idle at first, and later it is not
				<-time.After(time.Duration(rnd.Int64N(int64(90 * time.Second))))
			}
			trips[i].deadline = time.Now().Add(time.Duration(rnd.Int64N(int64(150 * time.Second))))
			trips[i].park(t, m, i%5 == 0)
		}
		<-time.After(200 * time.Second)
		for i := range trips {
			if err := trips[i].check(10 * time.Millisecond); err != nil {
				t.Errorf("trip %d: %v", i, err)
			}
		}
	})
}

// TestDeadlineIsPast: a trip that is parked too late expires in the next tick.
func TestDeadlineIsPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, correlator.Config{})
		for _, ago := range []time.Duration{0, time.Millisecond, time.Hour, 1 << 62} {
			tr := timed{deadline: time.Now()}
			if err := m.Park(m.NewID(tr.deadline), &tr, time.Now().Add(-ago)); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Minute)
			if err := tr.check(20 * time.Millisecond); err != nil {
				t.Errorf("%v ago: %v", ago, err)
			}
		}
		far := timed{closed: true} // no overflow makes this one expire
		if err := m.Park(m.NewID(time.Now()), &far, time.Unix(1<<60, 0)); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		if err := far.check(0); err != nil {
			t.Error(err)
		}
	})
}

// closer is a trip whose end closes another.
type closer struct {
	expiry
	m     *correlator.Memory
	other correlator.ID
}

func (c *closer) Expire(reason error) {
	c.expiry.Expire(reason)
	c.m.Close(c.other)
}

// TestCloseOfOneThatIsDue: even in the moment of its deadline a closed trip does not expire.
func TestCloseOfOneThatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, correlator.Config{})
		deadline := time.Now().Add(time.Second)
		trips := []*closer{{m: m, other: m.NewID(deadline)}, {m: m, other: m.NewID(deadline)}}
		if err := errors.Join(m.Park(trips[1].other, trips[0], deadline), m.Park(trips[0].other, trips[1], deadline)); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Second)
		if n := trips[0].times.Load() + trips[1].times.Load(); n != 1 {
			t.Errorf("%d of two trips that close each other expired", n)
		}
	})
}

func TestManyDeadlinesAtOnce(t *testing.T) {
	const trips = 100_000
	m := newMemory(t, correlator.Config{})
	all := make([]expiry, trips)
	deadline := time.Now().Add(1500 * time.Millisecond)
	for i := range all {
		if err := m.Park(m.NewID(deadline), &all[i], deadline); err != nil {
			t.Fatal(err)
		}
	}
	if time.Now().After(deadline) {
		t.Fatalf("parking %d trips took longer than the wait", trips)
	}
	correlatortest.Eventually(t, "all expired", func() bool { return all[trips-1].times.Load()+all[0].times.Load() == 2 })
	correlatortest.Eventually(t, "all expired", func() bool {
		for i := range all {
			if all[i].times.Load() != 1 {
				return false
			}
		}
		return true
	})
	var last int64
	for i := range all {
		if all[i].at.Load() < deadline.UnixNano() {
			t.Fatalf("trip %d expired %v early", i, deadline.UnixNano()-all[i].at.Load())
		}
		last = max(last, all[i].at.Load())
	}
	late := time.Duration(last - deadline.UnixNano())
	t.Logf("the last of %d expired %v after the deadline", trips, late)
	if late > 100*time.Millisecond && !raceEnabled {
		t.Errorf("the last of %d expired %v after the deadline", trips, late)
	}
}

// TestRaces has Park, Expire, Close, Deliver and Drain meet: the table ends empty, and no trip expires twice.
func TestRaces(t *testing.T) {
	m := newMemory(t, correlator.Config{})
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Millisecond)
	defer cancel()
	var all sync.WaitGroup
	var refused atomic.Int64
	trips := make([]expiry, 16_000)
	race := func(e *expiry, i int) {
		id := m.NewID(time.Now().Add(time.Minute))
		err := m.Park(id, e, time.Now().Add(time.Duration(i%40)*time.Millisecond))
		if errors.Is(err, correlator.ErrDraining) {
			refused.Add(1)
			return
		}
		if err != nil {
			t.Errorf("park: %v", err)
		}
		all.Go(func() { _ = m.Deliver(ctx, id, correlatortest.Final(0, `1`)) })
		all.Go(func() {
			<-time.After(time.Duration(i%50) * time.Millisecond)
			m.Close(id)
		})
	}
	for w := range 8 {
		all.Go(func() {
			for i := range 2000 {
				race(&trips[w*2000+i], i)
			}
		})
	}
	drained := make(chan error, 1)
	go func() {
		<-time.After(20 * time.Millisecond)
		drained <- m.Drain(ctx)
	}()
	all.Wait()
	_ = correlatortest.Next(t, drained, "drain") // in time or not
	if m.Len() != 0 {
		t.Errorf("%d trips left after the drain", m.Len())
	}
	for i := range trips {
		if n := trips[i].times.Load(); n > 1 {
			t.Errorf("trip %d expired %d times", i, n)
		}
	}
	t.Logf("%d refused by the drain", refused.Load())
}

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

func TestParkedMemory(t *testing.T) {
	m := newMemory(t, correlator.Config{})
	const n = 100_000
	trip := new(expiry)
	before := heap()
	deadline := time.Now().Add(time.Hour)
	for range n {
		if err := m.Park(m.NewID(deadline), trip, deadline); err != nil {
			t.Fatal(err)
		}
	}
	each := float64(heap()-before) / n
	t.Logf("%.0f bytes per parked trip", each)
	if each > 200 {
		t.Errorf("%.0f bytes per parked trip", each)
	}
	runtime.KeepAlive(m)
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector allocates")
		return
	}
	m := newMemory(t, correlator.Config{})
	trip := new(expiry)
	deadline := time.Now().Add(time.Hour)
	id := m.NewID(deadline)
	if n := testing.AllocsPerRun(1000, func() {
		_ = m.Park(id, trip, deadline)
		m.Close(id)
	}); n > 1 {
		t.Errorf("Park and Close: %v allocations", n)
	}
	if err := m.Park(id, trip, deadline); err != nil {
		t.Fatal(err)
	}
	cb := correlatortest.Final(0, `1`)
	if n := testing.AllocsPerRun(1000, func() { _ = m.Deliver(context.Background(), id, cb) }); n > 0 {
		t.Errorf("Deliver: %v allocations", n)
	}
}

func BenchmarkParkClose(b *testing.B) {
	for _, others := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("others=%d", others), func(b *testing.B) {
			m := newMemory(b, correlator.Config{})
			trip := new(expiry)
			deadline := time.Now().Add(time.Hour)
			for range others {
				_ = m.Park(m.NewID(deadline), trip, deadline)
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					id := m.NewID(deadline)
					_ = m.Park(id, trip, deadline)
					m.Close(id)
				}
			})
		})
	}
}

func BenchmarkDeliver(b *testing.B) {
	m := newMemory(b, correlator.Config{})
	trip := new(expiry)
	deadline := time.Now().Add(time.Hour)
	id := m.NewID(deadline)
	if err := m.Park(id, trip, deadline); err != nil {
		b.Fatal(err)
	}
	cb := correlatortest.Final(0, `{"result":1}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Deliver(context.Background(), id, cb); err != nil {
			b.Fatal(err)
		}
	}
}
