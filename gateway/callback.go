package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"syncgate/correlator"
)

// callbackPath is where engines call back: callbackPath + token [the vendor's own path].
const callbackPath = "/api/1/plugins/callback/"

// CallbackURL is what goes into a task before its token.
func (c CallbackConfig) CallbackURL() string { return strings.TrimRight(c.BaseURL, "/") + callbackPath }

// callback serves one callback of the engine, whose token was genuine: the body is copied once, and the engine hears 200
// when the result is on the client's connection or kept.
func (g *Gateway) callback(ctx *fasthttp.RequestCtx, id correlator.ID, op int) error {
	if !time.Now().Before(id.Expiry()) {
		return correlator.ErrGone
	}
	cb, answer, err := g.partner.callback(&ctx.Request, op)
	if err != nil {
		return err
	}
	ctx.Request.ResetBody() // cb has the one copy: a wait for the client must not hold the request's buffer too
	d := deskOf(ctx)
	if d == nil {
		err = g.handOn(id, cb)
	} else if err = g.handOnNow(id, cb); errors.Is(err, correlator.ErrUnavailable) {
		d.left = true
		g.handOnLater(id, cb, heard{conn: d.conn, closes: ctx.Request.Header.ConnectionClose(), answer: answer})
		return nil
	}
	if err != nil {
		return err
	}
	g.delivered(&ctx.Response, answer)
	return nil
}

// handOn hands a callback on, and waits until it is settled.
func (g *Gateway) handOn(id correlator.ID, cb correlator.Callback) error {
	if err := g.debts.pay(id); err != nil {
		return fmt.Errorf("save what is owed of trip %v: %w", id, err)
	}
	return handedOn(id, cb.Op, g.correlator.Deliver(g.patience.context(time.Now()), id, cb))
}

func handedOn(id correlator.ID, op int, err error) error {
	if err != nil {
		return fmt.Errorf("hand on op %d of trip %v: %w", op, id, err)
	}
	return nil
}

// handOnNow hands a callback on where nobody has to wait: it makes a trip of this node complete whose client a loop holds.
// ErrUnavailable: somebody has to.
func (g *Gateway) handOnNow(id correlator.ID, cb correlator.Callback) error {
	t, ok := g.correlator.Waiter(id).(*trip)
	if !ok || g.debts.count.Load() > 0 || !t.settlesWith(cb.Op) {
		return correlator.ErrUnavailable
	}
	return g.correlator.Deliver(g.ended, id, cb) // something may have come before: then its end is waited for, and not here
}

// heard is a callback that a loop has read, whose connection the loop has given away until it is answered.
type heard struct {
	conn   *conn
	closes bool // as the engine wishes
	answer []byte
}

// handOnLater hands a callback on that somebody has to wait for, and has it answered. For the store nobody waits: it tells.
func (g *Gateway) handOnLater(id correlator.ID, cb correlator.Callback, h heard) {
	g.answering.add()
	relayed := func(err error) { g.answer(h, handedOn(id, cb.Op, err)) }
	if g.relay == nil || g.debts.count.Load() > 0 || !g.relay.Relay(id, cb, relayed) {
		go g.answerLater(id, cb, h)
	}
}

// answerLater hands a callback on, and answers it.
func (g *Gateway) answerLater(id correlator.ID, cb correlator.Callback, h heard) {
	g.answer(h, g.handOn(id, cb))
}

// answer tells the engine what became of a callback.
func (g *Gateway) answer(h heard, err error) {
	defer g.answering.done()
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	if err != nil {
		g.hear(resp, faultOf(err))
	} else {
		g.delivered(resp, h.answer)
	}
	if h.closes || g.stage.Load() >= leaving || h.conn.crowded {
		resp.SetConnectionClose()
	}
	h.conn.respond(resp)
}

// delivered is what an engine hears whose callback is settled.
func (g *Gateway) delivered(dst *fasthttp.Response, answer []byte) {
	g.metrics.delivered.Inc()
	dst.Header.SetContentType(contentJSON)
	dst.SetBodyRaw(answer)
}

// patience bounds how long engines wait for their answers: a slow client has its whole write time-out, and the store its
// own. Callbacks of the same while share one context, as one of its own for each would cost more than the delivery.
type patience struct {
	least   time.Duration // that each has
	current atomic.Pointer[span]
}

// span is a context and when it was made.
type span struct {
	context.Context
	made time.Time
	stop context.CancelFunc // not called: others may have the context still
}

// context gives one that ends after least and before twice that.
func (p *patience) context(now time.Time) context.Context {
	if s := p.current.Load(); s != nil && now.Sub(s.made) < p.least {
		return s
	}
	s := &span{made: now}
	s.Context, s.stop = context.WithDeadline(context.Background(), now.Add(2*p.least)) //nolint:gosec // its time ends it
	p.current.Store(s)
	return s
}

// hear is how an engine is refused: always an empty JSON object, as an API Call node merges our keys into its task.
func (g *Gateway) hear(dst *fasthttp.Response, f *Fault) {
	g.metrics.callbacks.WithLabelValues(callbackOutcome(f.Status)).Inc()
	level := zerolog.DebugLevel
	if f.Status >= fasthttp.StatusInternalServerError {
		level = zerolog.WarnLevel // nothing is lost if the engine sends it again
	}
	g.log.WithLevel(level).Str("error", unquoted(f)).Int("status", f.Status).Msg("callback refused")
	setFault(dst, f)
	dst.Header.SetContentType(contentJSON)
	dst.SetBodyString("{}")
}

// callbackOutcome names a refusal for the metrics.
func callbackOutcome(status int) string {
	switch status {
	case fasthttp.StatusNotFound:
		return "forged"
	case fasthttp.StatusGone:
		return "gone"
	case fasthttp.StatusServiceUnavailable:
		return "unavailable"
	case fasthttp.StatusRequestEntityTooLarge:
		return "too_large"
	default:
		return "bad_request"
	}
}

// callbackToken gives the token of a callback's path.
func callbackToken(path []byte) (token []byte, ok bool) {
	token, ok = bytes.CutPrefix(path, []byte(callbackPath))
	return token, ok && len(token) > 0 && bytes.IndexByte(token, '/') < 0
}
