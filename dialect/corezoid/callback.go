package corezoid

import (
	"fmt"
	"strings"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/callbackdata"
	"syncgate/internal/httpfield"
)

// Callback reads what a process calls back with. The data of a JSON body is that body, byte for byte. The engine hears an
// empty object: an API Call node merges what it hears into its task.
func (d *Dialect) Callback(req *fasthttp.Request, op int) (cb correlator.Callback, answer []byte, err error) {
	if httpfield.ContentCoding(&req.Header) != nil {
		return cb, nil, encodingFault("")
	}
	status, err := dialect.StatusOf(req)
	if err != nil {
		return cb, nil, err
	}
	if status == correlator.Open {
		status = correlator.Complete
	}
	data, answer, err := callbackdata.Read(req)
	if err != nil {
		return cb, nil, bodyFault(err)
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
