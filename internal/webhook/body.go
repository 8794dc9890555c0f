package webhook

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/valyala/fasthttp"

	"syncgate/internal/callbackdata"
	"syncgate/internal/httpfield"
	"syncgate/internal/splice"
)

const bodyAuto, bodyJSON, bodyForm, bodyXML, bodyBase64 = "auto", "json", "form", "xml", "base64-json:"

// Body is how the body of a callback is read. The zero Body is auto.
type Body struct {
	kind  string
	field string // of base64-json
}

// ParseBody reads auto, json, form, xml, or base64-json:FIELD; empty is auto.
func ParseBody(text string) (Body, error) {
	switch text {
	case "", bodyAuto, bodyJSON, bodyForm, bodyXML:
		return Body{kind: cmp.Or(text, bodyAuto)}, nil
	}
	name, ok := strings.CutPrefix(text, bodyBase64)
	if !ok || name == "" {
		return Body{}, errors.New("must be auto, json, form, xml, or base64-json:FIELD with the name of a form's field")
	}
	return Body{bodyBase64, name}, nil
}

// ErrCoding says that a body is compressed, or coded in another way.
var ErrCoding = errors.New("webhook: the body has a content coding")

// Read gives the body of a request as one JSON value, in bytes of its own: auto by its type and form (callbackdata.Read); json as JSON whatever its type
// says, verbatim less the blanks around it; form and xml as callbackdata.Form and XML make it; base64-json:FIELD the JSON in a field of a form, in either
// alphabet, with padding or without. ErrCoding. Its other errors say what is wrong and quote no byte.
func (b Body) Read(req *fasthttp.Request) (data []byte, err error) {
	if httpfield.ContentCoding(&req.Header) != nil {
		return nil, ErrCoding
	}
	body := bytes.TrimPrefix(req.Body(), []byte("\ufeff")) // a byte order mark
	switch b.kind {
	case bodyJSON:
		return wholeJSON(body)
	case bodyForm:
		return callbackdata.Form(req.Header.ContentType(), body)
	case bodyXML:
		return callbackdata.XML(req.Header.ContentType(), body)
	case bodyBase64:
		fields, err := fieldsOf(req.Header.ContentType(), body)
		if err != nil {
			return nil, err
		}
		return base64JSON(fields, b.field)
	default:
		data, _, err = callbackdata.Read(req)
		return data, err
	}
}

// base64JSON decodes the JSON in a field.
func base64JSON(fields []field, name string) ([]byte, error) {
	text, ok := only(fields, name)
	if !ok {
		return nil, fmt.Errorf("form: must have the field %s once", name)
	}
	decoded, err := decodeBase64([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("form: the field %s is not base64", name)
	}
	data, err := wholeJSON(decoded)
	if err != nil {
		return nil, fmt.Errorf("form: the field %s: %w", name, err)
	}
	return data, nil
}

// wholeJSON gives a copy of a text that is one JSON value, less the blanks around it.
func wholeJSON(text []byte) ([]byte, error) {
	var r splice.Reader
	if err := r.Reset(text); err != nil {
		return nil, splice.WithoutBytes(err)
	}
	at, err := r.Value()
	if err == nil {
		err = r.Close()
	}
	if err != nil {
		return nil, splice.WithoutBytes(err)
	}
	return bytes.Clone(at.Of(text)), nil
}

// MostEvents is how many events a callback may have.
const MostEvents = 1000

var (
	// ErrNoEvents says that there is no array at the path of the events.
	ErrNoEvents = errors.New("webhook: no array of events at its path")
	// ErrTooManyEvents says that a callback has more than MostEvents.
	ErrTooManyEvents = errors.New("webhook: more than 1000 events")
)

// Split gives the elements of the array at the path, each one JSON value, in order. The array may stand in a string, as a form's field with JSON does.
// An empty array has no events, and no error. The events are parts of data, or of a copy.
func (p Path) Split(data []byte) (events [][]byte, err error) {
	var r splice.Reader
	at, kind, ok := p.find(&r, data)
	if !ok {
		return nil, ErrNoEvents
	}
	text := r.Raw(at)
	if kind == splice.String {
		if text = r.Text(at); r.Reset(text) != nil {
			return nil, ErrNoEvents
		}
		kind = r.Peek()
		if _, err := r.Value(); err != nil || r.Close() != nil {
			return nil, ErrNoEvents
		}
	}
	if kind != splice.Array || r.Reset(text) != nil {
		return nil, ErrNoEvents
	}
	_, _ = r.Enter() // none of these fails: the text was walked
	for {
		more, _ := r.Element()
		if !more {
			return events, nil
		}
		if len(events) == MostEvents {
			return nil, ErrTooManyEvents
		}
		one, _ := r.Value()
		events = append(events, r.Raw(one))
	}
}
