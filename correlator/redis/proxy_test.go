package redis_test

import (
	"bytes"
	"net"
	"sync"
	"testing"

	"syncgate/internal/redistest"
)

// proxy stands between a node and its Redis and does to their connections what networks do.
type proxy struct {
	listener net.Listener
	server   *redistest.Server

	mu    sync.Mutex
	conns map[*proxied]struct{}
	all   sync.WaitGroup
}

// proxied is one connection of a client.
type proxied struct {
	client, server net.Conn
	mu             sync.Mutex
	subscriber     bool // it has sent a SUBSCRIBE
	deaf           bool // it stays open, and what the server says gets lost
}

func newProxy(t *testing.T, s *redistest.Server) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, server: s, conns: make(map[*proxied]struct{})}
	p.all.Go(p.serve)
	t.Cleanup(func() {
		_ = l.Close()
		p.each(func(c *proxied) { c.close() })
		p.all.Wait()
	})
	return p
}

func (p *proxy) URL() string { return "redis://" + p.listener.Addr().String() }

// deafen makes the subscriptions that there are half-open, and reports how many there were.
func (p *proxy) deafen() (n int) {
	p.each(func(c *proxied) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.subscriber {
			c.deaf = true
			n++
		}
	})
	return n
}

func (p *proxy) each(do func(*proxied)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		do(c)
	}
}

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", p.server.Addr())
		if err != nil {
			_ = client.Close()
			continue
		}
		c := &proxied{client: client, server: server}
		p.mu.Lock()
		p.conns[c] = struct{}{}
		p.mu.Unlock()
		p.all.Go(c.upstream)
		p.all.Go(func() {
			c.downstream()
			p.mu.Lock()
			delete(p.conns, c)
			p.mu.Unlock()
		})
	}
}

func (c *proxied) close() {
	_ = c.client.Close()
	_ = c.server.Close()
}

func (c *proxied) upstream() {
	defer c.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := c.client.Read(buf)
		if err != nil {
			return
		}
		if bytes.Contains(bytes.ToLower(buf[:n]), []byte("\r\nsubscribe\r\n")) {
			c.mu.Lock()
			c.subscriber = true
			c.mu.Unlock()
		}
		if _, err := c.server.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (c *proxied) downstream() {
	defer c.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := c.server.Read(buf)
		if err != nil {
			return
		}
		c.mu.Lock()
		deaf := c.deaf
		c.mu.Unlock()
		if deaf {
			continue
		}
		if _, err := c.client.Write(buf[:n]); err != nil {
			return
		}
	}
}
