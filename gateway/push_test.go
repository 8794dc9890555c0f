package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect/httpengine"
	"syncgate/dialect/rest"
	"syncgate/gateway"
	"syncgate/internal/cors"
	"syncgate/internal/redistest"
)

// pusher is a dialect for routes whose results are all pushed: to the test.
type pusher struct {
	*rest.Dialect
	registered chan string // task ids; empty: of a call without a task
	pushed     chan string // bodies that clients would get
	mu         sync.Mutex
	refuse     error // of Register; guarded by mu, as are the next
	fails      int   // how often Push is to fail
	delivering bool
	asks       int // how often Delivering was asked
}

func newPusher(d *rest.Dialect) *pusher {
	return &pusher{Dialect: d, registered: make(chan string, 1000), pushed: make(chan string, 1000)}
}

func (p *pusher) Route(path []byte) (gateway.Route, bool) {
	if strings.HasPrefix(string(path), "/things/") {
		return gateway.Route{Kind: gateway.Resource, Methods: []string{"GET", "OPTIONS"}}, true
	}
	return p.Dialect.Route(path)
}

func (p *pusher) Accept(req *fasthttp.Request, r gateway.Route, now time.Time) (*gateway.Call, error) {
	c, err := p.Dialect.Accept(req, r, now)
	if err != nil {
		return nil, err
	}
	c.Options.Pushes = true
	if strings.Contains(string(req.Body()), "no task") {
		c.Ops, c.Options.Asked = nil, nil
	}
	return c, nil
}

func (p *pusher) Answer(dst *fasthttp.Response, c *gateway.Call, r *gateway.Reply) {
	if len(c.Ops) == 0 {
		dst.SetStatusCode(http.StatusCreated)
		return
	}
	p.Dialect.Answer(dst, c, r)
}

func (p *pusher) Register(_ context.Context, _ *gateway.Call, task string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse != nil {
		return p.refuse
	}
	p.registered <- task
	return nil
}

func (p *pusher) Push(_ context.Context, _ *gateway.Call, r *gateway.Reply, own func(dst *fasthttp.Response)) error {
	p.mu.Lock()
	fails := p.fails > 0
	p.fails--
	p.mu.Unlock()
	if fails {
		panic("no push today")
	}
	var resp fasthttp.Response
	own(&resp)
	p.pushed <- r.Finals[0].Status.String() + " " + string(resp.Body())
	return nil
}

func (p *pusher) Delivering(context.Context, *gateway.Call, *gateway.Reply) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asks++
	return p.delivering, nil
}

func (p *pusher) Resource(_ context.Context, dst *fasthttp.Response, req *fasthttp.Request, _ gateway.Route, _ time.Time) error {
	switch path := string(req.Header.RequestURI()); path {
	case "/things/panic":
		panic(path)
	case "/things/none":
		return &gateway.Fault{Status: http.StatusNotFound, Text: "no such thing"}
	default:
		dst.SetBodyString(path)
		return nil
	}
}

// set changes the pusher.
func (p *pusher) set(change func(*pusher)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// wantPushed wants one push, of a result that begins so.
func (p *pusher) wantPushed(t *testing.T, text string) {
	t.Helper()
	select {
	case got := <-p.pushed:
		if !strings.HasPrefix(got, text) {
			t.Errorf("pushed %s, want %s", got, text)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("%s is not pushed within 10 s", text)
	}
}

// owing is an outbox whose looks the test can make itself.
type owing struct {
	gateway *gateway.Gateway // guarded by mu
	t       *testing.T
	looks   sync.WaitGroup
	blind   bool // Look does nothing
	*owedTasks
}

// owedTasks are those that nodes share.
type owedTasks struct {
	mu   sync.Mutex
	full bool                   // guarded by mu, as is the next
	owed map[correlator.ID]bool // sent
}

func newOwedTasks() *owedTasks { return &owedTasks{owed: make(map[correlator.ID]bool)} }

func (o *owedTasks) Owe(_ context.Context, id correlator.ID, _ time.Duration, sent bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.full {
		return correlator.ErrFull
	}
	o.owed[id] = sent || o.owed[id]
	return nil
}

func (o *owedTasks) Done(_ context.Context, id correlator.ID) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.owed, id)
	return nil
}

func (o *owing) Look(id correlator.ID) {
	if !o.blind {
		o.looks.Go(func() { o.look(id) })
	}
}

// serves says whose outbox it is.
func (o *owing) serves(g *gateway.Gateway) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gateway = g
}

// limit says whether there is no more room.
func (o *owedTasks) limit(full bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.full = full
}

// look does what an outbox does with a task, and gives when it would look again.
func (o *owing) look(id correlator.ID) time.Duration {
	o.mu.Lock()
	sent, known := o.owed[id]
	g := o.gateway
	o.mu.Unlock()
	if !known {
		return 0
	}
	again, sent, err := g.Push(context.Background(), id, sent)
	switch {
	case err != nil:
		return -1
	case again > 0:
		_ = o.Owe(context.Background(), id, again, sent)
	default:
		_ = o.Done(context.Background(), id)
	}
	return again
}

// lookAtAll looks at what is owed, and gives how many tasks are owed then.
func (o *owing) lookAtAll() int {
	o.looks.Wait()
	for _, id := range o.ids() {
		o.look(id)
	}
	return len(o.ids())
}

func (o *owedTasks) ids() (all []correlator.ID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id := range o.owed {
		all = append(all, id)
	}
	return all
}

// pushNode is a gateway whose results are pushed.
type pushNode struct {
	*routed
	*pusher
	*owing
}

// pushParts has the last dialect of p push.
func pushParts(t *testing.T, p *gateway.Parts, tasks *owedTasks) (*pusher, *owing) {
	d := newPusher(p.Dialects[len(p.Dialects)-1].(*rest.Dialect))
	p.Dialects[len(p.Dialects)-1] = d
	o := &owing{t: t, owedTasks: tasks}
	p.Outbox = o
	return d, o
}

func startPushing(t *testing.T, change ...func(*rest.RouteConfig, *httpengine.Config)) *pushNode {
	t.Helper()
	e := newHooks(t)
	route, engine := hookRoute(e, change...)
	n := new(pushNode)
	made := startParts(t, "http://127.0.0.1:1", func(n0 *node, p *gateway.Parts) {
		addRoutes(t, n0.keys, p, []rest.RouteConfig{route}, engine)
		n.pusher, n.owing = pushParts(t, p, newOwedTasks())
	}, func(c *gateway.Config) {
		c.CORS = cors.Config{Origins: []string{"https://shop.example"}, Enforce: true}
	})
	n.routed = &routed{made, e, t}
	n.serves(made.Gateway)
	t.Cleanup(n.looks.Wait)
	return n
}

// hookRoute is a route to a plain HTTP engine.
func hookRoute(e *hooks, change ...func(*rest.RouteConfig, *httpengine.Config)) (rest.RouteConfig, httpengine.Config) {
	engine := httpengine.Config{Name: "flow", Kind: "http", URL: e.URL + "/hooks/{kind}"}
	route := rest.DefaultRoute()
	route.Name, route.Path, route.Engine, route.Auth = "transfer", "/v1/transfers/{kind}", "flow", rest.AuthNone
	for _, f := range change {
		f(&route, &engine)
	}
	return route, engine
}

// Whatever ends a task, its result is pushed once, and then nothing is owed any more.
func TestResultsArePushed(t *testing.T) {
	for _, way := range []struct {
		name, prefer string
		end          func(t *testing.T, n *pushNode, h *hook, reply <-chan answer)
		want         string
	}{
		{"handed over", "respond-async", func(t *testing.T, n *pushNode, h *hook, reply <-chan answer) {
			h.answer(202, "", "")
			wantReply(t, got(t, reply), 202, "")
			want(t, n.report(h, `{"done":1}`), 200, `{}`)
		}, `complete {"done":1}`},
		{"held", "wait=20", func(t *testing.T, n *pushNode, h *hook, reply <-chan answer) {
			h.answer(202, "", "")
			want(t, n.report(h, `{"done":2}`), 200, `{}`)
			wantReply(t, got(t, reply), 200, `{"done":2}`)
		}, `complete {"done":2}`},
		{"by the engine's own answer", "respond-async", func(t *testing.T, _ *pushNode, h *hook, reply <-chan answer) {
			h.answer(200, "application/json", `{"done":3}`)
			wantReply(t, got(t, reply), 200, `{"done":3}`)
		}, `complete {"done":3}`},
		{"by its client", "respond-async", func(t *testing.T, n *pushNode, h *hook, reply <-chan answer) {
			h.answer(202, "", "")
			wantReply(t, n.do(http.MethodDelete, got(t, reply).header.Get("Location"), ""), 202, "")
		}, `cancel {"type":"/errors/cancelled"`},
		{"by a failure", "respond-async", func(t *testing.T, n *pushNode, h *hook, reply <-chan answer) {
			h.answer(202, "", "")
			wantReply(t, got(t, reply), 202, "")
			want(t, n.report(h, `{"no":"money"}`, "X-Callback-Status", "error"), 200, `{}`)
		}, `error {"no":"money"}`},
	} {
		t.Run(way.name, func(t *testing.T) {
			n := startPushing(t, func(_ *rest.RouteConfig, e *httpengine.Config) { e.Final, e.Accepted = []int{200}, []int{202} })
			reply := n.post(`{}`, "Prefer", way.prefer)
			h := n.next(t)
			task := <-n.registered
			if len(n.ids()) != 1 || !strings.HasPrefix(task, n.ids()[0].String()) {
				t.Errorf("the engine has task %s, and %v are owed", task, n.ids())
			}
			way.end(t, n, h, reply)
			n.wantPushed(t, way.want)
			n.set(func(p *pusher) { p.delivering = true })
			for range 3 {
				if n.lookAtAll() != 1 {
					t.Fatal("forgotten while it is being delivered")
				}
			}
			wantNoMore(t, n.pushed)
			n.set(func(p *pusher) { p.delivering = false })
			if left := n.lookAtAll(); left != 0 {
				t.Errorf("%d tasks are still owed", left)
			}
			wantNoMore(t, n.pushed)
		})
	}
}

func wantNoMore(t *testing.T, c <-chan string) {
	t.Helper()
	select {
	case text := <-c:
		t.Errorf("%q came once more", text)
	default:
	}
}

// A request whose task is not made owes nothing, and its key is free.
func TestNothingIsPushedOfARefusedRequest(t *testing.T) {
	n := startPushing(t)
	n.set(func(p *pusher) {
		p.refuse = &gateway.Fault{Status: http.StatusForbidden, Text: "this receiver is not allowed"}
	})
	a := got(t, n.post(`{}`, "Idempotency-Key", "k", "Prefer", "respond-async"))
	wantReply(t, a, 403, "")
	if !strings.Contains(a.body, "this receiver is not allowed") || len(n.ids()) != 0 {
		t.Errorf("%s; %d tasks are owed", a.body, len(n.ids()))
	}
	n.set(func(p *pusher) { p.refuse = nil })
	n.limit(true)
	wantReply(t, got(t, n.post(`{}`, "Idempotency-Key", "k")), 503, "")
	n.limit(false)
	select {
	case h := <-n.hooks.asked:
		t.Fatalf("the engine was asked: %s", h.body)
	default:
	}
	reply := n.post(`{}`, "Idempotency-Key", "k")
	n.next(t).answer(400, "application/json", `{"bad":"request"}`)
	wantReply(t, got(t, reply), 400, `{"bad":"request"}`)
	if left := n.lookAtAll(); left != 0 {
		t.Errorf("%d tasks are owed that were not made", left)
	}
	reply = n.post(`{}`, "Idempotency-Key", "k", "Prefer", "respond-async")
	n.next(t).answer(202, "", "")
	wantReply(t, got(t, reply), 202, "")
	wantNoMore(t, n.pushed)
}

// An engine may refuse a task when its client has its 202 already: then that is what is pushed.
func TestLateRefusalIsPushed(t *testing.T) {
	n := startPushing(t)
	reply := n.post(`{}`, "Accept", "text/event-stream", "Prefer", "wait=5") // it hears that the task is taken after a second
	h := n.next(t)
	select {
	case <-reply:
		t.Fatal("the stream has ended")
	case <-time.After(1500 * time.Millisecond):
	}
	h.answer(400, "application/json", `{"bad":"request"}`)
	n.wantPushed(t, "error ")
	if a := got(t, reply); !strings.Contains(a.body, "event: error") {
		t.Errorf("the stream says %s", a.body)
	}
	if left := n.lookAtAll(); left != 0 {
		t.Errorf("%d tasks are owed", left)
	}
}

// A push that fails or panics is made again. So is one of which no node heard.
func TestPushIsMadeAgain(t *testing.T) {
	n := startPushing(t)
	n.blind = true
	n.set(func(p *pusher) { p.fails = 2 })
	reply := n.post(`{}`, "Prefer", "respond-async")
	h := n.next(t)
	h.answer(202, "", "")
	wantReply(t, got(t, reply), 202, "")
	if again := n.look(n.ids()[0]); again < 10*time.Second || again > time.Minute {
		t.Errorf("a task that runs is looked at after %v", again)
	}
	want(t, n.report(h, `{"done":1}`), 200, `{}`)
	id := n.ids()[0]
	for range 2 {
		if again := n.look(id); again != -1 {
			t.Fatalf("a push that has failed is made again after %v", again)
		}
		wantNoMore(t, n.pushed)
	}
	if again := n.look(id); again < time.Minute {
		t.Errorf("what is delivered is looked at after %v", again)
	}
	n.wantPushed(t, `complete {"done":1}`)
}

// A task that nobody ends in time ends, and its receivers hear that.
func TestEndlessTaskIsPushed(t *testing.T) {
	n := startPushing(t)
	id := n.memo.NewID(time.Now().Add(30 * time.Second)).Mark()
	record := correlator.Record{
		Meta:   []byte(`{"login":"route/transfer","dialect":"rest","engine":"flow","route":"transfer","created":1,"ops":[{}]}`),
		Finals: make([]correlator.Callback, 1),
	}
	if err := n.memo.Save(t.Context(), id, record); err != nil {
		t.Fatal(err)
	}
	if err := n.Owe(t.Context(), id, 0, false); err != nil {
		t.Fatal(err)
	}
	n.look(id)
	n.lookAtAll()
	n.wantPushed(t, `error {"message":"The engine has not called back in time"}`)
}

// A call that makes no task is registered and answered, and owes nothing.
func TestCallWithoutATask(t *testing.T) {
	n := startPushing(t)
	wantReply(t, got(t, n.post(`{"only":"no task"}`)), 201, "")
	if task := <-n.registered; task != "" || len(n.ids()) != 0 {
		t.Errorf("it has the task %q, and %d are owed", task, len(n.ids()))
	}
	if !strings.Contains(n.log.String(), `"outcome":"registered"`) {
		t.Error(n.log)
	}
	n.set(func(p *pusher) { p.refuse = correlator.ErrUnavailable })
	wantReply(t, got(t, n.post(`{"only":"no task"}`)), 503, "")
}

// What a dialect keeps itself is asked for, and a panic there is one client's 500.
func TestResources(t *testing.T) {
	n := startPushing(t)
	wantReply(t, n.do(http.MethodGet, "/things/1", ""), 200, "/things/1")
	if a := n.do(http.MethodGet, "/things/none", ""); a.status != 404 || !strings.Contains(a.body, "no such thing") || a.header.Get("X-Request-Id") == "" {
		t.Errorf("%d %s %v", a.status, a.body, a.header)
	}
	wantReply(t, n.do(http.MethodGet, "/things/panic", ""), 500, "")
	if a := n.do(http.MethodPost, "/things/1", ""); a.status != 405 || a.header.Get("Allow") != "GET, OPTIONS" {
		t.Errorf("%d %v", a.status, a.header)
	}
	wantReply(t, n.do(http.MethodGet, "/things/1", "", "Origin", "https://evil.example"), 403, "")
}

// Where nodes share Redis, each has the result pushed, whatever node has the task and whatever node hears of its end.
func TestPushOnAnyNode(t *testing.T) {
	e := newHooks(t)
	route, engine := hookRoute(e)
	var pushers []*pusher
	var boxes []*owing
	shared := newOwedTasks()
	c := newClusterOf(t, redistest.Start(t), func(c *cluster, p *gateway.Parts) {
		addRoutes(t, c.keys, p, []rest.RouteConfig{route}, engine)
		d, o := pushParts(t, p, shared)
		pushers, boxes = append(pushers, d), append(boxes, o)
	})
	t.Cleanup(c.end)
	nodes := c.routedAt(t, e)
	for i := range boxes {
		boxes[i].serves(c.members[i].Gateway)
	}
	for i, at := range nodes {
		reply := nodes[0].post(`{}`, "Prefer", "respond-async")
		h := e.next(t)
		h.answer(202, "", "")
		wantReply(t, got(t, reply), 202, "")
		want(t, at.report(h, `{"done":1}`), 200, `{}`)
		pushers[i].wantPushed(t, `complete {"done":1}`)
		boxes[i].looks.Wait()
		if left := boxes[i].lookAtAll(); left != 0 {
			t.Errorf("%d tasks are owed", left)
		}
	}
}
