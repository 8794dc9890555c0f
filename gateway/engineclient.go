package gateway

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"
)

// engineAnswerLimit bounds the body of an engine's own answer, in bytes.
const engineAnswerLimit = 16 << 20

// engineClient is a pool of connections to the engine that knows whether anything was sent: a create is never sent
// twice once a byte of it may have arrived.
type engineClient struct {
	*fasthttp.HostClient
	idle time.Duration
}

// newEngineClient prepares for cfg.URL; it does not connect.
func newEngineClient(cfg EngineConfig) (*engineClient, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("read engine.url: %w", err)
	}
	secure := u.Scheme == "https"
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), map[bool]string{true: "443", false: "80"}[secure])
	}
	dialer := &net.Dialer{Timeout: cfg.Timeout}
	hc := &fasthttp.HostClient{
		Addr:  host,
		IsTLS: secure,
		Dial: func(addr string) (net.Conn, error) {
			c, err := dialer.Dial("tcp", addr)
			if err != nil {
				return nil, err
			}
			return &countingConn{Conn: c, raw: socketOf(c)}, nil
		},
		MaxConns:            cfg.MaxConnections,
		MaxConnWaitTimeout:  cfg.Timeout,
		MaxIdleConnDuration: cfg.Idle,
		ConnPoolStrategy:    fasthttp.LIFO,
		ReadTimeout:         cfg.Timeout,
		WriteTimeout:        cfg.Timeout, // of the TLS handshake too
		MaxResponseBodySize: engineAnswerLimit,
	}
	if secure {
		hc.TLSConfig = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	}
	return &engineClient{HostClient: hc, idle: cfg.Idle}, nil
}

// do sends req and reads the answer until deadline. wrote says whether a byte of req may have reached the engine: while
// it has not, a failure is tried once more on a fresh connection.
func (e *engineClient) do(req *fasthttp.Request, resp *fasthttp.Response, deadline time.Time) (wrote bool, err error) {
	for range 2 {
		if wrote, err = e.once(req, resp, deadline); wrote || err == nil {
			return wrote, err
		}
		e.CloseIdleConnections() // the engine went away: what idles is stale as well
	}
	return false, err
}

func (e *engineClient) once(req *fasthttp.Request, resp *fasthttp.Response, deadline time.Time) (wrote bool, err error) {
	for {
		cc, err := e.AcquireConn(max(time.Until(deadline), time.Millisecond), false)
		if err != nil {
			return false, fmt.Errorf("connect to the engine: %w", err)
		}
		count := counterOf(cc.Conn())
		if count.used && (time.Since(cc.LastUseTime()) > e.idle || count.stale()) {
			e.CloseConn(cc)
			continue // the pool shrinks each time, and a new connection is not stale
		}
		wrote, keep, err := exchange(e.HostClient, cc.Conn(), count, req, resp, deadline)
		if keep {
			e.ReleaseConn(cc)
		} else {
			e.CloseConn(cc)
		}
		return wrote, err
	}
}

// exchange writes req and reads resp over one connection. keep: the connection can serve another.
func exchange(hc *fasthttp.HostClient, c net.Conn, count *countingConn, req *fasthttp.Request, resp *fasthttp.Response, deadline time.Time) (wrote, keep bool, err error) {
	if err := c.SetDeadline(deadline); err != nil {
		return false, false, fmt.Errorf("set the deadline: %w", err)
	}
	before := count.written.Load()
	bw := hc.AcquireWriter(c)
	if err = req.Write(bw); err == nil {
		err = bw.Flush()
	}
	hc.ReleaseWriter(bw)
	wrote = count.written.Load() > before
	if err != nil {
		return wrote, false, fmt.Errorf("send to the engine: %w", err)
	}
	count.used = true
	resp.Header.DisableNormalizing() // nobody looks for a name
	br := hc.AcquireReader(c)
	err = resp.ReadLimitBody(br, hc.MaxResponseBodySize)
	rest := br.Buffered() > 0 // an answer to a question that was not asked
	hc.ReleaseReader(br)
	if err != nil {
		return wrote, false, fmt.Errorf("read the engine's answer: %w", err)
	}
	return wrote, !rest && !resp.ConnectionClose(), nil
}

// countingConn knows how many bytes were given to the kernel.
type countingConn struct {
	net.Conn
	raw     syscall.RawConn
	written atomic.Int64
	used    bool // it has carried an exchange; owned by whoever acquired the connection
}

// Write counts.
func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

// stale reports whether the engine has closed the connection, or sent bytes that nobody asked for.
func (c *countingConn) stale() bool {
	return tells(c.raw, unix.POLLIN)
}

// counterOf finds the counting connection below TLS.
func counterOf(c net.Conn) *countingConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return c.(*countingConn) //nolint:forcetypeassert // Dial makes no other
}
