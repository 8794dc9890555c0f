package rest_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/rest"
	"syncgate/internal/httpfield"
	"syncgate/notify"
	"syncgate/signer"
)

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[48][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`) // a constant

// created wants the 201 of a subscription, and gives its UUID and the members of its body.
func created(t testing.TB, dst *fasthttp.Response, path string) (uuid string, body map[string]any) {
	t.Helper()
	body = members(t, dst.Body())
	uuid, _ = body["UUID"].(string)
	if dst.StatusCode() != 201 || !uuidForm.MatchString(uuid) || body["message"] == "" {
		t.Fatalf("%d %s", dst.StatusCode(), dst.Body())
	}
	if self := hrefOf(body, "self"); self != path+"/"+uuid {
		t.Errorf("self is %s", self)
	}
	wantHeaders(t, dst, "Content-Type: application/hal+json", "Location: "+path+"/"+uuid)
	return uuid, body
}

// TestCallback: a call that names a receiver is answered by the task at once, however the client wants to wait, and its engine hears nothing of that.
func TestCallback(t *testing.T) {
	p := startOrders(t)
	for _, headers := range [][]string{{}, {"Prefer: wait=20"}, {"Accept: text/event-stream"}, {"Prefer: redirect"}, {"Accept: application/json"}} {
		body := `{"amount": 5.0,"callbackUrl":"` + p.url + `", "secret":"` + ownSecret + `","mode":"once" ,"topic":false}`
		m := p.ok(t, "POST /v1/orders/card", body, append(headers, "X-Api-Key: k-shop")...)
		o := m.c.Options
		if got := string(o.Asked.Body); got != `{"amount": 5.0}` || string(o.Asked.Path) != "/v1/orders/card" {
			t.Errorf("the engine gets %s at %s", got, o.Asked.Path)
		}
		if o.Mode != dialect.HandOver || !o.Pushes || len(m.c.Ops) != 1 || p.adds != 0 {
			t.Errorf("%q: %+v", headers, o)
		}
		if strings.Contains(string(o.State), ownSecret[6:]) {
			t.Errorf("the secret is recorded: %s", o.State)
		}
		p.wantTaskOf(t, m)
	}
	// What names no receiver is an ordinary call, whose end continuous subscriptions hear of.
	m := p.ok(t, "POST /v1/orders/card", `{"a":1,"mode":"fast","topic":"t","mode":2,"secret":null}`)
	if o := m.c.Options; o.Mode != dialect.Hold || !o.Pushes || string(o.Asked.Body) != `{"a":1,"mode":"fast","topic":"t","mode":2,"secret":null}` || o.Own != nil {
		t.Errorf("%+v", o)
	}
	if dst := answer(p.Dialect, m.c, done(`{"b":2}`)); dst.StatusCode() != 200 || string(dst.Body()) != `{"b":2}` {
		t.Errorf("%d %s", dst.StatusCode(), dst.Body())
	}
}

// wantTaskOf wants the 202 of a task, whether its result is there or not.
func (p *pushing) wantTaskOf(t testing.TB, m made) {
	t.Helper()
	for _, dst := range []*fasthttp.Response{p.answered(m), answer(p.Dialect, m.c, withTask(done(`{}`), m.task)), answer(p.Dialect, m.c, open(correlator.ErrDeadline, m.task))} {
		if body := members(t, dst.Body()); dst.StatusCode() != 202 || hrefOf(body, "self") != "/tasks/"+m.task || body["message"] == "" {
			t.Errorf("%d %s", dst.StatusCode(), dst.Body())
		}
		wantHeaders(t, dst, "Content-Type: application/hal+json", "Location: /tasks/"+m.task, "Operation-Location: /tasks/"+m.task+"/status")
	}
	isProblem(t, answer(p.Dialect, m.c, open(dialect.ErrBadGateway, m.task)), 502, "bad-gateway")
	isProblem(t, answer(p.Dialect, m.c, open(correlator.ErrDeadline, "")), 504, "timeout")
}

// hrefOf gives a link of a body in hal+json.
func hrefOf(body map[string]any, name string) string {
	links, _ := body["_links"].(map[string]any)
	link, _ := links[name].(map[string]any)
	href, _ := link["href"].(string)
	return href
}

func withTask(r *dialect.Reply, task string) *dialect.Reply {
	r.Task = task
	return r
}

// TestSubscriptionOfOneTask: it is kept before the engine gets the task, and a repeat with the same key finds it by the task.
func TestSubscriptionOfOneTask(t *testing.T) {
	p := startOrders(t)
	body := `{"amount":5,"callbackUrl":"` + p.url + `"}`
	m := p.ok(t, "POST /v1/orders/card/tasks", body, "X-Api-Key: k-shop", "Idempotency-Key: a")
	if o := m.c.Options; string(o.Asked.Body) != `{"amount":5}` || string(o.Asked.Path) != "/v1/orders/card" || o.Mode != dialect.HandOver || !o.Pushes {
		t.Errorf("%+v", o)
	}
	uuid, said := created(t, p.answered(m), "/v1/orders/card/tasks")
	kept := p.get(t, uuid)
	if kept.Mode != notify.Once || kept.Task != m.task || kept.URL != p.url || !kept.Created.Equal(now) || len(kept.Secrets) != 1 {
		t.Errorf("%+v", kept)
	}
	if task := hrefOf(said, "task"); task != "/tasks/"+m.task {
		t.Errorf("the task is at %s", task)
	}
	if shown, _ := said["signingSecret"].(string); shown != string(kept.Secrets[0]) {
		t.Errorf("the secret is not the one that is shown: %s", p.answered(m).Body())
	}
	if m.c.Fingerprint == nil {
		t.Error("no fingerprint")
	}
	joined, _ := accept(t, p.Dialect, "POST /v1/orders/card/tasks", body, "X-Api-Key: k-shop", `Idempotency-Key: "a"`)
	if *joined.Fingerprint != *m.c.Fingerprint {
		t.Error("the repeat is another request")
	}
	again, said := created(t, answer(p.Dialect, joined, open(dialect.ErrHandedOver, m.task)), "/v1/orders/card/tasks")
	if _, shown := said["signingSecret"]; again != uuid || shown {
		t.Errorf("the repeat has %s, and its secret is shown again: %v", again, shown)
	}
	elsewhere, _ := accept(t, p.Dialect, "POST /v1/orders/card", body, "X-Api-Key: k-shop", "Idempotency-Key: a")
	another, _ := accept(t, p.Dialect, "POST /v1/orders/card/tasks", strings.Replace(body, "hook", "hook2", 1), "X-Api-Key: k-shop", "Idempotency-Key: a")
	if *elsewhere.Fingerprint == *m.c.Fingerprint || *another.Fingerprint == *m.c.Fingerprint {
		t.Error("another path, or another receiver, is the same request")
	}
	// Without a task there is no subscription.
	p.Forget(context.Background(), m.c, m.task)
	if s := p.get(t, uuid).State; s != notify.Ended {
		t.Error(s)
	}
}

// TestSecretsThatAreMade: one is made where neither the client nor its entry has one.
func TestSecretsThatAreMade(t *testing.T) {
	p := startOrders(t)
	f := func(secret, key string, want ...signer.Secret) {
		t.Helper()
		m := p.ok(t, "POST /v1/orders/card/tasks", `{"callbackUrl":"`+p.url+`","mode":"continuous"`+secret+`}`, "X-Api-Key: "+key)
		uuid, said := created(t, p.answered(m), "/v1/orders/card/tasks")
		kept := p.get(t, uuid).Secrets
		if said["signingSecret"] != nil || len(kept) != len(want) || len(want) > 0 && kept[0] != want[0] {
			t.Errorf("%s %s: %d secrets, shown %v", key, secret, len(kept), said["signingSecret"])
		}
	}
	f(`,"secret":"`+ownSecret+`"`, "k-shop", ownSecret)
	f(`,"secret":"`+ownSecret+`"`, "k-signed", ownSecret)
	f("", "k-signed")
}

// TestContinuousSubscriptionPrefersNothing: nothing is waited for, so no preference is applied.
func TestContinuousSubscriptionPrefersNothing(t *testing.T) {
	p := startOrders(t)
	for _, prefer := range []string{"respond-async", "wait=5", "redirect"} {
		dst := p.answered(p.ok(t, "POST /v1/orders/card/tasks", `{"callbackUrl":"`+p.url+`","mode":"continuous"}`, "X-Api-Key: k-shop", "Prefer: "+prefer))
		if applied := dst.Header.Peek("Preference-Applied"); dst.StatusCode() != 201 || len(applied) > 0 {
			t.Errorf("Prefer: %s is applied as %q, %d", prefer, applied, dst.StatusCode())
		}
	}
}

// TestContinuousSubscription: it makes no task, and a repeat with the same key finds it.
func TestContinuousSubscription(t *testing.T) {
	p := startOrders(t, func(r *rest.RouteConfig) { r.View = rest.ViewHAL })
	body := `{"callbackUrl":"` + p.url + `","mode":"continuous"}`
	m := p.ok(t, "POST /v1/orders/card/tasks", body, "X-Api-Key: k-shop", "Idempotency-Key: a", "Accept: application/hal+json")
	if o := m.c.Options; len(m.c.Ops) != 0 || o.Asked != nil || !o.Pushes || o.Mode != dialect.Hold {
		t.Errorf("%+v", m.c)
	}
	uuid, said := created(t, p.answered(m), "/v1/orders/card/tasks")
	if said["signingSecret"] != string(p.get(t, uuid).Secrets[0]) {
		t.Error("the secret is not shown")
	}
	again, said := created(t, p.answered(p.ok(t, "POST /v1/orders/card/tasks", body, "X-Api-Key: k-shop", `Idempotency-Key: "a"`)), "/v1/orders/card/tasks")
	if again != uuid || said["signingSecret"] != nil {
		t.Errorf("a repeat is %s, its secret is %v", again, said["signingSecret"])
	}
	for _, other := range [][]string{{"X-Api-Key: k-shop"}, {"X-Api-Key: k-shop", "Idempotency-Key: b"}, {"X-Api-Key: k-signed", "Idempotency-Key: a"}} {
		if other, _ := created(t, p.answered(p.ok(t, "POST /v1/orders/card/tasks", body, other...)), "/v1/orders/card/tasks"); other == uuid {
			t.Errorf("%q has the same subscription", other)
		}
	}
	for _, body := range []string{strings.Replace(body, "hook", "hook2", 1), strings.Replace(body, `"mode"`, `"secret":"`+ownSecret+`","mode"`, 1)} {
		c, fault := accept(t, p.Dialect, "POST /v1/orders/card/tasks", body, "X-Api-Key: k-shop", "Idempotency-Key: a")
		if fault != nil {
			t.Fatal(fault)
		}
		if err := p.Register(context.Background(), c, ""); !errors.Is(err, correlator.ErrOtherBody) {
			t.Errorf("the same key with %s: %v", body, err)
		}
	}
}

// TestTopicsNeedRedis: without it there are none.
func TestTopicsNeedRedis(t *testing.T) {
	p := startOrders(t)
	if _, fault := p.call(t, "POST /v1/orders/card/tasks", `{"topic":true}`); fault == nil || fault.Status != 403 || !strings.Contains(fault.Text, "topics need Redis") {
		t.Error(fault)
	}
}

// TestTopics: results go to a stream of ours, of one task or of all.
func TestTopics(t *testing.T) {
	p := startOrders(t)
	streams := p.withTopics(t, p.push.Sealer)
	once := p.ok(t, "POST /v1/orders/card/tasks", `{"topic":true,"a":1}`)
	if string(once.c.Options.Asked.Body) != `{"a":1}` {
		t.Errorf("the engine gets %s", once.c.Options.Asked.Body)
	}
	onceID, said := created(t, p.answered(once), "/v1/orders/card/tasks")
	first, _ := said["topic"].(string)
	if first == "" || said["signingSecret"] != nil {
		t.Errorf("%v", said)
	}
	body := `{"topic":true,"mode":"continuous"}`
	all := p.ok(t, "POST /v1/orders/card/tasks", body, "X-Api-Key: k-shop", "Idempotency-Key: a")
	allID, said := created(t, p.answered(all), "/v1/orders/card/tasks")
	second, _ := said["topic"].(string)
	if second == "" || second == first || len(all.c.Ops) != 0 {
		t.Errorf("%v", said)
	}
	if again, said := created(t, p.answered(p.ok(t, "POST /v1/orders/card/tasks", body, "X-Api-Key: k-shop", "Idempotency-Key: a")), "/v1/orders/card/tasks"); again != allID || said["topic"] != second {
		t.Errorf("a repeat is %s: %v", again, said)
	}
	if text := string(p.resource(t, "GET /v1/orders/card/tasks/"+onceID, "").Body()); !strings.Contains(text, `"topic":"`+first+`"`) {
		t.Error(text)
	}
	if p.delivering(t, once) {
		t.Error("what is appended is delivered")
	}
	if err := errors.Join(p.end(once, done(`{"b":1}`)), p.end(once, done(`{"b":1}`))); err != nil { // again after a failure
		t.Fatal(err)
	}
	for id, topic := range map[string]string{onceID: first, allID: second} {
		if got := streams.read(t, topic); len(got) != 1 || !strings.Contains(got[0], `"UUID":"`+id+`","status":"Succeeded","data":{"b":1}`) {
			t.Errorf("%s: %q", id, got)
		}
	}
	if s := p.get(t, onceID).State; s != notify.Completed {
		t.Error(s)
	}
}

// TestNotAccepted: what is not accepted is 403 with a text that says why, and the engine gets nothing.
func TestNotAccepted(t *testing.T) {
	p := startOrders(t)
	f := func(path, body, want string) {
		t.Helper()
		c, fault := accept(t, p.Dialect, "POST /v1/orders/card"+path, body, "X-Api-Key: k-shop")
		if fault == nil {
			t.Fatalf("%s is accepted: %+v", body, c.Options)
		}
		dst := new(fasthttp.Response)
		p.Refuse(dst, fault, "rq1")
		if isProblem(t, dst, 403, "subscription"); !strings.Contains(fault.Text, want) || fault.Login != "access/shop" || strings.Contains(fault.Text, "hunter2") {
			t.Errorf("%s: %+v, want %s", body, fault, want)
		}
	}
	for _, path := range []string{"", "/tasks"} {
		f(path, `{"callbackUrl":"http://10.0.0.1/"}`, "the receiver is not allowed: ")
		f(path, `{"callbackUrl":"http://a:hunter2@example.com/"}`, "holds a user name")
		f(path, `{"callbackUrl":"ftp://example.com/"}`, "must begin with https://")
		f(path, `{"callbackUrl":""}`, "must not be empty")
		f(path, `{"callbackUrl":["`+p.url+`"]}`, "must be a string")
		f(path, `{"callbackUrl":"`+p.url+`","callback\u0055rl":"`+p.url+`"}`, "more than once")
		f(path, `{"callbackUrl":"`+p.url+`","mode":"twice"}`, "mode must be once or continuous")
		f(path, `{"callbackUrl":"`+p.url+`","mode":1}`, "mode must be a string")
		f(path, `{"callbackUrl":"`+p.url+`","topic":"true"}`, "topic must be true or false")
		f(path, `{"callbackUrl":"`+p.url+`","secret":"hunter2"}`, "secret must begin with whsec_")
		f(path, `{"callbackUrl":"`+p.url+`","secret":{}}`, "secret must be a string")
		f(path, `{"callbackUrl":"`+p.url+`","topic":true}`, "")
	}
	f("", `{"callbackUrl":"`+p.url+`","mode":"continuous"}`, "are for {path}/tasks")
	f("", `{"topic":true}`, "are for {path}/tasks")
	f("/tasks", ``, "callbackUrl is missing")
	f("/tasks", `{}`, "callbackUrl is missing")
	f("/tasks", `{"callbackUrl":null,"topic":false}`, "callbackUrl is missing")
}

// TestQuotaOfSubscriptions: each caller has as many on each route.
func TestQuotaOfSubscriptions(t *testing.T) {
	p := startOrders(t, func(r *rest.RouteConfig) { r.Limits.Subscriptions = 2 })
	body := `{"callbackUrl":"` + p.url + `","mode":"continuous"}`
	for range 2 {
		p.ok(t, "POST /v1/orders/card/tasks", body)
	}
	if _, fault := p.call(t, "POST /v1/orders/cash/tasks", body); fault == nil || fault.Status != 403 || fault.Reason != dialect.BadSubscription {
		t.Error(fault)
	}
	p.ok(t, "POST /v1/other/card/tasks", body) // each route has a limit of its own for each caller
	p.ok(t, "POST /v1/orders/card/tasks", body, "X-Api-Key: k-signed")
}

// TestBodiesThatCannotBeRead: no engine gets what it could read and we cannot.
func TestBodiesThatCannotBeRead(t *testing.T) {
	p := startOrders(t)
	for _, bad := range []string{`[1]`, `{"a"`, `"x"`} {
		if _, fault := accept(t, p.Dialect, "POST /v1/orders/card/tasks", bad, "X-Api-Key: k-shop"); fault == nil || fault.Status != 400 {
			t.Errorf("%s: %v", bad, fault)
		}
	}
	for _, lax := range []string{`{"callbackUrl":"u",}`, "\ufeff{\"secret\":\"s\"}", strings.Repeat(`{"a":`, 200) + `1` + strings.Repeat("}", 200)} {
		if _, fault := accept(t, p.Dialect, "POST /v1/orders/card", lax, "X-Api-Key: k-shop", "Content-Type: text/plain"); fault == nil || fault.Status != 400 {
			t.Errorf("an engine may read %.40s, and we cannot: %v", lax, fault)
		}
	}
	if c := must(t, p.Dialect, "POST /v1/orders/card", "a=1&b={}", "X-Api-Key: k-shop", "Content-Type: text/plain"); string(c.Options.Asked.Body) != "a=1&b={}" {
		t.Errorf("%s", c.Options.Asked.Body)
	}
}

// TestStoreOfSubscriptionsIsAway: that is the gateway's failure and not the client's.
func TestStoreOfSubscriptionsIsAway(t *testing.T) {
	p := startOrders(t)
	p.fail(notify.ErrFull)
	c := must(t, p.Dialect, "POST /v1/orders/card/tasks", `{"callbackUrl":"`+p.url+`"}`, "X-Api-Key: k-shop")
	if err := p.Register(context.Background(), c, taskID(t)); !errors.Is(err, correlator.ErrFull) {
		t.Error(err)
	}
	p.fail(notify.ErrUnavailable)
	c = must(t, p.Dialect, "POST /v1/orders/card/tasks", `{"callbackUrl":"`+p.url+`"}`, "X-Api-Key: k-shop")
	if err := p.Register(context.Background(), c, taskID(t)); !errors.Is(err, correlator.ErrUnavailable) {
		t.Error(err)
	}
	req := request("GET /v1/orders/card/tasks/"+"00000000-0000-4000-8000-000000000000", "", "X-Api-Key: k-shop")
	r, _ := p.Route(httpfield.RawPath(req.Header.RequestURI()))
	if _, err := p.Resource(context.Background(), new(fasthttp.Response), req, dialect.ResourceCall{Route: r, Now: now}); !errors.Is(err, correlator.ErrUnavailable) {
		t.Error(err)
	}
}

// TestSubscriptionsNeedASender: a configuration is refused where nothing is sent.
func TestSubscriptionsNeedASender(t *testing.T) {
	_, err := rest.New(config([]rest.RouteConfig{route("a", "/a", subscribable)}), rest.Outside{Keys: newKeys(t)})
	if err == nil || !strings.HasPrefix(err.Error(), "routes[0].subscriptions: cannot be had here") {
		t.Error(err)
	}
}

// TestSchemaOfTheTask: what a schema is about is what the engine gets.
func TestSchemaOfTheTask(t *testing.T) {
	p := startOrders(t, withSchema(schemaFile(t, `{"type":"object","additionalProperties":false,"required":["a"],"properties":{"a":{"type":"integer"}}}`)))
	p.ok(t, "POST /v1/orders/card", `{"a":1,"callbackUrl":"`+p.url+`"}`)
	p.ok(t, "POST /v1/orders/card/tasks", `{"a":1,"callbackUrl":"`+p.url+`"}`)
	p.ok(t, "POST /v1/orders/card/tasks", `{"callbackUrl":"`+p.url+`","mode":"continuous"}`) // there is no task
	for _, path := range []string{"", "/tasks"} {
		if _, fault := accept(t, p.Dialect, "POST /v1/orders/card"+path, `{"callbackUrl":"`+p.url+`"}`, "X-Api-Key: k-shop"); fault == nil || fault.Status != 422 {
			t.Error(fault)
		}
	}
}

// TestSubscriptionOfALostTask: one whose task is lost is forgotten two weeks after the task could have changed, and one for many tasks is not.
func TestSubscriptionOfALostTask(t *testing.T) {
	w := startWhole(t)
	body := `{"callbackUrl":"` + w.url + `"}`
	w.want(w.do("POST /v1/orders/card/tasks", body), 201)
	w.nextAsked()
	if left := time.Until(w.lasts()); left < 15*24*time.Hour || left > 16*24*time.Hour {
		t.Errorf("it is forgotten after %v", left)
	}
	w.want(w.do("POST /v1/orders/card/tasks", strings.TrimSuffix(body, "}")+`,"mode":"continuous"}`), 201)
	if !w.lasts().IsZero() {
		t.Error("one for many tasks is forgotten")
	}
}

// lasts gives when the subscription that was added last is forgotten.
func (s *subs) lasts() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.until
}
