package admin

import (
	"encoding/json"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/internal/whereabouts"
)

// Status says how the node is: the form of GET /api/status.
type Status struct {
	Node       string     `json:"node"` // the name of this start of it; empty where there can be no other
	Version    string     `json:"version"`
	Started    time.Time  `json:"started"`
	Now        time.Time  `json:"now"`
	State      string     `json:"state"`   // as /readyz has it: "ready", "shutting down" or "correlator unusable"
	Missing    string     `json:"missing"` // the part of the correlator that cannot be used; empty: none
	Actions    bool       `json:"actions"` // changes are allowed
	Pushes     bool       `json:"pushes"`  // a route pushes results
	Demo       bool       `json:"demo"`    // POST /api/demo makes a call: this is "syncgate demo"
	Correlator Correlator `json:"correlator"`
	// Parked is how many clients wait, and LimitParked how many may; 0: any number.
	Parked           int      `json:"parked"`
	LimitParked      int      `json:"limit_parked"`
	Queued           int      `json:"queued"`             // requests that wait for a connection to an engine
	Streams          int      `json:"streams"`            // of events, to clients
	Unsaved          int64    `json:"unsaved"`            // results that wait for a store that is away
	ResultsKept      *int     `json:"results_kept"`       // for clients that come back; nil: Redis has them
	ResultsKeptBytes *int64   `json:"results_kept_bytes"` // the bytes of these; nil: Redis has them
	Engines          []Engine `json:"engines"`            // the default one first
	Remembered       int      `json:"remembered"`         // how many trips that are over can be remembered
}

// Correlator says where trips wait.
type Correlator struct {
	Backend string `json:"backend"` // "memory" or "redis"
	Up      bool   `json:"up"`
}

// Engine says what is known of an engine.
type Engine struct {
	Name        string `json:"name"`
	Busy        int    `json:"busy"` // connections
	Idle        int    `json:"idle"`
	Queued      int    `json:"queued"`       // requests that wait for one
	BreakerOpen bool   `json:"breaker_open"` // requests fail at once, as it has refused every connection
	Limit       int    `json:"limit"`        // the most connections
}

// demoPath is served by "syncgate demo" alone.
const demoPath = "/api/demo"

// status is Config.Status with what this package knows.
func (h *Handler) status(now time.Time) Status {
	s := h.cfg.Status()
	s.Now, s.Started, s.Actions = shown(now), shown(s.Started), h.access.Load().actions
	_, s.Demo = h.path(demoPath)
	return s
}

// shown gives a time as answers have it: to the millisecond.
func shown(t time.Time) time.Time { return t.Truncate(time.Millisecond).UTC() }

// Windows of a summary.
const (
	defaultWindow = time.Minute
	leastWindow   = 10 * time.Second
	mostWindow    = time.Hour
)

// showStatus answers GET /api/status.
func (h *Handler) showStatus(ctx *fasthttp.RequestCtx) {
	if _, ok := h.parametersOf(ctx); ok {
		AnswerJSON(ctx, h.status(time.Now()))
	}
}

// showSummary answers GET /api/summary.
func (h *Handler) showSummary(ctx *fasthttp.RequestCtx) {
	p, ok := h.parametersOf(ctx, "window")
	if !ok {
		return
	}
	window := time.Duration(p.number("window", int(defaultWindow/time.Second), int(leastWindow/time.Second), int(mostWindow/time.Second))) * time.Second
	if !p.refused() {
		AnswerJSON(ctx, h.summary(time.Now(), window))
	}
}

// summary sums up, with the name of the node.
func (h *Handler) summary(now time.Time, window time.Duration) whereabouts.Summary {
	s := h.summaries.Make(now, window)
	s.Node = h.cfg.Node
	return s
}

// AnswerJSON answers with a value, for people too.
func AnswerJSON(ctx *fasthttp.RequestCtx, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		ctx.Error("Internal error", fasthttp.StatusInternalServerError)
		return
	}
	ctx.SetContentType("application/json")
	ctx.SetBody(append(body, '\n'))
}
