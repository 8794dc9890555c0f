package redis_test

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
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
	held  *holding // nil: nothing is held up
}

// holding holds up what a client sends over one connection, from the first chunk that has a text in it.
type holding struct {
	text    []byte
	taken   atomic.Bool
	begun   chan struct{} // closed with the first one
	release chan struct{} // closed when it may go on
}

// hold holds up the next command that has a text in it, and what follows it over its connection, until release is closed, whether or not
// its client still waits. begun is closed when there is one.
func (p *proxy) hold(text string) *holding {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = &holding{text: []byte(text), begun: make(chan struct{}), release: make(chan struct{})}
	return p.held
}

// pass waits if this is what is held up.
func (p *proxy) pass(chunk []byte) {
	p.mu.Lock()
	h := p.held
	p.mu.Unlock()
	if h == nil || !bytes.Contains(chunk, h.text) {
		return
	}
	if h.taken.CompareAndSwap(false, true) {
		close(h.begun)
		<-h.release
	}
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
		p.all.Go(func() { c.upstream(p.pass) })
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

func (c *proxied) upstream(pass func([]byte)) {
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
		pass(buf[:n])
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
