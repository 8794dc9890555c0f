package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/internal/httpfield"
	"syncgate/internal/httpserver"
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
		return nil, errors.New("read a record: it is not one of this gateway's") // the library's error quotes it
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

// task serves a client that comes back for a result: 200 with the reply when it is final, 202 with the reply so far. With "Prefer: wait" it
// is parked like the original.
func (g *Gateway) task(in *httpserver.Incoming, t *trip, name []byte) (suspended bool, err error) {
	task, credentials, _ := bytes.Cut(name, []byte("/"))
	if t.id, err = g.keys.ParseTaskID(task); err != nil {
		return false, err
	}
	if g.keeper == nil {
		return false, correlator.ErrGone
	}
	login, err := g.reader(&in.Request.Header, credentials, t.accepted)
	if err != nil {
		return false, err
	}
	wait := httpfield.PreferredWait(&in.Request.Header, g.cfg.Timeouts.Max)
	if in.OverLimit() {
		wait = 0
	}
	t.kind, t.exchange = fetches, in.Exchange
	in.Wait(t)
	if g.local {
		g.fetch(t, login, wait)
	} else {
		g.work.run(func() { g.fetch(t, login, wait) })
	}
	return true, nil
}

// errReader refuses a client that has not proved to be the login that made the task.
var errReader = &Fault{Status: fasthttp.StatusUnauthorized, Text: "Incorrect signature or login: a result is for the login that asked for it"}

// reader gives the login that signed for a result, empty when nobody has to.
func (g *Gateway) reader(h *fasthttp.RequestHeader, credentials []byte, now time.Time) (login string, err error) {
	login, err = g.partner.identify(h, credentials, now)
	if err == nil && login == "" && g.cfg.Results.RequireLogin {
		return "", errReader
	}
	return login, err
}

// fetch reads a record, and answers at once or when the ops that are open have become final, or after the wait. It asks the store.
func (g *Gateway) fetch(t *trip, login string, wait time.Duration) {
	if err := g.lookUp(t, login); err != nil {
		t.refuse(err)
		return
	}
	if wait > 0 {
		t.prefers = "wait=" + strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10)
	}
	t.deadline = t.accepted.Add(wait)
	open := t.openOps()
	t.open = open
	t.begin(false)
	if open == 0 || wait <= 0 {
		t.decideBy(func() { t.decide(nil) }, true)
		return
	}
	switch err := t.attach(); {
	case errors.Is(err, correlator.ErrDraining), errors.Is(err, correlator.ErrBusy): // a preference is no right
		t.decideBy(func() {
			t.prefers = ""
			t.decide(nil)
		}, true)
	case err != nil:
		t.failed(faultOf(err))
	default:
		t.registered()
	}
}

// lookUp reads the record of the trip's id.
func (g *Gateway) lookUp(t *trip, login string) error {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	rec, err := g.keeper.Lookup(ctx, t.id)
	if err != nil {
		return err
	}
	if t.call, err = callOf(rec); err != nil {
		return err
	}
	if login != "" && login != t.call.Login {
		return errReader
	}
	t.finals = rec.Finals
	return nil
}

// wordResult words the result, or what there is so far. The wait's own end is no fault.
func (t *trip) wordResult(dst *fasthttp.Response) {
	refusal, refused := errors.AsType[*Fault](t.why)
	switch {
	case refused:
		t.g.metrics.refused(refusal)
		t.g.refuse(dst, refusal)
		return
	case errors.Is(t.why, correlator.ErrReleased):
		gone := faultOf(correlator.ErrGone)
		t.g.metrics.refused(gone)
		t.g.refuse(dst, gone)
		return
	}
	if t.prefers != "" {
		dst.Header.Set("Preference-Applied", t.prefers)
	}
	r := Reply{Finals: t.finals}
	if t.openOps() > 0 {
		r.Open = ErrPending
		setRetryAfter(dst, retrySoon)
	}
	if err := t.g.partner.answer(dst, t.call, r); err != nil {
		t.g.refuse(dst, t.g.failed(err, t.requestID))
	}
}

// openOps counts the ops without a final.
func (t *trip) openOps() (n int) {
	for i := range t.finals {
		if !t.finals[i].Status.Final() {
			n++
		}
	}
	return n
}

// record is what is known of the trip.
func (t *trip) record() correlator.Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	return correlator.Record{Meta: metaOf(t.call), Finals: slices.Clone(t.finals)}
}

// save keeps the trip's record for a client that comes back. False: nothing is kept, by configuration or by failure.
func (g *Gateway) save(t *trip) bool {
	if g.keeper == nil || g.cfg.Results.Retention <= 0 && !t.claimed.Load() {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	if err := g.keeper.Save(ctx, t.id, t.record()); err != nil {
		g.log.Error().Err(err).Stringer("trip", t.id).Msg("a result cannot be kept for a client that did not get it")
		return false
	}
	return true
}

// record adds the engine's own answer to a trip whose client has left. False: it may be possible later.
func (g *Gateway) record(id correlator.ID, cb correlator.Callback) bool {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	err := g.correlator.Deliver(ctx, id, cb)
	if err != nil {
		g.log.Debug().Err(err).Stringer("trip", id).Int("op", cb.Op).Msg("the engine's late answer is not kept")
	}
	return !errors.Is(err, correlator.ErrUnavailable)
}

// taskName gives the part of a task's path that names it: its id, or id, login, time and signature.
func taskName(path []byte) (name []byte, ok bool) {
	name, ok = bytes.CutPrefix(path, []byte(taskPath))
	if !ok || bytes.HasPrefix(name, []byte("/")) || len(name) == 0 {
		return nil, false
	}
	slashes := bytes.Count(name, []byte("/"))
	return name, slashes == 0 || slashes == 3
}
