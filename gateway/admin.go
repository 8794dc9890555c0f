package gateway

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
	"github.com/valyala/fasthttp/pprofhandler"

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
		if !g.operate(ctx) {
			noStore(&ctx.Response)
		}
		x.Reply(&ctx.Response)
	})
	return true
}

// operate answers an operator, and reports whether the answer is about health.
func (g *Gateway) operate(ctx *fasthttp.RequestCtx) (health bool) {
	path := string(RawPath(ctx.RequestURI()))
	switch {
	case !ctx.IsGet() && !ctx.IsHead():
		ctx.Response.Header.Set("Allow", "GET, HEAD")
		ctx.Error("Method not allowed", fasthttp.StatusMethodNotAllowed)
	case path == "/healthz":
		g.health(&ctx.Response)
		return true
	case path == "/readyz":
		g.readiness(&ctx.Response)
		return true
	case path == "/metrics":
		g.showMetrics(ctx)
	case strings.HasPrefix(path, "/debug/pprof/"):
		pprofhandler.PprofHandler(ctx)
	default:
		ctx.Error("Not found: /healthz, /readyz, /metrics and /debug/pprof/ are here", fasthttp.StatusNotFound)
	}
	return false
}

// newMetricsHandler serves what was gathered as Prometheus reads it.
func newMetricsHandler(p Parts) fasthttp.RequestHandler {
	return fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(p.Metrics, promhttp.HandlerOpts{}))
}

// health says that the process lives.
func (g *Gateway) health(dst *fasthttp.Response) { state(dst, fasthttp.StatusOK, "alive") }

// readiness says whether a balancer should send clients here.
func (g *Gateway) readiness(dst *fasthttp.Response) {
	switch err := g.correlator.Ready(); {
	case g.stage.Load() >= leaving:
		state(dst, fasthttp.StatusServiceUnavailable, "shutting down")
	case err != nil:
		state(dst, fasthttp.StatusServiceUnavailable, "correlator unusable", missing(err))
	default:
		state(dst, fasthttp.StatusOK, "ready")
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
func state(dst *fasthttp.Response, status int, word string, missing ...string) {
	dst.SetStatusCode(status)
	dst.Header.SetContentType(contentJSON)
	body := fmt.Sprintf(`{"status":%q`, word)
	for _, part := range missing {
		body += fmt.Sprintf(`,"missing":%q`, part)
	}
	dst.SetBodyString(body + "}")
}
