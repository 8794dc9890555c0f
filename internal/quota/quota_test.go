package quota

import (
	"errors"
	"strconv"
	"testing"
	"time"
)

var errFull, errOften = errors.New("full"), errors.New("often")

// want wants an error of a place of one share.
func want(t *testing.T, table *Table, now time.Time, l Limit, err error) (e Entry) {
	t.Helper()
	e = table.Begin(now)
	if got := e.Enter("a", l, errFull, errOften); !errors.Is(got, err) {
		t.Errorf("%v, want %v", got, err)
	}
	return e
}

func TestPlacesAreGivenBack(t *testing.T) {
	table, now := New(), time.Now()
	first := want(t, table, now, Limit{Parked: 1}, nil)
	refused := want(t, table, now, Limit{Parked: 1}, errFull)
	refused.Leave() // which has none
	want(t, table, now, Limit{Parked: 1}, errFull)
	first.Leave()
	first.Leave()
	want(t, table, now, Limit{Parked: 1}, nil)
	want(t, table, now, Limit{Parked: 1}, errFull)
	if e := want(t, table, now, Limit{}, nil); e.Left() != nil {
		t.Errorf("%+v is left of no rate", e.Left())
	}
}

func TestRates(t *testing.T) {
	table, now := New(), time.Now()
	left := func(e Entry, want Left) {
		t.Helper()
		if got := e.Left(); got == nil || *got != want {
			t.Errorf("%+v is left, want %+v", got, want)
		}
	}
	left(want(t, table, now, Limit{Rate: 2}, nil), Left{Limit: 2, Remaining: 1, Reset: 1})
	left(want(t, table, now, Limit{Rate: 2}, nil), Left{Limit: 2, Remaining: 0, Reset: 1})
	left(want(t, table, now, Limit{Rate: 2}, errOften), Left{Limit: 2, Remaining: 0, Reset: 1})
	want(t, table, now, Limit{Rate: 1}, errOften) // a lower one gives nothing back
	left(want(t, table, now, Limit{Rate: 3}, nil), Left{Limit: 3, Remaining: 2, Reset: 1})
	want(t, table, now.Add(time.Hour), Limit{Rate: 3}, nil)
}

// TestIdleSharesAreDropped when there are many: what an address has used of its rate comes back in time.
func TestIdleSharesAreDropped(t *testing.T) {
	table, now := New(), time.Now()
	for i := range mostShares {
		e := table.Begin(now)
		if err := e.Enter(strconv.Itoa(i), Limit{Rate: 1}, errFull, errOften); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			e.Leave()
		}
	}
	later := table.Begin(now.Add(time.Minute))
	if err := later.Enter("one more", Limit{Rate: 1}, errFull, errOften); err != nil {
		t.Fatal(err)
	}
	if len(table.shares) != 2 { // the one with a place, and the new one
		t.Errorf("%d shares are left", len(table.shares))
	}
}
