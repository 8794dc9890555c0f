package enginesim

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// Engine is a running one.
type Engine struct {
	// Set by Start, only read afterwards.
	cfg    Config
	ln     net.Listener
	srv    *fasthttp.Server
	prefix string        // of every task's obj_id
	done   chan struct{} // closed by Close
	queue  chan call     // as long as cfg.Pending: a call that has a slot never waits

	// Each guards itself.
	readers  readers
	accepted connections
	client   client
	schedule schedule
	counters counters
	recorder recorder
	serial   atomic.Uint64 // of tasks
	pending  atomic.Int64  // slots taken of cfg.Pending

	goroutines sync.WaitGroup
	close      sync.Once
}

// Start makes an engine that listens when Start returns.
func Start(cfg Config) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure engine: %w", err)
	}
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("start engine: %w", err)
	}
	e := &Engine{
		cfg:      cfg,
		ln:       ln,
		prefix:   prefix(),
		done:     make(chan struct{}),
		queue:    make(chan call, cfg.Pending),
		accepted: connections{max: cfg.Connections},
		client:   client{timeout: cfg.CallbackTimeout, rewrite: cfg.Rewrite, roots: cfg.Roots, split: cfg.Split},
		schedule: schedule{earlier: make(chan struct{}, 1)},
		recorder: recorder{max: cfg.Record},
	}
	e.srv = &fasthttp.Server{
		Handler:            e.handle,
		ErrorHandler:       refuse,
		IdleTimeout:        cfg.Idle,
		ReadTimeout:        time.Minute,
		MaxRequestBodySize: cfg.MaxBody,
		Concurrency:        cfg.Connections,
		NoDefaultDate:      true, // it costs a goroutine for ever
		Name:               "enginesim",
	}
	e.goroutines.Go(e.accept)
	e.goroutines.Go(func() { e.schedule.run(e.queue, e.done) })
	for range cfg.Workers {
		e.goroutines.Go(e.work)
	}
	return e, nil
}

// prefix is random, so that no two engines name two tasks alike.
func prefix() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x", b)
}

// Addr is where the engine listens, host:port.
func (e *Engine) Addr() string { return e.ln.Addr().String() }

// URL is what a gateway's engine.url is to be.
func (e *Engine) URL() string { return "http://" + e.Addr() }

// Close drops what is scheduled, closes every connection and waits for every goroutine.
func (e *Engine) Close() {
	e.close.Do(func() {
		close(e.done)
		_ = e.ln.Close()
		e.accepted.closeAll()
		e.client.closeAll()
	})
	e.goroutines.Wait()
}

// accept serves each connection in a goroutine that Close can end and wait for, which fasthttp's own loop does not offer.
func (e *Engine) accept() {
	for {
		conn, err := e.ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of descriptors: others will come back
			e.pause(10 * time.Millisecond)
			continue
		case !e.accepted.add(conn):
			_ = conn.Close()
			continue
		}
		e.goroutines.Go(func() {
			defer e.accepted.remove(conn)
			_ = e.srv.ServeConn(conn) // how a peer ends its connection is its own affair
		})
	}
}

// pause waits, but not beyond Close.
func (e *Engine) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-e.done:
	}
}

// connections is a set that can be closed as a whole.
type connections struct {
	max int // 0: none

	mu     sync.Mutex
	open   map[net.Conn]struct{} // guarded by mu
	closed bool                  // guarded by mu
}

// add reports whether there was room. A connection that was not added is for the caller to close.
func (c *connections) add(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.max > 0 && len(c.open) >= c.max {
		return false
	}
	if c.open == nil {
		c.open = make(map[net.Conn]struct{})
	}
	c.open[conn] = struct{}{}
	return true
}

// remove closes conn as well.
func (c *connections) remove(conn net.Conn) {
	_ = conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
}

// closeAll closes every connection and lets no other in.
func (c *connections) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for conn := range c.open {
		_ = conn.Close()
	}
}
