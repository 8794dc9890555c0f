package rest

import (
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/httpfield"
)

// runningTask is what is said of a task that has no result yet.
type runningTask struct {
	ID       string         `json:"id"`
	Status   string         `json:"status"`
	Progress jsontext.Value `json:"progress,omitempty"`
	Stream   string         `json:"stream,omitempty"`
}

// running writes the plain body of a task that runs.
func (d *Dialect) running(dst *fasthttp.Response, r *dialect.Reply) {
	writeJSON(dst, typeJSON, &runningTask{r.Task, "running", progress(r), d.current.Load().publicURL + d.streamPath(r.Task)})
}

// progress gives what the engine has reported, nil where it is nothing. Of several ops it is an array, with null for each without progress.
func progress(r *dialect.Reply) []byte {
	reported := func(m []byte) bool { return m != nil }
	switch {
	case !slices.ContainsFunc(r.Merged, reported):
		return nil
	case len(r.Merged) == 1:
		return r.Merged[0]
	}
	all := []byte{'['}
	for i, m := range r.Merged {
		if i > 0 {
			all = append(all, ',')
		}
		if m == nil {
			m = []byte("null")
		}
		all = append(all, m...)
	}
	return append(all, ']')
}

// streamPath is a path that opens the events of one task without a credential: pages cannot send headers with an EventSource.
func (d *Dialect) streamPath(task string) string {
	id, err := d.outside.Keys.ParseTaskID([]byte(task))
	if err != nil { // never: it was made with these keys
		return ""
	}
	return taskPath + task + "/events?t=" + url.QueryEscape(string(d.outside.Keys.AppendEventsToken(nil, id)))
}

// halBody is a task in hal+json. Its links are relative to the root of the API.
type halBody struct {
	Links      halLinks       `json:"_links"`
	Message    string         `json:"message"`
	RetryAfter int            `json:"retryAfter,omitzero"`
	Progress   jsontext.Value `json:"progress,omitempty"`
}

type halLinks struct {
	Self   halLink `json:"self"`
	Result halLink `json:"result,omitzero"`
	Stream halLink `json:"stream,omitzero"`
}

type halLink struct {
	Href string `json:"href"`
}

// halRunning writes the hal+json body of a task that runs.
func (d *Dialect) halRunning(dst *fasthttp.Response, r *dialect.Reply) {
	writeJSON(dst, typeHAL, &halBody{
		Links:      halLinks{Self: halLink{taskPath + r.Task}, Stream: halLink{d.streamPath(r.Task)}},
		Message:    "The task is running",
		RetryAfter: retryAfter(r), Progress: progress(r),
	})
}

// monitor is what a status monitor says of a task.
type monitor struct {
	ID              string         `json:"id"`
	Status          string         `json:"status"`
	Created         string         `json:"createdDateTime,omitempty"`
	LastAction      string         `json:"lastActionDateTime,omitempty"`
	PercentComplete *float64       `json:"percentComplete,omitempty"`
	Result          jsontext.Value `json:"result,omitempty"`
	Error           *monitorError  `json:"error,omitempty"`
}

type monitorError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// monitored writes the status monitor of a task. The reply itself is that of own.
func monitored(dst *fasthttp.Response, s *state, r *dialect.Reply, own func(dst *fasthttp.Response), now time.Time) {
	m := monitor{ID: r.Task, LastAction: timeText(now)}
	if !r.Accepted.IsZero() {
		m.Created = timeText(r.Accepted)
	}
	how := outcome(s, r)
	if how == running {
		m.Status, m.PercentComplete = "Running", percent(progress(r))
		setRetryAfter(dst, r)
		writeJSON(dst, typeJSON, &m)
		return
	}
	reply := worded(own)
	defer fasthttp.ReleaseResponse(reply)
	switch how {
	case succeeded:
		m.Status = "Succeeded"
		if body := reply.Body(); httpfield.IsJSON(reply.Header.ContentType()) && validJSON(body) {
			m.Result = body
		}
	case cancelled:
		m.Status, m.Error = "Canceled", s.errorOf(reply, "cancelled")
	default:
		m.Status, m.Error = "Failed", s.errorOf(reply, "engine-error")
	}
	writeJSON(dst, typeJSON, &m)
}

// errorOf gives why a task has no result. s may be nil.
func (s *state) errorOf(reply *fasthttp.Response, code string) *monitorError {
	if s != nil && s.os1 != nil {
		return os1ErrorOf(reply, code)
	}
	return monitorErrorOf(reply, code)
}

// monitorErrorOf takes code and message from a problem, or from what an engine says.
func monitorErrorOf(reply *fasthttp.Response, code string) *monitorError {
	var said struct {
		Title       string `json:"title"`
		Detail      string `json:"detail"`
		Message     string `json:"message"`
		Description string `json:"description"`
		Code        any    `json:"code"`
	}
	_ = json.Unmarshal(reply.Body(), &said, asItCame()) // what is no object says nothing
	e := monitorError{Code: code, Message: title(code)}
	for _, text := range []string{said.Title, said.Description, said.Message, said.Detail} {
		if text != "" {
			e.Message = text
		}
	}
	if text, ok := said.Code.(string); ok && text != "" {
		e.Code = text
	}
	return &e
}

// percent gives how far a task is, by a member that says so.
func percent(progress []byte) *float64 {
	var said struct {
		PercentComplete *float64 `json:"percentComplete"`
		Percent         *float64 `json:"percent"`
	}
	if progress == nil || json.Unmarshal(progress, &said, asItCame()) != nil {
		return nil
	}
	if said.PercentComplete == nil {
		said.PercentComplete = said.Percent
	}
	if p := said.PercentComplete; p == nil || *p < 0 || *p > 100 {
		return nil
	}
	return said.PercentComplete
}

// how is what has become of a task.
type how uint8

const (
	running how = iota
	succeeded
	failing
	cancelled
)

// outcome is that of a task. One op that has failed makes it one that has. s is nil where another dialect has made the task: an op that
// its engine has answered itself is a result there.
func outcome(s *state, r *dialect.Reply) how {
	is := succeeded
	for i := range r.Finals {
		switch f := &r.Finals[i]; {
		case !f.Status.Final():
			return running
		case f.Status == correlator.Failed || f.Status == correlator.Errored || f.Status == correlator.TimedOut || s != nil && f.Status == correlator.Answered:
			is = failing
		case s != nil && f.Status == correlator.Complete && s.status(f) == 0:
			is = failing
		case f.Status == correlator.Cancelled && is == succeeded:
			is = cancelled
		}
	}
	if s != nil && s.os1 != nil && s.os1.HasSuccess(r.Finals) {
		return succeeded
	}
	return is
}

// worded gives the reply of own, which the caller releases.
func worded(own func(dst *fasthttp.Response)) *fasthttp.Response {
	reply := fasthttp.AcquireResponse()
	own(reply)
	return reply
}

// asItCame lets pass what engines may say and what passes everywhere else: names that repeat, and escapes of lone surrogates.
func asItCame() json.Options {
	return json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

func validJSON(body []byte) bool { return jsontext.Value(body).IsValid(asItCame()) }

func writeJSON(dst *fasthttp.Response, kind string, v any) {
	b, err := json.Marshal(v, asItCame())
	if err != nil {
		panic(fmt.Sprintf("a view of a task cannot be written: %v", err)) // what others say in it was checked to be JSON
	}
	dst.Header.SetContentType(kind)
	dst.SetBody(b)
}
