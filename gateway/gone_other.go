//go:build !linux

package gateway

import "syscall"

// peerGone looks, without waiting, whether the peer has closed or reset its side. It cannot tell behind unread data.
func peerGone(raw syscall.RawConn) bool {
	n, err := peek(raw)
	return !wouldBlock(err) && (err != nil || n == 0)
}
