package gateway

import (
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
)

// Call is a client's request, read and verified. It holds copies only: nothing in it points into a request's buffers.
type Call struct {
	Login        string        // who asked; a known login
	Ops          []Op          // in the client's order
	Wait         time.Duration // how long the client waits, from acceptance; capped already
	TimeoutGiven bool          // the client named its timeout: its end is a normal answer and not a 504

	// Fingerprint is the same for requests that ask for the same: of the body, its timeout apart. Set for requests with an
	// Idempotency-Key.
	Fingerprint [32]byte

	// Body is the package for the engine, complete but for the callback tokens, or empty when no op is to be forwarded.
	// Slots are the offsets in Body where the tokens go, correlator.TokenLen bytes each, one per op whose Create is set, in order.
	Body  []byte
	Slots []int
}

// Op is one operation of a Call.
type Op struct {
	Create bool // parked until its callback; else the engine's own answer is final
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
	Open   error                 // why ops are still open (ErrDeadline, ErrDraining, ErrBadGateway, ErrPending); nil when none is
}

// Dialect is how clients speak. Its methods are called concurrently, and must not block. One that panics fails the request that it was
// called for, and no other (partner.go).
type Dialect interface {
	// Route reports whether path, raw and without its query, is a create request of this dialect.
	Route(path []byte) bool
	// Accept verifies a request and reads it, copying what it keeps, in the order signature, time, encoding, body.
	// Its errors are *Fault, with the Login of a request whose signature was right.
	Accept(req *fasthttp.Request, now time.Time) (*Call, error)
	// Identify verifies the credentials of a request without a body, which stand in its path or, if those are empty, in its head, and gives
	// the login. It is empty when there are none. Its errors are *Fault.
	Identify(h *fasthttp.RequestHeader, credentials []byte, now time.Time) (login string, err error)
	// Answer writes status and body of a reply.
	Answer(dst *fasthttp.Response, c *Call, r Reply)
	// Refuse words a fault.
	Refuse(dst *fasthttp.Response, f *Fault)
}

// Ack is what the engine's answer to a forwarded package says.
type Ack struct {
	// Package is set when the answer concerns the package as a whole: it goes to the client with the engine's status, verbatim.
	Package []byte
	// Finals are the ops that the engine has answered for good: refused creates and every op that is not parked.
	// An op that is neither here nor taken stays open: its callback decides, or the deadline.
	Finals []correlator.Callback
	// Refused says that the engine did not take the package, or an op of it; Why is what it says of the first such op, empty where it
	// says nothing. For operators: what may stand in it is bounded and cleaned before anybody reads it.
	Refused   bool
	RefusedOp int
	Why       string
	// Task is the engine's own id of the task of a call with one op, Tasks of one with several, by op. For operators.
	Task  EngineTask
	Tasks []EngineTask
}

// EngineTask is the engine's own id of a task, as much of it as there is room for: it costs no memory of its own. The zero value is
// none.
type EngineTask struct {
	size uint8
	text [31]byte
}

// NewEngineTask takes the beginning of an id.
func NewEngineTask(id []byte) (t EngineTask) {
	t.size = uint8(copy(t.text[:], id)) //nolint:gosec // at most 31
	return t
}

// bytes gives the id, nil when there is none. It stands in t.
func (t *EngineTask) bytes() []byte { return t.text[:t.size] }

// Engine is how work is asked for. Its methods are called concurrently, must not block, and may panic, as a Dialect's.
type Engine interface {
	// Encode fills dst with the request for the engine: tokens put into c.Body, signed with the time now. It may alias c.Body.
	Encode(dst *fasthttp.Request, c *Call, tokens []string, now time.Time) error
	// Ack reads the engine's complete HTTP answer; body is valid until it returns. An error means that the answer is not one of the
	// protocol. One that wraps ErrForeignAnswer means that it answers another request.
	Ack(c *Call, status int, body []byte) (Ack, error)
	// Callback reads an engine's callback for op and gives the body that the engine is to hear on success.
	// Its errors are *Fault.
	Callback(req *fasthttp.Request, op int) (cb correlator.Callback, answer []byte, err error)
}
