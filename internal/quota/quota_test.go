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
	left(want(t, table, now.Add(2*time.Hour), Limit{Rate: 2}, nil), Left{Limit: 2, Remaining: 1, Reset: 1}) // no more at once than the lower one allows
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

// TestRefusedTakesNoPlace: what is over its rate takes no place, and what finds no place uses nothing of its rate.
func TestRefusedTakesNoPlace(t *testing.T) {
	table, now := New(), time.Now()
	l := Limit{Parked: 2, Rate: 2}
	first := want(t, table, now, l, nil)
	want(t, table, now, l, nil)
	for range 3 {
		want(t, table, now, l, errFull)
	}
	first.Leave()
	for range 3 {
		want(t, table, now, l, errOften)
	}
	want(t, table, now.Add(time.Second), l, nil)
	want(t, table, now.Add(time.Second), l, errFull)
	second := table.Begin(now.Add(time.Minute)) // a rate below 1 lets one through all the same
	if err := second.Enter("slow", Limit{Rate: 0.5}, errFull, errOften); err != nil {
		t.Error(err)
	}
}

// TestLeftIsOfTheTightestRate, whatever share was asked for first.
func TestLeftIsOfTheTightestRate(t *testing.T) {
	for _, order := range [][]string{{"wide", "tight"}, {"tight", "wide"}} {
		table := New()
		e := table.Begin(time.Now())
		for _, name := range order {
			if err := e.Enter(name, Limit{Rate: map[string]float64{"wide": 100, "tight": 3}[name]}, errFull, errOften); err != nil {
				t.Fatal(err)
			}
		}
		if got := e.Left(); got == nil || got.Limit != 3 || got.Remaining != 2 {
			t.Errorf("%v: %+v", order, got)
		}
	}
}

// TestUsedRatesAreNotDropped: who makes many names up gets no more for those that were used.
func TestUsedRatesAreNotDropped(t *testing.T) {
	table, now := New(), time.Now()
	used := want(t, table, now, Limit{Rate: 1}, nil)
	used.Leave()
	for i := range mostShares + 10 {
		e := table.Begin(now)
		if err := e.Enter(strconv.Itoa(i), Limit{}, errFull, errOften); err != nil {
			t.Fatal(err)
		}
		e.Leave()
	}
	want(t, table, now, Limit{Rate: 1}, errOften)
	if len(table.shares) > 100 {
		t.Errorf("%d shares are left", len(table.shares))
	}
}
