package eventloop

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"syncgate/internal/nowait"
)

// strip takes the socket of a connection away from Go's runtime, which would hear of each event as well, and wake up for
// nothing. nc is closed in any case.
func strip(nc net.Conn) (fd int, err error) {
	defer func() { _ = nc.Close() }() // one of two descriptors
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("a %T is not a socket: %w", nc, errors.ErrUnsupported)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	own := -1
	err = control(raw, func(fd int) (err error) {
		own, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return os.NewSyscallError("fcntl", err)
	})
	return own, err
}

// control calls f with the descriptor.
func control(raw syscall.RawConn, f func(fd int) error) error {
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

func fdRead(fd int, p []byte) (n int, err error) {
	for {
		switch n, err = nowait.Read(fd, p); {
		case err == nil && n > 0:
			return n, nil
		case err == nil:
			return 0, io.EOF
		case errors.Is(err, unix.EAGAIN):
			return 0, ErrWouldBlock
		case !errors.Is(err, unix.EINTR):
			return 0, os.NewSyscallError("read", err)
		}
	}
}

func fdWrite(fd int, p []byte) (n int, err error) {
	for {
		switch n, err = nowait.Write(fd, p); {
		case err == nil:
			return n, nil
		case errors.Is(err, unix.EAGAIN):
			return 0, nil
		case !errors.Is(err, unix.EINTR):
			return 0, os.NewSyscallError("write", err)
		}
	}
}

func fdLook(fd int, out bool) (ev Events) {
	sockets := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}} //nolint:gosec // descriptors are small
	if out {
		sockets[0].Events |= unix.POLLOUT
	}
	for {
		if _, err := nowait.Poll(sockets[:]); err == nil {
			break
		} else if !errors.Is(err, unix.EINTR) {
			return HangUp
		}
	}
	has := sockets[0].Revents
	if has&unix.POLLIN != 0 {
		ev |= Readable
	}
	if has&unix.POLLOUT != 0 {
		ev |= Writable
	}
	if has&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0 {
		ev |= HangUp
	}
	return ev
}

func fdCloseWrite(fd int) error {
	return os.NewSyscallError("shutdown", unix.Shutdown(fd, unix.SHUT_WR))
}

func fdShutdown(fd int) { _ = unix.Shutdown(fd, unix.SHUT_RDWR) }

// fdDup gives a net.Conn, which Go's runtime waits for, with a descriptor of its own.
func fdDup(fd int) (net.Conn, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(own), "socket")
	defer func() { _ = f.Close() }() // FileConn has one more
	return net.FileConn(f)
}

func fdClose(fd int) error { return os.NewSyscallError("close", unix.Close(fd)) }
