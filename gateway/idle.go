package gateway

import (
	"errors"
	"time"
)

// Who holds a connection between two requests. For a moment it is fasthttp's goroutine, so that a busy connection costs
// nothing; then the read that waits for the next request ends with an error, fasthttp closes the connection, and closing
// one that is set aside gives it to the watcher instead. It is served on when bytes come, when the peer hangs up, and when
// its time is over: whatever there is to read, fasthttp reads it.

// restAfter is how long a connection is idle before it is set aside. To set aside and serve on takes about a third of a
// trip's CPU; a goroutine that waits is three times the memory of a connection without.
const restAfter = 250 * time.Millisecond

// errAside ends fasthttp's wait for the next request on a connection that is set aside.
var errAside = errors.New("gateway: the connection is set aside")

// canRest reports whether c can be held without a goroutine.
func (c *conn) canRest() bool {
	return canTellReadable && c.raw != nil && c.l.g.watcher.set != nil
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
	if c.plain && len(c.ahead) == 0 && c.canRest() && c.l.g.watcher.rest(c) {
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

// rest takes in a connection that idles; what has come meanwhile is told at once. False: it is still its owner's.
func (w *watcher) rest(c *conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.l.closing.Load() || !w.enter(c, tellReadable) {
		return false
	}
	c.watch.older = w.newest
	if w.newest != nil {
		w.newest.watch.newer = c
	} else {
		w.oldest = c
	}
	w.newest = c
	return true
}

// unlink takes c from among those that idle. Called with mu held.
func (w *watcher) unlink(c *conn) {
	older, newer := c.watch.older, c.watch.newer
	if older != nil {
		older.watch.newer = newer
	} else {
		w.oldest = newer
	}
	if newer != nil {
		newer.watch.older = older
	} else {
		w.newest = older
	}
}

// retire has those served on that have idled for too long: fasthttp finds the deadline passed and closes them. All idle
// equally long, so that none is more than a moment behind an older one.
func (w *watcher) retire(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := w.oldest; c != nil && !now.Before(c.readBy); c = w.oldest {
		w.drop(c)
		go c.serve()
	}
}

// dismiss closes the idle connections of a listener that is closing: from now on it sets none aside.
func (w *watcher) dismiss(l *listener) {
	l.closing.Store(true)
	var idle []*conn
	w.mu.Lock()
	for c := w.oldest; c != nil; c = c.watch.newer {
		if c.l == l {
			idle = append(idle, c)
		}
	}
	for _, c := range idle {
		w.drop(c)
	}
	w.mu.Unlock()
	for _, c := range idle {
		_ = c.Close()
	}
}
