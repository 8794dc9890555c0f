package eventloop

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// bareListener accepts descriptors.
type bareListener struct {
	file *os.File
	raw  syscall.RawConn
	addr net.Addr
}

// listenBare listens in the place of ln, if that is one of TCP.
func listenBare(ln net.Listener) (*Listener, error) {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return &Listener{ln: ln}, nil
	}
	defer func() { _ = tcp.Close() }() // one of two descriptors
	file, err := tcp.File()
	if err != nil {
		return nil, err
	}
	raw, err := file.SyscallConn() // the listener's own would not wait for us
	if err == nil {
		err = control(raw, setOptions)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return &Listener{bare: &bareListener{file, raw, tcp.Addr()}}, nil
}

// setOptions sets what accepted sockets have from the one that listens; the values are those that package net gives its own.
func setOptions(fd int) error {
	const probe, probes = 15, 9 // seconds; how many
	options := []struct{ level, name, value int }{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, probe},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, probe},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, probes},
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}

func (l *bareListener) accept() (*Accepted, error) {
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
	return &Accepted{RemoteAddr: peerAddr(peer), fd: fd}, nil
}

func (l *bareListener) close() error { return l.file.Close() }

func peerAddr(a unix.Sockaddr) netip.AddrPort {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)) //nolint:gosec // a port
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port)) //nolint:gosec // a port
	default:
		return netip.AddrPort{}
	}
}
