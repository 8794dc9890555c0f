package rest_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/rest"
	"syncgate/notify"
	"syncgate/signer"
)

// signedBy wants the signature of each of these secrets, and no other.
func signedBy(t testing.TB, got post, secrets ...string) {
	t.Helper()
	var keys [][]byte
	for _, s := range secrets {
		key, err := signer.ParseWebhookSecret(s)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	want := signer.AppendWebhookSignatures(nil, []byte(got.header.Get("webhook-id")), []byte(got.header.Get("webhook-timestamp")), []byte(got.body), keys)
	if got.header.Get("webhook-signature") != string(want) {
		t.Errorf("signed %q, want %q", got.header.Get("webhook-signature"), want)
	}
}

// TestNotification: what a receiver gets of each end of a task.
func TestNotification(t *testing.T) {
	p := startOrders(t)
	m := p.ok(t, "POST /v1/orders/card", `{"callbackUrl":"`+p.url+`"}`)
	for _, f := range []struct {
		reply        *dialect.Reply
		status, data string
	}{
		{done(`{ "n": 1.0, "n": 12345678901234567890 , "s":"\ud800"}`), "Succeeded", `{ "n": 1.0, "n": 12345678901234567890 , "s":"\ud800"}`},
		{final(correlator.Complete, "\x89PNG", head("image/png")), "Succeeded", `{"contentType":"image/png","base64":"` + base64.StdEncoding.EncodeToString([]byte("\x89PNG")) + `"}`},
		{final(correlator.Complete, `{}`, head("application/json", "CZ-AG-Status-Code: 404")), "Succeeded", `{}`},
		{final(correlator.Complete, `{}`, head("application/json", "CZ-AG-Status-Code: 99")), "Failed", `{"type":"/errors/bad-gateway"`},
		{final(correlator.Errored, `{"reason":"no funds"}`, head("application/json")), "Failed", `{"reason":"no funds"}`},
		{final(correlator.Errored, `no funds`, head("text/plain")), "Failed", `{"type":"/errors/engine-error","title":"The engine reports an error","status":502,"detail":`},
		{final(correlator.Answered, `{"proc":"error"}`, nil), "Failed", `{"proc":"error"}`},
		{final(correlator.Cancelled, ``, nil), "Canceled", `{"type":"/errors/cancelled","title":"The task is cancelled","status":409,"detail":"The task is cancelled"}`},
	} {
		m.task = taskID(t)
		if err := p.end(m, f.reply); err != nil {
			t.Fatal(err)
		}
		got := p.next(t)
		want := `{"_links":{"self":{"href":"/tasks/` + m.task + `"}},"UUID":"` + m.task + `","status":"` + f.status + `","data":` + f.data
		if !strings.HasPrefix(got.body, want) || !strings.HasSuffix(got.body, "}") || got.header.Get("Content-Type") != "application/hal+json" {
			t.Errorf("%s %s\nwant %s", got.header.Get("Content-Type"), got.body, want)
		}
		if !json.Valid([]byte(got.body)) {
			t.Errorf("no JSON: %s", got.body)
		}
	}
}

// TestSecretsOfReceivers: the receiver's own signs, else that of its caller, else those of the house.
func TestSecretsOfReceivers(t *testing.T) {
	p := startOrders(t)
	f := func(key, secret string, want ...string) {
		t.Helper()
		m := p.ok(t, "POST /v1/orders/card", `{"callbackUrl":"`+p.url+`"`+secret+`}`, "X-Api-Key: "+key)
		if err := p.end(m, done(`{}`)); err != nil {
			t.Fatal(err)
		}
		got := p.next(t)
		if len(want) == 0 && got.header.Get("webhook-signature") != "" {
			t.Error("signed by nobody's secret")
		} else if len(want) > 0 {
			signedBy(t, got, want...)
		}
		if got.header.Get("webhook-id") == "" || strings.Contains(got.header.Get("webhook-id"), m.task) {
			t.Errorf("the id is %s", got.header.Get("webhook-id"))
		}
	}
	f("k-shop", "")
	p.push.SetSecrets([]signer.Secret{houseSecret, ownSecret})
	f("k-shop", "", houseSecret, ownSecret)
	f("k-signed", "", entrySecret)
	f("k-signed", `,"secret":"`+ownSecret+`"`, ownSecret)
	p.push.SetSecrets([]signer.Secret{houseSecret})
	f("k-shop", "", houseSecret)
	m := p.ok(t, "POST /v1/orders/card/tasks", `{"callbackUrl":"`+p.url+`"}`)
	_, said := created(t, p.answered(m), "/v1/orders/card/tasks")
	if err := p.end(m, done(`{}`)); err != nil {
		t.Fatal(err)
	}
	signedBy(t, p.next(t), said["signingSecret"].(string))
	// A secret is sealed for the caller, the route and the URL of its call.
	m = p.ok(t, "POST /v1/orders/card", `{"callbackUrl":"`+p.url+`","secret":"`+ownSecret+`"}`)
	m.c.Options.State = bytes.Replace(m.c.Options.State, []byte("/hook"), []byte("/evil"), 1)
	if err := p.end(m, done(`{}`)); !errors.Is(err, signer.ErrSealed) {
		t.Error(err)
	}
	if p.delivering(t, m) { // for which no secret is needed
		t.Error("what cannot be sent is delivered")
	}
	p.wantQuiet(t)
}

// TestWhoHearsOfATask: the subscription of the task itself, and the continuous ones of the same caller, route and parameters. Each hears once, however often
// the result is pushed.
func TestWhoHearsOfATask(t *testing.T) {
	p := startOrders(t)
	uuidOf := func(at string) string { return at[strings.LastIndexByte(at, '/')+1:] }
	first, second, ended := p.subscribe(t, "/v1/orders/card/tasks"), p.subscribe(t, "/v1/orders/card/tasks"), p.subscribe(t, "/v1/orders/card/tasks")
	p.subscribe(t, "/v1/orders/cash/tasks")
	p.subscribe(t, "/v1/other/card/tasks")
	p.subscribe(t, "/v1/orders/card/tasks", "X-Api-Key: k-signed")
	if dst := p.resource(t, "PUT "+ended, ""); dst.StatusCode() != 202 {
		t.Fatal(dst.StatusCode())
	}
	want := func(m made, uuids ...string) {
		t.Helper()
		for range 3 { // as nodes do that do not know of each other
			if err := p.end(m, done(`{"a":1}`)); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		ids := make(map[string]bool)
		for range uuids {
			n := p.next(t)
			got = append(got, members(t, []byte(n.body))["UUID"].(string))
			ids[n.header.Get("webhook-id")] = true
		}
		slices.Sort(got)
		slices.Sort(uuids)
		if !slices.Equal(got, uuids) || len(ids) != len(uuids) {
			t.Errorf("%q have heard, want %q", got, uuids)
		}
		wantDelivered(t, p, m)
		p.wantQuiet(t)
	}
	want(p.ok(t, "POST /v1/orders/card", `{}`), uuidOf(first), uuidOf(second))
	want(p.ok(t, "POST /v1/orders/card", `{}`), uuidOf(first), uuidOf(second)) // another task
	m := p.ok(t, "POST /v1/orders/card", `{"callbackUrl":"`+p.url+`"}`)
	want(m, m.task, uuidOf(first), uuidOf(second))
	m = p.ok(t, "POST /v1/orders/card/tasks", `{"callbackUrl":"`+p.url+`"}`)
	once, _ := created(t, p.answered(m), "/v1/orders/card/tasks")
	want(m, once, uuidOf(first), uuidOf(second))
	if s := p.get(t, once).State; s != notify.Completed {
		t.Errorf("the subscription of one task is %s", s)
	}
	if s := p.get(t, uuidOf(first)).State; s != notify.Active {
		t.Errorf("the continuous one is %s", s)
	}
	want(p.ok(t, "POST /v1/orders/wire", `{}`)) // nobody
}

// wantDelivered wants everything that was pushed of a task delivered soon.
func wantDelivered(t testing.TB, p *pushing, m made) {
	t.Helper()
	eventually(t, "still being delivered", func() bool { return !p.delivering(t, m) })
}

// TestCancelledSubscriptionHearsNothing: its task goes on.
func TestCancelledSubscriptionHearsNothing(t *testing.T) {
	p := startOrders(t)
	m := p.ok(t, "POST /v1/orders/card/tasks", `{"callbackUrl":"`+p.url+`"}`)
	if dst := p.resource(t, "PUT "+string(p.answered(m).Header.Peek("Location")), ""); dst.StatusCode() != 202 {
		t.Fatal(dst.StatusCode())
	}
	if err := p.end(m, done(`{}`)); err != nil {
		t.Fatal(err)
	}
	p.wantQuiet(t)
	if p.delivering(t, m) {
		t.Error("still being delivered")
	}
}

// TestUndelivered: what a receiver refuses is over, and the subscription says so.
func TestUndelivered(t *testing.T) {
	p := startOrders(t)
	m := p.ok(t, "POST /v1/orders/card/tasks", `{"callbackUrl":"`+p.url+`"}`)
	uuid, _ := created(t, p.answered(m), "/v1/orders/card/tasks")
	p.says <- 403
	if err := p.end(m, done(`{}`)); err != nil {
		t.Fatal(err)
	}
	p.next(t)
	eventually(t, "the attempt is not noted", func() bool { return p.get(t, uuid).Last != nil })
	wantDelivered(t, p, m)
	if s := p.get(t, uuid); s.State != notify.Ended {
		t.Errorf("%+v", s)
	}
	p.wantQuiet(t)
}

// TestReceiverThatIsNoLongerAllowed: nobody sends to it, nobody tries again, and the subscription says so.
func TestReceiverThatIsNoLongerAllowed(t *testing.T) {
	p := startOrders(t)
	all := p.subscribe(t, "/v1/orders/card/tasks")
	m := p.ok(t, "POST /v1/orders/card/tasks", `{"callbackUrl":"`+p.url+`"}`)
	once, _ := created(t, p.answered(m), "/v1/orders/card/tasks")
	if err := p.send.Set(notify.Settings{Guard: guard(t)}); err != nil {
		t.Fatal(err)
	}
	if err := p.end(m, done(`{}`)); err != nil {
		t.Error(err)
	}
	for uuid, state := range map[string]notify.SubscriptionState{once: notify.Ended, all[strings.LastIndexByte(all, '/')+1:]: notify.Active} {
		if s := p.get(t, uuid); s.State != state || s.Last == nil || s.Last.Outcome != notify.OutcomeBlocked {
			t.Errorf("%+v", s)
		}
	}
	if err := p.end(p.ok(t, "POST /v1/orders/card", `{}`), done(`{}`)); err != nil {
		t.Error(err)
	}
	p.wantQuiet(t)
}

// TestPushIsTriedAgain: what a store does not take for now is an error, and the others have their notification.
func TestPushIsTriedAgain(t *testing.T) {
	p := startOrders(t)
	m := p.ok(t, "POST /v1/orders/card", `{"callbackUrl":"`+p.url+`"}`)
	streams := p.withTopics(t, p.push.Sealer)
	topic := p.ok(t, "POST /v1/orders/card/tasks", `{"topic":true,"mode":"continuous"}`)
	_, said := created(t, p.answered(topic), "/v1/orders/card/tasks")
	key, _ := said["topic"].(string)
	full := sending{p.send.Sender, p.send.store}
	p.push.Sender = failing{full}
	if err := p.end(m, done(`{}`)); !errors.Is(err, notify.ErrFull) || len(streams.read(t, key)) != 1 {
		t.Errorf("%v, and the topic has %q", err, streams.read(t, key))
	}
	if _, err := p.Delivering(context.Background(), m.recorded(), &dialect.Reply{Task: m.task}); !errors.Is(err, notify.ErrUnavailable) {
		t.Error(err)
	}
	p.push.Sender = full
	if err := p.end(m, done(`{}`)); err != nil {
		t.Fatal(err)
	}
	p.next(t)
	if got := streams.read(t, key); len(got) != 1 {
		t.Errorf("the topic has %q", got)
	}
	p.fail(notify.ErrUnavailable)
	if err := p.end(m, done(`{}`)); !errors.Is(err, notify.ErrUnavailable) {
		t.Error(err)
	}
	p.fail(nil)
	// A node without a sender leaves it to others.
	d := newDialect(t, config([]rest.RouteConfig{route("orders", "/v1/orders/{kind}")}))
	if err := d.Push(context.Background(), m.recorded(), done(`{}`), nil); err == nil {
		t.Error("done")
	}
}

// failing is a Sender whose store is full.
type failing struct{ sending }

func (failing) Send(context.Context, notify.Notification) error { return notify.ErrFull }
func (failing) Open(context.Context, ...string) (bool, error)   { return false, notify.ErrUnavailable }

// TestLargeResult: a notification that would be too large says where the result is.
func TestLargeResult(t *testing.T) {
	p := startOrders(t)
	m := p.ok(t, "POST /v1/orders/card", `{"callbackUrl":"`+p.url+`"}`)
	if err := p.end(m, final(correlator.Complete, strings.Repeat("x", notify.MaxBody), head("text/plain"))); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"_links":{"self":{"href":"/tasks/%s"},"result":{"href":"/tasks/%[1]s/result"}},"UUID":"%[1]s","status":"Succeeded"}`, m.task)
	if got := p.next(t); got.body != want {
		t.Errorf("%.300s", got.body)
	}
	m.task = taskID(t)
	if err := p.end(m, final(correlator.Complete, strconv.Quote(strings.Repeat("x", notify.MaxBody-5000)), head("application/json"))); err != nil {
		t.Fatal(err)
	}
	if got := p.next(t); len(got.body) < notify.MaxBody-5000 {
		t.Errorf("%.300s", got.body)
	}
}
