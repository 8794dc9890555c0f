package corezoid

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/gateway"
	"syncgate/internal/httpfield"
	"syncgate/internal/splice"
)

// Callback reads what a process calls back with. The data of a JSON body is that body, byte for byte. The engine hears an
// empty object: an API Call node merges what it hears into its task.
func (d *Dialect) Callback(req *fasthttp.Request, op int) (cb correlator.Callback, answer []byte, err error) {
	if httpfield.ContentCoding(&req.Header) != nil {
		return cb, nil, encodingFault("")
	}
	status, err := gateway.StatusOf(req)
	if err != nil {
		return cb, nil, err
	}
	if status == correlator.Open {
		status = correlator.Complete
	}
	s := d.borrow()
	defer d.giveBack(s)
	data, answer, err := s.callbackData(req)
	if err != nil {
		return cb, nil, bodyFault(splice.WithoutBytes(err))
	}
	cb = correlator.Callback{Op: op, Status: status, Body: data}
	if names := d.fields.Load(); names != nil {
		err = addFields(&cb, *names, &req.Header)
	}
	return cb, answer, err
}

// mostFields bounds what is kept of a callback's header, in bytes.
const mostFields = 8 << 10

// addFields keeps the header fields that clients of routes may see. The body is JSON, whatever it was.
func addFields(cb *correlator.Callback, names []string, h *fasthttp.RequestHeader) error {
	var fields []byte
	for _, name := range names {
		if strings.EqualFold(name, fasthttp.HeaderContentType) {
			continue
		}
		for _, value := range h.PeekAll(name) {
			fields = append(append(append(append(fields, name...), ": "...), value...), "\r\n"...)
		}
	}
	if len(fields) > mostFields {
		return bodyFault(fmt.Errorf("the headers that clients may see are larger than %d bytes", mostFields))
	}
	if len(fields) > 0 {
		cb.Head = &correlator.Head{ContentType: contentType, Fields: fields}
	}
	return nil
}

// callbackData gives the data of a callback and its answer, both in bytes of their own.
func (s *scratch) callbackData(req *fasthttp.Request) (data, answer []byte, err error) {
	if req.Header.IsGet() {
		_, query, _ := bytes.Cut(req.Header.RequestURI(), []byte{'?'}) // raw: a URI whose host does not parse has no query
		data, err = formData(query, isSystem)
		return data, emptyObject(), err
	}
	contentType := req.Header.ContentType()
	media := mediaType(contentType)
	if isXML(media) && bytes.HasPrefix(trimXML(req.Body()), []byte{'<'}) {
		charset, _ := parameter(contentType, "charset")
		data, err = xmlData(req.Body(), charset)
		return data, emptyObject(), err
	}
	body := bytes.TrimPrefix(req.Body(), []byte("\ufeff")) // a byte order mark
	switch {
	case len(body) == 0:
		data = emptyObject()
	case isName(media, "application/x-www-form-urlencoded"):
		if startsNested(body) {
			if data, answer, err = s.jsonData(body); err == nil {
				return data, answer, nil
			}
		}
		data, err = formData(body, nil)
	case isName(media, "multipart/form-data"):
		boundary, _ := parameter(contentType, "boundary")
		form, ok := newMultipart(body, boundary)
		if !ok {
			return s.jsonData(body)
		}
		data, err = form.read()
	default:
		return s.jsonData(body)
	}
	return data, emptyObject(), err
}

func emptyObject() []byte { return []byte("{}") }

// withEmptyObject gives a copy of data, and an empty object, in one piece of memory.
func withEmptyObject(data []byte) (own, empty []byte) {
	room := append(append(make([]byte, 0, len(data)+len("{}")), data...), "{}"...)
	return room[:len(data):len(data)], room[len(data):]
}

// jsonData reads a body as JSON: a package in Corezoid's own format, whose first op carries the data, or the data itself.
func (s *scratch) jsonData(body []byte) (data, answer []byte, err error) {
	j := &s.json
	if err := j.Reset(body); err != nil {
		return nil, nil, err
	}
	var whole splice.Span
	var first carrier
	if j.Peek() == splice.Object {
		whole, err = s.readCarrier(&first)
	} else {
		whole, err = j.Value()
	}
	if err == nil {
		err = j.Close()
	}
	if err != nil {
		return nil, nil, err
	}
	if first.typ.kind != splice.String || string(s.text(first.typ)) != "data" {
		data, answer = withEmptyObject(whole.Of(body))
		return data, answer, nil
	}
	if first.extra.kind == splice.Invalid {
		return emptyObject(), first.answer(body), nil
	}
	return bytes.Clone(first.extra.Of(body)), first.answer(body), nil
}

// carrier is the op of a package in Corezoid's own format: what a node that is set to it sends.
type carrier struct{ typ, extra, ref, objID value }

// answer is what such a node expects to hear, about the op whose data was taken.
func (c *carrier) answer(body []byte) []byte {
	text := []byte(`{"request_proc":"ok","ops":[{`)
	if c.ref.kind != splice.Invalid {
		text = append(append(append(text, `"ref":`...), c.ref.Of(body)...), ',')
	}
	if c.objID.kind != splice.Invalid {
		text = append(append(append(text, `"obj_id":`...), c.objID.Of(body)...), ',')
	}
	return append(text, `"proc":"ok","res_data":{}}]}`...)
}

// readCarrier walks an object and looks whether it is such a package. Of repeated names the last one counts.
func (s *scratch) readCarrier(first *carrier) (whole splice.Span, err error) {
	if whole.Start, err = s.json.Enter(); err != nil {
		return whole, err
	}
	for {
		m, more, err := s.json.Member()
		if err != nil {
			return whole, err
		}
		if !more {
			whole.End = s.json.Offset()
			return whole, nil
		}
		if string(m.Name) == "ops" {
			*first = carrier{}
			err = s.readCarriers(first)
		} else {
			_, err = s.json.Value()
		}
		if err != nil {
			return whole, err
		}
	}
}

// readCarriers reads the first op of an array.
func (s *scratch) readCarriers(first *carrier) error {
	if s.json.Peek() != splice.Array {
		_, err := s.json.Value()
		return err
	}
	if _, err := s.json.Enter(); err != nil {
		return err
	}
	for n := 0; ; n++ {
		more, err := s.json.Element()
		if err != nil || !more {
			return err
		}
		if n == 0 && s.json.Peek() == splice.Object {
			err = s.readCarrierOp(first)
		} else {
			_, err = s.json.Value()
		}
		if err != nil {
			return err
		}
	}
}

func (s *scratch) readCarrierOp(op *carrier) error {
	if _, err := s.json.Enter(); err != nil {
		return err
	}
	for {
		m, more, err := s.json.Member()
		if err != nil || !more {
			return err
		}
		switch string(m.Name) {
		case "type":
			op.typ, err = s.value()
		case "extra":
			op.extra, err = s.value()
		case "ref":
			op.ref, err = s.value()
		case "obj_id":
			op.objID, err = s.value()
		default:
			_, err = s.json.Value()
		}
		if err != nil {
			return err
		}
	}
}

// startsNested reports whether a body begins as a JSON object or array does: others are forms when they say so.
func startsNested(body []byte) bool {
	body = bytes.TrimLeft(body, blanks)
	return len(body) > 0 && (body[0] == '{' || body[0] == '[')
}
