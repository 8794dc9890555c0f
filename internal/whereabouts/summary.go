package whereabouts

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"
)

const (
	// MostGroups is how many groups a Summary has at most.
	MostGroups = 200
	// keptTimes is how many times of trips have room when nobody asks. With more the room is given back.
	keptTimes = 1 << 16
)

// Summary says what is under way and what has ended lately, by route and login: the form of GET /api/summary.
type Summary struct {
	Node    string    `json:"node"`
	Now     time.Time `json:"now"`
	Window  float64   `json:"window_s"`
	Covered float64   `json:"covered_s"` // how far the list reaches back, at most Window: what has ended is counted from then on
	Groups  []Group   `json:"groups"`    // the busiest first
	More    bool      `json:"more"`      // there are more than these
}

// Group is what trips of one route and login do.
type Group struct {
	Route    string         `json:"route"`
	Login    string         `json:"login"`
	InFlight int            `json:"in_flight"`
	Queued   int            `json:"queued"`    // of these: that wait for a connection to the engine
	Oldest   int64          `json:"oldest_ms"` // how long the oldest of them has waited; 0: there is none
	Ended    int            `json:"ended"`
	Rate     float64        `json:"rate"` // of those that have ended, a second
	Outcomes map[string]int `json:"outcomes"`

	// Of those that have ended: how long the exchange with the engine took, and the rest, in milliseconds. nil: there are none.
	EngineP50 *float64 `json:"engine_p50_ms"`
	EngineP99 *float64 `json:"engine_p99_ms"`
	WaitP50   *float64 `json:"wait_p50_ms"`
	WaitP99   *float64 `json:"wait_p99_ms"`
}

// Summaries makes summaries of a list and of the trips that wait. Only one is made at a time, with the same room.
type Summaries struct {
	list    *List
	waiting Waiting

	mu     sync.Mutex // guards what follows
	groups []counted
	index  map[groupName]int32 // of groups
	times  []endTimes          // of trips that have ended
}

// NewSummaries makes summaries of a list, which may be nil, and of what waiting gives.
func NewSummaries(l *List, waiting Waiting) *Summaries {
	return &Summaries{list: l, waiting: waiting, index: make(map[groupName]int32)}
}

type groupName struct{ route, login string }

// counted is what is counted of a group.
type counted struct {
	groupName
	inFlight, queued, ended int
	oldest                  int64 // when the oldest that waits was accepted, in Unix nanoseconds; 0: there is none
	outcomes                []outcomeCount
}

type outcomeCount struct {
	outcome [20]byte
	n       int
}

// endTimes are those of a trip that has ended.
type endTimes struct {
	group  int32  // its number
	engine uint32 // microseconds
	wait   uint32 // milliseconds
}

// Make sums up what waits at a time, and what has ended within a window before it.
func (s *Summaries) Make(now time.Time, window time.Duration) Summary {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups, s.times = s.groups[:0], s.times[:0]
	clear(s.index)
	s.countWaiting()
	since := s.list.reach(now.Add(-window).UnixNano(), now.UnixNano())
	s.countEnded(since, now.UnixNano())
	covered := float64(now.UnixNano()-since) / float64(time.Second)
	made := Summary{Now: now.Truncate(time.Millisecond).UTC(), Window: window.Seconds(), Covered: rounded(covered), Groups: []Group{}}
	busiest := s.busiest()
	made.More = len(busiest) > MostGroups
	busiest = busiest[:min(len(busiest), MostGroups)]
	of := s.percentiles(busiest)
	for i, number := range busiest {
		g := s.groups[number].report(now, covered)
		g.EngineP50, g.EngineP99, g.WaitP50, g.WaitP99 = of[i][0], of[i][1], of[i][2], of[i][3]
		made.Groups = append(made.Groups, g)
	}
	if cap(s.times) > keptTimes || cap(s.groups) > keptTimes {
		s.groups, s.times, s.index = nil, nil, make(map[groupName]int32)
	}
	clear(s.groups[:cap(s.groups)]) // names of a configuration that was
	return made
}

// group gives the number of a group.
func (s *Summaries) group(route, login string) int32 {
	name := groupName{route, login}
	i, known := s.index[name]
	if !known {
		i = int32(len(s.groups)) //nolint:gosec // at most as many as trips
		s.index[name] = i
		s.groups = append(s.groups, counted{groupName: name})
	}
	return i
}

func (s *Summaries) countWaiting() {
	s.waiting(func(f *Facts, _ Ops) (goOn bool) {
		g := &s.groups[s.group(f.Route, f.Login)]
		g.inFlight++
		if f.Queued {
			g.queued++
		}
		if at := f.Accepted.UnixNano(); g.oldest == 0 || at < g.oldest {
			g.oldest = at
		}
		return true
	})
}

// slack is how much later than it ended a trip may come into the list.
const slack = time.Second

// countEnded counts the trips that have ended in a time.
func (s *Summaries) countEnded(since, until int64) {
	if s.list == nil {
		return
	}
	for i := range s.list.shards {
		shard := &s.list.shards[i]
		shard.walk(func(e *entry) (goOn bool) {
			switch at := e.ended(); {
			case at < since-int64(slack):
				return false
			case e.begins() && at >= since && at <= until:
				s.count(e, s.group(shard.names.text(e.route), shard.names.text(e.login)))
			}
			return true
		})
	}
}

// count counts a trip that has ended.
func (s *Summaries) count(e *entry, number int32) {
	g := &s.groups[number]
	g.ended++
	g.add(e.outcome)
	if !e.hasTimes() {
		return
	}
	took := e.replied - int32(e.engineTime/1000) //nolint:gosec // an hour
	s.times = append(s.times, endTimes{group: number, engine: e.engineTime, wait: uint32(max(0, took))})
}

// hasTimes reports whether it is known how long a trip has waited: it was forwarded, or waited for another one.
func (e *entry) hasTimes() bool { return e.forwarded >= 0 || e.joined }

func (g *counted) add(outcome [20]byte) {
	for i := range g.outcomes {
		if g.outcomes[i].outcome == outcome {
			g.outcomes[i].n++
			return
		}
	}
	g.outcomes = append(g.outcomes, outcomeCount{outcome, 1})
}

// busiest gives the numbers of the groups, those with the most trips first.
func (s *Summaries) busiest() []int32 {
	numbers := make([]int32, len(s.groups))
	for i := range numbers {
		numbers[i] = int32(i)
	}
	slices.SortFunc(numbers, func(i, j int32) int {
		a, b := &s.groups[i], &s.groups[j]
		return cmp.Or(cmp.Compare(b.inFlight+b.ended, a.inFlight+a.ended), cmp.Compare(a.route, b.route), cmp.Compare(a.login, b.login))
	})
	return numbers
}

func (g *counted) report(now time.Time, covered float64) Group {
	r := Group{Route: g.route, Login: g.login, InFlight: g.inFlight, Queued: g.queued, Ended: g.ended, Outcomes: make(map[string]int, len(g.outcomes))}
	if g.oldest != 0 {
		r.Oldest = max(0, (now.UnixNano()-g.oldest)/int64(time.Millisecond))
	}
	if g.ended > 0 {
		r.Rate = rounded(float64(g.ended) / max(covered, 0.001))
	}
	for _, o := range g.outcomes {
		r.Outcomes[cut(o.outcome[:])] = o.n
	}
	return r
}

// percentiles gives those of some groups: the engine's 50th and 99th, and those of the rest.
func (s *Summaries) percentiles(numbers []int32) [][4]*float64 {
	place := make([]int32, len(s.groups)) // among numbers, and 1; 0: none
	for i, number := range numbers {
		place[number] = int32(i) + 1
	}
	engine, wait := make([][]uint32, len(numbers)), make([][]uint32, len(numbers))
	for i, number := range numbers {
		n := s.groups[number].ended
		engine[i], wait[i] = make([]uint32, 0, n), make([]uint32, 0, n)
	}
	for _, t := range s.times {
		i := place[t.group] - 1
		if i < 0 {
			continue
		}
		wait[i] = append(wait[i], t.wait)
		if t.engine > 0 {
			engine[i] = append(engine[i], t.engine)
		}
	}
	all := make([][4]*float64, len(numbers))
	for i := range all {
		slices.Sort(engine[i])
		slices.Sort(wait[i])
		all[i] = [4]*float64{
			percentile(engine[i], 50, 1000), percentile(engine[i], 99, 1000), percentile(wait[i], 50, 1), percentile(wait[i], 99, 1),
		}
	}
	return all
}

// percentile gives one of sorted values in milliseconds, of which each has so many parts: the least value that so many per cent do not exceed. nil: there are no values.
func percentile(sorted []uint32, percent int, parts float64) *float64 {
	if len(sorted) == 0 {
		return nil
	}
	v := rounded(float64(sorted[(len(sorted)*percent+99)/100-1]) / parts)
	return &v
}

// rounded gives three decimals.
func rounded(v float64) float64 { return math.Round(v*1000) / 1000 }

// reach gives from when on the list has every trip that has ended, in Unix nanoseconds, not before since and not after now.
func (l *List) reach(since, now int64) int64 {
	if l == nil {
		return now
	}
	since = max(since, l.began)
	for i := range l.shards {
		since = max(since, l.shards[i].reach())
	}
	return min(since, now)
}
