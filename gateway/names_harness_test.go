package gateway_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/rest"
	"syncgate/gateway"
)

// namer gives the ops of its calls names: their refs. Those whose ref begins with "local" are for no engine; all ops of a call are, or none is.
type namer struct {
	bind  atomic.Pointer[binding]       // called by Bind; nil: it binds and says nothing
	acked atomic.Pointer[func()]        // called by Acked; nil: nothing
	calls chan *boundCall               // as Bind was called
	terms atomic.Pointer[dialect.Terms] // of calls whose ops no engine gets
}

type binding func(*boundCall) ([]correlator.Callback, error)

// binds has f called by Bind.
func (n *namer) binds(f binding) { n.bind.Store(&f) }

// acks has f called by Acked.
func (n *namer) acks(f func()) { n.acked.Store(&f) }

func newNamer() *namer { return &namer{calls: make(chan *boundCall, 1000)} }

// boundCall is the CallNames of a call.
type boundCall struct {
	n     *namer
	id    correlator.ID
	call  *dialect.Call
	acks  chan dialect.Ack
	ended chan endedCall

	mu   sync.Mutex
	busy bool // Bind runs
}

type endedCall struct {
	status []correlator.Status
	kept   bool
	busy   bool // Bind ran
}

func (b *boundCall) Bind(_ context.Context, id correlator.ID, expiry time.Time, c *dialect.Call) ([]correlator.Callback, error) {
	b.id, b.call = id, c
	b.set(true)
	defer b.set(false)
	b.n.calls <- b
	if !expiry.Equal(id.Expiry()) {
		return nil, &dialect.Fault{Status: 500, Text: "another expiry than the id's"}
	}
	if f := b.n.bind.Load(); f != nil {
		return (*f)(b)
	}
	return nil, nil
}

func (b *boundCall) set(busy bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy = busy
}

func (b *boundCall) Acked(_ context.Context, _ *dialect.Call, ack *dialect.Ack) {
	b.acks <- *ack
	if f := b.n.acked.Load(); f != nil {
		(*f)()
	}
}

func (b *boundCall) Ended(_ context.Context, status []correlator.Status, kept bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended <- endedCall{status, kept, b.busy}
	if string(b.call.Ops[0].Ref) == `"panics"` {
		panic("Ended")
	}
}

// token gives the name of an op as Deliver wants it.
func (b *boundCall) token(op int) correlator.Token { return correlator.Token{Trip: b.id, Op: op} }

// next gives the next call whose names are bound.
func (n *namer) next(t testing.TB) *boundCall {
	t.Helper()
	select {
	case b := <-n.calls:
		return b
	case <-time.After(5 * time.Second):
		t.Fatal("nothing is bound within 5 s")
		return nil
	}
}

// wantEnded wants that Ended is called once, after Bind, with one op of that status.
func (b *boundCall) wantEnded(t *testing.T, status correlator.Status, kept bool) {
	t.Helper()
	select {
	case e := <-b.ended:
		if len(e.status) != len(b.call.Ops) || e.status[0] != status || !e.status[0].Final() && e.kept != kept || e.busy {
			t.Errorf("Ended(%v, %v), while Bind runs: %v; want %v, %v", e.status, e.kept, e.busy, status, kept)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the names do not hear of the end")
	}
	b.wantEndedOnce(t)
}

// wantEndedOnce wants that Ended, which has been called, is not called again.
func (b *boundCall) wantEndedOnce(t *testing.T) {
	t.Helper()
	select {
	case e := <-b.ended:
		t.Errorf("the names hear of the end again: %+v", e)
	case <-time.After(20 * time.Millisecond):
	}
}

// wantAck wants one call of Acked, or none.
func (b *boundCall) wantAck(t *testing.T, any bool) (ack dialect.Ack) {
	t.Helper()
	patience := 50 * time.Millisecond
	if any {
		patience = 5 * time.Second
	}
	select {
	case ack = <-b.acks:
		if !any {
			t.Errorf("Acked: %+v", ack)
		}
	case <-time.After(patience):
		if any {
			t.Error("Acked is not called")
		}
	}
	return ack
}

// name gives a call names, and takes its ops from the engine.
func (n *namer) name(c *dialect.Call) *dialect.Call {
	c.Names = &boundCall{n: n, acks: make(chan dialect.Ack, 10), ended: make(chan endedCall, 10)}
	for i := range c.Ops {
		if strings.HasPrefix(string(c.Ops[i].Ref), `"local`) {
			c.Ops[i].Local, c.Body, c.Slots = true, nil, nil
			c.Terms = n.terms.Load()
		}
	}
	return c
}

// namingDialect is a dialect whose calls have names.
type namingDialect struct {
	dialect.Dialect
	dialect.TaskDialect
	*namer
}

func (d *namingDialect) Accept(req *fasthttp.Request, r dialect.Route, now time.Time) (*dialect.Call, error) {
	c, err := d.Dialect.Accept(req, r, now)
	if err != nil {
		return nil, err
	}
	return d.name(c), nil
}

// namingRoutes is a dialect of routes whose calls have names. A body with "local" in it makes a task that no engine gets.
type namingRoutes struct {
	*rest.Dialect
	*namer
}

func (d *namingRoutes) Accept(req *fasthttp.Request, r dialect.Route, now time.Time) (*dialect.Call, error) {
	c, err := d.Dialect.Accept(req, r, now)
	if err != nil {
		return nil, err
	}
	d.name(c)
	if c.Ops[0].Local = strings.Contains(string(req.Body()), "local"); c.Ops[0].Local {
		c.Terms = d.terms.Load()
	}
	return c, nil
}

// startNaming makes a gateway whose calls have names.
func startNaming(t *testing.T, engineURL string, change ...func(*gateway.Config)) (*node, *namer) {
	t.Helper()
	names := newNamer()
	return startParts(t, engineURL, func(_ *node, p *gateway.Parts) { names.serve(p) }, change...), names
}

// serve puts n before the first dialect, and into the last one if that has routes.
func (n *namer) serve(p *gateway.Parts) {
	p.Dialect = &namingDialect{p.Dialect, p.Dialect.(dialect.TaskDialect), n}
	if last := len(p.Dialects) - 1; last >= 0 {
		p.Dialects[last] = &namingRoutes{p.Dialects[last].(*rest.Dialect), n}
	}
}

// namedOp is a package of one op with a ref.
func namedOp(ref, timeout string) string {
	return `{"timeout":` + timeout + `,"ops":[{"type":"create","obj":"task","conv_id":1,"ref":"` + ref + `","data":{}}]}`
}

// wantUnasked wants that the engine has not been asked.
func (e *engine) wantUnasked(t *testing.T) {
	t.Helper()
	select {
	case a := <-e.asked:
		t.Errorf("the engine is asked: %s", a.body)
	case <-time.After(50 * time.Millisecond):
	}
}

// complete delivers a result by name.
func (n *node) complete(b *boundCall, body string) error {
	return n.Deliver(n.t.Context(), b.token(0), correlator.Callback{Status: correlator.Complete, Body: []byte(body)})
}
