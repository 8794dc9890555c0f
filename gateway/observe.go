package gateway

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/redact"
	"syncgate/internal/whereabouts"
)

// unknownLogin is the label of requests that did not prove to come from a known login.
const unknownLogin = "unknown"

// observe writes the trip's one line in the log, counts it, and has it remembered, when its reply is written or cannot be.
func (t *trip) observe(written bool) {
	if t.kind == fetches {
		return
	}
	took := time.Since(t.accepted)
	outcome := t.outcome()
	t.g.metrics.Trip(outcome, t.login(), t.status, took)
	if t.refusal != nil {
		t.g.metrics.Refused(reasonOf(t.refusal))
	}
	if outcome == outcomeComplete && t.call.Options != nil {
		t.g.medians.Add(t.call.Options.Route, took)
	}
	t.remember(outcome, took, written) // before the line: who has read that finds the trip
	if line := t.g.log.Info(); line.Enabled() {
		t.line(line, outcome, took, written)
	}
	t.traceEnd(outcome, took, written)
}

// remember has the list of trips that are over remember the trip. Requests without a proven login are not remembered: a stranger could push
// all others out.
func (t *trip) remember(outcome string, took time.Duration, written bool) {
	if t.g.recent == nil || t.login() == unknownLogin {
		return
	}
	var f whereabouts.Facts
	t.facts(&f)
	f.Outcome, f.Status, f.Took, f.Written = outcome, t.status, took, written
	if t.refusal != nil {
		f.Reason = reasonOf(t.refusal)
	}
	switch retention := t.g.cfg.Results.Retention; {
	case retention <= 0 || !t.kept && !t.claimed.Load():
	case t.why == nil:
		f.KeptUntil = t.accepted.Add(took + retention).UnixMilli()
	default:
		f.KeptUntil = t.id.Expiry().UnixMilli()
	}
	if f.Ops == 0 {
		t.g.recent.Add(&f, nil)
	}
	for i := range min(f.Ops, whereabouts.MostOps) {
		op := t.OpFacts(i)
		t.g.recent.Add(&f, &op)
	}
}

// login gives who asked, as far as that is proven.
func (t *trip) login() string {
	switch {
	case t.call != nil:
		return t.call.Login
	case t.refusal != nil && t.refusal.Login != "":
		return t.refusal.Login
	default:
		return unknownLogin
	}
}

// outcome names how a trip ended, for the log and the metrics.
func (t *trip) outcome() string {
	switch {
	case t.refusal != nil:
		return whyOf(t.refusal).outcome
	case t.whole != nil:
		return outcomeEngineRefused
	case errors.Is(t.why, dialect.ErrHandedOver), errors.Is(t.why, dialect.ErrReported), errors.Is(t.why, correlator.ErrDeadline) && t.isSentToTask():
		return outcomeHandedOver
	case errors.Is(t.why, correlator.ErrDeadline):
		return outcomeTimeout
	case errors.Is(t.why, correlator.ErrDraining):
		return outcomeDraining
	case errors.Is(t.why, errHungUp):
		return outcomeHungUp
	case t.why != nil:
		return outcomeEngineError
	case len(t.call.Ops) == 0:
		return outcomeRegistered
	default:
		return t.resultOutcome()
	}
}

// isSentToTask reports whether a client whose wait has ended was sent to its task. Where nothing could be kept it heard of a time-out.
func (t *trip) isSentToTask() bool {
	return t.call.Options != nil && t.call.Options.ComesBack && t.status < fasthttp.StatusBadRequest
}

// resultOutcome is outcome for a trip whose ops are all final.
func (t *trip) resultOutcome() string {
	allowed := false
	for i := range t.call.Ops {
		op := &t.call.Ops[i]
		allowed = allowed || op.Refused == ""
		switch status := t.finals[i].Status; {
		case status == correlator.Errored, status == correlator.TimedOut:
			return outcomeFailed
		case status == correlator.Cancelled:
			return outcomeCancelled
		case op.Create && status != correlator.Complete && t.named() && t.forwarded.Load() == 0 && !t.joined: // by us: its name is another's, or its time is over
			return outcomeFailed
		case op.Create && status != correlator.Complete:
			return outcomeEngineRefused
		}
	}
	switch said := t.engineSaid(); {
	case !allowed:
		return outcomeNotAllowed
	case said != nil && said.refused:
		return outcomeEngineRefused
	default:
		return outcomeComplete
	}
}

// engineSaid gives what the engine's own answer says beside the plain "taken", nil while there is none.
func (t *trip) engineSaid() *engineSaid {
	if t.engineTime.Load() == 0 {
		return nil
	}
	return t.said
}

// line writes the line. It leads on: to the process, to what the client calls the task, and to what the engine calls it.
func (t *trip) line(line *zerolog.Event, outcome string, took time.Duration, written bool) {
	line = line.Str("request_id", t.requestID).Str("remote", t.remote).Str("login", t.login())
	if t.call != nil && t.call.Options != nil {
		line = line.Str("route", t.call.Options.Route)
	}
	if t.call != nil {
		line = t.opFields(line.Int("ops", len(t.call.Ops)))
	}
	var room [24]byte // on the stack
	line = line.Str("outcome", outcome).Int("status", t.status).RawJSON("took", appendMillis(room[:0], took))
	if t.keyed() {
		line = line.Bool("keyed", true).Bool("joined", t.joined)
	}
	if t.id != (correlator.ID{}) {
		engine := time.Duration(t.engineTime.Load())
		name := t.id.Name()
		line = line.Bytes("trip", name[:]).RawJSON("engine", appendMillis(room[:0], engine)).RawJSON("wait", appendMillis(room[:0], max(0, took-engine)))
	}
	if !written {
		line = line.Bool("abandoned", true)
	}
	if t.refusal != nil {
		line = line.Str("reason", reasonOf(t.refusal)).Str("refusal", redact.Error(t.refusal))
	}
	if said := t.engineSaid(); said != nil && said.refused {
		line = line.Uint16("engine_status", t.engineStatus).Str("engine_says", said.why)
	}
	line.Msg("trip")
}

// appendMillis appends a time that is not negative as a JSON number of milliseconds, with three decimals. It costs a fifth of what a float does.
func appendMillis(dst []byte, d time.Duration) []byte {
	micros := d.Microseconds()
	dst = append(strconv.AppendInt(dst, micros/1000, 10), '.')
	rest := micros % 1000
	return append(dst, byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
}

// opFields adds what is known of the op that the line is about.
func (t *trip) opFields(line *zerolog.Event) *zerolog.Event {
	if len(t.call.Ops) == 0 {
		return line
	}
	var room [mostLabel]byte // on the stack
	i := t.subject()
	op := &t.call.Ops[i]
	if label := redact.AppendLabel(room[:0], op.Process, mostLabel); len(label) > 0 {
		line = line.Bytes("process", label)
	}
	if label := redact.AppendLabel(room[:0], op.Ref, mostLabel); len(label) > 0 {
		line = line.Bytes("ref", label)
	}
	if label := t.appendEngineTask(room[:0], i); len(label) > 0 {
		line = line.Bytes("engine_task", label)
	}
	return line
}

// subject is the op that a line about the trip names: the first one that the engine has refused, or that is still open, else the first.
func (t *trip) subject() int {
	if said := t.engineSaid(); said != nil && said.refused {
		return said.refusedOp
	}
	for i := range t.finals {
		if !t.finals[i].Status.Final() {
			return i
		}
	}
	return 0
}

// appendEngineTask appends the engine's own id of the task of an op, if it has given one. One with the name of the trip in it may be a
// token, and is not shown.
func (t *trip) appendEngineTask(dst []byte, op int) []byte {
	if t.engineTime.Load() == 0 {
		return dst
	}
	task := t.engineTask
	if t.said != nil && op < len(t.said.tasks) {
		task = t.said.tasks[op]
	}
	if name := t.id.Name(); bytes.Contains(task.Bytes(), name[:]) {
		return dst
	}
	return redact.AppendText(dst, task.Bytes(), mostLabel)
}

// mostLabel bounds what the log shows of a text that others have chosen, in bytes.
const mostLabel = 64
