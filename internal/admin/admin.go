// Package admin answers operators: it shows metrics, profiles and where requests are, and what others serve on the same listener.
package admin

import (
	"net/http/pprof"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
	"github.com/valyala/fasthttp/pprofhandler"

	"syncgate/internal/httpfield"
	"syncgate/internal/httpserver"
	"syncgate/internal/whereabouts"
)

// Config says what is shown.
type Config struct {
	Health, Ready func(dst *fasthttp.Response)                     // answer /healthz and /readyz
	Metrics       prometheus.Gatherer                              // of /metrics
	Status        func() Status                                    // how the node is; Now, Actions and Demo are set here
	Node          string                                           // its name
	Trips         func(name []byte) whereabouts.Answer             // finds the trips that have a name
	Cancel        func(name []byte) (whereabouts.Answer, *Refusal) // ends the task that has a name, and says where its trip is
	Recent        *whereabouts.List                                // of trips that are over; nil: none is remembered
	Waiting       whereabouts.Waiting                              // gives those that are not
	Outcomes      []string                                         // of trips: all that there are
	Paths         []Path                                           // further ones
	// Run starts a goroutine, whose panic ends it alone.
	Run func(f func())
	// Page serves the page at / and what it loads at /web/: GET and HEAD. found is false where there is no such path. nil: there is no page.
	Page    func(ctx *fasthttp.RequestCtx, path string) (found bool)
	Actions bool     // changes are allowed; replaced by SetAccess
	Hosts   []string // names under which browsers may ask, beside localhost and IP addresses; replaced by SetAccess
}

// Handler answers operators. New makes one.
type Handler struct {
	cfg     Config
	metrics fasthttp.RequestHandler
	live    *live
	access  atomic.Pointer[access] // replaced by SetAccess; never nil

	summaries *whereabouts.Summaries
	reading   sync.Mutex // held while all trips are read for a list: lists share one processor, and the rest is the gateway's
}

// New makes a Handler.
func New(cfg Config) *Handler {
	h := &Handler{cfg: cfg, metrics: fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(cfg.Metrics, promhttp.HandlerOpts{}))}
	h.SetAccess(cfg.Actions, cfg.Hosts)
	h.summaries = whereabouts.NewSummaries(cfg.Recent, cfg.Waiting)
	h.live = newLive(h.events, cfg.Run, liveEvery)
	return h
}

// Close ends what goes on being answered: streams of events. Call it before the listener closes.
func (h *Handler) Close() { h.live.close() }

// Serve answers an operator, whose request is suspended as x. A profile takes as long as it is asked to. No answer is to be kept by caches, but those about health,
// which browsers may ask for under any name: they say one word.
func (h *Handler) Serve(ctx *fasthttp.RequestCtx, x httpserver.Exchange) {
	path := string(httpfield.RawPath(ctx.RequestURI()))
	open := reads(ctx) && (path == healthPath || path == readyPath)
	switch {
	case !open && !h.mayAsk(ctx):
	case path == livePath && ctx.IsGet():
		if begun := h.serveLive(ctx, x); begun {
			return
		}
	default:
		h.serve(ctx, path)
	}
	if !open {
		ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
	}
	x.Reply(&ctx.Response)
}

// serve answers all but streams.
func (h *Handler) serve(ctx *fasthttp.RequestCtx, path string) {
	further, found := h.path(path)
	show := h.shown(path)
	switch {
	case found:
		h.serveFurther(ctx, further, strings.TrimPrefix(path, further.Path))
	case path == tripsPath, strings.HasPrefix(path, tripsPath+"/"):
		h.serveTrips(ctx, strings.TrimPrefix(path, tripsPath))
	case show == nil:
		h.notFound(ctx)
	case !reads(ctx):
		RefuseMethod(ctx, "GET, HEAD")
	default:
		show(ctx)
	}
}

const (
	healthPath = "/healthz"
	readyPath  = "/readyz"
)

// shown gives what answers GET and HEAD of a path that has no other method; nil: there is no such path.
func (h *Handler) shown(path string) fasthttp.RequestHandler {
	switch {
	case path == healthPath:
		return func(ctx *fasthttp.RequestCtx) { h.cfg.Health(&ctx.Response) }
	case path == readyPath:
		return func(ctx *fasthttp.RequestCtx) { h.cfg.Ready(&ctx.Response) }
	case path == "/metrics":
		return h.metrics
	case path == "/api/status":
		return h.showStatus
	case path == "/api/summary":
		return h.showSummary
	case path == "/api/late":
		return h.listLate
	case path == livePath:
		return func(ctx *fasthttp.RequestCtx) { ctx.SetContentType(eventStream) } // of HEAD
	case strings.HasPrefix(path, profilesPath):
		return func(ctx *fasthttp.RequestCtx) { h.serveProfile(ctx, path) }
	case (path == "/" || strings.HasPrefix(path, "/web/")) && h.cfg.Page != nil:
		return func(ctx *fasthttp.RequestCtx) {
			if !h.cfg.Page(ctx, path) {
				h.notFound(ctx)
			}
		}
	}
	return nil
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
	ctx.Error("Not found: /healthz, /readyz, /metrics, /api/status, /api/summary, /api/live, /api/trips, /api/trips/{id}, /api/late, "+h.pathNames()+"and /debug/pprof/ are here, and the page is at /", fasthttp.StatusNotFound)
}
