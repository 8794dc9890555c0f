package os1

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/httpfield"
	"syncgate/internal/splice"
)

const jsonType = "application/json"

// AppendEcho appends the member request of a reply: what the client has asked, without its headers. A JSON body stands there as it came, another one
// as {"contentType","base64"}, one of more than MostEcho bytes not at all.
func (r *Request) AppendEcho(dst []byte, method string, path []byte) []byte {
	dst = appendText(append(dst, `{"uri":`...), path[:min(len(path), mostEchoURI)])
	dst = appendText(append(dst, `,"method":`...), []byte(method))
	dst = appendText(append(dst, `,"queryString":`...), r.query[:min(len(r.query), mostEchoURI)])
	dst = append(dst, `,"body":`...)
	if len(r.body) > MostEcho {
		dst = append(dst, "null"...)
	} else {
		dst = appendAny(dst, string(r.contentType), r.body)
	}
	return append(dst, '}')
}

// Accepted writes the 202 of a task.
func (s *State) Accepted(dst *fasthttp.Response, task string) {
	write(dst, fasthttp.StatusAccepted, s.appendRequest(appendText([]byte(`{"data":{"id":`), []byte(task)), `},`))
}

// Result writes the reply of a client that waits: 200 with the result, or the error that stands for it. finals has one for each op.
func (s *State) Result(dst *fasthttp.Response, finals []correlator.Callback) {
	if len(s.Refs) > 0 {
		o := s.outcomesOf(finals)
		write(dst, fasthttp.StatusOK, s.appendRequest(o.append([]byte(`{"data":{`), ""), `},`))
		return
	}
	f := &finals[0]
	if f.Status == correlator.Complete {
		write(dst, fasthttp.StatusOK, s.appendRequest(appendAny([]byte(`{"data":`), contentType(f), f.Body), ","))
		return
	}
	e := failureOf(f)
	write(dst, e.status, s.appendRequest(e.append([]byte(`{"error":`)), ","))
}

// Refuse writes a fault as OS1's error. code is a word for programs. s is nil where the request is not known.
func Refuse(dst *fasthttp.Response, s *State, f *dialect.Fault, code string) {
	if s == nil {
		s = new(State)
	}
	e := failure{code: code, text: f.Text, details: f.Details}
	write(dst, f.Status, s.appendRequest(e.append([]byte(`{"error":`)), ","))
}

// RefuseEngines writes an engine's answer to a request that it has not taken: OS1's error with the engine's status. kind is the answer's Content-Type.
func (s *State) RefuseEngines(dst *fasthttp.Response, status int, kind string, body []byte) {
	e := failureOf(&correlator.Callback{Status: correlator.Errored, Body: body, Head: &correlator.Head{ContentType: kind}})
	if e.status = status; e.said == "" {
		e.text = "The engine has refused the request"
	}
	write(dst, status, s.appendRequest(e.append([]byte(`{"error":`)), ","))
}

// appendRequest ends a reply.
func (s *State) appendRequest(dst []byte, before string) []byte {
	echo := s.Echo
	if echo == "" {
		echo = "{}"
	}
	return append(append(append(append(dst, before...), `"request":`...), echo...), '}')
}

func write(dst *fasthttp.Response, status int, body []byte) {
	dst.SetStatusCode(status)
	dst.Header.SetContentType(jsonType)
	dst.SetBodyRaw(body)
}

// AppendCallback appends the body of the callback for a task that has ended. finals has one for each op. A result's members are those of data, but for
// its id: that is data.result.id, as data.id is the task's. If the result has a member result beside its id, or is no object, data.result is the whole of it.
func (s *State) AppendCallback(dst []byte, task string, finals []correlator.Callback) []byte {
	dst = s.appendHead(dst)
	if len(s.Refs) > 0 {
		o := s.outcomesOf(finals)
		dst = s.appendBatch(dst, task, &o, "")
	} else {
		dst = s.appendSingle(dst, task, &finals[0])
	}
	return s.appendMembers(dst)
}

// appendHead begins the body of a callback.
func (s *State) appendHead(dst []byte) []byte {
	dst = appendText(append(dst, `{"tenantId":`...), []byte(s.Tenant))
	dst = appendText(append(dst, `,"eventType":`...), []byte(s.EventType))
	return appendText(append(dst, `,"service":`...), []byte(s.Service))
}

// appendMembers ends it, with the route's own members.
func (s *State) appendMembers(dst []byte) []byte {
	for _, name := range slices.Sorted(maps.Keys(s.Members)) {
		dst = appendText(append(dst, ','), []byte(name))
		dst = appendText(append(dst, ':'), []byte(s.Members[name]))
	}
	return append(dst, '}')
}

func (s *State) appendSingle(dst []byte, task string, f *correlator.Callback) []byte {
	if f.Status == correlator.Complete {
		dst = append(dst, `,"status":"success","reason":"","data":`...)
	} else {
		e := failureOf(f)
		dst = appendText(append(dst, `,"status":"failed","reason":`...), []byte(e.text))
		dst = append(dst, `,"data":`...)
	}
	dst = appendData(dst, task, contentType(f), f.Body)
	return append(append(dst, `,"meta":`...), s.meta()...)
}

func (s *State) meta() string {
	if s.Meta == "" {
		return "{}"
	}
	return s.Meta
}

// appendData appends the member data of a callback.
func appendData(dst []byte, task, kind string, body []byte) []byte {
	dst = appendText(append(dst, `{"id":`...), []byte(task))
	if len(body) == 0 {
		return append(dst, '}')
	}
	var r splice.Reader
	if !walks(&r, kind, body) || kindOf(&r, body) != splice.Object {
		return append(appendAny(append(dst, `,"result":`...), kind, body), '}')
	}
	again := r.Again(splice.Span{End: len(body)})
	rest, id, hasResult := membersOf(&again, body)
	switch {
	case id == nil:
	case hasResult:
		return append(append(append(dst, `,"result":`...), body...), '}')
	default:
		dst = append(append(append(dst, `,"result":{"id":`...), id...), '}')
	}
	if len(rest) > 0 {
		dst = append(append(dst, ','), rest...)
	}
	return append(dst, '}')
}

// membersOf gives the members of an object as they stand there, without those called id; of these the value of the last one. hasResult: one is
// called result.
func membersOf(r *splice.Reader, body []byte) (rest, id []byte, hasResult bool) {
	var edits splice.Edits
	open, _ := r.Enter() // none of these fails: the text was walked
	items := splice.NewItems(&edits, open)
	for {
		m, more, _ := r.Member()
		if !more {
			break
		}
		value, _ := r.Value()
		item := splice.Span{Start: m.Start, End: value.End}
		switch string(m.Name) {
		case "id":
			items.Cut(item)
			id = r.Raw(value)
			continue
		case "result":
			hasResult = true
		}
		items.Keep(item)
	}
	items.Close()
	whole, _ := edits.Apply(nil, body[:r.Offset()], nil)
	inner := strings.Trim(string(whole[open+1:len(whole)-1]), " \t\r\n")
	return []byte(inner), id, hasResult
}

// appendAny appends a body as one JSON value: as it is if it is JSON, null if it is empty, else {"contentType","base64"}.
func appendAny(dst []byte, kind string, body []byte) []byte {
	var r splice.Reader
	switch {
	case len(body) == 0:
		return append(dst, "null"...)
	case walks(&r, kind, body):
		return append(dst, body...)
	}
	dst = appendText(append(dst, `{"contentType":`...), []byte(kind))
	dst = append(dst, `,"base64":"`...)
	return append(base64.StdEncoding.AppendEncode(dst, body), `"}`...)
}

// walks reports whether a body is JSON by its type and by its text.
func walks(r *splice.Reader, kind string, body []byte) bool {
	if !httpfield.IsJSON([]byte(kind)) || r.Reset(body) != nil {
		return false
	}
	if _, err := r.Value(); err != nil {
		return false
	}
	return r.Close() == nil
}

// kindOf gives what a body is that r has walked.
func kindOf(r *splice.Reader, body []byte) splice.Kind {
	again := r.Again(splice.Span{End: len(body)})
	return again.Peek()
}

// contentType gives that of a callback's body.
func contentType(f *correlator.Callback) string {
	if f.Head == nil {
		return jsonType
	}
	return f.Head.ContentType
}

// failure is why there is no result.
type failure struct {
	status     int
	code, text string
	said       string // the engine's own words, if text has them
	details    []dialect.Detail
	data       []byte // what the engine says, JSON; nil: nothing
}

// failureOf words what has become of a task that has no result.
func failureOf(f *correlator.Callback) failure {
	e := failure{status: fasthttp.StatusBadGateway, code: "engine-error", text: "The engine reports that the task has failed"}
	switch f.Status {
	case correlator.Cancelled:
		e.status, e.code, e.text = fasthttp.StatusConflict, "cancelled", "The task is cancelled"
	case correlator.TimedOut:
		e.status, e.code, e.text = fasthttp.StatusGatewayTimeout, "timeout", "The engine has not finished the task in the time that it had"
	case correlator.Errored, correlator.Answered:
	default:
		e.code, e.text = "bad-gateway", "The engine's answer is not usable"
		return e
	}
	var r splice.Reader
	if len(f.Body) == 0 || !walks(&r, contentType(f), f.Body) {
		return e
	}
	e.data = f.Body
	if e.said = said(&r, f.Body); e.said != "" {
		e.text = e.said
	}
	return e
}

// mostReason bounds what is quoted of an engine's words, in bytes.
const mostReason = 1 << 10

// said gives an engine's own words for a failure: the first of some members that has text.
func said(r *splice.Reader, body []byte) string {
	if kindOf(r, body) != splice.Object {
		return ""
	}
	texts := make(map[string][]byte)
	again := r.Again(splice.Span{End: len(body)})
	_, _ = again.Enter() // none of these fails: the text was walked
	for {
		m, more, _ := again.Member()
		if !more {
			break
		}
		name, is := m.Name, again.Peek()
		value, _ := again.Value()
		if is == splice.String && isReason(string(name)) {
			texts[string(name)] = again.Text(value)
		}
	}
	for _, name := range reasonMembers() {
		if text := texts[name]; len(text) > 0 {
			return strings.ToValidUTF8(string(text[:min(len(text), mostReason)]), "")
		}
	}
	return ""
}

func reasonMembers() []string { return []string{"reason", "message", "description", "detail", "title"} }

func isReason(name string) bool { return slices.Contains(reasonMembers(), name) }

// append appends the value of the member error.
func (e *failure) append(dst []byte) []byte {
	dst = appendText(append(dst, `{"code":`...), []byte(e.code))
	dst = appendText(append(dst, `,"description":`...), []byte(e.text))
	dst = append(dst, `,"additionalInfo":{"errorTrace":[`...)
	for i, d := range e.details {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		if d.Pointer != "" {
			dst = append(appendText(append(dst, `"pointer":`...), []byte(d.Pointer)), ',')
		}
		dst = append(appendText(append(dst, `"description":`...), []byte(d.Text)), '}')
	}
	dst = append(dst, ']')
	if e.data != nil {
		dst = append(append(dst, `,"data":`...), e.data...)
	}
	return append(dst, "}}"...)
}

// appendText appends a JSON string. Bytes that are no UTF-8 become U+FFFD.
func appendText(dst, text []byte) []byte {
	if !utf8.Valid(text) {
		text = []byte(strings.ToValidUTF8(string(text), "\ufffd"))
	}
	dst, _ = jsontext.AppendQuote(dst, text) // its error is about UTF-8
	return dst
}
