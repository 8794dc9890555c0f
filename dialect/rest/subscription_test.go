package rest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/dialect/rest"
	"syncgate/notify"
	"syncgate/signer"
)

// subscribe makes a continuous subscription and gives its path.
func (p *pushing) subscribe(t testing.TB, path string, headers ...string) string {
	t.Helper()
	m := p.ok(t, "POST "+path, `{"callbackUrl":"`+p.url+`?token=hunter2","mode":"continuous","secret":"`+ownSecret+`"}`, headers...)
	bare, _, _ := strings.Cut(path, "/tasks")
	uuid, _ := created(t, p.answered(m), bare+"/tasks")
	return bare + "/tasks/" + uuid
}

// TestSubscriptionIsShown: its owner sees where it stands, and neither its URL nor its secret.
func TestSubscriptionIsShown(t *testing.T) {
	p := startOrders(t)
	at := p.subscribe(t, "/v1/orders/card/tasks")
	uuid := at[strings.LastIndexByte(at, '/')+1:]
	dst := p.resource(t, "GET "+at, "")
	body := members(t, dst.Body())
	if dst.StatusCode() != 200 || body["UUID"] != uuid || body["status"] != "active" || body["mode"] != "continuous" || body["createdDateTime"] != "2026-11-29T07:00:00.000Z" ||
		body["message"] == "" || hrefOf(body, "self") != at || body["lastAttempt"] != nil || body["endedDateTime"] != nil {
		t.Errorf("%d %s", dst.StatusCode(), dst.Body())
	}
	wantHeaders(t, dst, "Content-Type: application/hal+json")
	_ = p.Note(context.Background(), uuid, notify.Attempt{At: now, Number: 3, Status: 500, Outcome: notify.OutcomeStatus, Error: "10.1.2.3 is down", Duration: time.Second})
	text := string(p.resource(t, "GET "+strings.Replace(at, uuid, strings.ToUpper(uuid), 1), "").Body())
	if !strings.Contains(text, `"lastAttempt":{"at":"2026-11-29T07:00:00.000Z","attempt":3,"outcome":"status","responseStatus":500}`) {
		t.Error(text)
	}
	if strings.Contains(text, "hunter2") || strings.Contains(text, ownSecret[6:]) || strings.Contains(text, "10.1.2.3") {
		t.Error(text)
	}
	if dst := p.resource(t, "HEAD "+at, ""); dst.StatusCode() != 200 {
		t.Error(dst.StatusCode())
	}
	once := p.ok(t, "POST /v1/orders/card/tasks", `{"callbackUrl":"`+p.url+`"}`)
	at = string(p.answered(once).Header.Peek("Location"))
	if text := string(p.resource(t, "GET "+at, "").Body()); !strings.Contains(text, `"task":{"href":"/tasks/`+once.task+`"}`) || !strings.Contains(text, `"mode":"once"`) {
		t.Error(text)
	}
}

// TestSubscriptionIsCancelled: by its owner, once.
func TestSubscriptionIsCancelled(t *testing.T) {
	p := startOrders(t)
	for _, body := range []string{"", " \n", `{"UUID":"%s","status":"cancelled"}`, `{"UUID":"%s"}`, `{"status":"cancelled"}`} {
		at := p.subscribe(t, "/v1/orders/card/tasks")
		uuid := at[strings.LastIndexByte(at, '/')+1:]
		if strings.Contains(body, "%s") {
			body = fmt.Sprintf(body, uuid)
		}
		dst := p.resource(t, "PUT "+at, body)
		said := members(t, dst.Body())
		if dst.StatusCode() != 202 || said["message"] == "" || said["UUID"] != uuid || said["status"] != "cancelled" || said["_links"] == nil {
			t.Errorf("%s: %d %s", body, dst.StatusCode(), dst.Body())
		}
		wantHeaders(t, dst, "Content-Type: application/hal+json")
		isProblem(t, p.resource(t, "PUT "+at, body), 403, "subscription")
		if text := string(p.resource(t, "GET "+at, "").Body()); !strings.Contains(text, `"status":"cancelled"`) || !strings.Contains(text, `"endedDateTime":`) {
			t.Error(text)
		}
	}
	at := p.subscribe(t, "/v1/orders/card/tasks")
	for body, want := range map[string]int{
		`{`: 400, `[]`: 400, `{"status":1}`: 400, `{"status":"done"}`: 422, `{"UUID":"00000000-0000-4000-8000-000000000000","status":"cancelled"}`: 403,
	} {
		if dst := p.resource(t, "PUT "+at, body); dst.StatusCode() != want || string(dst.Header.ContentType()) != "application/problem+json" {
			t.Errorf("%s: %d %s", body, dst.StatusCode(), dst.Body())
		}
	}
	if text := string(p.resource(t, "GET "+at, "").Body()); !strings.Contains(text, `"status":"active"`) {
		t.Error(text)
	}
}

// TestForeignSubscriptions: nobody learns of another's subscription, nor ends it.
func TestForeignSubscriptions(t *testing.T) {
	p := startOrders(t)
	at := p.subscribe(t, "/v1/orders/card/tasks")
	uuid := at[strings.LastIndexByte(at, '/')+1:]
	for _, f := range []struct{ at, key string }{
		{at, "k-signed"},
		{strings.Replace(at, "card", "cash", 1), "k-shop"},    // other parameters
		{strings.Replace(at, "orders", "other", 1), "k-shop"}, // another route
		{"/v1/orders/card/tasks/00000000-0000-4000-8000-000000000000", "k-shop"},
		{"/v1/orders/card/tasks/x", "k-shop"},
		{"/v1/orders/card/tasks/" + strings.Repeat("z", 36), "k-shop"},
	} {
		isProblem(t, p.resource(t, "GET "+f.at, "", "X-Api-Key: "+f.key), 404, "not-found")
		isProblem(t, p.resource(t, "PUT "+f.at, "", "X-Api-Key: "+f.key), 403, "subscription")
	}
	isProblem(t, p.resource(t, "PUT "+at, "", "X-Api-Key: k-other"), 403, "forbidden")
	isProblem(t, p.resource(t, "GET "+at, "", "X-Api-Key: wrong"), 401, "unauthorized")
	isProblem(t, p.resource(t, "PUT "+at, "", "Accept: */*"), 401, "unauthorized")
	isProblem(t, p.resource(t, "GET "+at, "", "X-Api-Key: k-page"), 403, "origin")
	isProblem(t, p.resource(t, "PUT "+at, "", "X-Api-Key: k-page", "Origin: https://evil.example"), 403, "origin")
	if s := p.get(t, uuid).State; s != notify.Active {
		t.Error(s)
	}
}

// TestSubscriptionsOfPages: a browser key works from its origins alone, and is answered with CORS there alone.
func TestSubscriptionsOfPages(t *testing.T) {
	p := startOrders(t)
	page := []string{"X-Api-Key: k-page", "Origin: https://shop.example"}
	at := p.subscribe(t, "/v1/orders/card/tasks", page...)
	if dst := p.resource(t, "GET "+at, "", page...); dst.StatusCode() != 200 {
		t.Errorf("%d %s", dst.StatusCode(), dst.Body())
	}
	for _, path := range []string{at, "/v1/orders/card/tasks"} {
		r, _ := p.Route([]byte(path))
		for _, f := range []struct {
			origin, login string
			want          bool
		}{{"https://shop.example", "", true}, {"https://shop.example", "access/page", true}, {"https://shop.example", "access/shop", false}, {"https://evil.example", "", false}} {
			if p.AllowsOrigin(r, f.origin, f.login) != f.want {
				t.Errorf("%s of %s at %s: not %v", f.origin, f.login, path, f.want)
			}
		}
	}
	if _, fault := accept(t, p.Dialect, "POST /v1/orders/card/tasks", `{"topic":true}`, "X-Api-Key: k-page", "Origin: https://evil.example"); fault == nil || fault.Reason != dialect.BadOrigin {
		t.Error(fault)
	}
}

// TestSubscriptionPaths: which methods they have, whatever other routes there are.
func TestSubscriptionPaths(t *testing.T) {
	const uuid = "00000000-0000-4000-8000-000000000000"
	p := startPushing(t, config([]rest.RouteConfig{
		route("a", "/v1/a/{x}", subscribable, withMethods("PUT")), route("b", "/v1/a/{x}/{y}", withMethods("GET", "POST")), route("c", "/v1/a/{x}/{y}/{z}", withMethods("DELETE", "GET")),
	}))
	f := func(path string, kind dialect.Kind, methods ...string) {
		t.Helper()
		r, ok := p.Route([]byte(path))
		if got := fmt.Sprint(r.Methods); !ok || r.Kind != kind || got != fmt.Sprint(append(methods, "OPTIONS")) {
			t.Errorf("%s is of kind %d, with %s", path, r.Kind, got)
		}
	}
	f("/v1/a/1", dialect.Create, "PUT")
	f("/v1/a/1/tasks", dialect.Create, "POST", "GET", "HEAD")
	f("/v1/a/1/%74asks", dialect.Create, "POST", "GET", "HEAD")
	f("/v1/a/1/tasks/"+uuid, dialect.Resource, "GET", "HEAD", "PUT")
	f("/v1/a/1/else/"+uuid, dialect.Create, "DELETE", "GET", "HEAD")
	if c := must(t, p.Dialect, "POST /v1/a/1/%74asks", `{"topic":true}`); c.Options.Route != "a" || string(c.Options.Asked.Path) != "/v1/a/1" {
		t.Errorf("%+v", c.Options)
	}
	if c := must(t, p.Dialect, "GET /v1/a/1/tasks", ``); c.Options.Route != "b" || c.Options.Pushes {
		t.Errorf("%+v", c.Options)
	}
	// A route with auth none: who has the UUID has the subscription.
	at, _ := created(t, p.answered(p.ok(t, "POST /v1/a/1/tasks", `{"callbackUrl":"`+p.url+`"}`)), "/v1/a/1/tasks")
	at = "/v1/a/1/tasks/" + at
	if dst := p.resource(t, "PUT "+at, "", "X-Api-Key: nobody's"); dst.StatusCode() != 202 {
		t.Errorf("%d %s", dst.StatusCode(), dst.Body())
	}
	if _, fault := accept(t, p.Dialect, "POST /v1/a/1/tasks", `{"topic":true,"mode":"continuous"}`); fault == nil || fault.Status != 403 {
		t.Error("everybody's results go to a stranger")
	}
}

// TestSignedSubscriptions: every path of a route with auth corezoid is signed.
func TestSignedSubscriptions(t *testing.T) {
	p := startPushing(t, config([]rest.RouteConfig{route("s", "/v1/s", subscribable, withAuth(rest.AuthCorezoid))}))
	at := p.subscribe(t, "/v1/s/tasks/login/5/good")
	if dst := p.resource(t, "GET "+at+"/login/5/good", ""); dst.StatusCode() != 200 || !strings.Contains(string(dst.Body()), `"self":{"href":"`+at+`"}`) {
		t.Errorf("%d %s", dst.StatusCode(), dst.Body())
	}
	if dst := p.resource(t, "GET "+at+"/another/5/good", ""); dst.StatusCode() != 404 {
		t.Errorf("%d %s", dst.StatusCode(), dst.Body())
	}
	for _, path := range []string{at, at + "/login/5/bad"} {
		if dst := p.resource(t, "PUT "+path, ""); dst.StatusCode() != 401 {
			t.Errorf("%d %s", dst.StatusCode(), dst.Body())
		}
	}
}

// TestHALTakesNoOtherForm: 406 where Accept allows nothing that there is, of calls, subscriptions and tasks; and each problem has a title and a detail.
func TestHALTakesNoOtherForm(t *testing.T) {
	p := startOrders(t, func(r *rest.RouteConfig) { r.View = rest.ViewHAL })
	at := p.subscribe(t, "/v1/orders/card/tasks")
	image := []string{"X-Api-Key: k-shop", "Accept: image/png"}
	for path, body := range map[string]string{"": `{}`, "/tasks": `{"topic":true}`} {
		_, fault := accept(t, p.Dialect, "POST /v1/orders/card"+path, body, image...)
		if fault == nil || fault.Status != 406 {
			t.Errorf("%q: %v", path, fault)
		}
	}
	isProblem(t, p.resource(t, "GET "+at, "", image...), 406, "not-acceptable")
	isProblem(t, p.resource(t, "PUT "+at, "", image...), 406, "not-acceptable")
	m := p.ok(t, "POST /v1/orders/card", `{}`, "X-Api-Key: k-shop", "Prefer: respond-async")
	view := func(line, accept string, r *dialect.Reply) *fasthttp.Response {
		t.Helper()
		c, fault := taskCall(t, p.Dialect, line, "", "X-Api-Key: k-shop", "Accept: "+accept)
		if fault != nil {
			t.Fatal(fault)
		}
		c.State = m.c.Options.State
		dst := new(fasthttp.Response)
		p.View(dst, &c, withTask(r, m.task), func(dst *fasthttp.Response) { p.Answer(dst, m.recorded(), r) })
		return dst
	}
	isProblem(t, view("GET /tasks/"+m.task, "image/png", open(dialect.ErrPending, m.task)), 406, "not-acceptable")
	isProblem(t, view("GET /tasks/"+m.task, "image/png", done(`{}`)), 406, "not-acceptable")
	for _, good := range []string{"application/hal+json", "application/*", "*/*", "application/problem+json, image/png"} {
		if dst := view("GET /tasks/"+m.task, good, open(dialect.ErrPending, m.task)); dst.StatusCode() != 200 || string(dst.Header.ContentType()) != "application/hal+json" {
			t.Errorf("%s: %d %s", good, dst.StatusCode(), dst.Body())
		}
	}
	if dst := view("GET /tasks/"+m.task+"/result", "image/png", done(`{}`)); dst.StatusCode() != 200 { // a result has any type
		t.Errorf("%d %s", dst.StatusCode(), dst.Body())
	}
	dst := new(fasthttp.Response)
	p.Refuse(dst, &dialect.Fault{Status: 503}, "rq1")
	isProblem(t, dst, 503, "overloaded")
	if !strings.Contains(string(dst.Body()), `"detail":"The gateway is overloaded"`) {
		t.Errorf("%s", dst.Body())
	}
}

// TestRateLimitHeaders: what is left of a limit is said where there is one.
func TestRateLimitHeaders(t *testing.T) {
	p := startOrders(t)
	limit := &dialect.RateLimit{Limit: 10, Remaining: 3, Reset: 7}
	m := p.ok(t, "POST /v1/orders/card", `{}`)
	r := done(`{}`)
	r.RateLimit = limit
	refused := new(fasthttp.Response)
	p.Refuse(refused, &dialect.Fault{Status: 429, Text: "x", RateLimit: limit}, "rq1")
	for _, dst := range []*fasthttp.Response{answer(p.Dialect, m.c, r), refused} {
		wantHeaders(t, dst, "RateLimit-Limit: 10", "RateLimit-Remaining: 3", "RateLimit-Reset: 7")
	}
	wantHeaders(t, answer(p.Dialect, m.c, done(`{}`)), "RateLimit-Limit:", "RateLimit-Remaining:", "RateLimit-Reset:")
}

// TestAccessEntryGoes: what a caller has begun goes on when its entry is removed, signed as for one without a secret; its subscriptions are its own again with an
// entry of the same name.
func TestAccessEntryGoes(t *testing.T) {
	p := startOrders(t)
	p.push.SetSecrets([]signer.Secret{houseSecret})
	const key = "X-Api-Key: k-signed"
	uuid, _ := created(t, p.answered(p.ok(t, "POST /v1/orders/card/tasks", `{"callbackUrl":"`+p.url+`","mode":"continuous"}`, key)), "/v1/orders/card/tasks")
	m := p.ok(t, "POST /v1/orders/card", `{}`, key)
	with := func(entries ...rest.AccessConfig) {
		t.Helper()
		r := func(name string) rest.RouteConfig { return route(name, "/v1/"+name+"/{kind}", subscribable, keyed) }
		if err := p.Set(config([]rest.RouteConfig{r("orders"), r("other")}, entries...)); err != nil {
			t.Fatal(err)
		}
	}
	var others []rest.AccessConfig
	for _, e := range callersOf("orders", "other") {
		if e.Name != "signed" {
			others = append(others, e)
		}
	}
	with(others...)
	if err := p.end(m, done(`{"b":2}`)); err != nil {
		t.Fatal(err)
	}
	signedBy(t, p.next(t), houseSecret)
	if dst := p.resource(t, "GET /v1/orders/card/tasks/"+uuid, "", key); dst.StatusCode() != 401 {
		t.Errorf("%d %s", dst.StatusCode(), dst.Body())
	}
	with(callersOf("orders", "other")...)
	if dst := p.resource(t, "GET /v1/orders/card/tasks/"+uuid, "", key); dst.StatusCode() != 200 || members(t, dst.Body())["status"] != "active" {
		t.Errorf("%d %s", dst.StatusCode(), dst.Body())
	}
}
