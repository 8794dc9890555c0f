package gateway

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sock is a socket that Go's runtime does not wait for: a loop is told of it, and every event that the runtime hears of as well
// costs a wake-up. It can be read and written as far as that needs no waiting; for more it has to become a net.TCPConn.
type sock struct {
	fd     atomic.Int64 // -1: closed
	remote net.Addr
	local  net.Addr
}

var (
	_ net.Conn     = (*sock)(nil)
	_ syscall.Conn = (*sock)(nil)
)

// errWaits refuses what would have to wait.
var errWaits = errors.New("gateway: the socket is the loops', and nobody waits for it")

// bare listens in the place of ln, and accepts sockets that the runtime does not wait for.
func bare(ln net.Listener) (net.Listener, error) {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return ln, nil
	}
	defer func() { _ = tcp.Close() }() // of one of two descriptors
	file, err := tcp.File()
	if err != nil {
		return nil, err
	}
	raw, err := file.SyscallConn() // the listener's own would not wait for us
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	// What accepted sockets have from the one that listens; the values are those that package net gives its own.
	const probe, probes = 15, 9 // seconds; how many
	options := []struct{ level, name, value int }{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, probe},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, probe},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, probes},
	}
	err = control(raw, func(fd int) error {
		for _, o := range options {
			if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
				return os.NewSyscallError("setsockopt", err)
			}
		}
		return nil
	})
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return &bareListener{file, raw, tcp.Addr()}, nil
}

type bareListener struct {
	file *os.File
	raw  syscall.RawConn
	addr net.Addr
}

// Addr is where it listens.
func (l *bareListener) Addr() net.Addr { return l.addr }

// Close ends Accept.
func (l *bareListener) Close() error { return l.file.Close() }

// Accept waits for a connection.
func (l *bareListener) Accept() (net.Conn, error) {
	var fd int
	var peer unix.Sockaddr
	var err error
	closed := l.raw.Read(func(s uintptr) (done bool) {
		for {
			if fd, peer, err = unix.Accept4(int(s), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC); !errors.Is(err, unix.EINTR) {
				return !errors.Is(err, unix.EAGAIN)
			}
		}
	})
	switch {
	case closed != nil:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
	case err != nil:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: os.NewSyscallError("accept4", err)}
	}
	return newSock(fd, tcpAddr(peer), l.addr), nil
}

func newSock(fd int, remote, local net.Addr) *sock {
	s := &sock{remote: remote, local: local}
	s.fd.Store(int64(fd))
	return s
}

func tcpAddr(a unix.Sockaddr) *net.TCPAddr {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}
	case *unix.SockaddrInet6:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}
	default:
		return &net.TCPAddr{}
	}
}

// stripped takes a connection away from the runtime.
func stripped(c net.Conn) (*sock, error) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, err
	}
	own := -1
	err = control(raw, func(fd int) (err error) {
		own, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return os.NewSyscallError("fcntl", err)
	})
	if err != nil {
		return nil, err
	}
	s := newSock(own, tcp.RemoteAddr(), tcp.LocalAddr())
	_ = tcp.Close() // of one of two descriptors
	return s, nil
}

// dressed makes a connection of s that can be waited for. s is closed in any case; no loop may be told of it any more.
func (s *sock) dressed() (net.Conn, error) {
	fd := s.fd.Swap(-1)
	if fd < 0 {
		return nil, net.ErrClosed
	}
	f := os.NewFile(uintptr(fd), "socket")
	defer func() { _ = f.Close() }()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("wait for a socket: %w", err)
	}
	return c, nil
}

// SyscallConn gives the descriptor.
func (s *sock) SyscallConn() (syscall.RawConn, error) { return (*rawSock)(s), nil }

// rawSock is a sock's descriptor.
type rawSock sock

// Control calls f with it. Whoever owns the connection calls it, and nobody else closes it meanwhile.
func (s *rawSock) Control(f func(fd uintptr)) error {
	fd := s.fd.Load()
	if fd < 0 {
		return net.ErrClosed
	}
	f(uintptr(fd))
	return nil
}

// Read and Write would have to wait.
func (*rawSock) Read(func(fd uintptr) bool) error  { return errWaits }
func (*rawSock) Write(func(fd uintptr) bool) error { return errWaits }

// Close closes the descriptor, once.
func (s *sock) Close() error {
	if fd := s.fd.Swap(-1); fd >= 0 {
		return os.NewSyscallError("close", unix.Close(int(fd)))
	}
	return net.ErrClosed
}

// RemoteAddr is the peer's.
func (s *sock) RemoteAddr() net.Addr { return s.remote }

// LocalAddr is that of the listener.
func (s *sock) LocalAddr() net.Addr { return s.local }

// Read and what follows would have to wait.
func (*sock) Read([]byte) (int, error)         { return 0, errWaits }
func (*sock) Write([]byte) (int, error)        { return 0, errWaits }
func (*sock) SetDeadline(time.Time) error      { return errWaits }
func (*sock) SetReadDeadline(time.Time) error  { return errWaits }
func (*sock) SetWriteDeadline(time.Time) error { return errWaits }
