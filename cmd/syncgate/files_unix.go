//go:build unix

package main

import (
	"math"

	"golang.org/x/sys/unix"
)

// openFiles is how many files the process may have open; 0: nobody says.
func openFiles() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || uint64(limit.Cur) > math.MaxInt32 { // signed on FreeBSD
		return 0
	}
	return int(limit.Cur)
}
