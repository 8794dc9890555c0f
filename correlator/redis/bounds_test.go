package redis

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"syncgate/correlator"
)

// TestCleanerIsBounded: while Redis is away, what waits to be removed does not grow without end.
func TestCleanerIsBounded(t *testing.T) {
	c := newCleaner(nil, correlator.NewNodeID())
	expiry := time.Now().Add(time.Hour)
	for i := range cleanQueue + 1000 {
		c.heard(strconv.Itoa(i))
		c.drop(correlator.NewID(c.node, expiry))
	}
	if len(c.entries) != cleanQueue || len(c.trips) != cleanQueue {
		t.Errorf("%d entries and %d trips wait", len(c.entries), len(c.trips))
	}
}

// TestForgottenStaysForgotten: a trip that is to be marked is, whatever else is to be removed of it.
func TestForgottenStaysForgotten(t *testing.T) {
	c := newCleaner(nil, correlator.NewNodeID())
	id := correlator.NewID(c.node, time.Now().Add(time.Hour))
	c.drop(id)
	c.forget(id)
	c.drop(id)
	entries, trips := c.batch()
	c.drop(id)
	c.done(entries, trips, correlator.ErrUnavailable)
	if _, trips = c.batch(); trips[id] <= 0 {
		t.Error("only to be dropped")
	}
}

// TestCleanerKnowsWhatItRemoves: until it is removed, nobody has to fetch it again.
func TestCleanerKnowsWhatItRemoves(t *testing.T) {
	c := newCleaner(nil, correlator.NewNodeID())
	c.heard("e")
	if !c.knows("e") || c.knows("f") {
		t.Error("waiting")
	}
	entries, trips := c.batch()
	if !c.knows("e") {
		t.Error("being removed")
	}
	c.done(entries, trips, nil)
	if c.knows("e") {
		t.Error("removed")
	}
}

// TestLedgerIsEmptyAtTheEnd: in whatever order callbacks and closes come, nothing is left of a trip.
func TestLedgerIsEmptyAtTheEnd(t *testing.T) {
	l := newLedger()
	node := correlator.NewNodeID()
	outcomes := []correlator.Disposition{correlator.Written, correlator.Held, correlator.Gone}
	var all sync.WaitGroup
	handOver := func(id correlator.ID, op int) {
		h, first := l.enter(id, correlator.Callback{Op: op})
		if first {
			all.Go(func() { h.settle(outcomes[op]) })
		}
		d, err := h.wait(t.Context())
		if err != nil || d != outcomes[op] {
			t.Errorf("op %d: %v, %v", op, d, err)
		}
		if d == correlator.Held {
			l.stored(h)
		}
		l.close(id)
	}
	for range 500 {
		id := correlator.NewID(node, time.Now())
		for i := range 2 * len(outcomes) {
			all.Go(func() { handOver(id, i%len(outcomes)) })
		}
	}
	all.Wait()
	for i := range l.shards {
		if n := len(l.shards[i].trips); n > 0 {
			t.Errorf("%d trips left", n)
		}
	}
}

// TestLink follows what Ready says, and what counts as a miss.
func TestLink(t *testing.T) {
	var told []bool
	l := newLink(func(err error) { told = append(told, err == nil) })
	state := func(when string, ready bool) {
		t.Helper()
		if err := l.ready(); (err == nil) != ready || err != nil && !errors.Is(err, correlator.ErrUnavailable) {
			t.Errorf("%s: %v", when, err)
		}
	}
	probe := func(wantMisses int) string {
		t.Helper()
		text, misses := l.next()
		if misses != wantMisses {
			t.Errorf("%d misses, want %d", misses, wantMisses)
		}
		return text
	}
	lost := unavailable("listen", errUnsubscribed)
	state("at the start", false)
	probe(0) // nobody listens
	probe(0)
	l.up(io.NopCloser(nil))
	state("subscribed", false)
	first := probe(0)
	l.came("x")
	l.came("99")
	state("what is not a probe of ours has come", false)
	l.came(first)
	state("a probe has come", true)
	second := probe(0)
	state("the next one is under way", true)
	probe(1)
	state("it has not come", false)
	l.came(second)
	state("it has come too late", false)
	third := probe(2)
	l.came(third)
	state("the newest has come", true)
	probe(0)
	l.unsent(lost)
	state("it could not be sent", false)
	l.came(probe(0)) // the unsent one is no miss
	state("the one after it has come", true)
	probe(0)
	l.down(lost)
	state("the subscription is lost", false)
	last := probe(0)
	l.up(io.NopCloser(nil))
	l.came(probe(0)) // the ones before are no misses
	state("over the new one", true)
	l.close()
	l.came(last)
	state("closed", false)
	if l.up(io.NopCloser(nil)) {
		t.Error("subscribed when closed")
	}
	if want := []bool{true, false, true, false, true, false, true, false}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}
