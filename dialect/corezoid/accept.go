package corezoid

import (
	"bytes"
	"fmt"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/gateway"
	"syncgate/signer"
)

// Accept verifies a request and reads it, in the order signature, time, encoding, body.
func (d *Dialect) Accept(ctx *fasthttp.RequestCtx, now time.Time) (*gateway.Call, error) {
	access := d.access.Load()
	from, ok := parsePath(gateway.RawPath(ctx.Request.Header.RequestURI()))
	if !ok {
		return nil, &gateway.Fault{Status: fasthttp.StatusNotFound, Text: "Not found"}
	}
	body := ctx.Request.Body()
	login, ok := access.Keys.Verify(from.login, from.stamp, from.signature, body)
	if !ok {
		return nil, &gateway.Fault{Status: fasthttp.StatusUnauthorized, Text: "Incorrect signature or login"}
	}
	if err := signer.CheckTime(from.stamp, now, access.Window); err != nil {
		return nil, &gateway.Fault{Status: fasthttp.StatusUnauthorized, Text: "Request time is outside the allowed window", Err: err}
	}
	if fault := encodingFault(&ctx.Request); fault != nil {
		return nil, fault
	}
	s := d.borrow()
	defer d.giveBack(s)
	q := request{d: d, s: s, body: body, maxOps: access.MaxOps, own: d.ownMembers(&ctx.Request.Header), wait: d.timeouts.Default}
	if err := q.read(); err != nil {
		return nil, bodyFault(err)
	}
	return q.call(login), nil
}

// encodingFault refuses compressed bodies: what was signed, spliced and forwarded must be what was sent.
func encodingFault(req *fasthttp.Request) *gateway.Fault {
	encoding := req.Header.ContentEncoding()
	if len(encoding) == 0 || bytes.EqualFold(encoding, []byte("identity")) {
		return nil
	}
	return &gateway.Fault{Status: fasthttp.StatusUnsupportedMediaType, Text: fmt.Sprintf("Content-Encoding is not supported: %.60q", encoding)}
}

func bodyFault(err error) *gateway.Fault {
	return &gateway.Fault{Status: fasthttp.StatusBadRequest, Text: "Incorrect body: " + err.Error()}
}

// ownMembers are what the data of each task of a request gets: the callback URL, whose token comes later, and the headers.
func (d *Dialect) ownMembers(h *fasthttp.RequestHeader) string {
	if len(d.headers) == 0 {
		return d.callbackURL
	}
	b := append([]byte(d.callbackURL), `,"`+headersMember+`":{`...)
	open := len(b)
	for i := range d.headers {
		values := h.PeekAll(d.headers[i].name)
		if len(values) == 0 || len(values[0]) == 0 {
			continue
		}
		if len(b) > open {
			b = append(b, ',')
		}
		b = append(b, d.headers[i].member...)
		if len(values) == 1 {
			b = appendQuoted(b, values[0])
			continue
		}
		b = appendQuoted(b, joined(values))
	}
	return string(append(b, '}'))
}

// joined makes one value of a header that was sent in several lines, as RFC 9110 (5.3) allows.
func joined(values [][]byte) []byte {
	return bytes.Join(values, []byte(", "))
}
