package gateway

import (
	"errors"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/internal/upstream"
)

// A trip is the Call of its engine's client: what is sent, and what the engine's own answer means. The exchange with the engine holds
// neither the client's connection nor a goroutine. It is bounded by engine.timeout, not by the client's deadline, and a late answer still
// counts for the record.

// engineAnswer is what came of the exchange, until Finished acts on it.
type engineAnswer struct {
	outcome answerOutcome
	status  int
	ack     Ack
	err     error
}

type answerOutcome uint8

const (
	unanswered answerOutcome = iota // by the request's end nothing is known: the callback decides
	accepted                        // the tasks are taken
	said                            // ack has more to say
	unusable                        // complete, and not one of the protocol
	unsent                          // nothing was sent
)

// AppendRequest appends the request: the call with its tokens, signed with the time now.
func (t *trip) AppendRequest(dst []byte, now time.Time) ([]byte, error) {
	request, err := t.g.partner.encode(dst, t.call, t.g.tokens(t), now)
	if err != nil {
		err = faultOf(err)
	}
	return request, err
}

// Answered reads the engine's own answer. An answer to another request says nothing of this one.
func (t *trip) Answered(status int, _ *fasthttp.ResponseHeader, body []byte) (usable bool) {
	ack, err := t.g.partner.ack(t.call, status, body)
	t.engine.status = status
	switch {
	case errors.Is(err, ErrForeignAnswer), errors.Is(err, errPartner):
		t.engine.err = err
		return false
	case err != nil:
		t.engine.outcome, t.engine.err = unusable, err
	case ack.Package != nil || len(ack.Finals) > 0:
		t.engine.outcome, t.engine.ack = said, ack
	default:
		t.engine.outcome = accepted
	}
	return true
}

// Failed says that there is no answer. What was sent, in part at least, may have made a task.
func (t *trip) Failed(err error, sent bool) {
	t.engine.err = err
	if !sent {
		t.engine.outcome = unsent
	}
}

// Queued says that the trip begins to wait for a connection to the engine, or waits no more. False: the client's wait is over.
func (t *trip) Queued(waiting bool) (goOn bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase == parked {
		t.queued = waiting
	}
	return t.phase == parked
}

// Finished acts on what came of the exchange. What has to be stored has a goroutine.
func (t *trip) Finished(took time.Duration, code string) {
	t.engineTime.Store(int64(took))
	t.g.metrics.engine(code, took)
	t.body.Release()
	t.call.Body, t.call.Slots = nil, nil // a parked client must not hold what was sent
	a := t.engine
	t.engine = engineAnswer{}
	switch a.outcome {
	case accepted:
	case said:
		if t.g.local {
			t.acked(a.status, a.ack)
		} else {
			t.g.work.run(func() { t.acked(a.status, a.ack) })
		}
	case unusable:
		t.g.log.Warn().Str("error", unquoted(a.err)).Int("status", a.status).Stringer("trip", t.id).Msg("the engine's answer is not one of its protocol")
		t.failed(ErrBadGateway)
	case unsent:
		t.unsent(a.err)
	case unanswered:
		if errors.Is(a.err, ErrForeignAnswer) {
			a.err = ErrForeignAnswer // what is around it may have bytes of the answer
		}
		t.g.log.Warn().Str("error", unquoted(a.err)).Str("code", code).Stringer("trip", t.id).Msg("no complete answer of the engine; the callback decides")
	}
}

// unsent ends a trip of which nothing was sent.
func (t *trip) unsent(err error) {
	why, worded := errors.AsType[*Fault](err)
	switch {
	case worded:
	case errors.Is(err, upstream.ErrBusy):
		why = faultOf(errForwardBusy)
	case errors.Is(err, upstream.ErrBreakerOpen):
		why = &Fault{Status: fasthttp.StatusBadGateway, Text: "Bad gateway: the engine has refused every connection lately", RetryAfter: retrySoon, Err: err}
	default:
		why = &Fault{Status: fasthttp.StatusBadGateway, Text: "Bad gateway: the engine cannot be reached, nothing was sent to it", Err: err}
	}
	switch {
	case t.failed(why):
	case t.g.local:
		t.notCreated()
	default:
		t.g.work.run(t.notCreated)
	}
}

// statusText is a status as a label.
func statusText(status int) string { return strconv.Itoa(status) }
