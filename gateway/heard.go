package gateway

import (
	"math"
	"time"

	"syncgate/correlator"
	"syncgate/internal/whereabouts"
)

// callbackTimes says what a trip has heard while its client waited, and when: the callbacks that were the first of their ops, and reports of
// progress. Times are milliseconds after acceptance. A trip of one op that hears its result alone has no memory for that but these 16 bytes.
type callbackTimes struct {
	more *moreTimes // of several ops, or of reports; nil: nothing came that needs it
	last uint32     // callback
	n    uint16     // callbacks
}

// moreTimes is the rest of callbackTimes: 48 bytes, however many ops there are and however much is reported.
type moreTimes struct {
	first                            uint32                      // callback, of several ops
	ops                              [whereabouts.MostOps]uint32 // callbacks, by op, and one more; 0: none came
	reports, firstReport, lastReport uint32
}

// rest gives the rest, and makes it first if there is none.
func (c *callbackTimes) rest() *moreTimes {
	if c.more == nil {
		c.more = new(moreTimes)
	}
	return c.more
}

// note notes the callback of an op, of so many, that comes now.
func (c *callbackTimes) note(op, ops int, accepted time.Time) {
	c.last = millisSince(accepted)
	if ops > 1 {
		more := c.rest()
		if c.n == 0 {
			more.first = c.last
		}
		if op < len(more.ops) {
			more.ops[op] = c.last + 1
		}
	}
	if c.n < math.MaxUint16 {
		c.n++
	}
}

// noteReport notes a report that comes now.
func (c *callbackTimes) noteReport(accepted time.Time) {
	more := c.rest()
	more.lastReport = millisSince(accepted)
	if more.reports == 0 {
		more.firstReport = more.lastReport
	}
	if more.reports < math.MaxUint32 {
		more.reports++
	}
}

// of gives when the callback of an op came, of so many ops. False: it has not come, or nobody knows when.
func (c *callbackTimes) of(op, ops int) (at uint32, came bool) {
	switch {
	case c.n == 0:
		return 0, false
	case ops == 1:
		return c.last, true
	case op >= whereabouts.MostOps || c.more.ops[op] == 0:
		return 0, false
	}
	return c.more.ops[op] - 1, true
}

// facts takes what was heard.
func (c *callbackTimes) facts(f *whereabouts.Facts) {
	f.Callbacks, f.FirstCallback, f.LastCallback = c.n, c.last, c.last
	if c.more == nil {
		return
	}
	if c.n > 1 {
		f.FirstCallback = c.more.first
	}
	f.Reports, f.FirstReport, f.LastReport = c.more.reports, c.more.firstReport, c.more.lastReport
}

// millisSince gives the milliseconds since a time, at most as many as a whereabouts.List remembers.
func millisSince(at time.Time) uint32 {
	return uint32(min(max(time.Since(at).Milliseconds(), 0), math.MaxInt32)) //nolint:gosec // it fits
}

// hears reports whether what comes for the trip is noted: its client waits, and operators can ask for it later. Called with mu held.
func (t *trip) hears() bool { return t.phase == parked && t.kind == creates && t.g.recent != nil }

// noteCallback notes a final that was delivered, if it is a callback and the first of its op. Called with mu held, before the trip takes it.
func (t *trip) noteCallback(cb *correlator.Callback) {
	if t.hears() && isCalled(cb) && cb.Op < len(t.finals) && !t.finals[cb.Op].Status.Final() {
		t.heard.note(cb.Op, len(t.finals), t.accepted)
	}
}

// noteReport notes what the engine has said of its progress.
func (t *trip) noteReport() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hears() {
		t.heard.noteReport(t.accepted)
	}
}

// isCalled reports whether somebody has called with a final that was delivered. The others are the gateway's own: an op was cancelled, has timed
// out, or was answered without a callback.
func isCalled(cb *correlator.Callback) bool {
	switch cb.Status {
	case correlator.Complete, correlator.Errored:
		return true
	case correlator.Cancelled:
		return !isOurCancel(cb)
	default:
		return false
	}
}
