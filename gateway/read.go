package gateway

import (
	"errors"
	"fmt"
	"net"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
)

// How a listener reads requests: limits by route before the body comes, and the words for what cannot be read.

// headerReceived sets the limits of a request's body by its route and reserves the bytes that it announces.
func (l *listener) headerReceived(h *fasthttp.RequestHeader) (conf fasthttp.RequestConfig) {
	r, name := l.find(RawPath(h.RequestURI()))
	conf.ReadTimeout = l.g.cfg.Listen.BodyTimeout
	if string(h.Peek("Expect")) == "100-continue" { // as fasthttp tells it: the body is not read before expect says so
		conf.MaxRequestBodySize = int(l.bodyLimit(r))
		return conf
	}
	var reserved int64
	conf.MaxRequestBodySize, reserved = announce(h, l.budgetOf(r), l.worthReading(r, name))
	markReserved(h, reserved)
	return conf
}

// expect answers "Expect: 100-continue": a body that would be refused is not asked for.
func (l *listener) expect(ctx *fasthttp.RequestCtx) int {
	r, name := l.find(RawPath(ctx.RequestURI()))
	h := &ctx.Request.Header
	limit := l.worthReading(r, name)
	allowed, reserved := announce(h, l.budgetOf(r), limit)
	if h.ContentLength() > allowed || l.lost(r, ctx.Method()) {
		(&reservation{of: l.budgetOf(r), n: reserved}).release()
		connOf(ctx).linger.Store(true)
		f := l.readFault(ctx, r, reserved, fasthttp.ErrBodyTooLarge)
		l.refuse(ctx, r, f)
		return f.Status
	}
	c := connOf(ctx)
	c.pledge = l.budgetOf(r)
	c.body.Store(reserved)
	return fasthttp.StatusContinue
}

// take takes over what was reserved for the body of a request.
func (l *listener) take(ctx *fasthttp.RequestCtx) reservation {
	c := connOf(ctx)
	n := takeReserved(&ctx.Request.Header) + c.body.Swap(0)
	if n == 0 {
		return reservation{}
	}
	return reservation{of: l.budgetOf(l.routeOf(ctx)), n: n}
}

func (l *listener) budgetOf(r route) *budget {
	if r == routeCallback {
		return l.g.callbackBodies
	}
	return l.g.requestBodies
}

// bodyLimit is the largest body that a route takes, in bytes.
func (l *listener) bodyLimit(r route) int64 {
	limits := l.g.limits.Load()
	switch r {
	case routeCreate:
		return int64(limits.Body)
	case routeCallback:
		return int64(limits.CallbackBody)
	case routeNone, routeTask, routeHealth, routeReady:
	}
	return freeBody
}

// worthReading is bodyLimit, or less when the answer is certain without the body.
func (l *listener) worthReading(r route, name []byte) int64 {
	limit := l.bodyLimit(r)
	if r == routeCallback {
		if _, _, err := l.g.keys.ParseToken(name); err != nil {
			return min(limit, freeBody)
		}
	}
	return limit
}

// lost reports whether a request is refused whatever its body says.
func (l *listener) lost(r route, method []byte) bool {
	switch r {
	case routeCreate:
		return !l.allows(r, method) || l.g.stage.Load() >= refusing
	case routeCallback:
		return !l.allows(r, method)
	case routeNone, routeTask, routeHealth, routeReady:
	}
	return true
}

// readFault says why a request was not read. Path, method and a drain come before its size.
func (l *listener) readFault(ctx *fasthttp.RequestCtx, r route, reserved int64, err error) *Fault {
	var small *fasthttp.ErrSmallBuffer
	var slow net.Error
	switch {
	case errors.As(err, &small):
		return &Fault{Status: fasthttp.StatusRequestHeaderFieldsTooLarge, Text: fmt.Sprintf("Headers are larger than %d bytes", headerLimit), Err: err}
	case errors.As(err, &slow) && slow.Timeout():
		return &Fault{Status: fasthttp.StatusRequestTimeout, Text: "Request took too long to arrive", Err: err}
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return l.sizeFault(ctx, r, reserved)
	default:
		return &Fault{Status: fasthttp.StatusBadRequest, Text: "Incorrect request: it is not HTTP/1.1 as this gateway reads it", Err: err}
	}
}

// sizeFault tells a body that may never come in from one that there is no room for now.
func (l *listener) sizeFault(ctx *fasthttp.RequestCtx, r route, reserved int64) *Fault {
	limit, length := l.bodyLimit(r), int64(ctx.Request.Header.ContentLength())
	switch {
	case r == routeNone:
		return &Fault{Status: fasthttp.StatusNotFound, Text: "Not found: no such path"}
	case !l.allows(r, ctx.Method()):
		return l.methodFault(r)
	case r == routeCallback && l.forged(ctx):
		return faultOf(correlator.ErrForged)
	case r == routeCreate && l.g.stage.Load() >= refusing:
		return faultOf(correlator.ErrDraining)
	case length > limit, reserved > 0, limit <= freeBody:
		return &Fault{Status: fasthttp.StatusRequestEntityTooLarge, Text: fmt.Sprintf("Body is larger than %d bytes", limit)}
	default:
		return &Fault{Status: fasthttp.StatusServiceUnavailable, Text: "Overloaded: too many bytes are on their way here, try again later", RetryAfter: retrySoon}
	}
}

func (l *listener) forged(ctx *fasthttp.RequestCtx) bool {
	_, token := l.find(RawPath(ctx.RequestURI()))
	_, _, err := l.g.keys.ParseToken(token)
	return err != nil
}
