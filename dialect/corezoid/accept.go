package corezoid

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/internal/httpfield"
	"syncgate/internal/splice"
)

// Accept verifies a request and reads it, in the order signature, time, encoding, body.
func (d *Dialect) Accept(req *fasthttp.Request, _ dialect.Route, now time.Time) (*dialect.Call, error) {
	access := d.access.Load()
	from, inHeaders, ok := parsePath(httpfield.RawPath(req.Header.RequestURI()))
	switch {
	case !ok:
		return nil, &dialect.Fault{Status: fasthttp.StatusNotFound, Text: "Not found"}
	case inHeaders:
		from, _ = headerCredentials(&req.Header)
	}
	body := req.Body()
	login, fault := access.verify(from, body, now)
	if fault != nil {
		return nil, fault
	}
	if coding := httpfield.ContentCoding(&req.Header); coding != nil {
		return nil, of(login, encodingFault(fmt.Sprintf(": %q", short(coding))))
	}
	s := d.borrow()
	defer d.giveBack(s)
	q := request{d: d, s: s, body: body, maxOps: access.MaxOps, own: d.ownMembers(&req.Header), wait: d.timeouts.Default, login: login, waiters: d.waiters.Load()}
	if err := q.read(); err != nil {
		return nil, of(login, bodyFault(err))
	}
	c := q.call()
	if len(req.Header.PeekCanonical([]byte("Idempotency-Key"))) > 0 {
		sum := s.fingerprint(body)
		c.Fingerprint = &sum
	}
	return c, nil
}

// of says whose request it was that is refused.
func of(login string, f *dialect.Fault) *dialect.Fault {
	f.Login = login
	return f
}

// fingerprint is the hash of a body that was read, without its timeout: a client that asks again may give it another.
func (s *scratch) fingerprint(body []byte) [sha256.Size]byte {
	var edits splice.Edits
	err := s.json.Reset(body)
	if err == nil {
		_, err = s.json.CutMembers(&edits, []string{"timeout"})
	}
	if err != nil {
		return sha256.Sum256(body) // never: it was read a moment ago
	}
	rest, _ := edits.Apply(make([]byte, 0, len(body)), body, nil)
	return sha256.Sum256(rest)
}

// ownMembers are what the data of each task of a request gets: the callback URL, whose token comes later, the trace, and the headers.
func (d *Dialect) ownMembers(h *fasthttp.RequestHeader) string {
	if len(d.headers) == 0 && !d.trace {
		return d.callbackURL
	}
	b := []byte(d.callbackURL)
	if trace := h.Peek("Traceparent"); d.trace && len(trace) > 0 {
		b = appendQuoted(append(b, `,"`+traceMember+`":`...), trace)
	}
	if len(d.headers) == 0 {
		return string(b)
	}
	b = append(b, `,"`+headersMember+`":{`...)
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
