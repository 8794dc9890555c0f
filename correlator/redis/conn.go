//go:build unix

package redis

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"syncgate/internal/nowait"
)

// conn is a connection to Redis like any other, but that it reads and writes by package nowait: each system call that Go's scheduler
// knows may wake up its monitor, which costs more than a batch of callbacks (docs/decisions/loops.md).
type conn struct {
	net.Conn
	raw syscall.RawConn

	in, out transfer
	look    look
}

// quiet takes over c, which it closes when it cannot.
func quiet(c net.Conn) (net.Conn, error) {
	s, ok := c.(syscall.Conn)
	if !ok {
		return c, nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	q := &conn{Conn: c, raw: raw}
	q.in.try, q.out.try = q.in.read, q.out.write
	q.look = look{RawConn: raw}
	q.look.try = q.look.poll
	return q, nil
}

// Read reads what there is, and waits for that until the deadline.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.in.run(c, "read", c.raw.Read, p)
	if n == 0 && err == nil && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}

// Write writes all of p, and waits for room until the deadline.
func (c *conn) Write(p []byte) (int, error) { return c.out.run(c, "write", c.raw.Write, p) }

// transfer is a read or a write, in a form that needs no memory of its own each time.
type transfer struct {
	mu  sync.Mutex // held for as long as the transfer takes; guards the rest
	p   []byte
	n   int
	err error
	try func(fd uintptr) (done bool) // fixed
}

// run has try called, each time that wait has waited for the socket, until it is done.
func (t *transfer) run(c *conn, op string, wait func(try func(fd uintptr) (done bool)) error, p []byte) (n int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p = p
	err = wait(t.try)
	if err == nil && t.err != nil {
		err = &net.OpError{Op: op, Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(op, t.err)}
	}
	n = max(t.n, 0)
	t.p, t.n, t.err = nil, 0, nil
	return n, err
}

func (t *transfer) read(fd uintptr) (done bool) {
	t.n, t.err = again(nowait.Read, fd, t.p)
	return t.err != unix.EAGAIN //nolint:errorlint // it comes as it is
}

func (t *transfer) write(fd uintptr) (done bool) {
	for t.err = nil; t.err == nil && t.n < len(t.p); {
		var n int
		n, t.err = again(nowait.Write, fd, t.p[t.n:])
		t.n += max(n, 0)
	}
	return t.err != unix.EAGAIN //nolint:errorlint // system calls do not wrap errors
}

// again makes a system call until no signal interrupts it.
func again(call func(fd int, p []byte) (int, error), fd uintptr, p []byte) (n int, err error) {
	for {
		if n, err = call(int(fd), p); err != unix.EINTR { //nolint:errorlint // as above
			return n, err
		}
	}
}

// SyscallConn is for go-redis, which looks by it whether the server has closed a connection that it is about to use (v9.23.0,
// connCheck).
func (c *conn) SyscallConn() (syscall.RawConn, error) { return &c.look, nil }

// look is a connection that is looked at and not waited for.
type look struct {
	syscall.RawConn

	socket [1]unix.PollFd
	some   bool
	try    func(fd uintptr)
}

// Read calls f if there is something to read or the connection is broken. Else it is all right, and f would find nothing.
func (l *look) Read(f func(fd uintptr) (done bool)) error {
	if err := l.Control(l.try); err != nil || !l.some {
		return err
	}
	return l.RawConn.Read(f)
}

func (l *look) poll(fd uintptr) {
	l.socket[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN} //nolint:gosec // a descriptor
	n, err := nowait.Poll(l.socket[:])
	l.some = err != nil || n > 0
}
