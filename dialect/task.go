package dialect

import (
	"time"

	"syncgate/correlator"
)

// Reply is what is known of a Call when the client is answered.
type Reply struct {
	Finals []correlator.Callback // one per op; Status Open where nothing is final
	// Open is why ops are still open: ErrDeadline, ErrDraining, ErrBadGateway, ErrPending, ErrHandedOver, ErrReported; nil when none is.
	Open       error
	Reported   correlator.Status // with ErrReported: Started or Progress
	Merged     [][]byte          // one per op: what the engine has reported so far, a JSON object; nil where it has not, or nobody reads it
	Task       string            // the id under which the client can ask later; empty: nothing is kept
	RequestID  string            // of the request that is answered
	Accepted   time.Time         // when the task was asked for; zero: not known
	RetryAfter time.Duration     // when it is worth asking again
	RateLimit  *RateLimit        // of the request that made the task; nil: it has none, or this is not the answer to it
	Trace      string            // of the request that made the task: its traceparent, for what is sent of the task later; empty: it is not recorded
}

// TaskCall is a client's request about a task, read and verified.
type TaskCall struct {
	Task    []byte // its id as the client sent it, valid while the request is
	Do      TaskVerb
	Login   string // who asks; empty: nobody has said
	Wait    time.Duration
	Applied string // Preference-Applied of a wait that is honoured; empty: there is none
	After   uint32 // Follow: the last event that the client has
	View    uint8  // the dialect's own
	Hop     int    // the dialect's own: how often the client was sent on
	State   []byte // View: that of the task's Options, where this dialect has made it; else nil
	// MayRead is nil when the caller may know a task of login; guarded is that of its Options. Else it gives a *Fault. A nil MayRead is one
	// that allows everything.
	MayRead func(login string, guarded bool) error

	Ended bool // CancelTask: the task was over already
}

// TaskVerb is what a client wants of a task.
type TaskVerb uint8

const (
	// Read wants its state, or its result.
	Read TaskVerb = iota
	// Follow wants its events.
	Follow
	// CancelTask wants it to end.
	CancelTask
)

// OpState is what is known of an op.
type OpState struct {
	Status correlator.Status // Open: nothing was reported
	// Data is what was reported so far, over the request's members where the engine's merge is on. What a final says replaces it if that is a result,
	// and is laid over it if that is a failure. nil: nothing is kept, or it is no JSON.
	Data  []byte
	Seq   uint32    // the number of the last event of the op's trip; 0: there was none, or it is not kept
	Until time.Time // when the op times out; zero: it does not
}
