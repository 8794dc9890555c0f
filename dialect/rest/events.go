package rest

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/httpfield"
)

// lastEvent is the id of the event that ends a stream for good. Others have the number of what they report, from 1; accepted has 0. An event that ends
// a stream whose task goes on has none: who asks again with the last id that it has heard goes on behind that.
const lastEvent = "end"

// AppendEvent appends what an engine has reported.
func (*Dialect) AppendEvent(dst []byte, _ *dialect.Call, cb correlator.Callback) []byte {
	body := cb.Body
	if len(body) == 0 {
		body = []byte("{}")
	}
	return appendEvent(dst, strconv.FormatUint(uint64(cb.Seq), 10), "progress", body)
}

// AppendAccepted appends that the engine has the task, and where it is.
func (d *Dialect) AppendAccepted(dst []byte, _ *dialect.Call, r *dialect.Reply) []byte {
	data, _ := json.Marshal(struct { // two strings
		ID       string `json:"id"`
		Location string `json:"location"`
	}{r.Task, d.taskURL(r.Task, "")})
	return appendEvent(dst, "0", "accepted", data)
}

// AppendEnd appends how a stream ends.
func (d *Dialect) AppendEnd(dst []byte, c *dialect.Call, r *dialect.Reply, own func(dst *fasthttp.Response)) []byte {
	var s *state
	if text := stateBytes(c); text != nil {
		was := stateOf(text)
		s = &was
	}
	is := outcome(s, r)
	if is == running {
		p := unfinished(r)
		name := "timeout" // also of a node that ends: the task goes on
		if p.name() == "bad-gateway" && !errors.Is(r.Open, dialect.ErrPending) {
			return appendEvent(dst, lastEvent, "error", s.encodeProblem(&p))
		}
		return appendEvent(dst, "", name, s.encodeProblem(&p))
	}
	reply := worded(own)
	defer fasthttp.ReleaseResponse(reply)
	name := "error"
	switch is {
	case succeeded:
		name = "result"
	case cancelled:
		name = "cancelled"
	case running, failing:
	}
	data := eventData(reply)
	if s != nil && s.os1 != nil && s.os1.Events {
		data = s.os1.AppendCallback(nil, r.Task, r.Finals)
	}
	return appendEvent(dst, lastEvent, name, data)
}

// eventData gives a body as it stands in an event: JSON as it is, and everything else as text in an object.
func eventData(reply *fasthttp.Response) []byte {
	body, kind := reply.Body(), reply.Header.ContentType()
	if httpfield.IsJSON(kind) && validJSON(body) {
		return body
	}
	data, _ := json.Marshal(struct { // a string and bytes, which are written in base64
		ContentType string `json:"contentType"`
		Base64      []byte `json:"base64"`
	}{string(kind), body})
	return data
}

// appendEvent appends an event of a stream (HTML, 9.2). Where data is JSON its line ends are blanks.
func appendEvent(dst []byte, id, name string, data []byte) []byte {
	if id != "" {
		dst = append(append(append(dst, "id: "...), id...), '\n')
	}
	dst = append(append(append(dst, "event: "...), name...), '\n')
	for {
		end := bytes.IndexAny(data, "\r\n")
		line := data
		if end >= 0 {
			line = data[:end]
		}
		dst = append(append(append(dst, "data: "...), line...), '\n')
		if end < 0 {
			return append(dst, '\n')
		}
		if data[end] == '\r' && end+1 < len(data) && data[end+1] == '\n' {
			end++
		}
		data = data[end+1:]
	}
}
