//go:build unix && !linux

package nowait

import "golang.org/x/sys/unix"

// Poll says how many of the sockets have something to tell, and fills in what.
func Poll(sockets []unix.PollFd) (n int, err error) { return unix.Poll(sockets, 0) }
