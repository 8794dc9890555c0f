package redis

import (
	"errors"
	"io"
	"sync"
	"time"
)

// steadyAfter is how long a node must have been ready before it believes that another one does not live: by then that one
// has said so, whatever the same trouble did to it.
const steadyAfter = 5 * time.Second

var (
	errStarting = errors.New("not subscribed yet")
	errUnproven = errors.New("no probe has come back over the new subscription yet")
	errMissed   = errors.New("the last probe has not come back")
	errClosed   = errors.New("closed")
	errUnsteady = errors.New("not ready for long enough to know who lives")
)

// link is the state of the way by which callbacks come: the subscription, and the probes sent over it.
type link struct {
	changed func(error) // fixed; called with mu held

	mu           sync.Mutex // guards the rest
	subscription io.Closer  // nil while there is none
	sent, heard  uint64     // the last probe's number
	misses       int        // probes that did not come back, one after the other
	trouble      error      // nil: ready
	since        time.Time  // ready since
	closed       bool
}

func newLink(changed func(error)) *link {
	if changed == nil {
		changed = func(error) {}
	}
	return &link{changed: changed, trouble: unavailable("subscribe", errStarting)}
}

func (l *link) ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trouble
}

// steady reports whether the link has been ready for a while.
func (l *link) steady() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trouble == nil && time.Since(l.since) >= steadyAfter
}

// up takes a confirmed subscription. It reports false when the link is closed.
func (l *link) up(s io.Closer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.subscription = s
	l.heard, l.misses = l.sent, 0 // what was sent over the old one does not come over this one
	l.set(unavailable("probe", errUnproven))
	return true
}

// down says that the subscription has ended, or could not be had.
func (l *link) down(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subscription = nil
	l.set(err)
}

// cut ends the subscription, so that the listener makes a new one.
func (l *link) cut() {
	l.mu.Lock()
	s := l.subscription
	l.mu.Unlock()
	if s != nil {
		_ = s.Close() // it may be closed already
	}
}

// close ends the subscription for good.
func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	l.set(unavailable("probe", errClosed))
	l.mu.Unlock()
	l.cut()
}

// next counts the probes that did not come back, and gives the number of the next one.
func (l *link) next() (number uint64, misses int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.subscription != nil && l.sent > l.heard {
		l.misses++
		l.set(unavailable("probe", errMissed))
	} else {
		l.misses = 0
	}
	l.sent++
	return l.sent, l.misses
}

// unsent says that a probe could not be sent: that it does not come back says nothing about the subscription.
func (l *link) unsent(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = l.sent
	l.set(err)
}

// came takes the number of a probe that came back.
func (l *link) came(n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n > l.sent || l.subscription == nil || l.closed { // not ours, or too late to tell anything
		return
	}
	l.heard = max(l.heard, n)
	if l.heard == l.sent {
		l.set(nil)
	}
}

// set notes the state and tells whoever wants to know. The caller holds the mutex.
func (l *link) set(trouble error) {
	was := l.trouble
	l.trouble = trouble
	if (was == nil) == (trouble == nil) || l.closed { // whoever closes it knows
		return
	}
	if trouble == nil {
		l.since = time.Now()
	}
	l.changed(trouble)
}
