package gateway

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// hangUp is what the set tells of, once: FIN, reset or an error of the peer's, also behind bytes that are unread.
const hangUp uint32 = unix.EPOLLRDHUP | unix.EPOLLONESHOT

// fdset is an epoll set that knows descriptors by names of ours: a descriptor's number may be another's a moment later.
type fdset struct {
	epoll  int
	events []unix.EpollEvent // owned by wait
	names  []uint64          // likewise
}

func newFDSet() (*fdset, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll set: %w", err)
	}
	const atOnce = 256
	return &fdset{epoll: fd, events: make([]unix.EpollEvent, atOnce), names: make([]uint64, atOnce)}, nil
}

func (s *fdset) add(raw syscall.RawConn, name uint64) error {
	event := unix.EpollEvent{Events: hangUp, Fd: int32(uint32(name)), Pad: int32(uint32(name >> 32))} //nolint:gosec // both halves, as they are
	return control(raw, func(fd int) error { return unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &event) })
}

// remove takes an open descriptor out; one that is closed has left by itself.
func (s *fdset) remove(raw syscall.RawConn) {
	_ = control(raw, func(fd int) error { return unix.EpollCtl(s.epoll, unix.EPOLL_CTL_DEL, fd, nil) })
}

func control(raw syscall.RawConn, f func(fd int) error) (err error) {
	if cerr := raw.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

// wait gives the names of those that have hung up, after d at the latest. They are valid until the next wait.
func (s *fdset) wait(d time.Duration) []uint64 {
	if s == nil {
		<-time.After(d)
		return nil
	}
	n, err := unix.EpollWait(s.epoll, s.events, int(d.Milliseconds()))
	if err != nil { // EINTR: the next one
		return nil
	}
	for i, e := range s.events[:n] {
		s.names[i] = uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32 //nolint:gosec // likewise
	}
	return s.names[:n]
}

func (s *fdset) close() {
	if s != nil {
		_ = unix.Close(s.epoll)
	}
}
