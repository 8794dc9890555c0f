package gateway

import (
	"errors"
	"fmt"
	"time"

	"syncgate/correlator"
)

var (
	// ErrBadGateway leaves ops open because the engine's answer was not usable.
	ErrBadGateway = errors.New("gateway: engine not usable")
	// ErrPending leaves ops open because their callbacks may still come.
	ErrPending = errors.New("gateway: pending")
	// ErrHandedOver leaves ops open because the client wants to come back for the result.
	ErrHandedOver = errors.New("gateway: handed over")
	// ErrReported leaves ops open because the client wants to hear of the engine's first report.
	ErrReported = errors.New("gateway: the engine has reported")
	// ErrForeignAnswer is the error of an Engine's Ack whose answer belongs to another request, as its id or ref says. Nothing is known of
	// this one: its client stays parked, and the connection is closed.
	ErrForeignAnswer = errors.New("gateway: the engine's answer belongs to another request")
)

var (
	errOverLimit   = errors.New("gateway: hardly any descriptors are left")
	errForwardBusy = errors.New("gateway: every engine connection is busy")
	errTooMany     = errors.New("gateway: too many waiting clients of one login")
	errTooOften    = errors.New("gateway: too many requests of one login")
	errRouteFull   = errors.New("gateway: too many waiting clients of one route")
	errStreams     = errors.New("gateway: too many streams of one login")
	errRouteRate   = errors.New("gateway: too many requests of one route")
)

// Fault is an error with its public answer.
type Fault struct {
	Status     int           // HTTP status
	Text       string        // the public description; never the inner error
	RetryAfter time.Duration // not zero: the client may try again after it
	Allow      string        // 405: the methods that would do
	// Authenticate is the WWW-Authenticate of a 401; empty: the default dialect's.
	Authenticate string
	Details      []Detail   // what is wrong with which part of the body; may be empty
	RateLimit    *RateLimit // nil: no limit has to do with it
	Reason       Reason     // for the metrics and the log; empty: the status tells
	Login        string     // whose request it was, where its signature was right; else empty
	Own          any        // the dialect's own, of its own faults: for RefuseRequest
	Err          error      // the cause, for the log only
}

// Detail is one problem of a request's body.
type Detail struct {
	Pointer string // a JSON Pointer (RFC 6901)
	Text    string
}

// Error gives the public text and the cause. The text may quote what was sent: the log has it through unquoted.
func (f *Fault) Error() string {
	if f.Err != nil {
		return fmt.Sprintf("%s: %v", f.Text, f.Err)
	}
	return f.Text
}

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Err }

const retrySoon = time.Second

// faults is the one table from error to answer. The first row that matches wins.
var faults = []struct {
	is  error
	say Fault
}{
	{errTooMany, Fault{Status: 429, Reason: LoginParked, RetryAfter: retrySoon, Text: "Too many requests: as many clients of this login wait as may, try again later"}},
	{errTooOften, Fault{Status: 429, Reason: LoginRate, RetryAfter: retrySoon, Text: "Too many requests: this login has reached its rate, try again later"}},
	{errRouteFull, Fault{Status: 429, Reason: RouteParked, RetryAfter: retrySoon, Text: "Too many requests: as many clients of this route wait as may, try again later"}},
	{errRouteRate, Fault{Status: 429, Reason: RouteRate, RetryAfter: retrySoon, Text: "Too many requests: this route, or this client's address, has reached its rate, try again later"}},
	{errStreams, Fault{Status: 429, Reason: RouteParked, RetryAfter: retrySoon, Text: "Too many requests: as many streams of events are open for this caller as may, try again later"}},
	{correlator.ErrTooLarge, Fault{Status: 413, Reason: BodySize, Text: "What the engine has reported of this task is larger than limits.callback_body"}},
	{correlator.ErrDraining, Fault{Status: 503, Reason: Draining, RetryAfter: retrySoon, Text: "Shutting down: this node takes no new requests, try again"}},
	{correlator.ErrBusy, Fault{Status: 503, Reason: NodeParked, RetryAfter: retrySoon, Text: "Overloaded: as many clients wait here as may, try again later"}},
	{correlator.ErrFull, Fault{Status: 503, Reason: NodeResults, RetryAfter: retrySoon, Text: "Overloaded: there is no memory left for kept results, try again later"}},
	{correlator.ErrUnavailable, Fault{Status: 503, Reason: CorrelatorDown, RetryAfter: retrySoon, Text: "Overloaded: the correlator (Redis) cannot be reached, try again later"}},
	{correlator.ErrOtherBody, Fault{Status: 422, Reason: BadKey, Text: "Idempotency-Key was used with another body"}},
	{errOverLimit, Fault{Status: 503, Reason: NodeFiles, RetryAfter: retrySoon, Text: "Overloaded: too many connections, try again later"}},
	{errForwardBusy, Fault{Status: 503, Reason: EngineBusy, RetryAfter: retrySoon, Text: "Overloaded: every connection to the engine is busy, try again later"}},
	{ErrBadGateway, Fault{Status: 502, Reason: EngineUnusable, Text: "Bad gateway: the engine cannot be reached"}},
	{correlator.ErrForged, Fault{Status: 404, Reason: ForgedName, Text: "Not found: no such task"}},
	{correlator.ErrGone, Fault{Status: 410, Reason: NothingKept, Text: "Gone: the result was delivered, has expired or was not kept"}},
}

// faultOf words any error for the outside. What the table does not know is an internal error: its cause goes to the log.
func faultOf(err error) *Fault {
	if known, ok := errors.AsType[*Fault](err); ok {
		return known
	}
	for i := range faults {
		if errors.Is(err, faults[i].is) {
			f := faults[i].say
			f.Err = err
			return &f
		}
	}
	return &Fault{Status: 500, Reason: InternalError, Text: "Internal error: see the gateway's log by the request id", Err: err}
}
