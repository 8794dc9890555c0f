//go:build !linux

package eventloop_test

// emulates reports whether this system's sockets are emulated.
func emulates() bool { return true }
