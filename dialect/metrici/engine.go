// Package metrici speaks the callback convention of Metrici (https://www.metrici.com, devguide: callback steps), on the engine's side.
//
// A task is started by a request that executes a node with a token. The worker reports to the gateway as to the callback step that the token names: that it
// has started, how far it has come, and what came of it. It can ask how far a task is, and wait for what comes next. Engine words the start request, and
// Dialect serves those who report.
//
// The Dialect also serves the dispatch endpoint, where anybody reports who has a token of any engine.
package metrici

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/httpengine"
	"syncgate/internal/httpfield"
	"syncgate/internal/splice"
)

// Engine asks workers of this convention. It is safe for concurrent use.
type Engine struct {
	*httpengine.Engine
	cfg                EngineConfig
	timeout, retention time.Duration
	cut                []string // members that a client's task does not bring to the worker as they are
	idBefore           int      // how long before the token the id is, in the body
}

var (
	_ dialect.Engine    = (*Engine)(nil)
	_ dialect.Canceller = (*Engine)(nil)
)

// NewEngine makes an Engine. The error is that of Validate.
func NewEngine(e EngineConfig, c httpengine.Config) (*Engine, error) {
	if err := Validate(e, c); err != nil {
		return nil, fmt.Errorf("engine %s: %w", c.Name, err)
	}
	e = e.Filled()
	inner, err := httpengine.New(HTTP(e, c), httpengine.Options{Shown: wrapped, ShownLen: tokenLen})
	if err != nil {
		return nil, err
	}
	made := &Engine{Engine: inner, cfg: e, cut: []string{memberToken, memberParent, memberID, e.TokenAttribute, e.ParentTokenAttribute, e.IDAttribute}}
	made.timeout, made.retention = e.times()
	between := `","` + e.TokenAttribute + `":"`
	if e.Body != BodyJSON {
		between = string(appendEscaped(nil, []byte(between)))
	}
	made.idBefore = len(between) + idLen
	return made, nil
}

// idLen is the length of callbackId: the beginning of every token of the trip, by which operators find it.
const idLen = 8

const formType = "application/x-www-form-urlencoded"

// Prepare makes the start request: the task's members with the token, the id, and the parent's token where the client has sent one. Its errors are
// *dialect.Fault.
func (e *Engine) Prepare(c *dialect.Call) error {
	asked := *c.Options.Asked
	if len(asked.ContentType) > 0 && !httpfield.IsJSON(asked.ContentType) {
		return badTask("it must be JSON, as the worker gets its members")
	}
	task, err := e.readTask(asked.Body, time.Now())
	if err != nil {
		return badTask(err.Error())
	}
	c.Terms = &dialect.Terms{Ends: true, Recorded: true, Lasts: e.timeout, Retention: e.retention}
	if task.timeout > 0 {
		c.Terms.Lasts = task.timeout
	}
	if c.Options.Data != nil {
		c.Options.Data = correlator.Overlay(task.data)
	}
	asked.Body, asked.ContentType = task.body, []byte("application/json")
	if e.cfg.Body != BodyJSON {
		asked.ContentType = []byte(formType)
	}
	theirs := c.Options.Asked
	defer func() { c.Options.Asked = theirs }()
	c.Options.Asked = &asked
	if err := e.Engine.Prepare(c); err != nil {
		return err
	}
	if e.cfg.Body != BodyJSON {
		at := c.Slots[0]
		body := appendEscaped([]byte("data="), c.Body[:at])
		c.Slots[0] = len(body)
		body = append(body, c.Body[at:at+tokenLen]...) // which needs no escape
		c.Body = appendEscaped(body, c.Body[at+tokenLen:])
	}
	return nil
}

func badTask(why string) error {
	return &dialect.Fault{Status: fasthttp.StatusBadRequest, Reason: dialect.BadBody, Text: "Incorrect body: " + why}
}

// task is what a client asks for.
type task struct {
	data    []byte        // its own members
	body    []byte        // those with the parent's token, and room for the id
	timeout time.Duration // of callbackTimeout; 0: it names none
}

// readTask reads the members of a request.
func (e *Engine) readTask(body []byte, now time.Time) (t task, err error) {
	if len(bytes.TrimLeft(body, " \t\r\n")) == 0 {
		body = []byte("{}")
	}
	var r splice.Reader
	var edits splice.Edits
	if err = r.Reset(body); err != nil {
		return t, err
	}
	if r.Peek() != splice.Object {
		return t, errors.New("it must be a JSON object, as the worker gets its members")
	}
	items, err := r.CutMembers(&edits, e.cut)
	if err != nil {
		return t, err
	}
	if err = r.Close(); err != nil {
		return t, err
	}
	t.data, _ = edits.Apply(make([]byte, 0, len(body)), body, nil)
	parent, limit := membersOf(body, memberParent, memberLimit)
	if parent != nil {
		if parent[0] != '"' {
			return t, errors.New(memberParent + " must be a string, the token of the parent's task")
		}
		items.Append(`"`+e.cfg.ParentTokenAttribute+`":`+string(parent), 0)
	}
	items.Append(`"`+e.cfg.IDAttribute+`":"`+strings.Repeat("0", idLen)+`"`, 0)
	t.body, _ = edits.Apply(make([]byte, 0, len(body)+edits.Growth()), body, nil)
	if limit != nil {
		t.timeout, err = timeoutOf(limit, now)
	}
	return t, err
}

// membersOf gives the values of two members of an object that was walked, the last ones of their names; nil where there is none, or null.
func membersOf(object []byte, first, second string) (one, other []byte) {
	var r splice.Reader
	_ = r.Reset(object) // none of these fails: the text was walked
	_, _ = r.Enter()
	for {
		m, more, _ := r.Member()
		if !more {
			return one, other
		}
		is := r.Peek()
		at, _ := r.Value()
		value := r.Raw(at)
		if is == splice.Null {
			value = nil
		}
		switch string(m.Name) {
		case first:
			one = value
		case second:
			other = value
		}
	}
}

// timeoutOf reads a callbackTimeout: a duration, or the time at which the task times out.
func timeoutOf(value []byte, now time.Time) (time.Duration, error) {
	wrong := func(why string) error { return errors.New(memberLimit + " " + why) }
	if value[0] != '"' {
		return 0, wrong("must be a string: a duration such as PT30M, or a time such as 2026-11-30T12:00:00Z")
	}
	text := textOf(value)
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		left := at.Sub(now)
		switch {
		case left <= 0:
			return 0, wrong("is a time that has passed")
		case left > mostTimeout:
			return 0, wrong("is a time more than " + wholeDays(mostTimeout) + " days away")
		}
		return left, nil
	}
	d, err := parseDuration(text, mostTimeout)
	if err != nil {
		return 0, wrong(err.Error() + ", or a time such as 2026-11-30T12:00:00Z")
	}
	return d, nil
}

// Encode makes the start request, signed where the engine has a secret.
func (e *Engine) Encode(dst *fasthttp.Request, c *dialect.Call, tokens []string, now time.Time) error {
	if len(c.Slots) != 1 || len(tokens) != 1 || len(tokens[0]) < idLen || c.Slots[0] < e.idBefore {
		return errors.New("encode for a worker: the call is not prepared for one token")
	}
	at := c.Slots[0] - e.idBefore
	copy(c.Body[at:at+idLen], tokens[0])
	return e.Engine.Encode(dst, c, tokens, now)
}

// Callback refuses what comes by a callback URL: workers of this kind have none, and their tokens have one spelling.
func (e *Engine) Callback(*fasthttp.Request, int) (cb correlator.Callback, answer []byte, err error) {
	return cb, nil, &dialect.Fault{
		Status: fasthttp.StatusNotFound, Reason: dialect.ForgedName, Text: "Not found: workers of kind metrici report with their whole token to " + node + ", or to " + strings.TrimPrefix(dispatchPath, "/"),
	}
}

// appendEscaped appends a text as the value of a form's field.
func appendEscaped(dst, text []byte) []byte { return append(dst, url.QueryEscape(string(text))...) }

// textOf gives the text of a JSON string that was walked.
func textOf(quoted []byte) string {
	var r splice.Reader
	_ = r.Reset(quoted)
	at, err := r.Value()
	if err != nil {
		return ""
	}
	return string(r.Text(at))
}
