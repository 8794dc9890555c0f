package gateway

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"syncgate/internal/nowait"
)

// told is what the kernel tells of a socket: once for each time that something new comes.
type told uint32

const (
	toldGone told = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR // FIN, reset or an error of the peer's, also behind bytes that are unread
	interest      = unix.EPOLLIN | unix.EPOLLRDHUP | edge
	edge          = uint32(1) << 31 // EPOLLET, which x/sys has as a negative number
	// eventsAtOnce bounds a batch: what comes behind it waits for as long as that takes.
	eventsAtOnce = 128
)

// poller is an epoll set that knows sockets by names of ours. The set is itself a file that Go's runtime waits for, so that
// its goroutine sleeps as one that reads from a connection does, and holds no thread.
type poller struct {
	file *os.File
	raw  syscall.RawConn
	fd   int

	// Owned by wait.
	events [eventsAtOnce]unix.EpollEvent
	n      int
	try    func(fd uintptr) bool
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll set: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // which is how os.NewFile knows that it can be waited for
		_ = unix.Close(fd)
		return nil, fmt.Errorf("make an epoll set: %w", err)
	}
	p := &poller{file: os.NewFile(uintptr(fd), "epoll"), fd: fd}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return nil, fmt.Errorf("make an epoll set: %w", err)
	}
	p.try = p.look
	return p, nil
}

// look takes what there is to tell; without anything the runtime waits, and calls it again.
func (p *poller) look(uintptr) (done bool) {
	n, err := nowait.EpollWait(p.fd, p.events[:])
	if err != nil {
		n = 0 // EINTR; the runtime has us look again when there is more
	}
	p.n = n
	return n > 0
}

// wait returns when there is something to tell, and how many events that are. Not ok: the poller is closed.
func (p *poller) wait() (n int, ok bool) {
	if err := p.raw.Read(p.try); err != nil {
		return 0, false
	}
	return p.n, true
}

// event gives one of those that the last wait was about: the name of a socket, and what there is to tell of it.
func (p *poller) event(i int) (name uint64, what told) {
	e := &p.events[i]
	return uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32, told(e.Events) //nolint:gosec // both halves, as they are
}

// add begins to tell of a descriptor, at once if there is something. A descriptor leaves by being closed, or by remove.
func (p *poller) add(fd int, name uint64) error { return p.control(unix.EPOLL_CTL_ADD, fd, name) }

// again tells of a descriptor once more if there still is something to tell.
func (p *poller) again(fd int, name uint64) { _ = p.control(unix.EPOLL_CTL_MOD, fd, name) }

func (p *poller) remove(fd int) { _ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil) }

func (p *poller) control(op, fd int, name uint64) error {
	event := unix.EpollEvent{Events: interest, Fd: int32(uint32(name)), Pad: int32(uint32(name >> 32))} //nolint:gosec // likewise
	return unix.EpollCtl(p.fd, op, fd, &event)
}

func (p *poller) close() { _ = p.file.Close() }
