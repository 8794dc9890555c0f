package rest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/internal/httpfield"
	"syncgate/internal/splice"
)

const (
	typeJSON    = "application/json"
	typeHAL     = "application/hal+json"
	typeEvents  = "text/event-stream"
	typeProblem = "application/problem+json"
)

// Accept verifies a request and reads it, in the order signature or key, encoding, body, schema.
func (d *Dialect) Accept(req *fasthttp.Request, r dialect.Route, now time.Time) (*dialect.Call, error) {
	p := d.placeOf(r, req)
	if p == nil {
		return nil, &dialect.Fault{Status: fasthttp.StatusNotFound, Text: "Not found: no such path"}
	}
	to := p.of(string(req.Header.Method()))
	if to == nil {
		return nil, &dialect.Fault{Status: fasthttp.StatusMethodNotAllowed, Text: "Method not allowed", Allow: strings.Join(p.methods, ", ")}
	}
	params, path, signature := to.parameters(httpfield.RawPath(req.Header.RequestURI()))
	login, by, err := d.caller(p, to, req, signature, now)
	if err != nil {
		return nil, err
	}
	body, wish, fault := d.readBody(to, req, path)
	if fault != nil {
		fault.Login = login
		if wish.os1 != nil {
			fault.Own = &wish.os1.state
		}
		return nil, fault
	}
	c := &dialect.Call{Login: login, Ops: []dialect.Op{{Create: true, Process: []byte(to.ConvID)}}}
	o := &dialect.Options{
		Route: to.Name, Engine: to.Engine, Idle: to.Idle, OnDisconnect: to.OnDisconnect, FirstReport: to.States[groupActive] != 0, Guarded: to.Auth != AuthNone, Quotas: to.quotas,
		Asked: to.asked(req, login, path, params),
	}
	c.Options = o
	if by != nil && by.quota != nil {
		o.Quotas = append(slices.Clip(o.Quotas), *by.quota)
	}
	key, _ := httpfield.IdempotencyKey(&req.Header, true) // one that is none is refused by the gateway
	if key != "" {
		sum := fingerprint(o.Asked)
		c.Fingerprint = &sum
	}
	o.Asked.Body = body
	receivers := addressed{d.pushedOf(c, to, &wish), wish.os1}
	if wish.os1 != nil {
		d.callBackLater(c, to, wish.os1)
	}
	if fault := to.prefer(c, &req.Header, receivers); fault != nil {
		fault.Login = login
		return nil, fault
	}
	if receivers.push != nil {
		subscribe(c, to, &wish, receivers.push, subscriber{by, key, now})
	}
	return c, nil
}

// readBody gives what the engine is to get of a body, and what the body asks for beside that. path is that of the request, without a signature.
func (d *Dialect) readBody(to *route, req *fasthttp.Request, path []byte) (body []byte, w wish, fault *dialect.Fault) {
	if to.View == ViewOS1 {
		w.os1, fault = d.readOS1(to, req, path)
		return w.os1.body, w, fault
	}
	if fault = to.checkBody(req); fault != nil {
		return nil, w, fault
	}
	body = req.Body()
	if to.Subscriptions {
		if body, w, fault = to.readWish(body); fault == nil {
			fault = d.checkWish(to, &w)
		}
		if fault != nil {
			return nil, w, fault
		}
	}
	if to.schema != nil && !w.continuous {
		return body, w, to.schema.check(body)
	}
	return body, w, nil
}

// caller says whom the task of a request is to belong to. by is its access entry, if it has one.
func (d *Dialect) caller(p *place, to *route, req *fasthttp.Request, s [signatureParts][]byte, now time.Time) (login string, by *caller, err error) {
	switch to.Auth {
	case AuthNone:
		return to.entry, nil, nil
	case AuthCorezoid:
		if d.outside.Verifier == nil {
			return "", nil, fmt.Errorf("route %s: nobody checks signatures", to.Name)
		}
		login, err = d.outside.Verifier.Verify(s[0], s[1], s[2], req.Body(), now)
		return login, nil, err
	}
	by, fault := p.authenticate(to, &req.Header)
	if fault != nil {
		return "", nil, fault
	}
	return by.name, by, nil
}

// checkBody refuses a body that the engine is not to get.
func (r *route) checkBody(req *fasthttp.Request) *dialect.Fault {
	if httpfield.ContentCoding(&req.Header) != nil {
		return &dialect.Fault{Status: fasthttp.StatusUnsupportedMediaType, Text: "Content-Encoding is not supported: send the body as it is"}
	}
	body := req.Body()
	members := r.Data == DataMembers || r.Data == DataBoth
	if len(body) > 0 && (members || r.schema != nil || httpfield.IsJSON(req.Header.ContentType())) {
		if err := checkJSON(body, members); err != nil {
			return &dialect.Fault{Status: fasthttp.StatusBadRequest, Reason: dialect.BadBody, Text: "Incorrect body: " + err.Error()}
		}
	}
	return nil
}

// checkJSON wants one JSON value, or one object.
func checkJSON(body []byte, object bool) error {
	var r splice.Reader
	if err := r.Reset(body); err != nil {
		return err
	}
	is := r.Peek()
	if _, err := r.Value(); err != nil {
		return err
	}
	if err := r.Close(); err != nil {
		return err
	}
	if object && is != splice.Object {
		return fmt.Errorf("it must be a JSON object, and is of type %s", is)
	}
	return nil
}

// prefer reads when and how the client wants to be answered.
func (r *route) prefer(c *dialect.Call, h *fasthttp.RequestHeader, to addressed) *dialect.Fault {
	wants := httpfield.Preferred(h, typeJSON, typeHAL, typeEvents)
	if fault := r.checkAccept(h); fault != nil {
		return fault
	}
	p := httpfield.ReadPreferences(h, r.Wait.Max)
	end := r.state.End
	c.Wait = r.Wait.Default
	if p.HasWait {
		c.Wait = p.Wait
	}
	async := to.isAsync(wants)
	switch {
	case async:
		c.Options.Mode = dialect.HandOver
		p.Redirect, p.HasWait, end, c.Wait = false, false, "", r.Wait.Max
	case wants == typeEvents:
		c.Options.Mode = dialect.Stream
		p.RespondAsync, p.Redirect = false, false
		if p.Wait == 0 {
			c.Wait, p.HasWait = r.Wait.Max, false
		}
	case c.Wait == 0, p.RespondAsync && p.Wait == 0:
		c.Options.Mode = dialect.HandOver
		p.Redirect = false
		c.Wait = r.Wait.Max // for which the callback is awaited
	case p.RespondAsync: // after a wait (RFC 7240, 4.3)
		p.Redirect, end = false, ""
	case p.Redirect:
		end = EndRedirect
	}
	hal := async || r.View == ViewHAL || r.View == ViewAuto && wants == typeHAL
	c.Options.ComesBack = end != EndTimeout
	c.Options.State, c.Options.Applied = r.state.with(end, c.Wait, hal, to), honoured(p)
	return nil
}

// checkAccept refuses a request that takes no form that a route with view hal has.
func (r *route) checkAccept(h *fasthttp.RequestHeader) *dialect.Fault {
	if r.View == ViewHAL && !takesHAL(h) {
		return &dialect.Fault{Status: fasthttp.StatusNotAcceptable, Text: "Not acceptable: this route answers " + typeHAL}
	}
	return nil
}

// takesHAL reports whether Accept allows a form that something with view hal can have: hal+json is JSON, and results may be.
func takesHAL(h *fasthttp.RequestHeader) bool {
	return httpfield.Preferred(h, typeHAL, typeJSON, typeEvents, typeProblem) != ""
}

// honoured words preferences that are.
func honoured(p httpfield.Preferences) string {
	var names []string
	if p.RespondAsync {
		names = append(names, "respond-async")
	}
	if p.Redirect {
		names = append(names, "redirect")
	}
	if p.HasWait {
		names = append(names, "wait="+strconv.Itoa(seconds(p.Wait)))
	}
	return strings.Join(names, ", ")
}

// fingerprint is the same for requests that ask for the same.
func fingerprint(a *dialect.Asked) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(a.Method), a.Path, a.Query, a.Body} {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write(part)
	}
	h.Sum(sum[:0])
	return sum
}
