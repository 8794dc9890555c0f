//go:build !linux

package gateway

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// peerGone looks, without waiting, whether the peer has closed or reset its side. It cannot tell behind unread data.
func peerGone(raw syscall.RawConn) bool {
	if raw == nil {
		return false
	}
	var b [1]byte
	var n int
	var err error
	cerr := raw.Control(func(fd uintptr) { n, _, err = unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT) })
	return cerr != nil || !wouldBlock(err) && (err != nil || n == 0)
}
