// Package faultproxy stands between a client and a server and does to their connections what networks do.
package faultproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	// dialTimeout bounds the connection to the server.
	dialTimeout = 5 * time.Second
	// takenTimeout bounds the wait for the own address after Down.
	takenTimeout = 5 * time.Second
)

// Proxy passes TCP connections on to one server. Its methods may be called concurrently.
type Proxy struct {
	// Fixed after Start.
	network, target string // of the server
	addr            string
	ctx             context.Context // it is the Proxy's own life
	cancel          context.CancelFunc
	running         sync.WaitGroup // accept, and two for each pair

	mu       sync.Mutex // guards the rest
	listener net.Listener
	pairs    map[*pair]struct{}
	delay    time.Duration
	flowing  chan struct{} // closed while bytes pass
}

// pair is one client's connection and its continuation.
type pair struct {
	proxy          *Proxy
	client, server net.Conn
	subscriber     bool // the client has sent SUBSCRIBE; guarded by proxy.mu, as is deaf
	deaf           bool // what the server says gets lost
}

// Start makes a Proxy on a free port of 127.0.0.1 that leads to a server; network and target are those of net.Dial.
func Start(network, target string) (*Proxy, error) { return StartAt("127.0.0.1:0", network, target) }

// StartAt makes a Proxy at an address, host:port.
func StartAt(addr, network, target string) (*Proxy, error) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{network: network, target: target, addr: addr, ctx: ctx, cancel: cancel, pairs: make(map[*pair]struct{}), flowing: make(chan struct{})}
	close(p.flowing)
	if err := p.Up(); err != nil {
		cancel()
		return nil, err
	}
	return p, nil
}

// Addr is where clients connect, host:port.
func (p *Proxy) Addr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr
}

// Up listens, again after Down. It does nothing when the Proxy does already.
func (p *Proxy) Up() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		return nil
	}
	l, err := p.listen()
	if err != nil {
		return fmt.Errorf("faultproxy: listen: %w", err)
	}
	p.listener, p.addr = l, l.Addr().String()
	p.running.Go(func() { p.accept(l) })
	return nil
}

// listen waits a while for an address that somebody's outgoing connection has taken meanwhile.
func (p *Proxy) listen() (l net.Listener, err error) {
	for end := time.Now().Add(takenTimeout); ; p.pause(takenTimeout / 100) {
		l, err = net.Listen("tcp", p.addr)
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(end) {
			return l, err
		}
	}
}

// Down refuses connections from now on, and resets those that there are.
func (p *Proxy) Down() {
	p.mu.Lock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	p.mu.Unlock()
	p.Cut()
}

// Cut resets every connection and gives their number. New ones are taken.
func (p *Proxy) Cut() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.reset()
	}
	return len(p.pairs)
}

// Stall lets nothing pass, in either direction, while connections stay open and new ones are taken. What was sent
// meanwhile passes after Flow.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flowing:
		p.flowing = make(chan struct{})
	default:
	}
}

// Flow ends Stall.
func (p *Proxy) Flow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flowing:
	default:
		close(p.flowing)
	}
}

// Slow holds whatever passes for so long in each direction; 0 ends it.
func (p *Proxy) Slow(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Deafen makes connections half-open on which a client of Redis has subscribed: they stay open, and what the server says
// gets lost. It gives the number of those that there are now; later ones hear.
func (p *Proxy) Deafen() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		if c.subscriber {
			c.deaf = true
			n++
		}
	}
	return n
}

// Open is the number of connections.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pairs)
}

// Close ends everything.
func (p *Proxy) Close() {
	p.cancel()
	p.Down()
	p.running.Wait()
}

func (p *Proxy) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors: others will come back
			p.pause(10 * time.Millisecond)
			continue
		}
		p.running.Go(func() { p.connect(client) })
	}
}

// connect passes a client on. One that cannot be is reset.
func (p *Proxy) connect(client net.Conn) {
	c := &pair{proxy: p, client: client}
	ctx, cancel := context.WithTimeout(p.ctx, dialTimeout)
	defer cancel()
	var err error
	if c.server, err = new(net.Dialer).DialContext(ctx, p.network, p.target); err != nil || !p.add(c) {
		c.reset()
		return
	}
	p.running.Go(func() {
		defer c.reset()
		c.pump(c.server, c.client, c.sent)
	})
	c.pump(c.client, c.server, c.said)
	c.reset()
	p.mu.Lock()
	delete(p.pairs, c)
	p.mu.Unlock()
}

// add reports false when the Proxy is down.
func (p *Proxy) add(c *pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil {
		return false
	}
	p.pairs[c] = struct{}{}
	return true
}

// pause waits, but not beyond Close.
func (p *Proxy) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-p.ctx.Done():
	}
}

// wait holds what passes for as long as the Proxy's state wants it.
func (p *Proxy) wait() {
	p.mu.Lock()
	flowing, delay := p.flowing, p.delay
	p.mu.Unlock()
	select {
	case <-flowing:
	case <-p.ctx.Done():
	}
	if delay > 0 {
		p.pause(delay)
	}
}

// pump copies until either end is closed. passes says whether a piece does.
func (c *pair) pump(to, from net.Conn, passes func([]byte) bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			c.proxy.wait()
			if passes(buf[:n]) {
				if _, err := to.Write(buf[:n]); err != nil {
					return
				}
			}
		}
		if err != nil {
			return
		}
	}
}

// sent looks at what the client has sent.
func (c *pair) sent(b []byte) bool {
	if bytes.Contains(bytes.ToLower(b), []byte("subscribe\r\n")) {
		c.proxy.mu.Lock()
		c.subscriber = true
		c.proxy.mu.Unlock()
	}
	return true
}

// said reports whether the client is to hear what the server has said.
func (c *pair) said([]byte) bool {
	c.proxy.mu.Lock()
	defer c.proxy.mu.Unlock()
	return !c.deaf
}

// reset ends both connections without a farewell.
func (c *pair) reset() {
	for _, conn := range []net.Conn{c.client, c.server} {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		if conn != nil {
			_ = conn.Close()
		}
	}
}
