package gateway

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/internal/httpserver"
)

// serveAdmin serves operators: health, metrics and profiles. Each request has a goroutine: a profile takes as long as it is asked to.
func (g *Gateway) serveAdmin(in *httpserver.Incoming) (suspended bool) {
	ctx := new(fasthttp.RequestCtx)
	req := new(fasthttp.Request)
	in.Request.CopyTo(req)
	ctx.Init(req, nil, nil)
	x := in.Exchange
	in.Wait(nil)
	g.operators.run(func() {
		defer func() {
			if p := recover(); p != nil {
				g.log.Error().Str("panic", httpserver.PanicText(p)).Bytes("stack", debug.Stack()).Msg("serving an operator panicked")
				x.Abort()
			}
		}()
		if !g.adminHandler.Serve(ctx) {
			noStore(&ctx.Response)
		}
		x.Reply(&ctx.Response)
	})
	return true
}

// SetActions replaces Admin.Actions, for requests that come from now on.
func (g *Gateway) SetActions(allowed bool) { g.adminHandler.SetActions(allowed) }

// health says that the process lives.
func (g *Gateway) health(dst *fasthttp.Response) { state(dst, fasthttp.StatusOK, "alive", "") }

// readiness says whether a balancer should send clients here.
func (g *Gateway) readiness(dst *fasthttp.Response) {
	switch err := g.correlator.Ready(); {
	case g.stage.Load() >= leaving:
		state(dst, fasthttp.StatusServiceUnavailable, "shutting down", "")
	case err != nil:
		state(dst, fasthttp.StatusServiceUnavailable, "correlator unusable", missing(err))
	default:
		state(dst, fasthttp.StatusOK, "ready", "")
	}
}

// missing names the part of the correlator that cannot be used.
func missing(err error) string {
	if u, ok := errors.AsType[*correlator.Unready](err); ok {
		return u.Part
	}
	return "correlator"
}

// state says how the node is in a word, and what is missing, if something is. Neither may hold anything secret.
func state(dst *fasthttp.Response, status int, word, missing string) {
	dst.SetStatusCode(status)
	dst.Header.SetContentType(contentJSON)
	body := fmt.Appendf(nil, `{"status":%q`, word)
	if missing != "" {
		body = fmt.Appendf(body, `,"missing":%q`, missing)
	}
	dst.SetBody(append(body, '}'))
}
