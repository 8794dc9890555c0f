package httpengine

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/httpfield"
	"syncgate/internal/splice"
)

// mostFields bounds what is kept of a callback's header, in bytes.
const mostFields = 8 << 10

// Callback reads what the engine calls back with: the result as it is, or a status with data. The engine hears an empty object. Its errors are
// *dialect.Fault, and quote nothing.
func (e *Engine) Callback(req *fasthttp.Request, op int) (cb correlator.Callback, answer []byte, err error) {
	h := &req.Header
	if httpfield.ContentCoding(h) != nil {
		return cb, nil, &dialect.Fault{Status: fasthttp.StatusUnsupportedMediaType, Text: "Content-Encoding is not supported"}
	}
	status, err := dialect.StatusOf(req)
	if err != nil {
		return cb, nil, err
	}
	contentType, body := h.ContentType(), req.Body()
	if h.IsGet() {
		contentType, body = []byte(jsonType), queryData(h.RequestURI())
	}
	if cb, err = e.read(contentType, h.PeekAll, body, status); err != nil {
		return cb, nil, &dialect.Fault{Status: fasthttp.StatusBadRequest, Text: "Incorrect callback: " + splice.WithoutBytes(err).Error()}
	}
	cb.Op = op
	return cb, []byte("{}"), nil
}

const jsonType = "application/json"

// read makes a callback of a message. status is what its head says of it; Open: nothing. Errors may quote bytes of it.
func (e *Engine) read(contentType []byte, peek func(name string) [][]byte, body []byte, status correlator.Status) (cb correlator.Callback, err error) {
	s := e.borrow()
	defer e.giveBack(s)
	r := &s.json
	var whole splice.Span
	walkErr := error(errNoJSON)
	if len(body) > 0 {
		whole, walkErr = walked(r, body)
	}
	if len(body) > 0 && httpfield.IsJSON(contentType) && walkErr != nil {
		return cb, walkErr
	}
	if status == correlator.Open {
		if status, err = e.statusIn(r, whole, walkErr == nil); err != nil {
			return cb, err
		}
	}
	cb = correlator.Callback{Status: status, Body: append([]byte{}, body...)}
	switch {
	case status.Running():
		if len(body) > 0 && walkErr != nil {
			return cb, fmt.Errorf("progress must be JSON: %w", walkErr)
		}
		return cb, nil
	case status == correlator.Complete && len(e.result) > 0:
		if walkErr != nil {
			return cb, fmt.Errorf("the result is looked for in JSON: %w", walkErr)
		}
		at, found := find(r, whole, e.result)
		if !found {
			return cb, errors.New("there is no result at " + e.cfg.Result)
		}
		cb.Body, contentType = append([]byte{}, r.Raw(at)...), []byte(jsonType)
	}
	return cb, e.addHead(&cb, contentType, peek)
}

var errNoJSON = errors.New("it is empty")

// statusIn gives the status that stands in a message, Complete where there is none.
func (e *Engine) statusIn(r *splice.Reader, whole splice.Span, isJSON bool) (correlator.Status, error) {
	if len(e.statusFrom) == 0 || !isJSON {
		return correlator.Complete, nil
	}
	at, found := find(r, whole, e.statusFrom)
	if !found {
		return correlator.Complete, nil
	}
	word, ok := textOf(r, at)
	if ok && len(e.cfg.Status.Map) > 0 {
		word, ok = e.cfg.Status.Map[word]
	}
	status, known := dialect.StatusNamed(word)
	if !ok || !known {
		return correlator.Open, errors.New("the status at " + e.cfg.Status.From + " is none that status.map knows")
	}
	return status, nil
}

// addHead keeps what clients may see of a message's head.
func (e *Engine) addHead(cb *correlator.Callback, contentType []byte, peek func(name string) [][]byte) error {
	var fields []byte
	for _, name := range *e.fields.Load() {
		for _, value := range peek(name) {
			fields = append(append(append(append(fields, name...), ": "...), value...), "\r\n"...)
		}
	}
	if len(fields) > mostFields {
		return fmt.Errorf("the headers that clients may see are larger than %d bytes", mostFields)
	}
	if len(contentType) > correlator.MaxContentType {
		return fmt.Errorf("the content type is longer than %d bytes", correlator.MaxContentType)
	}
	if len(fields) > 0 || string(contentType) != jsonType {
		cb.Head = &correlator.Head{ContentType: string(contentType), Fields: fields}
	}
	return nil
}

// queryData gives the query of a target as a JSON object of strings; a name that repeats has an array. What says the status is left out.
func queryData(target []byte) []byte {
	_, query, _ := bytes.Cut(target, []byte{'?'})
	var args fasthttp.Args
	args.ParseBytes(query)
	all := make(map[string][]string)
	for name, value := range args.All() {
		all[string(name)] = append(all[string(name)], quote(string(value)))
	}
	delete(all, "callback_status")
	data := []byte{'{'}
	for i, name := range slices.Sorted(maps.Keys(all)) {
		if i > 0 {
			data = append(data, ',')
		}
		values := strings.Join(all[name], ",")
		if len(all[name]) > 1 {
			values = "[" + values + "]"
		}
		data = append(data, quote(name)+":"+values...)
	}
	return append(data, '}')
}
