package gateway

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"

	"syncgate/internal/nowait"
)

// A peer that still sends what was refused is read for so long, and so much, that it gets its answer: on a fast link
// megabytes are on their way before it looks.
const (
	lingerTime  = time.Second
	lingerBytes = 64 << 20
)

// conn is a client's or an engine's connection as fasthttp sees it. It tells a trip what became of its reply, and gives
// back what fasthttp's error paths leave behind.
//
// The serving goroutine owns it; Close alone may come from elsewhere.
type conn struct {
	net.Conn
	l       *listener
	crowded bool            // it came when there was hardly any descriptor left
	closed  atomic.Bool     // its place among them is given back
	raw     syscall.RawConn // of the socket below everything; nil if there is none

	reply  atomic.Pointer[trip] // whose reply fasthttp is about to write; taken once
	wrote  atomic.Bool          // since deliver, a byte was written
	failed atomic.Bool          // since deliver, a write failed
	gone   bool                 // the peer had closed its side before the reply
	linger atomic.Bool          // close only after the peer had a chance to read the answer
	late   bool                 // a read has met its deadline

	answered bool        // since the last deadline for reading was set, something was written
	between  bool        // nothing of the next request has been read
	resumed  bool        // fasthttp takes the next request for the first one
	aside    atomic.Bool // Close gives it to the loops
	watch    watch       // the watcher's

	// Of the loops that hold it, see held.go.
	set     *socketSet           // always the same one; nil: none has held it yet
	name    uint64               // in it, guarded by its mutex; 0: it is not there
	state   atomic.Uint32        // who may use the connection
	restBy  atomic.Int64         // while it idles: when that is over, in Unix nanoseconds
	waiting atomic.Pointer[trip] // whose client is parked on it
	ring    ringed               // the ring's

	ahead   []byte           // read already
	head    *[headBytes]byte // what ahead is a part of, if it is one of the pool's
	plain   bool             // no layer between us and the socket
	probed  bool             // by takeBack
	readBy  time.Time        // the deadline of the next read that has to wait
	lazy    bool             // it is not set yet
	writeBy time.Time        // the deadline of writes that is set

	announced atomic.Pointer[announced] // of a client that was told to send its body, until a handler takes over
}

// connOf gives our side of the connection that a request came by.
func connOf(ctx *fasthttp.RequestCtx) *conn {
	if d := deskOf(ctx); d != nil {
		return d.conn
	}
	return ctx.Conn().(*conn) //nolint:forcetypeassert // our listeners accept nothing else
}

func newConn(raw net.Conn, l *listener) *conn {
	plain := false
	switch raw.(type) {
	case *net.TCPConn, *sock:
		plain = true
	}
	c := &conn{Conn: raw, l: l, raw: socketOf(raw), plain: plain, crowded: l.g.room.enter()}
	c.state.Store(away)
	return c
}

// socketOf finds the socket below TLS and PROXY protocol; nil if there is none.
func socketOf(c net.Conn) syscall.RawConn {
	for {
		switch layer := c.(type) {
		case *tls.Conn:
			c = layer.NetConn()
		case *proxyproto.Conn:
			c = layer.Raw()
		case syscall.Conn:
			raw, err := layer.SyscallConn()
			if err != nil {
				return nil
			}
			return raw
		default:
			return nil
		}
	}
}

// deliver says that what fasthttp writes next is t's reply. It settles t when the write has failed, or when fasthttp
// turns to the next request or closes, having flushed: it flushes every reply, as ReduceMemoryUsage is on.
func (c *conn) deliver(t *trip) {
	c.gone = peerGone(c.raw)
	c.wrote.Store(false)
	c.failed.Store(false)
	c.reply.Store(t)
}

func (c *conn) settle() {
	if t := c.reply.Swap(nil); t != nil {
		t.settle(c.wrote.Load() && !c.failed.Load() && !c.gone)
	}
}

// Read gives what was read ahead, else waits. It notes a deadline that has passed: fasthttp hides it where a chunk is cut.
func (c *conn) Read(p []byte) (n int, err error) {
	if c.probed {
		return 0, errProbed
	}
	switch {
	case len(c.ahead) > 0:
		c.between = false
		return c.take(p), nil
	case c.between:
		return c.await(p)
	}
	if err := c.setReadDeadline(); err != nil {
		return 0, err
	}
	n, err = c.receive(p)
	return n, c.note(err)
}

// receive waits for bytes.
func (c *conn) receive(p []byte) (n int, err error) {
	if len(p) > 1 || !c.plain || c.raw == nil {
		return c.Conn.Read(p)
	}
	if err := c.readAhead(); err != nil {
		return 0, err
	}
	return c.take(p), nil
}

// take gives what was read ahead.
func (c *conn) take(p []byte) int {
	n := copy(p, c.ahead)
	if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
		c.freeHead()
	}
	return n
}

// freeHead gives the pool's part of what was read ahead back, when ahead is none of it any more.
func (c *conn) freeHead() {
	if c.head != nil {
		heads.Put(c.head)
		c.head = nil
	}
}

// headBytes is what is read at once of a request that begins: most are no longer.
const headBytes = 4 << 10

// heads hold the beginnings of requests, between their arrival and their reading.
var heads = sync.Pool{New: func() any { return new([headBytes]byte) }}

// reading is a read of the beginning of a request, in a form that needs no memory of its own each time.
type reading struct {
	head *[headBytes]byte // nil while it waits
	n    int
	err  error
	try  func(fd uintptr) (done bool)
}

// readings are used again: each connection needs one for the length of a read.
var readings = sync.Pool{New: func() any {
	r := new(reading)
	r.try = r.read
	return r
}}

func (r *reading) read(fd uintptr) (done bool) {
	r.head = heads.Get().(*[headBytes]byte) //nolint:forcetypeassert // only New fills the pool
	if r.n, r.err = unix.Read(int(fd), r.head[:]); r.err == nil && r.n > 0 {
		return true
	}
	heads.Put(r.head)
	r.head = nil
	return !wouldBlock(r.err)
}

// readAhead waits for the first byte of a request, which is all that fasthttp asks for, and takes what else has come: one
// system call less for each request. While it waits it has no buffer.
func (c *conn) readAhead() error {
	r := readings.Get().(*reading) //nolint:forcetypeassert // only New fills the pool
	err := c.raw.Read(r.try)
	head, n := r.head, r.n
	if err == nil {
		err = r.err
	}
	r.head, r.n, r.err = nil, 0, nil
	readings.Put(r)
	switch {
	case head != nil:
		c.head, c.ahead = head, head[:n]
		return nil
	case err != nil:
		return err
	default:
		return io.EOF
	}
}

func (c *conn) note(err error) error {
	if err != nil && isTimeout(err) {
		c.late = true
	}
	return err
}

func isTimeout(err error) bool {
	slow, ok := errors.AsType[net.Error](err)
	return ok && slow.Timeout()
}

// Write notes whether the reply could be handed to the kernel.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		c.failed.Store(true)
	}
	c.wrote.Store(true)
	c.answered = true
	return n, err
}

// SetReadDeadline is how fasthttp begins to wait for the next request, and then for the rest of it. It takes effect when a
// read has to wait.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.settle()
	if c.resumed {
		c.resumed, c.answered, t = false, true, c.readBy
	}
	c.between, c.answered = c.answered, false
	c.readBy, c.lazy = t, true
	return nil
}

// readUntil sets the deadline of the next read that has to wait, within a request.
func (c *conn) readUntil(t time.Time) {
	if !t.Equal(c.readBy) {
		c.readBy, c.lazy = t, true
	}
}

func (c *conn) setReadDeadline() error {
	if !c.lazy {
		return nil
	}
	c.lazy = false
	return c.Conn.SetReadDeadline(c.readBy)
}

// SetWriteDeadline leaves a deadline in force that is at most half as far: on a busy connection it is set once in a while.
func (c *conn) SetWriteDeadline(t time.Time) error {
	now := time.Now()
	if left := c.writeBy.Sub(now); !c.writeBy.IsZero() && left <= t.Sub(now) && left >= t.Sub(now)/2 {
		return nil
	}
	c.writeBy = t
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline sets both, as fasthttp does where it gives a connection away.
func (c *conn) SetDeadline(t time.Time) error {
	c.readBy, c.lazy, c.writeBy = t, false, t
	return c.Conn.SetDeadline(t)
}

// Close settles what is unsettled, and gives a connection that is set aside to the loops. A connection closed on a request that was
// not read to its end stays open for the answer a while: a reset would destroy it on its way.
func (c *conn) Close() error {
	if c.aside.Swap(false) && c.l.g.loops.adopt(c, c.readBy) {
		return nil
	}
	c.settle()
	c.announced.Store(nil)
	if c.linger.Swap(false) {
		c.drain()
	}
	c.leave()
	if !c.closed.Swap(true) {
		defer c.l.g.room.leave()
	}
	return c.Conn.Close()
}

func (c *conn) drain() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || c.Conn.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	c.lazy = false
	var buf [16 << 10]byte
	for n := 0; n < lingerBytes; {
		m, err := c.Read(buf[:])
		if err != nil {
			return
		}
		n += m
	}
}

// errProbed ends a read that must not reach the socket.
var errProbed = errors.New("gateway: nothing was read ahead")

func wouldBlock(err error) bool { return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) }

// glance is a look at what a socket has to tell, without waiting, in a form that needs no memory of its own each time.
type glance struct {
	socket [1]unix.PollFd
	n      int
	err    error
	poll   func(fd uintptr)
}

// glances are used again: each lasts for one system call.
var glances = sync.Pool{New: func() any {
	g := new(glance)
	g.poll = func(fd uintptr) {
		g.socket[0].Fd = int32(fd)
		g.n, g.err = nowait.Poll(g.socket[:])
	}
	return g
}}

// tells reports whether the socket has one of the events, or is broken.
func tells(raw syscall.RawConn, events int16) bool {
	if raw == nil {
		return false
	}
	g := glances.Get().(*glance) //nolint:forcetypeassert // only New fills the pool
	defer glances.Put(g)
	g.socket[0].Events = events
	err := raw.Control(g.poll) // and not Read: the read deadline has usually passed by now
	return err != nil || g.err == nil && g.n > 0
}
