package rest

import (
	"bytes"
	"errors"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/httpfield"
)

const taskPath = "/tasks/"

// Answer writes the reply to a call: the result as the engine gave it, or where it can be found, or why there is none.
func (d *Dialect) Answer(dst *fasthttp.Response, c *dialect.Call, r *dialect.Reply) {
	s := d.current.Load().stateOf(stateBytes(c))
	own := subscribingOf(c)
	switch {
	case own != nil && d.subscribed(dst, own, &s, r):
	case final(r):
		d.result(dst, &s, r)
		if r.Task != "" {
			dst.Header.Set("Location", d.taskURL(r.Task, ""))
		}
	case errors.Is(r.Open, dialect.ErrHandedOver), errors.Is(r.Open, dialect.ErrPending):
		d.accepted(dst, &s, r)
	case errors.Is(r.Open, dialect.ErrReported):
		d.reported(dst, &s, r)
	case errors.Is(r.Open, correlator.ErrDeadline):
		d.waited(dst, &s, r)
	default:
		p := unfinished(r)
		s.write(dst, &p)
		d.locate(dst, r)
	}
	dst.Header.Set("Vary", vary)
	if c.Options != nil && c.Options.Applied != "" {
		dst.Header.Set("Preference-Applied", c.Options.Applied)
	}
	setRateLimit(dst, r.RateLimit)
}

// setRateLimit says what is left of a limit (draft-ietf-httpapi-ratelimit-headers-05, section 3); nil: there is none.
func setRateLimit(dst *fasthttp.Response, l *dialect.RateLimit) {
	if l == nil {
		return
	}
	dst.Header.Set("RateLimit-Limit", strconv.Itoa(l.Limit))
	dst.Header.Set("RateLimit-Remaining", strconv.Itoa(l.Remaining))
	dst.Header.Set("RateLimit-Reset", strconv.Itoa(l.Reset))
}

// subscribingOf gives what a request asks for beside its task, nil when that is nothing.
func subscribingOf(c *dialect.Call) *subscribing {
	if c.Options == nil {
		return nil
	}
	own, _ := c.Options.Own.(*subscribing)
	return own
}

func stateBytes(c *dialect.Call) []byte {
	if c.Options == nil {
		return nil
	}
	return c.Options.State
}

// final reports whether the result is there, of each op.
func final(r *dialect.Reply) bool {
	return len(r.Finals) > 0 && !slices.ContainsFunc(r.Finals, func(f correlator.Callback) bool { return !f.Status.Final() })
}

// waited words the end of a wait without a result.
func (d *Dialect) waited(dst *fasthttp.Response, s *state, r *dialect.Reply) {
	switch {
	case r.Task == "" || s.end() == EndTimeout: // where nothing is kept there is nothing to come back for
		p := problemOfTask("timeout", fasthttp.StatusGatewayTimeout, "The result has not come in time", r.RequestID)
		s.write(dst, &p)
		d.locate(dst, r)
	case s.end() == EndRedirect:
		d.sendOn(dst, r, 1, s.Wait)
	default:
		d.accepted(dst, s, r)
	}
}

// unfinished is the problem of a call that ends without a result, and not by its deadline.
func unfinished(r *dialect.Reply) problem {
	switch {
	case errors.Is(r.Open, correlator.ErrDraining):
		return problemOfTask("draining", fasthttp.StatusServiceUnavailable, "This node is shutting down", r.RequestID)
	case errors.Is(r.Open, correlator.ErrDeadline):
		return problemOfTask("timeout", fasthttp.StatusGatewayTimeout, "The result has not come in time", r.RequestID)
	}
	return problemOfTask("bad-gateway", fasthttp.StatusBadGateway, "The engine's answer is not usable", r.RequestID)
}

// accepted is the 202 of a task that its client can ask for. Without a record there is none.
func (d *Dialect) accepted(dst *fasthttp.Response, s *state, r *dialect.Reply) {
	if r.Task == "" {
		p := problemOfTask("unavailable", fasthttp.StatusServiceUnavailable, "The task was begun, and cannot be kept for its client", r.RequestID)
		s.write(dst, &p)
		return
	}
	dst.SetStatusCode(fasthttp.StatusAccepted)
	d.locate(dst, r)
	setRetryAfter(dst, r)
	switch {
	case s.os1 != nil:
		d.acceptedOS1(dst, s.os1, r)
	case s.HAL:
		d.halRunning(dst, r)
	default:
		d.running(dst, r)
	}
}

// locate says where the task is, if it is kept.
func (d *Dialect) locate(dst *fasthttp.Response, r *dialect.Reply) {
	if r.Task == "" {
		return
	}
	dst.Header.Set("Location", d.taskURL(r.Task, ""))
	dst.Header.Set("Operation-Location", d.taskURL(r.Task, "/status"))
}

// taskURL gives the URL of a task, or of one of its other forms.
func (d *Dialect) taskURL(task, form string) string {
	return d.current.Load().publicURL + taskPath + task + form
}

// sendOn sends the client to the task, where it waits again. The wait is in the URL, as clients drop their Prefer.
func (d *Dialect) sendOn(dst *fasthttp.Response, r *dialect.Reply, hop, wait int) {
	dst.SetStatusCode(fasthttp.StatusSeeOther)
	dst.Header.Set("Location", d.taskURL(r.Task, "?hop="+strconv.Itoa(hop)+"&wait="+strconv.Itoa(max(wait, 1))))
	dst.Header.Set("Operation-Location", d.taskURL(r.Task, "/status"))
}

// setRetryAfter says when it is worth asking again, in whole seconds.
func setRetryAfter(dst *fasthttp.Response, r *dialect.Reply) {
	dst.Header.Set("Retry-After", strconv.Itoa(retryAfter(r)))
}

func retryAfter(r *dialect.Reply) int { return max(seconds(r.RetryAfter), 1) }

// result writes what has become of a task.
func (d *Dialect) result(dst *fasthttp.Response, s *state, r *dialect.Reply) {
	if s.os1 != nil {
		s.os1.Result(dst, r.Finals)
		return
	}
	f := &r.Finals[0]
	switch f.Status {
	case correlator.Complete:
		complete(dst, s, f, r.RequestID)
	case correlator.Cancelled:
		p := problemOfTask("cancelled", s.mapped(f.Status, fasthttp.StatusConflict), message(f.Body, "The task is cancelled"), r.RequestID)
		p.write(dst)
	case correlator.TimedOut:
		p := problemOfTask("timeout", s.mapped(f.Status, fasthttp.StatusGatewayTimeout), "The engine has not finished the task in the time that it had", r.RequestID)
		p.write(dst)
	case correlator.Errored, correlator.Answered: // an op that the engine has answered itself is one that it does not take
		failed(dst, s, f, r.RequestID)
	default:
		p := problemOfTask("bad-gateway", fasthttp.StatusBadGateway, "The engine's answer is not usable", r.RequestID)
		p.write(dst)
	}
}

// failed writes what the engine says of a task that has failed, where that is JSON.
func failed(dst *fasthttp.Response, s *state, f *correlator.Callback, requestID string) {
	status := s.mapped(correlator.Errored, fasthttp.StatusBadGateway)
	if len(f.Body) == 0 || !httpfield.IsJSON([]byte(contentType(f))) {
		p := problemOfTask("engine-error", status, "The engine reports that the task has failed", requestID)
		p.write(dst)
		return
	}
	dst.SetStatusCode(status)
	dst.Header.SetContentType(contentType(f))
	dst.SetBody(f.Body)
}

// complete writes the result as it came.
func complete(dst *fasthttp.Response, s *state, f *correlator.Callback, requestID string) {
	status := s.status(f)
	if status == 0 {
		p := problemOfTask("bad-gateway", fasthttp.StatusBadGateway, "The status that the engine gives its result is none of 200 to 599", requestID)
		p.write(dst)
		return
	}
	dst.SetStatusCode(status)
	for name, value := range fieldsOf(f) {
		if lower := strings.ToLower(name); lower != "content-type" && s.shows(lower) {
			dst.Header.Add(name, value)
		}
	}
	switch kind := contentType(f); {
	case status == fasthttp.StatusNoContent || status == fasthttp.StatusNotModified: // which have no body
		dst.ResetBody()
		dst.Header.SetNoDefaultContentType(true)
	case kind == "":
		dst.Header.SetNoDefaultContentType(true)
		dst.SetBody(f.Body)
	default:
		dst.Header.SetContentType(kind)
		dst.SetBody(f.Body)
	}
}

// contentType gives that of a callback's body; empty: none is known.
func contentType(f *correlator.Callback) string {
	if f.Head == nil {
		return typeJSON
	}
	return f.Head.ContentType
}

// statusIn reads a status that a result may have, 0 where it is none.
func statusIn(value string) int {
	n, err := strconv.Atoi(value)
	if err != nil || len(value) != 3 || n < fasthttp.StatusOK || n > 599 {
		return 0
	}
	return n
}

// status gives the status of a result, 0 where its callback names one that is none.
func (s *state) status(f *correlator.Callback) int {
	if s.StatusHeader == "" {
		return s.mapped(f.Status, fasthttp.StatusOK)
	}
	for name, value := range fieldsOf(f) {
		if strings.EqualFold(name, s.StatusHeader) {
			return statusIn(value)
		}
	}
	return s.mapped(f.Status, fasthttp.StatusOK)
}

// mapped gives the status of the reply for how far a task is, absent where the route says nothing of that. Its own state comes before the group.
func (s *state) mapped(is correlator.Status, absent int) int {
	if status, ok := s.States[is.String()]; ok {
		return status
	}
	group := ""
	switch {
	case is.Running():
		group = groupActive
	case is == correlator.Errored, is == correlator.Cancelled, is == correlator.TimedOut:
		group = groupError
	}
	if status, ok := s.States[group]; ok {
		return status
	}
	return absent
}

// reported writes what the engine has reported so far, to a client that waits for no more.
func (d *Dialect) reported(dst *fasthttp.Response, s *state, r *dialect.Reply) {
	dst.SetStatusCode(s.mapped(r.Reported, fasthttp.StatusOK))
	d.locate(dst, r)
	setRetryAfter(dst, r)
	dst.Header.SetContentType(typeJSON)
	data := progress(r)
	if data == nil {
		data = []byte("{}")
	}
	dst.SetBody(data)
}

// fieldsOf gives the header fields that have come with a callback.
func fieldsOf(f *correlator.Callback) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		if f.Head == nil {
			return
		}
		for line := range bytes.SplitSeq(f.Head.Fields, []byte("\r\n")) {
			name, value, ok := bytes.Cut(line, []byte(":"))
			if ok && !yield(string(name), string(bytes.TrimSpace(value))) {
				return
			}
		}
	}
}

// message gives what an engine says of a task that has no result: the member "message", or what stands for it.
func message(body []byte, absent string) string {
	var said struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &said) != nil || said.Message == "" {
		return absent
	}
	return said.Message
}

// timeText is a time as JSON has it.
func timeText(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
