package whereabouts_test

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"syncgate/internal/whereabouts"
)

// is reports whether a percentile is there and has a value.
func is(p *float64, want float64) bool { return p != nil && *p == want }

// TestSummary sums up by route and login: what waits, what has ended within the window, how, and how long it took.
func TestSummary(t *testing.T) {
	l := whereabouts.New(1000)
	now := time.Now().Add(time.Hour) // the list is as old
	in := table{
		waiting("a", "pay", "shop", now, 3*time.Second), waiting("b", "pay", "shop", now, 7*time.Second), waiting("c", "pay", "web", now, time.Second),
	}
	in[1].Queued = true
	for i := range 100 { // engine 1 to 100 ms, the rest 10 to 1000
		engine, rest := time.Duration(i+1)*time.Millisecond, time.Duration(i+1)*10*time.Millisecond
		remember(l, over(fmt.Sprintf("e%d", i), "pay", "shop", "complete", now, 10*time.Second, engine+rest, engine))
	}
	refused := over("r", "pay", "shop", "limited", now, time.Second, 0, 0)
	refused.Forwarded = 0
	remember(l, refused)
	remember(l, over("before", "pay", "shop", "complete", now, 61*time.Second, time.Second, 0), over("x", "corezoid", "web", "timeout", now, 0, 5*time.Second, 0))
	s := whereabouts.NewSummaries(l, in.each)
	got := s.Make(now, time.Minute)
	if got.Window != 60 || got.Covered != 60 || len(got.Groups) != 3 || got.More || !got.Now.Equal(now.Truncate(time.Millisecond)) {
		t.Fatalf("%+v", got)
	}
	g := got.Groups[0]
	if g.Route != "pay" || g.Login != "shop" || g.InFlight != 2 || g.Queued != 1 || g.Oldest != 7000 || g.Ended != 101 || g.Rate != 1.683 ||
		!maps.Equal(g.Outcomes, map[string]int{"complete": 100, "limited": 1}) {
		t.Errorf("%+v", g)
	}
	if !is(g.EngineP50, 50) || !is(g.EngineP99, 99) || !is(g.WaitP50, 500) || !is(g.WaitP99, 990) {
		t.Errorf("%v %v %v %v", *g.EngineP50, *g.EngineP99, *g.WaitP50, *g.WaitP99)
	}
	if g := got.Groups[1]; g.Route != "corezoid" || g.Ended != 1 || g.EngineP50 != nil || !is(g.WaitP99, 5000) || g.Outcomes["timeout"] != 1 || g.Oldest != 0 {
		t.Errorf("%+v", g) // the engine has not answered
	}
	if g := got.Groups[2]; g.Login != "web" || g.InFlight != 1 || g.Ended != 0 || g.Rate != 0 || g.WaitP50 != nil || g.Outcomes == nil {
		t.Errorf("%+v", g)
	}
	if got := s.Make(now, 62*time.Second); got.Groups[0].Ended != 102 {
		t.Errorf("in a longer window: %+v", got.Groups[0])
	}
	got = whereabouts.NewSummaries(nil, in.each).Make(now, time.Minute)
	if len(got.Groups) != 2 || got.Covered != 0 {
		t.Errorf("without a list: %+v", got)
	}
}

// TestSummaryCovers: where the list does not reach back for the whole window, a rate is that of the time that it covers.
func TestSummaryCovers(t *testing.T) {
	l := whereabouts.New(4000) // of eight parts
	now := time.Now()
	if got := whereabouts.NewSummaries(l, table{}.each).Make(now.Add(2*time.Second), time.Minute); got.Covered < 2 || got.Covered > 3 {
		t.Errorf("just made: it covers %v", got.Covered)
	}
	now = now.Add(time.Hour)
	for i := range 20_000 { // 100 a second, the last one just now
		remember(l, over(fmt.Sprintf("e%d", i), "pay", "shop", "complete", now, time.Duration(19_999-i)*10*time.Millisecond, time.Millisecond, 0))
	}
	got := whereabouts.NewSummaries(l, table{}.each).Make(now, time.Minute)
	if got.Covered < 30 || got.Covered > 41 || got.Groups[0].Rate < 99 || got.Groups[0].Rate > 101 {
		t.Errorf("it covers %v s at a rate of %v", got.Covered, got.Groups[0].Rate)
	}
	if got := whereabouts.NewSummaries(l, table{}.each).Make(now, 10*time.Second); got.Covered != 10 || got.Groups[0].Ended < 1000 || got.Groups[0].Ended > 1001 {
		t.Errorf("within 10 s of %v: %+v", got.Covered, got.Groups[0])
	}
}

// TestSummaryIsBounded: the busiest groups are shown, under their whole names.
func TestSummaryIsBounded(t *testing.T) {
	l := whereabouts.New(10_000)
	now := time.Now().Add(time.Hour)
	for i := range 300 {
		for n := range i/100 + 1 {
			remember(l, over(fmt.Sprintf("e%d-%d", i, n), "a-route-with-a-long-name-and-a-number", fmt.Sprintf("a-login-with-a-long-name-%03d", i), "complete", now, 0, 0, 0))
		}
	}
	s := whereabouts.NewSummaries(l, table{}.each)
	for range 2 { // the room of the first is used again
		wantBusiest(t, s.Make(now, time.Minute))
	}
}

// wantBusiest wants the 200 groups with the most trips, and of as many trips by name.
func wantBusiest(t *testing.T, got whereabouts.Summary) {
	t.Helper()
	if len(got.Groups) != whereabouts.MostGroups || !got.More {
		t.Fatalf("%d groups, more: %v", len(got.Groups), got.More)
	}
	for i, g := range got.Groups {
		number := 200 + i
		if i >= 100 {
			number = i
		}
		if want := fmt.Sprintf("a-login-with-a-long-name-%03d", number); g.Login != want || g.Route != "a-route-with-a-long-name-and-a-number" {
			t.Errorf("%d is %s", i, g.Login)
		}
	}
}

// TestTripsEndMeanwhile: who reads the list waits for nobody and stops nobody. (Meant for -race.)
func TestTripsEndMeanwhile(t *testing.T) {
	l := whereabouts.New(5000)
	now := time.Now()
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 20_000 {
				remember(l, over(fmt.Sprintf("e%d-%d", w, i), fmt.Sprintf("route-%d", i%10), "shop", "complete", now, 0, time.Second, time.Millisecond))
				l.AddLate(idOf("x"), 0, now, true)
			}
		})
	}
	s := whereabouts.NewSummaries(l, table{}.each)
	for range 20 {
		if got := s.Make(now, time.Minute); len(got.Groups) > 10 {
			t.Errorf("%d groups", len(got.Groups))
		}
		for _, trip := range l.Trips(&whereabouts.Query{State: "over", Limit: 100}, now, table{}.each).Trips {
			if len(trip.Ops) != 1 || trip.Login != "shop" || trip.Outcome != "complete" {
				t.Fatalf("%+v", trip)
			}
		}
		l.Find(whereabouts.Question{Text: []byte("e0-1")}, table{}.each)
		l.Late(10)
	}
	all.Wait()
	if got := s.Make(now, time.Minute); len(got.Groups) != 10 {
		t.Errorf("%d groups in the end", len(got.Groups))
	}
}
