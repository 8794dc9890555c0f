package corezoid

import (
	"errors"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/splice"
)

const contentType = "application/json"

// Answer writes a reply: ops in the client's order, each with the id and ref that the client gave it. A member that the
// client sent is sent back; proc comes first, then id, ref, and data or description.
func (*Dialect) Answer(dst *fasthttp.Response, c *dialect.Call, r *dialect.Reply) {
	open, status := openOps(c, r)
	body := append(dst.SwapBody(nil)[:0], `{"request_proc":"ok","ops":[`...)
	for i := range c.Ops {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendOp(body, &c.Ops[i], r.Finals[i], open)
	}
	dst.SwapBody(append(body, "]}"...))
	dst.SetStatusCode(status)
	dst.Header.SetContentType(contentType)
	if r.Task != "" {
		dst.Header.Set("Location", taskPath+r.Task)
	}
}

func appendOp(dst []byte, op *dialect.Op, final correlator.Callback, open string) []byte {
	switch {
	case op.Refused != "":
		return appendError(dst, op, op.Refused)
	case final.Status == correlator.Failed:
		return appendError(dst, op, badGateway)
	case final.Status == correlator.Answered:
		return append(dst, final.Body...)
	case final.Status == correlator.Errored:
		return appendError(dst, op, message(final.Body, "Error"))
	case final.Status == correlator.TimedOut:
		return appendError(dst, op, timedOut)
	case final.Status == correlator.Cancelled:
		return appendError(dst, op, message(final.Body, "Cancelled"))
	case final.Status == correlator.Complete:
		dst = appendEcho(append(dst, `{"proc":"ok"`...), op)
		dst = append(dst, `,"data":`...)
		return append(append(dst, final.Body...), '}')
	case open == "":
		return append(appendEcho(append(dst, `{"proc":"pending"`...), op), '}')
	default:
		return appendError(dst, op, open)
	}
}

// message gives what an engine says about a task that has no result: the member "message" of body, or what stands for it.
func message(body []byte, absent string) string {
	var j splice.Reader
	if j.Reset(body) != nil || j.Peek() != splice.Object {
		return absent
	}
	_, _ = j.Enter()
	for {
		m, more, err := j.Member()
		if err != nil || !more {
			return absent
		}
		is := j.Peek()
		value, err := j.Value()
		if err == nil && string(m.Name) == "message" && is == splice.String {
			if text := j.Text(value); len(text) > 0 {
				return string(text)
			}
		}
	}
}

func appendError(dst []byte, op *dialect.Op, description string) []byte {
	dst = appendEcho(append(dst, `{"proc":"error"`...), op)
	dst = append(dst, `,"description":`...)
	return append(appendQuoted(dst, description), '}')
}

func appendEcho(dst []byte, op *dialect.Op) []byte {
	if op.ID != nil {
		dst = append(append(dst, `,"id":`...), op.ID...)
	}
	if op.Ref != nil {
		dst = append(append(dst, `,"ref":`...), op.Ref...)
	}
	return dst
}

// openOps gives the description of the open ops of a reply, empty for pending, and the status of the reply.
func openOps(c *dialect.Call, r *dialect.Reply) (description string, status int) {
	switch {
	case complete(c, r):
		return "", fasthttp.StatusOK
	case errors.Is(r.Open, dialect.ErrPending):
		return "", fasthttp.StatusAccepted
	case errors.Is(r.Open, correlator.ErrDraining):
		return "Shutting down", fasthttp.StatusServiceUnavailable
	case !errors.Is(r.Open, correlator.ErrDeadline):
		return badGateway, fasthttp.StatusBadGateway
	case c.TimeoutGiven:
		return timedOut, fasthttp.StatusOK
	default: // as the vendor's own front does after its 60 seconds
		return timedOut, fasthttp.StatusGatewayTimeout
	}
}

const (
	timedOut   = "Timeout for create task" // in the vendor's words: clients look for them
	badGateway = "Bad gateway"
)

func complete(c *dialect.Call, r *dialect.Reply) bool {
	for i := range c.Ops {
		if c.Ops[i].Refused == "" && !r.Finals[i].Status.Final() {
			return false
		}
	}
	return true
}

// Refuse writes a fault in the shape of the engine's own errors.
func (*Dialect) Refuse(dst *fasthttp.Response, f *dialect.Fault, _ string) {
	body := append(dst.SwapBody(nil)[:0], `{"request_proc":"error","ops":[{"proc":"error","description":`...)
	dst.SwapBody(append(appendQuoted(body, f.Text), "}]}"...))
	dst.SetStatusCode(f.Status)
	dst.Header.SetContentType(contentType)
}
