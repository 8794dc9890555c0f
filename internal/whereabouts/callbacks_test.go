package whereabouts_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"syncgate/internal/whereabouts"
)

// heard are ops of which some have had their callback, so many milliseconds after acceptance; less than 0: none came.
func heard(milliseconds ...int) (all ops) {
	for i, at := range milliseconds {
		op := whereabouts.OpFacts{Op: i, Process: []byte("12"), Final: at >= 0, Heard: at >= 0}
		if at >= 0 {
			op.Callback = uint32(at) //nolint:gosec // a few, or the most that there can be
		}
		all = append(all, op)
	}
	return all
}

// after gives the milliseconds from a trip's acceptance to a time, -1 if there is none.
func after(trip *whereabouts.Trip, at *time.Time) int {
	if at == nil {
		return -1
	}
	return int(at.Sub(trip.Accepted).Milliseconds())
}

// callbacksOf words what a trip tells of its callbacks: how many, the first and the last, and that of each op.
func callbacksOf(trip *whereabouts.Trip) string {
	text := fmt.Sprint(trip.Callbacks, " ", after(trip, trip.FirstCallback), "-", after(trip, trip.LastCallback), ":")
	for i := range trip.Ops {
		text += fmt.Sprint(" ", after(trip, trip.Ops[i].Callback))
	}
	return text
}

// TestEachCallback: a trip tells when the callback of each of its ops came, whether it waits or is over, and of more ops than are remembered when the first
// and the last came.
func TestEachCallback(t *testing.T) {
	now := time.Now().Truncate(time.Millisecond)
	f := func(want string, callbacks uint16, first, last uint32, all ops) {
		t.Helper()
		l := whereabouts.New(20)
		w := waiting("waits", "pay", "shop", now, time.Minute)
		w.Ops, w.ops = len(all), all
		w.Callbacks, w.FirstCallback, w.LastCallback = callbacks, first, last
		done := over("over", "pay", "shop", "cancelled", now, 0, time.Minute, time.Millisecond)
		done.Ops, done.Callbacks, done.FirstCallback, done.LastCallback = len(all), callbacks, first, last
		for i := range all[:min(len(all), whereabouts.MostOps)] {
			l.Add(&done, &all[i])
		}
		for _, name := range []string{"waits", "over"} {
			found := l.Find(whereabouts.Question{Text: []byte(name)}, table{w}.each).Trips
			if len(found) != 1 || callbacksOf(&found[0]) != want {
				t.Errorf("%s: %+v tells %q, want %q", name, found, callbacksOf(&found[0]), want)
			}
		}
		listed := slices.Concat(l.Trips(&whereabouts.Query{State: "over", Limit: 5}, now, table{w}.each).Trips, l.Trips(&whereabouts.Query{State: "waiting", Limit: 5}, now, table{w}.each).Trips)
		for i := range listed {
			if callbacksOf(&listed[i]) != want {
				t.Errorf("listed: %q, want %q", callbacksOf(&listed[i]), want)
			}
		}
	}
	f("0 -1--1: -1", 0, 0, 0, heard(-1))
	f("1 0-0: 0", 1, 0, 0, heard(0))
	f("2 30-900: 900 -1 30", 2, 30, 900, heard(900, -1, 30))
	f("3 5-700: 5 700 5", 3, 5, 700, heard(5, 700, 5))
	f("4 10-80: -1 -1 -1 20 -1 -1 -1 -1", 4, 10, 80, heard(-1, -1, -1, 20, -1, -1, -1, -1, 10, 50, 80)) // the last three are not remembered
	f("1 2147483647-2147483647: 2147483647", 1, 1<<32-1, 1<<32-1, heard(1<<32-1))                       // as long as it can tell
}

// TestReports: a trip tells how much progress was reported, and when.
func TestReports(t *testing.T) {
	now := time.Now().Truncate(time.Millisecond)
	l := whereabouts.New(20)
	w := waiting("w", "pay", "shop", now, time.Minute)
	f := over("o", "pay", "shop", "complete", now, 0, time.Minute, time.Millisecond)
	w.Reports, w.FirstReport, w.LastReport = 1, 40, 40
	f.Reports, f.FirstReport, f.LastReport = 1<<32-1, 40, 2500
	remember(l, f, over("none", "pay", "shop", "complete", now, 0, time.Minute, time.Millisecond))
	for name, want := range map[string]string{"w": "1 40 40", "o": "4294967295 40 2500", "none": "0 -1 -1"} {
		trip := &l.Find(whereabouts.Question{Text: []byte(name)}, table{w}.each).Trips[0]
		if got := fmt.Sprint(trip.Reports, after(trip, trip.FirstReport), after(trip, trip.LastReport)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		text, err := json.Marshal(trip)
		if err != nil || strings.Contains(string(text), "report") != (name != "none") || strings.Contains(string(text), "callback\"") {
			t.Errorf("%s: %v %s", name, err, text)
		}
	}
}

// TestLateOfEachOp: each callback that came late is told with its op, in their order, beside those that came in time.
func TestLateOfEachOp(t *testing.T) {
	now := time.Now().Truncate(time.Millisecond)
	l := whereabouts.New(100)
	f := over("r", "pay", "shop", "timeout", now, 0, time.Second, time.Millisecond)
	f.Ops, f.Callbacks, f.FirstCallback, f.LastCallback = 3, 1, 20, 20
	for i, op := range heard(-1, 20, -1) {
		op.Op = i
		l.Add(&f, &op)
	}
	l.AddLate(f.ID, 2, now.Add(time.Second), true)
	l.AddLate(f.ID, 0, now.Add(2*time.Second), false)
	trip := &l.Find(whereabouts.Question{Text: []byte("r")}, table{}.each).Trips[0]
	var text string
	for _, late := range trip.Late {
		text += fmt.Sprint(late.Op, " ", after(trip, &late.At), " ", late.Kept, "; ")
	}
	if want := "2 2000 true; 0 3000 false; "; text != want || callbacksOf(trip) != "1 20-20: -1 20 -1" {
		t.Errorf("late %q, want %q; in time %q", text, want, callbacksOf(trip))
	}
	if states := trip.Ops[0].State + trip.Ops[1].State + trip.Ops[2].State; states != "openfinalfinal" {
		t.Errorf("the ops are %s", states)
	}
}

// TestFoundByText: a trip is found by the whole of a request id and of a ref, however long they are, and by nothing that has the same beginning.
func TestFoundByText(t *testing.T) {
	now := time.Now()
	long := strings.Repeat("x", 60)
	l := whereabouts.New(20)
	f := over("request "+long, "pay", "shop", "complete", now, 0, time.Second, time.Millisecond)
	f.Ops = 2
	l.Add(&f, &whereabouts.OpFacts{Op: 0, Ref: []byte(`"ref ` + long + `"`)})
	l.Add(&f, &whereabouts.OpFacts{Op: 1})
	for text, want := range map[string]int{"request " + long: 1, "ref " + long: 1, "request " + long + "x": 0, "ref " + long[1:]: 0, "": 0} {
		if found := l.Find(whereabouts.Question{Text: []byte(text)}, table{}.each).Trips; len(found) != want {
			t.Errorf("%q has found %d trips, want %d", text, len(found), want)
		}
	}
}
