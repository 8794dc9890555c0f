package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// rawEngine serves each connection with the next of the given functions; past the last it refuses.
func rawEngine(t *testing.T, conns ...func(net.Conn)) (addr string, accepted *atomic.Int32) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted = new(atomic.Int32)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, serve := range conns {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			serve(c)
		}
		_ = ln.Close()
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return ln.Addr().String(), accepted
}

// readRequest reads one request off the connection.
func readRequest(t *testing.T, c net.Conn) {
	t.Helper()
	req, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		t.Errorf("engine: read request: %v", err)
		return
	}
	_, _ = io.Copy(io.Discard, req.Body)
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

// answer reads one request and answers it, then closes.
func answer(t *testing.T, text string) func(net.Conn) {
	return func(c net.Conn) {
		readRequest(t, c)
		_, _ = io.WriteString(c, text)
		_ = c.Close()
	}
}

func clientFor(t *testing.T, addr string) *engineClient {
	t.Helper()
	e, err := newEngineClient(EngineConfig{URL: "http://" + addr, Timeout: 300 * time.Millisecond, Idle: time.Minute, MaxConnections: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.CloseIdleConnections)
	return e
}

func ask(e *engineClient) (status int, wrote bool, err error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI("http://" + e.Addr + "/x")
	req.Header.SetMethod("POST")
	req.SetBodyString("{}")
	wrote, err = e.do(req, resp, time.Now().Add(300*time.Millisecond))
	return resp.StatusCode(), wrote, err
}

func TestEngineRefusesConnections(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	time0 := time.Now()
	_, wrote, err := ask(clientFor(t, ln.Addr().String()))
	if err == nil || wrote {
		t.Fatalf("wrote=%v err=%v; want a failure of which nothing was sent", wrote, err)
	}
	if took := time.Since(time0); took > 200*time.Millisecond {
		t.Errorf("a refused connection took %v to say so", took)
	}
}

func TestStaleConnectionCostsNoTrip(t *testing.T) {
	addr, accepted := rawEngine(t, answer(t, okAnswer), answer(t, okAnswer))
	e := clientFor(t, addr)
	for range 2 { // the engine closes after each answer, and does not say so
		if status, _, err := ask(e); err != nil || status != 200 {
			t.Fatalf("status=%d err=%v", status, err)
		}
		waitFor(t, func() bool { return e.ConnsCount() == 0 || staleIdle(e) })
	}
	if n := accepted.Load(); n != 2 {
		t.Errorf("%d connections; want 2", n)
	}
}

// staleIdle gives the kernel the time to hear of the engine's close.
func staleIdle(e *engineClient) bool {
	cc, err := e.AcquireConn(time.Second, false)
	if err != nil {
		return true
	}
	defer e.ReleaseConn(cc)
	return counterOf(cc.Conn()).stale()
}

func TestNeverSentTwice(t *testing.T) {
	reset := func(c net.Conn) {
		readRequest(t, c)
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
	hang := func(c net.Conn) {
		readRequest(t, c)
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	}
	f := func(name string, first func(net.Conn)) {
		t.Run(name, func(t *testing.T) {
			addr, accepted := rawEngine(t, first, answer(t, okAnswer))
			_, wrote, err := ask(clientFor(t, addr))
			if err == nil || !wrote {
				t.Errorf("wrote=%v err=%v; want a failure after sending", wrote, err)
			}
			if n := accepted.Load(); n != 1 {
				t.Errorf("%d connections; the request may have been sent twice", n)
			}
			c, err := net.Dial("tcp", addr) // lets the server's loop end
			if err == nil {
				_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				_ = c.Close()
			}
		})
	}
	f("reset", reset)
	f("hang", hang)
	f("truncated", answer(t, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}"))
	f("bad chunks", answer(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"))
	f("not HTTP", answer(t, "hello\r\n\r\n"))
}

func TestAnswerThatWasNotAskedForIsNotUsed(t *testing.T) {
	addr, _ := rawEngine(t, answer(t, okAnswer+okAnswer), answer(t, okAnswer))
	e := clientFor(t, addr)
	for range 2 {
		if status, _, err := ask(e); err != nil || status != 200 {
			t.Fatalf("status=%d err=%v", status, err)
		}
	}
}
