// Package whereabouts answers operators who ask where a request is. It remembers trips that are over, finds them, and those that wait, by
// every name that somebody may have for them, lists them, and sums them up.
package whereabouts

import (
	"time"

	"syncgate/correlator"
)

// Facts are what is known of a trip.
type Facts struct {
	ID        correlator.ID // zero: it has none
	RequestID string
	Login     string
	Route     string // its name; empty: the request was refused before its route was known
	Engine    string // the name of the one that has it, or is to have it; empty: none
	Accepted  time.Time
	Keyed     bool // it has an Idempotency-Key
	Joined    bool // it waits for another request with the same key
	Waits     bool // it is not over
	Queued    bool // it waits for a connection to the engine

	// Of a request that was read.
	Read         bool
	Ops          int // how many there are
	Wait         time.Duration
	Forwarded    int64 // when the request was made for the engine, in Unix nanoseconds; 0: not yet
	EngineTime   int64 // nanoseconds of the exchange with the engine; 0 while it lasts
	EngineStatus uint16

	// Callbacks that were the first of their ops, and when: in milliseconds after acceptance.
	Callbacks                   uint16
	FirstCallback, LastCallback uint32

	// Reports of progress that came while the client waited, and when: in milliseconds after acceptance.
	Reports, FirstReport, LastReport uint32

	// Of a trip that is over.
	Outcome   string
	Reason    string // why it was refused; empty: it was not
	Status    int    // of the reply
	Took      time.Duration
	Written   bool  // the client has the reply
	KeptUntil int64 // Unix milliseconds; 0: nothing is kept
}

// OpFacts are what is known of an op. Process and Ref are JSON values as the client wrote them, nil when absent; only what people read of them is
// kept.
type OpFacts struct {
	Op             int // its number, below MostOps
	Process, Ref   []byte
	Task           Task
	Final, Refused bool
	Heard          bool   // its callback has come
	Callback       uint32 // when, in milliseconds after acceptance
}

// Ops gives what is known of the ops of a trip.
type Ops interface {
	// OpFacts gives what is known of an op, which is below Facts.Ops.
	OpFacts(op int) OpFacts
}

// Waiting calls visit with every trip that is not over, in no order, until visit returns false. f and ops are good until visit returns. visit is short: locks
// are held meanwhile that the trip needs.
type Waiting func(visit func(f *Facts, ops Ops) (goOn bool))

// Task is the engine's own id of a task, as much of it as there is room for: it costs no memory of its own. The zero value is none.
type Task struct {
	size uint8
	text [36]byte // a UUID has room
}

// NewTask takes the beginning of an id, at most 36 bytes.
func NewTask(id []byte) (t Task) {
	t.size = uint8(copy(t.text[:], id)) //nolint:gosec // at most 36
	return t
}

// bytes gives the id, nil when there is none. It stands in t.
func (t *Task) bytes() []byte { return t.text[:t.size] }
