package gateway

import (
	"time"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/quota"
)

// admit asks whether a call may have one more place: the correlator's health, then the limits of its login and those of its route. leave
// gives the place back. remote is the client's address.
func (g *Gateway) admit(c *dialect.Call, remote string, now time.Time) (leave func(), err error) {
	if g.cfg.WhenDown == Refuse {
		if err := g.admits(); err != nil {
			return nil, correlator.ErrUnavailable
		}
	}
	limits := g.limits.Load()
	limited := limits.ParkedPerLogin > 0 || limits.RatePerLogin > 0
	streams := limits.StreamsPerLogin > 0 && modeOf(c) == dialect.Stream
	if !limited && !streams && (c.Options == nil || len(c.Options.Quotas) == 0) {
		return func() {}, nil
	}
	e := entry{g.quotas.Begin(now)}
	if limited {
		err = e.Enter(c.Login, quota.Limit{Parked: limits.ParkedPerLogin, Rate: limits.RatePerLogin}, errTooMany, errTooOften)
	}
	if streams && err == nil {
		err = e.enterStream(c.Login, limits)
	}
	if c.Options != nil && err == nil {
		err = e.enterAll(c.Options.Quotas, remote)
	}
	if c.Options != nil {
		c.Options.Rate = e.rate()
	}
	if err != nil {
		e.Leave()
		return nil, e.fault(err)
	}
	return e.Leave, nil
}

// entry is the places of one call.
type entry struct{ quota.Entry }

// rate is what is left of the rate that the call uses up first; nil: there is none.
func (e *entry) rate() *dialect.RateLimit { return (*dialect.RateLimit)(e.Left()) }

// fault is the answer to a call that has no place, and says when it would have one.
func (e *entry) fault(err error) error {
	if e.rate() == nil {
		return err
	}
	f := faultOf(err)
	f.RateLimit = e.rate()
	return f
}

// enterAll takes a place of each quota of a route.
func (e *entry) enterAll(quotas []dialect.Quota, remote string) error {
	for _, q := range quotas {
		name := "\x00" + q.Name // which is no login's
		if q.PerAddress {
			name += "\x00" + remote
		}
		if err := e.Enter(name, quota.Limit{Parked: q.Parked, Rate: q.Rate}, errRouteFull, errRouteRate); err != nil {
			return err
		}
	}
	return nil
}

// enterStream takes a place of the streams of a login.
func (e *entry) enterStream(login string, limits *Limits) error {
	return e.Enter("\x00streams\x00"+login, quota.Limit{Parked: limits.StreamsPerLogin}, errStreams, errStreams)
}

// admitStream asks whether the tasks of a login may have one more stream.
func (g *Gateway) admitStream(login string, now time.Time) (leave func(), err error) {
	limits := g.limits.Load()
	if limits.StreamsPerLogin <= 0 {
		return nil, nil
	}
	e := entry{g.quotas.Begin(now)}
	if err := e.enterStream(login, limits); err != nil {
		return nil, err
	}
	return e.Leave, nil
}
