package dialect

import (
	"errors"
	"fmt"
	"time"

	"github.com/valyala/fasthttp"
)

var (
	// ErrBadGateway leaves ops open because the engine's answer was not usable.
	ErrBadGateway = errors.New("dialect: engine not usable")
	// ErrPending leaves ops open because their callbacks may still come.
	ErrPending = errors.New("dialect: pending")
	// ErrHandedOver leaves ops open because the client wants to come back for the result.
	ErrHandedOver = errors.New("dialect: handed over")
	// ErrReported leaves ops open because the client wants to hear of the engine's first report.
	ErrReported = errors.New("dialect: the engine has reported")
	// ErrForeignAnswer is the error of an Engine's Ack whose answer belongs to another request, as its id or ref says. Nothing is known of
	// this one: its client stays parked, and the connection is closed.
	ErrForeignAnswer = errors.New("dialect: the engine's answer belongs to another request")
)

// ErrReader refuses a client that has not proved to be the login that made the task.
var ErrReader = &Fault{Status: fasthttp.StatusUnauthorized, Text: "Incorrect signature or login: a result is for the login that asked for it"}

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

// Error gives the public text and the cause. The text may quote what was sent: what is logged goes through package redact.
func (f *Fault) Error() string {
	if f.Err != nil {
		return fmt.Sprintf("%s: %v", f.Text, f.Err)
	}
	return f.Text
}

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Err }
