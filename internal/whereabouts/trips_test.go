package whereabouts_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"syncgate/internal/whereabouts"
)

// names gives the request ids of a list, in its order.
func names(t whereabouts.Trips) string {
	var all []string
	for _, trip := range t.Trips {
		all = append(all, trip.RequestID)
	}
	return strings.Join(all, " ")
}

// TestTripsAreListed: by state, route, login, outcome and age, in both orders, and as many as are wanted.
func TestTripsAreListed(t *testing.T) {
	now := time.Now()
	in := table{
		waiting("w1", "pay", "shop", now, 1*time.Second), waiting("w2", "pay", "web", now, 3*time.Second), waiting("q1", "corezoid", "shop", now, 2*time.Second),
	}
	in[2].Queued = true
	l := whereabouts.New(10)
	remember(l,
		over("o1", "pay", "shop", "complete", now, 30*time.Second, 50*time.Second, 0), // accepted first, and ended first
		over("o2", "pay", "web", "timeout", now, 20*time.Second, 10*time.Second, 0),
		over("o3", "corezoid", "shop", "complete", now, 10*time.Second, 60*time.Second, 0),
	)
	f := func(want string, total int, q whereabouts.Query) {
		t.Helper()
		if q.Limit == 0 {
			q.Limit = 10
		}
		got := l.Trips(&q, now, in.each)
		if names(got) != want || got.Total != total || got.More != (total > len(got.Trips)) {
			t.Errorf("%+v: %q, %d, more: %v; want %q, %d", q, names(got), got.Total, got.More, want, total)
		}
	}
	f("w1 q1 w2", 3, whereabouts.Query{State: "in_flight"})
	f("w2 q1 w1", 3, whereabouts.Query{State: "in_flight", Oldest: true})
	f("w2 q1", 3, whereabouts.Query{State: "in_flight", Oldest: true, Limit: 2})
	f("w1", 3, whereabouts.Query{State: "in_flight", Limit: 1})
	f("q1", 1, whereabouts.Query{State: "queued"})
	f("w1 w2", 2, whereabouts.Query{State: "waiting"})
	f("w2", 1, whereabouts.Query{State: "waiting", Older: 2 * time.Second})
	f("q1 w2", 2, whereabouts.Query{State: "in_flight", Older: 2 * time.Second}) // at least
	f("w2", 1, whereabouts.Query{State: "in_flight", Route: "pay", Login: "web"})
	f("q1", 1, whereabouts.Query{State: "in_flight", Route: "corezoid"})
	f("", 0, whereabouts.Query{State: "in_flight", Route: "none"})
	f("o3 o2 o1", 3, whereabouts.Query{State: "over"})
	f("o1 o2 o3", 3, whereabouts.Query{State: "over", Oldest: true})
	f("o3 o2", 3, whereabouts.Query{State: "over", Limit: 2})
	f("o3 o1", 2, whereabouts.Query{State: "over", Outcome: "complete"})
	f("o2", 1, whereabouts.Query{State: "over", Login: "web"})
	f("o3", 1, whereabouts.Query{State: "over", Route: "corezoid", Login: "shop", Outcome: "complete"})
	f("o3 o1", 2, whereabouts.Query{State: "over", Older: time.Minute})
	f("", 0, whereabouts.Query{State: "over", Outcome: "failed"})
	got := l.Trips(&whereabouts.Query{State: "over", Limit: 1}, now, in.each).Trips[0]
	if got.Route != "corezoid" || got.Engine != "worker" || got.State != "over" || got.Ops[0].Ref != "ref of o3" {
		t.Errorf("%+v", got)
	}
	if got := l.Trips(&whereabouts.Query{State: "queued", Limit: 1}, now, in.each).Trips[0]; got.State != "queued" || got.Route != "corezoid" || got.Engine != "worker" {
		t.Errorf("%+v", got)
	}
	var none *whereabouts.List
	if got := none.Trips(&whereabouts.Query{State: "over", Limit: 1}, now, in.each); got.Total != 0 || got.Trips == nil {
		t.Errorf("of no list: %+v", got)
	}
}

// TestTripsOfManyOps: a trip is counted once, and listed with all its ops.
func TestTripsOfManyOps(t *testing.T) {
	now := time.Now().Add(time.Hour) // the list is as old
	l := whereabouts.New(100)
	for i := range 10 {
		f := over(fmt.Sprintf("o%d", i), "pay", "shop", "complete", now, time.Duration(10-i)*time.Second, time.Second, 0)
		f.Ops = 9
		for op := range whereabouts.MostOps {
			l.Add(&f, &whereabouts.OpFacts{Op: op, Final: op != 3})
		}
	}
	refused := over("r", "pay", "shop", "limited", now, 0, 0, 0)
	refused.Ops, refused.Read = 0, false
	l.Add(&refused, nil)
	got := l.Trips(&whereabouts.Query{State: "over", Limit: 3}, now, table{}.each)
	if names(got) != "r o9 o8" || got.Total != 11 {
		t.Fatalf("%q %d", names(got), got.Total)
	}
	if ops := got.Trips[1].Ops; len(ops) != 8 || ops[3].State != "open" || ops[7].Op != 7 || got.Trips[1].OpCount != 9 || len(got.Trips[0].Ops) != 0 {
		t.Errorf("%+v", got.Trips)
	}
	if s := whereabouts.NewSummaries(l, table{}.each).Make(now, time.Minute); s.Groups[0].Ended != 11 {
		t.Errorf("%+v", s)
	}
}

// TestListsOfManyTrips: in any order of what comes, the first are those of all.
func TestListsOfManyTrips(t *testing.T) {
	now := time.Now()
	const most = 5000
	l := whereabouts.New(2 * most) // its parts are not filled evenly
	in, want := table{}, make([]string, most)
	for i := range most {
		age := (i * 1877) % most // each once
		name := fmt.Sprintf("t%04d", age)
		want[age] = name
		in = append(in, waiting(name, "pay", "shop", now, time.Duration(age)*time.Second))
		remember(l, over(name, "pay", "shop", "complete", now, time.Duration(age)*time.Second, time.Millisecond, 0))
	}
	for _, state := range []string{"in_flight", "over"} {
		q := whereabouts.Query{State: state, Limit: 77}
		got := l.Trips(&q, now, in.each)
		if names(got) != strings.Join(want[:77], " ") || !got.More || got.Total != most {
			t.Errorf("%s: the newest are %s of %d", state, names(got), got.Total)
		}
		q.Oldest = true
		last := slices.Clone(want[most-77:])
		slices.Reverse(last)
		if got := l.Trips(&q, now, in.each); names(got) != strings.Join(last, " ") {
			t.Errorf("%s: the oldest are %s", state, names(got))
		}
	}
}

// TestLate: callbacks that came late, the newest first, without those that nobody waited for.
func TestLate(t *testing.T) {
	now := time.Now()
	l := whereabouts.New(80) // with room for 11
	for i := range 15 {
		l.AddLate(idOf(fmt.Sprintf("%08d", i)), i, now.Add(time.Duration(i)*time.Second), i%2 == 0)
		if i == 13 {
			l.AddResult(idOf("result"), 0, now)
		}
	}
	got := l.Late(3)
	if len(got.Late) != 3 || got.Late[0].Op != 14 || !got.Late[0].Kept || got.Late[1].Op != 13 || got.Late[1].Kept || got.Late[2].Op != 12 {
		t.Errorf("%+v", got)
	}
	if got.Late[0].Trip != idOf("00000014").String() || !got.Late[0].At.Equal(now.Add(14*time.Second).Truncate(time.Millisecond)) {
		t.Errorf("%+v", got.Late[0])
	}
	if got := l.Late(100); len(got.Late) != 10 { // one of the 11 is a result
		t.Errorf("%d", len(got.Late))
	}
	var none *whereabouts.List
	if got := none.Late(1); got.Late == nil || len(got.Late) != 0 {
		t.Errorf("of no list: %+v", got)
	}
}

// TestTheNewestAreFound: of many trips with one name those that came last are shown, whatever shards they are in.
func TestTheNewestAreFound(t *testing.T) {
	now := time.Now()
	l, in := whereabouts.New(5000), table{}
	var want []string
	for i := range 100 { // the oldest first
		name, age := fmt.Sprintf("n%d", i), time.Duration(100-i)*time.Minute
		if i%2 == 0 {
			w := waiting(name, "pay", "shop", now, age)
			w.ops[0].Ref = []byte(`"same"`)
			in = append(in, w)
		} else {
			f := over(name, "pay", "shop", "complete", now, age, 0, 0)
			l.Add(&f, &whereabouts.OpFacts{Ref: []byte(`"same"`)})
		}
		want = append([]string{name}, want...)
	}
	got := l.Find(whereabouts.Question{Text: []byte("same")}, in.each)
	if names(whereabouts.Trips{Trips: got.Trips}) != strings.Join(want[:20], " ") || !got.More {
		t.Errorf("%s, more: %v; want %v", names(whereabouts.Trips{Trips: got.Trips}), got.More, want[:20])
	}
	if ids, found := l.IDs(whereabouts.Question{Text: []byte("same")}, in.each); len(ids) < 20 || !found {
		t.Errorf("%d ids", len(ids))
	}
	if one := l.Find(whereabouts.Question{Text: []byte("n3")}, in.each); len(one.Trips) != 1 || one.More {
		t.Errorf("%+v", one)
	}
}
