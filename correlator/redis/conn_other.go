//go:build !unix

package redis

import "net"

// quiet is for Unix: elsewhere c stays as it is.
func quiet(c net.Conn) (net.Conn, error) { return c, nil }
