package enginesim

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// keepIdle is how long a connection for callbacks is kept unused: less than any server in front of a gateway waits.
const keepIdle = 5 * time.Second

// client posts callbacks over kept connections. It differs from fasthttp's own in that closeAll leaves nothing running.
type client struct {
	timeout time.Duration
	rewrite map[string]string
	roots   *x509.CertPool
	split   bool // head and body go in two segments

	open connections // guards itself

	mu   sync.Mutex
	idle map[string][]*link // by scheme and host:port, the one used last at the end; guarded by mu
}

// link is one connection, owned by the goroutine that took it out of idle.
type link struct {
	net.Conn
	br   *bufio.Reader
	bw   *bufio.Writer
	used time.Time
	kept bool // was used before, so that the other side may have closed it
}

// do sends req to u's host and reads resp. A kept connection that turns out dead costs no attempt: a callback may repeat.
func (c *client) do(u *url.URL, req *fasthttp.Request, resp *fasthttp.Response) error {
	key := u.Scheme + "://" + c.address(u)
	l, err := c.take(key, u)
	if err != nil {
		return err
	}
	err = l.exchange(req, resp, c.timeout, c.split)
	if err != nil && l.kept {
		c.open.remove(l)
		if l, err = c.dial(u); err != nil {
			return err
		}
		err = l.exchange(req, resp, c.timeout, c.split)
	}
	if err != nil || resp.ConnectionClose() {
		c.open.remove(l)
		return err
	}
	c.put(key, l)
	return nil
}

// address is where callbacks for u go.
func (c *client) address(u *url.URL) string {
	addr := u.Host
	if u.Port() == "" {
		addr = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	if to, ok := c.rewrite[addr]; ok {
		return to
	}
	if to, ok := c.rewrite["*"]; ok {
		return to
	}
	return addr
}

// take gives the connection that was used last, or a new one.
func (c *client) take(key string, u *url.URL) (*link, error) {
	c.mu.Lock()
	list := c.idle[key]
	for len(list) > 0 {
		l := list[len(list)-1]
		list = list[:len(list)-1]
		c.idle[key] = list
		if time.Since(l.used) < keepIdle {
			c.mu.Unlock()
			return l, nil
		}
		c.open.remove(l)
	}
	c.mu.Unlock()
	return c.dial(u)
}

func (c *client) put(key string, l *link) {
	l.used, l.kept = time.Now(), true
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle == nil {
		c.idle = make(map[string][]*link)
	}
	c.idle[key] = append(c.idle[key], l)
}

func (c *client) dial(u *url.URL) (*link, error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.address(u))
	if err != nil {
		return nil, fmt.Errorf("connect for callback: %w", err)
	}
	if u.Scheme == "https" {
		conn = tls.Client(conn, &tls.Config{ServerName: u.Hostname(), RootCAs: c.roots, MinVersion: tls.VersionTLS12})
	}
	l := &link{Conn: conn, br: bufio.NewReader(conn), bw: bufio.NewWriter(conn)}
	if !c.open.add(l) {
		_ = conn.Close()
		return nil, fmt.Errorf("connect for callback: %w", net.ErrClosed)
	}
	return l, nil
}

func (c *client) closeAll() { c.open.closeAll() }

func (l *link) exchange(req *fasthttp.Request, resp *fasthttp.Response, timeout time.Duration, split bool) error {
	if err := l.SetDeadline(time.Now().Add(timeout)); err != nil {
		return fmt.Errorf("send callback: %w", err)
	}
	if err := l.send(req, split); err != nil {
		return fmt.Errorf("send callback: %w", err)
	}
	if err := resp.ReadLimitBody(l.br, maxAnswer); err != nil {
		return fmt.Errorf("read answer to callback: %w", err)
	}
	return nil
}

func (l *link) send(req *fasthttp.Request, split bool) error {
	if body := req.Body(); split && len(body) > 0 {
		req.Header.SetContentLength(len(body))
		if _, err := l.Write(req.Header.Header()); err != nil {
			return err
		}
		_, err := l.Write(body)
		return err
	}
	if err := req.Write(l.bw); err != nil {
		return err
	}
	return l.bw.Flush()
}
