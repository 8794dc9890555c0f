package correlator_test

import (
	"context"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/correlator/correlatortest"
)

// BenchmarkScale is what the table costs when it is large. It reports figures of its own, of one go: -benchtime 1x.
func BenchmarkScale(b *testing.B) {
	b.Run("deadline", benchmarkDeadline)
	b.Run("million", benchmarkMillion)
}

// benchmarkDeadline lets 100,000 trips have the same deadline.
func benchmarkDeadline(b *testing.B) {
	for b.Loop() {
		m := newMemory(b, correlator.Config{})
		trips := make([]timed, 100_000)
		deadline := time.Now().Add(2 * time.Second)
		for i := range trips {
			trips[i].deadline = deadline
			trips[i].park(b, m, false)
		}
		var last int64
		early := 0
		for i := range trips {
			correlatortest.Eventually(b, "expired", func() bool { return trips[i].times.Load() > 0 })
			at := trips[i].at.Load()
			last = max(last, at)
			if at < deadline.UnixNano() {
				early++
			}
		}
		b.ReportMetric(float64(last-deadline.UnixNano())/1e6, "late-ms")
		b.ReportMetric(float64(early), "early")
	}
}

// benchmarkMillion parks a million trips, collects garbage beside them, and delivers to some.
func benchmarkMillion(b *testing.B) {
	const n, delivered = 1_000_000, 200_000
	for b.Loop() {
		m := newMemory(b, correlator.Config{})
		trip := new(expiry)
		deadline := time.Now().Add(time.Hour)
		ids := make([]correlator.ID, delivered)
		park := func(count int) {
			for i := range count {
				id := m.NewID(deadline)
				if err := m.Park(id, trip, deadline); err != nil {
					b.Fatal(err)
				}
				ids[i%delivered] = id
			}
		}
		park(1)
		b.ReportMetric(deliverEach(b, m, ids[:1], delivered), "ns/deliver-alone")
		before := heap()
		park(n)
		b.ReportMetric(float64(heap()-before)/n, "B/trip")
		cycle, longest := collect()
		b.ReportMetric(float64(cycle)/1e6, "cycle-ms")
		b.ReportMetric(float64(longest)/1e3, "pause-us")
		b.ReportMetric(deliverEach(b, m, ids, delivered), "ns/deliver")
		runtime.KeepAlive(m)
	}
}

// deliverEach delivers so many callbacks to ids in turn and gives the nanoseconds of one.
func deliverEach(b *testing.B, m *correlator.Memory, ids []correlator.ID, times int) float64 {
	b.Helper()
	cb := correlatortest.Final(0, `{"result":1}`)
	began := time.Now()
	for i := range times {
		if err := m.Deliver(context.Background(), ids[i%len(ids)], cb); err != nil {
			b.Fatal(err)
		}
	}
	return float64(time.Since(began)) / float64(times)
}

// collect collects garbage and gives how long that took and its longest pause.
func collect() (cycle, longest time.Duration) {
	began := time.Now()
	runtime.GC()
	cycle = time.Since(began)
	var stats debug.GCStats
	debug.ReadGCStats(&stats)
	if len(stats.Pause) > 0 {
		longest = stats.Pause[0] // the latest cycle's, its pauses together
	}
	return cycle, longest
}
