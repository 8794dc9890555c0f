package redis

import (
	"errors"
	"io"
	"testing"

	"syncgate/correlator"
)

// TestLink follows what Ready says, and what counts as a miss.
func TestLink(t *testing.T) {
	l := &followed{t: t}
	l.link = newLink(func(err error) { l.told = append(l.told, err == nil) })
	l.state("at the start", false)
	l.probe(0) // nobody listens
	l.probe(0)
	l.up(io.NopCloser(nil))
	l.state("subscribed", false)
	first := l.probe(0)
	l.came(99)
	l.state("what is not a probe of ours has come", false)
	l.came(first)
	l.state("a probe has come", true)
	second := l.probe(0)
	l.state("the next one is under way", true)
	l.probe(1)
	l.state("it has not come", false)
	l.came(second)
	l.state("it has come too late", false)
	l.came(l.probe(2))
	l.state("the newest has come", true)
	l.probe(0)
	l.unsent(errLostLink())
	l.state("it could not be sent", false)
	l.came(l.probe(0)) // the unsent one is no miss
	l.state("the one after it has come", true)
	for range 3 { // it may be published and not written
		number, _ := l.next()
		l.came(number)
		l.unsent(errLostLink())
		l.came(number)
		l.state("one has come that could not be written", false)
	}
	l.came(l.probe(0))
	l.state("all is well again", true)
	if len(l.told) != 1 || !l.told[0] {
		t.Errorf("told %v, want that it is ready, and nothing of what lasted for no time", l.told)
	}
	l.close()
}

// TestLinkOverANewSubscription: what was sent over an old one counts for nothing.
func TestLinkOverANewSubscription(t *testing.T) {
	l := &followed{t: t, link: newLink(nil)}
	l.up(io.NopCloser(nil))
	l.came(l.probe(0))
	l.probe(0)
	l.down(errLostLink())
	l.state("the subscription is lost", false)
	last := l.probe(0)
	l.up(io.NopCloser(nil))
	l.came(last)
	l.published()
	l.state("what was sent before the new one is not heard over it", false)
	l.came(l.probe(0)) // the ones before are no misses
	l.state("over the new one", true)
	l.close()
	l.came(last)
	l.state("closed", false)
	if l.up(io.NopCloser(nil)) {
		t.Error("subscribed when closed")
	}
}

// followed is a link that is looked at after each step.
type followed struct {
	*link
	t    *testing.T
	told []bool
}

func errLostLink() error { return unavailable("listen", errUnsubscribed) }

func (f *followed) state(when string, ready bool) {
	f.t.Helper()
	if err := f.ready(); (err == nil) != ready || err != nil && !errors.Is(err, correlator.ErrUnavailable) {
		f.t.Errorf("%s: %v", when, err)
	}
}

// probe sends one that is published.
func (f *followed) probe(wantMisses int) uint64 {
	f.t.Helper()
	number, misses := f.next()
	if misses != wantMisses {
		f.t.Errorf("%d misses, want %d", misses, wantMisses)
	}
	f.published()
	return number
}
