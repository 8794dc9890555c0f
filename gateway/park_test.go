package gateway_test

import (
	"bufio"
	"crypto/tls"
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

// long is enough for a client to be parked without its handler.
const long = 500 * time.Millisecond

// parkLong sends raw, waits until the client is parked without its handler, and gives its token.
func parkLong(t *testing.T, e *engine, c net.Conn, raw string) (token string) {
	t.Helper()
	_, _ = io.WriteString(c, raw)
	a := e.next(t)
	a.accept()
	<-time.After(long)
	return a.tokens[0]
}

func TestPipelinedBehindALongWait(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	c := n.dial()
	r := bufio.NewReader(c)
	second := rawCreate(oneOp(`{"pad":"` + strings.Repeat("x", 6000) + `"}`)) // more than is read at once
	for _, sent := range [][2]string{{second, ""}, {second[:100], second[100:]}, {"", second}} {
		token := parkLong(t, e, c, rawCreate(oneOp(`{}`))+sent[0])
		n.callback(token, `1`)
		want(t, read(t, r), 200, `{"request_proc":"ok","ops":[{"proc":"ok","data":1}]}`)
		_, _ = io.WriteString(c, sent[1])
		a := e.next(t)
		a.accept()
		n.callback(a.tokens[0], `2`)
		want(t, read(t, r), 200, `{"request_proc":"ok","ops":[{"proc":"ok","data":2}]}`)
	}
}

func TestConnectionAfterALongWait(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) {
		c.Listen.HeaderTimeout, c.Listen.IdleTimeout = 100*time.Millisecond, time.Second
	})
	f := func(name, version, connection, says string, stays bool) {
		t.Run(name, func(t *testing.T) {
			c := n.dial()
			r := bufio.NewReader(c)
			raw := strings.Replace(rawCreate(oneOp(`{}`)), "HTTP/1.1\r\n", version+"\r\n"+connection, 1)
			n.callback(parkLong(t, e, c, raw), `{"answer":42}`)
			a := read(t, r)
			want(t, a, 200, accepted)
			if got := a.header.Get("Connection"); got != says {
				t.Errorf("Connection %q; want %q", got, says)
			}
			<-time.After(300 * time.Millisecond) // more than the header's time-out, less than between two requests
			_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
			_, err := r.ReadByte()
			if open := err == nil; open != stays {
				t.Errorf("open: %v; want %v", open, stays)
			}
		})
	}
	f("1.1", "HTTP/1.1", "", "", true)
	f("1.1 close", "HTTP/1.1", "Connection: close\r\n", "", false) // net/http takes that header for itself
	f("1.0", "HTTP/1.0", "", "", false)
	f("1.0 keep-alive", "HTTP/1.0", "Connection: keep-alive\r\n", "keep-alive", true)
}

func TestLongWaitsHaveNoGoroutines(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL)
	const clients = 200
	before := runtime.NumGoroutine()
	var tokens []string
	var conns []net.Conn
	for range clients {
		c := n.dial()
		_, _ = io.WriteString(c, strings.Replace(rawCreate(oneOp(`{}`)), "HTTP/1.1\r\n", "HTTP/1.1\r\nOrigin: x\r\n", 1))
		a := e.next(t)
		a.accept()
		tokens, conns = append(tokens, a.tokens[0]), append(conns, c)
	}
	// What is left are the workers and connections of the test's own engine, not one for each client.
	waitFor(t, func() bool { return runtime.NumGoroutine() < before+clients/2 })
	for i, token := range tokens {
		n.callback(token, `{"answer":42}`)
		want(t, read(t, bufio.NewReader(conns[i])), 200, accepted)
	}
}

// The result of a parked client that does not read is kept, and nobody waits for it but its own goroutine.
func TestParkedClientThatDoesNotRead(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Listen.WriteTimeout = time.Second })
	deaf := n.dial()
	_ = deaf.(*net.TCPConn).SetReadBuffer(1)
	token := parkLong(t, e, deaf, rawCreate(oneOp(`{}`)))
	want(t, n.callback(token, `"`+strings.Repeat("x", 5<<20-2)+`"`), 200, `{}`)
	if kept, _ := n.memo.Kept(); kept != 1 {
		t.Errorf("%d results kept; want 1", kept)
	}
}

func TestLongWaitsBehindTLS(t *testing.T) {
	certFile, keyFile, roots := certificate(t)
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Listen.TLS = tlsfiles.Files{CertFile: certFile, KeyFile: keyFile} })
	c, err := tls.Dial("tcp", n.PublicAddr().String(), &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	n.url = "https://" + n.PublicAddr().String()
	n.http.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	r := bufio.NewReader(c)
	for range 2 { // on one connection, the second time with another request behind
		token := parkLong(t, e, c, rawCreate(oneOp(`{}`))+"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		n.callback(token, `{"answer":42}`)
		want(t, read(t, r), 200, accepted)
		want(t, read(t, r), 200, `{"status":"alive"}`)
	}
}
