package redis

import (
	"errors"
	"io"
	"sync"
	"time"
)

const (
	// steadyAfter is how long a node must have been ready before it believes that another one does not live: by then that one
	// has said so, whatever the same trouble did to it.
	steadyAfter = 5 * time.Second
	// grace is how long Redis may be out of reach before new trips are refused: what comes for them meanwhile waits in the inbox.
	grace = time.Second
	// reportAfter is how long a trouble lasts before it is reported, reportLatest how long one that may be the usual way of a start does.
	reportAfter  = time.Second
	reportLatest = 4 * time.Second
	// reportEvery is between the reports of two troubles, with a time in between when all was well. Within one trouble every other cause is
	// reported, but no more than reportMost.
	reportEvery = 10 * time.Second
	reportMost  = 8
)

var (
	errStarting = errors.New("not subscribed yet")
	errUnproven = errors.New("no probe has come back over the new subscription yet")
	errMissed   = errors.New("the last probe has not come back")
	errClosed   = errors.New("closed")
	errUnsteady = errors.New("not ready for long enough to know who lives")
)

// link is the state of the way by which callbacks come: the subscription, and the probes sent over it. A probe writes, publishes, and
// is heard: the link is ready while all three were true of the last one that has ended.
type link struct {
	changed func(error) // fixed; called with mu held

	mu           sync.Mutex // guards the rest
	subscription io.Closer  // nil while there is none
	unsubscribed error      // why there is none
	sent         uint64     // the last probe's number
	done, heard  uint64     // the last ones that were written and published, and that came back
	first        uint64     // the first one that could come back over this subscription
	misses       int        // probes that did not come back, one after the other
	trouble      error      // nil: ready
	since        time.Time  // when that became nil, or an error
	reached      bool       // it was ready once
	failing      time.Time  // since when probes cannot be written or published; zero: they can
	closed       bool
	reports      reports
}

// reports are what changed has heard.
type reports struct {
	timer  *time.Timer     // runs while there is trouble
	causes map[string]bool // of this trouble, by text; nil: it was not reported
	last   time.Time       // the last trouble's first
}

func newLink(changed func(error)) *link {
	if changed == nil {
		changed = func(error) {}
	}
	l := &link{changed: changed, unsubscribed: unready(stepSubscribe, errStarting), since: time.Now()}
	l.trouble = l.unsubscribed
	l.mu.Lock() // report reads it
	defer l.mu.Unlock()
	l.reports.timer = time.AfterFunc(reportAfter, l.report)
	return l
}

func (l *link) ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trouble
}

// reachable is nil while Redis takes what is written, or did so a moment ago. A subscription that is replaced does not matter.
func (l *link) reachable() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.trouble == nil || l.reached && !l.closed && (l.failing.IsZero() || time.Since(l.failing) < grace) {
		return nil
	}
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
	l.heard, l.misses, l.first = l.sent, 0, l.sent+1 // what was sent over the old one does not come over this one
	if l.failing.IsZero() {                          // else it is still the probes that are the trouble
		l.set(unready(stepProbe, errUnproven))
	}
	return true
}

// down says that the subscription has ended, or could not be had.
func (l *link) down(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subscription = nil
	l.unsubscribed = err
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
	l.reports.timer.Stop()
	l.set(unready(stepProbe, errClosed))
	l.mu.Unlock()
	l.cut()
}

// next counts the probes that did not come back, and gives the number of the next one.
func (l *link) next() (number uint64, misses int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.subscription != nil && l.sent > l.heard {
		l.misses++
		l.set(unready(stepProbe, errMissed))
	} else {
		l.misses = 0
	}
	l.sent++
	return l.sent, l.misses
}

// published says that the last probe was written and published.
func (l *link) published() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done, l.failing = l.sent, time.Time{}
	l.judge()
}

// unsent says that the last probe could not be written or published: that it does not come back says nothing about the subscription.
func (l *link) unsent(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = l.sent
	if l.failing.IsZero() {
		l.failing = time.Now()
	}
	if l.subscription == nil { // one cause at a time: that is the first one to know
		err = l.unsubscribed
	}
	l.set(err)
}

// came takes the number of a probe that came back.
func (l *link) came(n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n > l.sent || l.subscription == nil { // not ours, or too late to tell anything
		return
	}
	l.heard = max(l.heard, n)
	l.judge()
}

// judge notes that all is well, if it is. The caller holds the mutex.
func (l *link) judge() {
	if l.done == l.sent && l.heard == l.sent && l.heard >= l.first && l.subscription != nil && !l.closed {
		l.set(nil)
	}
}

// set notes the state, and has it reported. The caller holds the mutex.
func (l *link) set(trouble error) {
	was, now := l.trouble, time.Now()
	l.trouble = trouble
	first := trouble == nil && !l.reached
	l.reached = l.reached || first
	if (was == nil) != (trouble == nil) {
		l.since = now
	}
	switch {
	case l.closed: // who closes it knows
	case trouble == nil && was != nil:
		l.reports.timer.Stop()
		if l.reports.causes != nil || first {
			l.reports.causes = nil
			l.changed(nil)
		}
	case trouble != nil && was == nil:
		l.reports.timer.Reset(max(reportAfter, reportEvery-now.Sub(l.reports.last)))
	case trouble != nil && l.reports.causes != nil:
		l.tell()
	}
}

// report reports a trouble that has lasted.
func (l *link) report() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.trouble == nil || l.closed || l.reports.causes != nil {
		return
	}
	if isPassing(l.trouble) && time.Since(l.since) < reportLatest {
		l.reports.timer.Reset(reportAfter)
		return
	}
	l.reports.last, l.reports.causes = time.Now(), make(map[string]bool)
	l.tell()
}

// tell reports the trouble unless this cause was, since all was well. The caller holds the mutex.
func (l *link) tell() {
	cause := l.trouble.Error()
	if isPassing(l.trouble) && len(l.reports.causes) > 0 || l.reports.causes[cause] || len(l.reports.causes) >= reportMost {
		return
	}
	l.reports.causes[cause] = true
	l.changed(l.trouble)
}

// isPassing reports whether a trouble is a step on the way to a connection and says nothing of a cause.
func isPassing(err error) bool {
	for _, passing := range []error{errStarting, errUnproven, errUnsubscribed} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}
