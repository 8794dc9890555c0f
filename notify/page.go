package notify

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// cursor is a place in a list: the time of an entry in Unix milliseconds, and its id.
func (e Entry) cursor() string { return strconv.FormatInt(e.when().UnixMilli(), 10) + "." + e.ID }

// parseCursor gives the beginning for what is no cursor.
func parseCursor(text string) (at time.Time, id string) {
	ms, id, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return time.Time{}, ""
	}
	return time.UnixMilli(n), id
}

// byTime orders entries as lists do.
func byTime(a, b Entry) int {
	return cmp.Or(cmp.Compare(a.when().UnixMilli(), b.when().UnixMilli()), cmp.Compare(a.ID, b.ID))
}

// page gives, of all entries of a state, those that a Filter asks for, and the cursor of the rest.
func (f Filter) page(entries []Entry) (page []Entry, after string) {
	page = f.of(entries)
	if limit := f.limit(); len(page) > limit {
		page = page[:limit]
		after = page[limit-1].cursor()
	}
	return page, after
}

// of gives, in order, what a Filter asks for of entries of a state, whatever its limit.
func (f Filter) of(entries []Entry) []Entry {
	from, id := parseCursor(f.After)
	wanted := slices.DeleteFunc(entries, func(e Entry) bool {
		before := f.After != "" && cmp.Or(cmp.Compare(e.when().UnixMilli(), from.UnixMilli()), cmp.Compare(e.ID, id)) <= 0
		return before || f.Subscription != "" && e.Subscription != f.Subscription
	})
	slices.SortFunc(wanted, byTime)
	return wanted
}

func (f Filter) limit() int {
	if f.Limit <= 0 || f.Limit > MaxList {
		return MaxList
	}
	return f.Limit
}

// add counts notifications of a state.
func (s *Stats) add(state State, n int) {
	switch state {
	case Open:
		s.Open += n
	case Dead:
		s.Dead += n
	case Refused:
		s.Refused += n
	case Gone:
		s.Gone += n
	case Delivered:
	}
}
