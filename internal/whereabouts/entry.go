package whereabouts

import (
	"hash/maphash"
	"math"
	"strings"
	"time"

	"syncgate/correlator"
	"syncgate/internal/redact"
)

// entry is one op of a trip, with what is known of the trip. Times are milliseconds after acceptance; -1: it has not happened.
type entry struct {
	id                   correlator.ID
	accepted             int64  // Unix nanoseconds
	keptUntil            int64  // Unix milliseconds; 0: nothing is kept
	requestHash, refHash uint64 // of the whole texts. They stand apart from the texts, where each would be followed by 7 bytes of nothing
	request, ref         short
	process              [24]byte // as are the two below, cut where it is longer, and 0 behind its end
	outcome              [20]byte // empty: the trip is not over
	reason               [20]byte // why it was refused
	task                 Task

	deadline, forwarded, firstCallback, lastCallback, firstReport, lastReport, replied int32
	callback                                                                           int32  // of this op
	engineTime                                                                         uint32 // microseconds of the exchange with the engine, of 71 minutes at most; 0: it lasts
	reports                                                                            uint32

	login, route, engine                                     uint16 // numbers of names of the shard; 0 where the trip is not over
	callbacks, op, ops, status, engineStatus                 uint16
	parked, final, abandoned, keyed, joined, queued, refused bool
}

// begin takes what is known of a trip as a whole, but for its names.
func (e *entry) begin(f *Facts, seed maphash.Seed) {
	*e = entry{deadline: -1, forwarded: -1, firstCallback: -1, lastCallback: -1, firstReport: -1, lastReport: -1, replied: -1, callback: -1}
	e.id, e.accepted, e.keyed, e.joined, e.parked, e.queued = f.ID, f.Accepted.UnixNano(), f.Keyed, f.Joined, f.Waits, f.Queued
	var room [128]byte // of a request id
	e.requestHash = e.request.set(seed, append(room[:0], f.RequestID...))
	if f.Callbacks > 0 {
		e.callbacks, e.firstCallback, e.lastCallback = f.Callbacks, milliseconds(f.FirstCallback), milliseconds(f.LastCallback)
	}
	if f.Reports > 0 {
		e.reports, e.firstReport, e.lastReport = f.Reports, milliseconds(f.FirstReport), milliseconds(f.LastReport)
	}
	if !f.Read {
		return
	}
	e.ops = uint16(f.Ops) //nolint:gosec // at most correlator.MaxOp
	e.deadline = milliseconds(f.Wait.Milliseconds())
	if f.Forwarded != 0 {
		e.forwarded = milliseconds((f.Forwarded - e.accepted) / int64(time.Millisecond))
		if f.EngineTime != 0 {
			e.engineTime, e.engineStatus = microseconds(f.EngineTime), f.EngineStatus
		}
	}
}

func milliseconds[T uint32 | int64](n T) int32 { return int32(min(int64(n), math.MaxInt32)) } //nolint:gosec // it fits

// microseconds gives nanoseconds so, and at least one.
func microseconds(n int64) uint32 {
	return uint32(min(max(n/int64(time.Microsecond), 1), math.MaxUint32))
}

// describe takes what is known of an op.
func (e *entry) describe(o *OpFacts, seed maphash.Seed) {
	e.op, e.process, e.ref, e.refHash, e.task = uint16(o.Op), [24]byte{}, short{}, 0, o.Task //nolint:gosec // at most MostOps
	redact.AppendLabel(e.process[:0], o.Process, len(e.process))
	if ref := redact.PlainText(o.Ref); len(ref) > 0 {
		e.refHash = e.ref.set(seed, ref)
	}
	e.final, e.refused, e.callback = o.Final, o.Refused, -1
	if o.Heard {
		e.callback = milliseconds(o.Callback)
	}
}

// finish takes how a trip ended.
func (e *entry) finish(f *Facts) {
	e.replied, e.status, e.abandoned = milliseconds(f.Took.Milliseconds()), uint16(f.Status), !f.Written //nolint:gosec // three digits
	copy(e.outcome[:], f.Outcome)
	copy(e.reason[:], f.Reason)
	e.keptUntil = f.KeptUntil
}

// ended gives when a trip that is over ended, in Unix nanoseconds.
func (e *entry) ended() int64 { return e.accepted + int64(e.replied)*int64(time.Millisecond) }

// begins reports whether the entry is the first of its trip: each trip has one.
func (e *entry) begins() bool { return e.op == 0 }

// answered gives when the engine had answered; -1: it has not.
func (e *entry) answered() int32 {
	if e.engineTime == 0 {
		return -1
	}
	return e.forwarded + int32(e.engineTime/1000) //nolint:gosec // an hour
}

// short is the beginning of a text that others have chosen.
type short struct {
	size uint8
	text [40]byte
}

// set takes a text, and gives the hash of the whole, by which it is found.
func (s *short) set(seed maphash.Seed, text []byte) (hash uint64) {
	s.size = uint8(len(redact.AppendText(s.text[:0], text, len(s.text)))) //nolint:gosec // at most 40
	return maphash.Bytes(seed, text)
}

func (s *short) String() string { return string(s.text[:s.size]) }

// cut gives a text without the zeros behind it.
func cut(text []byte) string { return strings.TrimRight(string(text), "\x00") }

// names are those of logins, routes and engines: an entry has their numbers. They come from configurations, so there are few. The zero value is ready.
type names struct {
	all    []string          // by number, less 1
	number map[string]uint16 // of each
	last   [3]lastName       // by kind: most trips have the same as the one before
}

type lastName struct {
	name   string
	number uint16
}

// Kinds of names.
const (
	aLogin = iota
	aRoute
	anEngine
)

// recall is of, and fast where the last name of its kind was the same.
func (n *names) recall(kind int, name string) uint16 {
	last := &n.last[kind]
	if last.name != name {
		number := n.of(name)
		if number == math.MaxUint16 {
			return number
		}
		*last = lastName{n.text(number), number} // not the caller's name, which may be a part of something large
	}
	return last.number
}

// mostNames bounds them.
const mostNames = math.MaxUint16 - 1

// otherName stands for what comes when there are too many.
const otherName = "(other)"

// of gives the number of a name, 0 of the empty one.
func (n *names) of(name string) uint16 {
	if name == "" {
		return 0
	}
	if i, known := n.number[name]; known {
		return i
	}
	if len(n.all) >= mostNames {
		return math.MaxUint16
	}
	if n.number == nil {
		n.number = make(map[string]uint16)
	}
	name = strings.Clone(name)
	n.all = append(n.all, name)
	i := uint16(len(n.all)) //nolint:gosec // at most mostNames
	n.number[name] = i
	return i
}

// text gives the name with a number.
func (n *names) text(i uint16) string {
	switch {
	case i == 0:
		return ""
	case int(i) > len(n.all):
		return otherName
	}
	return n.all[i-1]
}
