package main_test

import (
	"strings"
	"testing"

	"syncgate/notify"
)

const reloaded, unchanged = `"message":"configuration reloaded"`, `"message":"reload: nothing has changed"`

// TestPushingIsReloaded: SIGHUP applies each key of notify and admin.actions, and what is open is sent with what it was made with.
func TestPushingIsReloaded(t *testing.T) {
	eachPusher(t, func(t *testing.T, p *pusher, env []string) {
		r := receive(t, 500)
		g := p.serve(simulate(t).URL(), env...)
		push := func(want int) string {
			t.Helper()
			status, text := g.ask("/v1/pay", `{"callbackUrl":"`+r.URL+`","x":1}`)
			if status != want {
				t.Fatalf("%d %s", status, text)
			}
			return text
		}
		push(202)
		old := r.await(t, 1)
		g.becomes(old.id, notify.Open)

		p.keys, p.notify = secondKey, "signing_secret: "+nextSecret+", signing_secrets: ["+signingSecret+"], timeout: 1s, window: 1h, allow_http: true, allow_networks: [127.0.0.0/8]"
		p.reload(g, reloaded)
		r.answers(200)
		push(202)
		fresh := r.await(t, 2)
		fresh.signed(t, nextSecret)
		fresh.signed(t, signingSecret)
		p.reload(g, reloaded)
		g.notify(0, "retry", old.id) // it was sealed by a key that the file has no more, for two reloads
		again := r.await(t, 3)
		again.signed(t, signingSecret)
		g.becomes(old.id, notify.Delivered)
		if again.id != old.id {
			t.Errorf("%s came, and not %s", again.id, old.id)
		}

		p.notify = "allow_networks: [127.0.0.0/8]"
		p.reload(g, reloaded)
		if text := push(403); !strings.Contains(text, "https://") {
			t.Error(text)
		}
		p.notify = "allow_http: true"
		p.reload(g, reloaded)
		if text := push(403); !strings.Contains(text, "not public") {
			t.Error(text)
		}
		p.notify = "window: 0s"
		p.reload(g, unchanged)
		push(403)
		if strings.Contains(g.log.String(), "takes effect with the next start") {
			t.Error("a key waits for the next start")
		}
		g.stop()
	})
}

// TestTimeoutIsReloaded: attempts that begin after a reload have its timeout.
func TestTimeoutIsReloaded(t *testing.T) {
	p := newPusher(t)
	r := receive(t, 0)
	g := p.serve(simulate(t).URL())
	p.notify += ", timeout: 200ms"
	p.reload(g, reloaded)
	g.ask("/v1/pay", `{"callbackUrl":"`+r.URL+`","x":1}`)
	h := r.await(t, 1)
	if e := g.becomes(h.id, notify.Open); e.Last == nil || e.Last.Outcome != notify.OutcomeTimeout {
		t.Errorf("%+v", e)
	}
	g.stop()
}

// TestActionsAreReloaded: without admin.actions an operator can only look.
func TestActionsAreReloaded(t *testing.T) {
	p := newPusher(t)
	r := receive(t, 500)
	g := p.serve(simulate(t).URL())
	g.ask("/v1/pay", `{"callbackUrl":"`+r.URL+`","x":1}`)
	h := r.await(t, 1)
	p.admin = "{actions: false}"
	p.reload(g, reloaded)
	g.notify(0, "show", h.id)
	for _, action := range []string{"retry", "drop"} {
		if out := g.notify(1, action, h.id); !strings.Contains(out, "set admin.actions to true") {
			t.Error(out)
		}
	}
	p.admin = "{actions: true}"
	p.reload(g, reloaded)
	g.notify(0, "drop", h.id)
	g.stop()
}

// TestFirstPushIsReloaded: a process that has begun without notifications gets them with the first route that pushes, and not from a file with a problem.
func TestFirstPushIsReloaded(t *testing.T) {
	eachPusher(t, func(t *testing.T, p *pusher, env []string) {
		p.routes = strings.Replace(pushingRoutes, "subscriptions: true", "subscriptions: false", 1)
		p.write()
		r := receive(t, 200)
		g := p.serve(simulate(t).URL(), env...)
		if out := g.notify(1, "list"); !strings.Contains(out, "no route of this gateway pushes results") {
			t.Error(out)
		}
		if strings.Contains(mustGet(t, g), "syncgate_notify_") {
			t.Error("it has what sends notifications")
		}
		p.routes = strings.Replace(pushingRoutes, "subscriptions: true", "subscriptions: true, schema: /nowhere", 1)
		p.reload(g, unchanged)
		if out := g.notify(1, "list"); !strings.Contains(out, "no route of this gateway pushes results") {
			t.Error(out)
		}
		p.routes = pushingRoutes
		p.reload(g, reloaded)
		if status, text := g.ask("/v1/pay", `{"callbackUrl":"`+r.URL+`","x":1}`); status != 202 {
			t.Errorf("%d %s", status, text)
		}
		h := r.await(t, 1)
		g.becomes(h.id, notify.Delivered)
		if !strings.Contains(mustGet(t, g), "syncgate_notify_") {
			t.Error("it has no metrics of notifications")
		}
		g.stop()
	})
}

func mustGet(t *testing.T, g *gate) string {
	t.Helper()
	_, text := get(t, "http://"+g.admin+"/metrics")
	return text
}
