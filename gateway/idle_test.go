package gateway_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"syncgate/gateway"
	"syncgate/internal/tlsfiles"
)

// aside is enough for an idle connection to be set aside.
const aside = 600 * time.Millisecond

const healthRequest = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

// healthy asks for the health on a kept connection.
func healthy(t *testing.T, c net.Conn, r *bufio.Reader) {
	t.Helper()
	_, _ = io.WriteString(c, healthRequest)
	want(t, read(t, r), 200, `{"status":"alive"}`)
}

// idle makes a connection that has had its answer and is set aside.
func idle(t *testing.T, n *node) (net.Conn, *bufio.Reader) {
	t.Helper()
	c := n.dial()
	r := bufio.NewReader(c)
	healthy(t, c, r)
	<-time.After(aside)
	return c, r
}

func openConnections(n *node) int64 {
	_, open := n.Leaks()
	return open
}

// wantClosed wants the end of a connection within d, and nothing before.
func wantClosed(t *testing.T, c net.Conn, d time.Duration) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(d))
	if b, err := io.ReadAll(c); len(b) > 0 || err != nil && isTimeout(err) {
		t.Errorf("%q, %v; want the end of the connection within %v", b, err, d)
	}
}

func TestIdleConnectionsHaveNoGoroutines(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	const clients = 2000
	before := runtime.NumGoroutine()
	conns := make([]net.Conn, clients)
	readers := make([]*bufio.Reader, clients)
	for round := range 3 { // set aside, and again after the next request
		for i := range conns {
			if round == 0 {
				conns[i] = n.dial()
				readers[i] = bufio.NewReaderSize(conns[i], 512)
			}
			healthy(t, conns[i], readers[i])
		}
		waitFor(t, func() bool { return runtime.NumGoroutine() < before+clients/20 })
	}
	if open := openConnections(n); open < clients {
		t.Errorf("%d connections are counted; want %d", open, clients)
	}
}

func TestNextRequestOnAnIdleConnection(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	f := func(name string, sent ...string) {
		t.Run(name, func(t *testing.T) {
			c, r := idle(t, n)
			answers := strings.Count(strings.Join(sent, ""), "HTTP/1.1\r\n")
			for i, part := range sent {
				if i > 0 {
					<-time.After(30 * time.Millisecond) // a segment of its own
				}
				_, _ = io.WriteString(c, part)
			}
			for range answers {
				want(t, read(t, r), 200, `{"status":"alive"}`)
			}
			<-time.After(aside)
			healthy(t, c, r)
		})
	}
	f("at once", healthRequest)
	f("in two segments", healthRequest[:20], healthRequest[20:])
	f("its first byte alone", healthRequest[:1], healthRequest[1:])
	f("two at once", healthRequest+healthRequest)
	f("two cut in the second", healthRequest+healthRequest[:7], healthRequest[7:])
	f("larger than what is read at once", strings.Replace(healthRequest, "\r\n\r\n", "\r\nX: "+strings.Repeat("x", 9000)+"\r\n\r\n", 1))
}

func TestTripsOnAnIdleConnection(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	c, r := idle(t, n)
	for _, wait := range []time.Duration{0, long} { // the reply to a long wait is another way to be set aside
		for range 2 {
			_, _ = io.WriteString(c, rawCreate(oneOp(`{}`)))
			a := e.next(t)
			a.accept()
			<-time.After(wait)
			n.callback(a.tokens[0], `{"answer":42}`)
			want(t, read(t, r), 200, accepted)
			<-time.After(aside)
		}
	}
}

// Requests that come at the very moment of being set aside are answered.
func TestRequestWhileSetAside(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	done := make(chan error)
	const clients, rounds = 50, 20
	for i := range clients {
		c := n.dial()
		go func() {
			r := bufio.NewReader(c)
			for round := range rounds {
				_, _ = io.WriteString(c, healthRequest)
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					done <- fmt.Errorf("round %d: %w", round, err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				<-time.After(250*time.Millisecond + time.Duration(i*rounds+round-clients*rounds/2)*10*time.Microsecond)
			}
			done <- nil
		}()
	}
	for range clients {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestIdleTimeout(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Listen.IdleTimeout = 1500 * time.Millisecond })
	c, r := idle(t, n)
	<-time.After(aside)
	healthy(t, c, r) // still open after 1.2 s, and the time begins anew
	began := time.Now()
	wantClosed(t, c, 5*time.Second)
	if took := time.Since(began); took < time.Second || took > 2*time.Second {
		t.Errorf("closed after %v; want 1.5 s", took)
	}
	waitFor(t, func() bool { return openConnections(n) == 0 })
}

func TestIdleTimeoutAfterALongWait(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Listen.IdleTimeout = time.Second })
	c := n.dial()
	n.callback(parkLong(t, e, c, rawCreate(oneOp(`{}`))), `{"answer":42}`)
	r := bufio.NewReader(c)
	want(t, read(t, r), 200, accepted)
	wantClosed(t, c, 2*time.Second)
}

func TestIdleClientGoes(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	f := func(name string, goes func(c *net.TCPConn)) {
		t.Run(name, func(t *testing.T) {
			c, _ := idle(t, n)
			goes(c.(*net.TCPConn))
			began := time.Now()
			waitFor(t, func() bool { return openConnections(n) == 0 })
			if took := time.Since(began); took > time.Second/2 {
				t.Errorf("its connection was freed after %v", took)
			}
		})
	}
	f("closes", func(c *net.TCPConn) { _ = c.Close() })
	f("closes its side", func(c *net.TCPConn) { _ = c.CloseWrite() })
	f("resets", func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() })
}

// The time for a request's head counts from its first byte, wherever the connection was held before.
func TestSlowRequestOnAnIdleConnection(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Listen.HeaderTimeout = time.Second })
	for _, sent := range []string{"G", healthRequest[:30]} {
		c, r := idle(t, n)
		_, _ = io.WriteString(c, sent)
		began := time.Now()
		if a := read(t, r); a.status != 408 {
			t.Errorf("after %q: %+v; want 408", sent, a)
		}
		if took := time.Since(began); took < time.Second/2 || took > 2*time.Second {
			t.Errorf("after %q: answered after %v; want 1 s", sent, took)
		}
	}
}

func TestCloseEndsIdleConnections(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	c, _ := idle(t, n)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	began := time.Now()
	if err := n.Close(ctx); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v", took)
	}
	wantClosed(t, c, time.Second)
}

// Until everything closes, a node that is leaving answers the next request of whoever idles, and says that it closes.
func TestIdleConnectionWhileLeaving(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	c, r := idle(t, n)
	n.NotReady()
	_, _ = io.WriteString(c, healthRequest)
	if a := read(t, r); a.status != 200 {
		t.Errorf("%+v; want 200 and the end of the connection", a)
	}
	wantClosed(t, c, time.Second)
}

func TestIdleBehindTLS(t *testing.T) {
	certFile, keyFile, roots := certificate(t)
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) {
		c.Listen.TLS = tlsfiles.Files{CertFile: certFile, KeyFile: keyFile}
		c.Listen.IdleTimeout = 2 * time.Second
	})
	cut := &cutConn{Conn: n.dial()}
	c := tls.Client(cut, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
	r := bufio.NewReader(c)
	for range 2 {
		healthy(t, c, r)
		<-time.After(aside)
		_, _ = io.WriteString(c, healthRequest+healthRequest)
		want(t, read(t, r), 200, `{"status":"alive"}`)
		want(t, read(t, r), 200, `{"status":"alive"}`)
	}
	<-time.After(aside)
	cut.by = 700 * time.Millisecond // the other half of its record comes later
	healthy(t, c, r)
	wantClosed(t, c, 3*time.Second)
}

// cutConn sends every write in two parts.
type cutConn struct {
	net.Conn
	by time.Duration // between them; 0: in one
}

func (c *cutConn) Write(p []byte) (int, error) {
	if c.by == 0 {
		return c.Conn.Write(p)
	}
	n, _ := c.Conn.Write(p[:len(p)/2])
	<-time.After(c.by)
	m, err := c.Conn.Write(p[n:])
	return n + m, err
}

func TestIdleBehindProxyProtocol(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Listen.ProxyProtocol = []string{"public"} })
	c := n.dial()
	r := bufio.NewReader(c)
	_, _ = io.WriteString(c, "PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n")
	for range 3 {
		healthy(t, c, r)
		<-time.After(aside)
	}
	_, _ = io.WriteString(c, rawCreate(`{}`))
	if a := read(t, r); a.status != 400 {
		t.Errorf("%+v", a)
	}
	waitLog(t, n, `"remote":"192.0.2.1"`)
}
