package redis_test

import (
	"context"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/correlator/correlatortest"
	"syncgate/correlator/redis"
	"syncgate/internal/redistest"
)

// silent is a trip that has everything written.
type silent struct{}

func (silent) Deliver(_ correlator.Callback, done func(correlator.Disposition)) {
	done(correlator.Written)
}
func (silent) Expire(error) {}

// once is one that says when it was.
type once struct {
	silent
	first sync.Once
	heard chan struct{}
}

func (o *once) Deliver(cb correlator.Callback, done func(correlator.Disposition)) {
	o.silent.Deliver(cb, done)
	o.first.Do(func() { close(o.heard) })
}

func TestAllocations(t *testing.T) {
	s := redistest.Start(t)
	home := start(t, config(s.URL()))
	id := park(t, home, silent{})
	cb := correlatortest.Final(0, `1`)
	if n := testing.AllocsPerRun(1000, func() { _ = home.Deliver(context.Background(), id, cb) }); n > 3 {
		t.Errorf("a local Deliver: %v allocations", n)
	}
}

func BenchmarkDeliverHere(b *testing.B) {
	s := redistest.Start(b)
	home := start(b, config(s.URL()))
	trip := silent{}
	id := park(b, home, trip)
	cb := correlatortest.Final(0, `{"result":1}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := home.Deliver(context.Background(), id, cb); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDeliverThere is a trip whose callback comes to the other node, up to and with its Close, among others at the same
// time. cpu-us/op is what both nodes use, redis-us/op what the server does.
func BenchmarkDeliverThere(b *testing.B) {
	s := redistest.Start(b)
	home, other := start(b, config(s.URL())), start(b, config(s.URL()))
	b.SetParallelism(32)
	spent(b, s, func() {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				tripThere(b, home, other)
			}
		})
	})
}

// BenchmarkDeliverThereAlone is the same with one trip after the other: how long that takes is what a callback waits.
func BenchmarkDeliverThereAlone(b *testing.B) {
	s := redistest.Start(b)
	home, other := start(b, config(s.URL())), start(b, config(s.URL()))
	spent(b, s, func() {
		for b.Loop() {
			tripThere(b, home, other)
		}
	})
}

func tripThere(b *testing.B, home, other *redis.Correlator) {
	id := home.NewID(soon())
	trip := &once{heard: make(chan struct{})}
	if err := home.Park(id, trip, soon()); err != nil {
		b.Error(err)
	}
	if err := other.Deliver(context.Background(), id, correlatortest.Final(0, `{"result":1}`)); err != nil {
		b.Error(err)
	}
	<-trip.heard
	home.Close(id)
}

// spent measures what do costs.
func spent(b *testing.B, s *redistest.Server, do func()) {
	b.Helper()
	b.ReportAllocs()
	own, server := ownCPU(b), redisCPU(b, s)
	b.ResetTimer()
	do()
	b.StopTimer()
	b.ReportMetric(float64((ownCPU(b)-own).Nanoseconds())/1000/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64((redisCPU(b, s)-server).Nanoseconds())/1000/float64(b.N), "redis-us/op")
}

// ownCPU is the processor time that this process has used.
func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// redisCPU is the processor time that the server has used.
func redisCPU(b *testing.B, s *redistest.Server) (used time.Duration) {
	b.Helper()
	for _, m := range regexp.MustCompile(`used_cpu_(?:user|sys):([0-9.]+)`).FindAllStringSubmatch(s.Do("INFO", "cpu"), -1) {
		seconds, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			b.Fatal(err)
		}
		used += time.Duration(seconds * float64(time.Second))
	}
	return used
}
