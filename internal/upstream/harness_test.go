package upstream_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"syncgate/internal/eventloop"
	"syncgate/internal/tlstest"
	"syncgate/internal/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = time.Minute

// engine serves each connection with a function of the test, on a goroutine.
type engine struct {
	t        *testing.T
	url      string
	roots    *x509.CertPool // of one with TLS
	accepted atomic.Int32   // connections
	open     atomic.Int32   // that have not ended
	asked    atomic.Int32   // requests that have come whole
	hold     chan struct{}  // requests with the body hold are answered when it is closed
	stop     func()
}

// peer is the engine's end of a connection.
type peer struct {
	net.Conn
	tcp *net.TCPConn // below TLS, if there is any
	r   *bufio.Reader
	e   *engine
	n   uint64 // which connection it is, from 0
}

// engines makes an engine of some kind.
type engines func(*testing.T, func(*peer)) *engine

func newEngine(t *testing.T, serve func(*peer)) *engine { return engineOf(t, nil, serve) }

func newTLSEngine(t *testing.T, serve func(*peer)) *engine {
	cert, roots := selfSigned(t)
	e := engineOf(t, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, serve)
	e.roots = roots
	return e
}

func engineOf(t *testing.T, secure *tls.Config, serve func(*peer)) *engine {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{t: t, url: "http://" + ln.Addr().String(), hold: make(chan struct{})}
	if secure != nil {
		e.url = "https://" + ln.Addr().String()
	}
	var running sync.WaitGroup
	running.Go(func() {
		for n := uint64(0); ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			e.accepted.Add(1)
			e.open.Add(1)
			p := &peer{Conn: c, tcp: c.(*net.TCPConn), e: e, n: n}
			if secure != nil {
				p.Conn = tls.Server(c, secure)
			}
			p.r = bufio.NewReader(p.Conn)
			running.Go(func() {
				defer e.open.Add(-1)
				defer func() { _ = p.Close() }()
				serve(p)
			})
		}
	})
	e.stop = sync.OnceFunc(func() {
		_ = ln.Close()
		running.Wait()
	})
	t.Cleanup(e.stop)
	return e
}

// asked is a request that has come.
type asked struct{ path, body string }

// ask reads a request. Not ok: the connection has ended.
func (p *peer) ask() (a asked, ok bool) {
	req, err := http.ReadRequest(p.r)
	if err != nil {
		return a, false
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return a, false
	}
	p.e.asked.Add(1)
	if string(body) == "hold" {
		<-p.e.hold
	}
	return asked{req.URL.Path, string(body)}, true
}

// say writes.
func (p *peer) say(text string) { _, _ = io.WriteString(p, text) }

// reset ends the connection with a RST.
func (p *peer) reset() {
	_ = p.tcp.SetLinger(0)
	_ = p.tcp.Close()
}

// hears waits until the other side has closed the connection.
func (p *peer) hears() { _, _ = io.Copy(io.Discard, p.r) }

// each serves a connection by saying something to each request, until the connection ends.
func each(say func(*peer, asked)) func(*peer) {
	return func(p *peer) {
		for {
			a, ok := p.ask()
			if !ok {
				return
			}
			say(p, a)
		}
	}
}

// echo answers requests with their bodies, until the connection ends.
func echo(p *peer) { each(func(p *peer, a asked) { p.say(answer(a.body)) })(p) }

// onlyFirst serves the first connection in one way, and the others by echo.
func onlyFirst(serve func(*peer)) func(*peer) {
	return func(p *peer) {
		if p.n > 0 {
			echo(p)
		} else {
			serve(p)
		}
	}
}

// wantConnections wants that the engine has had so many connections.
func (e *engine) wantConnections(n int32) {
	e.t.Helper()
	if got := e.accepted.Load(); got != n {
		e.t.Errorf("%d connections; want %d", got, n)
	}
}

func answer(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// closing is an answer behind which the connection ends.
func closing(body string) string {
	return strings.Replace(answer(body), "\r\n", "\r\nConnection: close\r\n", 1)
}

// call is a Call that records what is said to it.
type call struct {
	upstream.Call // nil: a method that a test has not thought of panics

	body string
	pad  int // bytes of the request beside that

	unusable bool                    // what Answered says
	refuse   error                   // what AppendRequest says
	panics   string                  // in the method of that name
	goOn     func(waiting bool) bool // what Queued says; nil: true
	onPlace  func()                  // called in AppendRequest
	onFinish func(code string)       // called in Finished

	mu       sync.Mutex
	events   []string
	finished int
	done     chan struct{}

	status int
	answer string
	header map[string]string
	err    error
	sent   bool
	took   time.Duration
	code   string
}

func newCall(body string) *call { return &call{body: body, done: make(chan struct{})} }

func (c *call) event(name string) {
	c.mu.Lock()
	c.events = append(c.events, name)
	c.mu.Unlock()
	if c.panics == name {
		panic("on purpose")
	}
}

func (c *call) seen() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.events...)
}

func (c *call) AppendRequest(dst []byte, _ time.Time) ([]byte, error) {
	if c.onPlace != nil {
		c.onPlace()
	}
	c.event("AppendRequest")
	if c.refuse != nil {
		return dst, c.refuse
	}
	dst = fmt.Appendf(dst, "POST /%s HTTP/1.1\r\nHost: engine\r\nX-Pad: %d\r\nContent-Length: %d\r\n\r\n", "path", c.pad, len(c.body)+c.pad)
	dst = append(dst, c.body...)
	return append(dst, bytes.Repeat([]byte{'.'}, c.pad)...), nil
}

func (c *call) Answered(status int, header *fasthttp.ResponseHeader, body []byte) bool {
	c.status, c.answer = status, string(body)
	c.header = make(map[string]string)
	for k, v := range header.All() {
		c.header[string(k)] = string(v)
	}
	c.event("Answered")
	return !c.unusable
}

func (c *call) Failed(err error, sent bool) {
	c.err, c.sent = err, sent
	c.event("Failed")
}

func (c *call) Queued(waiting bool) bool {
	c.event(fmt.Sprintf("Queued(%t)", waiting))
	return c.goOn == nil || c.goOn(waiting)
}

func (c *call) Finished(took time.Duration, code string) {
	c.took, c.code = took, code
	c.mu.Lock()
	c.finished++
	first := c.finished == 1
	c.mu.Unlock()
	if c.onFinish != nil {
		c.onFinish(code)
	}
	if first {
		defer close(c.done)
	}
	c.event("Finished")
}

// client is one under test.
type client struct {
	*upstream.Client
	t   *testing.T
	log *syncBuffer
}

// start makes a client of the engine, which is closed at the end of the test, before the engine is stopped.
func start(t *testing.T, e *engine, change ...func(*upstream.Config, *upstream.Options, *eventloop.Options)) *client {
	t.Helper()
	cl := &client{t: t, log: new(syncBuffer)}
	cfg := upstream.Config{URL: e.url, Timeout: 30 * time.Second, Idle: 30 * time.Second, MaxConnections: 4, RootCAs: e.roots}
	o := upstream.Options{Log: zerolog.New(cl.log)}
	var ticking atomic.Pointer[upstream.Client]
	loops := eventloop.Options{
		Expiry:   20 * time.Millisecond,
		Panicked: func(value any, stack []byte) { t.Errorf("a loop panicked: %v\n%s", value, stack) },
		Failed:   func(err error) { t.Errorf("the loops: %v", err) },
		Tick: func(now time.Time) {
			if c := ticking.Load(); c != nil {
				c.Tick(now)
			}
		},
	}
	for _, f := range change {
		f(&cfg, &o, &loops)
	}
	g, err := eventloop.NewGroup(loops)
	if err == nil {
		err = g.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if cl.Client, err = upstream.New(cfg, g, o); err != nil {
		t.Fatal(err)
	}
	ticking.Store(cl.Client)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		cl.Close(ctx)
		if n := g.Len(); n != 0 {
			t.Errorf("%d connections are attached after Close", n)
		}
		g.Close()
		e.stop()
	})
	return cl
}

func maxConnections(n int) func(*upstream.Config, *upstream.Options, *eventloop.Options) {
	return func(c *upstream.Config, _ *upstream.Options, _ *eventloop.Options) { c.MaxConnections = n }
}

func timeout(d time.Duration) func(*upstream.Config, *upstream.Options, *eventloop.Options) {
	return func(c *upstream.Config, _ *upstream.Options, _ *eventloop.Options) { c.Timeout = d }
}

func hook(f func(point string)) func(*upstream.Config, *upstream.Options, *eventloop.Options) {
	return func(_ *upstream.Config, o *upstream.Options, _ *eventloop.Options) { o.Hook = f }
}

func portable(_ *upstream.Config, _ *upstream.Options, o *eventloop.Options) { o.Portable = true }

// wait waits for the end of a call.
func wait(t *testing.T, c *call) *call {
	t.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		t.Fatalf("a call has not finished; it has seen %v", c.seen())
	}
	return c
}

// ask makes a call and waits for its end.
func (cl *client) ask(body string) *call {
	cl.t.Helper()
	c := newCall(body)
	cl.Do(c)
	return wait(cl.t, c)
}

// wantEcho makes a call that must get its own body for an answer.
func (cl *client) wantEcho(body string) {
	cl.t.Helper()
	wantAnswer(cl.t, cl.ask(body), body)
}

// wantPlaces wants so many exchanges at the same time: all requests are with the engine before it answers the first.
func (cl *client) wantPlaces(e *engine, places int32) {
	cl.t.Helper()
	before := e.asked.Load()
	var all []*call
	for range places {
		got := newCall("hold")
		all = append(all, got)
		cl.Do(got)
	}
	func() {
		defer close(e.hold)
		waitFor(cl.t, "as many requests as places", func() bool { return e.asked.Load() == before+places })
	}()
	for _, got := range all {
		wantAnswer(cl.t, wait(cl.t, got), "hold")
	}
}

func wantAnswer(t *testing.T, c *call, body string) {
	t.Helper()
	if c.err != nil || c.status != 200 || c.answer != body || c.code != "200" {
		t.Errorf("the call of %.20q: status %d, answer %.60q, code %q, error %v", c.body, c.status, c.answer, c.code, c.err)
	}
}

// waitFor waits until something is so.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// selfSigned makes a certificate for 127.0.0.1, which is its own authority.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	return selfSignedUntil(t, time.Now().Add(time.Hour))
}

func selfSignedUntil(t *testing.T, end time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	c := tlstest.New(t, 1, end)
	server, _ := c.Configs()
	return server.Certificates[0], c.Roots()
}

// syncBuffer is a log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
