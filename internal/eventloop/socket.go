package eventloop

import "net"

// A connection's socket is a descriptor, or is emulated where the system has no epoll. What follows is asked of either, never
// waits, and is for the Owner alone.

// sysRead reads: ErrWouldBlock, io.EOF.
func (c *Conn) sysRead(p []byte) (n int, err error) {
	if c.socket != nil {
		return c.socket.read(p)
	}
	return fdRead(int(c.fd), p)
}

// sysWrite writes what the socket takes, which may be nothing.
func (c *Conn) sysWrite(p []byte) (n int, err error) {
	if c.socket != nil {
		return c.socket.write(p)
	}
	return fdWrite(int(c.fd), p)
}

// sysLook says what the socket has, with Writable only if out.
func (c *Conn) sysLook(out bool) Events {
	if c.socket != nil {
		return c.socket.look(out)
	}
	return fdLook(int(c.fd), out)
}

// sysCloseWrite sends a FIN.
func (c *Conn) sysCloseWrite() error {
	if c.socket != nil {
		return c.socket.closeWrite()
	}
	return fdCloseWrite(int(c.fd))
}

// sysDup gives a net.Conn with the same socket, which outlives sysClose.
func (c *Conn) sysDup() (net.Conn, error) {
	if c.socket != nil {
		return c.socket.detach()
	}
	return fdDup(int(c.fd))
}

// sysClose closes the socket.
func (c *Conn) sysClose() error {
	if c.socket != nil {
		return c.socket.close()
	}
	return fdClose(int(c.fd))
}
