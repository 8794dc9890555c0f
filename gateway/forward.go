package gateway

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/partner"
	"syncgate/internal/redact"
	"syncgate/internal/upstream"
)

// A trip is the Call of its engine's client: what is sent, and what the engine's own answer means. The exchange with the engine holds
// neither the client's connection nor a goroutine. It is bounded by engine.timeout, not by the client's deadline, and a late answer still
// counts for the record.

// engineAnswer is what came of the exchange, until Finished acts on it.
type engineAnswer struct {
	outcome answerOutcome
	decided *decision // of said
	err     error
	ack     *dialect.Ack // of a call with names; else nil
}

// decision is what an engine's answer has decided: all of the package, or some of its ops.
type decision struct {
	whole  *wholeAnswer // nil: it says nothing of the package as a whole
	finals []correlator.Callback
}

// engineSaid is what the engine's own answer says beside the plain "taken": for the log and the list of trips.
type engineSaid struct {
	refused   bool
	refusedOp int
	why       string               // the engine's words, clean
	tasks     []dialect.EngineTask // by op, of a call with several
}

type answerOutcome uint8

const (
	unanswered answerOutcome = iota // by the request's end nothing is known: the callback decides
	accepted                        // the tasks are taken
	said                            // whole or finals have more to say
	unusable                        // complete, and not one of the protocol
	unsent                          // nothing was sent
)

// AppendRequest appends the request: the call with its tokens, signed with the time now.
func (t *trip) AppendRequest(dst []byte, now time.Time) ([]byte, error) {
	request, err := t.g.engines[t.engine].code.AppendRequest(dst, t.call, t.g.tokens(t), now, t)
	if err != nil {
		err = faultOf(err)
	}
	t.forwarded.Store(now.UnixNano())
	return request, err
}

// AddHeaders adds what the engine is to have beside what its code has worded: its headers, and the trace.
func (t *trip) AddHeaders(h *fasthttp.RequestHeader) {
	t.g.engines[t.engine].AddHeaders(h)
	t.trace.forward(h)
}

// Answered reads the engine's own answer. An answer to another request says nothing of this one.
func (t *trip) Answered(status int, header *fasthttp.ResponseHeader, body []byte) (usable bool) {
	e := t.g.engines[t.engine]
	ack, err := e.code.Ack(t.call, status, header, body)
	if e.cfg.Ack == dialect.AckAny && status >= 200 && status < 300 && !errors.Is(err, partner.ErrFailed) {
		ack, err = dialect.Ack{Finals: t.unparked(ack.Finals), Task: ack.Task, Tasks: ack.Tasks}, nil
	}
	t.engineStatus = uint16(status) //nolint:gosec // three digits
	switch {
	case errors.Is(err, dialect.ErrForeignAnswer), errors.Is(err, partner.ErrFailed):
		t.exchanged.err = err
		return false
	case err != nil:
		t.exchanged.outcome, t.exchanged.err = unusable, err
		if status >= fasthttp.StatusInternalServerError {
			t.exchanged.err = &engineError{err, retryAfterOf(header)}
		}
	case ack.Package != nil:
		t.exchanged.outcome, t.exchanged.decided = said, &decision{whole: newWholeAnswer(status, header, &ack)}
	case len(ack.Finals) > 0:
		t.exchanged.outcome, t.exchanged.decided = said, &decision{finals: ack.Finals}
	default:
		t.exchanged.outcome = accepted
	}
	t.noteAnswer(&ack)
	return true
}

// unparked gives the finals of ops that no callback answers. With AckAny an engine's 2xx says nothing else: its words may be anything.
func (t *trip) unparked(finals []correlator.Callback) []correlator.Callback {
	return slices.DeleteFunc(finals, func(cb correlator.Callback) bool { return t.call.Ops[cb.Op].Create })
}

// noteAnswer keeps what operators may ask for. The plain answer costs no memory.
func (t *trip) noteAnswer(ack *dialect.Ack) {
	t.engineTask = ack.Task
	if t.named() {
		whole := *ack
		t.exchanged.ack = &whole
	}
	if t.call.Options != nil {
		t.call.Options.Accepted = ack.Accepted
	}
	if ack.Refused || ack.Tasks != nil {
		t.said = &engineSaid{refused: ack.Refused, refusedOp: ack.RefusedOp, why: redact.Text(ack.Why), tasks: ack.Tasks}
	}
}

// Failed says that there is no answer. What was sent, in part at least, may have made a task.
func (t *trip) Failed(err error, sent bool) {
	t.exchanged.err = err
	if !sent {
		t.exchanged.outcome = unsent
	}
}

// Queued says that the trip begins to wait for a connection to the engine, or waits no more. False: the client's wait is over. What was completed by name
// meanwhile is asked for all the same: its client has heard that it is done.
func (t *trip) Queued(waiting bool) (goOn bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.phase == parked {
		t.queued = waiting
		return true
	}
	return t.named() && t.phase >= decided && t.why == nil
}

// Finished acts on what came of the exchange. What has to be stored has a goroutine.
func (t *trip) Finished(took time.Duration, code string) {
	t.engineTime.Store(max(1, int64(took)))
	t.g.metrics.Engine(code, took)
	t.traceForward(took, code)
	t.body.Release()
	t.call.Body, t.call.Slots = nil, nil // a parked client must not hold what was sent
	if t.call.Options != nil {
		t.call.Options.Prepared = nil
	}
	a := t.exchanged
	t.exchanged = engineAnswer{}
	if a.ack != nil {
		t.ackNames(a.ack)
	}
	if t.call.Options != nil && a.outcome != unsent && a.outcome != said { // what was refused, or is done, is not to be cancelled
		defer t.cancelled()
	}
	switch a.outcome {
	case accepted:
		t.handOver()
	case said:
		if t.g.local {
			t.acked(a.decided)
		} else {
			t.g.work.run(func() { t.acked(a.decided) })
		}
	case unusable:
		t.g.log.Warn().Str("error", redact.Error(a.err)).Uint16("status", t.engineStatus).Stringer("trip", t.id).Msg("the engine's answer is not one of its protocol")
		if failed, ok := errors.AsType[*engineError](a.err); ok {
			t.failed(failed)
		} else {
			t.failed(dialect.ErrBadGateway)
		}
	case unsent:
		t.unsent(a.err)
	case unanswered:
		if errors.Is(a.err, dialect.ErrForeignAnswer) {
			a.err = dialect.ErrForeignAnswer // what is around it may have bytes of the answer
		}
		t.handOver()
		t.g.log.Warn().Str("error", redact.Error(a.err)).Str("code", code).Stringer("trip", t.id).Msg("no complete answer of the engine; the callback decides")
	}
}

// unsent ends a trip of which nothing was sent.
func (t *trip) unsent(err error) {
	why, worded := errors.AsType[*dialect.Fault](err)
	switch {
	case worded:
	case errors.Is(err, upstream.ErrBusy):
		why = faultOf(errForwardBusy)
	case errors.Is(err, upstream.ErrBreakerOpen):
		why = &dialect.Fault{Status: fasthttp.StatusBadGateway, Reason: dialect.EngineUnreachable, Text: "Bad gateway: the engine has refused every connection lately", RetryAfter: retrySoon, Err: err}
	default:
		why = &dialect.Fault{Status: fasthttp.StatusBadGateway, Reason: dialect.EngineUnreachable, Text: "Bad gateway: the engine cannot be reached, nothing was sent to it", Err: err}
	}
	switch {
	case t.failed(why):
	case t.g.local:
		t.notCreated()
	default:
		t.g.work.run(t.notCreated)
	}
}

// engineError leaves ops open as ErrBadGateway does: the engine has answered with a 5xx.
type engineError struct {
	err        error
	retryAfter string // empty: it did not say
}

func (e *engineError) Error() string { return e.err.Error() }

// Is says that it is an ErrBadGateway.
func (e *engineError) Is(target error) bool { return target == dialect.ErrBadGateway }

// wholeAnswer is an engine's answer that concerns the package as a whole and goes to the client as it is.
type wholeAnswer struct {
	status       int
	body         []byte
	contentType  string
	retryAfter   string   // empty: it did not say
	authenticate []string // the lines of its WWW-Authenticate
}

func newWholeAnswer(status int, h *fasthttp.ResponseHeader, ack *dialect.Ack) *wholeAnswer {
	w := &wholeAnswer{status: status, body: ack.Package, contentType: cmp.Or(ack.ContentType, contentJSON), retryAfter: retryAfterOf(h)}
	for _, line := range h.PeekAll(fasthttp.HeaderWWWAuthenticate) {
		w.authenticate = append(w.authenticate, string(line))
	}
	return w
}

// writeWhole writes the engine's answer, in the dialect's words if it has some for that.
func (t *trip) writeWhole(dst *fasthttp.Response) {
	w := t.whole
	of := dialect.Refused{RequestID: t.requestID, Call: t.call, Body: w.body, ContentType: w.contentType}
	if !t.g.dialects.RefusedByEngine(t.dialect, dst, w.status, of) {
		dst.Header.SetContentType(w.contentType)
		dst.SetBodyRaw(w.body)
	}
	dst.SetStatusCode(w.status)
	if w.retryAfter != "" {
		dst.Header.Set(fasthttp.HeaderRetryAfter, w.retryAfter)
	}
	for _, line := range w.authenticate {
		dst.Header.Add(fasthttp.HeaderWWWAuthenticate, line)
	}
}

// retryAfterOf gives an engine's Retry-After, empty where there is none that is a number of seconds or a date (RFC 9110, 10.2.3).
func retryAfterOf(h *fasthttp.ResponseHeader) string {
	value := string(h.Peek(fasthttp.HeaderRetryAfter))
	if _, err := strconv.ParseUint(value, 10, 31); err == nil {
		return value
	}
	if _, err := http.ParseTime(value); err == nil {
		return value
	}
	return ""
}
