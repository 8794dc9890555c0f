package dialect

import (
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
)

// Engine is how work is asked for. Its methods are called concurrently, must not block, and may panic, as a Dialect's.
type Engine interface {
	// Prepare words c.Options.Asked: it fills c.Body and c.Slots, or Options.Prepared, copying what it keeps. It is called once for a call
	// that has one. Its errors are *Fault.
	Prepare(c *Call) error
	// Encode fills dst with the request for the engine: tokens put in, signed with the time now. It may alias c.Body.
	Encode(dst *fasthttp.Request, c *Call, tokens []string, now time.Time) error
	// Ack reads the engine's complete HTTP answer; header and body are valid until it returns. An error means that the answer is not one of
	// the protocol. One that wraps ErrForeignAnswer means that it answers another request.
	Ack(c *Call, status int, header *fasthttp.ResponseHeader, body []byte) (Ack, error)
	// Callback reads an engine's callback for op and gives the body that the engine is to hear on success. StatusOf reads the status that
	// stands in its head.
	// Its errors are *Fault.
	Callback(req *fasthttp.Request, op int) (cb correlator.Callback, answer []byte, err error)
}

// DefaultEngine is the name of the engine that routes use where they name none.
const DefaultEngine = "corezoid"

// Canceller is an Engine that may be asked to cancel a task.
type Canceller interface {
	// Cancels reports whether the engine has a request that cancels a task. It is asked once.
	Cancels() bool
	// EncodeCancel fills dst with the request that cancels a task. task is its id for clients, accepted is Ack.Accepted. An error means that there is
	// no such request for this task; operators see it.
	EncodeCancel(dst *fasthttp.Request, task string, accepted []byte, now time.Time) error
}

// Ack is what the engine's answer to a forwarded package says.
type Ack struct {
	// Package is set when the answer concerns the package as a whole: it goes to the client with the engine's status, verbatim.
	Package     []byte
	ContentType string // of Package; empty: JSON
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
	// Accepted is what a Canceller needs of the answer, at most 4 KiB; nil: nothing.
	Accepted []byte
}

// EngineTask is the engine's own id of a task, as much of it as there is room for: it costs no memory of its own. The zero value is
// none.
type EngineTask struct {
	size uint8
	cut  bool     // the id is longer
	text [36]byte // a UUID has room
}

// NewEngineTask takes the beginning of an id.
func NewEngineTask(id []byte) (t EngineTask) {
	t.size = uint8(copy(t.text[:], id)) //nolint:gosec // at most 36
	t.cut = int(t.size) < len(id)
	return t
}

// Whole gives the id; empty where there is none, or there was no room for all of it.
func (t EngineTask) Whole() string {
	if t.cut {
		return ""
	}
	return string(t.Bytes())
}

// Bytes gives the id, or its beginning; nil when there is none. It stands in t.
func (t *EngineTask) Bytes() []byte { return t.text[:t.size] }

// StatusHeader is the header of a callback that has its status, and that of our answer to one that counts for nothing. It is in its canonical form.
const StatusHeader = "X-Callback-Status"

// statusQuery is the parameter of a callback's URL that has its status.
const statusQuery = "callback_status"

// StatusOf reads the status that stands in the head of a callback: X-Callback-Status, else callback_status of its query. Open: neither is
// there, and what is in the body counts. An unknown word is a *Fault.
func StatusOf(req *fasthttp.Request) (correlator.Status, error) {
	word := req.Header.PeekCanonical([]byte(StatusHeader))
	if len(word) == 0 {
		word = queryValue(req.Header.RequestURI(), statusQuery)
	}
	if len(word) == 0 {
		return correlator.Open, nil
	}
	s, ok := StatusNamed(string(word))
	if !ok {
		return correlator.Open, &Fault{Status: fasthttp.StatusBadRequest, Text: "Incorrect callback: its status is none of start, progress, complete, cancel, error"}
	}
	return s, nil
}

// StatusNamed gives the status of a callback that a word names.
func StatusNamed(word string) (s correlator.Status, ok bool) {
	for _, s := range []correlator.Status{correlator.Complete, correlator.Progress, correlator.Started, correlator.Errored, correlator.Cancelled} {
		if s.String() == word {
			return s, true
		}
	}
	return correlator.Open, false
}

// queryValue gives the first value of a name in the query of a request target, nil where there is none.
func queryValue(target []byte, name string) []byte {
	var args fasthttp.Args
	for i, c := range target {
		if c == '?' {
			args.ParseBytes(target[i+1:])
			return args.Peek(name)
		}
	}
	return nil
}
