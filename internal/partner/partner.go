// Package partner calls the code of dialects and engines, which others write. A panic ends here, as an error: the caller never unwinds while it holds
// a connection, a place in the pool, a place of admission or a reservation.
package partner

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/httpserver"
)

// ErrFailed is the error of a dialect or an engine that panicked, or that gave what nothing can be made of.
var ErrFailed = errors.New("partner: the dialect or the engine failed")

// ErrNoEvents refuses a client that wants events of a dialect that has none.
var ErrNoEvents = &dialect.Fault{Status: fasthttp.StatusNotAcceptable, Text: "Not acceptable: there are no events here"}

// guard ends panics. It is embedded in what calls others' code.
type guard struct{ log zerolog.Logger }

// recovered turns a panic of the named method into an error.
func (g *guard) recovered(method string, err *error) {
	if v := recover(); v != nil {
		g.log.Error().Str("panic", httpserver.PanicText(v)).Bytes("stack", debug.Stack()).Str("method", method).Msg("a dialect or an engine panicked")
		*err = fmt.Errorf("%s panicked: %w", method, ErrFailed)
	}
}

// Dialects are the dialects of a gateway, by their numbers. The first has the number 0, and is the default one. A method calls the dialect's own, and gives
// its error, or ErrFailed after a panic.
type Dialects struct {
	guard
	all []dialect.Dialect
}

// NewDialects makes Dialects of at least one, and at most 256.
func NewDialects(log zerolog.Logger, all ...dialect.Dialect) Dialects {
	return Dialects{guard{log}, all}
}

// Name gives the name of a dialect.
func (p *Dialects) Name(by uint8) string { return p.all[by].Name() }

// Route gives the dialect that knows a path.
func (p *Dialects) Route(path []byte) (by uint8, r dialect.Route, err error) {
	defer p.recovered("Route", &err)
	for i, d := range p.all {
		if r, ok := d.Route(path); ok {
			return uint8(i), r, nil
		}
	}
	return 0, dialect.Route{}, nil
}

// Named gives the dialect with that name; empty: the default one.
func (p *Dialects) Named(name string) (by uint8, err error) {
	if name == "" {
		return 0, nil
	}
	for i, d := range p.all {
		if d.Name() == name {
			return uint8(i), nil
		}
	}
	return 0, errors.New("read a record: no dialect of this node has made it")
}

// Accept verifies and reads a request of a Create route.
func (p *Dialects) Accept(by uint8, req *fasthttp.Request, r dialect.Route, now time.Time) (c *dialect.Call, err error) {
	defer p.recovered("Accept", &err)
	return p.all[by].Accept(req, r, now)
}

// Task reads a request about a task. ErrForged of package correlator: the dialect has no tasks.
func (p *Dialects) Task(by uint8, req *fasthttp.Request, r dialect.Route, now time.Time) (c dialect.TaskCall, err error) {
	defer p.recovered("Task", &err)
	d, ok := p.all[by].(dialect.TaskDialect)
	if !ok {
		return dialect.TaskCall{}, correlator.ErrForged
	}
	return d.Task(req, r, now)
}

// AllowsOrigin reports whether a route's own list has an origin.
func (p *Dialects) AllowsOrigin(by uint8, r dialect.Route, origin, login string) (listed bool) {
	d, ok := p.all[by].(dialect.BrowserDialect)
	if !ok || origin == "" {
		return false
	}
	var err error
	defer p.recovered("AllowsOrigin", &err)
	return d.AllowsOrigin(r, origin, login)
}

// Answer words a reply. After an error dst is as if nothing had been written to it.
func (p *Dialects) Answer(by uint8, dst *fasthttp.Response, c *dialect.Call, r *dialect.Reply) (err error) {
	defer func() {
		if err != nil {
			wipe(dst)
		}
	}()
	defer p.recovered("Answer", &err)
	p.all[by].Answer(dst, c, r)
	return nil
}

// View words what is known of a task. maker is the dialect that made it. After an error dst is as if nothing had been written to it.
func (p *Dialects) View(by, maker uint8, dst *fasthttp.Response, t *dialect.TaskCall, c *dialect.Call, r *dialect.Reply) (err error) {
	defer func() {
		if err != nil {
			wipe(dst)
		}
	}()
	defer p.recovered("View", &err)
	own := func(dst *fasthttp.Response) { p.all[maker].Answer(dst, c, r) }
	if d, ok := p.all[by].(dialect.TaskDialect); ok {
		d.View(dst, t, r, own)
	} else {
		own(dst)
	}
	return nil
}

// AppendAccepted words the first event of a stream. With an error nothing is appended; ErrNoEvents: the dialect has none.
func (p *Dialects) AppendAccepted(by uint8, dst []byte, c *dialect.Call, r *dialect.Reply) (event []byte, err error) {
	event = dst
	d, ok := p.all[by].(dialect.StreamDialect)
	if !ok {
		return dst, ErrNoEvents
	}
	defer p.recovered("AppendAccepted", &err)
	return d.AppendAccepted(dst, c, r), nil
}

// AppendEvent words what an engine has reported, as AppendAccepted words the first event.
func (p *Dialects) AppendEvent(by uint8, dst []byte, c *dialect.Call, cb correlator.Callback) (event []byte, err error) {
	event = dst
	d, ok := p.all[by].(dialect.StreamDialect)
	if !ok {
		return dst, ErrNoEvents
	}
	defer p.recovered("AppendEvent", &err)
	return d.AppendEvent(dst, c, cb), nil
}

// AppendEnd words the last event, as AppendAccepted words the first one. maker is the dialect that made the task.
func (p *Dialects) AppendEnd(by, maker uint8, dst []byte, c *dialect.Call, r *dialect.Reply) (event []byte, err error) {
	event = dst
	d, ok := p.all[by].(dialect.StreamDialect)
	if !ok {
		return dst, ErrNoEvents
	}
	defer p.recovered("AppendEnd", &err)
	return d.AppendEnd(dst, c, r, func(dst *fasthttp.Response) { p.all[maker].Answer(dst, c, r) }), nil
}

// Register has a dialect keep what a call asks for beside its task.
func (p *Dialects) Register(ctx context.Context, by uint8, c *dialect.Call, task string) (err error) {
	defer p.recovered("Register", &err)
	d, ok := p.all[by].(dialect.PushDialect)
	if !ok {
		return errPush
	}
	return d.Register(ctx, c, task)
}

// Forget has a dialect take back what it has kept for a task that was not made.
func (p *Dialects) Forget(ctx context.Context, by uint8, c *dialect.Call, task string) {
	d, ok := p.all[by].(dialect.ForgetDialect)
	if !ok {
		return
	}
	var err error
	defer p.recovered("Forget", &err)
	d.Forget(ctx, c, task)
}

// Push has the dialect that made a task push its result.
func (p *Dialects) Push(ctx context.Context, maker uint8, c *dialect.Call, r *dialect.Reply) (err error) {
	defer p.recovered("Push", &err)
	d, ok := p.all[maker].(dialect.PushDialect)
	if !ok {
		return errPush
	}
	return d.Push(ctx, c, r, func(dst *fasthttp.Response) { p.all[maker].Answer(dst, c, r) })
}

// Delivering reports whether what was pushed is still being delivered.
func (p *Dialects) Delivering(ctx context.Context, maker uint8, c *dialect.Call, r *dialect.Reply) (open bool, err error) {
	defer p.recovered("Delivering", &err)
	d, ok := p.all[maker].(dialect.PushDialect)
	if !ok {
		return false, errPush
	}
	return d.Delivering(ctx, c, r)
}

// errPush is the error of a dialect that asks for a push and has none.
var errPush = fmt.Errorf("the dialect is no PushDialect: %w", ErrFailed)

// Resource answers a request of a Resource or a Report route. ErrForged of package correlator: the dialect has no such thing. After an error dst is as if
// nothing had been written to it.
func (p *Dialects) Resource(ctx context.Context, by uint8, dst *fasthttp.Response, req *fasthttp.Request, at dialect.ResourceCall) (login string, err error) {
	defer func() {
		if err != nil {
			wipe(dst)
		}
	}()
	defer p.recovered("Resource", &err)
	d, ok := p.all[by].(dialect.ResourceDialect)
	if !ok {
		return "", correlator.ErrForged
	}
	return d.Resource(ctx, dst, req, at)
}

// Refuse words a fault. Where the dialect cannot, the answer is an empty object.
func (p *Dialects) Refuse(by uint8, dst *fasthttp.Response, f *dialect.Fault, of dialect.Refused) {
	if p.worded(by, dst, f, of) != nil {
		wipe(dst)
		dst.Header.SetContentType("application/json")
		dst.SetBodyString("{}")
	}
}

func (p *Dialects) worded(by uint8, dst *fasthttp.Response, f *dialect.Fault, of dialect.Refused) (err error) {
	defer p.recovered("Refuse", &err)
	if d, ok := p.all[by].(dialect.RefusalDialect); ok && d.RefuseRequest(dst, f, of) {
		return nil
	}
	p.all[by].Refuse(dst, f, of.RequestID)
	return nil
}

// RefusedByEngine words the answer of an engine that has refused a request. False: it goes to the client as it is.
func (p *Dialects) RefusedByEngine(by uint8, dst *fasthttp.Response, status int, of dialect.Refused) (worded bool) {
	d, ok := p.all[by].(dialect.RefusalDialect)
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
	return d.RefuseRequest(dst, &dialect.Fault{Status: status}, of)
}

// Bind gives the ops of a call their names.
func (p *Dialects) Bind(ctx context.Context, id correlator.ID, expiry time.Time, c *dialect.Call) (finals []correlator.Callback, err error) {
	defer p.recovered("Bind", &err)
	return c.Names.Bind(ctx, id, expiry, c)
}

// Acked says to the names of a call what its engine has answered.
func (p *Dialects) Acked(ctx context.Context, c *dialect.Call, ack *dialect.Ack) {
	var err error
	defer p.recovered("Acked", &err)
	c.Names.Acked(ctx, c, ack)
}

// Ended says to the names of a call that its wait has ended.
func (p *Dialects) Ended(ctx context.Context, c *dialect.Call, status []correlator.Status, kept bool) {
	var err error
	defer p.recovered("Ended", &err)
	c.Names.Ended(ctx, status, kept)
}

// wipe takes back what was written to a response, but not that its connection is to be closed.
func wipe(dst *fasthttp.Response) {
	closes := dst.ConnectionClose()
	dst.Reset()
	if closes {
		dst.SetConnectionClose()
	}
}
