package admin

import (
	"net/url"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/internal/whereabouts"
)

const (
	// tripsPath is where operators ask for trips. Behind it and a slash is the name of one, escaped as in every URL.
	tripsPath = "/api/trips"
	// mostName bounds the name of a trip that is asked for: no longer one can be found. A request id has 128 characters at most, but a ref may
	// have any length.
	mostName = 4 << 10
	// defaultListed is how many trips a list has where nobody says how many.
	defaultListed = 100
	// mostOlder bounds older_ms: a year.
	mostOlder = 366 * 24 * time.Hour
)

// listTrips answers GET /api/trips.
func (h *Handler) listTrips(ctx *fasthttp.RequestCtx) {
	p, ok := h.parametersOf(ctx, "state", "route", "login", "outcome", "older_ms", "order", "limit")
	if !ok {
		return
	}
	q := whereabouts.Query{
		State: p.word("state", whereabouts.StateInFlight, whereabouts.StateInFlight, whereabouts.StateQueued, whereabouts.StateWaiting, whereabouts.StateOver),
		Route: p.text("route"), Login: p.text("login"), Outcome: p.word("outcome", "", h.cfg.Outcomes...),
		Older: time.Duration(p.number("older_ms", 0, 0, int(mostOlder/time.Millisecond))) * time.Millisecond,
		Limit: p.number("limit", defaultListed, 1, whereabouts.MostListed),
	}
	order := "oldest"
	if q.State == whereabouts.StateOver {
		order = "newest"
	} else if q.Outcome != "" {
		p.refuse("outcome is of those that are over: add state=over")
	}
	q.Oldest = p.word("order", order, "newest", "oldest") == "oldest"
	if p.refused() {
		return
	}
	h.reading.Lock()
	defer h.reading.Unlock()
	list := h.cfg.Recent.Trips(&q, time.Now(), h.cfg.Waiting)
	list.Node = h.cfg.Node
	AnswerJSON(ctx, list)
}

// showTrips says where the trips are that have a name. 404: none is known here.
func (h *Handler) showTrips(ctx *fasthttp.RequestCtx, escaped string) {
	name, ok := nameOf(ctx, escaped)
	if !ok {
		return
	}
	answer := h.cfg.Trips(name)
	AnswerJSON(ctx, answer)
	if len(answer.Trips) == 0 && answer.Record == nil {
		ctx.SetStatusCode(fasthttp.StatusNotFound)
	}
}

// nameOf gives the name of a trip that stands in a path. False: it is none, which is answered.
func nameOf(ctx *fasthttp.RequestCtx, escaped string) (name []byte, ok bool) {
	text, err := url.PathUnescape(escaped)
	if err != nil || text == "" || len(text) > mostName {
		ctx.Error("Incorrect request: "+tripsPath+"/ and a request id, task id, ref, engine's task id, or the first 8 characters of a token", fasthttp.StatusBadRequest)
		return nil, false
	}
	return []byte(text), true
}

// serveTrips answers what is below tripsPath.
func (h *Handler) serveTrips(ctx *fasthttp.RequestCtx, rest string) {
	name, cancels := strings.CutSuffix(strings.TrimPrefix(rest, "/"), "/cancel")
	switch {
	case cancels && !ctx.IsPost():
		RefuseMethod(ctx, "POST")
	case cancels:
		if h.mayChange(ctx) {
			h.cancelTrip(ctx, name)
		}
	case !reads(ctx):
		RefuseMethod(ctx, "GET, HEAD")
	case rest == "":
		h.listTrips(ctx)
	default:
		h.showTrips(ctx, name)
	}
}

// Refusal says why something cannot be done.
type Refusal struct {
	Status int    // of the answer
	Text   string // for people
}

// cancelTrip ends a task, and says where its trip is then.
func (h *Handler) cancelTrip(ctx *fasthttp.RequestCtx, escaped string) {
	name, ok := nameOf(ctx, escaped)
	if !ok {
		return
	}
	answer, refusal := h.cfg.Cancel(name)
	if refusal != nil {
		ctx.Error(refusal.Text, refusal.Status)
		return
	}
	AnswerJSON(ctx, answer)
}

// listLate answers GET /api/late.
func (h *Handler) listLate(ctx *fasthttp.RequestCtx) {
	p, ok := h.parametersOf(ctx, "limit")
	if !ok {
		return
	}
	limit := p.number("limit", defaultListed, 1, whereabouts.MostListed)
	if p.refused() {
		return
	}
	late := h.cfg.Recent.Late(limit)
	late.Node = h.cfg.Node
	AnswerJSON(ctx, late)
}
