package gateway

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/internal/httpserver"
)

// partner calls the code of dialects and engines, which others write. Nothing else in this package calls that code. A panic ends
// here, as an error: the caller never unwinds while it holds a connection, a place in the pool, a place of admission or a reservation.
type partner struct {
	dialect Dialect
	engine  Engine
	log     zerolog.Logger
	headers atomic.Pointer[[]engineHeader] // of requests to the engine; never nil
}

// errPartner is the error of a dialect or an engine that panicked, or that gave what nothing can be made of.
var errPartner = errors.New("gateway: the dialect or the engine failed")

// recovered turns a panic of the named method into an error.
func (p *partner) recovered(method string, err *error) {
	if v := recover(); v != nil {
		p.log.Error().Str("panic", httpserver.PanicText(v)).Bytes("stack", debug.Stack()).Str("method", method).Msg("a dialect or an engine panicked")
		*err = fmt.Errorf("%s panicked: %w", method, errPartner)
	}
}

func (p *partner) route(path []byte) (creates bool, err error) {
	defer p.recovered("Route", &err)
	return p.dialect.Route(path), nil
}

func (p *partner) accept(req *fasthttp.Request, now time.Time) (c *Call, err error) {
	defer p.recovered("Accept", &err)
	return p.dialect.Accept(req, now)
}

func (p *partner) identify(h *fasthttp.RequestHeader, credentials []byte, now time.Time) (login string, err error) {
	defer p.recovered("Identify", &err)
	return p.dialect.Identify(h, credentials, now)
}

// answer words a reply. After an error dst is as if nothing had been written to it.
func (p *partner) answer(dst *fasthttp.Response, c *Call, r Reply) (err error) {
	defer func() {
		if err != nil {
			wipe(dst)
		}
	}()
	defer p.recovered("Answer", &err)
	p.dialect.Answer(dst, c, r)
	return nil
}

// refuse words a fault. Where the dialect cannot, the answer is an empty object.
func (p *partner) refuse(dst *fasthttp.Response, f *Fault) {
	if p.worded(dst, f) != nil {
		wipe(dst)
		dst.Header.SetContentType(contentJSON)
		dst.SetBodyString("{}")
	}
}

func (p *partner) worded(dst *fasthttp.Response, f *Fault) (err error) {
	defer p.recovered("Refuse", &err)
	p.dialect.Refuse(dst, f)
	return nil
}

// wipe takes back what was written to a response, but not that its connection is to be closed.
func wipe(dst *fasthttp.Response) {
	closes := dst.ConnectionClose()
	dst.Reset()
	if closes {
		dst.SetConnectionClose()
	}
}

// encode appends the request for the engine, head and body. After an error nothing is appended.
func (p *partner) encode(dst []byte, c *Call, tokens []string, now time.Time) (request []byte, err error) {
	request = dst
	req := fasthttp.AcquireRequest()
	defer fasthttp.ReleaseRequest(req)
	defer p.recovered("Encode", &err)
	if err := p.engine.Encode(req, c, tokens, now); err != nil {
		return dst, err
	}
	p.addHeaders(&req.Header)
	body := req.Body()
	req.Header.SetContentLength(len(body))
	return append(append(dst, req.Header.Header()...), body...), nil
}

// ack reads the engine's answer.
func (p *partner) ack(c *Call, status int, body []byte) (ack Ack, err error) {
	defer p.recovered("Ack", &err)
	if ack, err = p.engine.Ack(c, status, body); err != nil {
		return Ack{}, err
	}
	for i := range ack.Finals {
		if op := ack.Finals[i].Op; op < 0 || op >= len(c.Ops) {
			return Ack{}, fmt.Errorf("an answer to op %d of %d: %w", op, len(c.Ops), errPartner)
		}
	}
	return ack, nil
}

// callback reads a callback for op, which its token names: the engine has no say in that.
func (p *partner) callback(req *fasthttp.Request, op int) (cb correlator.Callback, answer []byte, err error) {
	defer p.recovered("Callback", &err)
	cb, answer, err = p.engine.Callback(req, op)
	cb.Op = op
	return cb, answer, err
}
