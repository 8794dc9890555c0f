package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/valyala/fasthttp"
)

const (
	headerLimit = 16 << 10 // bytes of a request's head
	// connections bounds the sockets of one listener; descriptors run out first, and what is parked has its own limit.
	connections = 1 << 20
	// workersIdle is how long a goroutine of fasthttp waits for a further connection: a burst leaves many behind.
	workersIdle = time.Second
	// closeGrace is what requests that are being answered have left when everything closes.
	closeGrace = 5 * time.Second
)

// listener is one address and what it serves.
type listener struct {
	g         *Gateway
	name      string // its key in the configuration
	clients   bool
	callbacks bool
	ln        net.Listener
	server    *fasthttp.Server
	closing   atomic.Bool // no connection is set aside any more
}

// Listen binds every address, so that a taken one fails before anything is served.
func (g *Gateway) Listen() error {
	cfg := g.cfg.Listen
	g.listeners = []*listener{{g: g, name: "public", clients: true, callbacks: cfg.Callback == ""}}
	if cfg.Callback != "" {
		g.listeners = append(g.listeners, &listener{g: g, name: "callback", callbacks: true})
	}
	if cfg.Admin != "" {
		g.listeners = append(g.listeners, &listener{g: g, name: "admin"})
	}
	g.failed = make(chan error, len(g.listeners))
	for _, l := range g.listeners {
		if err := l.bind(); err != nil {
			g.unbind()
			return err
		}
	}
	return nil
}

func (g *Gateway) unbind() {
	for _, l := range g.listeners {
		if l.ln != nil {
			_ = l.ln.Close() // it has served nobody
		}
	}
}

// bind opens the address and builds the layers of its connections: TCP, PROXY protocol, TLS, conn.
func (l *listener) bind() error {
	cfg := l.g.cfg.Listen
	address := map[string]string{"public": cfg.Public, "callback": cfg.Callback, "admin": cfg.Admin}[l.name]
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen.%s: %w", l.name, err)
	}
	if l.name != "admin" && cfg.TLS.CertFile == "" && !slices.Contains(cfg.ProxyProtocol, l.name) {
		if ln, err = bare(ln); err != nil {
			return fmt.Errorf("listen.%s: %w", l.name, err)
		}
	}
	l.ln = newPatient(ln, l.g.log)
	if l.name != "admin" {
		if slices.Contains(cfg.ProxyProtocol, l.name) {
			l.ln = l.proxied(l.ln)
		}
		if cfg.TLS.CertFile != "" {
			cert, err := cfg.TLS.load()
			if err != nil {
				return err
			}
			l.ln = tls.NewListener(l.ln, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
		}
	}
	l.ln = connListener{Listener: l.ln, l: l}
	l.server = l.newServer()
	return nil
}

// proxied reads PROXY protocol headers: from listen.trusted_proxies, who must send one; with none listed, from everybody.
func (l *listener) proxied(ln net.Listener) net.Listener {
	return &proxyproto.Listener{
		Listener:          ln,
		ReadHeaderTimeout: l.g.cfg.Listen.HeaderTimeout,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			if len(l.g.proxies) == 0 || l.g.proxies.trusts(addrOf(o.Upstream)) {
				return proxyproto.REQUIRE, nil
			}
			return proxyproto.SKIP, nil
		},
	}
}

// newServer sets every limit and time-out of fasthttp.
func (l *listener) newServer() *fasthttp.Server {
	cfg := l.g.cfg.Listen
	s := &fasthttp.Server{
		Handler:                       l.handle,
		ErrorHandler:                  l.unreadable,
		HeaderReceived:                l.headerReceived,
		ExpectHandler:                 l.expect,
		Concurrency:                   connections,
		MaxIdleWorkerDuration:         workersIdle,
		ReadBufferSize:                headerLimit,
		ReadTimeout:                   cfg.HeaderTimeout,
		WriteTimeout:                  cfg.WriteTimeout,
		IdleTimeout:                   cfg.IdleTimeout,
		MaxRequestBodySize:            1,
		StreamRequestBody:             true, // the handler reads the body
		ReduceMemoryUsage:             true, // every reply is flushed at once, and an idle connection has no buffers
		DisablePreParseMultipartForm:  true, // a signature is over the bytes
		DisableHeaderNamesNormalizing: false,
		NoDefaultServerHeader:         true,
		NoDefaultContentType:          true,
		SecureErrorLogMessage:         true,
		CloseOnShutdown:               true,
		KeepHijackedConns:             true, // parked clients are ours
		Logger:                        quiet{l.g.log},
	}
	if l.name == "admin" {
		s.Handler, s.ErrorHandler, s.HeaderReceived, s.ExpectHandler = l.admin(), nil, nil, nil
		s.StreamRequestBody, s.MaxRequestBodySize = false, freeBody
		s.WriteTimeout = 0 // profiles take as long as they are asked to
	}
	return s
}

// Serve starts serving on what Listen has bound, and returns. Err tells when a listener ends that should not.
func (g *Gateway) Serve() {
	g.loops.start(g.log)
	g.watcher = newWatcher(g.log, g.loops, func(now time.Time) {
		g.loops.tick(now)
		g.forwarder.tick(now)
	})
	for _, l := range g.listeners {
		go l.run()
	}
}

func (l *listener) run() {
	if err := l.server.Serve(l.ln); err != nil && !errors.Is(err, net.ErrClosed) {
		l.g.failed <- fmt.Errorf("listen.%s: %w", l.name, err)
	}
}

// Close ends the listeners, clients first and operators last, each when it has answered what it was asked, and the
// connections to the engine. Call it when the correlator has drained.
func (g *Gateway) Close(ctx context.Context) error {
	var errs []error
	g.answering.wait(context.Background()) // bounded by the write time-out
	for _, l := range g.listeners {
		g.loops.dismiss(l)
		grace, cancel := context.WithTimeout(ctx, closeGrace)
		err := l.server.ShutdownWithContext(grace)
		_ = l.ln.Close() // fasthttp does not know of it if it has only just begun to serve
		if errors.Is(err, context.DeadlineExceeded) {
			l.g.log.Warn().Str("listener", l.name).Msg("connections are closed in the middle of a request")
		} else if err != nil {
			errs = append(errs, fmt.Errorf("close listen.%s: %w", l.name, err))
		}
		cancel()
	}
	last, cancel := context.WithTimeout(ctx, closeGrace)
	g.answering.wait(last) // callbacks that came before their listener closed
	cancel()
	g.forwarder.close()
	g.debts.close(ctx)
	if g.watcher != nil {
		g.watcher.close()
	}
	g.loops.close()
	return errors.Join(errs...)
}

// PublicAddr gives the bound address for clients, once Listen has returned.
func (g *Gateway) PublicAddr() netip.AddrPort { return g.addr("public") }

// CallbackAddr gives the bound address for engines: the public one where they share it.
func (g *Gateway) CallbackAddr() netip.AddrPort {
	if a := g.addr("callback"); a.IsValid() {
		return a
	}
	return g.PublicAddr()
}

// AdminAddr gives the bound address for operators; it is not valid where there is none.
func (g *Gateway) AdminAddr() netip.AddrPort { return g.addr("admin") }

func (g *Gateway) addr(name string) netip.AddrPort {
	for _, l := range g.listeners {
		if l.name == name {
			if tcp, ok := l.ln.Addr().(*net.TCPAddr); ok {
				return tcp.AddrPort()
			}
		}
	}
	return netip.AddrPort{}
}
