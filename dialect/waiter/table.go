package waiter

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"syncgate/correlator"
	"syncgate/internal/webhook"
)

// Deliverer hands what completes an op on to its trip, on whatever node that is: *gateway.Gateway.
type Deliverer interface {
	// Deliver returns when the callback is settled, with the errors of a Correlator's Deliver.
	Deliver(ctx context.Context, to correlator.Token, cb correlator.Callback) error
}

// Options are what a Table needs beside its configuration.
type Options struct {
	Names   correlator.Namer
	Hashes  Hashes // nil: hashes that were removed are known to this process alone
	Log     zerolog.Logger
	Metrics prometheus.Registerer // nil: nothing is counted
}

// Table is the waiters that are configured now. It is safe for concurrent use.
type Table struct {
	// Set by New, read-only afterwards.
	names  correlator.Namer
	hashes Hashes
	log    zerolog.Logger
	ops    *openOps
	early  *early
	counts *counts

	deliverer atomic.Pointer[Deliverer] // nil: nothing can be delivered yet
	current   atomic.Pointer[set]
}

// set is a whole configuration. It never changes: what began under one goes on with it when there is a next one.
type set struct {
	processes map[string]*Process
	addresses map[Digest]*address
	removed   map[Digest]time.Time // URLs that others remember, and until when they are known
	longest   time.Duration        // of the waiters' early
}

// waiter is a Config that was read.
type waiter struct {
	Config
	process *Process
	key     key

	// Of its URL.
	challenge bool
	verifier  *webhook.Verifier
	body      webhook.Body
	path      webhook.Path // of the name in a callback
	events    webhook.Path // of the array of callbacks
	several   bool         // there is such an array
}

// New makes a Table. cfg must be valid. It runs one goroutine until Close.
func New(cfg []Config, o Options) (*Table, error) {
	t := &Table{names: o.Names, hashes: o.Hashes, log: o.Log, ops: newOpenOps(), counts: newCounts(o.Metrics)}
	t.early = newEarly(t.attempt)
	if err := t.Set(cfg); err != nil {
		return nil, err
	}
	go t.early.run()
	return t, nil
}

// Set replaces the waiters. Ops that have names keep them. It is called by one goroutine at a time, and may ask a store.
func (t *Table) Set(cfg []Config) error {
	if err := Validate(cfg); err != nil {
		return err
	}
	next := &set{processes: make(map[string]*Process), addresses: make(map[Digest]*address)}
	for i := range cfg {
		w, err := read(cfg[i])
		if err != nil {
			return err
		}
		p := next.processes[w.ConvID]
		if p == nil {
			p = &Process{table: t, id: w.ConvID, local: w.Engine == EngineNone}
			next.processes[w.ConvID] = p
		}
		p.add(w)
		next.addAddresses(w)
		next.longest = max(next.longest, w.Early)
	}
	if before := t.current.Load(); before != nil {
		next.retire(before, time.Now())
	}
	if before := t.current.Load(); len(cfg) > 0 || before != nil && len(before.addresses) > 0 {
		next.removed = t.remember(next.used())
	}
	t.counts.keep(cfg)
	t.current.Store(next)
	return nil
}

// remember says which URLs are in use, and gives those that are not any more.
func (t *Table) remember(used []Digest) map[Digest]time.Time {
	if t.hashes == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	removed, err := t.hashes.Remember(ctx, used, retiredTime)
	if err != nil {
		t.log.Warn().Err(err).Msg("waiter: hashes that were removed before this start are not known: until the next reload their senders hear 404")
	}
	return removed
}

// read makes what is looked up of a Config that is valid.
func read(c Config) (*waiter, error) {
	k, err := parseKey(c.Key)
	if err != nil {
		return nil, err
	}
	of := c.webhook().Expanded()
	w := &waiter{Config: c, key: k, challenge: of.Challenge, several: of.Events != ""}
	w.Events = of.Events
	if w.verifier, err = webhook.NewVerifier(c.Verify); err != nil {
		return nil, err
	}
	if w.body, err = webhook.ParseBody(of.Body); err != nil {
		return nil, err
	}
	if c.Path != "" {
		if w.path, err = webhook.ParsePath(c.Path); err != nil {
			return nil, err
		}
	}
	if w.several {
		w.events, err = webhook.ParsePath(of.Events)
	}
	return w, err
}

// Connect says who delivers. Before that nothing can be completed.
func (t *Table) Connect(d Deliverer) { t.deliverer.Store(&d) }

// Close ends what waits for an op that has not come, and waits for completions that are on their way, until ctx ends.
func (t *Table) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.early.close(ctx)
}

// Process gives the waiters of a process, by its decoded id; nil: there are none. A nil Table has none.
func (t *Table) Process(id []byte) *Process {
	if t == nil {
		return nil
	}
	return t.current.Load().processes[string(id)]
}

const (
	// deliverTime is how long a completion may take: the client's connection is written, or a store.
	deliverTime = 15 * time.Second
	// leaseTime is for how long nobody else completes the op meanwhile. It ends after the completion in any case.
	leaseTime = deliverTime + 5*time.Second
	// settleTime bounds what is said to the store after a completion.
	settleTime = 2 * time.Second
)

// complete completes the op that has a name with body, for a waiter. task is the engine's id of the op's task, or ours.
func (t *Table) complete(ctx context.Context, w *waiter, n correlator.Name, body []byte) (o Outcome, task string) {
	d := t.deliverer.Load()
	if d == nil {
		return Unavailable, ""
	}
	ctx, cancel := context.WithTimeout(ctx, deliverTime)
	defer cancel()
	to, err := t.names.Take(ctx, n, leaseTime)
	if err != nil {
		return refusedTake(err), ""
	}
	if task = to.Task; task == "" {
		task = TaskID(to.ID, to.Op)
	}
	err = (*d).Deliver(ctx, correlator.Token{Trip: to.ID, Op: to.Op}, correlator.Callback{Op: to.Op, Status: correlator.Complete, Body: w.overlay(to.Data, body)})
	o, final := outcomeOf(err)
	t.finish(ctx, n, to, final)
	return o, task
}

// finish ends a Take. Where it cannot, the lease ends by itself, and the next Take leads to a trip that is final.
func (t *Table) finish(ctx context.Context, n correlator.Name, to correlator.Named, final bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	if err := t.names.Finish(ctx, n, to.ID, to.Op, final); err != nil {
		t.log.Debug().Err(err).Stringer("trip", to.ID).Int("op", to.Op).Msg("waiter: the name of an op was not finished")
	}
}

// overlay gives the result: the members of a task's data, and those of body over them.
func (w *waiter) overlay(data, body []byte) []byte {
	if w.Merge && len(data) > 0 {
		if merged := correlator.Overlay(data, body); merged != nil {
			return merged
		}
	}
	return bytes.Clone(body)
}

// refusedTake gives the outcome of a completion that got no op.
func refusedTake(err error) Outcome {
	switch {
	case errors.Is(err, correlator.ErrNameUnknown):
		return Unknown
	case errors.Is(err, correlator.ErrNameFinished):
		return Finished
	case errors.Is(err, correlator.ErrNameBusy):
		return Busy
	default:
		return Unavailable
	}
}

// outcomeOf gives the outcome of a delivery, and whether the op is final now.
func outcomeOf(err error) (o Outcome, final bool) {
	switch {
	case err == nil:
		return Completed, true
	case errors.As(err, new(*correlator.Superseded)), errors.Is(err, correlator.ErrGone):
		return Finished, true
	default:
		return Unavailable, false
	}
}
