package gateway

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
	"github.com/valyala/fasthttp/pprofhandler"

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
		state(dst, fasthttp.StatusServiceUnavailable, "correlator unusable")
	default:
		state(dst, fasthttp.StatusOK, "ready")
	}
}

func state(dst *fasthttp.Response, status int, word string) {
	dst.SetStatusCode(status)
	dst.Header.SetContentType(contentJSON)
	dst.SetBodyString(fmt.Sprintf(`{"status":%q}`, word))
}
