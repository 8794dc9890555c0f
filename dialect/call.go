package dialect

import (
	"context"
	"time"

	"syncgate/correlator"
)

// Call is a client's request, read and verified. It holds copies only: nothing in it points into a request's buffers.
type Call struct {
	Login        string        // who asked: limits, keys and tasks belong to it; a known login
	Ops          []Op          // in the client's order
	Wait         time.Duration // how long the client waits, from acceptance; capped already
	TimeoutGiven bool          // the client named its timeout: its end is a normal answer and not a 504

	// Fingerprint is the same for requests that ask for the same: of the body, its timeout apart. nil: the request has no Idempotency-Key.
	Fingerprint *[32]byte

	// Body is the package for the engine, complete but for the callback tokens, or empty when no op is to be forwarded.
	// Slots are the offsets in Body where the tokens go, as many bytes each as a token has, one per op whose Create is set, in order.
	Body  []byte
	Slots []int

	// Options is what a route adds; nil: nothing.
	Options *Options

	// Terms are what holds for tasks that outlast their client's wait; nil: nothing.
	Terms *Terms

	// Names complete ops of the call by names; nil: its tokens alone do.
	Names CallNames
}

// Terms say how long a task may last. They make its tokens live longer.
type Terms struct {
	Lasts     time.Duration // how long after acceptance the engine may take, if that is longer than Call.Wait
	Retention time.Duration // how long a result is kept at least
	Ends      bool          // an op that is open when Lasts has passed has timed out
	Recorded  bool          // there is a record of the call from its beginning
}

// CallNames are the names of a call's ops, under which others complete them through Gateway.Deliver. A call with names has its own. Its methods may
// ask a store, and wait for it until ctx ends; where ctx has no deadline there is none, and they must not block. One that panics ends the wait for
// nobody else, and has returned as far as the others are concerned.
type CallNames interface {
	// Bind is called once, before the engine can know the call, which is parked already as id. It may make an op Local, which it then takes out of
	// c.Body and c.Slots: finals has what becomes of the ops that end here. Nothing else of c may change, as it is read meanwhile: the wait can end,
	// and an op be completed under its name, before Bind returns. expiry is until when callbacks are accepted. An error ends the call, and nothing
	// is forwarded.
	Bind(ctx context.Context, id correlator.ID, expiry time.Time, c *Call) (finals []correlator.Callback, err error)
	// Acked is called once, when the engine has answered, and not when there is no answer. Where the answer is not one of its protocol, ack is zero.
	Acked(ctx context.Context, c *Call, ack *Ack)
	// Ended is called once for each Bind, with an error or without, when that has returned and the wait has ended. status gives that of each op: where it
	// is not final, kept says whether a final can still come. An answer that has ended the wait goes to Acked first. A later one may go to Acked when
	// Ended was called, and while Ended runs.
	Ended(ctx context.Context, status []correlator.Status, kept bool)
}

// Options are what a route adds to a Call. Calls with Options have one op, or one for each of Asked.Elements.
type Options struct {
	Route  string // its name, for the log and the metrics
	Engine string // the name of its engine; empty: the default one
	Mode   Mode
	Idle   time.Duration // the wait also ends when the engine reports nothing for so long after it has begun; 0: it does not
	// FirstReport says that the wait also ends when the engine reports something: its client hears ErrReported.
	FirstReport bool
	// OnDisconnect is what becomes of the task of a client that hangs up: Keep, Drop or Cancel; empty: on_disconnect.
	OnDisconnect string
	ComesBack    bool      // a client whose wait ends without a result is sent to the task: that is no time-out
	Quotas       []Quota   // that must have room, beside the login's limits
	State        []byte    // the dialect's own, kept with the task
	Lasts        time.Time // until when the task's record may change; set before Register, zero for a call without a task
	Applied      string    // Preference-Applied: the preferences that are honoured; empty: none
	Data         []byte    // the request's members, over which the result is laid; nil: none
	Guarded      bool      // the task is for nobody but Call.Login
	Pushes       bool      // the dialect sends the result to others: it is a PushDialect
	Own          any       // the dialect's own, for Register and the Answer to this request alone
	Accepted     []byte    // what a Canceller needs, once the engine has answered
	Asked        *Asked    // what the engine is to word; gone when it has
	Prepared     any       // the engine's own; gone when the engine has answered

	// Of the gateway, after Accept.
	Rate     *RateLimit           // as Reply has it
	Reported *correlator.Callback // with ErrReported: what the engine has reported
}

// Values of Options.OnDisconnect, and of on_disconnect in the configuration: what becomes of the result of a client that hung up.
const (
	Keep = "keep"
	Drop = "drop"
	// Cancel drops the result, and asks the engine to cancel the task. Only routes have it.
	Cancel = "cancel"
)

// RateLimit is what is left of the limit that a caller reaches first.
type RateLimit struct {
	Limit     int // requests that may come at once
	Remaining int // of those
	Reset     int // seconds until all of them may come again
}

// Mode is what a client waits for.
type Mode uint8

const (
	// Hold waits for the result.
	Hold Mode = iota
	// HandOver waits until the engine has taken the task.
	HandOver
	// Stream waits until the engine has taken the task, for a second at most, and then hears events.
	Stream
)

// Quota bounds what calls with the same Name have at this node at the same time, and how often they come.
type Quota struct {
	Name       string
	Parked     int     // clients that wait; 0: any number
	Rate       float64 // requests a second; 0: any number
	PerAddress bool    // the rate is that of each client address
}

// Asked is a request that an Engine words as it likes. Path, Query, ContentType and Body are valid while the request is.
type Asked struct {
	Method      string
	Path        []byte // without what authenticates the caller
	Query       []byte // raw, without the question mark
	Params      []Param
	Headers     []Param // of the client, without its credentials and what is for one connection alone
	Forwarded   []Param // those of them that forward_headers names
	ContentType []byte
	Body        []byte
	// Elements are the bodies of a call with several ops, one for each, in order; nil: the call has one op, and Body is its own. Engines that send one
	// task with each request refuse several.
	Elements [][]byte
	Process  string // corezoid: conv_id
	Signer   string // corezoid: the login that signs
	Data     string // corezoid: what becomes the task's data
	// Traceparent is what the engine is to have of the request's trace; empty: nothing.
	Traceparent string
}

// Param is a name with its value.
type Param struct{ Name, Value string }

// Op is one operation of a Call.
type Op struct {
	Create bool // parked until its callback; else the engine's own answer is final
	Local  bool // the engine does not get it: what is delivered under its name, or by CallNames, is final
	// Added says that Match is ours: the client sent no id, and must not see this one.
	Added   bool
	Refused string // not empty: not forwarded, this is why (public text)
	ID, Ref []byte // as the client wrote them, nil when absent: echoed byte for byte
	// Match is the decoded text of the id by which the engine's answer is found, empty when only the position tells.
	Match string
	// Process is what the op is for, as the client wrote it, nil when absent: a conv_id, or whatever the dialect calls it. For operators.
	Process []byte
}
