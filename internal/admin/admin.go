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
	// Page serves the page at / and what it loads at /web/: GET and HEAD. found is false where there is no such path. nil: there is no page.
	Page    func(ctx *fasthttp.RequestCtx, path string) (found bool)
	Actions bool     // changes are allowed; replaced by SetAccess
	Hosts   []string // names under which browsers may ask, beside localhost and IP addresses; replaced by SetAccess
}

// Handler answers operators. New makes one.
type Handler struct {
	cfg     Config
	metrics fasthttp.RequestHandler
	access  atomic.Pointer[access] // replaced by SetAccess; never nil
}

// New makes a Handler.
func New(cfg Config) *Handler {
	h := &Handler{cfg: cfg, metrics: fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(cfg.Metrics, promhttp.HandlerOpts{}))}
	h.SetAccess(cfg.Actions, cfg.Hosts)
	return h
}

// Serve answers an operator, whose request is suspended as x. A profile takes as long as it is asked to. No answer is to be kept by caches, but those about health,
// which browsers may ask for under any name: they say one word.
func (h *Handler) Serve(ctx *fasthttp.RequestCtx, x httpserver.Exchange) {
	path := string(httpserver.RawPath(ctx.RequestURI()))
	switch {
	case path == "/healthz" && reads(ctx):
		h.cfg.Health(&ctx.Response)
	case path == "/readyz" && reads(ctx):
		h.cfg.Ready(&ctx.Response)
	default:
		if h.mayAsk(ctx) {
			h.serve(ctx, path)
		}
		ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	}
	x.Reply(&ctx.Response)
}

// serve answers what is not about health.
func (h *Handler) serve(ctx *fasthttp.RequestCtx, path string) {
	further, found := h.path(path)
	switch {
	case found:
		h.serveFurther(ctx, further, strings.TrimPrefix(path, further.Path))
	case !reads(ctx):
		RefuseMethod(ctx, "GET, HEAD")
	case path == "/metrics":
		h.metrics(ctx)
	case strings.HasPrefix(path, tripsPath):
		h.showTrips(ctx, strings.TrimPrefix(path, tripsPath))
	case strings.HasPrefix(path, profilesPath):
		h.serveProfile(ctx, path)
	case (path == "/" || strings.HasPrefix(path, "/web/")) && h.cfg.Page != nil && h.cfg.Page(ctx, path):
	default:
		h.notFound(ctx)
	}
}

// profilesPath is where the profiles of the process are.
const profilesPath = "/debug/pprof"

func (h *Handler) serveProfile(ctx *fasthttp.RequestCtx, path string) {
	switch rest := strings.TrimPrefix(path, profilesPath); {
	case rest == "": // the links of the index are relative
		ctx.Response.Header.Set("Location", profilesPath+"/")
		ctx.SetStatusCode(fasthttp.StatusMovedPermanently)
	case rest == "/":
		fasthttpadaptor.NewFastHTTPHandlerFunc(pprof.Index)(ctx) // which pprofhandler does not serve
	case rest[0] == '/':
		pprofhandler.PprofHandler(ctx)
	default:
		h.notFound(ctx)
	}
}

// notFound answers 404, with the paths that there are.
func (h *Handler) notFound(ctx *fasthttp.RequestCtx) {
	ctx.Error("Not found: /healthz, /readyz, /metrics, /api/trips/{id}, "+h.pathNames()+"and /debug/pprof/ are here", fasthttp.StatusNotFound)
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
