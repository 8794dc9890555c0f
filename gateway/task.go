package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
)

const (
	taskPath = "/api/1/tasks/"
	// storeTimeout bounds what a trip's end waits for the store; the store's own time-out is shorter.
	storeTimeout = 5 * time.Second
	// minTokenLife is how long after the deadline a callback is still listened to, whatever the retention.
	minTokenLife = 10 * time.Minute
)

// meta is what a record needs beside its finals to be worded as the reply was. Its JSON form is what stores hold.
type meta struct {
	Login        string   `json:"login"`
	TimeoutGiven bool     `json:"timeout_given,omitempty"`
	Ops          []metaOp `json:"ops"`
}

type metaOp struct {
	ID      []byte `json:"id,omitempty"` // []byte and not RawMessage: not a byte may change
	Ref     []byte `json:"ref,omitempty"`
	Refused string `json:"refused,omitempty"`
}

func metaOf(c *Call) []byte {
	m := meta{Login: c.Login, TimeoutGiven: c.TimeoutGiven, Ops: make([]metaOp, len(c.Ops))}
	for i, op := range c.Ops {
		m.Ops[i] = metaOp{ID: op.ID, Ref: op.Ref, Refused: op.Refused}
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("a record's meta cannot be written: %v", err)) // it holds nothing that has no JSON form
	}
	return b
}

func callOf(rec correlator.Record) (*Call, error) {
	var m meta
	if err := json.Unmarshal(rec.Meta, &m); err != nil {
		return nil, fmt.Errorf("read a record: %w", err)
	}
	if len(m.Ops) != len(rec.Finals) {
		return nil, fmt.Errorf("read a record: it has %d ops and %d finals", len(m.Ops), len(rec.Finals))
	}
	c := &Call{Login: m.Login, TimeoutGiven: m.TimeoutGiven, Ops: make([]Op, len(m.Ops))}
	for i, op := range m.Ops {
		c.Ops[i] = Op{ID: op.ID, Ref: op.Ref, Refused: op.Refused}
	}
	return c, nil
}

// appendTaskPath appends the path under which the client can fetch what comes after its reply.
func (g *Gateway) appendTaskPath(dst []byte, id correlator.ID) []byte {
	return g.keys.AppendTaskID(append(dst, taskPath...), id)
}

// task serves a client that comes back for a result: 200 with the reply when it is final, 202 with the reply so far.
func (g *Gateway) task(ctx *fasthttp.RequestCtx, task []byte) error {
	id, err := g.keys.ParseTaskID(task)
	if err != nil {
		return err
	}
	if g.keeper == nil {
		return correlator.ErrGone
	}
	wait, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	rec, err := g.keeper.Lookup(wait, id)
	if err != nil {
		return err
	}
	call, err := callOf(rec)
	if err != nil {
		return err
	}
	r := Reply{Finals: rec.Finals}
	if !rec.Complete() {
		r.Open = ErrPending
		setRetryAfter(&ctx.Response, retrySoon)
	}
	g.dialect.Answer(&ctx.Response, call, r)
	return nil
}

// save keeps the trip's record for a client that comes back. False: nothing is kept, by configuration or by failure.
func (g *Gateway) save(t *trip) bool {
	if g.keeper == nil || g.cfg.Results.Retention <= 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	// A decided trip's finals do not change any more.
	if err := g.keeper.Save(ctx, t.id, correlator.Record{Meta: metaOf(t.call), Finals: t.finals}); err != nil {
		g.log.Error().Err(err).Stringer("trip", t.id).Msg("a result cannot be kept for a client that did not get it")
		return false
	}
	return true
}

// record adds the engine's own answer to a trip whose client has left.
func (g *Gateway) record(id correlator.ID, cb correlator.Callback) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := g.correlator.Deliver(ctx, id, cb); err != nil {
		g.log.Debug().Err(err).Stringer("trip", id).Int("op", cb.Op).Msg("the engine's late answer is not kept")
	}
}

// taskID gives the id of a task's path.
func taskID(path []byte) (id []byte, ok bool) {
	id, ok = bytes.CutPrefix(path, []byte(taskPath))
	return id, ok && len(id) > 0 && bytes.IndexByte(id, '/') < 0
}
