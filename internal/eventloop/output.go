package eventloop

import "sync"

// keptOutput is up to what capacity, in bytes, the memory of what was pending is used again.
const keptOutput = 64 << 10

// output is what a connection's socket has not taken yet.
type output struct {
	b    []byte
	sent int // of b
}

// outputs are used again: a connection has one while something is pending.
var outputs = sync.Pool{New: func() any { return new(output) }}

func (q *output) size() int { return len(q.b) - q.sent }

// pend copies p behind what is pending.
func (c *Conn) pend(p []byte) {
	q := c.out
	if q == nil {
		q = outputs.Get().(*output) // only New fills the pool
		c.out = q
	}
	if q.sent >= len(q.b)/2 && len(q.b)+len(p) > cap(q.b) { // rather than to grow
		q.b = q.b[:copy(q.b, q.b[q.sent:])]
		q.sent = 0
	}
	q.b = append(q.b, p...)
}

// drop forgets what is pending.
func (c *Conn) drop() {
	q := c.out
	if q == nil {
		return
	}
	c.out = nil
	if cap(q.b) > keptOutput {
		return
	}
	q.b, q.sent = q.b[:0], 0
	outputs.Put(q)
}

// flush writes what is pending, unless the socket was full when it was tried last. The FIN that is to follow it follows.
func (c *Conn) flush() (done bool, err error) {
	if q := c.out; q != nil {
		if c.flags.has(full) {
			return false, nil
		}
		n, err := c.sysWrite(q.b[q.sent:])
		if err != nil {
			return false, err
		}
		if q.sent += n; q.size() > 0 {
			c.flags.set(full, true)
			return false, nil
		}
		c.drop()
	}
	if c.flags.has(finish) && !c.flags.has(finished) {
		c.flags.set(finished, true)
		return true, c.sysCloseWrite()
	}
	return true, nil
}
