package gateway

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/internal/httpserver"
)

// partners call the code of dialects and engines, which others write. Nothing else in this package calls that code. A panic ends
// here, as an error: the caller never unwinds while it holds a connection, a place in the pool, a place of admission or a reservation.
type partners struct {
	dialects []Dialect // the first is the default
	log      zerolog.Logger
}

// errPartner is the error of a dialect or an engine that panicked, or that gave what nothing can be made of.
var errPartner = errors.New("gateway: the dialect or the engine failed")

// recovered turns a panic of the named method into an error.
func (p *partners) recovered(method string, err *error) {
	if v := recover(); v != nil {
		p.log.Error().Str("panic", httpserver.PanicText(v)).Bytes("stack", debug.Stack()).Str("method", method).Msg("a dialect or an engine panicked")
		*err = fmt.Errorf("%s panicked: %w", method, errPartner)
	}
}

// route gives the dialect that knows a path.
func (p *partners) route(path []byte) (by uint8, r Route, err error) {
	defer p.recovered("Route", &err)
	for i, d := range p.dialects {
		if r, ok := d.Route(path); ok {
			return uint8(i), r, nil
		}
	}
	return 0, Route{}, nil
}

// named gives the dialect with that name; empty: the default one.
func (p *partners) named(name string) (by uint8, err error) {
	if name == "" {
		return 0, nil
	}
	for i, d := range p.dialects {
		if d.Name() == name {
			return uint8(i), nil
		}
	}
	return 0, errors.New("read a record: no dialect of this node has made it")
}

func (p *partners) accept(by uint8, req *fasthttp.Request, r Route, now time.Time) (c *Call, err error) {
	defer p.recovered("Accept", &err)
	return p.dialects[by].Accept(req, r, now)
}

// task reads a request about a task.
func (p *partners) task(by uint8, req *fasthttp.Request, r Route, now time.Time) (c TaskCall, err error) {
	defer p.recovered("Task", &err)
	d, ok := p.dialects[by].(TaskDialect)
	if !ok {
		return TaskCall{}, correlator.ErrForged
	}
	return d.Task(req, r, now)
}

// allowsOrigin reports whether a route's own list has an origin.
func (p *partners) allowsOrigin(by uint8, r Route, origin, login string) (listed bool) {
	d, ok := p.dialects[by].(BrowserDialect)
	if !ok || origin == "" {
		return false
	}
	var err error
	defer p.recovered("AllowsOrigin", &err)
	return d.AllowsOrigin(r, origin, login)
}

// answer words a reply. After an error dst is as if nothing had been written to it.
func (p *partners) answer(by uint8, dst *fasthttp.Response, c *Call, r *Reply) (err error) {
	defer func() {
		if err != nil {
			wipe(dst)
		}
	}()
	defer p.recovered("Answer", &err)
	p.dialects[by].Answer(dst, c, r)
	return nil
}

// view words what is known of a task. maker is the dialect that made it. After an error dst is as if nothing had been written to it.
func (p *partners) view(by, maker uint8, dst *fasthttp.Response, t *TaskCall, c *Call, r *Reply) (err error) {
	defer func() {
		if err != nil {
			wipe(dst)
		}
	}()
	defer p.recovered("View", &err)
	own := func(dst *fasthttp.Response) { p.dialects[maker].Answer(dst, c, r) }
	if d, ok := p.dialects[by].(TaskDialect); ok {
		d.View(dst, t, r, own)
	} else {
		own(dst)
	}
	return nil
}

// appendAccepted, appendEvent and appendEnd word the events of a stream. What cannot be worded appends nothing.
func (p *partners) appendAccepted(by uint8, dst []byte, c *Call, r *Reply) (event []byte, err error) {
	event = dst
	d, ok := p.dialects[by].(StreamDialect)
	if !ok {
		return dst, errStream
	}
	defer p.recovered("AppendAccepted", &err)
	return d.AppendAccepted(dst, c, r), nil
}

func (p *partners) appendEvent(by uint8, dst []byte, c *Call, cb correlator.Callback) (event []byte, err error) {
	event = dst
	d, ok := p.dialects[by].(StreamDialect)
	if !ok {
		return dst, errStream
	}
	defer p.recovered("AppendEvent", &err)
	return d.AppendEvent(dst, c, cb), nil
}

func (p *partners) appendEnd(by, maker uint8, dst []byte, c *Call, r *Reply) (event []byte, err error) {
	event = dst
	d, ok := p.dialects[by].(StreamDialect)
	if !ok {
		return dst, errStream
	}
	defer p.recovered("AppendEnd", &err)
	return d.AppendEnd(dst, c, r, func(dst *fasthttp.Response) { p.dialects[maker].Answer(dst, c, r) }), nil
}

// register has a dialect keep what a call asks for beside its task.
func (p *partners) register(ctx context.Context, by uint8, c *Call, task string) (err error) {
	defer p.recovered("Register", &err)
	d, ok := p.dialects[by].(PushDialect)
	if !ok {
		return errPush
	}
	return d.Register(ctx, c, task)
}

// forget has a dialect take back what it has kept for a task that was not made.
func (p *partners) forget(ctx context.Context, by uint8, c *Call, task string) {
	d, ok := p.dialects[by].(ForgetDialect)
	if !ok {
		return
	}
	var err error
	defer p.recovered("Forget", &err)
	d.Forget(ctx, c, task)
}

// push has the dialect that made a task push its result.
func (p *partners) push(ctx context.Context, maker uint8, c *Call, r *Reply) (err error) {
	defer p.recovered("Push", &err)
	d, ok := p.dialects[maker].(PushDialect)
	if !ok {
		return errPush
	}
	return d.Push(ctx, c, r, func(dst *fasthttp.Response) { p.dialects[maker].Answer(dst, c, r) })
}

// delivering reports whether what was pushed is still being delivered.
func (p *partners) delivering(ctx context.Context, maker uint8, c *Call, r *Reply) (open bool, err error) {
	defer p.recovered("Delivering", &err)
	d, ok := p.dialects[maker].(PushDialect)
	if !ok {
		return false, errPush
	}
	return d.Delivering(ctx, c, r)
}

// errPush is the error of a dialect that asks for a push and has none.
var errPush = fmt.Errorf("the dialect is no PushDialect: %w", errPartner)

// bind gives the ops of a call their names.
func (p *partners) bind(ctx context.Context, id correlator.ID, expiry time.Time, c *Call) (finals []correlator.Callback, err error) {
	defer p.recovered("Bind", &err)
	return c.Names.Bind(ctx, id, expiry, c)
}

// acked says to the names of a call what its engine has answered.
func (p *partners) acked(ctx context.Context, c *Call, ack *Ack) {
	var err error
	defer p.recovered("Acked", &err)
	c.Names.Acked(ctx, c, ack)
}

// ended says to the names of a call that its wait has ended.
func (p *partners) ended(ctx context.Context, c *Call, status []correlator.Status, kept bool) {
	var err error
	defer p.recovered("Ended", &err)
	c.Names.Ended(ctx, status, kept)
}

// resource answers a request of a Resource or a Report route.
func (p *partners) resource(ctx context.Context, by uint8, dst *fasthttp.Response, req *fasthttp.Request, at ResourceCall) (login string, err error) {
	defer func() {
		if err != nil {
			wipe(dst)
		}
	}()
	defer p.recovered("Resource", &err)
	d, ok := p.dialects[by].(ResourceDialect)
	if !ok {
		return "", correlator.ErrForged
	}
	return d.Resource(ctx, dst, req, at)
}

// refuse words a fault. Where the dialect cannot, the answer is an empty object.
func (p *partners) refuse(by uint8, dst *fasthttp.Response, f *Fault, of Refused) {
	if p.worded(by, dst, f, of) != nil {
		wipe(dst)
		dst.Header.SetContentType(contentJSON)
		dst.SetBodyString("{}")
	}
}

func (p *partners) worded(by uint8, dst *fasthttp.Response, f *Fault, of Refused) (err error) {
	defer p.recovered("Refuse", &err)
	if d, ok := p.dialects[by].(RefusalDialect); ok && d.RefuseRequest(dst, f, of) {
		return nil
	}
	p.dialects[by].Refuse(dst, f, of.RequestID)
	return nil
}

// refusedByEngine words the answer of an engine that has refused a request. False: it goes to the client as it is.
func (p *partners) refusedByEngine(by uint8, dst *fasthttp.Response, status int, of Refused) (worded bool) {
	d, ok := p.dialects[by].(RefusalDialect)
	if !ok {
		return false
	}
	var err error
	defer func() {
		if err != nil {
			wipe(dst)
		}
	}()
	defer p.recovered("RefuseRequest", &err)
	return d.RefuseRequest(dst, &Fault{Status: status}, of)
}

// wipe takes back what was written to a response, but not that its connection is to be closed.
func wipe(dst *fasthttp.Response) {
	closes := dst.ConnectionClose()
	dst.Reset()
	if closes {
		dst.SetConnectionClose()
	}
}

// prepare has an engine word what a route asks for.
func (p *partners) prepare(e *engine, c *Call) (err error) {
	if c.Options == nil || c.Options.Asked == nil {
		return nil
	}
	defer func() { c.Options.Asked = nil }() // it points into the request
	defer p.recovered("Prepare", &err)
	return e.code.Prepare(c)
}

// encode appends the request for the engine, head and body. After an error nothing is appended.
func (p *partners) encode(e *engine, dst []byte, c *Call, tokens []string, trace *Trace, now time.Time) (request []byte, err error) {
	request = dst
	req := fasthttp.AcquireRequest()
	defer fasthttp.ReleaseRequest(req)
	defer p.recovered("Encode", &err)
	if err := e.code.Encode(req, c, tokens, now); err != nil {
		return dst, err
	}
	e.addHeaders(&req.Header)
	trace.forward(&req.Header)
	body := req.Body()
	req.Header.SetContentLength(len(body))
	return append(append(dst, req.Header.Header()...), body...), nil
}

// encodeCancel appends the request that has an engine cancel a task.
func (p *partners) encodeCancel(e *engine, dst []byte, task string, accepted []byte, now time.Time) (request []byte, err error) {
	request = dst
	req := fasthttp.AcquireRequest()
	defer fasthttp.ReleaseRequest(req)
	defer p.recovered("EncodeCancel", &err)
	if err = e.cancel.EncodeCancel(req, task, accepted, now); err != nil {
		return dst, err
	}
	e.addHeaders(&req.Header)
	body := req.Body()
	req.Header.SetContentLength(len(body))
	return append(append(dst, req.Header.Header()...), body...), nil
}

// ack reads the engine's answer.
func (p *partners) ack(e *engine, c *Call, status int, header *fasthttp.ResponseHeader, body []byte) (ack Ack, err error) {
	defer p.recovered("Ack", &err)
	if ack, err = e.code.Ack(c, status, header, body); err != nil {
		return Ack{}, err
	}
	for i := range ack.Finals {
		if op := ack.Finals[i].Op; op < 0 || op >= len(c.Ops) {
			return Ack{}, fmt.Errorf("an answer to op %d of %d: %w", op, len(c.Ops), errPartner)
		}
	}
	return ack, nil
}

// callback reads a callback for op, which its token names: the engine has no say in that.
func (p *partners) callback(e *engine, req *fasthttp.Request, op int) (cb correlator.Callback, answer []byte, err error) {
	defer p.recovered("Callback", &err)
	cb, answer, err = e.code.Callback(req, op)
	cb.Op = op
	return cb, answer, err
}
