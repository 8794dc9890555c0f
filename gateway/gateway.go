package gateway

import (
	"context"
	"crypto/x509"
	"fmt"
	"math"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/correlator/retryqueue"
	"syncgate/dialect"
	"syncgate/internal/admin"
	"syncgate/internal/cancelqueue"
	"syncgate/internal/cors"
	"syncgate/internal/eventstream"
	"syncgate/internal/httpfield"
	"syncgate/internal/httpserver"
	"syncgate/internal/median"
	"syncgate/internal/metrics"
	"syncgate/internal/partner"
	"syncgate/internal/quota"
	"syncgate/internal/tlsfiles"
	"syncgate/internal/upstream"
	"syncgate/internal/whereabouts"
)

// closeGrace is how long what is being answered may take when the gateway closes.
const closeGrace = 5 * time.Second

// Gateway serves clients, engines and operators on its listeners. New makes one; then Listen, Serve, and for the end NotReady, RefuseNew,
// the correlator's Drain, and Close.
type Gateway struct {
	// Set by New, read-only afterwards.
	cfg            Config
	correlator     table // finals go through the next alone
	finals         *finals
	keeper         keeper       // nil: nothing outlives its connection
	outbox         Outbox       // nil: nothing is pushed
	tracer         Tracer       // nil: nothing is traced
	admits         func() error // of the correlator: nil while new trips may come
	local          bool         // the correlator does no I/O, so that its calls need no goroutine
	keys           *correlator.Keys
	dialects       partner.Dialects // the first is the default one
	engines        []*engine        // the first is the default one
	log            zerolog.Logger
	metrics        *metrics.Metrics
	delivered      prometheus.Counter // of metrics: callbacks that were handed to a trip of this node
	registry       *prometheus.Registry
	adminHandler   *admin.Handler // answers operators
	about          admin.Status   // what does not change of the node
	pushing        func() bool    // whether a route pushes results now
	cors           *cors.Policy
	proxies        httpfield.Proxies
	server         *httpserver.Server
	retries        *retryqueue.Queue
	cancels        *cancelqueue.Queue
	quotas         *quota.Table // by login, or name of a Quota
	streams        *eventstream.Streams
	recent         *whereabouts.List // nil: trips that are over are not remembered
	refusedNotes   *quota.Sparse     // of callbacks
	requestBodies  *httpserver.Budget
	callbackBodies *httpserver.Budget
	headings       sync.Pool // of *heading
	deadlines      sharedDeadlines
	medians        median.Durations // of the tasks of routes, for Retry-After
	ended          context.Context  // for callers that cannot wait: it is over

	limits    atomic.Pointer[Limits] // replaced by SetLimits
	stage     atomic.Int32           // of the end; it only grows
	hook      func(point string)
	work      work // what asks the store or answers a client
	operators work // what serves operators: a profile takes its time, and Close does not wait for that

	// Set by Listen.
	certificate                     *tlsfiles.Certificate // nil: no TLS
	public, callbackListener, admin *httpserver.Listener  // nil: there is none of its own
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
	Dialect    dialect.Dialect   // the default one
	Engine     dialect.Engine    // the default one, of Config.Engine
	Dialects   []dialect.Dialect // further ones
	Engines    []NamedEngine     // further ones, of kinds and addresses of their own; at most 99
	Outbox     Outbox            // nil: no dialect pushes
	Tracer     Tracer            // nil: nothing is traced
	Log        zerolog.Logger
	Metrics    *prometheus.Registry
	Version    string
	Logins     func() []string // that are configured now, for the metrics; nil: none is known in advance
	AdminPaths []admin.Path    // further ones of the admin listener
	Backend    string          // the name of the correlator's, for operators
	Pushes     func() bool     // for operators: whether a route pushes results now; nil: none does
	// AdminPage serves the page of the admin listener at / and what it loads at /web/: GET and HEAD. found is false where there is no such path. nil: there is none.
	AdminPage func(ctx *fasthttp.RequestCtx, path string) (found bool)

	hook        func(point string) // for tests: called at "reply" before one is written, and where upstream.Options.Hook is; nil: not called
	engineRoots *x509.CertPool     // for tests: who signs an https engine's certificate; nil: whom the system trusts
}

// New makes a Gateway from a valid cfg. It opens nothing.
func New(cfg Config, p Parts) (*Gateway, error) {
	trusted, err := httpfield.NewProxies(cfg.Listen.TrustedProxies)
	if err != nil {
		return nil, fmt.Errorf("listen.trusted_proxies: %w", err)
	}
	g := &Gateway{
		cfg: cfg, correlator: p.Correlator, outbox: p.Outbox, tracer: p.Tracer, keys: p.Keys, dialects: partner.NewDialects(p.Log, append([]dialect.Dialect{p.Dialect}, p.Dialects...)...), log: p.Log,
		cors: cors.New(cfg.CORS), proxies: trusted, registry: p.Metrics,
		requestBodies: httpserver.NewBudget(int64(cfg.Limits.Body)), callbackBodies: httpserver.NewBudget(int64(cfg.Limits.CallbackBody)),
		quotas: quota.New(), hook: p.hook,
		work: work{log: p.Log}, operators: work{log: p.Log}, refusedNotes: quota.NewSparse(refusedRate, refusedBurst),
	}
	if g.hook == nil {
		g.hook = func(string) {}
	}
	g.headings.New = func() any { return new(heading) }
	g.deadlines.least = cfg.Listen.WriteTimeout + storeTimeout
	ended, end := context.WithCancel(context.Background())
	end()
	g.ended = ended
	g.finals = newFinals(p.Correlator, p.Outbox)
	if k := g.finals.keeper; k != nil {
		g.keeper = k
	}
	g.admits = p.Correlator.Ready
	if a, ok := p.Correlator.(correlator.Admitting); ok {
		g.admits = a.Admits
	}
	_, g.local = p.Correlator.(*correlator.Memory)
	g.limits.Store(&cfg.Limits)
	g.recent = whereabouts.New(cfg.Admin.Trips)
	if g.pushing = p.Pushes; g.pushing == nil {
		g.pushing = func() bool { return false }
	}
	g.about = admin.Status{
		Node: g.nodeName(), Version: p.Version, Started: time.Now(), Correlator: admin.Correlator{Backend: p.Backend}, Remembered: cfg.Admin.Trips,
	}
	g.adminHandler = admin.New(admin.Config{
		Health: g.health, Ready: g.readiness, Metrics: p.Metrics, Status: g.status, Node: g.nodeName(), Trips: g.whereIs, Cancel: g.cancelNamed, Recent: g.recent, Waiting: g.eachWaiting,
		Outcomes: outcomes(), Run: g.operators.run, Paths: p.AdminPaths, Page: p.AdminPage, Actions: cfg.Admin.Actions, Hosts: cfg.Admin.Hosts,
	})
	g.metrics = newMetrics(g, p)
	g.delivered = g.metrics.Callback(callbackDelivered)
	g.retries = retryqueue.New(g.finals, storeTimeout)
	g.streams = eventstream.New(cfg.Listen.Heartbeat, g.metrics.Streams)
	g.cancels = cancelqueue.New(g.log)
	return g, g.connect(p)
}

// connect makes the server for clients and engines, and the clients of the engines.
func (g *Gateway) connect(p Parts) (err error) {
	l := g.cfg.Listen
	engines := append([]NamedEngine{{dialect.DefaultEngine, p.Engine, g.cfg.Engine}}, p.Engines...)
	if len(engines) > mostEngines {
		return fmt.Errorf("engines: there are %d, and %d may be", len(engines), mostEngines)
	}
	expiry, connections := time.Duration(math.MaxInt64), 0
	for _, e := range engines {
		expiry, connections = min(expiry, e.Config.Timeout, e.Config.Idle), connections+e.Config.MaxConnections
	}
	g.server, err = httpserver.New(httpserver.Config{
		HeaderTimeout: l.HeaderTimeout, BodyTimeout: l.BodyTimeout, WriteTimeout: l.WriteTimeout, IdleTimeout: l.IdleTimeout,
		Expiry: expiry, Reserved: connections,
	}, handler{g}, g.log, func(now time.Time) {
		for _, e := range g.engines {
			e.client.Tick(now)
		}
	})
	if err != nil {
		return err
	}
	for _, e := range engines {
		if err := g.addEngine(e, p); err != nil {
			return err
		}
	}
	return nil
}

// SetLimits replaces the limits for requests that come from now on. It must not be called concurrently. The correlator and the dialect
// have limits of their own.
func (g *Gateway) SetLimits(l Limits) {
	g.limits.Store(&l)
	g.requestBodies.Resize(int64(l.Body))
	g.callbackBodies.Resize(int64(l.CallbackBody))
}

// Listen binds every address, so that a taken one fails before anything is served.
func (g *Gateway) Listen() (err error) {
	cfg := g.cfg.Listen
	if cfg.TLS.CertFile != "" {
		if g.certificate, err = tlsfiles.Load(cfg.TLS, g.log); err != nil {
			return err
		}
		g.registry.MustRegister(g.certificate.Metric())
	}
	var bound []*httpserver.Listener
	bind := func(name, address string) *httpserver.Listener {
		var l *httpserver.Listener
		if err == nil && address != "" {
			if l, err = g.bind(name, address); err == nil {
				bound = append(bound, l)
			}
		}
		return l
	}
	g.public, g.callbackListener, g.admin = bind("public", cfg.Public), bind("callback", cfg.Callback), bind("admin", cfg.Admin)
	if err != nil {
		for _, l := range bound {
			l.Unbind()
		}
	}
	return err
}

func (g *Gateway) bind(name, address string) (*httpserver.Listener, error) {
	c := httpserver.ListenConfig{Name: "listen." + name, Address: address, Bypass: name == "admin"}
	if g.certificate != nil && name != "admin" {
		c.TLS = g.certificate.Config()
	}
	if slices.Contains(g.cfg.Listen.ProxyProtocol, name) {
		c.Proxied = func(peer netip.Addr) bool { return len(g.proxies) == 0 || g.proxies.Trusts(peer) }
	}
	return g.server.Listen(c)
}

// RenewCertificate reads the files of listen.tls again, if there are any, and uses what has changed. It may be called at any time after
// Listen.
func (g *Gateway) RenewCertificate() {
	if g.certificate != nil {
		g.certificate.Renew(time.Now())
	}
}

// Serve starts serving on what Listen has bound, and returns. Err tells when a listener ends that should not.
func (g *Gateway) Serve() {
	if err := g.server.Start(); err != nil {
		g.log.Error().Err(err).Msg("the loops cannot be started")
	}
	for _, l := range g.listeners() {
		g.server.Serve(l)
	}
}

// listeners gives all of them, those of clients first and those of operators last.
func (g *Gateway) listeners() []*httpserver.Listener {
	all := []*httpserver.Listener{g.public, g.callbackListener, g.admin}
	return slices.DeleteFunc(all, func(l *httpserver.Listener) bool { return l == nil })
}

// Err gives the errors that end a listener while it should serve.
func (g *Gateway) Err() <-chan error { return g.server.Err() }

// NotReady begins the end: readiness turns 503 and answers say "Connection: close", and everything is still served, so that balancers can
// turn away first.
func (g *Gateway) NotReady() { g.stage.Store(leaving) }

// RefuseNew refuses new creates. Parked clients are still answered, and callbacks, tasks and health are served.
func (g *Gateway) RefuseNew() { g.stage.Store(refusing) }

// Close ends the listeners, clients first and operators last, each when it has answered what it was asked, and the connections to the
// engine. Call it when the correlator has drained.
func (g *Gateway) Close(ctx context.Context) error {
	g.settle(context.Background()) // bounded by the write time-out and the store's
	g.adminHandler.Close()
	for _, l := range g.listeners() {
		if !l.Close(ctx) {
			g.log.Warn().Str("listener", l.Name()).Msg("connections are closed in the middle of a request")
		}
	}
	last, cancel := context.WithTimeout(ctx, closeGrace)
	defer cancel()
	g.settle(last) // callbacks that came before their listener closed
	g.cancels.Close()
	for _, e := range g.engines {
		e.client.Close(ctx)
	}
	g.settle(last)
	if lost := g.retries.Close(ctx); lost > 0 {
		g.log.Error().Int64("trips", lost).Msg("results are not kept for clients that repeat their keys: the store is away")
	}
	g.server.Close()
	g.streams.Close()
	return nil
}

// settle waits until no answer is under way, or ctx ends.
func (g *Gateway) settle(ctx context.Context) {
	g.work.Wait(ctx)
	g.server.Settle(ctx)
	g.work.Wait(ctx) // of replies that could not be written
}

// work is goroutines, and other work whose end is waited for.
type work struct {
	httpserver.InFlight
	log zerolog.Logger
}

// run starts f on a goroutine of its own. There is one for each client that is answered, at most. A panic ends f alone.
func (w *work) run(f func()) {
	w.Add()
	go func() {
		defer w.Done()
		defer func() {
			if p := recover(); p != nil {
				w.log.Error().Str("panic", httpserver.PanicText(p)).Bytes("stack", debug.Stack()).Msg("answering panicked")
			}
		}()
		f()
	}()
}

// PublicAddr gives the bound address for clients, once Listen has returned.
func (g *Gateway) PublicAddr() netip.AddrPort { return g.public.Addr() }

// CallbackAddr gives the bound address for engines: the public one where they share it.
func (g *Gateway) CallbackAddr() netip.AddrPort {
	if g.callbackListener != nil {
		return g.callbackListener.Addr()
	}
	return g.PublicAddr()
}

// AdminAddr gives the bound address for operators; it is not valid where there is none.
func (g *Gateway) AdminAddr() (a netip.AddrPort) {
	if g.admin != nil {
		a = g.admin.Addr()
	}
	return a
}

// tokens makes the callback tokens of a trip, one for each op that is parked.
func (g *Gateway) tokens(t *trip) []string {
	tokens := make([]string, 0, len(t.call.Slots))
	var room [128]byte // on the stack, and a token is shorter
	for i := range t.call.Ops {
		if op := &t.call.Ops[i]; op.Create && op.Refused == "" && !op.Local {
			tokens = append(tokens, string(g.keys.AppendToken(room[:0], correlator.Token{Trip: t.id, Op: i, Engine: g.engines[t.engine].id})))
		}
	}
	return tokens
}

var (
	_ httpserver.Handler  = handler{}
	_ correlator.Receiver = (*trip)(nil)
	_ httpserver.Waiter   = (*trip)(nil)
	_ upstream.Call       = (*trip)(nil)
)
