// Package admin answers operators: it shows metrics, profiles and where requests are, and what others serve on the same listener.
package admin

import (
	"encoding/json"
	"net/http/pprof"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
	"github.com/valyala/fasthttp/pprofhandler"

	"syncgate/internal/httpserver"
	"syncgate/internal/whereabouts"
)

// Config says what is shown.
type Config struct {
	Health, Ready func(dst *fasthttp.Response)         // answer /healthz and /readyz
	Metrics       prometheus.Gatherer                  // of /metrics
	Trips         func(name []byte) whereabouts.Answer // finds the trips that have a name
	Paths         []Path                               // further ones
	Actions       bool                                 // what SetActions replaces
}

// Handler answers operators. New makes one.
type Handler struct {
	cfg     Config
	metrics fasthttp.RequestHandler
	actions atomic.Bool // replaced by SetActions
}

// New makes a Handler.
func New(cfg Config) *Handler {
	h := &Handler{cfg: cfg, metrics: fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(cfg.Metrics, promhttp.HandlerOpts{}))}
	h.actions.Store(cfg.Actions)
	return h
}

// Serve answers an operator, and reports whether the answer is about health. A profile takes as long as it is asked to.
func (h *Handler) Serve(ctx *fasthttp.RequestCtx) (health bool) {
	path := string(httpserver.RawPath(ctx.RequestURI()))
	further, found := h.path(path)
	switch {
	case found:
		h.serveFurther(ctx, further, strings.TrimPrefix(path, further.Path))
	case !ctx.IsGet() && !ctx.IsHead():
		RefuseMethod(ctx, "GET, HEAD")
	case path == "/healthz":
		h.cfg.Health(&ctx.Response)
		return true
	case path == "/readyz":
		h.cfg.Ready(&ctx.Response)
		return true
	case path == "/metrics":
		h.metrics(ctx)
	case strings.HasPrefix(path, tripsPath):
		h.showTrips(ctx, strings.TrimPrefix(path, tripsPath))
	case path == "/debug/pprof": // the links of the index are relative
		ctx.Response.Header.Set("Location", "/debug/pprof/")
		ctx.SetStatusCode(fasthttp.StatusMovedPermanently)
	case path == "/debug/pprof/":
		fasthttpadaptor.NewFastHTTPHandlerFunc(pprof.Index)(ctx) // which pprofhandler does not serve
	case strings.HasPrefix(path, "/debug/pprof/"):
		pprofhandler.PprofHandler(ctx)
	default:
		ctx.Error("Not found: /healthz, /readyz, /metrics, /api/trips/{id}, "+h.pathNames()+"and /debug/pprof/ are here", fasthttp.StatusNotFound)
	}
	return false
}

// tripsPath is where operators ask for a trip: tripsPath + its name, escaped as in every URL.
const tripsPath = "/api/trips/"

// mostName bounds the name of a trip that is asked for: no longer one can be found. A request id has 128 characters at most, but a ref may
// have any length.
const mostName = 4 << 10

// showTrips says where the trips are that have a name. 404: none is known here.
func (h *Handler) showTrips(ctx *fasthttp.RequestCtx, escaped string) {
	name, err := url.PathUnescape(escaped)
	if err != nil || name == "" || len(name) > mostName {
		ctx.Error("Incorrect request: /api/trips/ and a request id, task id, ref, engine's task id, or the first 8 characters of a token", fasthttp.StatusBadRequest)
		return
	}
	answer := h.cfg.Trips([]byte(name))
	body, err := json.MarshalIndent(answer, "", "  ")
	if err != nil {
		ctx.Error("Internal error", fasthttp.StatusInternalServerError)
		return
	}
	ctx.SetContentType("application/json")
	if len(answer.Trips) == 0 && answer.Record == nil {
		ctx.SetStatusCode(fasthttp.StatusNotFound)
	}
	ctx.SetBody(append(body, '\n'))
}
