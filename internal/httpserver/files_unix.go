//go:build unix

package httpserver

import (
	"math"

	"golang.org/x/sys/unix"
)

// maxFiles is how many descriptors the process may have.
func maxFiles() int64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || uint64(limit.Cur) > math.MaxInt32 { // signed on FreeBSD
		return math.MaxInt32
	}
	return int64(limit.Cur)
}
