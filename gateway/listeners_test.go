package gateway_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"syncgate/gateway"
	"syncgate/internal/tlsfiles"
	"syncgate/internal/tlstest"
)

// A listener of its own for callbacks serves engines and nobody else, and the public one serves no engine.
func TestCallbackListener(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Listen.Callback = "127.0.0.1:0" })
	public, callback := n.url, "http://"+n.CallbackAddr().String()
	reply := n.createLater(oneOp(`{}`))
	a := e.next(t)
	a.accept()
	want(t, n.callback(a.tokens[0], `{}`), 404, `{"request_proc":"error","ops":[{"proc":"error","description":"Not found: no such path"}]}`)
	n.url = callback
	for _, path := range []string{sign(oneOp(`{}`)), "/api/1/tasks/x", "/metrics", "/"} {
		if r := n.do(http.MethodPost, path, oneOp(`{}`)); r.status != 404 {
			t.Errorf("%s on the callback listener: %+v", path, r)
		}
	}
	if r := n.do(http.MethodGet, "/readyz", ""); r.status != 200 {
		t.Errorf("readyz on the callback listener: %+v", r)
	}
	want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
	want(t, got(t, reply), 200, accepted)
	n.url = public
}

func TestTLS(t *testing.T) {
	e := newEngine(t)
	certFile, keyFile, roots := certificate(t)
	n := start(t, e.URL, func(c *gateway.Config) { c.Listen.TLS = tlsfiles.Files{CertFile: certFile, KeyFile: keyFile} })
	n.url = strings.Replace(n.url, "http:", "https:", 1)
	n.http.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	for range 3 { // over a kept connection
		reply := n.createLater(oneOp(`{"pad":"` + strings.Repeat("x", 100_000) + `"}`))
		a := e.next(t)
		a.accept()
		want(t, n.callback(a.tokens[0], `{"answer":42}`), 200, `{}`)
		want(t, got(t, reply), 200, accepted)
	}

	c, err := tls.Dial("tcp", n.PublicAddr().String(), &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, rawCreate(oneOp(`{}`)))
	a := e.next(t)
	a.accept()
	_ = c.Close() // says so before it ends
	want(t, n.callback(a.tokens[0], `{}`), 200, `{}`)
	waitLog(t, n, `"abandoned":true`)
	if kept, _ := n.memo.Kept(); kept != 1 {
		t.Errorf("%d results kept of a client that hung up", kept)
	}
}

// certificate makes one for the loopback.
func certificate(t *testing.T) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	c := tlstest.New(t, 1, time.Now().Add(time.Hour))
	certFile, keyFile = c.Write(t, t.TempDir())
	return certFile, keyFile, c.Roots()
}

// The PROXY protocol tells where a client comes from; where it is wanted, a connection without it is none.
func TestProxyProtocol(t *testing.T) {
	e := newEngine(t)
	n := start(t, e.URL, func(c *gateway.Config) {
		c.Listen.ProxyProtocol = []string{"public"}
		c.Listen.HeaderTimeout = time.Second
	})
	f := func(name, head, remote string) {
		t.Run(name, func(t *testing.T) {
			c := n.dial()
			_, _ = io.WriteString(c, head+rawCreate(`{}`)) // refused, which is logged as well
			if r := read(t, bufio.NewReader(c)); r.status != 400 {
				t.Errorf("%+v", r)
			}
			waitLog(t, n, `"remote":"`+remote+`"`)
		})
	}
	f("version 1", "PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n", "192.0.2.1")
	f("version 2", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x03\xc0\x00\x02\x02\x03\xe8\x00\x50", "192.0.2.3")
	f("of the balancer itself", "PROXY UNKNOWN\r\n", "127.0.0.1")
	none := func(name, sent string) {
		t.Run(name, func(t *testing.T) {
			c := n.dial()
			_, _ = io.WriteString(c, sent)
			if b, _ := io.ReadAll(c); len(b) > 0 && !strings.HasPrefix(string(b), "HTTP/1.1 4") {
				t.Errorf("answered %q", b)
			}
		})
	}
	none("without it", rawCreate(oneOp(`{}`)))
	none("cut", "PROXY TCP4 192.0.2.1")
	none("garbage", "PROXY TCP9 x y z\r\n"+rawCreate(oneOp(`{}`)))
	none("too long", "PROXY TCP4 "+strings.Repeat("1", 200)+"\r\n")
	select {
	case a := <-e.asked:
		t.Errorf("the engine was asked %s", a.body)
	default:
	}
}
