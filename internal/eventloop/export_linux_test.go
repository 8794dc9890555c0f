package eventloop

// FD is the number of c's descriptor; the caller owns c.
func FD(c *Conn) int { return int(c.fd) }
