package gateway

import (
	"math"
	"time"

	"golang.org/x/time/rate"

	"syncgate/correlator"
)

// admit asks whether a call may have one more place: the correlator's health, then the limits of its login and those of its route. leave
// gives the place back. remote is the client's address.
func (g *Gateway) admit(c *Call, remote string, now time.Time) (leave func(), err error) {
	if g.cfg.WhenDown == Refuse {
		if err := g.admits(); err != nil {
			return nil, correlator.ErrUnavailable
		}
	}
	limits := g.limits.Load()
	limited := limits.ParkedPerLogin > 0 || limits.RatePerLogin > 0
	streams := limits.StreamsPerLogin > 0 && c.mode() == Stream
	if !limited && !streams && (c.Options == nil || len(c.Options.Quotas) == 0) {
		return func() {}, nil
	}
	e := entry{g: g, now: now}
	if limited {
		err = e.enter(c.Login, Quota{Parked: limits.ParkedPerLogin, Rate: limits.RatePerLogin}, errTooMany, errTooOften)
	}
	if streams && err == nil {
		err = e.enterStream(c.Login, limits)
	}
	if c.Options != nil && err == nil {
		err = e.enterAll(c.Options.Quotas, remote)
	}
	if c.Options != nil {
		c.Options.rate = e.rate
	}
	if err != nil {
		e.leave()
		return nil, e.fault(err)
	}
	return e.leave, nil
}

// entry is the places of one call.
type entry struct {
	g    *Gateway
	now  time.Time
	in   []*share
	rate *RateLimit // of the shares with one, that which is used up first; nil: none has
}

// fault is the answer to a call that has no place, and says when it would have one.
func (e *entry) fault(err error) error {
	if e.rate == nil {
		return err
	}
	f := faultOf(err)
	f.RateLimit = e.rate
	return f
}

// note notes how much is left of a share that has a rate. Called with sharesMu held.
func (e *entry) note(s *share) {
	burst, left := s.rate.Burst(), s.rate.TokensAt(e.now)
	r := &RateLimit{Limit: burst, Remaining: max(0, int(left)), Reset: int(math.Ceil(max(0, float64(burst)-left) / float64(s.rate.Limit())))}
	if e.rate == nil || r.Remaining < e.rate.Remaining {
		e.rate = r
	}
}

// enter takes a place of the named share.
func (e *entry) enter(name string, q Quota, full, often error) error {
	e.g.sharesMu.Lock()
	defer e.g.sharesMu.Unlock()
	s := e.g.shareOf(name, e.now)
	if q.Parked > 0 && s.parked >= q.Parked {
		return full
	}
	if q.Rate > 0 {
		s.setRate(q.Rate)
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

// enterAll takes a place of each quota of a route.
func (e *entry) enterAll(quotas []Quota, remote string) error {
	for _, q := range quotas {
		name := "\x00" + q.Name // which is no login's
		if q.PerAddress {
			name += "\x00" + remote
		}
		if err := e.enter(name, q, errRouteFull, errRouteRate); err != nil {
			return err
		}
	}
	return nil
}

// enterStream takes a place of the streams of a login.
func (e *entry) enterStream(login string, limits *Limits) error {
	return e.enter("\x00streams\x00"+login, Quota{Parked: limits.StreamsPerLogin}, errStreams, errStreams)
}

// admitStream asks whether the tasks of a login may have one more stream.
func (g *Gateway) admitStream(login string, now time.Time) (leave func(), err error) {
	limits := g.limits.Load()
	if limits.StreamsPerLogin <= 0 {
		return nil, nil
	}
	e := entry{g: g, now: now}
	if err := e.enterStream(login, limits); err != nil {
		return nil, err
	}
	return e.leave, nil
}

// leave gives the places back.
func (e *entry) leave() {
	e.g.sharesMu.Lock()
	defer e.g.sharesMu.Unlock()
	for _, s := range e.in {
		s.parked--
	}
	e.in = nil
}

// share is what is used of one quota. Guarded by Gateway.sharesMu.
type share struct {
	parked int
	rate   *rate.Limiter // nil: there was no limit so far
}

// idle reports whether the share is as a new one would be.
func (s *share) idle(now time.Time) bool {
	return s.parked == 0 && (s.rate == nil || s.rate.TokensAt(now) >= float64(s.rate.Burst()))
}

// mostShares is from how many shares on those that say nothing are dropped. Logins and routes are configured; addresses are not.
const mostShares = 20_000

// shareOf gives the named share. Called with sharesMu held. When there are many, idle ones go; each look for them pays for as many new ones.
func (g *Gateway) shareOf(name string, now time.Time) *share {
	if s := g.shares[name]; s != nil {
		return s
	}
	if len(g.shares) >= max(mostShares, g.sweepAt) {
		for name, s := range g.shares {
			if s.idle(now) {
				delete(g.shares, name)
			}
		}
		g.sweepAt = 2 * len(g.shares)
	}
	s := new(share)
	g.shares[name] = s
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
