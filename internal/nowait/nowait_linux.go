package nowait

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// EpollWait takes what an epoll set has to tell, as far as there is room in events.
func EpollWait(fd int, events []unix.EpollEvent) (n int, err error) {
	r, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0) //nolint:gosec // as package unix does
	return result(r, errno)
}

// Poll says how many of the sockets have something to tell, and fills in what.
func Poll(sockets []unix.PollFd) (n int, err error) {
	var atOnce unix.Timespec
	r, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(unsafe.SliceData(sockets))), uintptr(len(sockets)), uintptr(unsafe.Pointer(&atOnce)), 0, 0, 0) //nolint:gosec // the kernel reads and writes these two
	return result(r, errno)
}

func result(r uintptr, errno syscall.Errno) (n int, err error) {
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}
