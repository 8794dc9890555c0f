package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"syncgate/internal/eventloop"
)

// goneAfter is how long an exchange lasts before a hang-up ends it: some clients close their side right behind the request.
const goneAfter = 100 * time.Millisecond

// closeGrace is how long requests that are arriving or being answered may take when a listener closes.
const closeGrace = 5 * time.Second

// Handler serves requests. Its methods are called concurrently, by loops, and must not block.
type Handler interface {
	// Head says what may follow a head that was read: the limit of the body and who pays for it.
	Head(l *Listener, h *fasthttp.RequestHeader) Verdict
	// Serve serves a request that has come whole. in is valid until Serve returns. suspended: it has called Wait; else in.Response is
	// the answer.
	Serve(in *Incoming) (suspended bool)
	// Refuse words the answer to a request that is not served. The connection is closed behind it.
	Refuse(l *Listener, dst *fasthttp.Response, why *ReadError)
}

// Verdict is what a Handler says of a head.
type Verdict struct {
	Limit   int64   // of the body, in bytes
	Budget  *Budget // pays for the body
	Decided bool    // the answer does not depend on the body: a client that waits for "100 Continue" gets it at once
	Tag     any     // the Handler's own; comes back with the request
}

// ReadError says why a request is not served.
type ReadError struct {
	Kind    ReadKind
	Problem string  // of a malformed one: public text, without bytes of the request
	Verdict Verdict // of its head; the zero value if that was not read
	Target  []byte  // the request target, as far as it was read; valid during the call
	Origin  []byte  // the Origin header; valid during the call
	Length  int64   // of the body by Content-Length; -1: not known
	Peer    netip.AddrPort
}

// ReadKind is a class of ReadErrors.
type ReadKind uint8

const (
	// Malformed is not HTTP/1.1 as this server reads it.
	Malformed ReadKind = iota
	// HeadTooLarge exceeds HeadLimit.
	HeadTooLarge
	// BodyTooLarge exceeds Verdict.Limit.
	BodyTooLarge
	// Overloaded says that the budget has no room.
	Overloaded
	// Slow has not come in time.
	Slow
	// Uninvited has a body that the client was ready not to send: Verdict.Decided.
	Uninvited
	// Panicked says that the Handler panicked in Head or Serve.
	Panicked
)

// Config times connections. Its time-outs are positive.
type Config struct {
	HeaderTimeout time.Duration // for a PROXY header, a TLS handshake and the head of a request, each
	BodyTimeout   time.Duration
	WriteTimeout  time.Duration
	IdleTimeout   time.Duration
	Expiry        time.Duration // the shortest time-out of other connections of the Group; 0: there are none
	Reserved      int           // descriptors that others will need
}

// Server is listeners with one Handler.
type Server struct {
	// Fixed.
	cfg        Config
	handler    Handler
	log        zerolog.Logger
	group      *eventloop.Group
	workspaces sync.Pool // of *workspace
	limit      *connLimit
	failed     chan error
	ticks      []func(now time.Time)

	waits     atomic.Uint64 // exchanges that were ever suspended
	answering InFlight      // suspended exchanges that are being answered
	trimmer   trimmer
	shedder   shedder

	mu        sync.Mutex // guards the rest
	gone      []Exchange // whose peers have hung up
	lingering []*conn    // by their deadlines
}

// New makes a Server. It opens nothing. Each of ticks is called every 100 ms while the server runs; none may block.
func New(cfg Config, h Handler, log zerolog.Logger, ticks ...func(now time.Time)) (*Server, error) {
	s := &Server{cfg: cfg, handler: h, log: log, limit: newConnLimit(cfg.Reserved), failed: make(chan error, maxListeners), ticks: ticks}
	s.workspaces.New = func() any { return newWorkspace() }
	expiry := min(cfg.HeaderTimeout, cfg.BodyTimeout, cfg.WriteTimeout, cfg.IdleTimeout, bodyStall)
	if cfg.Expiry > 0 {
		expiry = min(expiry, cfg.Expiry)
	}
	var err error
	s.group, err = eventloop.NewGroup(eventloop.Options{
		Expiry: expiry,
		Tick:   s.tick,
		Panicked: func(value any, stack []byte) {
			log.Error().Str("panic", eventloop.PanicText(value)).Bytes("stack", stack).Msg("serving a socket panicked")
		},
		Failed: func(err error) { log.Warn().Err(err).Msg("a connection cannot be watched") },
	})
	if err != nil {
		return nil, fmt.Errorf("make the loops: %w", err)
	}
	return s, nil
}

// Group gives the loops, for other connections.
func (s *Server) Group() *eventloop.Group { return s.group }

// maxListeners bounds the listeners of a Server.
const maxListeners = 8

// ListenConfig is one address.
type ListenConfig struct {
	Name    string // for errors and the log
	Address string
	TLS     *tls.Config                // nil: plain TCP
	Proxied func(peer netip.Addr) bool // whether a peer must send a PROXY header; nil: nobody does
	Bypass  bool                       // connections are accepted at any load, and do not count: for operators
}

// Listener is one address and its connections.
type Listener struct {
	s       *Server
	cfg     ListenConfig
	ln      *eventloop.Listener
	open    atomic.Int64 // connections
	in, out atomic.Int64 // bytes of HTTP, read and written
	closing atomic.Bool  // no connection becomes idle any more
	cut     atomic.Bool  // no stream begins any more
	stop    chan struct{}
	stopped sync.Once
	running sync.WaitGroup // run

	mu       sync.Mutex
	greeting map[net.Conn]time.Time // connections whose PROXY header or handshake is under way, and since when; guarded by mu; nil: closed
}

// Listen binds an address.
func (s *Server) Listen(cfg ListenConfig) (*Listener, error) {
	ln, err := s.group.Listen("tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfg.Name, err)
	}
	return &Listener{s: s, cfg: cfg, ln: ln, stop: make(chan struct{}), greeting: make(map[net.Conn]time.Time)}, nil
}

// Name gives the name of the configuration.
func (l *Listener) Name() string { return l.cfg.Name }

// Addr gives the bound address.
func (l *Listener) Addr() netip.AddrPort {
	tcp, _ := l.ln.Addr().(*net.TCPAddr)
	return tcp.AddrPort()
}

// Traffic is what a listener has served so far.
type Traffic struct {
	Open           int64 // connections, now
	Received, Sent int64 // bytes of HTTP, without those of TLS
}

// Traffic gives what l has served.
func (l *Listener) Traffic() Traffic { return Traffic{l.open.Load(), l.in.Load(), l.out.Load()} }

// Start starts the loops.
func (s *Server) Start() error { return s.group.Start() }

// Serve begins to accept connections of l.
func (s *Server) Serve(l *Listener) { l.running.Go(l.run) }

// Err gives the errors that end a listener while it should serve.
func (s *Server) Err() <-chan error { return s.failed }

// Unbind closes a listener that has never served.
func (l *Listener) Unbind() { _ = l.ln.Close() }

// Close ends l: idle connections are closed at once; those with a request are closed behind its answer, or after five seconds or when ctx
// ends. Streams that are open then are cut. It reports whether some connections were closed in the middle of a request.
func (l *Listener) Close(ctx context.Context) (whole bool) {
	l.closing.Store(true)
	l.stopped.Do(func() { close(l.stop) })
	_ = l.ln.Close() // it is closed twice if Serve was never called
	l.running.Wait()
	l.closeGreeting()
	l.closeIdle(false)
	ctx, cancel := context.WithTimeout(ctx, closeGrace)
	defer cancel()
	for l.open.Load() > 0 && ctx.Err() == nil {
		<-time.After(time.Millisecond)
	}
	whole = l.open.Load() == 0
	l.cut.Store(true)
	l.closeIdle(true)
	l.s.endGone(time.Now()) // the Waiters of the streams: perhaps no tick comes any more
	return whole
}

// closeIdle closes the connections that the loops have and that have no request, or all, and those with a stream.
func (l *Listener) closeIdle(all bool) {
	only := func(ec *eventloop.Conn) bool {
		c, ok := ec.Socket().(*conn)
		if ok = ok && c.l == l; ok && all {
			c.cutStream() // whose exchange may own it
		}
		return ok
	}
	l.s.group.Idle(func(o eventloop.Owner) bool {
		c, _ := o.Conn().Socket().(*conn)
		if c.o = o; all {
			c.lost()
		} else {
			c.closeIfIdle()
		}
		return true
	}, only)
}

func (l *Listener) closeGreeting() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for nc := range l.greeting {
		_ = nc.Close()
	}
	l.greeting = nil
}

// Settle waits until every reply that is under way is written, or ctx ends.
func (s *Server) Settle(ctx context.Context) { s.answering.Wait(ctx) }

// Close ends the loops. All listeners must be closed.
func (s *Server) Close() {
	s.group.Close()
	s.trimmer.wait()
}

// Open gives the number of open connections.
func (s *Server) Open() int64 { return s.limit.open.Load() }

// MaxOpen gives how many connections leave a reserve of descriptors.
func (s *Server) MaxOpen() int64 { return s.limit.most }

// tick is called every 100 ms.
func (s *Server) tick(now time.Time) {
	s.endGone(now)
	s.endLingering(now)
	s.trimmer.tick(now, uint64(s.group.Len()), s.group.Entered()+s.waits.Load()) //nolint:gosec // a count
	for _, f := range s.ticks {
		f(now)
	}
}

// lingers remembers a connection that is closed after lingerTime: sooner than the loops look at deadlines.
func (s *Server) lingers(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lingering = append(s.lingering, c)
}

// endLingering closes connections that have lingered for long enough.
func (s *Server) endLingering(now time.Time) {
	s.mu.Lock()
	all := s.lingering
	s.lingering = nil
	s.mu.Unlock()
	for _, c := range all {
		o, ok := c.TryOwn()
		switch {
		case !ok && c.Closed():
			continue
		case ok:
			if c.o = o; now.After(c.deadline) {
				c.lost()
				continue
			}
			o.Release(c.deadline)
		}
		s.lingers(c)
	}
}

// hungUp remembers an exchange whose peer has hung up.
func (s *Server) hungUp(x Exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = append(s.gone, x)
}

// endGone tells the waiters of hung-up clients, once their exchanges have lasted for goneAfter, and those of streams that were lost.
func (s *Server) endGone(now time.Time) {
	s.mu.Lock()
	gone := s.gone
	s.gone = nil
	s.mu.Unlock()
	for _, x := range gone {
		if w, young := x.goneWaiter(now); w != nil {
			w.ClientGone()
		} else if young {
			s.hungUp(x)
		}
		if w := x.brokenWaiter(); w != nil {
			w.Replied(false)
		}
	}
}

// InFlight counts what is under way and may begin at any moment, also while its end is waited for: a WaitGroup's may not.
type InFlight struct{ n atomic.Int64 }

// Add counts one more.
func (f *InFlight) Add() { f.n.Add(1) }

// Done counts one less.
func (f *InFlight) Done() { f.n.Add(-1) }

// Wait returns when nothing is under way, or when ctx ends.
func (f *InFlight) Wait(ctx context.Context) {
	for f.n.Load() > 0 && ctx.Err() == nil {
		<-time.After(time.Millisecond)
	}
}

// run accepts connections until l closes.
func (l *Listener) run() {
	if err := l.accept(); err != nil && !errors.Is(err, net.ErrClosed) {
		l.s.failed <- fmt.Errorf("%s: %w", l.cfg.Name, err)
	}
}
