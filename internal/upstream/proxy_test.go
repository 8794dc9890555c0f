package upstream_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"syncgate/internal/eventloop"
	"syncgate/internal/upstream"
)

const proxyPassword = "p@ss/word"

// forwarder is a CONNECT proxy.
type forwarder struct {
	url  *url.URL
	made atomic.Int32 // connections to others
	last atomic.Value // the last request's Host
}

// newForwarder makes a proxy that wants a password, or that answers each request with a text instead, unless that is empty.
func newForwarder(t *testing.T, secure *tls.Config, instead string) *forwarder {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &forwarder{url: &url.URL{Scheme: "http", Host: ln.Addr().String(), User: url.UserPassword("me", proxyPassword)}}
	if secure != nil {
		ln, f.url.Scheme = tls.NewListener(ln, secure), "https"
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer func() { _ = c.Close() }()
				f.serve(c, instead)
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		running.Wait()
	})
	return f
}

func (f *forwarder) serve(c net.Conn, instead string) {
	r := bufio.NewReader(c)
	req, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	f.last.Store(req.Method + " " + req.RequestURI + " " + req.Host)
	switch {
	case instead != "":
		_, _ = io.WriteString(c, instead)
		_, _ = io.Copy(io.Discard, r)
		return
	case req.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("me:"+proxyPassword)):
		_, _ = io.WriteString(c, "HTTP/1.1 407 hunter2\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
		return
	}
	to, err := net.Dial("tcp", req.RequestURI)
	if err != nil {
		_, _ = io.WriteString(c, "HTTP/1.1 502 hunter2\r\nContent-Length: 0\r\n\r\n")
		return
	}
	f.made.Add(1)
	_, _ = io.WriteString(c, "HTTP/1.1 200 Connection established\r\nVia: 1.1 x\r\n\r\n")
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(to, r); _ = to.Close() })
	_, _ = io.Copy(c, to)
	_ = c.Close()
	both.Wait()
}

func through(u *url.URL) func(*upstream.Config, *upstream.Options, *eventloop.Options) {
	return func(c *upstream.Config, _ *upstream.Options, _ *eventloop.Options) { c.Proxy = u }
}

// proxied runs f with plain and secure engines behind plain and secure proxies.
func proxied(t *testing.T, f func(t *testing.T, engine *engine, secureProxy *tls.Config)) {
	t.Helper()
	cert, roots := selfSigned(t)
	secure := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	for _, engineTLS := range []*tls.Config{nil, secure} {
		for _, proxyTLS := range []*tls.Config{nil, secure} {
			t.Run(fmt.Sprintf("TLS to the engine %t, to the proxy %t", engineTLS != nil, proxyTLS != nil), func(t *testing.T) {
				e := engineOf(t, engineTLS, echo)
				e.roots = roots
				f(t, e, proxyTLS)
			})
		}
	}
}

// TestProxy: every connection to the engine is the proxy's, is kept, and carries requests and answers of any size.
func TestProxy(t *testing.T) {
	proxied(t, func(t *testing.T, e *engine, secure *tls.Config) {
		p := newForwarder(t, secure, "")
		c := start(t, e, through(p.url), maxConnections(2))
		for _, size := range []int{1, 5000, 300_000, 1} {
			body := strings.Repeat("x", size)
			if got := c.ask(body); got.err != nil || got.answer != body {
				t.Fatalf("%d bytes: error %v, %d bytes", size, got.err, len(got.answer))
			}
		}
		if n := p.made.Load(); n != 1 {
			t.Errorf("the proxy has made %d connections for requests one after the other; want 1", n)
		}
		host := strings.TrimPrefix(strings.TrimPrefix(e.url, "http://"), "https://")
		if want := "CONNECT " + host + " " + host; p.last.Load() != want {
			t.Errorf("the proxy was asked %v; want %s", p.last.Load(), want)
		}
		c.asksAtOnce(20)
		if n := p.made.Load(); n > 2 || n != e.accepted.Load() {
			t.Errorf("the proxy has made %d connections, the engine has had %d", n, e.accepted.Load())
		}
		dials(t, e, p.url)
	})
}

// asksAtOnce makes some requests at the same time.
func (cl *client) asksAtOnce(n int) {
	var running sync.WaitGroup
	for range n {
		running.Go(func() {
			if got := cl.ask(strings.Repeat("y", 20_000)); got.err != nil {
				cl.t.Error(got.err)
			}
		})
	}
	running.Wait()
}

// dials wants that Dial reaches an engine.
func dials(t *testing.T, e *engine, proxy *url.URL) {
	t.Helper()
	conn, err := upstream.Dial(t.Context(), upstream.Config{URL: e.url, RootCAs: e.roots, Proxy: proxy})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if r, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || r.StatusCode != 200 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestProxyProblems are said in our words, without a byte of the proxy's answer or of the password.
func TestProxyProblems(t *testing.T) {
	proxied(t, func(t *testing.T, e *engine, secure *tls.Config) {
		f := func(instead, want string, change func(*url.URL)) {
			t.Helper()
			u := *newForwarder(t, secure, instead).url
			change(&u)
			got := start(t, e, through(&u), timeout(500*time.Millisecond)).ask("x")
			if got.err == nil || got.sent || got.code != "unsent" || !strings.HasSuffix(got.err.Error(), want) {
				t.Errorf("error %v, sent %t, code %q; want %s", got.err, got.sent, got.code, want)
			}
			if text := fmt.Sprint(got.err); strings.Contains(text, "hunter2") || strings.Contains(text, "p%40ss") || strings.Contains(text, proxyPassword) {
				t.Errorf("a secret is in %s", text)
			}
		}
		same := func(*url.URL) {}
		const wants = "the proxy wants a user and a password, or others: they belong into engine.proxy, as in http://user:password@proxy:3128"
		f("", wants, func(u *url.URL) { u.User = nil })
		f("", wants, func(u *url.URL) { u.User = url.UserPassword("me", "hunter2") })
		f("HTTP/1.1 403 hunter2\r\nContent-Length: 7\r\n\r\nhunter2", "through its proxy: the proxy refuses the connection with status 403", same)
		f("hunter2\r\n\r\n", "the proxy's answer to CONNECT is not HTTP, or breaks off", same)
		f("HTTP/1.1 200 OK\r\n\r\nhunter2", "the proxy has sent more than its answer to CONNECT", same)
		f("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 20_000), "the proxy's answer to CONNECT is not HTTP, or breaks off", same)
		f("HTTP/1.1 2", "the proxy has not answered CONNECT in time", same)
		if e.accepted.Load() != 0 {
			t.Error("the engine was asked without the proxy")
		}
	})
}

// TestProxyIsAway: the proxy that cannot be reached is what the error names.
func TestProxyIsAway(t *testing.T) {
	e := newEngine(t, echo)
	got := start(t, e, through(&url.URL{Scheme: "http", Host: "127.0.0.1:1"})).ask("x")
	if got.err == nil || !strings.HasPrefix(got.err.Error(), "connect to the engine's proxy: ") {
		t.Errorf("%v", got.err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := upstream.Dial(ctx, upstream.Config{URL: e.url}); err == nil {
		t.Error("Dial does not end with its context")
	}
}

func TestParseProxy(t *testing.T) {
	for _, good := range []string{"http://proxy", "http://proxy:3128/", "https://me:p%40ss@proxy:3128", "http://[::1]:3128"} {
		if u, err := upstream.ParseProxy(good); err != nil || u == nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	if u, err := upstream.ParseProxy(""); err != nil || u != nil {
		t.Errorf("none: %v, %v", u, err)
	}
	for _, bad := range []string{"proxy:3128", "socks5://proxy:1080", "http://", "http://proxy/hunter2", "http://proxy?hunter2", "http://me:hunter2@pro xy", "http://me:hunter2%zz@proxy", "http://proxy:hunter2", "hunter2"} {
		if _, err := upstream.ParseProxy(bad); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
