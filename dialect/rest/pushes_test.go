package rest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/os1"
	"syncgate/dialect/rest"
	"syncgate/internal/httpfield"
	"syncgate/notify"
	"syncgate/signer"
)

// subscribable lets a route have subscriptions.
func subscribable(r *rest.RouteConfig) { r.Subscriptions = true }

// viewOS1 is a route for clients that speak OS1.
func viewOS1(r *rest.RouteConfig) {
	r.View = rest.ViewOS1
	r.OS1 = os1.Config{EventType: "CONTAINER_CREATED", Service: "Container", Members: map[string]string{"containerType": "shipment"}}
}

// keyed is a route for the callers with keys.
func keyed(r *rest.RouteConfig) { r.Auth = rest.AuthKey }

const (
	ownSecret      = "whsec_MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw" //nolint:gosec // of a test
	entrySecret    = "whsec_MTExMTExMTExMTExMTExMTExMTExMTEx" //nolint:gosec // of a test
	entryOS1Secret = "registered secret"                      //nolint:gosec // of a test
	houseSecret    = "whsec_MjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIy" //nolint:gosec // of a test
)

// callersOf are a caller without a secret, one with, and one of pages, for these routes.
func callersOf(routes ...string) []rest.AccessConfig {
	return []rest.AccessConfig{
		{Name: "shop", Key: "k-shop", Routes: routes},
		{Name: "signed", Key: "k-signed", Routes: routes, SigningSecret: entrySecret, CallbackSecret: entryOS1Secret},
		{Name: "page", Key: "k-page", Routes: routes, Origins: []string{"https://shop.example"}, Rate: 100},
		{Name: "other", Key: "k-other", Routes: []string{"other"}},
	}
}

// post is a notification that a receiver has got.
type post struct {
	header http.Header
	body   string
}

// sending is a real Sender to a real receiver.
type sending struct {
	*notify.Sender
	store notify.Store
}

// pushing is a Dialect whose notifications go to a receiver of the test.
type pushing struct {
	*rest.Dialect
	*subs
	push  *rest.Push
	send  sending
	url   string // of the receiver
	posts chan post
	says  chan int // statuses of its answers; without one it says 200
}

func guard(t testing.TB, networks ...string) *notify.Guard {
	t.Helper()
	c := notify.GuardConfig{AllowHTTP: true}
	for _, n := range networks {
		c.AllowNetworks = append(c.AllowNetworks, netip.MustParsePrefix(n))
	}
	g, err := notify.NewGuard(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// newPushing makes all but the Dialect.
func newPushing(t testing.TB) *pushing {
	t.Helper()
	p := &pushing{subs: &subs{Subscriptions: notify.NewMemorySubscriptions(1000)}, posts: make(chan post, 1000), says: make(chan int, 10)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		select {
		case status := <-p.says:
			w.WriteHeader(status)
		default:
		}
		p.posts <- post{r.Header, string(body)}
	}))
	t.Cleanup(server.Close)
	sealer, err := signer.NewSealer([]string{strings.Repeat("s", signer.MinSealKey)})
	if err != nil {
		t.Fatal(err)
	}
	p.send.store = notify.NewMemory(100, 1<<30)
	p.send.Sender, err = notify.New(p.send.store, notify.Config{
		Settings: notify.Settings{Guard: guard(t, "127.0.0.0/8")}, Sealer: sealer, Schedule: []time.Duration{0, 10 * time.Millisecond}, Poll: 10 * time.Millisecond,
		Settled: func(_, subscription string, _ notify.State, last notify.Attempt) {
			_ = p.Note(context.Background(), subscription, last)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.send.Close(context.Background()) })
	p.push = &rest.Push{Sender: p.send, Subscriptions: p.subs, Sealer: sealer}
	p.url = server.URL + "/hook"
	return p
}

func startPushing(t testing.TB, cfg rest.Config) *pushing {
	t.Helper()
	p := newPushing(t)
	var err error
	if p.Dialect, err = rest.New(cfg, rest.Outside{Keys: newKeys(t), Verifier: verifier{}, Push: p.push}); err != nil {
		t.Fatal(err)
	}
	return p
}

// startOrders is one with a route orders at /v1/orders/{kind} for callers with keys.
func startOrders(t testing.TB, edits ...func(*rest.RouteConfig)) *pushing {
	t.Helper()
	edits = append([]func(*rest.RouteConfig){subscribable, keyed}, edits...)
	return startPushing(t, config([]rest.RouteConfig{route("orders", "/v1/orders/{kind}", edits...), route("other", "/v1/other/{kind}", edits...)}, callersOf("orders", "other")...))
}

// next gives what the receiver gets.
func (p *pushing) next(t testing.TB) post {
	t.Helper()
	select {
	case got := <-p.posts:
		return got
	case <-time.After(5 * time.Second):
		t.Fatal("the receiver hears nothing within 5 s")
		return post{}
	}
}

// wantQuiet wants nothing that was sent, or is to be.
func (p *pushing) wantQuiet(t testing.TB) {
	t.Helper()
	eventually(t, "notifications stay open", func() bool {
		stats, err := p.send.store.Stats(context.Background())
		return err == nil && stats.Open == 0
	})
	if len(p.posts) > 0 {
		t.Errorf("%d more notifications were sent", len(p.posts))
	}
}

// made is a call that was registered.
type made struct {
	c    *dialect.Call
	task string // empty: none
}

// call has a request accepted and registered.
func (p *pushing) call(t testing.TB, line, body string, headers ...string) (made, *dialect.Fault) {
	t.Helper()
	if len(headers) == 0 {
		headers = []string{"X-Api-Key: k-shop"}
	}
	c, fault := accept(t, p.Dialect, line, body, headers...)
	if fault != nil {
		return made{}, fault
	}
	m := made{c: c}
	if len(c.Ops) > 0 {
		m.task = taskID(t)
	}
	return m, p.register(t, m)
}

func (p *pushing) register(t testing.TB, m made) *dialect.Fault {
	t.Helper()
	err := p.Register(context.Background(), m.c, m.task)
	if fault, ok := errors.AsType[*dialect.Fault](err); ok {
		return fault
	}
	if err != nil {
		t.Fatal(err)
	}
	return nil
}

// ok is call without a fault.
func (p *pushing) ok(t testing.TB, line, body string, headers ...string) made {
	t.Helper()
	m, fault := p.call(t, line, body, headers...)
	if fault != nil {
		t.Fatalf("%s %s: %v", line, body, fault)
	}
	return m
}

// answered words the first answer to a call whose engine has its task.
func (p *pushing) answered(m made) *fasthttp.Response {
	r := &dialect.Reply{RequestID: "rq1"}
	if m.task != "" {
		r = open(dialect.ErrHandedOver, m.task)
	}
	return answer(p.Dialect, m.c, r)
}

// recorded is a call as it is read from its record.
func (m made) recorded() *dialect.Call {
	o := m.c.Options
	return &dialect.Call{Login: m.c.Login, Ops: m.c.Ops, Options: &dialect.Options{Route: o.Route, Engine: o.Engine, State: o.State, Guarded: o.Guarded}}
}

// end has the result of a call pushed.
func (p *pushing) end(m made, r *dialect.Reply) error {
	c := m.recorded()
	r.Task, r.RequestID = m.task, ""
	return p.Push(context.Background(), c, r, func(dst *fasthttp.Response) { p.Answer(dst, c, r) })
}

// delivering asks whether a result is still being delivered.
func (p *pushing) delivering(t testing.TB, m made) bool {
	t.Helper()
	is, err := p.Delivering(context.Background(), m.recorded(), &dialect.Reply{Task: m.task})
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// resource answers a request about a subscription.
func (p *pushing) resource(t testing.TB, line, body string, headers ...string) *fasthttp.Response {
	t.Helper()
	if len(headers) == 0 {
		headers = []string{"X-Api-Key: k-shop"}
	}
	req, dst := request(line, body, headers...), new(fasthttp.Response)
	r, ok := p.Route(httpfield.RawPath(req.Header.RequestURI()))
	if !ok || r.Kind != dialect.Resource {
		t.Fatalf("%s is no resource: %+v, %v", line, r, ok)
	}
	_, err := p.Resource(context.Background(), dst, req, dialect.ResourceCall{Route: r, Now: now})
	if fault, ok := errors.AsType[*dialect.Fault](err); ok {
		dst.Reset()
		p.Refuse(dst, fault, "rq1")
	} else if err != nil {
		t.Fatal(err)
	}
	return dst
}

// done is a result.
func done(body string) *dialect.Reply {
	return final(correlator.Complete, body, head("application/json"))
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !is(); {
		if time.Now().After(end) {
			t.Fatal(what)
		}
		<-time.After(time.Millisecond)
	}
}
