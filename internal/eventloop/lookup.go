package eventloop

// Socket gives the Socket of the last Attach; nil: the connection is closed.
func (c *Conn) Socket() Socket {
	if c.set == nil {
		return nil
	}
	return c.set.socketOf(c.name.Load())
}

// Closed reports whether the connection is closed or detached.
func (c *Conn) Closed() bool { return c.word.Load()&phases == closed }
