package gateway_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/dialect/corezoid"
	"syncgate/gateway"
)

// modal is Corezoid's dialect with what routes add: headers of the request say it.
type modal struct{ *corezoid.Dialect }

func (m modal) Accept(req *fasthttp.Request, r dialect.Route, now time.Time) (*dialect.Call, error) {
	c, err := m.Dialect.Accept(req, r, now)
	if err != nil {
		return nil, err
	}
	c.Options = &dialect.Options{Route: "transfer", OnDisconnect: string(req.Header.Peek("X-On-Disconnect"))}
	switch string(req.Header.Peek("X-Mode")) {
	case "hand over":
		c.Options.Mode = dialect.HandOver
	case "register":
		c.Ops, c.Body, c.Options.Pushes = nil, nil, true
	case "stream":
		c.Options.Mode = dialect.Stream
	}
	if idle := req.Header.Peek("X-Idle"); len(idle) > 0 {
		c.Options.Idle, _ = time.ParseDuration(string(idle))
	}
	if most := req.Header.Peek("X-Parked"); len(most) > 0 {
		n, _ := strconv.Atoi(string(most))
		c.Options.Quotas = append(c.Options.Quotas, dialect.Quota{Name: "transfer", Parked: n})
	}
	if each := req.Header.Peek("X-Rate"); len(each) > 0 {
		perSecond, _ := strconv.ParseFloat(string(each), 64)
		c.Options.Quotas = append(c.Options.Quotas, dialect.Quota{Name: "web-shop", Rate: perSecond, PerAddress: true})
	}
	return c, nil
}

// Answer shows where the task is when it is handed over.
func (m modal) Answer(dst *fasthttp.Response, c *dialect.Call, r *dialect.Reply) {
	if r.Open == dialect.ErrHandedOver { //nolint:errorlint // it comes as it is
		dst.SetStatusCode(fasthttp.StatusAccepted)
		dst.Header.Set("Location", "/api/1/tasks/"+r.Task)
		return
	}
	m.Dialect.Answer(dst, c, r)
}

// Register keeps nothing.
func (modal) Register(context.Context, *dialect.Call, string) error { return nil }

// Push has nothing to send.
func (modal) Push(context.Context, *dialect.Call, *dialect.Reply, func(*fasthttp.Response)) error {
	return nil
}

// Delivering has nothing under way.
func (modal) Delivering(context.Context, *dialect.Call, *dialect.Reply) (bool, error) {
	return false, nil
}

func startModal(t *testing.T, url string, change ...func(*gateway.Config)) *node {
	t.Helper()
	return startParts(t, url, func(_ *node, p *gateway.Parts) {
		p.Dialect = modal{p.Dialect.(*corezoid.Dialect)} // the harness made it
	}, change...)
}

// A task that is handed over is readable from the moment of its 202, whenever its result comes.
func TestHandOver(t *testing.T) {
	e := newEngine(t)
	n := startModal(t, e.URL)
	for _, when := range []string{"after the 202", "before the engine's answer"} {
		reply := n.createLater(oneOp(`{}`), "X-Mode", "hand over")
		a := e.next(t)
		if when == "before the engine's answer" {
			want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
		}
		a.accept()
		r := got(t, reply)
		location := r.header.Get("Location")
		if r.status != 202 || location == "" {
			t.Fatalf("%s: %+v", when, r)
		}
		if when == "after the 202" {
			want(t, n.do(http.MethodGet, location, ""), 202, `{"request_proc":"ok","ops":[{"proc":"pending"}]}`)
			want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
		}
		want(t, n.do(http.MethodGet, location, ""), 200, `{"request_proc":"ok","ops":[{"proc":"ok","data":{"answer":42}}]}`)
	}
}

// A client whose task may exist hears 202, and one whose task does not exist hears why.
func TestHandOverOfEveryAnswer(t *testing.T) {
	e := newEngine(t)
	n := startModal(t, e.URL, func(c *gateway.Config) { c.Engine.Timeout = 300 * time.Millisecond })
	for name, f := range map[string]struct {
		say    func(*asked)
		status int
		kept   bool
	}{
		"taken":         {(*asked).accept, 202, true},
		"reset":         {(*asked).reset, 202, true},
		"no answer":     {func(*asked) {}, 202, true},
		"refused":       {func(a *asked) { a.answer(400, `{"request_proc":"fail","ops":[]}`) }, 400, false},
		"not a package": {func(a *asked) { a.answer(500, `oops`) }, 502, true},
	} {
		t.Run(name, func(t *testing.T) {
			reply := n.createLater(oneOp(`{}`), "X-Mode", "hand over")
			f.say(e.next(t))
			if r := got(t, reply); r.status != f.status || (r.header.Get("Location") != "") != f.kept {
				t.Errorf("%+v", r)
			}
		})
	}
	if left, _ := n.memo.Kept(); left != 4 {
		t.Errorf("%d tasks are kept, not 4", left)
	}
}

// A route's quotas hold for its calls alone, and those of an address for that address.
func TestQuotas(t *testing.T) {
	e := newEngine(t)
	n := startModal(t, e.URL, func(c *gateway.Config) { c.Listen.TrustedProxies = []string{"127.0.0.1"} })
	reply := n.createLater(oneOp(`{}`), "X-Parked", "1")
	a := e.next(t)
	if r := n.create(oneOp(`{}`), "X-Parked", "1"); r.status != 429 || !strings.Contains(r.body, "of this route") || r.header.Get("Retry-After") == "" {
		t.Errorf("the second client of one place: %+v", r)
	}
	n.callback(a.tokens[0], `1`)
	got(t, reply)
	from := func(address string, status int) {
		t.Helper()
		reply := n.createLater(oneOp(`{}`), "X-Rate", "0.001", "X-Forwarded-For", address)
		if status == 200 {
			n.callback(e.next(t).tokens[0], `1`)
		}
		if r := got(t, reply); r.status != status {
			t.Errorf("%s: %+v, want %d", address, r, status)
		}
	}
	from("192.0.2.1", 200)
	from("192.0.2.1", 429)
	from("192.0.2.2", 200)
	from("192.0.2.2", 429)
}

// A stream that cannot be worded gives back the places that it was given.
func TestRefusedStreamsGivePlacesBack(t *testing.T) {
	e := newEngine(t)
	n := startModal(t, e.URL, func(c *gateway.Config) { c.Limits.ParkedPerLogin, c.Limits.StreamsPerLogin = 1, 1 })
	for range 3 {
		reply := n.createLater(oneOp(`{}`), "X-Mode", "stream")
		e.next(t).accept()
		if a := got(t, reply); a.status != http.StatusNotAcceptable {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
}
