package doctor_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/doctor"
	"syncgate/internal/probe"
)

// patient is a dialect with its keys.
type patient struct {
	*doctor.Dialect
	t    *testing.T
	keys *correlator.Keys
}

func newPatient(t *testing.T) *patient {
	t.Helper()
	keys, err := correlator.NewKeys([]string{correlator.RandomKey()})
	if err != nil {
		t.Fatal(err)
	}
	return &patient{doctor.New(keys, doctor.Config{Node: "n", Version: "v", Settings: map[string]string{"a": "b"}, Body: 1000, Heartbeat: 15 * time.Second}), t, keys}
}

// ask sends a probe as the gateway does.
func (p *patient) ask(ctx context.Context, r probe.Request, events *[]string) (a probe.Answer, err error) {
	p.t.Helper()
	if r.Until.IsZero() {
		r.Until = time.Now().Add(time.Minute)
	}
	token := r.Token(p.keys)
	route, ok := p.Route([]byte(probe.ClientPath + token))
	if !ok || route.Kind != dialect.Resource {
		p.t.Fatalf("a probe has the route %+v, %v", route, ok)
	}
	ctx, cancel := context.WithTimeout(ctx, route.Wait)
	defer cancel()
	var req fasthttp.Request
	var resp fasthttp.Response
	req.SetRequestURI(probe.ClientPath + token + "/rest?q=%2f")
	req.Header.Set("Prefer", "wait=3")
	req.SetBodyString("four")
	_, err = p.Resource(ctx, &resp, &req, dialect.ResourceCall{Route: route, Now: time.Now(), Remote: "192.0.2.1", Stream: func(head *fasthttp.Response) (func([]byte) bool, bool) {
		*events = append(*events, string(head.Body()))
		return func(piece []byte) bool {
			*events = append(*events, string(piece))
			return true
		}, true
	}})
	if err != nil || events != nil {
		return a, err
	}
	if a, err = probe.Decode(resp.Body(), token, p.keys); err != nil {
		p.t.Errorf("an answer: %v", err)
	}
	return a, nil
}

func TestSay(t *testing.T) {
	p := newPatient(t)
	a, err := p.ask(t.Context(), probe.Request{Do: probe.Say}, nil)
	if err != nil || a.Node != "n" || a.Version != "v" || a.Config["a"] != "b" || a.Rest != "/rest?q=%2f" || a.Client != "192.0.2.1" || a.Headers["Prefer"] != "wait=3" || a.Body != 4 {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestRoute: strangers find no path, and callbacks come where callbacks are.
func TestRoute(t *testing.T) {
	p := newPatient(t)
	other := newPatient(t)
	r := probe.Request{Do: probe.Hold, Wait: 7 * time.Second, Until: time.Now().Add(time.Minute)}
	for _, path := range []string{"/api/1/doctor/", "/api/1/doctor/abc", probe.ClientPath + r.Token(other.keys), "/", "/api/1/tasks/x"} {
		if _, ok := p.Route([]byte(path)); ok {
			t.Errorf("%s is a probe's", path)
		}
	}
	r.Do = probe.Say
	route, ok := p.Route([]byte(probe.CallbackPath + r.Token(p.keys)))
	if !ok || route.Kind != dialect.Report || route.Watched {
		t.Errorf("%+v, %v", route, ok)
	}
}

// TestWhatAHeldProbeCosts: it has no body that the gateway would keep for as long, and takes nothing of what callbacks need.
func TestWhatAHeldProbeCosts(t *testing.T) {
	p := newPatient(t)
	for _, do := range []probe.Do{probe.Say, probe.Seen, probe.Hold, probe.Stream, probe.Beat} {
		r := probe.Request{Do: do, Wait: 7 * time.Second, Until: time.Now().Add(time.Minute)}
		held, body := do == probe.Hold || do == probe.Stream || do == probe.Beat, int64(0)
		if do == probe.Say {
			body = 1000
		}
		if route, ok := p.Route([]byte(probe.ClientPath + r.Token(p.keys))); !ok || route.Body != body || route.Watched != held || held != (route.Wait >= 7*time.Second) {
			t.Errorf("%d: %+v, %v", do, route, ok)
		}
		if _, ok := p.Route([]byte(probe.CallbackPath + r.Token(p.keys))); ok == held {
			t.Errorf("%d on the way of callbacks: %v", do, ok)
		}
	}
}

// TestHold: a probe is held for as long as it asks for, and what became of it can be asked.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t)
		id, began := probe.NewID(), time.Now()
		if _, err := p.ask(t.Context(), probe.Request{Do: probe.Hold, Wait: 9 * time.Second, ID: id}, nil); err != nil || time.Since(began) != 9*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if a, _ := p.ask(t.Context(), probe.Request{Do: probe.Seen, ID: id}, nil); a.Times != 1 || a.Held != 0 || a.Left {
			t.Errorf("answered: %+v", a)
		}
		id = probe.NewID()
		ctx, leave := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { _, _ = p.ask(ctx, probe.Request{Do: probe.Hold, Wait: time.Minute, ID: id}, nil) })
		group.Go(func() {
			_, _ = p.ask(t.Context(), probe.Request{Do: probe.Hold, Wait: 5 * time.Second, ID: id}, nil)
		})
		synctest.Wait()
		if a, _ := p.ask(t.Context(), probe.Request{Do: probe.Seen, ID: id}, nil); a.Times != 2 || a.Held != 2 || a.Left {
			t.Errorf("held twice: %+v", a)
		}
		leave()
		synctest.Wait()
		if a, _ := p.ask(t.Context(), probe.Request{Do: probe.Seen, ID: id}, nil); a.Times != 2 || a.Held != 1 || !a.Left {
			t.Errorf("left: %+v", a)
		}
		group.Wait()
		if a, _ := p.ask(t.Context(), probe.Request{Do: probe.Seen, ID: probe.NewID()}, nil); a.Times != 0 {
			t.Errorf("unknown: %+v", a)
		}
	})
}

// TestStream: events each second, or as heartbeats come.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t)
		for do, want := range map[probe.Do]int{probe.Stream: 39, probe.Beat: 2} {
			var events []string
			began := time.Now()
			if _, err := p.ask(t.Context(), probe.Request{Do: do, Wait: 39*time.Second + 0}, &events); err != nil || time.Since(began) != 39*time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
			n := len(events)
			if n < want+1 || n > want+2 || events[0] != "data: 0\n\n" || events[1] != "data: 1\n\n" || events[n-1] != "event: end\ndata: end\n\n" {
				t.Errorf("%d: %q", do, events)
			}
		}
	})
}

// hold holds a probe for a second.
func (p *patient) hold() error {
	_, err := p.ask(p.t.Context(), probe.Request{Do: probe.Hold, Wait: time.Second, ID: probe.NewID()}, nil)
	return err
}

// TestMostHeld: no more than there may be, and each place is given back.
func TestMostHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t)
		for range 3 {
			p.fill()
		}
	})
}

// fill holds as many probes as may be, tries one more, and waits until they have ended.
func (p *patient) fill() {
	var group sync.WaitGroup
	var failed atomic.Int32
	for range probe.MaxHeld {
		group.Go(func() {
			if p.hold() != nil {
				failed.Add(1)
			}
		})
	}
	synctest.Wait()
	if f, ok := errors.AsType[*dialect.Fault](p.hold()); !ok || f.Status != 429 {
		p.t.Errorf("one more: %v", f)
	}
	if _, err := p.ask(p.t.Context(), probe.Request{Do: probe.Say}, nil); err != nil {
		p.t.Errorf("what is answered at once: %v", err)
	}
	group.Wait()
	if n := failed.Load(); n > 0 {
		p.t.Errorf("%d were not held", n)
	}
}

// TestMostSeen: what is remembered has a bound, and the oldest goes.
func TestMostSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t)
		var all []probe.ID
		for range 100 {
			id := probe.NewID()
			all = append(all, id)
			if _, err := p.ask(t.Context(), probe.Request{Do: probe.Hold, ID: id}, nil); err != nil {
				t.Fatal(err)
			}
		}
		known := 0
		for i, id := range all {
			a, _ := p.ask(t.Context(), probe.Request{Do: probe.Seen, ID: id}, nil)
			if known += a.Times; a.Times != 1 && i >= 36 {
				t.Errorf("probe %d is forgotten", i)
			}
		}
		if known != 64 {
			t.Errorf("%d are remembered", known)
		}
	})
}

// TestTimeIsOver: a token is good for a while, and for no longer than tokens may be.
func TestTimeIsOver(t *testing.T) {
	p := newPatient(t)
	for _, until := range []time.Time{time.Now().Add(-time.Second), time.Now().Add(probe.MaxLife + time.Minute)} {
		var f *dialect.Fault
		if _, err := p.ask(t.Context(), probe.Request{Do: probe.Say, Until: until}, nil); !errors.As(err, &f) || f.Status != 410 {
			t.Errorf("%v: %v", until, err)
		}
	}
}

// TestClose ends what is held, at once, and refuses more.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(t)
		began := time.Now()
		var group sync.WaitGroup
		for _, do := range []probe.Do{probe.Hold, probe.Stream} {
			group.Go(func() {
				var events []string
				if _, err := p.ask(t.Context(), probe.Request{Do: do, Wait: time.Minute, ID: probe.NewID()}, &events); !errors.Is(err, correlator.ErrDraining) {
					t.Errorf("%d: %v", do, err)
				}
			})
		}
		synctest.Wait()
		p.Close()
		p.Close()
		group.Wait()
		if time.Since(began) != 0 {
			t.Errorf("they were held for %v", time.Since(began))
		}
		if _, err := p.ask(t.Context(), probe.Request{Do: probe.Hold, Wait: time.Second}, nil); !errors.Is(err, correlator.ErrDraining) {
			t.Errorf("one more: %v", err)
		}
		var events []string
		if _, err := p.ask(t.Context(), probe.Request{Do: probe.Stream, Wait: time.Second}, &events); !errors.Is(err, correlator.ErrDraining) || len(events) > 0 {
			t.Errorf("one more stream: %v %q", err, events)
		}
	})
}
