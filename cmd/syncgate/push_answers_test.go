package main_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"syncgate/internal/hooksim"
	"syncgate/notify"
)

// redirects sends to another receiver.
func redirectTo(url string) hooksim.Answer {
	return func(w http.ResponseWriter, _ *http.Request, _ int) int {
		w.Header().Set("Location", url)
		return http.StatusMovedPermanently
	}
}

// askBack answers a status with a Retry-After of an hour.
func askBack(status int) hooksim.Answer {
	return func(w http.ResponseWriter, _ *http.Request, _ int) int {
		w.Header().Set("Retry-After", "3600")
		return status
	}
}

// half closes in the middle of the body that it has announced.
func half(w http.ResponseWriter, _ *http.Request, _ int) int {
	w.Header().Set("Content-Length", "100")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte("half of an"))
	return http.StatusOK
}

// broken closes in the middle of the status line.
func broken(w http.ResponseWriter, _ *http.Request, _ int) int {
	c, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_, _ = c.Write([]byte("HTTP/1.1 2"))
		_ = c.Close()
	}
	return 0
}

// shownSubscription is what the owner of a subscription reads.
type shownSubscription struct {
	Status      string
	LastAttempt struct {
		Attempt        int
		Outcome        string
		ResponseStatus int
	}
}

func (g *gate) shown(path string) (s shownSubscription) {
	g.t.Helper()
	if status, text := g.ask(path, ""); status != 200 || json.Unmarshal([]byte(text), &s) != nil {
		g.t.Fatalf("%d %s", status, text)
	}
	return s
}

// answerCase is an answer of a receiver to the first attempt, and what it means.
type answerCase struct {
	name    string
	answer  hooksim.Answer
	state   notify.State
	sub     string
	outcome notify.Outcome
	status  int
	later   time.Duration // the next attempt is not made before this
}

// wantAnswered wants that the owner of a subscription and operators read what an answer means. It gives the notification's id.
func (g *gate) wantAnswered(a *answerCase, hooks *hooksim.Sim, path string) (id string) {
	t := g.t
	t.Helper()
	eventually(t, a.name+" has its request", func() bool { return len(hooks.Visits(a.name)) == 1 })
	id = hooks.Visits(a.name)[0][0].ID
	e := g.becomes(id, a.state)
	if e.Last == nil {
		t.Fatalf("%s: %+v", a.name, e)
	}
	if e.Last.Outcome != a.outcome || e.Last.Status != a.status || e.Attempts < 1 || e.State == notify.Open && e.Due.Sub(e.Last.At) < a.later ||
		a.later < hourLater && e.Due.Sub(e.Last.At) > hourLater {
		t.Errorf("%s: %+v %+v", a.name, e, e.Last)
	}
	g.subscription(path, a.sub)
	eventually(t, a.name+" is shown to its owner", func() bool { return g.shown(path).LastAttempt.Attempt >= 1 })
	if s := g.shown(path); s.Status != a.sub || s.LastAttempt.Outcome != string(a.outcome) || s.LastAttempt.ResponseStatus != a.status {
		t.Errorf("%s: its owner reads %+v", a.name, s)
	}
	return id
}

// hourLater is an hour, but for what a busy machine takes.
const hourLater = time.Hour - time.Minute

// TestEveryAnswerOfAReceiver: what each answer to the first attempt means, as the owner of the subscription and operators read it.
func TestEveryAnswerOfAReceiver(t *testing.T) {
	t.Parallel()
	elsewhere := receive(t, 200)
	answers := []answerCase{
		{"200", hooksim.Status(200), notify.Delivered, "completed", notify.OutcomeDelivered, 200, 0},
		{"202", hooksim.Status(202), notify.Delivered, "completed", notify.OutcomeDelivered, 202, 0},
		{"half", half, notify.Delivered, "completed", notify.OutcomeDelivered, 200, 0},
		{"broken", broken, notify.Open, "active", notify.OutcomeUnreachable, 0, time.Second},
		{"hangs", hooksim.Hang, notify.Open, "active", notify.OutcomeTimeout, 0, time.Second},
		{"301", redirectTo(elsewhere.URL), notify.Open, "active", notify.OutcomeStatus, 301, time.Second},
		{"400", hooksim.Status(400), notify.Open, "active", notify.OutcomeStatus, 400, time.Second},
		{"403", hooksim.Status(403), notify.Refused, "ended", notify.OutcomeRefused, 403, 0},
		{"410", hooksim.Status(410), notify.Gone, "ended", notify.OutcomeGone, 410, 0},
		{"429", askBack(429), notify.Open, "active", notify.OutcomeStatus, 429, hourLater},
		{"500", askBack(500), notify.Open, "active", notify.OutcomeStatus, 500, time.Second},
		{"503", askBack(503), notify.Open, "active", notify.OutcomeStatus, 503, hourLater},
	}
	eachPusher(t, func(t *testing.T, p *pusher, env []string) {
		p.notify += ", timeout: 1s"
		p.write()
		g := p.serve(simulate(t).URL(), env...)
		hooks, err := hooksim.Start(hooksim.Config{Hosts: len(answers), Answer: func(w http.ResponseWriter, q *http.Request, n int) int {
			for _, a := range answers {
				if q.URL.Path == "/"+a.name {
					return a.answer(w, q, n)
				}
			}
			return http.StatusNotFound
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(hooks.Close)
		paths := make(map[string]string)
		for i, a := range answers {
			paths[a.name] = g.subscribe(hooks.URL(i, a.name), "once")
		}
		ids := make(map[string]string)
		for i := range answers {
			ids[answers[i].name] = g.wantAnswered(&answers[i], hooks, paths[answers[i].name])
		}
		g.operators(ids, hooks)
		g.operate(hooks, answers[3].name, paths)
		if len(elsewhere.had) > 0 {
			t.Error("a redirect was followed")
		}
		g.stop()
	})
}

// operators wants that operators read what the owners of subscriptions do.
func (g *gate) operators(ids map[string]string, hooks *hooksim.Sim) {
	g.t.Helper()
	open, refused, gone := g.notify(0, "list"), g.notify(0, "list", "--state", "refused"), g.notify(0, "list", "--state", "gone")
	for name, id := range ids {
		delivered := name == "200" || name == "202" || name == "half"
		if strings.Contains(refused, id) != (name == "403") || strings.Contains(gone, id) != (name == "410") ||
			strings.Contains(open, id) == (delivered || name == "403" || name == "410") {
			g.t.Errorf("%s: what is listed is\n%s\n%s\n%s", name, open, refused, gone)
		}
	}
	for i, name := range []string{"200", "202"} {
		if out := g.notify(0, "show", ids[name]); !strings.Contains(out, hooks.URL(i, name)) || !strings.Contains(out, name) || !strings.Contains(out, "delivered") {
			g.t.Errorf("%s: an operator reads %s", name, out)
		}
	}
}

// operate has an operator send one notification again before its time, and drop another one: its receiver hears no more of it.
func (g *gate) operate(hooks *hooksim.Sim, name string, paths map[string]string) {
	g.t.Helper()
	dropped, retried := hooks.Visits("429")[0][0].ID, hooks.Visits(name)[0][0].ID
	g.notify(0, "drop", dropped)
	g.notify(1, "show", dropped)
	hooks.Answers(hooksim.Status(http.StatusOK))
	g.notify(0, "retry", retried)
	g.becomes(retried, notify.Delivered)
	g.subscription(paths[name], "completed")
	v := hooks.Visits(name)[0]
	if wrong := v.Repeated(true) + v.Overlapping() + v.Mistaken(`{"x":1}`); wrong != "" || v.Accepted() != 1 {
		g.t.Errorf("%s: %s: %v", name, wrong, v)
	}
	g.notify(1, "retry", dropped)
	if n := len(hooks.Visits("429")[0]); n != 1 {
		g.t.Errorf("what was dropped came %d times", n)
	}
}
