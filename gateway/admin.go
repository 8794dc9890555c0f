package gateway

import (
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
	"github.com/valyala/fasthttp/pprofhandler"
)

// admin serves operators: health, metrics and profiles.
func (l *listener) admin() fasthttp.RequestHandler {
	metrics := fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(l.g.gatherer, promhttp.HandlerOpts{}))
	return func(ctx *fasthttp.RequestCtx) {
		path := string(RawPath(ctx.RequestURI()))
		switch {
		case !ctx.IsGet() && !ctx.IsHead():
			ctx.Response.Header.Set("Allow", "GET, HEAD")
			ctx.Error("Method not allowed", fasthttp.StatusMethodNotAllowed)
		case path == "/healthz":
			l.g.health(ctx)
		case path == "/readyz":
			l.g.readiness(ctx)
		case path == "/metrics":
			metrics(ctx)
		case len(path) > len("/debug/pprof") && path[:len("/debug/pprof")] == "/debug/pprof":
			pprofhandler.PprofHandler(ctx)
		default:
			ctx.Error("Not found: /healthz, /readyz, /metrics and /debug/pprof/ are here", fasthttp.StatusNotFound)
		}
	}
}
