// Package callbackdata reads what an engine or a webhook calls back with, whatever format it has: JSON, a form of either encoding, XML, Corezoid's
// own format, or a query. It gives one JSON value.
//
// Its errors say what is wrong and where, and quote no byte of the request: they go to the log.
package callbackdata

import (
	"bytes"
	"errors"

	"github.com/valyala/fasthttp"

	"syncgate/internal/splice"
)

// Read gives the data of a callback and what its sender is to hear, both in bytes of their own. The data of JSON is the JSON, byte for byte less the
// blanks around it; of Corezoid's own format, which is looked at first, the extra of its first op; of a form or XML what Form and XML make of it; of an
// empty body an empty object. A GET has its query for data, less what a node of Corezoid adds to it. The answer is an empty object for all but Corezoid's
// own format: an API Call node merges what it hears into its task. A body is read as JSON when its type says nothing else, or is wrong.
func Read(req *fasthttp.Request) (data, answer []byte, err error) {
	if req.Header.IsGet() {
		_, query, _ := bytes.Cut(req.Header.RequestURI(), []byte{'?'}) // raw: a URI whose host does not parse has no query
		data, err = formData(query, isSystem)
		return data, emptyObject(), err
	}
	contentType := req.Header.ContentType()
	media := MediaType(contentType)
	if isXML(media) && bytes.HasPrefix(trimXML(req.Body()), []byte{'<'}) {
		data, err = XML(contentType, req.Body())
		return data, emptyObject(), err
	}
	body := bytes.TrimPrefix(req.Body(), []byte("\ufeff")) // a byte order mark
	switch {
	case len(body) == 0:
		data = emptyObject()
	case isName(media, typeForm):
		if startsNested(body) {
			if data, answer, err = jsonData(body); err == nil {
				return data, answer, nil
			}
		}
		data, err = formData(body, nil)
	case isName(media, typeMultipart):
		form, ok := multipartOf(contentType, body)
		if !ok {
			return jsonData(body)
		}
		data, err = form.read()
	default:
		return jsonData(body)
	}
	return data, emptyObject(), err
}

const (
	typeForm      = "application/x-www-form-urlencoded"
	typeMultipart = "multipart/form-data"
)

// Form makes an object of strings of a form; a repeated name makes an array, where it came first. A type of multipart/form-data says that the form is
// one of those, any other that it is urlencoded, as a query is. Files are refused.
func Form(contentType, body []byte) ([]byte, error) {
	if !isName(MediaType(contentType), typeMultipart) {
		return formData(body, nil)
	}
	form, ok := multipartOf(contentType, body)
	if !ok {
		return nil, errors.New("form: it does not begin with its boundary")
	}
	return form.read()
}

func multipartOf(contentType, body []byte) (multipart, bool) {
	boundary, _ := parameter(contentType, "boundary")
	return newMultipart(body, boundary)
}

// XML makes {"root":…} of a document. An element is its text when it has neither attributes nor children, else an object: attributes are @name,
// children their name, text is #value; children of the same name make an array. Prefixes are kept, blank text is dropped. Only UTF-8 and US-ASCII are
// read, and no entity but XML's own five.
func XML(contentType, body []byte) ([]byte, error) {
	charset, _ := parameter(contentType, "charset")
	return xmlData(body, charset)
}

func emptyObject() []byte { return []byte("{}") }

// withEmptyObject gives a copy of data, and an empty object, in one piece of memory.
func withEmptyObject(data []byte) (own, empty []byte) {
	room := append(append(make([]byte, 0, len(data)+len("{}")), data...), "{}"...)
	return room[:len(data):len(data)], room[len(data):]
}

// jsonData reads a body as JSON: a package in Corezoid's own format, whose first op carries the data, or the data itself.
func jsonData(body []byte) (data, answer []byte, err error) {
	var s reader
	j := &s.json
	if err := j.Reset(body); err != nil {
		return nil, nil, splice.WithoutBytes(err)
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
		return nil, nil, splice.WithoutBytes(err)
	}
	if first.typ.kind != splice.String || string(j.Text(first.typ.Span)) != "data" {
		data, answer = withEmptyObject(whole.Of(body))
		return data, answer, nil
	}
	if first.extra.kind == splice.Invalid {
		return emptyObject(), first.answer(body), nil
	}
	return bytes.Clone(first.extra.Of(body)), first.answer(body), nil
}

// reader reads one body. It lives on the stack.
type reader struct{ json splice.Reader }

// value is where a value stands and what it is; the zero value is an absent one.
type value struct {
	splice.Span
	kind splice.Kind
}

// value reads the next value.
func (s *reader) value() (v value, err error) {
	v.kind = s.json.Peek()
	v.Span, err = s.json.Value()
	return v, err
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
func (s *reader) readCarrier(first *carrier) (whole splice.Span, err error) {
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
func (s *reader) readCarriers(first *carrier) error {
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

func (s *reader) readCarrierOp(op *carrier) error {
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
