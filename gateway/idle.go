package gateway

import (
	"errors"
	"time"
)

// Who holds a connection that fasthttp has served, between two requests. For a moment it is fasthttp's goroutine, so that a
// busy connection costs nothing; then the read that waits for the next request ends with an error, fasthttp closes the
// connection, and closing one that is set aside gives it to the loops instead.

// restAfter is how long a connection is idle before it is set aside. To set aside and serve on takes about a third of a
// trip's CPU; a goroutine that waits is three times the memory of a connection without.
const restAfter = 250 * time.Millisecond

// errAside ends fasthttp's wait for the next request on a connection that is set aside.
var errAside = errors.New("gateway: the connection is set aside")

// canRest reports whether c can be held without a goroutine.
func (c *conn) canRest() bool {
	return c.raw != nil && len(c.l.g.loops.sets) > 0
}

// await is a Read for the first byte of a next request: it ends after a moment. All that layers below have read is read by
// then, so that nothing but the socket can tell of more.
func (c *conn) await(p []byte) (n int, err error) {
	now := time.Now()
	moment := now.Add(restAfter)
	rests := moment.Before(c.readBy) && c.canRest()
	if rests {
		c.lazy = false
		err = c.Conn.SetReadDeadline(moment)
	} else {
		err = c.setReadDeadline()
	}
	if err != nil {
		return 0, err
	}
	n, err = c.receive(p)
	if rests && err != nil && isTimeout(err) {
		c.aside.Store(true)
		return 0, errAside
	}
	c.between = false
	return n, c.note(err)
}

// goOn holds a connection after the reply to a long wait, until its next request.
func (c *conn) goOn() {
	c.readBy = time.Now().Add(c.l.g.cfg.Listen.IdleTimeout)
	if c.plain && len(c.ahead) == 0 && c.l.g.loops.adopt(c, c.readBy) {
		return
	}
	c.serve()
}

// serve has fasthttp serve the connection on. It waits for the next request until readBy.
func (c *conn) serve() {
	if c.l.closing.Load() {
		_ = c.Close()
		return
	}
	c.resumed = true
	_ = c.l.server.ServeConn(c) // its errors are about one client, and it has closed the connection
}
