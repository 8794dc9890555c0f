package gateway_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/dialect/httpengine"
	"syncgate/dialect/os1"
	"syncgate/dialect/rest"
	"syncgate/gateway"
)

// batches is a dialect whose clients send several tasks in the words of OS1.
type batches struct{ config os1.Config }

func (batches) Name() string { return "batches" }

func (batches) Route(path []byte) (dialect.Route, bool) {
	return dialect.Route{Kind: dialect.Create, Methods: []string{"POST"}}, string(path) == "/v1/batch"
}

func (b batches) Accept(req *fasthttp.Request, _ dialect.Route, _ time.Time) (*dialect.Call, error) {
	r, fault := os1.Read(req)
	if fault != nil {
		return nil, fault
	}
	elements, fault := b.config.Split(&r, 10)
	if fault != nil {
		return nil, fault
	}
	s := b.config.NewState(&r, "POST", []byte("/v1/batch"))
	s.Refs, s.Echo = os1.RefsOf(elements), ""
	asked := &dialect.Asked{Method: "POST", ContentType: req.Header.ContentType(), Body: r.Body, Process: "1234", Signer: login, Data: "members"}
	c := &dialect.Call{Login: "batches", Wait: 5 * time.Second, Options: &dialect.Options{Route: "batches", Asked: asked, State: s.Encode()}}
	if r.Callback.Asked() {
		c.Options.Mode = dialect.HandOver
	}
	for i := range elements {
		c.Ops = append(c.Ops, dialect.Op{Create: true})
		asked.Elements = append(asked.Elements, elements[i].Body)
	}
	return c, nil
}

func (batches) Answer(dst *fasthttp.Response, c *dialect.Call, r *dialect.Reply) {
	s, err := os1.ParseState(c.Options.State)
	switch {
	case err != nil:
		dst.SetStatusCode(fasthttp.StatusInternalServerError)
	case r.Open != nil:
		s.Accepted(dst, r.Task)
		dst.Header.Set("Location", "/tasks/"+r.Task)
	default:
		s.Result(dst, r.Finals)
	}
}

func (batches) Refuse(dst *fasthttp.Response, f *dialect.Fault, _ string) {
	os1.Refuse(dst, nil, f, "x")
}

// startBatches is a gateway for batches before the Corezoid engine. Tasks are read as those of routes are.
func startBatches(t *testing.T, change ...func(*gateway.Config)) (*node, *engine) {
	t.Helper()
	e := newEngine(t)
	route := rest.DefaultRoute()
	route.Name, route.Path, route.Engine, route.Auth = "other", "/v1/others", "flow", rest.AuthNone
	n := startParts(t, e.URL, func(n *node, p *gateway.Parts) {
		p.Dialects = append(p.Dialects, batches{os1.Config{Batch: "items"}})
		addRoutes(t, n.keys, p, []rest.RouteConfig{route}, httpengine.Config{Name: "flow", Kind: "http", URL: "http://127.0.0.1:1"})
	}, change...)
	return n, e
}

// batch sends three tasks, with or without a callback, and gives the answer by channel.
func (n *node) batch(callback string) <-chan answer {
	c := make(chan answer, 1)
	go func() {
		c <- n.do(http.MethodPost, "/v1/batch", `{`+callback+`"items":[{"refID":"a"},{"refID":2.50},{"refID":"c"}]}`,
			"Content-Type", "application/json", "X-COREOS-REQUEST-ID", "1", "X-COREOS-TID", "acme", "X-COREOS-ACCESS", "t")
	}()
	return c
}

const (
	partialBatch = `{"data":{"meta":{"status":"partial","success":2,"failed":1,"total":3},"success":[{"refID":"a","data":{"n":1}},{"refID":"c","data":{"n":3}}],` +
		`"errors":[{"refID":2.50,"error":`
	afterErrors = `}]},"request":{}}`
)

// A package of several tasks: the client hears of each what its own callback says, in the order of its request.
func TestBatchIsHeld(t *testing.T) {
	n, e := startBatches(t)
	reply := n.batch("")
	a := e.next(t)
	if len(a.tokens) != 3 || !strings.Contains(a.body, `"data":{"refID":2.50,"__callback_url":"`) {
		t.Fatalf("the engine gets %s", a.body)
	}
	a.accept()
	wantReply(t, n.callback(a.tokens[2], `{"n":3}`), 200, "")
	wantReply(t, n.callback(a.tokens[1]+"?callback_status=error", `{"message":"full"}`), 200, "")
	select {
	case early := <-reply:
		t.Fatalf("with one task open the client hears %+v", early)
	case <-time.After(50 * time.Millisecond):
	}
	wantReply(t, n.callback(a.tokens[0], `{"n":1}`), 200, "")
	wantReply(t, got(t, reply), 200, partialBatch+`{"code":"engine-error","description":"full","additionalInfo":{"errorTrace":[],"data":{"message":"full"}}}`+afterErrors)
}

// A task that the engine refuses needs no callback, and one refused package ends all of them.
func TestBatchIsRefused(t *testing.T) {
	n, e := startBatches(t)
	reply := n.batch("")
	a := e.next(t)
	taken := strings.Split(a.accepted(), `"proc":"ok"`)
	a.answer(200, strings.Join(taken[:2], `"proc":"ok"`)+`"proc":"error","description":"no such process"`+taken[2]+`"proc":"ok"`+taken[3])
	wantReply(t, n.callback(a.tokens[0], `{"n":1}`), 200, "")
	wantReply(t, n.callback(a.tokens[2], `{"n":3}`), 200, "")
	if heard := got(t, reply); heard.status != 200 || !strings.HasPrefix(heard.body, partialBatch+`{"code":"engine-error","description":"no such process"`) {
		t.Errorf("%+v", heard)
	}

	reply = n.batch("")
	e.next(t).answer(200, `{"request_proc":"error","ops":[],"message":"wrong signature"}`)
	if heard := got(t, reply); heard.status != 200 || !strings.Contains(heard.body, `"failed":3,"total":3},"success":[]`) || strings.Count(heard.body, "wrong signature") < 3 {
		t.Errorf("%+v", heard)
	}
}

// A batch that is handed over has one task resource.
func TestBatchIsHandedOver(t *testing.T) {
	n, e := startBatches(t)
	reply := n.batch(`"callback":"https://shop.example/",`)
	a := e.next(t)
	a.accept()
	heard := got(t, reply)
	if heard.status != 202 {
		t.Fatalf("%+v", heard)
	}
	at := heard.header.Get("Location")
	for i, body := range []string{`{"n":1}`, `{"n":2}`, `{"n":3}`} {
		if running := n.do(http.MethodGet, at, ""); running.status != 202 {
			t.Errorf("after %d callbacks: %+v", i, running)
		}
		wantReply(t, n.callback(a.tokens[i], body), 200, "")
	}
	wantReply(t, n.do(http.MethodGet, at, ""), 200, `{"data":{"meta":{"status":"success","success":3,"failed":0,"total":3},"success":[`+
		`{"refID":"a","data":{"n":1}},{"refID":2.50,"data":{"n":2}},{"refID":"c","data":{"n":3}}],"errors":[]},"request":{}}`)
}

// Results of a batch are laid over what was reported of their own task, and not over the request of all.
func TestBatchIsMerged(t *testing.T) {
	n, e := startBatches(t, func(c *gateway.Config) { c.Engine.Merge = true })
	reply := n.batch("")
	a := e.next(t)
	a.accept()
	wantReply(t, n.callback(a.tokens[1]+"?callback_status=progress", `{"percent":5}`), 200, "")
	for _, token := range a.tokens {
		wantReply(t, n.callback(token, `{"n":1}`), 200, "")
	}
	wantReply(t, got(t, reply), 200, `{"data":{"meta":{"status":"success","success":3,"failed":0,"total":3},"success":[`+
		`{"refID":"a","data":{"n":1}},{"refID":2.50,"data":{"n":1,"percent":5}},{"refID":"c","data":{"n":1}}],"errors":[]},"request":{}}`)
}
