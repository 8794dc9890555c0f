package upstream

import (
	"errors"
	"fmt"
	"io"
)

// What a Call may get for an error, besides what net.Dial reports of a connection. None of them has bytes of an answer: an answer can
// contain what the request contained, and errors are logged.
var (
	// ErrBusy: all connections were in use for as long as a call may wait. Nothing was sent.
	ErrBusy = errors.New("upstream: all connections to the engine are in use")
	// ErrBreakerOpen: the engine has refused every connection lately. Nothing was sent.
	ErrBreakerOpen = errors.New("upstream: the engine has refused every connection lately")
	// ErrClosed: the Client is closed.
	ErrClosed = errors.New("upstream: the client is closed")
	// ErrLate: there was no complete answer within the time-out.
	ErrLate = errors.New("upstream: the engine has not answered in time")
	// ErrTruncated: the engine has closed the connection before the end of its answer.
	ErrTruncated = fmt.Errorf("upstream: the engine's answer is incomplete: %w", io.ErrUnexpectedEOF)
	// ErrBroken: the connection has failed.
	ErrBroken = errors.New("upstream: the connection to the engine broke")
	// ErrMalformed: the answer is not HTTP/1.1. The error that the Call gets says where.
	ErrMalformed = errors.New("upstream: the engine's answer is malformed")
	// ErrTooLarge: the body of the answer has more than 16 MiB.
	ErrTooLarge = errors.New("upstream: the engine's answer is larger than 16 MiB")
)

// malformed is an ErrMalformed that says what is wrong.
type malformed string

const (
	badStatusLine malformed = "the status line"
	badLineEnd    malformed = "a line that does not end with CR LF"
	longLine      malformed = "a line, a head or trailers that are too long"
	badField      malformed = "a field"
	badLength     malformed = "Content-Length"
	badEncoding   malformed = "Transfer-Encoding"
	badChunk      malformed = "the size of a chunk"
	badChunkEnd   malformed = "the end of a chunk"
	manyInterim   malformed = "too many interim answers"
	switched      malformed = "a switch of protocols that nobody asked for"
	badHead       malformed = "the head"
)

// Error says what is wrong.
func (m malformed) Error() string { return ErrMalformed.Error() + ": " + string(m) }

// Is reports whether target is ErrMalformed.
func (malformed) Is(target error) bool { return target == ErrMalformed }
