package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http/pprof"
	"net/url"
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
	further, found := g.adminPath(path)
	switch {
	case found:
		g.serveFurther(ctx, further, strings.TrimPrefix(path, further.Path))
	case !ctx.IsGet() && !ctx.IsHead():
		RefuseMethod(ctx, "GET, HEAD")
	case path == "/healthz":
		g.health(&ctx.Response)
		return true
	case path == "/readyz":
		g.readiness(&ctx.Response)
		return true
	case path == "/metrics":
		g.showMetrics(ctx)
	case strings.HasPrefix(path, tripsPath):
		g.showTrips(ctx, strings.TrimPrefix(path, tripsPath))
	case path == "/debug/pprof": // the links of the index are relative
		ctx.Response.Header.Set("Location", "/debug/pprof/")
		ctx.SetStatusCode(fasthttp.StatusMovedPermanently)
	case path == "/debug/pprof/":
		fasthttpadaptor.NewFastHTTPHandlerFunc(pprof.Index)(ctx) // which pprofhandler does not serve
	case strings.HasPrefix(path, "/debug/pprof/"):
		pprofhandler.PprofHandler(ctx)
	default:
		ctx.Error("Not found: /healthz, /readyz, /metrics, /api/trips/{id}, "+g.adminPathNames()+"and /debug/pprof/ are here", fasthttp.StatusNotFound)
	}
	return false
}

// newMetricsHandler serves what was gathered as Prometheus reads it.
func newMetricsHandler(p Parts) fasthttp.RequestHandler {
	return fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(p.Metrics, promhttp.HandlerOpts{}))
}

// tripsPath is where operators ask for a trip: tripsPath + its name, escaped as in every URL.
const tripsPath = "/api/trips/"

// mostName bounds the name of a trip that is asked for: no longer one can be found. A request id has 128 characters at most, but a ref may
// have any length.
const mostName = 4 << 10

// showTrips says where the trips are that have a name. 404: none is known here.
func (g *Gateway) showTrips(ctx *fasthttp.RequestCtx, escaped string) {
	name, err := url.PathUnescape(escaped)
	if err != nil || name == "" || len(name) > mostName {
		ctx.Error("Incorrect request: /api/trips/ and a request id, task id, ref, engine's task id, or the first 8 characters of a token", fasthttp.StatusBadRequest)
		return
	}
	answer := g.whereIs([]byte(name))
	body, err := json.MarshalIndent(answer, "", "  ")
	if err != nil {
		ctx.Error("Internal error", fasthttp.StatusInternalServerError)
		return
	}
	ctx.SetContentType(contentJSON)
	if len(answer.Trips) == 0 && answer.Record == nil {
		ctx.SetStatusCode(fasthttp.StatusNotFound)
	}
	ctx.SetBody(append(body, '\n'))
}

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
