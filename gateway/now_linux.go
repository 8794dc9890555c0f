package gateway

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// System calls that never wait, on descriptors that do not block. Go's scheduler is told nothing of them: it would take the
// processor away from a loop whose write happens to wake up the peer, and pay for that with a thread (docs/decisions/loops.md).

func epollNow(fd int, events []unix.EpollEvent) (n int, err error) {
	r, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0) //nolint:gosec // as package unix does
	return result(r, errno)
}

func pollNow(sockets []unix.PollFd) (n int, err error) {
	var atOnce unix.Timespec
	r, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(unsafe.SliceData(sockets))), uintptr(len(sockets)), uintptr(unsafe.Pointer(&atOnce)), 0, 0, 0) //nolint:gosec // likewise
	return result(r, errno)
}

func result(r uintptr, errno syscall.Errno) (n int, err error) {
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}
