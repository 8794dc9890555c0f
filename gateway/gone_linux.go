package gateway

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// peerGone looks, without waiting, whether the peer has closed or reset its side: also behind what it had sent before, as
// a pipelined request or, of TLS, the record that announces the end.
func peerGone(raw syscall.RawConn) (gone bool) {
	if raw == nil {
		return false
	}
	err := raw.Control(func(fd uintptr) {
		socket := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}} //nolint:gosec // a descriptor is a small number
		n, err := unix.Poll(socket[:], 0)
		gone = err == nil && n > 0
	})
	return gone || err != nil
}
