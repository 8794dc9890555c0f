package gateway

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"
)

// engineConn is a connection to the engine. It knows how many bytes of a request may have arrived: a create is never sent twice
// once one has.
type engineConn struct {
	net.Conn // with TLS, if there is any

	// Fixed.
	count     *counted // below it
	plain     bool     // nothing is between them
	forwarder *forwarder

	// Owned by whoever has the connection.
	last time.Time // when it has carried an exchange

	// Guarded by the pool's mutex.
	phase         connPhase
	flight        flight
	before, after *engineConn // neighbours among those that fly
	missed        bool        // a loop was told of something while it was taken

	// Of the loops that are told of its answers.
	set  *socketSet // nil: there is none; owned by whoever has the connection
	name uint64     // in it, guarded by its mutex; 0: it is not there
}

// connPhase is who has a connection to the engine.
type connPhase uint8

const (
	taken   connPhase = iota // a goroutine
	resting                  // the pool
	flying                   // nobody: a request was sent, and a loop is told of the answer
)

// counted knows how many bytes were given to the kernel.
type counted struct {
	net.Conn
	raw syscall.RawConn

	// Owned by whoever has the connection.
	written int64
	looking bool // Read does not wait
}

// Read reads, while its owner only looks as far as bytes have come.
func (c *counted) Read(p []byte) (n int, err error) {
	if !c.looking {
		return c.Conn.Read(p)
	}
	switch n, err = tryRead(c.raw, p); {
	case err != nil && wouldBlock(err):
		return 0, os.ErrDeadlineExceeded // after which TLS can go on
	case err == nil && n == 0:
		return 0, io.EOF
	}
	return n, err
}

// Write counts.
func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written += int64(n)
	return n, err
}

// stale reports whether the engine has closed the connection, or sent bytes that nobody asked for: they would be read as the answer
// to the next request. With TLS there may be bytes of its own.
func (e *engineConn) stale() bool {
	if e.plain {
		return tells(e.count.raw, unix.POLLIN)
	}
	e.count.looking = true
	defer func() { e.count.looking = false }()
	_, err := e.Read(make([]byte, 1))
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// engineDialer makes connections to the engine.
type engineDialer struct {
	addr    string // host:port
	tls     *tls.Config
	timeout time.Duration
}

// newEngineDialer prepares for cfg.URL; it does not connect.
func newEngineDialer(cfg EngineConfig) (d engineDialer, err error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return d, errors.New("engine.url: is not a URL") // without url.Error, which quotes it
	}
	d = engineDialer{addr: u.Host, timeout: cfg.Timeout}
	if u.Scheme == "https" {
		d.tls = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	}
	if u.Port() == "" {
		d.addr = net.JoinHostPort(u.Hostname(), map[bool]string{true: "443", false: "80"}[d.tls != nil])
	}
	return d, nil
}

// dial connects, by the deadline.
func (d *engineDialer) dial(deadline time.Time) (*engineConn, error) {
	raw, err := (&net.Dialer{Timeout: d.timeout, Deadline: deadline}).Dial("tcp", d.addr)
	if err != nil {
		return nil, wireError("connect to the engine", err)
	}
	c := &counted{Conn: raw, raw: socketOf(raw)}
	if d.tls == nil {
		return &engineConn{Conn: c, count: c, plain: true}, nil
	}
	secure := tls.Client(c, d.tls)
	if err = secure.SetDeadline(deadline); err == nil {
		err = secure.Handshake()
	}
	if err != nil {
		_ = raw.Close()
		return nil, wireError("connect to the engine", err)
	}
	return &engineConn{Conn: secure, count: c}, nil
}

// exchange writes what is left of a request and reads the answer, of which some may have been read already. keep: the
// connection can serve another.
func (e *engineConn) exchange(request, before []byte, resp *fasthttp.Response, deadline time.Time) (wrote, keep bool, err error) {
	if err := e.dress(); err != nil {
		return false, false, err
	}
	if err := e.SetDeadline(deadline); err != nil {
		return false, false, wireError("set the deadline", err)
	}
	sofar := e.count.written
	if len(request) > 0 {
		_, err = e.Write(request)
	}
	wrote = e.count.written > sofar
	if err != nil {
		return wrote, false, wireError("send to the engine", err)
	}
	r := answerReaders.Get().(*answerReader) //nolint:forcetypeassert // only New fills the pool
	defer r.giveBack()
	r.reset(before, e.Conn)
	err = readAnswer(&r.buffered, resp)
	rest := r.buffered.Buffered() > 0 || len(r.before) > 0 // an answer to a question that was not asked
	if err != nil {
		return wrote, false, wireError("read the engine's answer", err)
	}
	return wrote, keep, nil
}

// answerReaders are used again: each for one answer.
var answerReaders = sync.Pool{New: func() any {
	r := new(answerReader)
	r.buffered = bufio.NewReaderSize(r, deskBytes) // as a loop reads: the same answers are understood
	return r
}}

func (r *answerReader) reset(before []byte, conn io.Reader) {
	r.before, r.conn, r.failed = before, conn, nil
	r.buffered.Reset(r)
}

func (r *answerReader) giveBack() {
	r.before, r.conn, r.failed = nil, nil, nil
	answerReaders.Put(r)
}
