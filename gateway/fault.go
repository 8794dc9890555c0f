package gateway

import (
	"errors"
	"fmt"
	"time"
)

// ErrBadGateway leaves ops open because the engine's answer was not usable.
var ErrBadGateway = errors.New("gateway: engine not usable")

// ErrPending leaves ops open because their callbacks may still come.
var ErrPending = errors.New("gateway: pending")

// Fault is an error with its public answer.
type Fault struct {
	Status     int           // HTTP status
	Text       string        // the public description; never the inner error
	RetryAfter time.Duration // not zero: the client may try again after it
	Allow      string        // 405: the methods that would do
	Err        error         // the cause, for the log only
}

// Error gives the public text and the cause.
func (f *Fault) Error() string {
	if f.Err != nil {
		return fmt.Sprintf("%s: %v", f.Text, f.Err)
	}
	return f.Text
}

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Err }
