package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"syncgate/configs"
	"syncgate/correlator"
	"syncgate/dialect/rest"
	"syncgate/internal/admin"
	"syncgate/notify"
	"syncgate/signer"
)

const (
	// mostOpen is how many notifications can be open, those of all nodes with Redis; mostOpenHere and bytesHere bound those of a node without Redis.
	mostOpen, mostOpenHere, bytesHere = 1_000_000, 100_000, 256 << 20
	// mostSubscriptionsHere is how many subscriptions a node without Redis has that are active, and how many that have ended.
	mostSubscriptionsHere = 100_000
	// notifyExchange bounds one exchange with Redis about notifications: what is claimed at once may have 256 MiB.
	notifyExchange = 5 * time.Second
	// stopPushing bounds the end of the attempts and looks that run when the node ends. What it cuts off another node does again.
	stopPushing = 5 * time.Second
)

// pushing sends results to receivers that clients have named: what a node has for that, beside its routes and its gateway.
type pushing struct {
	// Set by newPushing, read-only afterwards.
	client        goredis.UniversalClient // nil without Redis
	store         notify.Store
	subscriptions notify.Subscriptions
	tasks         notify.OutboxStore
	sender        *notify.Sender
	outbox        *notify.Outbox
	routes        *rest.Push // of the dialect
	log           zerolog.Logger

	seals retiring // owned by the goroutine of run
}

// newPushing makes what a node needs for pushing, gives it to routes, and begins to send what is stored. keys are those of callbacks: they seal secrets.
func newPushing(c *configs.Config, keys []string, routes *rest.Push, traces *nodeTracing, metrics prometheus.Registerer, log zerolog.Logger) (*pushing, error) {
	settings, err := c.Notify.Settings()
	if err != nil {
		return nil, err
	}
	sealer, err := signer.NewSealer(keys)
	if err != nil {
		return nil, err
	}
	p := &pushing{seals: newRetiring(keys, sealer.Set), routes: routes, log: log}
	if err := p.makeStores(c, sealer, log); err != nil {
		return nil, err
	}
	if p.outbox, err = notify.NewOutbox(p.tasks, notify.OutboxConfig{Metrics: metrics, Log: log}); err != nil {
		return nil, errors.Join(err, p.close())
	}
	after := aftermath{p.subscriptions, log}
	p.sender, err = notify.New(p.store, notify.Config{
		Settings: settings, Sealer: sealer, Gone: after.gone, Stands: after.stands, Settled: after.settled, Trace: traces.attempts(), Metrics: metrics, Log: log,
	})
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	routes.Sender, routes.Subscriptions, routes.Sealer = p.sender, p.subscriptions, sealer
	p.routes.SetSecrets(c.Notify.Secrets())
	return p, nil
}

func (p *pushing) makeStores(c *configs.Config, sealer *signer.Sealer, log zerolog.Logger) (err error) {
	if c.Correlator.Backend != configs.Redis {
		p.store = notify.NewMemory(mostOpenHere, bytesHere)
		p.subscriptions = notify.NewMemorySubscriptions(mostSubscriptionsHere)
		p.tasks = notify.NewMemoryOutbox(0)
		return nil
	}
	r := c.Redis()
	if p.client, err = r.NewClient(notifyExchange); err != nil {
		return err
	}
	p.store = notify.NewRedis(p.client, r.Prefix, mostOpen)
	p.subscriptions = notify.NewRedisSubscriptions(p.client, r.Prefix, sealer, log)
	p.tasks = notify.NewRedisOutbox(p.client, r.Prefix, 0)
	return nil
}

// admin gives what operators can ask.
func (p *pushing) admin() notifyAdmin {
	if p == nil {
		return notifyAdmin{}
	}
	return notifyAdmin{p.store, p.sender.Retry}
}

// close ends the looks at tasks, then the attempts, and then the connections to Redis. A nil pushing does nothing.
func (p *pushing) close() error {
	if p == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopPushing)
	defer cancel()
	var problems []error
	if p.outbox != nil {
		problems = append(problems, step("stop looking at tasks", p.outbox.Close(ctx)))
	}
	if p.sender != nil {
		problems = append(problems, step("stop sending notifications", p.sender.Close(ctx)))
	}
	if p.client != nil {
		problems = append(problems, step("close the connections of notifications to Redis", p.client.Close()))
	} else if stats, err := p.store.Stats(ctx); err == nil && stats.Open > 0 {
		p.log.Warn().Int("open", stats.Open).Msg("notifications that were not delivered are lost: without Redis they end with the process")
	}
	return errors.Join(problems...)
}

func step(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// reload applies a configuration whose Settings are these. A key that sealed secrets and was removed opens them for as long as what it sealed may be sent. Secrets of
// subscriptions last longer: their keys have to stay in the configuration.
func (p *pushing) reload(c *configs.Config, settings notify.Settings, now time.Time) error {
	if p == nil {
		return nil
	}
	p.seals.expire(now)
	if err := p.seals.replace(c.CallbackKeys(), now, c.Notify.Window+notify.KeepEnded); err != nil {
		return err
	}
	p.routes.SetSecrets(c.Notify.Secrets())
	return p.sender.Set(settings)
}

// aftermath keeps what comes of notifications with their subscriptions.
type aftermath struct {
	subscriptions notify.Subscriptions
	log           zerolog.Logger
}

// settledTimeout bounds what is kept after an attempt, which keeps its slot meanwhile.
const settledTimeout = 2 * time.Second

// gone ends a subscription whose receiver answered 410.
func (a aftermath) gone(ctx context.Context, subscription string) error {
	return a.end(ctx, subscription, notify.Ended)
}

// end ends a subscription, which may have ended before.
func (a aftermath) end(ctx context.Context, subscription string, state notify.SubscriptionState) error {
	err := a.subscriptions.End(ctx, subscription, state)
	if errors.Is(err, notify.ErrUnknown) || errors.Is(err, notify.ErrInactive) {
		return nil
	}
	return err
}

// stands reports whether a notification of a subscription may be sent. One that was for a single task ends when its notification is refused or dead: an operator
// can have that sent again.
func (a aftermath) stands(ctx context.Context, subscription string) (bool, error) {
	s, err := a.subscriptions.Get(ctx, subscription)
	switch {
	case errors.Is(err, notify.ErrUnknown):
		return true, nil
	case err != nil:
		return false, err
	case s.State == notify.Ended:
		return s.Mode == notify.Once, nil
	}
	return s.State != notify.Cancelled, nil
}

// settled keeps what came of an attempt, and ends a subscription for a single task with its notification. Where it cannot, the task's next look does.
func (a aftermath) settled(id, subscription string, state notify.State, last notify.Attempt) {
	if subscription == "" || last.Outcome == notify.OutcomeEnded { // then nothing was sent: the attempt before it is the last one
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), settledTimeout)
	defer cancel()
	err := a.subscriptions.Note(ctx, subscription, last)
	if err == nil {
		err = a.endOnce(ctx, subscription, state)
	}
	if err != nil && !errors.Is(err, notify.ErrUnknown) {
		a.log.Debug().Err(err).Str("id", id).Str("subscription", subscription).Msg("the outcome of an attempt is not kept with its subscription")
	}
}

func (a aftermath) endOnce(ctx context.Context, subscription string, state notify.State) error {
	end, over := map[notify.State]notify.SubscriptionState{
		notify.Delivered: notify.Completed, notify.Refused: notify.Ended, notify.Dead: notify.Ended,
	}[state]
	if !over {
		return nil
	}
	s, err := a.subscriptions.Get(ctx, subscription)
	if err != nil || s.Mode != notify.Once {
		return err
	}
	return a.end(ctx, subscription, end)
}

// currentPushing is the pushing that a node has now, nil while no route has ever pushed. It is the gateway's Outbox, and serves operators.
type currentPushing struct{ atomic.Pointer[pushing] }

// begun reports whether the node pushes results.
func (c *currentPushing) begun() bool { return c.Load() != nil }

// start has tasks looked at whose results are to be pushed. It may be called again.
func (c *currentPushing) start(push notify.PushFunc) {
	if p := c.Load(); p != nil {
		p.outbox.Start(push)
	}
}

// errNoOutbox is for a route that pushes in a node that does not: there is none.
var errNoOutbox = fmt.Errorf("%w: this node has no outbox", correlator.ErrUnavailable)

// Owe is gateway.Outbox's.
func (c *currentPushing) Owe(ctx context.Context, task correlator.ID, after time.Duration, sent bool) error {
	if p := c.Load(); p != nil {
		return p.outbox.Owe(ctx, task, after, sent)
	}
	return errNoOutbox
}

// Done is gateway.Outbox's.
func (c *currentPushing) Done(ctx context.Context, task correlator.ID) error {
	if p := c.Load(); p != nil {
		return p.outbox.Done(ctx, task)
	}
	return nil
}

// Look is gateway.Outbox's. Where the node does not push, another one made the task, and looks at it.
func (c *currentPushing) Look(task correlator.ID) {
	if p := c.Load(); p != nil {
		p.outbox.Look(task)
	}
}

// path is where operators ask for notifications.
func (c *currentPushing) path() admin.Path {
	return admin.Path{Path: notificationsPath, Serve: func(ctx *fasthttp.RequestCtx, rest string) { c.Load().admin().serve(ctx, rest) }}
}

// beginPushing makes the node push, if a route of c does and it does not yet. undo takes that back, before a request can have found such a route.
func (n *node) beginPushing(c *configs.Config) (undo func(), err error) {
	if n.pushing.Load() != nil || !c.Pushes() {
		return func() {}, nil
	}
	p, err := newPushing(c, n.keys.live, n.push, n.tracing, n.metrics, n.log)
	if err != nil {
		return nil, fmt.Errorf("make what sends notifications: %w", err)
	}
	n.pushing.Store(p)
	return func() {
		n.pushing.Store(nil)
		n.push.Sender, n.push.Subscriptions, n.push.Sealer = nil, nil, nil
		n.complain("stop sending notifications", p.close())
	}, nil
}
