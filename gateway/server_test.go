package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"syncgate/dialect"
	"syncgate/gateway"
	"syncgate/internal/setting"
)

// dial opens a raw connection to the gateway.
func (n *node) dial() net.Conn {
	n.t.Helper()
	c, err := net.Dial("tcp", n.PublicAddr().String())
	if err != nil {
		n.t.Fatal(err)
	}
	n.raw = append(n.raw, c)
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// rawCreate is a create as it goes over the wire.
func rawCreate(body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", sign(body), len(body), body)
}

// read reads one answer off a raw connection.
func read(t *testing.T, r *bufio.Reader) answer {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("read answer: %v", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read answer: %v", err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: string(b)}
}

func TestKeepAliveAndPipelining(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	c := n.dial()
	r := bufio.NewReader(c)
	for range 2 { // two requests at once: the first reply does not wait for the second trip
		_, _ = io.WriteString(c, rawCreate(oneOp(`{"n":1}`))+rawCreate(oneOp(`{"n":2}`)))
		for _, data := range []string{`1`, `2`} {
			a := e.next(t)
			a.accept()
			n.callback(a.tokens[0], data)
			want(t, read(t, r), 200, `{"request_proc":"ok","ops":[{"proc":"ok","data":`+data+`}]}`)
		}
	}
}

func TestResultOfAClientThatHungUp(t *testing.T) {
	f := func(name string, hangUp func(net.Conn), policy string, retention time.Duration, wantStatus, wantKept int) {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t)
			n := start(t, e.URL, func(c *gateway.Config) { c.OnDisconnect, c.Results.Retention = policy, retention })
			c := n.dial()
			_, _ = io.WriteString(c, rawCreate(oneOp(`{}`)))
			a := e.next(t)
			a.accept()
			hangUp(c)
			waitLog(t, n, `"abandoned":true`)
			want(t, n.callback(a.tokens[0], `{}`), wantStatus, `{}`)
			if kept, _ := n.memo.Kept(); kept != wantKept {
				t.Errorf("%d results kept; want %d", kept, wantKept)
			}
		})
	}
	closed := func(c net.Conn) { _ = c.Close() }
	reset := func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0); _ = c.Close() }
	f("closed, keep", closed, dialect.Keep, time.Hour, 200, 1)
	f("reset, keep", reset, dialect.Keep, time.Hour, 200, 1)
	f("closed, drop", closed, dialect.Drop, time.Hour, 200, 0)
	f("closed, nothing is kept", closed, dialect.Keep, 0, 410, 0)
}

func TestAHalfClosedClientGetsItsReply(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	c := n.dial()
	_, _ = io.WriteString(c, rawCreate(oneOp(`{}`)))
	a := e.next(t)
	a.accept()
	_ = c.(*net.TCPConn).CloseWrite()
	want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
	want(t, read(t, bufio.NewReader(c)), 200, accepted)
}

// I4: what is parked does not point into buffers that later requests use.
func TestI4NothingOfARequestIsKept(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	const parked = 20
	var replies []<-chan answer
	var tokens []string
	for i := range parked {
		body := fmt.Sprintf(`{"timeout":9,"ops":[{"id":"id-%d","ref":"ref-%d","type":"create","obj":"task","conv_id":1,"data":{"pad":%q}}]}`, i, i, strings.Repeat("x", 3000))
		replies = append(replies, n.createLater(body, "X-Request-Id", fmt.Sprintf("request-%d", i)))
		a := e.next(t)
		a.accept()
		tokens = append(tokens, a.tokens[0])
	}
	for range 200 { // other requests write over whatever buffers were given back
		n.create(strings.Repeat("z", 4000))
	}
	for i := range parked {
		n.callback(tokens[i], `{"pad":"`+strings.Repeat("y", 3000)+`"}`)
	}
	for i := range parked {
		r := got(t, replies[i])
		name := r.header.Get("X-Request-Id")
		var k int
		if _, err := fmt.Sscanf(name, "request-%d", &k); err != nil {
			t.Fatalf("X-Request-Id %q", name)
		}
		if !strings.Contains(r.body, fmt.Sprintf(`"id":"id-%d","ref":"ref-%d"`, k, k)) || strings.Contains(r.body, "z") {
			t.Errorf("%s got %.200s", name, r.body)
		}
	}
}

// I5: a client that does not read its reply holds up nobody else's.
func TestI5NothingBlocksDeliver(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Listen.WriteTimeout = time.Second })
	deaf := n.dial()
	_ = deaf.(*net.TCPConn).SetReadBuffer(1)
	_, _ = io.WriteString(deaf, rawCreate(oneOp(`{}`)))
	a := e.next(t)
	a.accept()
	big := make(chan answer, 1)
	go func() { big <- n.callback(a.tokens[0], `"`+strings.Repeat("x", 5<<20-2)+`"`) }()
	for range 20 {
		reply := n.createLater(oneOp(`{}`))
		a := e.next(t)
		a.accept()
		began := time.Now()
		n.callback(a.tokens[0], `{"answer":42}`)
		want(t, got(t, reply), 200, accepted)
		if took := time.Since(began); took > 800*time.Millisecond {
			t.Fatalf("a trip took %v while another client did not read", took)
		}
	}
	want(t, got(t, big), 200, `{}`) // the write time-out has passed; the result is kept
	if kept, _ := n.memo.Kept(); kept != 1 {
		t.Errorf("%d results kept; want 1", kept)
	}
}

// I3, I9: a drain answers every parked client and hears every callback.
func TestDrain(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	first, second := n.createLater(oneOp(`{}`)), n.createLater(oneOp(`{}`))
	a, b := e.next(t), e.next(t)
	a.accept()
	b.accept()

	n.NotReady()
	if r := n.do(http.MethodGet, "/readyz", ""); r.status != 503 || !r.closed {
		t.Errorf("not ready: %+v", r)
	}
	third := n.createLater(oneOp(`{}`)) // everything is served still
	c := e.next(t)
	c.accept()
	n.callback(c.tokens[0], `{"answer":42}`)
	want(t, got(t, third), 200, accepted)

	n.RefuseNew()
	if r := n.create(oneOp(`{}`)); r.status != 503 || !strings.Contains(r.body, `"description":"Shutting down`) || r.header.Get("Retry-After") == "" {
		t.Errorf("new create: %+v", r)
	}
	if r := n.create("x", "Content-Encoding", "gzip"); r.status != 503 {
		t.Errorf("draining comes first: %+v", r)
	}
	want(t, n.do(http.MethodGet, "/healthz", ""), 200, `{"status":"alive"}`)
	drained := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	go func() { drained <- n.memo.Drain(ctx) }()
	want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
	x, y := got(t, first), got(t, second)
	if x.status != 200 {
		x, y = y, x
	}
	want(t, x, 200, accepted)
	want(t, y, 503, `{"request_proc":"ok","ops":[{"proc":"error","description":"Shutting down"}]}`)
	if err := <-drained; err == nil {
		t.Error("the drain says that nobody was left")
	}
	if location := y.header.Get("Location"); location != "" { // nothing survives this process
		t.Errorf("Location %q", location)
	}
	want(t, n.callback(b.tokens[0], `{"answer":42}`), 410, `{}`)
}

func TestLimitsOfALogin(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Limits.ParkedPerLogin = 1 })
	reply := n.createLater(oneOp(`{}`))
	a := e.next(t)
	a.accept()
	tooMany := func() {
		t.Helper()
		if r := n.create(oneOp(`{}`)); r.status != 429 || !strings.Contains(r.body, `"description":"Too many requests`) || r.header.Get("Retry-After") == "" {
			t.Errorf("%+v", r)
		}
	}
	tooMany()
	n.callback(a.tokens[0], `{"answer":42}`)
	want(t, got(t, reply), 200, accepted)
	n.SetLimits(gateway.Limits{Body: setting.MiB, CallbackBody: setting.MiB, Ops: 1, RatePerLogin: 0.001})
	reply = n.createLater(oneOp(`{}`))
	a = e.next(t)
	a.accept()
	n.callback(a.tokens[0], `{"answer":42}`)
	want(t, got(t, reply), 200, accepted)
	tooMany()
}

func TestLimitOfTheNode(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Limits.Parked = 1 })
	reply := n.createLater(oneOp(`{}`))
	a := e.next(t)
	a.accept()
	if r := n.create(oneOp(`{}`)); r.status != 503 || !strings.Contains(r.body, `"description":"Overloaded`) || r.header.Get("Retry-After") == "" {
		t.Errorf("%+v", r)
	}
	n.callback(a.tokens[0], `{"answer":42}`)
	want(t, got(t, reply), 200, accepted)
}

func TestSlowAndLargeRequests(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) {
		c.Listen.HeaderTimeout, c.Listen.BodyTimeout, c.Limits.Body = 200*time.Millisecond, 200*time.Millisecond, 2000
	})
	f := func(name, sent string, status int, description string) {
		t.Run(name, func(t *testing.T) {
			c := n.dial()
			_, _ = io.WriteString(c, sent)
			r := bufio.NewReader(c)
			a := read(t, r)
			if a.status != status || !strings.Contains(a.body, `{"request_proc":"error","ops":[{"proc":"error","description":"`+description) {
				t.Errorf("%+v", a)
			}
			if problem := cached(a, false); problem != "" {
				t.Error(problem)
			}
			if _, err := r.ReadByte(); err != io.EOF {
				t.Errorf("the connection is not closed: %v", err)
			}
		})
	}
	path := sign("{}")
	f("slow header", "POST "+path+" HTTP/1.1\r\nHost: x\r\n", 408, "Request took too long")
	f("slow body", "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{", 408, "Request took too long")
	f("large header", "POST "+path+" HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 20000)+"\r\n\r\n", 431, "Headers are larger than")
	f("large body", "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 2001\r\n\r\n"+strings.Repeat("x", 2001), 413, "Body is larger than")
	f("large chunks", "POST "+path+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7d1\r\n"+strings.Repeat("x", 2001)+"\r\n0\r\n\r\n", 413, "Body is larger than")
	f("large body, asked for", "POST "+path+" HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2001\r\n\r\n", 413, "Body is larger than")
	f("large body of no path", "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2001\r\n\r\n", 404, "Not found")
	f("both lengths", "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "Incorrect request")
}

func TestExpectContinue(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	body := oneOp(`{"pad":"` + strings.Repeat("x", 2000) + `"}`)
	c := n.dial()
	_, _ = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", sign(body), len(body))
	r := bufio.NewReader(c)
	if line, err := r.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q %v", line, err)
	}
	_, _ = r.ReadString('\n')
	_, _ = io.WriteString(c, body)
	a := e.next(t)
	a.accept()
	n.callback(a.tokens[0], `{"answer":42}`)
	want(t, read(t, r), 200, accepted)
}

func TestMetrics(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	reply := n.createLater(oneOp(`{}`))
	a := e.next(t)
	a.accept()
	n.callback(a.tokens[0], `{}`)
	got(t, reply)
	n.do(http.MethodPost, "/api/1/json/nobody/1/2", "{}")
	waitLog(t, n, `"status":401`)
	var b []byte
	waitFor(t, func() bool { // the callback may overtake the engine's own answer
		resp, err := n.http.Get("http://" + n.AdminAddr().String() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ = io.ReadAll(resp.Body)
		if problem := cached(answer{status: resp.StatusCode, header: resp.Header}, false); problem != "" {
			t.Error(problem)
		}
		return strings.Contains(string(b), `syncgate_engine_request_duration_seconds_count{code="200"} 1`)
	})
	for _, line := range []string{
		`sync_api_http_request_duration_seconds_count{code="200",login="12345"} 1`,
		`sync_api_http_request_duration_seconds_count{code="401",login="unknown"} 1`,
		`syncgate_parked_clients 0`,
		`syncgate_trips_total{login="12345",outcome="complete"} 1`,
		`syncgate_callbacks_total{outcome="delivered"} 1`,
		`syncgate_engine_request_duration_seconds_count{code="200"} 1`,
		`syncgate_correlator_up 1`,
		`syncgate_abandoned_total 0`,
		`syncgate_results_kept 0`,
		`syncgate_build_info{version="test"} 1`,
	} {
		if !strings.Contains(string(b), line+"\n") {
			t.Errorf("no %s in\n%s", line, b)
		}
	}
}

// A gateway that ends as soon as it has begun leaves nothing behind: TestMain looks for goroutines.
func TestCloseAtOnce(t *testing.T) {
	e := newEngine(t)
	for range 50 {
		t.Run("", func(t *testing.T) { start(t, e.URL) })
	}
}
