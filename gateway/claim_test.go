package gateway_test

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/gateway"
	"syncgate/signer"
)

// noneAsked fails when the engine has another create.
func noneAsked(t *testing.T, e *engine) {
	t.Helper()
	select {
	case a := <-e.asked:
		t.Fatalf("another task was created: %s", a.body)
	default:
	}
}

func TestKeyJoinsInFlight(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	const key = "Idempotency-Key"
	first := n.createLater(oneOp(`{"n":1}`), key, "k")
	a := e.next(t)
	a.accept()
	// Another timeout is the same request; it comes after the first has its task.
	second := n.createLater(strings.Replace(oneOp(`{"n":1}`), `"timeout":5`, `"timeout":8`, 1), key, "k")
	waitFor(t, func() bool { return n.memo.Len() == 2 })
	want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
	x, y := got(t, first), got(t, second)
	want(t, x, 200, accepted)
	want(t, y, 200, accepted)
	if l := x.header.Get("Location"); !strings.HasPrefix(l, "/api/1/tasks/") || y.header.Get("Location") != l {
		t.Errorf("Location %q and %q", l, y.header.Get("Location"))
	}
	replay := n.create(oneOp(`{"n":1}`), key, "k")
	want(t, replay, 200, accepted)
	want(t, n.do(http.MethodGet, replay.header.Get("Location"), ""), 200, accepted)
	noneAsked(t, e)
}

func TestKeyOfAnotherBody(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	first := n.createLater(oneOp(`{"n":1}`), "Idempotency-Key", "k")
	a := e.next(t)
	a.accept()
	f := func(key string, status int, description string) {
		t.Helper()
		if r := n.create(oneOp(`{"n":2}`), "Idempotency-Key", key); r.status != status || !strings.Contains(r.body, `"description":"`+description) {
			t.Errorf("%q: %+v", key, r)
		}
	}
	f("k", 422, "Idempotency-Key was used with another body")
	f("", 400, "Idempotency-Key")
	f("a b", 400, "Idempotency-Key")
	f(strings.Repeat("k", 256), 400, "Idempotency-Key")
	f("ключ", 400, "Idempotency-Key")
	noneAsked(t, e)
	n.callback(a.tokens[0], `{"answer":42}`)
	want(t, got(t, first), 200, accepted)
	f("k", 422, "Idempotency-Key was used with another body")
	other := n.createLater(oneOp(`{"n":1}`), "Idempotency-Key", `"k"`) // taken literally
	a = e.next(t)
	a.accept()
	n.callback(a.tokens[0], `{"answer":42}`)
	want(t, got(t, other), 200, accepted)
}

func TestKeyAfterTheDeadline(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	body := func(timeout string) string {
		return strings.Replace(oneOp(`{}`), `"timeout":5`, `"timeout":`+timeout, 1)
	}
	timedOut := `{"request_proc":"ok","ops":[{"proc":"error","description":"Timeout for create task"}]}`
	first := n.createLater(body("0.2"), "Idempotency-Key", "k")
	a := e.next(t)
	a.accept()
	r := got(t, first)
	want(t, r, 200, timedOut)
	want(t, n.create(body("0.1"), "Idempotency-Key", "k"), 200, timedOut) // a joiner has its own deadline
	again := n.createLater(body("5"), "Idempotency-Key", "k")
	waitFor(t, func() bool { return n.memo.Len() == 1 })
	want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
	want(t, got(t, again), 200, accepted)
	want(t, n.do(http.MethodGet, r.header.Get("Location"), ""), 200, accepted)
	noneAsked(t, e)
}

func TestKeyOfAClientThatHungUp(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	c := n.dial()
	raw := strings.Replace(rawCreate(oneOp(`{}`)), "\r\n", "\r\nIdempotency-Key: k\r\n", 1)
	_, _ = io.WriteString(c, raw)
	a := e.next(t)
	a.accept()
	_ = c.Close()
	want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
	want(t, n.create(oneOp(`{}`), "Idempotency-Key", "k"), 200, accepted)
	noneAsked(t, e)
}

// What surely made no task is not remembered.
func TestKeyIsFreeAgain(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Engine.MaxConnections, c.Engine.Timeout = 1, 300*time.Millisecond })
	refused := n.createLater(oneOp(`{}`), "Idempotency-Key", "k")
	e.next(t).answer(200, `{"request_proc":"format_error","ops":[]}`)
	if r := got(t, refused); r.body != `{"request_proc":"format_error","ops":[]}` || r.header.Get("Location") != "" {
		t.Errorf("%+v", r)
	}
	busy := n.createLater(oneOp(`{}`)) // it has the only connection to the engine for 300 ms
	hanging := e.next(t)
	if r := n.create(strings.Replace(oneOp(`{}`), `"timeout":5`, `"timeout":0.1`, 1), "Idempotency-Key", "k"); r.status != 503 {
		t.Errorf("%+v", r)
	}
	n.callback(hanging.tokens[0], `{"answer":42}`)
	want(t, got(t, busy), 200, accepted)
	again := n.createLater(oneOp(`{}`), "Idempotency-Key", "k")
	a := e.next(t)
	a.accept()
	n.callback(a.tokens[0], `{"answer":42}`)
	want(t, got(t, again), 200, accepted)
}

// A request that there was no room for has no key either.
func TestKeyOfARequestThatWasNotParked(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Limits.Parked = 1 })
	first := n.createLater(oneOp(`{}`))
	a := e.next(t)
	a.accept()
	if r := n.create(oneOp(`{}`), "Idempotency-Key", "k"); r.status != 503 || r.header.Get("Retry-After") == "" || r.header.Get("Location") != "" {
		t.Errorf("%+v", r)
	}
	n.callback(a.tokens[0], `{"answer":42}`)
	want(t, got(t, first), 200, accepted)
	again := n.createLater(oneOp(`{}`), "Idempotency-Key", "k")
	a = e.next(t)
	a.accept()
	n.callback(a.tokens[0], `{"answer":42}`)
	want(t, got(t, again), 200, accepted)
}

// What surely made no task frees the key also when that is known only after the client has left.
func TestKeyIsFreeThoughTheClientHasLeft(t *testing.T) {
	for name, say := range map[string]func(*asked){
		"a package error":   func(a *asked) { a.answer(200, `{"request_proc":"format_error","ops":[]}`) },
		"a refused package": func(a *asked) { a.answer(400, `{"request_proc":"error","ops":[]}`) },
	} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t)
			n := start(t, e.URL)
			first := n.createLater(strings.Replace(oneOp(`{}`), `"timeout":5`, `"timeout":0.05`, 1), "Idempotency-Key", "k")
			a := e.next(t)
			task := got(t, first).header.Get("Location")
			waiting := n.createLater(oneOp(`{}`), "Idempotency-Key", "k")
			waitFor(t, func() bool { return n.memo.Len() == 1 })
			say(a)
			b := e.next(t) // of whoever waited
			b.accept()
			n.callback(b.tokens[0], `{"answer":42}`)
			want(t, got(t, waiting), 200, accepted)
			if r := n.do(http.MethodGet, task, ""); r.status != 410 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// Whoever waits for a request that made no task takes its turn.
func TestJoinerOfARefusedRequest(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	first := n.createLater(oneOp(`{}`), "Idempotency-Key", "k")
	a := e.next(t)
	second := n.createLater(oneOp(`{}`), "Idempotency-Key", "k")
	waitFor(t, func() bool { return n.memo.Len() == 2 })
	a.answer(400, `{"request_proc":"error","ops":[]}`)
	if r := got(t, first); r.status != 400 {
		t.Errorf("%+v", r)
	}
	b := e.next(t)
	b.accept()
	n.callback(b.tokens[0], `{"answer":42}`)
	called := time.Now()
	want(t, got(t, second), 200, accepted)
	if d := time.Since(called); d > time.Second {
		t.Errorf("answered %v after its callback", d)
	}
	noneAsked(t, e)
}

func TestKeyWithoutRetention(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Results.Retention = 0 })
	first := n.createLater(oneOp(`{}`), "Idempotency-Key", "k")
	a := e.next(t)
	a.accept()
	second := n.createLater(oneOp(`{}`), "Idempotency-Key", "k")
	waitFor(t, func() bool { return n.memo.Len() == 2 })
	n.callback(a.tokens[0], `{"answer":42}`)
	for _, c := range []<-chan answer{first, second} {
		r := got(t, c)
		want(t, r, 200, accepted)
		if r.header.Get("Location") != "" {
			t.Errorf("Location %q of what is not kept", r.header.Get("Location"))
		}
	}
	third := n.createLater(oneOp(`{}`), "Idempotency-Key", "k") // not in flight any more: another task
	a = e.next(t)
	a.accept()
	n.callback(a.tokens[0], `{"answer":42}`)
	want(t, got(t, third), 200, accepted)
}

func TestPreferWait(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Timeouts = dialect.Timeouts{Default: time.Second, Max: 3 * time.Second} })
	first := n.createLater(strings.Replace(oneOp(`{}`), `"timeout":5`, `"timeout":0.1`, 1))
	a := e.next(t)
	a.accept()
	task := got(t, first).header.Get("Location")
	pending := `{"request_proc":"ok","ops":[{"proc":"pending"}]}`
	r := n.do(http.MethodGet, task, "", "Prefer", "respond-async, wait=1")
	want(t, r, 202, pending)
	if r.header.Get("Preference-Applied") != "wait=1" || r.header.Get("Retry-After") == "" {
		t.Errorf("%+v", r)
	}
	waiting := make(chan answer, 1)
	go func() { waiting <- n.do(http.MethodGet, task, "", "Prefer", "wait=100") }()
	waitFor(t, func() bool { return n.memo.Len() == 1 })
	n.callback(a.tokens[0], `{"answer":42}`)
	r = got(t, waiting)
	want(t, r, 200, accepted)
	if r.header.Get("Preference-Applied") != "wait=3" {
		t.Errorf("Preference-Applied %q; want it capped at timeouts.max", r.header.Get("Preference-Applied"))
	}
	want(t, n.do(http.MethodGet, task, "", "Prefer", "wait=1"), 200, accepted)
	for prefer, applied := range map[string]string{
		"WAIT=99999999999999999999999": "wait=3", `x="wait=1", Wait = "2"; y`: "wait=2", "wait=3": "wait=3", "wait=0": "", "wait=x": "", `x=", wait=1`: "",
	} {
		r := n.do(http.MethodGet, task, "", "Prefer", prefer)
		want(t, r, 200, accepted)
		if got := r.header.Get("Preference-Applied"); got != applied {
			t.Errorf("Prefer %q: Preference-Applied %q, want %q", prefer, got, applied)
		}
	}
}

// Whoever would wait where nobody may gets what there is.
func TestPreferWaitWithoutRoom(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Limits.Parked = 1 })
	first := n.createLater(strings.Replace(oneOp(`{}`), `"timeout":5`, `"timeout":0.1`, 1))
	e.next(t).accept()
	task := got(t, first).header.Get("Location")
	pending := `{"request_proc":"ok","ops":[{"proc":"pending"}]}`
	f := func() {
		t.Helper()
		r := n.do(http.MethodGet, task, "", "Prefer", "wait=5")
		want(t, r, 202, pending)
		if r.header.Get("Preference-Applied") != "" || r.header.Get("Retry-After") == "" {
			t.Errorf("%v", r.header)
		}
	}
	other := n.createLater(oneOp(`{}`))
	a := e.next(t)
	a.accept()
	f() // as many wait as may
	n.callback(a.tokens[0], `{"answer":42}`)
	want(t, got(t, other), 200, accepted)
	n.NotReady()
	n.RefuseNew()
	if err := n.memo.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	f()
}

func TestResultsForTheirLogin(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Results.RequireLogin = true })
	first := n.createLater(strings.Replace(oneOp(`{}`), `"timeout":5`, `"timeout":0.1`, 1))
	a := e.next(t)
	a.accept()
	task := got(t, first).header.Get("Location")
	n.callback(a.tokens[0], `{"answer":42}`)
	signed := func(who, with string) string {
		now := strconv.FormatInt(time.Now().Unix(), 10)
		return task + "/" + who + "/" + now + "/" + string(signer.AppendSignature(nil, []byte(now), []byte(with), nil))
	}
	for _, path := range []string{task, signed("other", "othersecret"), signed(login, "wrong"), signed("nobody", secret)} {
		if r := n.do(http.MethodGet, path, ""); r.status != 401 || r.header.Get("WWW-Authenticate") == "" || strings.Contains(r.body, "42") {
			t.Errorf("%s: %+v", path, r)
		}
	}
	want(t, n.do(http.MethodGet, signed(login, secret), ""), 200, accepted)
}

func TestTasksThatAreNotThere(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	reply := n.createLater(oneOp(`{}`))
	a := e.next(t)
	a.accept()
	n.callback(a.tokens[0], `{"answer":42}`)
	got(t, reply)
	token, err := n.keys.ParseToken([]byte(a.tokens[0]))
	if err != nil {
		t.Fatal(err)
	}
	task := string(n.keys.AppendTaskID(nil, token.Trip))
	f := func(path string, status int, description string) {
		t.Helper()
		if r := n.do(http.MethodGet, path, ""); r.status != status || !strings.Contains(r.body, `"description":"`+description) {
			t.Errorf("%s: %+v", path, r)
		}
	}
	f("/api/1/tasks/"+task, 410, "Gone") // delivered and not kept
	f("/api/1/tasks/"+a.tokens[0], 404, "Not found")
	other := "_"
	if strings.HasSuffix(task, other) {
		other = "-"
	}
	f("/api/1/tasks/"+task[:len(task)-1]+other, 404, "Not found")
	f("/api/1/tasks/x", 404, "Not found")
}

// awayStore is a correlator whose records cannot be waited for, for a while.
type awayStore struct {
	*correlator.Memory
	away atomic.Bool
}

func (s *awayStore) Attach(ctx context.Context, id correlator.ID, r correlator.Receiver, deadline time.Time) (func(), error) {
	if s.away.Load() {
		return nil, correlator.ErrUnavailable
	}
	return s.Memory.Attach(ctx, id, r, deadline)
}

// A client that cannot join, or that may not read, takes nothing from the trip that it asked for: that one still has its deadline.
func TestRefusedJoinLeavesTheTrip(t *testing.T) {
	e, store := newEngine(t), new(awayStore)
	n := startOver(t, e.URL, func(m *correlator.Memory) correlator.Correlator {
		store.Memory = m
		return store
	}, func(c *gateway.Config) { c.Results.RequireLogin = true })
	const body = `{"timeout":1.5,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{}}]}`
	owner := n.createLater(body, "Idempotency-Key", "k")
	e.next(t).accept()
	store.away.Store(true)
	if r := n.create(body, "Idempotency-Key", "k"); r.status != 503 {
		t.Errorf("a join without the store: %d %s", r.status, r.body)
	}
	store.away.Store(false)
	first := n.create(`{"timeout":0.1,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{}}]}`, "Idempotency-Key", "k")
	location := first.header.Get("Location")
	now := strconv.FormatInt(time.Now().Unix(), 10)
	signed := location + "/" + otherLogin + "/" + now + "/" + string(signer.AppendSignature(nil, []byte(now), []byte(otherSecret), nil))
	if r := n.do(http.MethodGet, signed, "", "Prefer", "wait=5"); r.status != 401 {
		t.Errorf("another login's GET of %s: %d %s", signed, r.status, r.body)
	}
	if r := got(t, owner); r.status != 200 || !strings.Contains(r.body, "Timeout for create task") {
		t.Errorf("the owner: %d %s", r.status, r.body)
	}
}
