package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"syncgate/configs"
	"syncgate/correlator"
	"syncgate/correlator/redis"
	"syncgate/dialect"
	"syncgate/dialect/corezoid"
	"syncgate/dialect/doctor"
	"syncgate/dialect/httpengine"
	"syncgate/dialect/metrici"
	"syncgate/dialect/os1"
	"syncgate/dialect/rest"
	"syncgate/dialect/waiter"
	"syncgate/gateway"
	"syncgate/internal/admin"
	"syncgate/signer"
	"syncgate/web"
)

// node is a running gateway and what it is made of.
type node struct {
	// Set by start, read-only afterwards.
	log       zerolog.Logger
	table     table
	dialect   *corezoid.Dialect
	routes    *rest.Dialect
	waiters   *waiter.Table
	reports   *metrici.Dialect              // who reports beside the callback path
	probes    *doctor.Dialect               // of syncgate doctor
	others    map[string]*httpengine.Engine // engines beside the default one, by name
	push      *rest.Push                    // what routes have of pushing
	pushing   currentPushing
	tracing   *nodeTracing // nil: nothing is traced
	gateway   *gateway.Gateway
	metrics   *prometheus.Registry
	examining examining
	getenv    func(name string) (value string, set bool)
	paths     []admin.Path // of the admin listener
	effective effectiveConfig

	certificate *renewal
	reloads     *reloadMetrics

	// Owned by the goroutine of run.
	config *configs.Config // what is in effect
	keys   *callbackKeys
	retire <-chan time.Time // when the next keys retire; nil: none will
}

// table is what both correlators have beyond the interface.
type table interface {
	correlator.Correlator
	SetParked(limit int)
	SetProgress(limit int64)
	Node() correlator.NodeID
	Shutdown(ctx context.Context) error
}

// start makes a node and starts it: keys, dialect, correlator, notifications, waiters, routes, gateway, addresses, in this order, and serving last. lines is what log
// writes to; nil: operators see no counts and no warnings of it. demo are the paths of the admin listener that the demo alone has.
func start(c *configs.Config, log zerolog.Logger, lines *lineWriter, getenv func(string) (string, bool), demo ...admin.Path) (*node, error) {
	n := &node{log: log, getenv: getenv, config: c, reloads: newReloadMetrics(), others: make(map[string]*httpengine.Engine), push: new(rest.Push), metrics: prometheus.NewRegistry()}
	n.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	n.metrics.MustRegister(logMetrics(lines)...)
	n.metrics.MustRegister(n.reloads.successful, n.reloads.at)
	n.effective.Store(c)
	n.paths = append(n.adminPaths(lines.warnings()), demo...)
	var err error
	if n.keys, err = newCallbackKeys(c.CallbackKeys()); err != nil {
		return nil, fmt.Errorf("read the callback keys: %w", err)
	}
	access, err := newAccess(c)
	if err != nil {
		return nil, fmt.Errorf("read the credentials: %w", err)
	}
	if n.dialect, err = corezoid.New(c.Dialect(), access); err != nil {
		return nil, fmt.Errorf("make the dialect: %w", err)
	}
	if n.table, err = newTable(c, n.keys.Keys, log); err != nil {
		return nil, fmt.Errorf("make the correlator: %w", err)
	}
	if err = n.open(); err != nil {
		n.tracing.abandon()
		n.closeWaiters()
		_ = n.pushing.Load().close() // nobody was served, and the first error is the one to report
		_ = n.table.Shutdown(context.Background())
		return nil, err
	}
	n.gateway.Serve()
	n.pushing.start(n.gateway.Push)
	n.certificate = startRenewal(n.gateway.RenewCertificate)
	n.announce()
	n.announceWaiters(c)
	if c.Correlator.Backend == configs.Redis {
		n.examining.start(c.Redis(), log)
	}
	return n, nil
}

// open makes what needs the correlator, and opens the addresses.
func (n *node) open() (err error) {
	if n.tracing, err = newTracing(n.config, n.table.Node(), n.metrics, n.log); err != nil {
		return fmt.Errorf("make what traces: %w", err)
	}
	if _, err = n.beginPushing(n.config); err != nil {
		return err
	}
	if err = n.openWaiters(); err != nil {
		return err
	}
	if n.routes, err = rest.New(n.config.Rest(), rest.Outside{Keys: n.keys.Keys, Verifier: n.dialect, Push: n.push}); err != nil {
		return fmt.Errorf("make the routes: %w", err)
	}
	return n.listen()
}

func (n *node) listen() (err error) {
	cfg := n.config.Gateway()
	through, from, err := engineProxy(n.config, n.getenv)
	if err != nil {
		return err
	}
	cfg.Engine.Proxy = dialect.NoProxy
	if through != nil {
		cfg.Engine.Proxy = through.String()
		n.log.Info().Str("proxy", through.Host).Str("from", from).Msg("the engine is reached through a proxy")
	}
	if shared, ok := n.table.(redisTable); ok {
		n.metrics.MustRegister(newRedisCounts(shared))
	}
	engines, err := n.engines()
	if err != nil {
		return err
	}
	n.reports = metrici.New(n.config.Metrici(), n.keys.Keys)
	n.probes = doctor.New(n.keys.Keys, n.probed(n.config))
	parts := gateway.Parts{
		Correlator: n.table, Keys: n.keys.Keys, Dialect: n.dialect, Engine: n.dialect, Log: n.log, Metrics: n.metrics, Version: versionText(),
		Logins: n.dialect.Logins, Dialects: []dialect.Dialect{n.reports, n.routes, waiter.NewDialect(n.waiters), n.probes}, Engines: engines, AdminPaths: n.paths, AdminPage: web.Serve, Outbox: &n.pushing,
	}
	parts.Backend, parts.Pushes = n.config.Correlator.Backend, n.pushing.begun
	if n.tracing != nil {
		parts.Tracer = n.tracing.tracer
	}
	if n.gateway, err = gateway.New(cfg, parts); err != nil {
		return fmt.Errorf("make the gateway: %w", err)
	}
	n.connectWaiters(n.config)
	n.reports.Connect(n.gateway)
	return n.gateway.Listen()
}

// engines makes the engines beside the default one.
func (n *node) engines() (all []gateway.NamedEngine, err error) {
	for i := range n.config.Engines {
		cfg := &n.config.Engines[i]
		made, err := n.engine(cfg)
		if err != nil {
			return nil, fmt.Errorf("make engines[%d]: %w", i, err)
		}
		connection := cfg.HTTP().Connection()
		through, from, err := proxyOf(fmt.Sprintf("engines[%d]", i), connection, n.getenv)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", from, err)
		}
		connection.Proxy = dialect.NoProxy
		if through != nil {
			connection.Proxy = through.String()
			n.log.Info().Str("engine", cfg.Name).Str("proxy", through.Host).Str("from", from).Msg("the engine is reached through a proxy")
		}
		all = append(all, gateway.NamedEngine{Name: cfg.Name, Code: made, Config: connection})
	}
	n.showFields(n.config)
	return all, nil
}

// engine makes one of them.
func (n *node) engine(cfg *configs.OtherEngine) (dialect.Engine, error) {
	o := httpengine.Options{CallbackURL: n.config.Callback.CallbackURL()}
	switch cfg.Kind {
	case os1.Kind:
		made, err := os1.New(cfg.OS1, cfg.Config, o)
		if err != nil {
			return nil, err
		}
		n.others[cfg.Name] = made.Engine
		return made, nil
	case metrici.Kind:
		made, err := metrici.NewEngine(cfg.EngineConfig, cfg.Config)
		if err != nil {
			return nil, err
		}
		n.others[cfg.Name] = made.Engine
		return made, nil
	}
	made, err := httpengine.New(cfg.Config, o)
	if err != nil {
		return nil, err
	}
	n.others[cfg.Name] = made
	return made, nil
}

// showFields has engines keep of their callbacks what clients of routes may see.
func (n *node) showFields(c *configs.Config) {
	n.dialect.SetFields(c.Fields(dialect.DefaultEngine))
	for name, e := range n.others {
		e.SetFields(c.Fields(name))
	}
}

// announce says where the node is reached; an address with port 0 has become a real one.
func (n *node) announce() {
	admin := ""
	if a := n.gateway.AdminAddr(); a.IsValid() {
		admin = a.String()
	}
	engine := func(line *zerolog.Event) {
		if n.config.UsesDefaultEngine() {
			line.Str("engine", n.config.Engine.URL)
		}
	}
	n.log.Info().Stringer("public", n.gateway.PublicAddr()).Stringer("callback", n.gateway.CallbackAddr()).Str("admin", admin).
		Func(engine).Str("correlator", n.config.Correlator.Backend).Stringer("node", n.table.Node()).Str("version", versionText()).Msg("serving")
}

func newTable(c *configs.Config, keys *correlator.Keys, log zerolog.Logger) (table, error) {
	if c.Correlator.Backend == configs.Redis {
		goredis.SetLogger(driverLog{log}) // else it writes lines of its own to the standard error
		return redis.New(c.Redis(), keys, redis.Options{
			Changed: func(err error) {
				if err == nil {
					log.Info().Msg("correlator: Redis can be used")
					return
				}
				line := log.Error().Err(err)
				if u, ok := errors.AsType[*correlator.Unready](err); ok {
					line = line.Str("missing", u.Part).Str("do", u.Do)
				}
				line.Msg("correlator: Redis cannot be used")
			},
			Forged: func(err error) {
				log.Error().Err(err).Msg("correlator: somebody else writes to Redis, or a node has other callback keys")
			},
		})
	}
	return correlator.NewMemory(c.Memory()), nil
}

// driverLog takes what the Redis library says beside its errors: each is about one connection. What it would put into its format is
// left out: errors of the server, which may quote the arguments of commands.
type driverLog struct{ log zerolog.Logger }

// Printf logs.
func (d driverLog) Printf(_ context.Context, format string, _ ...any) {
	d.log.Debug().Str("line", format).Msg("correlator: the Redis library")
}

func newAccess(c *configs.Config) (corezoid.Access, error) {
	s := c.Signer()
	keys, err := signer.NewKeyring(s.Credentials)
	return corezoid.Access{Keys: keys, Window: s.Window, MaxOps: c.Limits.Ops}, err
}

// run serves until a signal ends the node, or a listener that cannot go on.
func (n *node) run(signals <-chan os.Signal, load loader) error {
	for {
		select {
		case s := <-signals:
			if s != syscall.SIGHUP {
				n.log.Info().Stringer("signal", s).Msg("stopping")
				return n.stop(signals)
			}
			n.reload(load)
		case now := <-n.retire:
			n.keys.expire(now)
			n.retire = nil
		case err := <-n.gateway.Err():
			n.log.Error().Err(err).Msg("stopping")
			_ = n.stop(signals) // it is the listener's error that counts
			return err
		}
	}
}

// stop drains the node, unless another signal comes.
func (n *node) stop(signals <-chan os.Signal) error {
	drained := make(chan struct{})
	go func() {
		n.drain()
		close(drained)
	}()
	for {
		select {
		case <-drained:
			return nil
		case s := <-signals:
			if s != syscall.SIGHUP {
				return errAgain
			}
		}
	}
}

// drain ends the node in the reverse of its start. Callbacks are heard until the last client is answered.
func (n *node) drain() {
	n.phase("not ready", n.config.Drain.Delay)
	n.gateway.NotReady()
	<-time.After(n.config.Drain.Delay)

	n.phase("refusing new requests", n.config.Drain.Timeout)
	n.gateway.RefuseNew()
	n.probes.Close()
	ctx, cancel := context.WithTimeout(context.Background(), n.config.Drain.Timeout)
	defer cancel()
	if err := n.table.Drain(ctx); err != nil {
		n.log.Warn().Err(err).Msg("clients that were still waiting have been refused")
	}

	n.phase("closing", 0)
	n.certificate.stop()
	n.examining.stop()
	n.complain("close the listeners", n.gateway.Close(context.Background()))
	n.closeWaiters()
	n.complain("stop sending notifications", n.pushing.Load().close())
	n.complain("send the last spans", n.tracing.close())
	n.complain("close the correlator", n.table.Shutdown(context.Background()))
	n.phase("stopped", 0)
}

func (n *node) phase(name string, atMost time.Duration) {
	n.log.Info().Stringer("at_most", atMost).Msg(name)
}

// complain logs what went wrong at the end, when going on is the best that can be done.
func (n *node) complain(step string, err error) {
	if err != nil {
		n.log.Warn().Err(err).Msg(step)
	}
}
