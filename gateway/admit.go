package gateway

import (
	"time"

	"golang.org/x/time/rate"

	"syncgate/correlator"
)

// admit asks whether login may have one more request: the limits of its own, then the correlator's health. leave gives
// the place back.
func (g *Gateway) admit(login string, now time.Time) (leave func(), err error) {
	if g.cfg.WhenDown == Refuse {
		if err := g.admits(); err != nil {
			return nil, correlator.ErrUnavailable
		}
	}
	limits := g.limits.Load()
	if limits.ParkedPerLogin <= 0 && limits.RatePerLogin <= 0 {
		return func() {}, nil
	}
	return g.shareOf(login).enter(limits, now)
}

// share is what one login uses. Guarded by Gateway.sharesMu.
type share struct {
	g      *Gateway
	parked int
	rate   *rate.Limiter // nil: there was no limit so far
}

// shareOf gives the share of a login. There are no more of them than credentials, as only known logins get here.
func (g *Gateway) shareOf(login string) *share {
	g.sharesMu.Lock()
	defer g.sharesMu.Unlock()
	s := g.shares[login]
	if s == nil {
		s = &share{g: g}
		g.shares[login] = s
	}
	return s
}

func (s *share) enter(limits *Limits, now time.Time) (leave func(), err error) {
	s.g.sharesMu.Lock()
	defer s.g.sharesMu.Unlock()
	if limits.ParkedPerLogin > 0 && s.parked >= limits.ParkedPerLogin {
		return nil, errTooMany
	}
	if limits.RatePerLogin > 0 {
		s.setRate(limits.RatePerLogin)
		if !s.rate.AllowN(now, 1) {
			return nil, errTooOften
		}
	}
	s.parked++
	return s.leave, nil
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

func (s *share) leave() {
	s.g.sharesMu.Lock()
	s.parked--
	s.g.sharesMu.Unlock()
}
