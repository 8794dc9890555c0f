package redis

import (
	"slices"
	"sync"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/internal/redistest"
)

// TestCleanerIsBounded: while Redis is away, what waits to be removed does not grow without end.
func TestCleanerIsBounded(t *testing.T) {
	c := newCleaner(nil, correlator.NewNodeID())
	for range cleanQueue + 1000 {
		e := entry{id: correlator.NewID(c.node, time.Now())}
		c.heard(e, false)
		c.heard(e, true)
		c.drop(e.id)
	}
	if len(c.waiting) != cleanQueue {
		t.Errorf("%d trips wait", len(c.waiting))
	}
	for id, s := range c.waiting {
		if len(s.heard) != 1 {
			t.Fatalf("%v: %+v", id, s)
		}
	}
}

// TestCleanerForgetsNothing: what a batch could not remove waits on, with what has come since.
func TestCleanerForgetsNothing(t *testing.T) {
	c := newCleaner(nil, correlator.NewNodeID())
	id := correlator.NewID(c.node, time.Now().Add(time.Hour))
	c.heard(entry{id: id, op: 1}, false)
	c.forget(id)
	c.drop(id)
	if b := c.batch(); len(b) != 1 || len(c.batch()) != 0 {
		t.Fatalf("batch %v", b)
	}
	c.leaving = map[correlator.ID]settled{id: {heard: []int{1}, over: true, forgotten: 1000}}
	c.heard(entry{id: id, op: 2}, false)
	if !c.knows(entry{id: id, op: 1}) || !c.knows(entry{id: id, op: 2}) || c.knows(entry{id: id, op: 3}) {
		t.Error("does not know what it removes")
	}
	c.done(correlator.ErrUnavailable)
	s := c.batch()[id]
	slices.Sort(s.heard)
	if !slices.Equal(s.heard, []int{1, 2}) || !s.over || s.forgotten != 1000 {
		t.Errorf("%+v", s)
	}
	c.done(nil)
	if c.knows(entry{id: id, op: 1}) || len(c.batch()) > 0 {
		t.Error("something is left")
	}
}

// TestMarkOfForgottenStays: neither a later drop nor a callback takes the mark away.
func TestMarkOfForgottenStays(t *testing.T) {
	server := redistest.Start(t)
	cfg := Default()
	cfg.URL = server.URL()
	s, err := newStore(cfg, ownTags(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.client.Close() })
	node := correlator.NewNodeID()
	id := correlator.NewID(node, time.Now().Add(time.Hour))
	put := func(when rule) putting {
		t.Helper()
		w := &write{id: id, cb: correlator.Callback{Status: correlator.Complete}, when: when, since: time.Now()}
		if s.putAll(t.Context(), []*write{w}); w.err != nil {
			t.Fatal(w.err)
		}
		return w.result
	}
	settle := func(of settled) {
		t.Helper()
		if err := s.settle(t.Context(), node, map[correlator.ID]settled{id: of}); err != nil {
			t.Fatal(err)
		}
	}
	if put(always) != kept || put(ifRecorded) != notKept {
		t.Error("before")
	}
	settle(settled{heard: []int{0}})
	if put(always) != kept {
		t.Error("still needed")
	}
	settle(settled{over: true, forgotten: 60_000})
	settle(settled{over: true})
	if put(always) != notKept {
		t.Error("after")
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
