package syncgate

import (
	"fmt"
	"time"
)

// Error is every way in which a call fails, its arguments aside. Find it by errors.As.
type Error struct {
	// Code says what has happened. It is the name of a problem of the gateway, as in "too-many-requests", "gone" or "cancelled"; "engine-error" where the
	// engine says that its task has failed; or one of the client's own: "timeout", "aborted", "network", "too-large", "unexpected".
	Code string
	// Status is that of HTTP, 0 where there was no answer.
	Status int
	// Type is that of the problem (RFC 9457), "" where there is none.
	Type string
	// Message says it in words.
	Message string
	// Maybe is true if the gateway may have made a task, and the task may go on. Then ask for the result: call Await with Task, or Call with the same
	// IdempotencyKey. False: no task goes on.
	Maybe bool
	// Cancelled is true where the context has ended and the gateway has cancelled the task.
	Cancelled bool
	// Task is the URL of the task, "" where it is not known.
	Task string
	// IdempotencyKey is the key that was sent.
	IdempotencyKey string
	// RequestID is the gateway's, for its operator.
	RequestID string
	// RetryAfter is how long to wait before another try, 0 where nobody said.
	RetryAfter time.Duration
	// Body is that of the answer: the engine's error, the problem, or the reply so far.
	Body []byte
	// Err is why, nil where the answer says it all: the context's error, or the network's.
	Err error
}

// Error gives the code and the message.
func (e *Error) Error() string {
	text := fmt.Sprintf("syncgate: %s: %s", e.Code, e.Message)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives Err, so that errors.Is finds context.Canceled.
func (e *Error) Unwrap() error { return e.Err }
