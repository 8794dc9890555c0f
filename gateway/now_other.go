//go:build !linux || race

package gateway

import "golang.org/x/sys/unix"

// The race detector learns from package unix that who has read a message comes after who has written it.

func readNow(fd int, p []byte) (n int, err error)  { return unix.Read(fd, p) }
func writeNow(fd int, p []byte) (n int, err error) { return unix.Write(fd, p) }
