package main

import (
	"context"
	"time"
)

// clockReading is what another clock showed, and between which times of ours.
type clockReading struct {
	least, most     time.Time // it was between these
	asked, answered time.Time // ours
}

// off is how far our clock is ahead of the other one; less than 0: it is behind. A difference that the time on the way may explain is 0.
func (c *clockReading) off() time.Duration {
	switch {
	case c.asked.After(c.most):
		return c.asked.Sub(c.most)
	case c.answered.Before(c.least):
		return c.answered.Sub(c.least)
	}
	return 0
}

// examineClocks compares this machine's clock with the others.
func (d *checkup) examineClocks(context.Context) {
	if !d.wants("clock") {
		return
	}
	if d.c.UsesDefaultEngine() {
		d.clock(d.c, d.engine)
	}
	d.otherClock("Redis", d.redisT)
	d.otherClock("the gateway", d.gateT)
	if d.gateT == nil || d.engine.date.IsZero() {
		return
	}
	// The gateway may run on another machine than doctor: it signs what the engine reads.
	engine := clockReading{d.engine.date, d.engine.date.Add(time.Second), d.engine.asked, d.engine.answered}
	apart := (engine.off() - d.gateT.off()).Abs().Round(time.Second)
	if window := d.c.Auth.Window; window > 0 && apart >= window {
		d.add(isProblem, "auth.window", "set the clocks of the gateway and of the engine by NTP",
			"the clocks of the gateway and of the engine are %v apart, and auth.window is %v: signatures are refused", apart, window)
	}
}

// otherClock compares our clock with that of somebody; nil: it was not read.
func (d *checkup) otherClock(of string, c *clockReading) {
	if c == nil {
		return
	}
	off := c.off()
	if size := off.Abs().Round(time.Second); size > clockTolerance {
		d.add(isWarning, "clock", "set both by NTP", "ours is %v %s that of %s", size, map[bool]string{true: "behind", false: "ahead of"}[off < 0], of)
		return
	}
	d.ok("clock", "agrees with that of %s", of)
}
