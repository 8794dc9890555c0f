//go:build !race

package gateway

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func readNow(fd int, p []byte) (n int, err error) {
	r, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p))) //nolint:gosec // as package unix does
	return result(r, errno)
}

func writeNow(fd int, p []byte) (n int, err error) {
	r, _, errno := syscall.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p))) //nolint:gosec // as package unix does
	return result(r, errno)
}
