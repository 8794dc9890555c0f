package whereabouts

import (
	"cmp"
	"hash/maphash"
	"slices"
	"time"
)

// MostListed is how many trips a list has at most.
const MostListed = 1000

// Query says which trips are listed.
type Query struct {
	State   string        // StateInFlight, StateQueued, StateWaiting or StateOver
	Route   string        // of this one; empty: of any
	Login   string        // of this one; empty: of any
	Outcome string        // of those that are over; empty: any
	Older   time.Duration // accepted at least so long ago
	Oldest  bool          // the oldest first, else the newest. Those that are over come by when they ended, others by when they were accepted
	Limit   int           // how many are listed, from 1 to MostListed
}

// Trips are the trips that a Query asks for: the form of GET /api/trips.
type Trips struct {
	Node  string `json:"node"`
	Trips []Trip `json:"trips"`
	Total int    `json:"total"` // how many there are, those included that are not listed
	More  bool   `json:"more"`  // there are more than are listed
}

// Trips lists trips. It reads all that there are. waiting gives those that are not over.
func (l *List) Trips(q *Query, now time.Time, waiting Waiting) (t Trips) {
	first := firsts{Query: q, before: now.Add(-q.Older).UnixNano()}
	if q.State == StateOver {
		l.over(&first)
	} else {
		first.inFlight(waiting, l.hashSeed())
	}
	first.cut()
	found := make(map[tripName]*hit)
	for i := range first.all {
		if c := &first.all[i]; c.hit == nil {
			c.hit = new(hit)
			found[c.name] = c.hit
		}
	}
	l.gather(found)
	listed := make([]*hit, 0, len(first.all))
	for i := range first.all {
		if h := first.all[i].hit; len(h.ops) > 0 { // else it was overwritten meanwhile
			listed = append(listed, h)
		}
	}
	return Trips{Trips: l.report(listed, now), Total: first.total, More: first.total > len(listed)}
}

// firsts are the trips that come first in the order of a query, of those that have come so far.
type firsts struct {
	*Query
	before int64       // they were accepted before, in Unix nanoseconds
	total  int         // that fit the query
	all    []candidate // at most twice as many as are wanted
	worst  int64       // with as many as are wanted: the last one's order
	full   bool        // there are as many
}

// candidate is a trip that may be listed.
type candidate struct {
	order int64    // less comes first
	name  tripName // of one that is over
	hit   *hit     // of one that is not
}

// inFlight takes the trips that are not over.
func (f *firsts) inFlight(waiting Waiting, seed maphash.Seed) {
	waiting(func(facts *Facts, ops Ops) (goOn bool) {
		accepted := facts.Accepted.UnixNano()
		if f.fits(facts.Queued, facts.Route, facts.Login) && accepted <= f.before && f.wants(accepted) {
			f.add(candidate{order: f.orderOf(accepted), hit: hitOf(facts, ops, seed)})
		}
		return true
	})
}

// fits reports whether a trip that is not over has the state, the route and the login of the query.
func (f *firsts) fits(queued bool, route, login string) bool {
	return (f.State == StateInFlight || queued == (f.State == StateQueued)) && (f.Route == "" || f.Route == route) && (f.Login == "" || f.Login == login)
}

// over takes the trips of the list.
func (l *List) over(f *firsts) {
	var outcome [20]byte
	copy(outcome[:], f.Outcome)
	l.each(func(s *listShard, e *entry) {
		switch {
		case !e.begins(), e.accepted > f.before, f.Outcome != "" && e.outcome != outcome,
			f.Route != "" && s.names.text(e.route) != f.Route, f.Login != "" && s.names.text(e.login) != f.Login:
		case f.wants(e.ended()):
			f.add(candidate{order: f.orderOf(e.ended()), name: e.name()})
		}
	})
}

// orderOf gives the order of a trip of a time.
func (f *firsts) orderOf(at int64) int64 {
	if f.Oldest {
		return at
	}
	return -at
}

// wants counts a trip, and reports whether it may be one of the first.
func (f *firsts) wants(at int64) bool {
	f.total++
	return !f.full || f.orderOf(at) < f.worst
}

// add takes a trip that is wanted.
func (f *firsts) add(c candidate) {
	f.all = append(f.all, c)
	if len(f.all) >= 2*f.Limit {
		f.cut()
	}
}

// cut sorts the trips, and keeps as many as are wanted.
func (f *firsts) cut() {
	slices.SortFunc(f.all, func(a, b candidate) int { return cmp.Compare(a.order, b.order) })
	if len(f.all) >= f.Limit {
		clear(f.all[f.Limit:])
		f.all = f.all[:f.Limit]
		f.full, f.worst = true, f.all[f.Limit-1].order
	}
}
