package whereabouts

import (
	"fmt"
	"testing"
	"time"
)

// TestNamesAreBounded: what comes when there are too many has a name for all, and those that are known keep theirs.
func TestNamesAreBounded(t *testing.T) {
	l := New(10)
	add := func(login, route string) Trip {
		l.Add(&Facts{RequestID: "r", Login: login, Route: route, Accepted: time.Now()}, nil)
		q := Query{State: StateOver, Limit: 10}
		return l.Trips(&q, time.Now(), func(func(*Facts, Ops) bool) {}).Trips[0]
	}
	add("first", "route")
	for i := range mostNames {
		l.Add(&Facts{RequestID: "r", Login: fmt.Sprint(i), Route: "route", Accepted: time.Now()}, nil)
	}
	if n := len(l.shards[0].names.all); n != mostNames {
		t.Errorf("%d names", n)
	}
	for login, want := range map[string]string{"first": "first", "other": otherName, "another": otherName, "": ""} {
		if got := add(login, "route"); got.Login != want || got.Route != "route" {
			t.Errorf("%q is %q, route %q", login, got.Login, got.Route)
		}
	}
}
