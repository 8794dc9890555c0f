package gateway

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// peerGone looks, without waiting, whether the peer has closed or reset its side: also behind what it had sent before, as
// a pipelined request or, of TLS, the record that announces the end.
func peerGone(raw syscall.RawConn) bool { return tells(raw, unix.POLLRDHUP) }
