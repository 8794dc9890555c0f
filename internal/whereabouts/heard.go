package whereabouts

import (
	"math"
	"time"
)

// Heard is what a trip has heard while its client waited, and when: the callbacks that were the first of their ops, and reports of
// progress. Times are milliseconds after acceptance. A trip of one op that hears its result alone has no memory for that but these 16 bytes. The caller guards it.
type Heard struct {
	more *moreTimes // of several ops, or of reports; nil: nothing came that needs it
	last uint32     // callback
	n    uint16     // callbacks
}

// moreTimes is the rest of a Heard: 48 bytes, however many ops there are and however much is reported.
type moreTimes struct {
	first                            uint32          // callback, of several ops
	ops                              [MostOps]uint32 // callbacks, by op, and one more; 0: none came
	reports, firstReport, lastReport uint32
}

// rest gives the rest, and makes it first if there is none.
func (h *Heard) rest() *moreTimes {
	if h.more == nil {
		h.more = new(moreTimes)
	}
	return h.more
}

// Callback notes the callback of an op, of so many, that comes now.
func (h *Heard) Callback(op, ops int, accepted time.Time) {
	h.last = millisSince(accepted)
	if ops > 1 {
		more := h.rest()
		if h.n == 0 {
			more.first = h.last
		}
		if op < len(more.ops) {
			more.ops[op] = h.last + 1
		}
	}
	if h.n < math.MaxUint16 {
		h.n++
	}
}

// Report notes a report that comes now.
func (h *Heard) Report(accepted time.Time) {
	more := h.rest()
	more.lastReport = millisSince(accepted)
	if more.reports == 0 {
		more.firstReport = more.lastReport
	}
	if more.reports < math.MaxUint32 {
		more.reports++
	}
}

// Of gives when the callback of an op came, of so many ops. False: it has not come, or nobody knows when.
func (h *Heard) Of(op, ops int) (at uint32, came bool) {
	switch {
	case h.n == 0:
		return 0, false
	case ops == 1:
		return h.last, true
	case op >= MostOps || h.more.ops[op] == 0:
		return 0, false
	}
	return h.more.ops[op] - 1, true
}

// Facts gives f what was heard.
func (h *Heard) Facts(f *Facts) {
	f.Callbacks, f.FirstCallback, f.LastCallback = h.n, h.last, h.last
	if h.more == nil {
		return
	}
	if h.n > 1 {
		f.FirstCallback = h.more.first
	}
	f.Reports, f.FirstReport, f.LastReport = h.more.reports, h.more.firstReport, h.more.lastReport
}

// millisSince gives the milliseconds since a time, at most as many as a List remembers.
func millisSince(at time.Time) uint32 {
	return uint32(min(max(time.Since(at).Milliseconds(), 0), math.MaxInt32))
}
