package dialect

import (
	"context"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
)

// Dialect is how clients speak. Its methods are called concurrently, and must not block. One that panics fails the request that it was
// called for, and no other.
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
