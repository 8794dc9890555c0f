package httpserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"syncgate/internal/tlstest"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(crowdVariable); addr != "" {
		os.Exit(crowd(addr, os.Stdin, os.Stdout))
	}
	goleak.VerifyTestMain(m,
		// It keeps the Date header for as long as the process lives.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
	)
}

// patience is how long a test waits for what must come.
const patience = time.Minute

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v: not %s", patience, what)
		}
	}
}

// suspension is an exchange that the Handler of a test has suspended, and its Waiter.
type suspension struct {
	Exchange
	gone, written, unwritten atomic.Int32 // calls
	body                     int          // bytes of the request
	lock                     sync.Mutex   // the Waiter's methods need it
}

func (s *suspension) ClientGone() {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.gone.Add(1)
}

func (s *suspension) Replied(written bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if written {
		s.written.Add(1)
	} else {
		s.unwritten.Add(1)
	}
}

// heard waits for what the Waiter hears at the end of an exchange, and checks that it is all.
func (s *suspension) heard(t testing.TB, written bool) {
	t.Helper()
	eventually(t, "heard of the end", func() bool { return s.written.Load()+s.unwritten.Load() > 0 })
	if w, u := s.written.Load(), s.unwritten.Load(); w+u != 1 || w == 1 != written {
		t.Errorf("Replied(true) was called %d times, Replied(false) %d times; want %v once", w, u, written)
	}
}

// has gives what the connection has unsent, as of its last turn, and whether it has anything.
func (s *suspension) has() (n int, any bool) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unsent == nil {
		return 0, false
	}
	return c.unsent.size + len(c.unsent.queue), true
}

func (s *suspension) stateIs(want exchangeState) bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.c.state == want
}

// suspender suspends all requests but those of /plain. Behind the head of a stream it panics on /panic.
type suspender struct {
	budget    *Budget
	suspended chan *suspension
}

func (h *suspender) Head(*Listener, *fasthttp.RequestHeader) Verdict {
	return Verdict{Limit: 8 << 20, Budget: h.budget}
}

func (h *suspender) Serve(in *Incoming) (suspended bool) {
	if string(in.Request.URI().Path()) == "/plain" {
		in.Response.SetBodyString("plain")
		return false
	}
	s := &suspension{Exchange: in.Exchange, body: len(in.Request.Body())}
	in.Wait(s)
	if string(in.Request.URI().Path()) == "/panic" {
		s.Begin(newAnswer("piece"))
		panic("a test")
	}
	h.suspended <- s
	return true
}

func (h *suspender) Refuse(_ *Listener, dst *fasthttp.Response, _ *ReadError) {
	dst.SetStatusCode(fasthttp.StatusBadRequest)
}

// rig is a Server with one listener.
type rig struct {
	*suspender
	t      testing.TB
	s      *Server
	l      *Listener
	client *tls.Config // nil: there is no TLS
}

func newRig(t testing.TB, cfg Config, lc ListenConfig) *rig {
	t.Helper()
	r := &rig{suspender: &suspender{budget: NewBudget(8 << 20), suspended: make(chan *suspension, 1<<14)}, t: t}
	for _, d := range []*time.Duration{&cfg.HeaderTimeout, &cfg.BodyTimeout, &cfg.WriteTimeout, &cfg.IdleTimeout} {
		if *d == 0 {
			*d = patience
		}
	}
	var err error
	if r.s, err = New(cfg, r, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	lc.Name, lc.Address = "test", "127.0.0.1:0"
	if r.l, err = r.s.Listen(lc); err != nil {
		t.Fatal(err)
	}
	if err = r.s.Start(); err != nil {
		t.Fatal(err)
	}
	r.s.Serve(r.l)
	t.Cleanup(func() {
		r.close()
		r.s.Close()
	})
	return r
}

// close closes the listener, and does not wait for requests.
func (r *rig) close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r.l.Close(ctx)
}

// next gives the next exchange that was suspended.
func (r *rig) next() *suspension {
	r.t.Helper()
	select {
	case s := <-r.suspended:
		return s
	case <-time.After(patience):
		r.t.Fatal("no request has come")
		return nil
	}
}

// peer is a client's side of a connection.
type peer struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func newPeer(t testing.TB, nc net.Conn) *peer {
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(2 * patience))
	return &peer{nc, t, bufio.NewReader(nc)}
}

// dial connects a client whose system keeps few bytes for it: a server's socket is full the sooner.
func (r *rig) dial() *peer {
	r.t.Helper()
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if e := raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10) }); e != nil {
			return e
		}
		return err
	}}
	nc, err := d.Dial("tcp", r.l.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	if r.client != nil {
		nc = tls.Client(nc, r.client)
	}
	return newPeer(r.t, nc)
}

// shrink has the system keep few bytes for the server's side of the connection.
func (p *peer) shrink() {
	p.t.Helper()
	local, _ := p.LocalAddr().(*net.TCPAddr)
	for fd := range 1 << 12 {
		remote, err := syscall.Getpeername(fd)
		if in4, ok := remote.(*syscall.SockaddrInet4); err != nil || !ok || in4.Port != local.Port {
			continue
		}
		if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, 4<<10); err != nil {
			p.t.Fatal(err)
		}
		return
	}
	p.t.Fatal("the server's side is not found")
}

func (p *peer) write(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p, s); err != nil {
		p.t.Fatal(err)
	}
}

// head reads the head of an answer. The body reads pieces as they come.
func (p *peer) head(method string) *http.Response {
	p.t.Helper()
	resp, err := http.ReadResponse(p.r, &http.Request{Method: method})
	if err != nil {
		p.t.Fatal(err)
	}
	return resp
}

// read reads n bytes.
func (p *peer) read(from io.Reader, n int) string {
	p.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(from, b); err != nil {
		p.t.Fatalf("%v behind %q", err, b)
	}
	return string(b)
}

// plain has the next request on the connection answered.
func (p *peer) plain() {
	p.t.Helper()
	p.write("GET /plain HTTP/1.1\r\nHost: x\r\n\r\n")
	p.isPlain()
}

func (p *peer) isPlain() {
	p.t.Helper()
	resp := p.head("GET")
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "plain" {
		p.t.Errorf("the next answer is %q, %v", body, err)
	}
}

// ends checks that the connection ends, and what comes before that.
func (p *peer) ends(want string) {
	p.t.Helper()
	if b, err := io.ReadAll(p.r); string(b) != want || err != nil && !strings.Contains(err.Error(), "reset") {
		p.t.Errorf("the connection ends behind %q, %v; want %q", b, err, want)
	}
}

const streamRequest = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"

// open opens a stream.
func (r *rig) open() (*peer, *suspension, io.Reader) {
	r.t.Helper()
	p := r.dial()
	p.write(streamRequest)
	s := r.next()
	if !s.Begin(newAnswer("")) {
		r.t.Fatal("the stream has not begun")
	}
	return p, s, p.head("GET").Body
}

func newAnswer(body string) *fasthttp.Response {
	resp := new(fasthttp.Response)
	resp.Header.SetContentType("text/event-stream")
	resp.SetBodyString(body)
	return resp
}

// fill sends pieces until some bytes are unsent, and gives how many bytes it has sent.
func (s *suspension) fill(t testing.TB) (sent int) {
	t.Helper()
	for {
		if n, unsent := s.has(); unsent && n > 0 {
			return sent
		}
		if !s.Send([]byte(filling)) {
			t.Fatal("the stream has ended")
		}
		sent += len(filling)
	}
}

var filling = strings.Repeat("0123456789abcde\n", 256)

// newTLSRig is newRig, with TLS if secure.
func newTLSRig(t testing.TB, secure bool) *rig {
	t.Helper()
	if !secure {
		return newRig(t, Config{}, ListenConfig{})
	}
	server, client := tlstest.New(t, 1, time.Now().Add(time.Hour)).Configs()
	r := newRig(t, Config{}, ListenConfig{TLS: server})
	r.client = client
	return r
}

func always(netip.Addr) bool { return true }
