// Package quota counts what is used of quotas: places that are taken and given back, and requests a second.
package quota

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limit bounds one share.
type Limit struct {
	Parked int     // places; 0: any number
	Rate   float64 // requests a second; 0: any number
}

// Left is what is left of a rate.
type Left struct {
	Limit     int // requests that may come at once
	Remaining int // that may come now
	Reset     int // seconds until all may
}

// Table has the shares that are used, by name. New makes one.
type Table struct {
	mu      sync.Mutex
	shares  map[string]*share // guarded by mu, as are what is in them and the next
	sweepAt int               // how many shares there are when idle ones are dropped
}

// New makes a table without any share.
func New() *Table { return &Table{shares: make(map[string]*share)} }

// Entry is the places of one request. It is not for concurrent use.
type Entry struct {
	t    *Table
	now  time.Time
	in   []*share
	left *Left
}

// Begin gives an entry that has no place yet.
func (t *Table) Begin(now time.Time) Entry { return Entry{t: t, now: now} }

// Left is what is left of the rate that is used up first, of the shares that were asked for; nil: none has a rate.
func (e *Entry) Left() *Left { return e.left }

// Enter takes a place of the named share. full is the error where no place is left, often where the rate is used up; then no place is taken.
func (e *Entry) Enter(name string, l Limit, full, often error) error {
	e.t.mu.Lock()
	defer e.t.mu.Unlock()
	s := e.t.shareOf(name, e.now)
	if l.Parked > 0 && s.parked >= l.Parked {
		return full
	}
	if l.Rate > 0 {
		s.setRate(l.Rate)
		allowed := s.rate.AllowN(e.now, 1)
		e.note(s)
		if !allowed {
			return often
		}
	}
	s.parked++
	e.in = append(e.in, s)
	return nil
}

// note notes how much is left of a share that has a rate. Called with mu held.
func (e *Entry) note(s *share) {
	burst, left := s.rate.Burst(), s.rate.TokensAt(e.now)
	r := &Left{Limit: burst, Remaining: max(0, int(left)), Reset: int(math.Ceil(max(0, float64(burst)-left) / float64(s.rate.Limit())))}
	if e.left == nil || r.Remaining < e.left.Remaining {
		e.left = r
	}
}

// Leave gives the places back.
func (e *Entry) Leave() {
	e.t.mu.Lock()
	defer e.t.mu.Unlock()
	for _, s := range e.in {
		s.parked--
	}
	e.in = nil
}

// share is what is used of one quota. Guarded by Table.mu.
type share struct {
	parked int
	rate   *rate.Limiter // nil: there was no limit so far
}

// idle reports whether the share is as a new one would be.
func (s *share) idle(now time.Time) bool {
	return s.parked == 0 && (s.rate == nil || s.rate.TokensAt(now) >= float64(s.rate.Burst()))
}

// mostShares is from how many shares on idle ones are dropped. Logins and routes are configured; addresses are not.
const mostShares = 20_000

// shareOf gives the named share. Called with mu held. When there are many, idle ones go; each look for them pays for as many new ones.
func (t *Table) shareOf(name string, now time.Time) *share {
	if s := t.shares[name]; s != nil {
		return s
	}
	if len(t.shares) >= max(mostShares, t.sweepAt) {
		for name, s := range t.shares {
			if s.idle(now) {
				delete(t.shares, name)
			}
		}
		t.sweepAt = 2 * len(t.shares)
	}
	s := new(share)
	t.shares[name] = s
	return s
}

// setRate follows a reloaded limit. A second's worth may come at once, and at least one: at the start, and when the limit is raised. When
// it is lowered, what is left of the old one counts.
func (s *share) setRate(perSecond float64) {
	limit, burst := rate.Limit(perSecond), max(1, int(perSecond))
	switch {
	case s.rate == nil, limit > s.rate.Limit():
		s.rate = rate.NewLimiter(limit, burst)
	case limit < s.rate.Limit():
		s.rate.SetLimit(limit)
		s.rate.SetBurst(burst)
	}
}
