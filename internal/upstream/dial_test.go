package upstream_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"syncgate/internal/upstream"
)

// An engine that takes connections and closes them at once costs two attempts, as nothing was sent.
func TestEngineClosesAtOnce(t *testing.T) {
	e := newEngine(t, func(*peer) {})
	c := start(t, e, hook(func(point string) {
		if point == "attached" {
			<-time.After(50 * time.Millisecond) // a loop hears of the end
		}
	}))
	got := c.ask("x")
	if got.err == nil || got.sent || got.code != "unsent" {
		t.Errorf("error %v, sent %t, code %q", got.err, got.sent, got.code)
	}
	if n := e.accepted.Load(); n != 2 {
		t.Errorf("%d connections; want 2", n)
	}
}

// What is wrong with an engine's TLS is said in our words, and without what the engine says.
func TestHandshakeErrors(t *testing.T) {
	cert, roots := selfSigned(t)
	f := func(name string, serve func(*testing.T) *engine, want string) {
		t.Run(name, func(t *testing.T) {
			got := start(t, serve(t), timeout(2*time.Second)).ask("x")
			if got.err == nil || got.sent || got.code != "unsent" {
				t.Fatalf("error %v, sent %t, code %q", got.err, got.sent, got.code)
			}
			if text := got.err.Error(); !strings.HasSuffix(text, want) {
				t.Errorf("the error is %q; want %q at its end", text, want)
			}
		})
	}
	secure := func(cert tls.Certificate) func(*testing.T) *engine {
		return func(t *testing.T) *engine {
			return engineOf(t, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}, echo)
		}
	}
	plain := func(serve func(*peer)) func(*testing.T) *engine {
		return func(t *testing.T) *engine {
			e := newEngine(t, serve)
			e.url = strings.Replace(e.url, "http:", "https:", 1)
			return e
		}
	}
	trusted := func(e *engine) *engine {
		e.roots = roots
		return e
	}
	f("unknown authority", func(t *testing.T) *engine {
		e := secure(cert)(t)
		_, e.roots = selfSigned(t)
		return e
	}, "the certificate comes from nobody that is trusted")
	f("another host", func(t *testing.T) *engine {
		e := trusted(secure(cert)(t))
		e.url = strings.Replace(e.url, "127.0.0.1", "localhost", 1)
		return e
	}, "the certificate is for another host")
	f("no more valid", func(t *testing.T) *engine {
		old, roots := selfSignedUntil(t, time.Now().Add(-time.Minute))
		e := secure(old)(t)
		e.roots = roots
		return e
	}, "the certificate is not valid, perhaps no more or not yet")
	f("not TLS", plain(func(p *peer) { p.say("HTTP/1.1 400 a secret\r\n\r\n") }), "the handshake failed")
	f("closed", plain(func(p *peer) {
		_ = p.tcp.CloseWrite()
		p.hears()
	}), "the handshake failed")
	f("silent", plain((*peer).hears), "the handshake took too long")
}

// A dial that takes too long ends with the time-out of its call.
func TestDialTimesOut(t *testing.T) {
	e := newEngine(t, (*peer).hears)
	e.url = strings.Replace(e.url, "http:", "https:", 1) // the handshake is a part of it
	c := start(t, e, timeout(200*time.Millisecond), maxConnections(1))
	began := time.Now()
	got := c.ask("x")
	if took := time.Since(began); got.err == nil || got.sent || took < 190*time.Millisecond || took > 10*time.Second {
		t.Errorf("error %v, sent %t after %v", got.err, got.sent, took)
	}
}

func TestConfig(t *testing.T) {
	good := upstream.Config{URL: "http://engine.example.com:8080/base", Timeout: 1, Idle: 1, MaxConnections: 1}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for _, url := range []string{"", "engine", "ftp://engine", "http://", "http://a b", "//engine"} {
		bad := good
		bad.URL = url
		if err := bad.Validate(); err == nil || !strings.HasPrefix(err.Error(), "url: ") {
			t.Errorf("%q: %v", url, err)
		}
	}
	_, err := upstream.New(upstream.Config{}, nil, upstream.Options{})
	for _, key := range []string{"url", "timeout", "idle", "max_connections"} {
		if err == nil || !strings.Contains(err.Error(), key+": ") {
			t.Errorf("no word of %s: %v", key, err)
		}
	}
}
