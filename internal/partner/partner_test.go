package partner_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/partner"
)

// broken is a dialect, an engine and the names of a call. Its methods write something, and panic.
type broken struct{}

func (broken) Name() string                                    { return "broken" }
func (broken) Route([]byte) (dialect.Route, bool)              { panic("Route") }
func (broken) AllowsOrigin(dialect.Route, string, string) bool { panic("AllowsOrigin") }

func (broken) Accept(*fasthttp.Request, dialect.Route, time.Time) (*dialect.Call, error) {
	panic("Accept")
}

func (broken) Answer(dst *fasthttp.Response, _ *dialect.Call, _ *dialect.Reply) { half(dst) }

func (broken) Refuse(dst *fasthttp.Response, _ *dialect.Fault, _ string) { half(dst) }

func (broken) RefuseRequest(dst *fasthttp.Response, _ *dialect.Fault, _ dialect.Refused) bool {
	half(dst)
	return true
}

func (broken) Task(*fasthttp.Request, dialect.Route, time.Time) (dialect.TaskCall, error) {
	panic("Task")
}

func (broken) View(dst *fasthttp.Response, _ *dialect.TaskCall, _ *dialect.Reply, _ func(*fasthttp.Response)) {
	half(dst)
}

func (broken) AppendAccepted(dst []byte, _ *dialect.Call, _ *dialect.Reply) []byte {
	_ = append(dst, "half"...)
	panic("AppendAccepted")
}

func (broken) AppendEvent(dst []byte, _ *dialect.Call, _ correlator.Callback) []byte {
	_ = append(dst, "half"...)
	panic("AppendEvent")
}

func (broken) AppendEnd(dst []byte, _ *dialect.Call, _ *dialect.Reply, _ func(*fasthttp.Response)) []byte {
	_ = append(dst, "half"...)
	panic("AppendEnd")
}

func (broken) Register(context.Context, *dialect.Call, string) error { panic("Register") }
func (broken) Forget(context.Context, *dialect.Call, string)         { panic("Forget") }

func (broken) Push(context.Context, *dialect.Call, *dialect.Reply, func(*fasthttp.Response)) error {
	panic("Push")
}

func (broken) Delivering(context.Context, *dialect.Call, *dialect.Reply) (bool, error) {
	panic("Delivering")
}

func (broken) Resource(_ context.Context, dst *fasthttp.Response, _ *fasthttp.Request, _ dialect.ResourceCall) (string, error) {
	half(dst)
	return "", nil
}

func (broken) Bind(context.Context, correlator.ID, time.Time, *dialect.Call) ([]correlator.Callback, error) {
	panic("Bind")
}

func (broken) Acked(context.Context, *dialect.Call, *dialect.Ack) { panic("Acked") }
func (broken) Ended(context.Context, []correlator.Status, bool)   { panic("Ended") }
func (broken) Prepare(*dialect.Call) error                        { panic("Prepare") }
func (broken) Cancels() bool                                      { return true }
func (broken) AddHeaders(*fasthttp.RequestHeader)                 { panic("AddHeaders") }
func (broken) Callback(*fasthttp.Request, int) (cb correlator.Callback, answer []byte, err error) {
	panic("Callback")
}

func (broken) Encode(dst *fasthttp.Request, _ *dialect.Call, _ []string, _ time.Time) error {
	dst.SetBodyString("half")
	panic("Encode")
}

func (broken) EncodeCancel(dst *fasthttp.Request, _ string, _ []byte, _ time.Time) error {
	dst.SetBodyString("half")
	panic("EncodeCancel")
}

func (broken) Ack(*dialect.Call, int, *fasthttp.ResponseHeader, []byte) (dialect.Ack, error) {
	panic("Ack")
}

func half(dst *fasthttp.Response) {
	dst.SetBodyString("half")
	dst.Header.Set("X-Half", "1")
	panic("half of it is written")
}

// willing is broken, but encodes.
type willing struct{ broken }

func (willing) Encode(*fasthttp.Request, *dialect.Call, []string, time.Time) error { return nil }

// Every method of a partner may panic: its caller gets ErrFailed, and nothing of what was written.
func TestPanics(t *testing.T) {
	ctx, now, log := context.Background(), time.Now(), zerolog.Nop()
	d, e, w := partner.NewDialects(log, broken{}), partner.NewEngine(log, broken{}), partner.NewEngine(log, willing{})
	asked := &dialect.Options{Asked: new(dialect.Asked)}
	c, r, req, before := &dialect.Call{Names: broken{}, Options: asked}, new(dialect.Reply), new(fasthttp.Request), []byte("before")
	var dst fasthttp.Response
	event := func(b []byte, err error) error {
		if string(b) != "before" {
			t.Errorf("%q is appended to", b)
		}
		return err
	}
	for name, err := range map[string]error{
		"Route":          third(d.Route(nil)),
		"Accept":         second(d.Accept(0, req, dialect.Route{}, now)),
		"Task":           second(d.Task(0, req, dialect.Route{}, now)),
		"AppendAccepted": event(d.AppendAccepted(0, before, c, r)),
		"AppendEvent":    event(d.AppendEvent(0, before, c, correlator.Callback{})),
		"AppendEnd":      event(d.AppendEnd(0, 0, before, c, r)),
		"Register":       d.Register(ctx, 0, c, ""),
		"Push":           d.Push(ctx, 0, c, r),
		"Delivering":     second(d.Delivering(ctx, 0, c, r)),
		"Bind":           second(d.Bind(ctx, correlator.ID{}, now, c)),
		"Prepare":        e.Prepare(c),
		"AppendRequest":  event(e.AppendRequest(before, c, nil, now, broken{})),
		"AddHeaders":     event(w.AppendRequest(before, c, nil, now, broken{})),
		"AppendCancel":   event(e.AppendCancel(before, "", nil, now, broken{})),
		"Ack":            second(e.Ack(c, 200, nil, nil)),
		"Callback":       third(e.Callback(req, 0)),
		"Answer":         wiped(t, &dst, func() error { return d.Answer(0, &dst, c, r) }),
		"View":           wiped(t, &dst, func() error { return d.View(0, 0, &dst, new(dialect.TaskCall), c, r) }),
		"Resource":       wiped(t, &dst, func() error { return second(d.Resource(ctx, 0, &dst, req, dialect.ResourceCall{})) }),
	} {
		if !errors.Is(err, partner.ErrFailed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if asked.Asked != nil {
		t.Error("what points into the request is kept")
	}
	d.Forget(ctx, 0, c, "")
	d.Acked(ctx, c, nil)
	d.Ended(ctx, c, nil, false)
	if d.AllowsOrigin(0, dialect.Route{}, "https://a.example", "") {
		t.Error("an origin is allowed")
	}
	if err := wiped(t, &dst, func() error {
		if d.RefusedByEngine(0, &dst, 400, dialect.Refused{}) {
			return errors.New("it says that it has worded the answer")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if d.Refuse(0, &dst, new(dialect.Fault), dialect.Refused{}); string(dst.Body()) != "{}" || len(dst.Header.Peek("X-Half")) > 0 {
		t.Errorf("a refusal that cannot be worded: %v", &dst)
	}
}

// wiped calls f, and wants that nothing is left of what it wrote, but for the end of the connection.
func wiped(t *testing.T, dst *fasthttp.Response, f func() error) error {
	t.Helper()
	dst.Reset()
	dst.SetConnectionClose()
	err := f()
	if len(dst.Body()) > 0 || len(dst.Header.Peek("X-Half")) > 0 || !dst.ConnectionClose() {
		t.Errorf("a response that could not be worded: %v", dst)
	}
	return err
}

func second[A any](_ A, err error) error        { return err }
func third[A, B any](_ A, _ B, err error) error { return err }
