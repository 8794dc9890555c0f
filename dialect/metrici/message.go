package metrici

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/callbackdata"
	"syncgate/internal/httpfield"
	"syncgate/internal/splice"
)

// message is what a worker says by a call form.
type message struct {
	token  string
	action string // reports, asks, or awaits
	status string
	data   []byte // one JSON value; nil: there is none
}

// Values of a message's action.
const (
	reports = "callback" // which a message without an action means
	asks    = "getCallback"
	awaits  = "await"
)

// messageType is the type of a message, where it has one.
const messageType = "CALLBACK"

// readMessage reads the message of a request, and the action and the node that stand beside it. Its errors quote nothing.
func readMessage(req *fasthttp.Request, form uint8) (m message, err error) {
	var query fasthttp.Args
	_, text, _ := bytes.Cut(req.Header.RequestURI(), []byte("?"))
	query.ParseBytes(text)
	fields := &query
	if httpfield.ContentCoding(&req.Header) != nil {
		return m, errors.New("Content-Encoding is not supported: send the body as it is")
	}
	body := req.Body()
	switch media := callbackdata.MediaType(req.Header.ContentType()); {
	case bytes.EqualFold(media, []byte(formType)) && !begins(body, '{'): // with a body of that type the query says what the form does not
		fields = &fasthttp.Args{}
		fields.ParseBytes(body)
		for name, value := range query.All() {
			if !fields.HasBytes(name) {
				fields.SetBytesKV(name, value)
			}
		}
		body = fields.Peek("data")
	case len(body) == 0:
		body = fields.Peek("data")
	}
	if action := string(fields.Peek("action")); action != "" && action != anchor {
		return m, errors.New("action must be " + anchor + ", the anchor of the token")
	}
	if version := string(fields.Peek("nodeVersionReference")); form != formNode && version != node {
		return m, errors.New("nodeVersionReference must be the node of the token: " + node)
	}
	return parseMessage(body)
}

// begins reports whether a text begins with a character, blanks apart.
func begins(text []byte, c byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) > 0 && text[0] == c
}

// parseMessage reads the JSON of a message. Members that are not the message's are left out; those that are must not repeat.
func parseMessage(text []byte) (m message, err error) {
	if len(bytes.TrimLeft(text, " \t\r\n")) == 0 {
		return m, errors.New("there is no message: send it as a JSON body, or as the field data of a form")
	}
	var r splice.Reader
	if err = r.Reset(text); err != nil {
		return m, splice.WithoutBytes(err)
	}
	if r.Peek() != splice.Object {
		return m, errors.New("the message must be a JSON object")
	}
	if _, err = r.Enter(); err != nil {
		return m, splice.WithoutBytes(err)
	}
	seen := make(map[string]bool, 5) // at most one for each member of a message
	for {
		name, more, err := r.Member()
		if err != nil {
			return m, splice.WithoutBytes(err)
		}
		if !more {
			break
		}
		if err = m.member(&r, string(name.Name), seen); err != nil {
			return m, splice.WithoutBytes(err)
		}
	}
	if err = r.Close(); err != nil {
		return m, splice.WithoutBytes(err)
	}
	if m.token == "" {
		return m, errors.New(memberToken + " is missing")
	}
	return m, nil
}

// member reads the value of a member.
func (m *message) member(r *splice.Reader, name string, seen map[string]bool) error {
	is := r.Peek()
	at, err := r.Value()
	if err != nil {
		return err
	}
	text := ""
	switch name {
	case memberData:
	case memberToken, memberStatus, memberAction, "type":
		if is == splice.String {
			text = string(r.Text(at))
		} else if is != splice.Null {
			return errors.New(name + " must be a string")
		}
	default:
		return nil
	}
	if seen[name] {
		return errors.New(name + " is there twice")
	}
	seen[name] = true
	switch {
	case name == memberData && is != splice.Null:
		m.data = bytes.Clone(r.Raw(at))
	case name == memberToken:
		m.token = text
	case name == memberStatus:
		m.status = text
	case name == memberAction:
		m.action = text
	case name == "type" && is != splice.Null && text != messageType:
		return errors.New("type must be " + messageType)
	}
	return nil
}

// callback makes the callback that a message reports. Its errors say which words would do.
func (m *message) callback() (cb correlator.Callback, err error) {
	status, ok := dialect.StatusNamed(m.status)
	switch {
	case m.status == "create", m.status == "accept", m.status == "timeout":
		return cb, fmt.Errorf("%s %s is set by the gateway alone: report start, progress, complete, cancel or error", memberStatus, m.status)
	case !ok:
		return cb, errors.New(memberStatus + " must be one of start, progress, complete, cancel, error")
	}
	return correlator.Callback{Status: status, Body: dataFor(status, m.data)}, nil
}

// dataFor gives the body of a callback. A result has one.
func dataFor(status correlator.Status, data []byte) []byte {
	if data == nil && status == correlator.Complete {
		return []byte("{}")
	}
	return data
}
