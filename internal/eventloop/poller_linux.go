package eventloop

import (
	"encoding/binary"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"syncgate/internal/nowait"
)

const (
	hangUps = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR // FIN, reset or an error of the peer's, also behind unread bytes
	edge    = uint32(1) << 31                                 // EPOLLET, which x/sys has as a negative number
	// eventsAtOnce bounds a batch: what comes behind it waits for as long as that takes.
	eventsAtOnce = 128
)

// epoll is an epoll set that knows sockets by names of ours. The set is itself a file that Go's runtime waits for, so that
// its goroutine sleeps as one that reads from a connection does, and holds no thread.
type epoll struct {
	file *os.File
	raw  syscall.RawConn
	fd   int
	bell int     // an eventfd in the set, under the name 0: wait ends when it is written
	one  [8]byte // what is written

	// Owned by wait.
	events [eventsAtOnce]unix.EpollEvent
	n      int
	try    func(fd uintptr) bool // until there is something
	once   func(fd uintptr) bool
}

// newPoller gives the system's poller, unless it is to be the portable one.
func newPoller(portable bool) (poller, error) {
	if portable {
		return newMailbox(), nil
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("eventloop: make an epoll set: %w", err)
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("eventloop: make an eventfd: %w", err)
	}
	p := &epoll{fd: fd, bell: bell}
	binary.NativeEndian.PutUint64(p.one[:], 1)
	if err := p.open(); err != nil {
		_ = unix.Close(bell)
		return nil, fmt.Errorf("eventloop: make an epoll set: %w", err)
	}
	return p, nil
}

// open closes the set's descriptor if it fails.
func (p *epoll) open() (err error) {
	if err := unix.SetNonblock(p.fd, true); err != nil { // which is how os.NewFile knows that it can be waited for
		_ = unix.Close(p.fd)
		return err
	}
	p.file = os.NewFile(uintptr(p.fd), "epoll")
	if p.raw, err = p.file.SyscallConn(); err == nil {
		err = p.control(unix.EPOLL_CTL_ADD, p.bell, 0, unix.EPOLLIN|edge)
	}
	if err != nil {
		_ = p.file.Close()
	}
	p.try = func(uintptr) bool { return p.take() > 0 }
	p.once = func(uintptr) bool { p.take(); return true }
	return err
}

// take takes what the kernel has to report.
func (p *epoll) take() int {
	n, err := nowait.EpollWait(p.fd, p.events[:])
	if err != nil {
		n = 0 // EINTR; who waits looks again when there is more
	}
	p.n = n
	return n
}

func (p *epoll) wait(block bool) (n int, ok bool) {
	look := p.once
	if block {
		look = p.try
	}
	if err := p.raw.Read(look); err != nil {
		return 0, false
	}
	return p.n, true
}

func (p *epoll) event(i int) (name uint64, ev Events) {
	e := &p.events[i]
	if e.Events&unix.EPOLLIN != 0 {
		ev |= Readable
	}
	if e.Events&unix.EPOLLOUT != 0 {
		ev |= Writable
	}
	if e.Events&hangUps != 0 {
		ev |= HangUp
	}
	return uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32, ev //nolint:gosec // both halves, as they are
}

// wake ends a wait. The counter is never read: each write is a new event, and it takes longer than anything runs to fill it.
func (p *epoll) wake() {
	_, _ = nowait.Write(p.bell, p.one[:])
}

func (p *epoll) close() {
	_ = p.file.Close()
	_ = unix.Close(p.bell)
}

// add begins to report a socket, at once if there is something to report. A descriptor leaves by being closed, or by remove.
func (p *epoll) add(a arming) error {
	return os.NewSyscallError("epoll_ctl", p.control(unix.EPOLL_CTL_ADD, a.fd, a.name, a.interest()))
}

// rearm reports a socket again if there still is something to report.
func (p *epoll) rearm(a arming) error {
	return os.NewSyscallError("epoll_ctl", p.control(unix.EPOLL_CTL_MOD, a.fd, a.name, a.interest()))
}

func (p *epoll) remove(fd int) { _ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil) }

func (a *arming) interest() uint32 {
	events := unix.EPOLLIN | unix.EPOLLRDHUP | edge
	if a.out {
		events |= unix.EPOLLOUT
	}
	return events
}

func (p *epoll) control(op, fd int, name uint64, events uint32) error {
	event := unix.EpollEvent{Events: events, Fd: int32(uint32(name)), Pad: int32(uint32(name >> 32))} //nolint:gosec // both halves, as they are
	return unix.EpollCtl(p.fd, op, fd, &event)
}
