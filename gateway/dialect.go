package gateway

import (
	"context"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
)

// Dialect is how clients speak. Its methods are called concurrently, and must not block. One that panics fails the request that it was
// called for, and no other (partner.go).
type Dialect interface {
	// Name is recorded with the tasks of the dialect, so that every node words them alike. It never changes.
	Name() string
	// Route gives what path asks for, raw and without its query; false: the path is none of this dialect's.
	Route(path []byte) (Route, bool)
	// Accept verifies a request of a Create route and reads it, copying what it keeps, in the order signature, time, encoding, body.
	// Its errors are *Fault, with the Login of a request whose credentials were right.
	Accept(req *fasthttp.Request, r Route, now time.Time) (*Call, error)
	// Answer writes status and body of a reply, and where the client finds what comes later. r is good until it returns.
	Answer(dst *fasthttp.Response, c *Call, r *Reply)
	// Refuse words a fault.
	Refuse(dst *fasthttp.Response, f *Fault, requestID string)
}

// TaskDialect is a Dialect whose clients come back for what they left.
type TaskDialect interface {
	// Task verifies a request of a Task route and reads it. It has no body, but for PUT. Its errors are *Fault.
	Task(req *fasthttp.Request, r Route, now time.Time) (TaskCall, error)
	// View words what is known of a task as the request asked for it. own words it as the dialect does that made the task.
	View(dst *fasthttp.Response, c *TaskCall, r *Reply, own func(dst *fasthttp.Response))
}

// StreamDialect is a Dialect that words events.
type StreamDialect interface {
	// AppendEvent appends the event for a callback whose status is Started or Progress. cb.Seq is the event's id.
	AppendEvent(dst []byte, c *Call, cb correlator.Callback) []byte
	// AppendAccepted appends the first event of a stream: the task is taken, and r.Task is where it can be found.
	AppendAccepted(dst []byte, c *Call, r *Reply) []byte
	// AppendEnd appends the last event: the result, or why there is none. own words the reply as the dialect does that made the task.
	AppendEnd(dst []byte, c *Call, r *Reply, own func(dst *fasthttp.Response)) []byte
}

// BrowserDialect is a Dialect whose routes know origins of their own, beside cors.origins.
type BrowserDialect interface {
	// AllowsOrigin reports whether pages of origin may call a route. login is the caller; empty: that is not known yet.
	AllowsOrigin(r Route, origin, login string) bool
}

// PushDialect is a Dialect that sends results to others than the client that waits for them.
type PushDialect interface {
	// Register keeps what has to be known before the task of a call with Options.Pushes is made. task is its id for clients; empty: the call
	// makes no task. It may ask a store, until ctx ends. Its errors are *Fault, or ErrUnavailable of package correlator.
	Register(ctx context.Context, c *Call, task string) error
	// Push hands over to a sender what is to be sent of a task that has ended: c and r as for Answer, own words the reply. It is called again,
	// on any node, until it has returned nil: what was handed over before must not be sent twice.
	Push(ctx context.Context, c *Call, r *Reply, own func(dst *fasthttp.Response)) error
	// Delivering reports whether the sender still has to deliver something of what Push gave it. Until then the task can be read.
	Delivering(ctx context.Context, c *Call, r *Reply) (bool, error)
}

// ForgetDialect is a PushDialect that keeps something for each task.
type ForgetDialect interface {
	// Forget takes back what Register has kept for a task that was surely not made. ctx ends soon. What cannot be taken back stays.
	Forget(ctx context.Context, c *Call, task string)
}

// ResourceDialect is a Dialect with resources of its own that are no tasks.
type ResourceDialect interface {
	// Resource answers a request of a Resource or a Report route, and says who asks; empty: nobody has said. It may ask a store and wait, until ctx
	// ends. Its errors are as Register's.
	Resource(ctx context.Context, dst *fasthttp.Response, req *fasthttp.Request, at ResourceCall) (login string, err error)
}

// ResourceCall is what is known of a request of a Resource or a Report route beside what stands in it.
type ResourceCall struct {
	Route  Route
	Now    time.Time
	Remote string // the address of the client, as proxies that are trusted say
	// Stream begins to answer with a stream, once, from within Resource: with the head, and the body as the first piece if there is one. What is given to
	// send follows, without a wait for the client, until Resource returns; with an error the connection is cut. False of either: the client is gone.
	Stream func(head *fasthttp.Response) (send func(piece []byte) bool, ok bool)
}

// RefusalDialect is a Dialect whose words for a refusal depend on what was asked for.
type RefusalDialect interface {
	// RefuseRequest words a fault as Refuse does, or the answer of an engine that has refused the request. False: these words depend on nothing. Then
	// Refuse words the fault, and the engine's answer goes to the client as it is.
	RefuseRequest(dst *fasthttp.Response, f *Fault, of Refused) (worded bool)
}

// Refused is a request that is refused. Of a request about a task it has the RequestID alone.
type Refused struct {
	RequestID string
	Route     Route  // the zero Route: the path was not read, or Call says more
	Method    string // one of Route.Methods; empty: another one, or it was not read
	Call      *Call  // nil: it was not accepted
	// Body is the answer of the engine, whose status the Fault has; nil: it is not the engine that refuses.
	Body        []byte
	ContentType string // of Body
}

// Kind is what a path asks for.
type Kind uint8

const (
	// Create makes tasks.
	Create Kind = iota + 1
	// Task names a task.
	Task
	// Resource names what the dialect keeps itself.
	Resource
	// Report is where those call that complete tasks, beside our own callback path. It is served where callbacks are, and as they are: with
	// limits.callback_body, and while the node drains.
	Report
)

// Route is what a Dialect knows of a path. It keeps no byte of the request.
type Route struct {
	Kind    Kind
	View    uint8    // the dialect's own: which form of a task
	Own     any      // the dialect's own: what it knows of the path, as it was when the request came; not to be changed
	Methods []string // that the path answers, OPTIONS among them; not to be changed
	Name    string   // in the log and in metrics; empty: there is only one
	Body    int64    // the most bytes of a body, of Create and Resource; 0: limits.body, or the few bytes that nobody pays for
	// Wait is how long Resource may take at most; 0: what a store may take.
	Wait time.Duration
	// Watched says that the ctx of Resource also ends when the client has left, and that a client that has closed its side gets no answer.
	Watched bool
}

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
