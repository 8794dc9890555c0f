package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"syncgate/internal/eventloop"
)

// proxy makes connections to the engine for us: it is asked for each one by CONNECT, for an http engine too (RFC 9110 9.3.6).
type proxy struct {
	addr string      // host:port
	tls  *tls.Config // of an https proxy
	auth string      // value of Proxy-Authorization; empty: none
}

// newProxy prepares for a valid URL.
func newProxy(u *url.URL, cfg Config) *proxy {
	p := &proxy{addr: u.Host}
	port := "80"
	if u.Scheme == "https" {
		p.tls = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs}
		port = "443"
	}
	if u.Port() == "" {
		p.addr = net.JoinHostPort(u.Hostname(), port)
	}
	if u.User != nil {
		password, _ := u.User.Password()
		p.auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password))
	}
	return p
}

// answerLimit bounds the head of a proxy's answer.
const answerLimit = 16 << 10

// Why a proxy makes no connection. None of them has a byte of its answer.
var (
	errProxyAuth   = errors.New("the proxy wants a user and a password, or others: they belong into engine.proxy, as in http://user:password@proxy:3128")
	errProxyAnswer = errors.New("the proxy's answer to CONNECT is not HTTP, or breaks off")
	errProxySlow   = errors.New("the proxy has not answered CONNECT in time")
	errProxyMore   = errors.New("the proxy has sent more than its answer to CONNECT")
)

// connect asks for a connection to addr. Afterwards c is that connection.
func (p *proxy) connect(ctx context.Context, c net.Conn, addr string) error {
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline) // an error is the next write's
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	request := "CONNECT " + addr + " HTTP/1.1\r\nHost: " + addr + "\r\n"
	if p.auth != "" {
		request += "Proxy-Authorization: " + p.auth + "\r\n"
	}
	if _, err := io.WriteString(c, request+"\r\n"); err != nil {
		return proxyError(ctx, err)
	}
	r := bufio.NewReader(io.LimitReader(c, answerLimit))
	answer, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return proxyError(ctx, err)
	}
	switch {
	case answer.StatusCode == http.StatusProxyAuthRequired:
		return errProxyAuth
	case answer.StatusCode/100 != 2:
		return fmt.Errorf("the proxy refuses the connection with status %d", answer.StatusCode)
	case r.Buffered() > 0: // the engine speaks second
		return errProxyMore
	}
	if !stop() {
		return context.Cause(ctx)
	}
	return c.SetDeadline(time.Time{})
}

// proxyError words an error of the exchange with the proxy. net/http may take a line that has not come whole for a wrong one.
func proxyError(ctx context.Context, err error) error {
	deadline, ok := ctx.Deadline()
	if ctx.Err() != nil || ok && !time.Now().Before(deadline) {
		return errProxySlow
	}
	return systemError(err, errProxyAnswer)
}

// peer is whom we connect to.
func (d *dialer) peer() (name, addr string) {
	if d.proxy != nil {
		return "the engine's proxy", d.proxy.addr
	}
	return "the engine", d.addr
}

// establish makes of raw, which is connected to the peer, a connection to the engine. layer is over raw. t is nil where there is no TLS,
// neither with the engine nor with its proxy; TLS through an https proxy is inside the proxy's.
func (d *dialer) establish(ctx context.Context, raw net.Conn, layer *eventloop.Layer) (t *tls.Conn, err error) {
	if d.proxy != nil {
		if d.proxy.tls != nil {
			if t, err = handshake(ctx, layer, d.proxy.tls, "the engine's proxy"); err != nil {
				return nil, err
			}
			raw = t
		}
		if err = d.proxy.connect(ctx, raw, d.addr); err != nil {
			return nil, fmt.Errorf("connect to the engine through its proxy: %w", err)
		}
	}
	switch {
	case d.tls == nil:
		return t, nil
	case t != nil:
		return handshake(ctx, t, d.tls, "the engine")
	default:
		return handshake(ctx, layer, d.tls, "the engine")
	}
}

func handshake(ctx context.Context, under net.Conn, cfg *tls.Config, name string) (*tls.Conn, error) {
	t := tls.Client(closeNotify{under}, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("make a TLS connection to %s: %w", name, handshakeError(err))
	}
	return t, nil
}

// Dial makes a connection to the engine of a valid cfg, as a Client does, for those who only want to know whether there is one.
func Dial(ctx context.Context, cfg Config) (net.Conn, error) {
	d := newDialer(cfg)
	raw, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	t, err := d.establish(ctx, raw, eventloop.NewLayer(raw))
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	if t != nil {
		return t, nil
	}
	return raw, nil
}

// connect connects to the peer.
func (d *dialer) connect(ctx context.Context) (net.Conn, error) {
	name, addr := d.peer()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", name, err)
	}
	return raw, nil
}

// ParseProxy reads the URL of a proxy; none for the empty text. Its error has no byte of the text, which may hold a password.
func ParseProxy(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || strings.ContainsAny(text, "?# \t\r\n") {
		return nil, errProxyURL
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || n == 0) {
		return nil, errProxyURL
	}
	return u, nil
}

var errProxyURL = errors.New("must be the URL of an HTTP proxy, such as http://proxy:3128 or http://user:password@proxy:3128, with %40 for an @ in the password and so on")
