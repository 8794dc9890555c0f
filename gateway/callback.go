package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/httpserver"
)

// callbackPath is where engines call back: callbackPath + token [the vendor's own path].
const callbackPath = "/api/1/plugins/callback/"

// CallbackURL is what goes into a task before its token.
func (c CallbackConfig) CallbackURL() string { return strings.TrimRight(c.BaseURL, "/") + callbackPath }

// callback serves one callback of the engine, whose token was genuine. The body is copied once, and the engine hears 200 when the result
// is on the client's connection or kept.
func (g *Gateway) callback(in *httpserver.Incoming, a *heading) (suspended bool, err error) {
	x := g.hear(in, a)
	suspended, err = g.takeCallback(in, a, x)
	if !suspended && x.heard != nil {
		x.heard.answered(in.Response, err)
	}
	return suspended, err
}

func (g *Gateway) takeCallback(in *httpserver.Incoming, a *heading, x calling) (suspended bool, err error) {
	now, id, op := time.Now(), a.token.Trip, a.token.Op
	if !now.Before(id.Expiry()) {
		g.lateCallback(id, op, false)
		return false, correlator.ErrGone
	}
	cb, answer, err := a.engine.code.Callback(in.Request, op)
	if err != nil {
		return false, err
	}
	if a.engine.cfg.Merge && cb.Status == correlator.Complete {
		in.Wait(nil)
		g.mergeLater(id, cb, x, answer, now)
		return true, nil
	}
	if err = g.deliverNow(id, cb); errors.Is(err, correlator.ErrUnavailable) {
		in.Wait(nil)
		g.deliverLater(id, cb, x, answer, now)
		return true, nil
	}
	if before, ok := errors.AsType[*correlator.Superseded](err); ok {
		g.metrics.Callback(callbackRepeated).Inc()
		setSuperseded(in.Response, answer, before)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	g.delivered.Inc()
	setDelivered(in.Response, answer)
	return false, nil
}

// deliver hands a callback on, and waits until it is settled, or until ctx ends.
func (g *Gateway) deliver(ctx context.Context, id correlator.ID, cb correlator.Callback) error {
	if err := g.retries.Save(id); err != nil {
		return fmt.Errorf("save what is unsaved of trip %v: %w", id, err)
	}
	return deliverError(id, cb.Op, g.finals.Deliver(ctx, id, cb))
}

func deliverError(id correlator.ID, op int, err error) error {
	if err != nil {
		return fmt.Errorf("deliver op %d of trip %v: %w", op, id, err)
	}
	return nil
}

// deliverNow hands a callback on where nobody has to wait: it completes a trip of this node. ErrUnavailable: somebody has to wait.
func (g *Gateway) deliverNow(id correlator.ID, cb correlator.Callback) error {
	t, ok := g.correlator.Waiter(id).(*trip)
	if !ok || g.retries.Len() > 0 || !t.settlesAt(cb.Op) {
		return correlator.ErrUnavailable
	}
	return g.finals.Deliver(g.ended, id, cb) // something may have come before: then its end is waited for, and not here
}

// deliverLater hands a callback on that somebody has to wait for, and has it answered. For the store of another node's trip no goroutine
// waits.
func (g *Gateway) deliverLater(id correlator.ID, cb correlator.Callback, x calling, answer []byte, now time.Time) {
	g.work.Add()
	awaited := g.isAwaited(id, now)
	relayed := func(err error) {
		defer g.work.Done()
		outcome := callbackRelayed
		if cb.Status.Running() {
			outcome = callbackReported
		}
		g.answerCallback(x, answer, id, cb.Op, outcome, deliverError(id, cb.Op, err))
	}
	if awaited && g.retries.Len() == 0 && g.finals.Relay(id, cb, relayed) {
		return
	}
	g.work.run(func() {
		defer g.work.Done()
		if !awaited {
			outcome, err := g.deliverUnawaited(g.deadlines.context(now), id, cb)
			g.answerCallback(x, answer, id, cb.Op, outcome, err)
			return
		}
		outcome := g.outcomeHere(id, cb.Op)
		if cb.Status.Running() {
			outcome = callbackReported
		}
		g.answerCallback(x, answer, id, cb.Op, outcome, g.deliver(g.deadlines.context(now), id, cb))
	})
}

// outcomeHere names what becomes of a callback that is delivered now.
func (g *Gateway) outcomeHere(id correlator.ID, op int) string {
	t, here := g.correlator.Waiter(id).(*trip)
	switch {
	case !here && !g.isHome(id):
		return callbackRelayed
	case here && t.isFinal(op):
		return callbackRepeated
	default:
		return callbackDelivered
	}
}

// answerCallback answers the engine whose callback was delivered, or not.
func (g *Gateway) answerCallback(x calling, answer []byte, id correlator.ID, op int, outcome string, err error) {
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	before, superseded := errors.AsType[*correlator.Superseded](err)
	switch {
	case superseded:
		g.metrics.Callback(callbackRepeated).Inc()
		setSuperseded(resp, answer, before)
	case err != nil:
		g.refuseCallback(resp, faultOf(err), correlator.Token{Trip: id, Op: op})
	default:
		g.metrics.Callback(outcome).Inc()
		setDelivered(resp, answer)
	}
	noStore(resp)
	g.closeIfLeaving(resp)
	g.hook("reply")
	x.Reply(resp)
}

// setDelivered sets the answer to a callback that is settled.
func setDelivered(dst *fasthttp.Response, answer []byte) {
	dst.Header.SetContentType(contentJSON)
	dst.SetBodyRaw(answer)
}

// setSuperseded sets the answer to a callback that counts for nothing: its op was final before. The status of that says to a worker whether
// it can stop.
func setSuperseded(dst *fasthttp.Response, answer []byte, before *correlator.Superseded) {
	setDelivered(dst, answer)
	dst.Header.Set(dialect.StatusHeader, before.Status.String())
}

// sharedDeadlines bound how long engines wait for their answers: a slow client has its whole write time-out, and the store its own.
// Callbacks of the same while share one context, as one of its own for each would cost more than the delivery.
type sharedDeadlines struct {
	least   time.Duration // that each callback has
	current atomic.Pointer[span]
}

// span is a context and when it was made.
type span struct {
	context.Context
	made time.Time
	stop context.CancelFunc // not called: others may have the context still
}

// context gives one that ends after least and before twice that.
func (d *sharedDeadlines) context(now time.Time) context.Context {
	if s := d.current.Load(); s != nil && now.Sub(s.made) < d.least {
		return s
	}
	s := &span{made: now}
	s.Context, s.stop = context.WithDeadline(context.Background(), now.Add(2*d.least)) //nolint:gosec // its time ends it
	d.current.Store(s)
	return s
}

// refuseCallback words a fault for the engine: always an empty JSON object, as an API Call node merges our keys into its task. token is
// zero where it is not genuine.
func (g *Gateway) refuseCallback(dst *fasthttp.Response, f *dialect.Fault, token correlator.Token) {
	g.metrics.Callback(whyOf(f).callback).Inc()
	g.noteRefusedCallback(f, token.Trip, token.Op)
	setFault(dst, f)
	dst.Header.SetContentType(contentJSON)
	dst.SetBodyString("{}")
}

// callbackToken gives the token of a callback's path.
func callbackToken(path []byte) (token []byte, ok bool) {
	token, ok = bytes.CutPrefix(path, []byte(callbackPath))
	return token, ok && len(token) > 0 && bytes.IndexByte(token, '/') < 0
}
