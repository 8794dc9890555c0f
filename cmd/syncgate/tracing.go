package main

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"syncgate/configs"
	"syncgate/correlator"
	"syncgate/internal/tracing"
	"syncgate/notify"
)

const (
	// traceExchange bounds one exchange with Redis about traces.
	traceExchange = time.Second
	// stopTracing bounds the end of what traces when the node ends. Spans that are left then are dropped.
	stopTracing = 5 * time.Second
)

// nodeTracing is what a node has for tracing. The methods of a nil one do nothing.
type nodeTracing struct {
	tracer *tracing.Tracer
	client goredis.UniversalClient // nil without Redis
}

// newTracing makes what a node needs for tracing; nil: nothing is traced.
func newTracing(c *configs.Config, node correlator.NodeID, metrics prometheus.Registerer, log zerolog.Logger) (*nodeTracing, error) {
	if !c.Tracing.Enabled() {
		return nil, nil
	}
	t := &nodeTracing{}
	o := tracing.Options{Version: versionText(), Node: node.String(), HTTPS: c.Listen.TLS.CertFile != "", Metrics: metrics, Log: log}
	if c.Correlator.Backend == configs.Redis {
		r := c.Redis()
		client, err := r.NewClient(traceExchange)
		if err != nil {
			return nil, err
		}
		t.client, o.Redis, o.Prefix = client, client, r.Prefix
	}
	t.tracer = tracing.New(c.Tracing, o)
	t.reload(c)
	return t, nil
}

// close sends what is left, for a while.
func (t *nodeTracing) close() error { return t.end(stopTracing) }

// abandon ends it at once.
func (t *nodeTracing) abandon() { _ = t.end(0) }

func (t *nodeTracing) end(within time.Duration) error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	err := t.tracer.Close(ctx)
	if t.client != nil {
		err = errors.Join(err, t.client.Close())
	}
	return err
}

// reload applies what of c can change while clients wait.
func (t *nodeTracing) reload(c *configs.Config) {
	if t == nil {
		return
	}
	paths := make(map[string]string, len(c.Routes))
	for i := range c.Routes {
		paths[c.Routes[i].Name] = c.Routes[i].Path
	}
	t.tracer.SetRoutes(paths)
	t.tracer.SetRatio(c.Tracing.Ratio)
}

// attempts gives what traces attempts to send notifications; nil: nothing does.
func (t *nodeTracing) attempts() func(traceparent string) (own string, ended func(notify.Traced)) {
	if t == nil {
		return nil
	}
	return func(traceparent string) (string, func(notify.Traced)) {
		own, ended := t.tracer.Attempt(traceparent)
		if ended == nil {
			return "", nil
		}
		return own, func(a notify.Traced) {
			ended(&tracing.AttemptFacts{
				ID: a.ID, Subscription: a.Subscription, Scheme: a.Scheme, Host: a.Host, Number: a.Number, Begun: a.At, Took: a.Duration,
				Outcome: string(a.Outcome), Status: a.Status, Delivered: a.Outcome == notify.OutcomeDelivered,
			})
		}
	}
}
