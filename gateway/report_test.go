package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/gateway"
	"syncgate/internal/redistest"
)

// reporters is a dialect of those who report beside the callback path.
type reporters struct {
	*namingDialect
	wait time.Duration
	held chan struct{} // what is reported at /report/held waits for it
}

func (r *reporters) Route(path []byte) (dialect.Route, bool) {
	if strings.HasPrefix(string(path), "/report/") {
		return dialect.Route{Kind: dialect.Report, Methods: []string{"POST"}, Wait: r.wait}, true
	}
	return r.namingDialect.Route(path)
}

// Resource answers how many seconds the request may take, the size of its body, and who sends it.
func (r *reporters) Resource(ctx context.Context, dst *fasthttp.Response, req *fasthttp.Request, at dialect.ResourceCall) (string, error) {
	end, ok := ctx.Deadline()
	path := string(req.Header.RequestURI())
	if path == "/report/refused" || at.Route.Kind != dialect.Report || time.Since(at.Now).Abs() > time.Minute {
		return "", correlator.ErrForged
	}
	if path == "/report/held" {
		select {
		case <-r.held:
		case <-ctx.Done(): // the test has failed
		}
	}
	dst.Header.SetContentType("application/json")
	dst.SetBodyString(fmt.Sprintf("%v %.0f %d %s", ok, time.Until(end).Seconds(), len(req.Body()), at.Remote))
	return "", nil
}

// wantReport wants the answer to a report.
func (n *node) wantReport(body string, status int, text string) {
	n.t.Helper()
	if a := n.do(http.MethodPost, "/report/x?y", body); a.status != status || text != "" && a.body != text {
		n.t.Errorf("%d %s; want %d %s", a.status, a.body, status, text)
	}
}

// Those who report are served where callbacks are, and as they are.
func TestReportRoutes(t *testing.T) {
	e := newEngine(t)
	for _, apart := range []bool{false, true} {
		names := newNamer()
		n := startParts(t, e.URL, func(_ *node, p *gateway.Parts) {
			names.serve(p)
			p.Dialect = &reporters{p.Dialect.(*namingDialect), 30 * time.Second, nil}
		}, func(c *gateway.Config) {
			c.Limits.CallbackBody, c.Limits.Body = 1000, 100
			if apart {
				c.Listen.Callback = "127.0.0.1:0"
			}
		})
		public := n.url
		if apart {
			n.wantNoReportsAtPublic()
		}
		n.wantReport(strings.Repeat("x", 1000), 200, `true 30 1000 127.0.0.1`)
		n.wantReport(strings.Repeat("x", 1001), 413, "")
		if a := n.do(http.MethodGet, "/report/x", ""); a.status != 405 || a.header.Get("Allow") != "POST" {
			t.Errorf("%+v", a)
		}
		if a := n.do(http.MethodPost, "/report/refused", ""); a.status != 404 {
			t.Errorf("%+v", a)
		}
		n.url = public
		n.wantReportsWhileDraining(names)
	}
}

// A report that waits keeps its place in what all bodies of callbacks may take together.
func TestAReportThatWaitsCostsItsBody(t *testing.T) {
	names, held := newNamer(), make(chan struct{})
	n := startParts(t, newEngine(t).URL, func(_ *node, p *gateway.Parts) {
		names.serve(p)
		p.Dialect = &reporters{p.Dialect.(*namingDialect), 10 * time.Second, held}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if a := n.do(http.MethodPost, "/report/held", strings.Repeat("x", 10_000)); a.status != 200 {
			t.Errorf("%+v", a)
		}
	}()
	const bytes = "\nsyncgate_body_bytes{kind=\"callback\"} "
	waitFor(t, func() bool { return strings.Contains(n.metrics(), bytes+"10000\n") })
	close(held)
	<-done
	waitFor(t, func() bool { return strings.Contains(n.metrics(), bytes+"0\n") })
}

// wantNoReportsAtPublic wants that those who report are served at the callback listener alone, where n.url leads then.
func (n *node) wantNoReportsAtPublic() {
	n.t.Helper()
	n.wantReport(`{}`, 404, "")
	if a := n.do(http.MethodGet, "/report/x", ""); a.status != 404 {
		n.t.Errorf("%+v", a)
	}
	n.url = "http://" + n.CallbackAddr().String()
	if a := n.do(http.MethodPost, sign(namedOp("local", "5")), namedOp("local", "5")); a.status != 404 {
		n.t.Errorf("a create at the callback listener: %+v", a)
	}
}

// wantReportsWhileDraining wants that those who report are served while the node drains.
func (n *node) wantReportsWhileDraining(names *namer) {
	n.t.Helper()
	public := n.url
	defer func() { n.url = public }()
	reply := n.createLater(namedOp("local", "5"))
	b := names.next(n.t)
	n.NotReady()
	n.RefuseNew()
	if a := n.create(namedOp("local", "5")); a.status != 503 {
		n.t.Errorf("a create while draining: %+v", a)
	}
	n.url = "http://" + n.CallbackAddr().String()
	n.wantReport(`{}`, 200, `true 30 2 127.0.0.1`)
	if err := n.complete(b, `1`); err != nil { // I9
		n.t.Error(err)
	}
	if a := got(n.t, reply); a.status != 200 {
		n.t.Errorf("%+v", a)
	}
}

// What is completed by name at another node is the reply at home, or is kept, or comes second.
func TestNamesAtAnotherNode(t *testing.T) {
	names := newNamer()
	c := newClusterOf(t, redistest.Start(t), func(_ *cluster, p *gateway.Parts) { names.serve(p) })
	defer c.end()
	nodes := c.routedAt(t, nil)
	home, other := nodes[0], nodes[1]
	const done = `{"request_proc":"ok","ops":[{"proc":"ok","ref":"local","data":{"answer":42}}]}`
	deliver := func(b *boundCall) error {
		return other.Deliver(t.Context(), b.token(0), correlator.Callback{Status: correlator.Complete, Body: []byte(`{"answer":42}`)})
	}

	reply := home.createLater(namedOp("local", "10")) // at once
	b := names.next(t)
	if err := deliver(b); err != nil {
		t.Error(err)
	}
	want(t, got(t, reply), 200, done)
	b.wantEnded(t, correlator.Complete, false)
	wantSuperseded(t, deliver(b), false)

	reply = home.createLater(namedOp("local", "0.3")) // late and kept
	b = names.next(t)
	a := got(t, reply)
	b.wantEnded(t, correlator.Open, true)
	if err := deliver(b); err != nil {
		t.Error(err)
	}
	for _, n := range nodes {
		want(t, n.do(http.MethodGet, a.header.Get("Location"), ""), 200, done)
	}
	wantSuperseded(t, deliver(b), true)

	old := correlator.NewID(b.id.Home(), time.Now().Add(-time.Second)) // late and gone
	if err := other.Deliver(t.Context(), correlator.Token{Trip: old}, correlator.Callback{Status: correlator.Complete, Body: []byte(`1`)}); err == nil {
		t.Error("what has expired is delivered")
	}

	first := home.createLater(namedOp("local", "10"), "Idempotency-Key", "k") // joined at the other
	b = names.next(t)
	second := other.createLater(namedOp("local", "10"), "Idempotency-Key", "k")
	waitFor(t, func() bool { return c.members[1].table.Len() == 1 })
	if err := deliver(b); err != nil {
		t.Error(err)
	}
	want(t, got(t, first), 200, done)
	want(t, got(t, second), 200, done)
	b.wantEnded(t, correlator.Complete, false)
	if len(names.calls) != 0 {
		t.Error("who joins binds names")
	}
}

// Where there is a store a reply waits neither for Acked nor for Ended, and Ended for Acked.
func TestAckedBeforeEndedOverAStore(t *testing.T) {
	names := newNamer()
	c := newClusterOf(t, redistest.Start(t), func(_ *cluster, p *gateway.Parts) { names.serve(p) })
	defer c.end()
	let := make(chan struct{})
	once := sync.OnceFunc(func() { close(let) })
	defer once()
	names.acks(func() { <-let })
	home := c.routedAt(t, nil)[0]
	reply := home.createLater(namedOp("r", "10"))
	b := names.next(t)
	b.wantAck(t, true)
	if err := home.complete(b, `1`); err != nil {
		t.Error(err)
	}
	if a := got(t, reply); a.status != 200 {
		t.Errorf("%+v", a)
	}
	select {
	case <-b.ended:
		t.Error("Ended is called while Acked runs")
	case <-time.After(50 * time.Millisecond):
	}
	once()
	b.wantEnded(t, correlator.Complete, false)
}

// While the store is away names cannot be bound, and nothing is forwarded.
func TestNamesWhileTheStoreIsAway(t *testing.T) {
	names := newNamer()
	c := newClusterOf(t, redistest.Start(t), func(_ *cluster, p *gateway.Parts) { names.serve(p) })
	defer c.end()
	names.binds(func(*boundCall) ([]correlator.Callback, error) { return nil, correlator.ErrUnavailable })
	home := c.routedAt(t, nil)[0]
	if a := home.create(namedOp("r", "10")); a.status != 503 || a.header.Get("X-Syncgate-Forwarded") != "no" {
		t.Errorf("%+v", a)
	}
	names.next(t).wantEnded(t, correlator.Open, false)
	if asked := c.engine.Stats(); asked.Requests != 0 {
		t.Errorf("the engine was asked: %+v", asked)
	}
}
