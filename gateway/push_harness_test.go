package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/correlator/redis"
	"syncgate/dialect"
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

func (p *pusher) Route(path []byte) (dialect.Route, bool) {
	if strings.HasPrefix(string(path), "/things/") {
		return dialect.Route{Kind: dialect.Resource, Methods: []string{"GET", "OPTIONS"}}, true
	}
	return p.Dialect.Route(path)
}

func (p *pusher) Accept(req *fasthttp.Request, r dialect.Route, now time.Time) (*dialect.Call, error) {
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

func (p *pusher) Answer(dst *fasthttp.Response, c *dialect.Call, r *dialect.Reply) {
	if len(c.Ops) == 0 {
		dst.SetStatusCode(http.StatusCreated)
		return
	}
	p.Dialect.Answer(dst, c, r)
}

func (p *pusher) Register(_ context.Context, _ *dialect.Call, task string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse != nil {
		return p.refuse
	}
	p.registered <- task
	return nil
}

func (p *pusher) Push(_ context.Context, _ *dialect.Call, r *dialect.Reply, own func(dst *fasthttp.Response)) error {
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

func (p *pusher) Delivering(context.Context, *dialect.Call, *dialect.Reply) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asks++
	return p.delivering, nil
}

func (p *pusher) Resource(_ context.Context, dst *fasthttp.Response, req *fasthttp.Request, _ dialect.ResourceCall) (string, error) {
	switch path := string(req.Header.RequestURI()); path {
	case "/things/panic":
		panic(path)
	case "/things/none":
		return "", &dialect.Fault{Status: http.StatusNotFound, Text: "no such thing"}
	default:
		dst.SetBodyString(path)
		return "", nil
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
	looks   looks
	one     sync.Mutex  // held by the look that runs: an outbox never looks twice at once
	blind   atomic.Bool // Look does nothing
	*owedTasks
}

// looks are looks that run. Others may begin while one waits for them, which a WaitGroup does not allow.
type looks struct {
	mu   sync.Mutex
	run  int           // guarded by mu, as is the next
	idle chan struct{} // closed when none runs; nil: nobody waits
}

func (l *looks) start(look func()) {
	l.mu.Lock()
	l.run++
	l.mu.Unlock()
	go func() {
		defer l.done()
		look()
	}()
}

func (l *looks) done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.run--; l.run == 0 && l.idle != nil {
		close(l.idle)
		l.idle = nil
	}
}

// Wait returns when there is a moment at which no look runs.
func (l *looks) Wait() {
	l.mu.Lock()
	if l.run == 0 {
		l.mu.Unlock()
		return
	}
	if l.idle == nil {
		l.idle = make(chan struct{})
	}
	idle := l.idle
	l.mu.Unlock()
	<-idle
}

// owedTasks are those that nodes share.
type owedTasks struct {
	mu   sync.Mutex
	full bool                   // guarded by mu, as are the next
	owed map[correlator.ID]bool // sent
	last time.Duration          // after which the last Owe has one looked at
}

func newOwedTasks() *owedTasks { return &owedTasks{owed: make(map[correlator.ID]bool)} }

func (o *owedTasks) Owe(_ context.Context, id correlator.ID, after time.Duration, sent bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.full {
		return correlator.ErrFull
	}
	o.owed[id], o.last = sent || o.owed[id], after
	return nil
}

func (o *owedTasks) Done(_ context.Context, id correlator.ID) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.owed, id)
	return nil
}

func (o *owing) Look(id correlator.ID) {
	if !o.blind.Load() {
		o.looks.start(func() { o.look(id) })
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
	o.one.Lock()
	defer o.one.Unlock()
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

// owes gives after which time the last task that was owed is looked at.
func (o *owedTasks) owes() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last
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
	store correlator.Keeper
	redis *redistest.Server // nil: records are in memory
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
	return startPushingOver(t, func(*node, *gateway.Parts) {}, change...)
}

// startPushingOver is startPushing with some other parts.
func startPushingOver(t *testing.T, replace func(*node, *gateway.Parts), change ...func(*rest.RouteConfig, *httpengine.Config)) *pushNode {
	t.Helper()
	e := newHooks(t)
	route, engine := hookRoute(e, change...)
	n := new(pushNode)
	made := startParts(t, "http://127.0.0.1:1", func(n0 *node, p *gateway.Parts) {
		replace(n0, p)
		addRoutes(t, n0.keys, p, []rest.RouteConfig{route}, engine)
		n.pusher, n.owing = pushParts(t, p, newOwedTasks())
	}, func(c *gateway.Config) {
		c.CORS = cors.Config{Origins: []string{"https://shop.example"}, Enforce: true}
	})
	n.routed = &routed{made, e, t}
	if n.store == nil {
		n.store = made.memo
	}
	n.serves(made.Gateway)
	t.Cleanup(n.looks.Wait)
	return n
}

// startPushingOverRedis is startPushing with records in Redis.
func startPushingOverRedis(t *testing.T, retention time.Duration) (*pushNode, redis.Config) {
	t.Helper()
	store := redis.Default()
	server := redistest.Start(t)
	store.URL, store.Retention = server.URL(), retention
	var table *redis.Correlator
	n := startPushingOver(t, func(n *node, p *gateway.Parts) {
		var err error
		if table, err = redis.New(store, n.keys, redis.Options{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = table.Shutdown(context.Background()) })
		p.Correlator = table
	})
	n.store, n.redis = table, server
	waitFor(t, func() bool { return table.Ready() == nil })
	return n, store
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
