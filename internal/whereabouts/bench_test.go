package whereabouts_test

import (
	"fmt"
	"testing"
	"time"

	"syncgate/internal/whereabouts"
)

// crowd is a list of so many trips that are over, and as many that wait, of 20 routes and 10 logins.
func crowd(b *testing.B, trips int) (l *whereabouts.List, in table, now time.Time) {
	b.Helper()
	now = time.Now().Add(time.Hour)
	l = whereabouts.New(trips)
	outcomes := []string{"complete", "complete", "complete", "timeout", "engine_refused"}
	for i := range trips {
		name, route, login := fmt.Sprintf("t%d", i), fmt.Sprintf("route-%d", i%20), fmt.Sprintf("login-%d", i%10)
		in = append(in, waiting(name, route, login, now, time.Duration(i*7919%trips)*time.Millisecond))
		remember(l, over(name, route, login, outcomes[i%5], now, time.Duration(trips-i)*time.Millisecond, time.Duration(i%997)*time.Millisecond, time.Duration(i%101)*time.Millisecond))
	}
	return l, in, now
}

// BenchmarkSummary and BenchmarkTrips measure what one answer to an operator costs, with 10,000 trips in flight and 10,000 that are over.
func BenchmarkSummary(b *testing.B) {
	l, in, now := crowd(b, 10_000)
	s := whereabouts.NewSummaries(l, in.each)
	b.ReportAllocs()
	for b.Loop() {
		s.Make(now, time.Minute)
	}
}

func BenchmarkTrips(b *testing.B) {
	l, in, now := crowd(b, 10_000)
	for _, state := range []string{"in_flight", "over"} {
		for _, limit := range []int{100, 1000} {
			b.Run(fmt.Sprintf("%s/limit=%d", state, limit), func(b *testing.B) {
				b.ReportAllocs()
				q := whereabouts.Query{State: state, Limit: limit}
				for b.Loop() {
					l.Trips(&q, now, in.each)
				}
			})
		}
	}
}

// BenchmarkAdd measures what the gateway pays for a trip that is over.
func BenchmarkAdd(b *testing.B) {
	l, _, now := crowd(b, 10_000)
	f, op := over("a-request-id", "route-1", "login-1", "complete", now, 0, time.Second, time.Millisecond), whereabouts.OpFacts{Process: []byte("12"), Ref: []byte(`"a-ref"`)}
	b.ReportAllocs()
	for b.Loop() {
		l.Add(&f, &op)
	}
}
