package corezoid

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/internal/splice"
)

// Callback reads what a process calls back with. The data of a JSON body is that body, byte for byte. The engine hears an
// empty object: an API Call node merges what it hears into its task.
func (d *Dialect) Callback(req *fasthttp.Request, op int) (cb correlator.Callback, answer []byte, err error) {
	if fault := encodingFault(req); fault != nil {
		return cb, nil, fault
	}
	w := d.worker()
	defer d.rest(w)
	data, answer, err := w.callbackData(req)
	if err != nil {
		return cb, nil, bodyFault(err)
	}
	return correlator.Callback{Op: op, Status: correlator.Complete, Body: data}, answer, nil
}

// callbackData gives the data of a callback and its answer, both in bytes of their own.
func (w *worker) callbackData(req *fasthttp.Request) (data, answer []byte, err error) {
	if req.Header.IsGet() {
		_, query, _ := bytes.Cut(req.Header.RequestURI(), []byte{'?'}) // raw: a URI whose host does not parse has no query
		data, err = formData(query, isSystem)
		return data, emptyObject(), err
	}
	body := req.Body()
	media, charset := mediaType(req.Header.ContentType())
	switch {
	case len(body) == 0:
		data = emptyObject()
	case media == "application/x-www-form-urlencoded":
		if startsNested(body) {
			if data, answer, err = w.jsonData(body); err == nil {
				return data, answer, nil
			}
		}
		data, err = formData(body, nil)
	case isXML(media) && bytes.HasPrefix(trimXML(body), []byte{'<'}):
		data, err = xmlData(trimXML(body), charset)
	default:
		return w.jsonData(body)
	}
	return data, emptyObject(), err
}

func emptyObject() []byte { return []byte("{}") }

// jsonData reads a body as JSON: a package in Corezoid's own format, whose first op carries the data, or the data itself.
func (w *worker) jsonData(body []byte) (data, answer []byte, err error) {
	j := &w.json
	if err := j.Reset(body); err != nil {
		return nil, nil, err
	}
	var whole splice.Span
	var first carrier
	if j.Peek() == splice.Object {
		whole, err = w.readCarrier(&first)
	} else {
		whole, err = j.Value()
	}
	if err == nil {
		err = j.Close()
	}
	if err != nil {
		return nil, nil, err
	}
	if first.typ.kind != splice.String || string(w.text(first.typ)) != "data" {
		return bytes.Clone(whole.Of(body)), emptyObject(), nil
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
func (w *worker) readCarrier(first *carrier) (whole splice.Span, err error) {
	if whole.Start, err = w.json.Enter(); err != nil {
		return whole, err
	}
	for {
		m, more, err := w.json.Member()
		if err != nil {
			return whole, err
		}
		if !more {
			whole.End = w.json.Offset()
			return whole, nil
		}
		if string(m.Name) == "ops" {
			*first = carrier{}
			err = w.readCarriers(first)
		} else {
			_, err = w.json.Value()
		}
		if err != nil {
			return whole, err
		}
	}
}

// readCarriers reads the first op of an array.
func (w *worker) readCarriers(first *carrier) error {
	if w.json.Peek() != splice.Array {
		_, err := w.json.Value()
		return err
	}
	if _, err := w.json.Enter(); err != nil {
		return err
	}
	for n := 0; ; n++ {
		more, err := w.json.Element()
		if err != nil || !more {
			return err
		}
		if n == 0 && w.json.Peek() == splice.Object {
			err = w.readCarrierOp(first)
		} else {
			_, err = w.json.Value()
		}
		if err != nil {
			return err
		}
	}
}

func (w *worker) readCarrierOp(op *carrier) error {
	if _, err := w.json.Enter(); err != nil {
		return err
	}
	for {
		m, more, err := w.json.Member()
		if err != nil || !more {
			return err
		}
		switch string(m.Name) {
		case "type":
			op.typ, err = w.value()
		case "extra":
			op.extra, err = w.value()
		case "ref":
			op.ref, err = w.value()
		case "obj_id":
			op.objID, err = w.value()
		default:
			_, err = w.json.Value()
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

// mediaType gives the type and the charset of a Content-Type, in lower case.
func mediaType(contentType []byte) (media, charset string) {
	head, parameters, _ := bytes.Cut(contentType, []byte{';'})
	media = string(bytes.ToLower(bytes.TrimSpace(head)))
	for parameter := range bytes.SplitSeq(parameters, []byte{';'}) {
		name, value, _ := bytes.Cut(parameter, []byte{'='})
		if bytes.EqualFold(bytes.TrimSpace(name), []byte("charset")) {
			charset = string(bytes.ToLower(bytes.Trim(value, " \t\"")))
		}
	}
	return media, charset
}
