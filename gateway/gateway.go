package gateway

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"syncgate/correlator"
)

// Gateway serves clients, engines and operators on its listeners. New makes one; then Listen, Serve, and for the end
// NotReady, RefuseNew, the correlator's Drain, and Close.
type Gateway struct {
	// Set by New, read-only afterwards.
	cfg            Config
	correlator     correlator.Correlator
	keeper         correlator.Keeper // nil: nothing outlives its connection
	relay          correlator.Relay  // nil: there are no other nodes
	keys           *correlator.Keys
	partner        partner
	log            zerolog.Logger
	metrics        *metrics
	gatherer       prometheus.Gatherer
	cors           *cors
	proxies        proxies
	forwarder      *forwarder
	debts          *debts
	loops          *loops   // made by New, started by Serve
	watcher        *watcher // made by Serve
	requestBodies  *budget
	callbackBodies *budget
	room           *room
	announcements  announcements
	patience       patience
	hook           func(point string) // of a test; nil: there is none

	ended  context.Context        // for who cannot wait: it is over
	limits atomic.Pointer[Limits] // replaced by SetLimits
	stage  atomic.Int32           // of the end; it only grows

	sharesMu sync.Mutex
	shares   map[string]*share // by login; guarded by sharesMu, as is what is in them

	answering tally       // answers of loops and to parked clients that are on their way
	listeners []*listener // set by Listen
	failed    chan error  // room for one error of each listener
}

// Stages of a Gateway's life.
const (
	serving  int32 = iota
	leaving        // not ready, everything is still served
	refusing       // no new creates
)

// Parts are what a Gateway is made of.
type Parts struct {
	Correlator correlator.Correlator // also a correlator.Keeper if results are to outlive connections, a Relay if there are other nodes
	Keys       *correlator.Keys
	Dialect    Dialect
	Engine     Engine
	Log        zerolog.Logger
	Metrics    *prometheus.Registry
	Version    string

	hook func(point string) // tests set it: it is called at points that they have to reach
}

// reach calls the hook of a test.
func (g *Gateway) reach(point string) {
	if g.hook != nil {
		g.hook(point)
	}
}

// New makes a Gateway from a valid cfg. It opens nothing.
func New(cfg Config, p Parts) (*Gateway, error) {
	trusted, err := newProxies(cfg.Listen.TrustedProxies)
	if err != nil {
		return nil, err
	}
	dialer, err := newEngineDialer(cfg.Engine)
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		cfg: cfg, correlator: p.Correlator, keys: p.Keys, log: p.Log, gatherer: p.Metrics, hook: p.hook,
		partner: partner{dialect: p.Dialect, engine: p.Engine, log: p.Log},
		cors:    newCORS(cfg.CORS), proxies: trusted,
		requestBodies: newBudget(cfg.Limits.Body), callbackBodies: newBudget(cfg.Limits.CallbackBody),
		announcements: announcements{of: make(map[*fasthttp.RequestHeader]announced)},
		loops:         new(loops), room: newRoom(cfg.Engine.MaxConnections), shares: make(map[string]*share),
	}
	g.patience.least = cfg.Listen.WriteTimeout + storeTimeout
	ended, end := context.WithCancel(context.Background())
	end()
	g.ended = ended
	g.keeper, _ = p.Correlator.(correlator.Keeper)
	g.relay, _ = p.Correlator.(correlator.Relay)
	g.limits.Store(&cfg.Limits)
	g.metrics = newMetrics(g, p.Metrics, p.Version)
	g.forwarder = newForwarder(g, dialer)
	g.debts = newDebts(g)
	return g, nil
}

// SetLimits replaces the limits for what comes from now on; not to be called concurrently. The correlator and the
// dialect have their own.
func (g *Gateway) SetLimits(l Limits) {
	g.limits.Store(&l)
	g.requestBodies.resize(l.Body)
	g.callbackBodies.resize(l.CallbackBody)
}

// NotReady begins the end: readiness turns 503 and answers say "Connection: close", and everything is still served, so
// that balancers can turn away first.
func (g *Gateway) NotReady() { g.stage.Store(leaving) }

// RefuseNew refuses new creates. Parked clients are still answered, and callbacks, tasks and health are served.
func (g *Gateway) RefuseNew() { g.stage.Store(refusing) }

// tokens makes the callback tokens of a trip, one for each op that is parked.
func (g *Gateway) tokens(t *trip) []string {
	tokens := make([]string, 0, len(t.call.Slots))
	var room [128]byte // on the stack, and a token is shorter
	for i := range t.call.Ops {
		if t.call.Ops[i].Create && t.call.Ops[i].Refused == "" {
			tokens = append(tokens, string(g.keys.AppendToken(room[:0], t.id, i)))
		}
	}
	return tokens
}

// health says that the process lives.
func (g *Gateway) health(ctx *fasthttp.RequestCtx) { state(ctx, fasthttp.StatusOK, "alive") }

// readiness says whether a balancer should send clients here.
func (g *Gateway) readiness(ctx *fasthttp.RequestCtx) {
	switch err := g.correlator.Ready(); {
	case g.stage.Load() >= leaving:
		state(ctx, fasthttp.StatusServiceUnavailable, "shutting down")
	case err != nil:
		state(ctx, fasthttp.StatusServiceUnavailable, "correlator unusable")
	default:
		state(ctx, fasthttp.StatusOK, "ready")
	}
}

func state(ctx *fasthttp.RequestCtx, status int, word string) {
	ctx.SetStatusCode(status)
	ctx.Response.Header.SetContentType(contentJSON)
	ctx.Response.SetBodyString(fmt.Sprintf(`{"status":%q}`, word))
}

// Err gives the errors that end a listener while it should serve.
func (g *Gateway) Err() <-chan error { return g.failed }
