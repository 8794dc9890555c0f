package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"syncgate/dialect/httpengine"
	"syncgate/dialect/rest"
	"syncgate/gateway"
	"syncgate/internal/redistest"
)

// twoNodes are two gateways over Redis with the same route.
type twoNodes struct {
	home, other *routed
	engine      *hooks
}

func startTwoNodes(t *testing.T, change ...func(*rest.RouteConfig, *httpengine.Config)) *twoNodes {
	t.Helper()
	e := newHooks(t)
	engine := httpengine.Config{Name: "flow", Kind: "http", URL: e.URL + "/hooks/{kind}"}
	route := rest.DefaultRoute()
	route.Name, route.Path, route.Engine, route.Auth = "transfer", "/v1/transfers/{kind}", "flow", rest.AuthNone
	for _, f := range change {
		f(&route, &engine)
	}
	c := newClusterOf(t, redistest.Start(t), func(c *cluster, p *gateway.Parts) { addRoutes(t, c.keys, p, []rest.RouteConfig{route}, engine) })
	t.Cleanup(c.end)
	nodes := c.routedAt(t, e)
	return &twoNodes{nodes[0], nodes[1], e}
}

// routedAt gives the nodes of a cluster as gateways with routes to e.
func (c *cluster) routedAt(t *testing.T, e *hooks) (all []*routed) {
	for _, m := range c.members {
		n := &node{Gateway: m.Gateway, t: t, url: "http://" + m.addr, log: m.log, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}}
		t.Cleanup(n.http.CloseIdleConnections)
		all = append(all, &routed{n, e, t})
	}
	return all
}

// What one node has taken any node shows, completes and cancels.
func TestRouteOnAnyNode(t *testing.T) {
	n := startTwoNodes(t, func(_ *rest.RouteConfig, e *httpengine.Config) {
		e.Cancel = httpengine.Cancel{Method: "DELETE", URL: strings.TrimSuffix(e.URL, "/hooks/{kind}") + "/jobs/{accepted.id}"}
	})
	reply := n.home.post(`{}`) // held at home
	h := n.engine.next(t)
	h.answer(202, "", "")
	want(t, n.other.report(h, `{"done":1}`, "CZ-AG-Status-Code", "201", "Content-Language", "uk"), 200, `{}`)
	a := got(t, reply)
	wantReply(t, a, 201, `{"done":1}`)
	if a.header.Get("Content-Language") != "uk" {
		t.Errorf("%v", a.header)
	}

	reply = n.home.post(`{}`, "Prefer", "respond-async") // handed over at home, read at the other
	h = n.engine.next(t)
	h.answer(202, "application/json", `{"id":7}`)
	location := got(t, reply).header.Get("Location")
	wantReply(t, n.other.do(http.MethodGet, location, ""), 202, "")
	waiting := make(chan answer, 1)
	go func() { waiting <- n.other.do(http.MethodGet, location, "", "Prefer", "wait=30") }()
	want(t, n.home.report(h, `{"done":2}`), 200, `{}`)
	wantReply(t, got(t, waiting), 200, `{"done":2}`)
	wantReply(t, n.home.do(http.MethodGet, location+"/result", ""), 200, `{"done":2}`)

	reply = n.home.post(`{}`, "Prefer", "respond-async") // cancelled at the other
	h = n.engine.next(t)
	h.answer(202, "application/json", `{"id":8}`)
	location = got(t, reply).header.Get("Location")
	wantReply(t, n.other.do(http.MethodDelete, location, ""), 202, "")
	c := n.engine.next(t)
	if c.path != "/jobs/8" {
		t.Errorf("the engine is asked %s %s", c.method, c.path)
	}
	c.answer(204, "", "")
	for _, at := range []*routed{n.home, n.other} {
		late := at.report(h, `{"done":3}`)
		wantReply(t, late, 200, `{}`)
		if late.header.Get("X-Callback-Status") != "cancel" {
			t.Errorf("the worker does not hear that it can stop: %v", late.header)
		}
		wantReply(t, at.do(http.MethodGet, location, ""), 409, "")
	}
}

// report reports progress at both nodes in turns.
func (n *twoNodes) report(h *hook, sender, times int) {
	for i := range times {
		at := []*routed{n.home, n.other}[i%2]
		if a := at.report(h, fmt.Sprintf(`{"s%d":%d}`, sender, i), "X-Callback-Status", "progress"); a.status != 200 {
			at.t.Errorf("%+v", a)
		}
	}
}

// A stream at one node hears what reaches the other, in order, none lost; one that is cut goes on at the other.
func TestRouteStreamOnAnyNode(t *testing.T) {
	n := startTwoNodes(t)
	opened := make(chan *events, 1)
	go func() { opened <- n.home.stream(http.MethodPost, "/v1/transfers/p2p", `{}`) }()
	h := n.engine.next(t)
	h.answer(202, "", "")
	s := <-opened
	v, _ := s.next()
	var task struct{ ID, Location string }
	if err := json.Unmarshal([]byte(v.data), &task); err != nil || v.name != "accepted" {
		t.Fatalf("%+v", v)
	}
	const reports, senders = 200, 10
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() { n.report(h, sender, reports/senders) })
	}
	seen := make(map[string]bool)
	for i := 1; i <= reports; i++ {
		v, ok := s.next()
		if !ok || v.id != fmt.Sprint(i) || v.name != "progress" || seen[v.data] {
			t.Fatalf("event %d is %+v (%v)", i, v, ok)
		}
		seen[v.data] = true
		if i == reports/2 { // this one is cut here
			_ = s.resp.Body.Close()
			s = n.other.stream(http.MethodGet, task.Location, "", "Last-Event-ID", v.id)
		}
	}
	all.Wait()
	a := n.other.do(http.MethodGet, task.Location, "")
	for sender := range senders {
		if last := fmt.Sprintf(`"s%d":%d`, sender, reports/senders-1); !strings.Contains(a.body, last) {
			t.Errorf("the merged progress has not %s: %s", last, a.body)
		}
	}
	want(t, n.home.report(h, `{"done":1}`), 200, `{}`)
	s.want("end", "result", `{"done":1}`)
	s.wantEnd()
}

// A key is one task on all nodes, and so is a stream of it.
func TestRouteKeyOnAnyNode(t *testing.T) {
	n := startTwoNodes(t)
	first := n.home.post(`{}`, "Idempotency-Key", "k")
	h := n.engine.next(t)
	h.answer(202, "", "")
	second := n.other.post(`{}`, "Idempotency-Key", "k")
	s := n.other.stream(http.MethodPost, "/v1/transfers/p2p", `{}`, "Idempotency-Key", "k", "Content-Type", "application/json")
	s.want("0", "accepted", "")
	want(t, n.other.report(h, `{"step":1}`, "X-Callback-Status", "progress"), 200, `{}`)
	s.want("1", "progress", `{"step":1}`)
	want(t, n.other.report(h, `{"done":1}`), 200, `{}`)
	wantReply(t, got(t, first), 200, `{"done":1}`)
	wantReply(t, got(t, second), 200, `{"done":1}`)
	s.want("end", "result", `{"done":1}`)
	s.wantEnd()
	select {
	case <-n.engine.asked:
		t.Error("the engine was asked again")
	case <-time.After(100 * time.Millisecond):
	}
}
