//go:build gateway

package syncgate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	syncgate "syncgate/clients/go"
)

func TestResult(t *testing.T) {
	w := newWorld(t)
	name, data := newName()
	c := later(func() (*syncgate.Result, error) { return w.gate.Call(context.Background(), "/v1/kept", data) })
	w.waiting(1)
	w.report(name, "complete", `{"name": "Олена"}`)
	w.wantResult(c, `{"name": "Олена"}`)
}

func TestEnginesError(t *testing.T) {
	w := newWorld(t)
	name, data := newName()
	c := later(func() (*syncgate.Result, error) { return w.gate.Call(t.Context(), "/v1/kept", data) })
	w.report(name, "error", `{"code":"no-funds"}`)
	e := wantError(t, (<-c).err, "engine-error", false)
	if e.Status != 502 || string(e.Body) != `{"code":"no-funds"}` || !strings.Contains(e.Task, "/tasks/") {
		t.Errorf("the error is %+v", e)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	_, err := (&syncgate.Client{URL: w.URL, Key: "wrong"}).Call(t.Context(), "/v1/kept", nil)
	if e := wantError(t, err, "unauthorized", false); e.Status != 401 || e.Type != "/errors/unauthorized" || e.RequestID == "" {
		t.Errorf("the error is %+v", e)
	}
	_, err = w.gate.Call(t.Context(), "/v1/nothing", nil)
	wantError(t, err, "not-found", false)
}

func TestTimeoutThenResult(t *testing.T) {
	w := newWorld(t)
	name, data := newName()
	_, err := w.gate.Call(t.Context(), "/v1/kept", data, syncgate.Wait(time.Second))
	e := wantError(t, err, "timeout", true)
	c := later(func() (*syncgate.Result, error) { return w.gate.Await(t.Context(), e.Task) })
	w.report(name, "complete", `{"later":true}`)
	w.wantResult(c, `{"later":true}`)
	r, err := w.gate.Call(t.Context(), "/v1/kept", data, syncgate.IdempotencyKey(e.IdempotencyKey))
	if err != nil || string(r.Body) != `{"later":true}` {
		t.Errorf("the same key gives %v, %v", r, err)
	}
	w.wantOne(name)
}

func TestEveryRoute(t *testing.T) {
	w := newWorld(t)
	signed := &syncgate.Client{URL: w.URL, Login: w.Login, Secret: w.Secret, Hold: time.Second}
	keyed := &syncgate.Client{URL: w.URL, Key: "the-key", Hold: time.Second}
	for route, client := range map[string]*syncgate.Client{"/v1/brief": keyed, "/v1/sent": keyed, "/v1/strict": keyed, "/v1/hal": keyed, "/v1/signed": signed} {
		for _, ctx := range []context.Context{context.Background(), t.Context()} {
			name, data := newName()
			asked := strings.Count(w.steer("GET", "/heard", ""), "/result")
			c := later(func() (*syncgate.Result, error) { return client.Call(ctx, route, data) })
			w.begun(name)
			w.eventually("it asks for the task", func() bool { return strings.Count(w.steer("GET", "/heard", ""), "/result") > asked })
			w.report(name, "complete", `{"of":"`+route+`"}`)
			w.wantResult(c, `{"of":"`+route+`"}`)
			w.wantOne(name)
		}
	}
}

func TestConnectionIsCut(t *testing.T) {
	w := newWorld(t)
	for what, ctx := range map[string]context.Context{"held": context.Background(), "of a task": t.Context()} {
		name, data := newName()
		before := len(w.steer("GET", "/heard", ""))
		c := later(func() (*syncgate.Result, error) { return w.gate.Call(ctx, "/v1/kept", data) })
		w.begun(name)
		w.waiting(1)
		w.steer("POST", "/down", "")
		w.waiting(0)
		w.steer("POST", "/up", "")
		w.waiting(1)
		w.steer("POST", "/cut", "")
		w.waiting(0)
		w.waiting(1)
		w.report(name, "complete", `{"back":true}`)
		w.wantResult(c, `{"back":true}`)
		w.wantOne(name)
		keys := regexp.MustCompile(`Idempotency-Key: (\S+)`).FindAllString(w.steer("GET", "/heard", "")[before:], -1)
		if slices.Sort(keys); len(slices.Compact(keys)) != 1 {
			t.Errorf("a request that was %s was repeated with the keys %q", what, keys)
		}
	}
}

func TestNoKeyNoRepeat(t *testing.T) {
	w := newWorld(t)
	name, data := newName()
	c := later(func() (*syncgate.Result, error) {
		return w.gate.Call(context.Background(), "/v1/kept", data, syncgate.NoIdempotencyKey())
	})
	w.begun(name)
	w.waiting(1)
	w.steer("POST", "/cut", "")
	wantError(t, (<-c).err, "network", true)
	w.wantOne(name)
}

func TestProgress(t *testing.T) {
	w := newWorld(t)
	for _, route := range []string{"/v1/kept", "/v1/brief"} { // a stream of the second ends after a second
		name, data := newName()
		heard := make(chan string, 3)
		c := later(func() (*syncgate.Result, error) {
			return w.gate.Call(t.Context(), route, data, syncgate.OnProgress(func(p json.RawMessage) { heard <- string(p) }))
		})
		for _, percent := range []int{40, 80} {
			progress := fmt.Sprintf(`{"percent":%d}`, percent)
			w.report(name, "progress", progress)
			if got := <-heard; got != progress {
				t.Errorf("heard %s, not %s", got, progress)
			}
			w.steer("POST", "/cut", "")
		}
		w.report(name, "complete", `{}`)
		w.wantResult(c, `{}`)
		w.wantOne(name)
		if len(heard) > 0 {
			t.Errorf("heard %s again", <-heard)
		}
	}
}

func TestCancel(t *testing.T) {
	w := newWorld(t)
	name, data := newName()
	ctx, cancel := context.WithCancel(t.Context())
	c := later(func() (*syncgate.Result, error) { return w.gate.Call(ctx, "/v1/kept", data) })
	w.waiting(1)
	cancel()
	err := (<-c).err
	e := wantError(t, err, "aborted", false)
	if !e.Cancelled || !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %+v", e)
	}
	w.eventually("the engine was asked to cancel", func() bool { return w.jobs(name)[0].Stopped })
	_, err = w.gate.Await(t.Context(), e.Task)
	wantError(t, err, "cancelled", false)
	if again, err := w.gate.Cancel(t.Context(), e.Task); again || err != nil {
		t.Errorf("cancelled again: %v, %v", again, err)
	}
	before := strings.Count(w.steer("GET", "/heard", ""), "POST ")
	_, err = w.gate.Call(ctx, "/v1/kept", data)
	wantError(t, err, "aborted", false)
	if after := strings.Count(w.steer("GET", "/heard", ""), "POST "); after != before {
		t.Error("a call whose context had ended has sent a request")
	}
}

func TestCorezoid(t *testing.T) {
	w := newWorld(t)
	corezoid := &syncgate.Client{URL: w.URL, Login: w.Login, Secret: w.Secret, Hold: time.Second}
	type op map[string]any
	create := func(data op) op { return op{"type": "create", "obj": "task", "conv_id": 1, "data": data} }
	before := w.steer("GET", "/simulated", "")
	r, err := corezoid.CallCorezoid(t.Context(), []op{create(op{"n": 1}), create(op{"n": 2, "__sim": op{"delay_ms": 2500}})})
	if err != nil || len(r.Ops) != 2 || string(r.Ops[0].Data) != `{"n":1}` || string(r.Ops[1].Data) != `{"n":2}` {
		t.Fatalf("the reply is %+v, %v", r, err)
	}
	_, err = corezoid.CallCorezoid(t.Context(), []op{create(op{"__sim": op{"callback": "never"}})}, syncgate.Wait(2*time.Second))
	wantError(t, err, "timeout", true)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	slow, key := []op{create(op{"n": 3, "__sim": op{"delay_ms": 1500}})}, syncgate.IdempotencyKey("slow-"+before)
	_, err = corezoid.CallCorezoid(ctx, slow, key)
	wantError(t, err, "aborted", true)
	if r, err = corezoid.CallCorezoid(t.Context(), slow, key); err != nil || string(r.Ops[0].Data) != `{"n":3}` {
		t.Fatalf("the reply is %+v, %v", r, err)
	}
	var made, had int
	_, _ = fmt.Sscan(before, &had)
	if _, _ = fmt.Sscan(w.steer("GET", "/simulated", ""), &made); made != had+4 {
		t.Errorf("the engine has %d tasks more, not 4", made-had)
	}
	wrong := &syncgate.Client{URL: w.URL, Login: w.Login, Secret: "wrong"}
	_, err = wrong.CallCorezoid(t.Context(), []op{create(nil)})
	if e := wantError(t, err, "unauthorized", false); !strings.Contains(e.Message, "Incorrect signature") {
		t.Errorf("the error is %+v", e)
	}
}

func TestTooFast(t *testing.T) {
	w := newWorld(t)
	began := time.Now()
	var calls []<-chan outcome
	var all []string
	for range 3 {
		name, data := newName()
		all = append(all, name)
		calls = append(calls, later(func() (*syncgate.Result, error) { return w.gate.Call(t.Context(), "/v1/rated", data) }))
	}
	for _, name := range all {
		w.report(name, "complete", "{}")
	}
	for i, name := range all {
		w.wantResult(calls[i], "{}")
		w.wantOne(name)
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("nobody was held back: %v", took)
	}
}
