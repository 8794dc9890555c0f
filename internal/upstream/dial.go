package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"syscall"
	"time"

	"syncgate/internal/eventloop"
)

// dialer makes connections to the engine.
type dialer struct {
	addr  string // host:port
	tls   *tls.Config
	proxy *proxy // nil: there is none
}

// newDialer prepares for a valid Config.
func newDialer(cfg Config) dialer {
	u, _ := url.Parse(cfg.URL)
	d := dialer{addr: u.Host}
	port := "80"
	if u.Scheme == "https" {
		d.tls = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs}
		port = "443"
	}
	if u.Port() == "" {
		d.addr = net.JoinHostPort(u.Hostname(), port)
	}
	if cfg.Proxy != nil {
		d.proxy = newProxy(cfg.Proxy, cfg)
	}
	return d
}

// connect makes a connection for x and sends its request, on a goroutine. If the engine is known to be away, x fails at once, and its
// place is the next call's.
func (c *Client) connect(x exchange) (next exchange) {
	done, err := c.breaker.Allow()
	if err != nil {
		return c.failUnsent(x, ErrBreakerOpen, refused)
	}
	c.dials.Go(func() { c.dial(x, done) })
	return exchange{}
}

// dial connects, a second time if that fails and there is time, and reports the result to the breaker.
func (c *Client) dial(x exchange, done func(error)) {
	deadline := x.began.Add(c.timeout)
	for {
		k, err := c.attach(x)
		if err == nil {
			done(nil)
			c.hook("attached")
			if o, ok := k.TryOwn(); ok { // else a loop was faster
				c.resume(lease{k, o})
			}
			return
		}
		if x.tries++; x.tries >= maxTries || !time.Now().Before(deadline) {
			done(err)
			c.run(c.failUnsent(x, err, unsent), lease{})
			return
		}
	}
}

// resume goes on with a connection that was dialled. A loop may have had it in the meantime, and even have finished the exchange.
func (c *Client) resume(l lease) {
	switch l.conn.phase {
	case dialled:
		c.run(l.conn.exchange, l)
	case sent:
		c.release(l)
	default:
		c.run(c.putIdle(l))
	}
}

// attach makes a connection for x. As soon as the loops know it, one of them may own it and send the request.
func (c *Client) attach(x exchange) (*conn, error) {
	deadline := x.began.Add(c.timeout)
	ctx, cancel := context.WithDeadline(c.dialing, deadline)
	defer cancel()
	k := &conn{client: c, secure: c.dialer.secure(), phase: dialled, fresh: true, exchange: x}
	raw, err := c.dialer.connect(ctx)
	if err != nil {
		return nil, err
	}
	c.pool.add(k)
	if err = c.handOver(ctx, k, raw); err != nil {
		c.pool.forget(k)
		return nil, err
	}
	return k, nil
}

// secure reports whether the connections have TLS, with the engine or with its proxy.
func (d *dialer) secure() bool { return d.tls != nil || d.proxy != nil && d.proxy.tls != nil }

// handOver gives a connection to the loops, after the proxy's answer and the handshakes where there are any. After an error it is closed.
func (c *Client) handOver(ctx context.Context, k *conn, raw net.Conn) error {
	deadline := k.exchange.began.Add(c.timeout)
	layer := eventloop.NewLayer(raw)
	t, err := c.dialer.establish(ctx, raw, layer)
	if err != nil {
		_ = raw.Close()
		return err
	}
	if t == nil {
		return c.attached(c.group.Attach(&k.Conn, k, raw, deadline))
	}
	return c.attached(c.group.AttachTLS(&k.Conn, k, layer, t, deadline))
}

// closeNotify is what TLS reads. crypto/tls takes a FIN at the end of a record for the end, though it was not announced. Anybody on the way
// can send a FIN, and so cut an answer that goes up to the end of the connection (RFC 9112 9.8): here it is an error.
type closeNotify struct{ net.Conn }

// errNoCloseNotify is a FIN that no close_notify has announced.
var errNoCloseNotify = errors.New("upstream: the connection has ended without a close_notify")

// Read reads what the peer has sent.
func (s closeNotify) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		err = errNoCloseNotify // not io.ErrUnexpectedEOF, which crypto/tls would take for io.EOF again
	}
	return n, err
}

func (*Client) attached(err error) error {
	if err != nil {
		return fmt.Errorf("watch the connection to the engine: %w", err)
	}
	return nil
}

// Errors of a handshake, in our words: those of crypto/tls and x509 quote what has come.
var (
	errHandshake   = errors.New("the handshake failed")
	errTooSlow     = errors.New("the handshake took too long")
	errUnknownCA   = errors.New("the certificate comes from nobody that is trusted")
	errOtherHost   = errors.New("the certificate is for another host")
	errCertificate = errors.New("the certificate is not valid, perhaps no more or not yet")
)

func handshakeError(err error) error {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return errUnknownCA
	case errors.As(err, &host):
		return errOtherHost
	case errors.As(err, &invalid):
		return errCertificate
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errTooSlow
	}
	return systemError(err, errHandshake)
}

// connectionError says at which step a connection has failed.
func connectionError(step string, err error) error {
	return fmt.Errorf("%s: %w", step, systemError(err, ErrBroken))
}

// systemError gives the system's part of an error, or else the one given: TLS's errors quote what has come.
func systemError(err, otherwise error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return otherwise
}
