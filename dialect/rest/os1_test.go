package rest_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/rest"
	"syncgate/signer"
)

const os1Secret = "secret-of-the-request"

// coreos are the headers of a request in the words of OS1, with the caller's key.
func coreos(key string, more ...string) []string {
	return append([]string{"X-Api-Key: " + key, "Content-Type: application/json", "X-COREOS-REQUEST-ID: r1", "X-COREOS-TID: acme", "X-COREOS-ACCESS: token-of-the-client"}, more...)
}

// unsubscribable undoes what startOrders does, for clients that speak OS1.
func unsubscribable(r *rest.RouteConfig) {
	r.Subscriptions = false
	viewOS1(r)
}

// startOS1 is a Dialect with a route orders at /v1/orders/{kind} for clients that speak OS1.
func startOS1(t testing.TB, edits ...func(*rest.RouteConfig)) *pushing {
	t.Helper()
	return startOrders(t, append([]func(*rest.RouteConfig){unsubscribable}, edits...)...)
}

// echoOf is the member request of replies to a body.
func echoOf(body string) string {
	return `{"uri":"/v1/orders/card","method":"POST","queryString":"dry=1","body":` + body + `}`
}

// os1Call has a request accepted that names the receiver.
func (p *pushing) os1Call(t testing.TB, key string, more ...string) made {
	t.Helper()
	return p.ok(t, "POST /v1/orders/card?dry=1", `{"a":1.0,"callback":{"url":"`+p.url+`","meta":{"n":1.00}}}`, coreos(key, more...)...)
}

func wantWhole(t testing.TB, dst *fasthttp.Response, status int, body string, headers ...string) {
	t.Helper()
	if dst.StatusCode() != status || string(dst.Header.ContentType()) != "application/json" || string(dst.Body()) != body {
		t.Errorf("%d %s\n%s\nwant %d\n%s", dst.StatusCode(), dst.Header.ContentType(), dst.Body(), status, body)
	}
	wantHeaders(t, dst, headers...)
}

// os1Signed wants X-COREOS-HMAC-SIGNATURE of a secret; empty: there is none.
func os1Signed(t testing.TB, got post, secret string) {
	t.Helper()
	want := ""
	if secret != "" {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(got.body))
		want = hex.EncodeToString(mac.Sum(nil))
	}
	if is := got.header.Get("X-COREOS-HMAC-SIGNATURE"); is != want {
		t.Errorf("signed %q, want %q", is, want)
	}
}

// TestOS1Accepted: a request with a callback hears 202, whatever has become of its task, and the engine gets it without the callback.
func TestOS1Accepted(t *testing.T) {
	p := startOS1(t)
	m := p.os1Call(t, "k-shop", "Prefer: wait=5")
	o := m.c.Options
	if string(o.Asked.Body) != `{"a":1.0}` || o.Mode != dialect.HandOver || !o.Pushes || !o.Guarded || o.Applied != "" || len(m.c.Ops) != 1 {
		t.Errorf("%+v %s", o, o.Asked.Body)
	}
	want := `{"data":{"id":"` + m.task + `"},"request":` + echoOf(`{"a":1.0,"callback":{"url":"`+p.url+`","meta":{"n":1.00}}}`) + `}`
	located := []string{"Location: /tasks/" + m.task, "Operation-Location: /tasks/" + m.task + "/status", "Vary: Prefer, Accept"}
	for _, r := range []*dialect.Reply{open(dialect.ErrHandedOver, m.task), open(dialect.ErrPending, m.task), open(correlator.ErrDeadline, m.task), done(`{"b":2}`)} {
		r.Task = m.task
		dst := answer(p.Dialect, m.c, r)
		wantWhole(t, dst, 202, want, append(located, "Retry-After: "+map[bool]string{true: "2", false: "1"}[r.RetryAfter > 0])...)
		link := string(dst.Header.Peek("Link"))
		if !strings.HasPrefix(link, "</tasks/"+m.task+"/events?t=") || !strings.HasSuffix(link, `>; rel="monitor"; type="text/event-stream"`) {
			t.Errorf("Link: %s", link)
		}
	}
	// What is not taken has no 202.
	dst := answer(p.Dialect, m.c, open(dialect.ErrBadGateway, m.task))
	if dst.StatusCode() != 502 || !strings.HasPrefix(string(dst.Body()), `{"error":{"code":"bad-gateway","description":"The engine's answer is not usable"`) {
		t.Errorf("%d %s", dst.StatusCode(), dst.Body())
	}
}

// TestOS1Held: a request without a callback waits for the result.
func TestOS1Held(t *testing.T) {
	p := startOS1(t)
	m := p.ok(t, "POST /v1/orders/card?dry=1", `{"a":1.0}`, coreos("k-shop", "Prefer: wait=5")...)
	if o := m.c.Options; o.Mode != dialect.Hold || o.Pushes || o.Own != nil || m.c.Wait != 5*time.Second {
		t.Errorf("%+v", o)
	}
	request := `,"request":` + echoOf(`{"a":1.0}`) + `}`
	answered := func(r *dialect.Reply) *fasthttp.Response { return answer(p.Dialect, m.c, r) }
	wantWhole(t, answered(final(correlator.Complete, `{"b": 2.0}`, head("application/json", "CZ-AG-Status-Code: 404"))), 200, `{"data":{"b": 2.0}`+request, "Preference-Applied: wait=5", "Location:")
	wantWhole(t, answered(final(correlator.Errored, `{"message":"full"}`, nil)), 502,
		`{"error":{"code":"engine-error","description":"full","additionalInfo":{"errorTrace":[],"data":{"message":"full"}}}`+request)
	failure := func(code, text string) string {
		return `{"error":{"code":"` + code + `","description":"` + text + `","additionalInfo":{"errorTrace":[]}}` + request
	}
	wantWhole(t, answered(final(correlator.Cancelled, ``, nil)), 409, failure("cancelled", "The task is cancelled"))
	wantWhole(t, answered(open(correlator.ErrDraining, m.task)), 503, failure("draining", "This node is shutting down"), "Location: /tasks/"+m.task)
	wantWhole(t, answered(open(correlator.ErrDeadline, m.task)), 202, `{"data":{"id":"`+m.task+`"}`+request)
	wantWhole(t, answered(open(dialect.ErrHandedOver, "")), 503, failure("unavailable", "The task was begun, and cannot be kept for its client"))

	p = startOS1(t, func(r *rest.RouteConfig) { r.AtWaitEnd = rest.EndTimeout })
	m = p.ok(t, "POST /v1/orders/card?dry=1", `{"a":1.0}`, coreos("k-shop")...)
	wantWhole(t, answered(open(correlator.ErrDeadline, m.task)), 504, failure("timeout", "The result has not come in time"), "Location: /tasks/"+m.task)
	p = startOS1(t, func(r *rest.RouteConfig) { r.AtWaitEnd = rest.EndRedirect })
	m = p.ok(t, "POST /v1/orders/card?dry=1", `{"a":1.0}`, coreos("k-shop")...)
	if dst := answered(open(correlator.ErrDeadline, m.task)); dst.StatusCode() != 303 || string(dst.Header.Peek("Location")) != "/tasks/"+m.task+"?hop=1&wait=20" {
		t.Errorf("%d %s", dst.StatusCode(), &dst.Header)
	}
}

// TestOS1HasItsOwnStatuses: what a callback says of the reply's status is for other views.
func TestOS1HasItsOwnStatuses(t *testing.T) {
	p := startOS1(t)
	m := p.ok(t, "POST /v1/orders/card?dry=1", `{}`, coreos("k-shop")...)
	r := final(correlator.Complete, `{"b":2}`, head("application/json", "CZ-AG-Status-Code: 99"))
	r.Task = m.task
	dst := view(t, p.Dialect, m.recorded(), r, "GET /tasks/x/status")
	if said := members(t, dst.Body()); dst.StatusCode() != 200 || said["status"] != "Succeeded" {
		t.Errorf("%s", dst.Body())
	}
}

// TestOS1BatchIsOpen: a batch of which one task has not ended is one that runs.
func TestOS1BatchIsOpen(t *testing.T) {
	p := startOS1(t, ofCorezoid, func(r *rest.RouteConfig) { r.OS1.Batch = "items" })
	body := `{"items":[{"refID":1},{"refID":2}]}`
	m := p.ok(t, "POST /v1/orders/card?dry=1", body, coreos("k-shop")...)
	if a := m.c.Options.Asked; len(m.c.Ops) != 2 || len(a.Elements) != 2 || string(a.Elements[1]) != `{"refID":2}` || string(m.c.Ops[1].Process) != "1234" {
		t.Fatalf("%+v %s", m.c.Ops, a.Elements)
	}
	r := final(correlator.Complete, `{}`, nil)
	r.Finals, r.Open, r.Task = append(r.Finals, correlator.Callback{Op: 1}), correlator.ErrDeadline, m.task
	wantWhole(t, answer(p.Dialect, m.c, r), 202, `{"data":{"id":"`+m.task+`"},"request":`+echoOf(body)+`}`)
	if dst := view(t, p.Dialect, m.recorded(), r, "GET /tasks/x/status"); members(t, dst.Body())["status"] != "Running" {
		t.Errorf("%s", dst.Body())
	}
}

const callbackTail = `,"meta":{"n":1.00},"containerType":"shipment"}`

// callbackOf is the body of a callback of os1Call.
func callbackOf(task, status, reason, more string) string {
	return `{"tenantId":"acme","eventType":"CONTAINER_CREATED","service":"Container","status":"` + status + `","reason":"` + reason + `","data":{"id":"` + task + `"` + more + `}` + callbackTail
}

// TestOS1Callback: the receiver gets one callback, signed by the request's secret, else by the caller's, else not at all.
func TestOS1Callback(t *testing.T) {
	p := startOS1(t)
	p.push.SetSecrets([]signer.Secret{houseSecret})
	f := func(m made, r *dialect.Reply, want, secret, webhooks string) {
		t.Helper()
		for range 2 { // it is pushed again, as after a kill
			if err := p.end(m, r); err != nil {
				t.Fatal(err)
			}
		}
		got := p.next(t)
		if got.body != want || got.header.Get("Content-Type") != "application/json" || got.header.Get("webhook-id") == "" {
			t.Errorf("%v\n%s\nwant\n%s", got.header, got.body, want)
		}
		os1Signed(t, got, secret)
		signedBy(t, got, webhooks)
	}
	m := p.os1Call(t, "k-shop", "X-COREOS-CALLBACK-SECRET: "+os1Secret)
	if state := m.c.Options.State; bytes.Contains(state, []byte(os1Secret)) || bytes.Contains(state, []byte("token-of-the-client")) {
		t.Errorf("%s", state)
	}
	f(m, done(`{"b":2.0,"id":7}`), callbackOf(m.task, "success", "", `,"result":{"id":7},"b":2.0`), os1Secret, houseSecret)
	m = p.os1Call(t, "k-signed", "X-COREOS-CALLBACK-SECRET: "+os1Secret)
	f(m, final(correlator.Errored, `{"message":"full"}`, nil), callbackOf(m.task, "failed", "full", `,"message":"full"`), os1Secret, entrySecret)
	m = p.os1Call(t, "k-signed")
	f(m, final(correlator.Cancelled, ``, nil), callbackOf(m.task, "failed", "The task is cancelled", ``), entryOS1Secret, entrySecret)
	m = p.os1Call(t, "k-shop")
	f(m, done(``), callbackOf(m.task, "success", "", ``), "", houseSecret)
	eventually(t, "the callback stays open", func() bool { return !p.delivering(t, m) })
	p.wantQuiet(t)

	// A secret is sealed for the caller, the route and the URL of its call.
	m = p.os1Call(t, "k-shop", "X-COREOS-CALLBACK-SECRET: "+os1Secret)
	m.c.Options.State = bytes.Replace(m.c.Options.State, []byte("/hook"), []byte("/evil"), 2)
	if err := p.end(m, done(`{}`)); !errors.Is(err, signer.ErrSealed) {
		t.Error(err)
	}
}

// TestOS1Concat: the second form of the signature.
func TestOS1Concat(t *testing.T) {
	p := startOS1(t, func(r *rest.RouteConfig) { r.OS1.Signature = signer.OS1Concat })
	m := p.os1Call(t, "k-shop", "X-COREOS-CALLBACK-SECRET: "+os1Secret)
	if err := p.end(m, done(`{}`)); err != nil {
		t.Fatal(err)
	}
	got := p.next(t)
	sum := sha256.Sum256([]byte(got.body + os1Secret))
	if is := got.header.Get("X-COREOS-HMAC-SIGNATURE"); is != hex.EncodeToString(sum[:]) {
		t.Errorf("signed %q", is)
	}
}

// TestOS1LargeResult: what has no room in a notification is named by it.
func TestOS1LargeResult(t *testing.T) {
	p := startOS1(t)
	m := p.os1Call(t, "k-shop", "X-COREOS-CALLBACK-SECRET: "+os1Secret)
	if err := p.end(m, done(`{"b":"`+strings.Repeat("x", 16<<20)+`"}`)); err != nil {
		t.Fatal(err)
	}
	got := p.next(t)
	os1Signed(t, got, os1Secret)
	if want := callbackOf(m.task, "success", "", `,"_links":{"result":{"href":"/tasks/`+m.task+`/result"}}`); got.body != want {
		t.Errorf("%.300s", got.body)
	}
}

// TestOS1LargeBatch: a batch whose outcomes together have no room in a callback says how many there are of each kind, and where they are.
func TestOS1LargeBatch(t *testing.T) {
	body := func(url string) string {
		return `{"items":[{"refID":1},{"refID":2},{"refID":3}],"callback":"` + url + `"}`
	}
	large := `{"b":"` + strings.Repeat("x", 6<<20) + `"}`

	p := startOS1(t, ofCorezoid, func(r *rest.RouteConfig) { r.OS1.Batch = "items" })
	m := p.ok(t, "POST /v1/orders/card?dry=1", body(p.url), coreos("k-shop", "X-COREOS-CALLBACK-SECRET: "+os1Secret)...)
	r := final(correlator.Complete, large, nil)
	r.Finals = append(r.Finals, correlator.Callback{Op: 1, Status: correlator.Errored, Body: []byte(large)}, correlator.Callback{Op: 2, Status: correlator.Complete, Body: []byte(`{"n":1}`)})
	if err := p.end(m, r); err != nil {
		t.Fatal(err)
	}
	got := p.next(t) // 12 MiB have room
	os1Signed(t, got, os1Secret)
	if !strings.Contains(got.body, `{"refID":1,"data":`+large+`}`) {
		t.Errorf("%.300s", got.body)
	}
	m = p.ok(t, "POST /v1/orders/card?dry=1", body(p.url), coreos("k-shop")...)
	link := `{"_links":{"result":{"href":"/tasks/` + m.task + `/result"}}}`
	r.Finals[2].Body = []byte(large)
	if err := p.end(m, r); err != nil {
		t.Fatal(err)
	}
	if got := p.next(t); !strings.Contains(got.body, `"meta":{"status":"partial","success":2,"failed":1,"total":3},"success":[{"refID":1,"data":`+link+`},{"refID":3,"data":`+link+`}],"errors":[{"refID":2,`) {
		t.Errorf("%.500s", got.body)
	}

	// The engine has got the batch as one task, and its result has what has become of each element.
	p = startOS1(t, func(r *rest.RouteConfig) { r.OS1.Batch = "items" })
	m = p.ok(t, "POST /v1/orders/card?dry=1", body(p.url), coreos("k-shop", "X-COREOS-CALLBACK-SECRET: "+os1Secret)...)
	large = strings.Repeat("x", 16<<20)
	if err := p.end(m, done(`{"success":[{"refID":1,"data":"`+large+`"},{"refID":2}],"errors":[{"refID":3}]}`)); err != nil {
		t.Fatal(err)
	}
	got = p.next(t)
	os1Signed(t, got, os1Secret)
	want := `"status":"failed","reason":"1 of 3 have failed","data":{"id":"` + m.task + `","_links":{"result":{"href":"/tasks/` + m.task + `/result"}}},` +
		`"meta":{"status":"partial","success":2,"failed":1,"total":3},"success":[],"errors":[],"containerType":"shipment"}`
	if !strings.HasSuffix(got.body, want) || !json.Valid([]byte(got.body)) {
		t.Errorf("%.500s\nwant\n%s", got.body, want)
	}
	p.wantQuiet(t)
}

// TestOS1KeepsNoBuffers: what outlives its handler of a call is no part of the request.
func TestOS1KeepsNoBuffers(t *testing.T) {
	p := startOS1(t)
	req := request("POST /v1/orders/card?dry=1", `{"a":1,"callback":{"url":"`+p.url+`","meta":{"n":1.00}}}`, coreos("k-shop", "X-COREOS-CALLBACK-SECRET: "+os1Secret)...)
	r, _ := p.Route([]byte("/v1/orders/card"))
	c, err := p.Accept(req, r, now)
	if err != nil {
		t.Fatal(err)
	}
	overwrite(req)
	m := made{c, taskID(t)}
	if err := p.end(m, done(`{}`)); err != nil {
		t.Fatal(err)
	}
	got := p.next(t)
	if want := callbackOf(m.task, "success", "", ``); got.body != want {
		t.Errorf("%s\nwant\n%s", got.body, want)
	}
	os1Signed(t, got, os1Secret)
}

// TestOS1NeedsASender: a route with the view is no use where nothing sends.
func TestOS1NeedsASender(t *testing.T) {
	_, err := rest.New(config([]rest.RouteConfig{route("a", "/a", viewOS1)}), rest.Outside{Keys: newKeys(t)})
	if err == nil || !strings.Contains(err.Error(), "routes[0].view: os1 cannot be had here: nothing sends notifications") {
		t.Error(err)
	}
	// A task that another node has made is tried again.
	p := startOS1(t)
	m := p.os1Call(t, "k-shop")
	bare := newDialect(t, config([]rest.RouteConfig{route("a", "/a")}))
	events := p.ok(t, "POST /v1/orders/card?dry=1", `{"callback":"{{SSE_CALLBACK}}"}`, coreos("k-shop")...)
	if err := bare.Push(t.Context(), events.recorded(), done(`{}`), nil); err != nil {
		t.Error(err)
	}
	if err := bare.Push(t.Context(), m.recorded(), done(`{}`), nil); err == nil || !strings.Contains(err.Error(), "add the route to this node") {
		t.Error(err)
	}
}

// TestOS1EventsAreNotPushed: nothing is owed to a client that hears events, and its secret signs nothing.
func TestOS1EventsAreNotPushed(t *testing.T) {
	p := startOS1(t)
	m := p.ok(t, "POST /v1/orders/card?dry=1", `{"callback":"{{SSE_CALLBACK}}"}`, coreos("k-shop", "X-COREOS-CALLBACK-SECRET: "+os1Secret)...)
	if o := m.c.Options; o.Pushes || o.Mode != dialect.HandOver || bytes.Contains(o.State, []byte(`"k":`)) {
		t.Errorf("%+v %s", o, o.State)
	}
	if err := p.end(m, done(`{}`)); err != nil {
		t.Error(err)
	}
	p.wantQuiet(t)
}

// TestOS1Schema: a schema is of the body without its callback.
func TestOS1Schema(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.json")
	if err := os.WriteFile(file, []byte(`{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}`), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startOS1(t, func(r *rest.RouteConfig) { r.Schema = file })
	p.ok(t, "POST /v1/orders/card?dry=1", `{"a":"x","callback":"`+p.url+`"}`, coreos("k-shop")...)
	_, fault := accept(t, p.Dialect, "POST /v1/orders/card?dry=1", `{"a":1}`, coreos("k-shop")...)
	if fault == nil {
		t.Fatal("accepted")
	}
	dst := refuse(p.Dialect, fault, dialect.Refused{})
	if said := string(dst.Body()); dst.StatusCode() != 422 || !strings.Contains(said, `"errorTrace":[{"pointer":"/a","description":"`) || !strings.HasSuffix(said, `"request":`+echoOf(`{"a":1}`)+`}`) {
		t.Errorf("%d %s", dst.StatusCode(), said)
	}
}

// refuse words a fault as a gateway has it worded.
func refuse(d *rest.Dialect, f *dialect.Fault, of dialect.Refused) *fasthttp.Response {
	dst := new(fasthttp.Response)
	of.RequestID = "rq1"
	if !d.RefuseRequest(dst, f, of) {
		d.Refuse(dst, f, "rq1")
	}
	return dst
}

// TestOS1Faults: what this dialect refuses is OS1's error, and shows the request of a caller that is known.
func TestOS1Faults(t *testing.T) {
	p := startOS1(t, func(r *rest.RouteConfig) { r.OS1.Batch = "" })
	f := func(body string, headers []string, status int, code, text, echo string) {
		t.Helper()
		req := request("POST /v1/orders/card?dry=1", body, headers...)
		r, _ := p.Route([]byte("/v1/orders/card"))
		_, err := p.Accept(req, r, now)
		fault, ok := errors.AsType[*dialect.Fault](err)
		if !ok {
			t.Fatal(err)
		}
		dst := refuse(p.Dialect, fault, dialect.Refused{Route: r, Method: "POST"})
		said := string(dst.Body())
		if dst.StatusCode() != status || !strings.HasPrefix(said, `{"error":{"code":"`+code+`","description":"`+text) || !strings.HasSuffix(said, `,"request":`+echo+`}`) {
			t.Errorf("%d %s\nwant %d %s %s %s", dst.StatusCode(), said, status, code, text, echo)
		}
		if strings.Contains(said, os1Secret) || strings.Contains(said, "token-of-the-client") {
			t.Error(said)
		}
	}
	null := echoOf("null")
	secret := "X-COREOS-CALLBACK-SECRET: " + os1Secret
	f(`{}`, []string{"X-Api-Key: k-shop"}, 400, "malformed", "The header X-COREOS-REQUEST-ID is missing. The header X-COREOS-TID is missing. The header X-COREOS-ACCESS is missing", null)
	f(`{`, coreos("k-shop", secret), 400, "body", "Incorrect body: ", null)
	f(`{"callback":7}`, coreos("k-shop", secret), 400, "body", "Incorrect callback: it must be a URL", null)
	f(`{"callback":"https://10.1.2.3/"}`, coreos("k-shop", secret), 403, "subscription", "Not accepted: ", echoOf(`{"callback":"https://10.1.2.3/"}`))
	f(`{}`, coreos("k-shop", "Content-Encoding: gzip"), 415, "content-encoding", "Content-Encoding", echoOf(`{}`))
	f(`{}`, coreos("k-nobody"), 401, "unauthorized", "Incorrect key", `{}`)
	f(`{}`, coreos("k-other"), 403, "forbidden", "This key is not one of those", `{}`)
}

// TestOS1FaultsOfTheGateway: those that know the path alone, or the call, are OS1's errors too; those of other routes are problems.
func TestOS1FaultsOfTheGateway(t *testing.T) {
	p := startPushing(t, config([]rest.RouteConfig{
		route("orders", "/v1/orders/{kind}", viewOS1), route("list", "/v1/orders/{kind}", withMethods("GET")), route("plain", "/v1/plain"),
	}))
	at, _ := p.Route([]byte("/v1/orders/card"))
	plain, _ := p.Route([]byte("/v1/plain"))
	busy := &dialect.Fault{Status: 429, Text: "Too many", Reason: dialect.RouteRate, RateLimit: &dialect.RateLimit{Limit: 2, Reset: 1}}
	const envelope = `{"error":{"code":"too-many-requests","description":"Too many","additionalInfo":{"errorTrace":[]}},"request":`
	for _, method := range []string{"POST", ""} {
		wantWhole(t, refuse(p.Dialect, busy, dialect.Refused{Route: at, Method: method}), 429, envelope+`{}}`, "RateLimit-Limit: 2", "RateLimit-Remaining: 0", "Vary: Prefer, Accept")
	}
	isProblem(t, refuse(p.Dialect, busy, dialect.Refused{Route: at, Method: "GET"}), 429, "too-many-requests")
	isProblem(t, refuse(p.Dialect, busy, dialect.Refused{Route: plain, Method: "POST"}), 429, "too-many-requests")
	isProblem(t, refuse(p.Dialect, busy, dialect.Refused{}), 429, "too-many-requests")
	isProblem(t, refuse(p.Dialect, busy, dialect.Refused{Call: must(t, p.Dialect, "POST /v1/plain", `{}`)}), 429, "too-many-requests")
	c := must(t, p.Dialect, "POST /v1/orders/card?dry=1", `{"a":1}`, coreos("")...)
	wantWhole(t, refuse(p.Dialect, busy, dialect.Refused{Call: c}), 429, envelope+echoOf(`{"a":1}`)+`}`)

	// The engine's own answer to what it has refused.
	refused := func(kind, body string) *fasthttp.Response {
		return refuse(p.Dialect, &dialect.Fault{Status: 422}, dialect.Refused{Call: c, Body: []byte(body), ContentType: kind})
	}
	tail := `,"request":` + echoOf(`{"a":1}`) + `}`
	wantWhole(t, refused("application/json", `{"detail":"no such card"}`), 422,
		`{"error":{"code":"engine-error","description":"no such card","additionalInfo":{"errorTrace":[],"data":{"detail":"no such card"}}}`+tail)
	wantWhole(t, refused("text/plain", `no`), 422, `{"error":{"code":"engine-error","description":"The engine has refused the request","additionalInfo":{"errorTrace":[]}}`+tail)
	if p.RefuseRequest(new(fasthttp.Response), &dialect.Fault{Status: 422}, dialect.Refused{Call: must(t, p.Dialect, "POST /v1/plain", `{}`), Body: []byte(`{}`)}) {
		t.Error("a plain route's engine is not heard as it is")
	}
}
