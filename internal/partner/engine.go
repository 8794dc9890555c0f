package partner

import (
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
)

// Engine is an engine's code. Its methods are the engine's own, with ErrFailed after a panic.
type Engine struct {
	guard
	code   dialect.Engine
	cancel dialect.Canceller // nil: it cannot be asked to cancel
}

// NewEngine makes an Engine. It asks the engine whether it can be asked to cancel.
func NewEngine(log zerolog.Logger, code dialect.Engine) Engine {
	e := Engine{guard: guard{log}, code: code}
	if c, ok := code.(dialect.Canceller); ok && c.Cancels() {
		e.cancel = c
	}
	return e
}

// Cancels reports whether the engine can be asked to cancel a task.
func (e *Engine) Cancels() bool { return e.cancel != nil }

// HeaderAdder adds headers to a request for an engine.
type HeaderAdder interface {
	AddHeaders(h *fasthttp.RequestHeader)
}

// Prepare has the engine word what a route asks for. Calls of no route need that not.
func (e *Engine) Prepare(c *dialect.Call) (err error) {
	if c.Options == nil || c.Options.Asked == nil {
		return nil
	}
	defer func() { c.Options.Asked = nil }() // it points into the request
	defer e.recovered("Prepare", &err)
	return e.code.Prepare(c)
}

// AppendRequest appends the request of a call, head and body. After an error nothing is appended. add adds headers that the engine does not know of.
func (e *Engine) AppendRequest(dst []byte, c *dialect.Call, tokens []string, now time.Time, add HeaderAdder) (request []byte, err error) {
	request = dst
	req := fasthttp.AcquireRequest()
	defer fasthttp.ReleaseRequest(req)
	defer e.recovered("Encode", &err)
	if err := e.code.Encode(req, c, tokens, now); err != nil {
		return dst, err
	}
	return appendRequest(dst, req, add), nil
}

// AppendCancel appends the request that has the engine cancel a task, as AppendRequest does. The engine is one that Cancels.
func (e *Engine) AppendCancel(dst []byte, task string, accepted []byte, now time.Time, add HeaderAdder) (request []byte, err error) {
	request = dst
	req := fasthttp.AcquireRequest()
	defer fasthttp.ReleaseRequest(req)
	defer e.recovered("EncodeCancel", &err)
	if err = e.cancel.EncodeCancel(req, task, accepted, now); err != nil {
		return dst, err
	}
	return appendRequest(dst, req, add), nil
}

// Ack reads the engine's answer.
func (e *Engine) Ack(c *dialect.Call, status int, header *fasthttp.ResponseHeader, body []byte) (ack dialect.Ack, err error) {
	defer e.recovered("Ack", &err)
	if ack, err = e.code.Ack(c, status, header, body); err != nil {
		return dialect.Ack{}, err
	}
	for i := range ack.Finals {
		if op := ack.Finals[i].Op; op < 0 || op >= len(c.Ops) {
			return dialect.Ack{}, fmt.Errorf("an answer to op %d of %d: %w", op, len(c.Ops), ErrFailed)
		}
	}
	return ack, nil
}

// Callback reads a callback for op, which its token names: the engine has no say in that.
func (e *Engine) Callback(req *fasthttp.Request, op int) (cb correlator.Callback, answer []byte, err error) {
	defer e.recovered("Callback", &err)
	cb, answer, err = e.code.Callback(req, op)
	cb.Op = op
	return cb, answer, err
}

// appendRequest appends a request with its own headers and those that are added.
func appendRequest(dst []byte, req *fasthttp.Request, add HeaderAdder) []byte {
	add.AddHeaders(&req.Header)
	body := req.Body()
	req.Header.SetContentLength(len(body))
	return append(append(dst, req.Header.Header()...), body...)
}
