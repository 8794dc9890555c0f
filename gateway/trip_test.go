package gateway_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"syncgate/gateway"
	"syncgate/signer"
)

const accepted = `{"request_proc":"ok","ops":[{"proc":"ok","data":{"answer":42}}]}`

func TestTrip(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	reply := n.createLater(oneOp(`{"param":1}`))
	a := e.next(t)
	if !strings.HasPrefix(a.path, "/api/2/json/"+login+"/") || len(a.tokens) != 1 {
		t.Fatalf("the engine was asked %s %s", a.path, a.body)
	}
	a.accept()
	want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
	r := got(t, reply)
	want(t, r, 200, accepted)
	if r.header.Get("X-Request-Id") == "" || r.header.Get("Location") != "" {
		t.Errorf("headers %v", r.header)
	}
	want(t, n.callback(a.tokens[0], `{"answer":43}`), 200, `{}`) // repeated: the first one stands
}

// I1: the callback may come before the engine's own answer, and it makes the reply go out.
func TestI1CallbackOvertakesTheAnswer(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	reply := n.createLater(oneOp(`{}`))
	a := e.next(t)
	want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
	want(t, got(t, reply), 200, accepted)
	a.accept()
}

func TestSeveralOps(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	body := `{"timeout":5,"ops":[{"id":"a","ref":"r1","type":"create","obj":"task","conv_id":1,"data":{}},` +
		`{"type":"create","obj":"task","conv_id":1,"data":{}},{"type":"delete","obj":"conv","conv_id":1,"id":3},` +
		`{"type":"modify","obj":"task","conv_id":1,"ref":"x","data":{}}]}`
	reply := n.createLater(body)
	a := e.next(t)
	if len(a.tokens) != 2 || strings.Contains(a.body, "delete") {
		t.Fatalf("asked %s", a.body)
	}
	a.accept()
	want(t, n.callback(a.tokens[1], `2`), 200, `{}`)
	want(t, n.callback(a.tokens[0], `[1]`), 200, `{}`)
	r := got(t, reply)
	for _, part := range []string{`"id":"a"`, `"ref":"r1"`, `"data":[1]`, `"data":2`, `Operation is not allowed: delete conv`, `"obj_id"`} {
		if !strings.Contains(r.body, part) {
			t.Errorf("no %s in %s", part, r.body)
		}
	}
	if strings.Index(r.body, `"data":[1]`) > strings.Index(r.body, `"data":2`) {
		t.Errorf("not in the order of the request: %s", r.body)
	}
}

func TestTimeout(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Timeouts.Default = 300 * time.Millisecond })
	f := func(body string, status int) {
		t.Helper()
		began := time.Now()
		reply := n.createLater(body)
		a := e.next(t)
		a.accept()
		r := got(t, reply)
		if took := time.Since(began); took < 290*time.Millisecond || took > 2*time.Second {
			t.Errorf("the deadline came after %v", took)
		}
		want(t, r, status, `{"request_proc":"ok","ops":[{"proc":"error","description":"Timeout for create task"}]}`)
		task := r.header.Get("Location")
		if !strings.HasPrefix(task, "/api/1/tasks/") {
			t.Fatalf("Location %q", task)
		}
		if p := n.do(http.MethodGet, task, ""); p.status != 202 || p.header.Get("Retry-After") == "" {
			t.Errorf("pending: %+v", p)
		}
		want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`) // late, kept
		want(t, n.do(http.MethodGet, task, ""), 200, accepted)
		want(t, n.callback(a.tokens[0], `{"answer":43}`), 200, `{}`)
		want(t, n.do(http.MethodGet, task, ""), 200, accepted)
	}
	f(`{"timeout":0.3,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{}}]}`, 200)
	f(`{"ops":[{"type":"create","obj":"task","conv_id":1,"data":{}}]}`, 504)
}

func TestNothingIsKeptWithoutRetention(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Results.Retention = 0 })
	reply := n.createLater(`{"timeout":0.1,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{}}]}`)
	a := e.next(t)
	a.accept()
	if r := got(t, reply); r.header.Get("Location") != "" {
		t.Errorf("Location %q of what is not kept", r.header.Get("Location"))
	}
	want(t, n.callback(a.tokens[0], `{}`), 410, `{}`)
}

func TestTheEnginesOwnAnswer(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	f := func(status int, engineSays string, wantStatus int, wantBody string) answer {
		t.Helper()
		reply := n.createLater(oneOp(`{}`))
		e.next(t).answer(status, engineSays)
		r := got(t, reply)
		want(t, r, wantStatus, wantBody)
		return r
	}
	refused := `{"id":"","proc":"error","description":"Object conv with id 9 does not exist"}`
	f(200, `{"request_proc":"ok","ops":[`+refused+`]}`, 200, `{"request_proc":"ok","ops":[`+refused+`]}`)
	f(200, `{"request_proc":"ok","ops":`+refused+`}`, 200, `{"request_proc":"ok","ops":[`+refused+`]}`)
	f(200, `{"request_proc":"format_error","ops":[]}`, 200, `{"request_proc":"format_error","ops":[]}`)
	f(400, `{"request_proc":"error","ops":[{"proc":"error","description":"Incorrect body"}]}`, 400, `{"request_proc":"error","ops":[{"proc":"error","description":"Incorrect body"}]}`)
	bad := `{"request_proc":"ok","ops":[{"proc":"error","description":"Bad gateway"}]}`
	for _, status := range []int{302, 500, 502} {
		if r := f(status, `{"request_proc":"ok","ops":[]}`, 502, bad); r.header.Get("Location") == "" {
			t.Errorf("%d: a task may exist, and there is no Location", status)
		}
	}
	f(200, `<html>`, 502, bad)
	f(404, `<html>`, 502, bad)
}

func TestIncompleteAnswersLeaveTheClientParked(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Engine.Timeout = 200 * time.Millisecond })
	f := func(name string, what func(*asked)) {
		t.Run(name, func(t *testing.T) {
			reply := n.createLater(oneOp(`{}`))
			a := e.next(t)
			what(a)
			select {
			case r := <-reply:
				t.Fatalf("answered %+v", r)
			case <-time.After(300 * time.Millisecond):
			}
			want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
			want(t, got(t, reply), 200, accepted)
			select {
			case <-e.asked:
				t.Error("the create was sent again")
			default:
			}
		})
	}
	f("reset", (*asked).reset)
	f("hang", func(*asked) {})
	f("no op of its own", func(a *asked) { a.answer(200, `{"request_proc":"ok","ops":[]}`) })
	f("truncated", func(a *asked) {
		a.say <- func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte(`{"request_proc":`))
		}
	})
}

func TestEngineAway(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	e.Close()
	r := n.create(oneOp(`{}`))
	if r.status != 502 || !strings.Contains(r.body, `"description":"Bad gateway`) || r.header.Get("Location") != "" {
		t.Errorf("%+v", r)
	}
}

func TestBusyEngineConnections(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Engine.MaxConnections, c.Engine.Timeout = 1, 300*time.Millisecond })
	first := n.createLater(oneOp(`{}`))
	a := e.next(t)                   // it hangs for the whole engine.timeout
	pad := strings.Repeat("x", 2000) // its bytes are accounted for
	r := n.create(`{"timeout":0.1,"ops":[{"type":"create","obj":"task","conv_id":1,"data":{"pad":"` + pad + `"}}]}`)
	if r.status != 503 || !strings.Contains(r.body, `"description":"Overloaded`) || r.header.Get("Retry-After") == "" {
		t.Errorf("%+v", r)
	}
	want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
	want(t, got(t, first), 200, accepted)
}

// Trips that wait for a connection get it in their order, whoever gives it back.
func TestQueueForTheEngine(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Engine.MaxConnections = 1 })
	var replies []<-chan answer
	for i := range 6 {
		replies = append(replies, n.createLater(oneOp(fmt.Sprintf(`{"n":%d}`, i))))
		waitFor(t, func() bool { return n.memo.Len() == i+1 })
	}
	for i := range replies {
		a := e.next(t)
		if !strings.Contains(a.body, fmt.Sprintf(`"n":%d,`, i)) {
			t.Errorf("create %d is %s", i, a.body)
		}
		noneAsked(t, e)
		a.accept()
		want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
		want(t, got(t, replies[i]), 200, accepted)
	}
}

func TestI7LogsHaveNoSecrets(t *testing.T) {
	e := newEngine(t)
	const token = "Bearer of-the-engine" //nolint:gosec // of no engine
	n := start(t, e.URL, func(c *gateway.Config) { c.Engine.Headers = map[string]signer.Secret{"Authorization": token} })
	body := oneOp(`{"__callback_url":"http://evil"}`)
	path := sign(body)
	reply := n.createLater(body)
	a := e.next(t)
	if strings.Contains(a.body, "evil") {
		t.Error("I6: the client's own callback URL reached the engine")
	}
	a.accept()
	n.callback(a.tokens[0], `{}`)
	got(t, reply)
	n.callback(a.tokens[0][:66]+"!", `{}`)
	n.do(http.MethodPost, path[:len(path)-1]+"x", body)
	waitLog(t, n, `"outcome":"complete"`)
	log := n.log.String()
	for _, s := range []string{secret, token, a.tokens[0][8:], path[len(path)-40:]} {
		if strings.Contains(log, s) {
			t.Errorf("%q is in the log:\n%s", s, log)
		}
	}
	if !strings.Contains(log, a.tokens[0][:8]) {
		t.Errorf("the trip's name %q is not in the log:\n%s", a.tokens[0][:8], log)
	}
}

func waitLog(t *testing.T, n *node, text string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !strings.Contains(n.log.String(), text); {
		if time.Now().After(end) {
			t.Fatalf("no %s in the log:\n%s", text, n.log.String())
		}
		<-time.After(time.Millisecond)
	}
}

// While the engine takes no connections, a request is told at once, and soon after it comes back it is asked again.
func TestEngineBreaker(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	n := start(t, "http://"+ln.Addr().String())
	told := false
	for range 10 {
		r := n.create(oneOp(`{}`))
		if r.status != 502 || !strings.Contains(r.body, `"description":"Bad gateway`) || r.header.Get("Location") != "" {
			t.Fatalf("%+v", r)
		}
		told = told || strings.Contains(r.body, "refused every connection lately")
	}
	if !told {
		t.Error("the engine is dialled for every request")
	}
	ln, err = net.Listen("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	refuse := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"request_proc":"format_error","ops":[]}`))
	})}
	go func() { _ = refuse.Serve(ln) }()
	defer refuse.Close()
	waitFor(t, func() bool { return n.create(oneOp(`{}`)).status == 200 })
}
