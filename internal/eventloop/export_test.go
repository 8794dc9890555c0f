package eventloop

// FD is the number of c's descriptor, -1 if it has none. The caller owns c.
func FD(c *Conn) int { return int(c.fd) }

// LoopsOf is how many loops share the sockets of a set on so many processors.
func LoopsOf(processors int) int { return loopsOf(processors) }

// Sets is how many sets g has.
func Sets(g *Group) int { return len(g.sets) }
