package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/internal/redact"
)

const (
	// mostCancels bounds the engines' requests to cancel that are under way or wait for another attempt.
	mostCancels = 1000
	// cancelAttempts is how often an engine is asked that fails, with firstCancelPause after the first attempt, and each pause twice the one
	// before.
	cancelAttempts   = 5
	firstCancelPause = time.Second
	// storeTries is how often the store is asked that does not answer in time: nobody repeats what is asked here.
	storeTries = 3
)

// cancelTask ends a task as its client wants: the ops that are open become final, on whatever node their clients wait, and the engine is
// asked to stop. It asks the store, and waits for clients that are answered.
func (g *Gateway) cancelTask(t *trip) {
	won := false
	for op := range t.finals {
		if t.finals[op].Status.Final() {
			continue
		}
		cb := correlator.Callback{Op: op, Status: correlator.Cancelled}
		err := g.deliver(t.id, cb)
		before, late := errors.AsType[*correlator.Superseded](err)
		switch {
		case late:
			cb.Status = before.Status
		case err != nil:
			t.refuse(err)
			return
		default:
			won = true
		}
		t.finals[op] = cb
	}
	t.task.Ended = !won
	g.hasFinal(t.id)
	if won || t.finals[0].Status == correlator.Cancelled { // the node that cancelled it may have been killed before it asked
		g.cancelAtEngine(t.id)
	}
	t.begin(false)
	t.decideBy(func() { t.decide(nil) }, true)
}

// cancelAtEngine asks the engine to cancel a task whose record says that the engine has answered. Where it has not, the home node asks, when
// it does: what the engine has to hear may stand in its answer.
func (g *Gateway) cancelAtEngine(id correlator.ID) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	rec, err := g.keeper.Lookup(ctx, id)
	for try := 1; errors.Is(err, correlator.ErrUnavailable) && try < storeTries; try++ {
		rec, err = g.keeper.Lookup(ctx, id)
	}
	if err != nil {
		return // nobody can ask for it any more
	}
	_, m, err := callOf(rec)
	if err != nil || !m.Acked || !isCancelled(rec) {
		return
	}
	if index, ok := g.engineNamed(m.Engine); ok && g.engines[index].cancel != nil && g.asksToCancel(ctx, id) {
		g.cancels.ask(g.engines[index], id, m.Accepted)
	}
}

// asksToCancel reports whether the caller is the one that asks the engine. The node of the client that cancels a task, the home node, and the node of
// another client that cancels it can all find the task cancelled and the engine's answer there: the first that binds a key of the task asks. If the
// store does not answer, the engine may be asked twice: that is better than never.
func (g *Gateway) asksToCancel(ctx context.Context, id correlator.ID) bool {
	key := correlator.Key{Name: "\x01" + string(id[:])} // no client can send it
	for range storeTries {
		own := g.correlator.NewID(id.Expiry())
		owner, err := g.keeper.Claim(ctx, key, [32]byte{}, own, correlator.Record{Finals: []correlator.Callback{{Status: correlator.Cancelled}}})
		g.correlator.Close(own)
		if err == nil {
			return owner == own
		}
	}
	return true
}

// isCancelled reports whether a client has cancelled what a record is of.
func isCancelled(rec correlator.Record) bool {
	return len(rec.Finals) > 0 && rec.Finals[0].Status == correlator.Cancelled && len(rec.Finals[0].Body) == 0
}

// cancelled asks the engine to cancel what its client has left or cancelled before the engine answered. It is called when the engine has.
func (t *trip) cancelled() {
	e := t.g.engines[t.engine]
	if e.cancel == nil {
		return
	}
	t.mu.Lock()
	unwanted := t.unwanted
	t.unwanted = false
	t.mu.Unlock()
	switch {
	case t.claimed.Load(): // others can know the task, and ask as well: its record says who does
		t.g.work.run(func() {
			if t.g.save(t) { // with what the engine has answered: another node may be asked to cancel
				t.g.cancelAtEngine(t.id)
			}
		})
	case unwanted:
		t.g.cancels.ask(e, t.id, t.call.Options.Accepted)
	}
}

// forsake ends a trip whose client has left, and whose task nobody wants. Callbacks that come from now on find a record that says so. The engine is
// asked to cancel the task, now or when it has answered.
func (t *trip) forsake() {
	rec := t.record()
	for op := range rec.Finals {
		if !rec.Finals[op].Status.Final() {
			rec.Finals[op].Status = correlator.Cancelled
		}
	}
	if t.g.saveRecord(t, rec) {
		t.g.hasFinal(t.id)
		t.end(correlator.Gone)
	} else {
		t.end(correlator.Written)
	}
	t.mu.Lock()
	t.unwanted = true
	t.mu.Unlock()
	if t.engineTime.Load() != 0 {
		t.cancelled()
	}
}

// cancels asks engines to cancel tasks. Nobody waits for it. Each request is a call of the engine's own client; one that fails is made again
// by a timer.
type cancels struct {
	g *Gateway

	mu     sync.Mutex
	open   map[*cancelCall]*time.Timer // nil: the call is under way
	closed bool
}

// ask has an engine asked.
func (q *cancels) ask(e *engine, id correlator.ID, accepted []byte) {
	c := &cancelCall{q: q, engine: e, id: id, accepted: accepted}
	q.mu.Lock()
	full := len(q.open) >= mostCancels
	if !full && !q.closed {
		q.open[c] = nil
	}
	closed := q.closed
	q.mu.Unlock()
	switch {
	case closed:
	case full:
		q.g.log.Warn().Stringer("trip", id).Msg("an engine is not asked to cancel a task: too many such requests are open")
	default:
		e.client.Do(c)
	}
}

// again makes a call once more, later. False: it was the last attempt, or the gateway ends.
func (q *cancels) again(c *cancelCall) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || c.attempts >= cancelAttempts {
		delete(q.open, c)
		return false
	}
	q.open[c] = time.AfterFunc(firstCancelPause<<(c.attempts-1), func() {
		q.mu.Lock()
		_, stays := q.open[c]
		if stays {
			q.open[c] = nil
		}
		q.mu.Unlock()
		if stays {
			c.engine.client.Do(c)
		}
	})
	return true
}

func (q *cancels) done(c *cancelCall) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.open, c)
}

// close gives up what waits for another attempt.
func (q *cancels) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	waiting := 0
	for c, timer := range q.open {
		if timer != nil {
			timer.Stop()
			delete(q.open, c)
			waiting++
		}
	}
	if waiting > 0 {
		q.g.log.Warn().Int("tasks", waiting).Msg("engines were not asked to cancel: the node ends")
	}
}

// cancelCall is one task that an engine is to cancel. It is the Call of the engine's client, for one attempt after the other.
type cancelCall struct {
	q        *cancels
	engine   *engine
	id       correlator.ID
	accepted []byte

	// Owned by the exchange, from attempt to attempt.
	attempts int
	status   int  // 0: there was no answer
	cannot   bool // there is no such request for this task: err says why
	err      error
}

// AppendRequest appends the request.
func (c *cancelCall) AppendRequest(dst []byte, now time.Time) ([]byte, error) {
	c.status, c.err = 0, nil
	task := string(c.q.g.keys.AppendTaskID(nil, c.id))
	request, err := c.q.g.partners.encodeCancel(c.engine, dst, task, c.accepted, now)
	c.cannot = err != nil
	return request, err
}

// Answered notes the answer.
func (c *cancelCall) Answered(status int, _ *fasthttp.ResponseHeader, _ []byte) bool {
	c.status = status
	return true
}

// Failed notes that there is none.
func (c *cancelCall) Failed(err error, _ bool) { c.err = err }

// Queued lets the call wait for a connection.
func (*cancelCall) Queued(bool) bool { return true }

// Finished ends the call, or has it made again: after no answer, and after one that says that it may go better later.
func (c *cancelCall) Finished(_ time.Duration, _ string) {
	c.attempts++
	failed := c.status == 0 || c.status >= 500 || c.status == fasthttp.StatusTooManyRequests || c.status == fasthttp.StatusRequestTimeout
	switch {
	case c.cannot:
		c.q.done(c)
		c.warn("an engine cannot be asked to cancel a task")
	case !failed:
		c.q.done(c)
		if c.status >= 300 && !knowsNoTask(c.status) {
			c.warn("an engine has refused to cancel a task")
		}
	case !c.q.again(c):
		c.warn("an engine could not be asked to cancel a task")
	}
}

// warn says to operators what has become of the call.
func (c *cancelCall) warn(message string) {
	line := c.q.g.log.Warn().Stringer("trip", c.id).Str("engine", c.engine.name).Int("attempts", c.attempts)
	if c.status != 0 {
		line = line.Int("status", c.status)
	}
	if c.err != nil {
		line = line.Str("error", redact.Error(c.err))
	}
	line.Msg(message)
}

// knowsNoTask reports whether an engine says that it has no such task, or that the task is over: then there is nothing to cancel.
func knowsNoTask(status int) bool {
	return status == fasthttp.StatusNotFound || status == fasthttp.StatusConflict || status == fasthttp.StatusGone
}
