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
	// ErrForeignAnswer is the error of an Engine's Ack whose answer belongs to another request, as its id or ref says. Nothing is known of
	// this one: its client stays parked, and the connection is closed.
	ErrForeignAnswer = errors.New("gateway: the engine's answer belongs to another request")

	errOverLimit   = errors.New("gateway: hardly any descriptors are left")
	errForwardBusy = errors.New("gateway: every engine connection is busy")
	errTooMany     = errors.New("gateway: too many requests of one login")
)

// Fault is an error with its public answer.
type Fault struct {
	Status     int           // HTTP status
	Text       string        // the public description; never the inner error
	RetryAfter time.Duration // not zero: the client may try again after it
	Allow      string        // 405: the methods that would do
	Err        error         // the cause, for the log only
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
	{errTooMany, Fault{Status: 429, Text: "Too many requests: this login has reached its limit, try again later", RetryAfter: retrySoon}},
	{correlator.ErrDraining, Fault{Status: 503, Text: "Shutting down: this node takes no new requests, try again", RetryAfter: retrySoon}},
	{correlator.ErrBusy, Fault{Status: 503, Text: "Overloaded: as many clients wait here as may, try again later", RetryAfter: retrySoon}},
	{correlator.ErrUnavailable, Fault{Status: 503, Text: "Overloaded: other nodes and kept results are out of reach, try again later", RetryAfter: retrySoon}},
	{correlator.ErrOtherBody, Fault{Status: 422, Text: "Idempotency-Key was used with another body"}},
	{errOverLimit, Fault{Status: 503, Text: "Overloaded: too many connections, try again later", RetryAfter: retrySoon}},
	{errForwardBusy, Fault{Status: 503, Text: "Overloaded: every connection to the engine is busy, try again later", RetryAfter: retrySoon}},
	{ErrBadGateway, Fault{Status: 502, Text: "Bad gateway: the engine cannot be reached"}},
	{correlator.ErrForged, Fault{Status: 404, Text: "Not found: no such task"}},
	{correlator.ErrGone, Fault{Status: 410, Text: "Gone: the result was delivered, has expired or was not kept"}},
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
	return &Fault{Status: 500, Text: "Internal error: see the gateway's log by the request id", Err: err}
}
