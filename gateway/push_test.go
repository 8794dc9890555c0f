package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/httpengine"
	"syncgate/dialect/rest"
	"syncgate/gateway"
	"syncgate/internal/redistest"
)

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
			n.wantOwed(t, task, map[string]time.Duration{"wait=20": 20 * time.Second, "respond-async": 4 * time.Second}[way.prefer]) // twice engine.timeout
			n.set(func(p *pusher) { p.delivering = true })
			way.end(t, n, h, reply)
			n.wantPushed(t, way.want)
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

// wantOwed wants that a task is owed, alone, and looked at soon after its client's wait has ended.
func (n *pushNode) wantOwed(t *testing.T, task string, wait time.Duration) {
	t.Helper()
	if len(n.ids()) != 1 || !strings.HasPrefix(task, n.ids()[0].String()) {
		t.Errorf("the engine has task %s, and %v are owed", task, n.ids())
	}
	if after := n.owes(); after < wait+10*time.Second || after > wait+15*time.Second {
		t.Errorf("the task is looked at after %v, and its client waits for %v", after, wait)
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
		p.refuse = &dialect.Fault{Status: http.StatusForbidden, Text: "this receiver is not allowed"}
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
	case h := <-n.asked:
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
	n.blind.Store(true)
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

// A task that nobody ends in time ends, and its receivers hear that: also if no node has looked before its tokens were worth nothing any more.
func TestEndlessTaskIsPushed(t *testing.T) {
	for name, expires := range map[string]time.Duration{"in its last minute": 30 * time.Second, "hours later": -5 * time.Hour} {
		t.Run(name+", in memory", func(t *testing.T) { endlessTaskIsPushed(t, startPushing(t), expires) })
		t.Run(name+", in Redis", func(t *testing.T) {
			n, _ := startPushingOverRedis(t, time.Hour)
			endlessTaskIsPushed(t, n, expires)
		})
	}
}

func endlessTaskIsPushed(t *testing.T, n *pushNode, expires time.Duration) {
	id := correlator.NewID(correlator.NewNodeID(), time.Now().Add(expires)).Mark()
	record := correlator.Record{
		Meta:   []byte(`{"login":"route/transfer","dialect":"rest","engine":"flow","route":"transfer","created":1,"ops":[{}]}`),
		Finals: make([]correlator.Callback, 1),
	}
	if err := n.store.Save(t.Context(), id, record); err != nil {
		t.Fatal(err)
	}
	if err := n.Owe(t.Context(), id, 0, false); err != nil {
		t.Fatal(err)
	}
	n.look(id)
	n.lookAtAll()
	n.wantPushed(t, `error {"message":"The engine has not called back in time"}`)
}

// A task whose result is pushed is not evicted before that is delivered.
func TestPushedTaskIsKept(t *testing.T) {
	n := startPushing(t)
	n.set(func(p *pusher) { p.delivering = true })
	reply := n.post(`{}`, "Prefer", "respond-async")
	h := n.next(t)
	h.answer(202, "", "")
	place := got(t, reply).header.Get("Location")
	n.memo.SetResults(1)
	want(t, n.report(h, `{"done":1}`), 200, `{}`)
	n.wantPushed(t, `complete {"done":1}`)
	n.lookAtAll()
	n.memo.SetResults(2)
	wantReply(t, n.do(http.MethodGet, place, ""), 200, `{"done":1}`)
	n.set(func(p *pusher) { p.delivering = false })
	n.lookAtAll()
	wantReply(t, n.do(http.MethodGet, place, ""), 410, "")
}

// So it is in Redis, whatever the retention.
func TestPushedTaskIsKeptInRedis(t *testing.T) {
	n, store := startPushingOverRedis(t, 300*time.Millisecond)
	n.set(func(p *pusher) { p.delivering = true })
	reply := n.post(`{}`, "Prefer", "respond-async")
	h := n.next(t)
	h.answer(202, "", "")
	place := got(t, reply).header.Get("Location")
	want(t, n.report(h, `{"done":1}`), 200, `{}`)
	n.wantPushed(t, `complete {"done":1}`)
	<-time.After(2 * store.Retention)
	wantReply(t, n.do(http.MethodGet, place, ""), 200, `{"done":1}`)
	const each = `local left = 1e12 for _, k in ipairs(redis.call('KEYS', '*trip:*')) do `
	n.redis.Do("EVAL", each+`redis.call('PEXPIRE', k, 60000) end return left`, "0")
	n.look(n.ids()[0]) // each look keeps it until well after the next one
	left, err := strconv.Atoi(strings.TrimPrefix(n.redis.Do("EVAL", each+`left = math.min(left, redis.call('PTTL', k)) end return left`, "0"), ":"))
	if kept := time.Duration(left) * time.Millisecond; err != nil || kept < 10*time.Minute || kept > 15*time.Minute {
		t.Errorf("it is kept for %v after a look, %v", kept, err)
	}
}

// The receivers hear of a task that its client leaves, too.
func TestTaskThatIsLeftIsPushed(t *testing.T) {
	n := startPushing(t, func(r *rest.RouteConfig, _ *httpengine.Config) { r.OnDisconnect = dialect.Cancel })
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url+"/v1/transfers/p2p", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if resp, err := n.http.Do(req); err == nil {
			_ = resp.Body.Close()
		}
	}()
	n.next(t).answer(202, "", "")
	leave()
	<-ended
	n.wantPushed(t, `cancel `)
}

// A call that makes no task is registered and answered, and owes nothing.
func TestCallWithoutATask(t *testing.T) {
	n := startPushing(t)
	wantReply(t, got(t, n.post(`{"only":"no task"}`)), 201, "")
	if task := <-n.registered; task != "" || len(n.ids()) != 0 {
		t.Errorf("it has the task %q, and %d are owed", task, len(n.ids()))
	}
	waitLog(t, n.node, `"outcome":"registered"`)
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

// A result that can never be handed over is given up after a week, and the log says so.
func TestPushIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memo := correlator.NewMemory(correlator.Config{Retention: time.Hour})
		defer func() { _ = memo.Shutdown(context.Background()) }()
		keys, err := correlator.NewKeys([]string{correlator.RandomKey()})
		if err != nil {
			t.Fatal(err)
		}
		log, cfg := new(syncBuffer), gateway.Default()
		cfg.Engine.URL = "http://127.0.0.1:1"
		d := unpushable{modal{newDialect(t, cfg)}}
		g, err := gateway.New(cfg, gateway.Parts{Correlator: memo, Keys: keys, Dialect: d, Engine: d, Log: zerolog.New(log), Metrics: prometheus.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = g.Close(context.Background()) }()
		id := memo.NewID(time.Now().Add(time.Hour)).Mark()
		rec := correlator.Record{Meta: []byte(`{"login":"12345","created":1,"ops":[{}]}`), Finals: []correlator.Callback{{Status: correlator.Complete, Body: []byte(`1`)}}}
		if err := memo.Save(t.Context(), id, rec); err != nil {
			t.Fatal(err)
		}
		for days := range 9 {
			again, _, err := g.Push(t.Context(), id, false)
			if gaveUp := err == nil && again == 0; gaveUp != (days == 8) {
				t.Errorf("after %d days: again after %v, %v", days, again, err)
			}
			_ = memo.Prolong(t.Context(), id, 48*time.Hour) // as the looks of a day would
			<-time.After(24 * time.Hour)
		}
		if !strings.Contains(log.String(), "is given up") {
			t.Error(log)
		}
	})
}

// unpushable is a dialect that can never hand a result over.
type unpushable struct{ modal }

func (unpushable) Push(context.Context, *dialect.Call, *dialect.Reply, func(*fasthttp.Response)) error {
	return errors.New("the key is gone")
}
