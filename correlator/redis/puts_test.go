package redis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"syncgate/correlator"
	"syncgate/internal/redistest"
)

// open makes a store on s that is closed at the end of the test.
func open(t testing.TB, url string, change ...func(*Config)) *store {
	t.Helper()
	cfg := Default()
	cfg.URL = url
	for _, c := range change {
		c(&cfg)
	}
	s, err := newStore(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.client.Close() })
	return s
}

func idOf(home correlator.NodeID) correlator.ID {
	return correlator.NewID(home, time.Now().Add(time.Hour))
}

func complete(op int, body string) correlator.Callback {
	return correlator.Callback{Op: op, Status: correlator.Complete, Body: []byte(body)}
}

// announced is a callback on its way to another node.
func announced(id correlator.ID, body string) *write {
	return &write{id: id, cb: complete(0, body), when: always, announce: true}
}

// messages reads all that came over a channel until nothing more comes, and what was announced by it.
func messages(t *testing.T, channel *goredis.PubSub, home correlator.NodeID) (all []string, heard map[entry]string) {
	t.Helper()
	heard = make(map[entry]string)
	for {
		received, err := channel.ReceiveTimeout(t.Context(), 200*time.Millisecond)
		if err != nil {
			return all, heard
		}
		if m, is := received.(*goredis.Message); is {
			all = append(all, m.Payload)
			understand(t, home, m.Payload, heard)
		}
	}
}

func understand(t *testing.T, home correlator.NodeID, message string, heard map[entry]string) {
	t.Helper()
	for message != "" {
		one, rest, err := parseSaid(home, message)
		if err != nil {
			t.Fatalf("%q: %v", message, err)
		}
		if _, again := heard[one.entry]; again {
			t.Errorf("%v was announced twice", one.entry)
		}
		heard[one.entry] = toBeFetched
		if one.cb != nil {
			heard[one.entry] = string(one.cb.Body)
		}
		message = rest
	}
}

const toBeFetched = "(to be fetched)"

func listenTo(t *testing.T, s *store, home correlator.NodeID) *goredis.PubSub {
	t.Helper()
	channel, err := s.subscribe(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = channel.Close() })
	return channel
}

// TestBatchOfAllKinds: callbacks of one batch have nothing to do with each other. Each has its own home, rule and result.
func TestBatchOfAllKinds(t *testing.T) {
	s := open(t, redistest.Start(t).URL())
	home, second, dead := correlator.NewNodeID(), correlator.NewNodeID(), correlator.NewNodeID()
	ctx := t.Context()
	forgotten, taken, recorded, full := idOf(home), idOf(home), idOf(home), idOf(home)
	if err := errors.Join(
		s.probe(ctx, home, "1"), s.probe(ctx, second, "1"),
		s.settle(ctx, home, map[correlator.ID]settled{forgotten: {over: true, forgotten: 60_000}}),
		s.client.Set(ctx, s.trip(taken), "of somebody else", time.Minute).Err(),
	); err != nil {
		t.Fatal(err)
	}
	for id, final := range map[correlator.ID]correlator.Callback{recorded: {}, full: complete(0, `"earlier"`)} {
		if _, err := s.record(ctx, id, correlator.Record{Finals: []correlator.Callback{final}}, always); err != nil {
			t.Fatal(err)
		}
	}
	channel, other := listenTo(t, s, home), listenTo(t, s, second)
	repeated, large := idOf(home), strings.Repeat("x", 3<<20)
	cases := []sent{
		{"new", announced(idOf(home), `1`), kept, false, `1`},
		{"forgotten", announced(forgotten, `2`), notKept, false, ""},
		{"of another home", announced(idOf(second), `3`), kept, false, `3`},
		{"where there is no trip", announced(taken, `4`), notKept, true, ""},
		{"larger than all others", announced(idOf(home), large), kept, false, toBeFetched},
		{"first of two", announced(repeated, `5`), kept, false, `5`},
		{"second of two", announced(repeated, `6`), kept, false, `5`},
		{"of a home that lives", &write{id: idOf(home), cb: complete(7, `7`), when: ifAlive, announce: true}, kept, false, `7`},
		{"of a home that does not", &write{id: idOf(dead), cb: complete(0, `8`), when: ifAlive, announce: true}, notAlive, false, ""},
		{"without a record", &write{id: idOf(home), cb: complete(0, `9`), when: ifRecorded}, notKept, false, ""},
		{"with one", &write{id: recorded, cb: complete(0, `10`), when: ifRecorded}, kept, false, ""},
		{"that the record has", &write{id: full, cb: complete(0, `11`), when: ifRecorded}, kept, false, ""},
		{"after all these", announced(idOf(home), `12`), kept, false, `12`},
	}
	var batch []*write
	for _, c := range cases {
		batch = append(batch, c.w)
	}
	s.putAll(t.Context(), batch)
	_, heard := messages(t, channel, home)
	_, more := messages(t, other, second)
	maps.Copy(heard, more)
	for _, c := range cases {
		c.check(t, heard)
		if had := c.w.earlier; (had != nil) != (c.w.id == full) || had != nil && string(had.Body) != `"earlier"` {
			t.Errorf("%s: stored before: %v", c.what, had)
		}
	}
	s.putAll(t.Context(), batch) // once more, as after a time-out
	if again, _ := messages(t, channel, home); len(again) > 0 {
		t.Errorf("announced again: %.100q", again)
	}
}

// sent is one callback of a batch, and what is to become of it.
type sent struct {
	what      string
	w         *write
	result    putting
	fails     bool
	announces string // what the home hears of this op; empty: nothing
}

func (c sent) check(t *testing.T, heard map[entry]string) {
	t.Helper()
	if c.w.result != c.result || (c.w.err != nil) != c.fails {
		t.Errorf("%s: %v, %v", c.what, c.w.result, c.w.err)
	}
	if got := heard[entry{c.w.id, c.w.cb.Op}]; got != c.announces {
		t.Errorf("%s: announced as %.20q, want %q", c.what, got, c.announces)
	}
}

// TestMessagesAreBounded: a batch of large values is announced by several messages, and all of it is in the inbox.
func TestMessagesAreBounded(t *testing.T) {
	s := open(t, redistest.Start(t).URL())
	home := correlator.NewNodeID()
	channel := listenTo(t, s, home)
	var batch []*write
	for range batchMost {
		batch = append(batch, announced(idOf(home), strings.Repeat("x", inlineValue-1)))
	}
	s.putAll(t.Context(), batch)
	all, heard := messages(t, channel, home)
	longest := 0
	for _, m := range all {
		longest = max(longest, len(m))
	}
	if len(heard) != batchMost || longest > messageBytes+inlineValue+batchMost*50 {
		t.Errorf("%d callbacks in %d messages of at most %d bytes", len(heard), len(all), longest)
	}
	sizes, _, err := s.unread(t.Context(), home, 0)
	if err != nil || len(sizes) != batchMost {
		t.Errorf("%d are in the inbox, %v", len(sizes), err)
	}
}

// TestBatchesAreBounded: a batch has so many callbacks and so many bytes, but at least one callback; those who left take no room.
func TestBatchesAreBounded(t *testing.T) {
	b := newBatcher(&store{timeout: time.Second})
	home, gone := correlator.NewNodeID(), announced(correlator.ID{}, "")
	gone.left.Store(true)
	small, large, huge := announced(idOf(home), `1`), announced(idOf(home), strings.Repeat("x", 600<<10)), announced(idOf(home), strings.Repeat("x", 3<<20))
	q := &queue{flights: 1}
	q.waiting = slices.Concat(slices.Repeat([]*write{small, gone}, 70), []*write{large, gone, large, huge, small, gone})
	var sizes []int
	for batch := b.next(q, 0); len(batch) > 0; batch = b.next(q, len(batch)) {
		sizes = append(sizes, len(batch))
		if slices.Contains(batch, gone) {
			t.Error("nobody waits for it")
		}
	}
	if fmt.Sprint(sizes) != "[64 7 1 1 1]" {
		t.Errorf("batches of %v", sizes)
	}
	if q.flights != 0 || q.riding != 0 || len(q.waiting) != 0 {
		t.Errorf("left over: %+v", q)
	}
}

// TestQueuesOfACluster: what has another home goes another way, and a batch that is stuck holds up nobody who comes later.
func TestQueuesOfACluster(t *testing.T) {
	server := redistest.StartCluster(t)
	s := open(t, server.URL(), func(c *Config) { c.Mode = Cluster })
	b := newBatcher(s)
	stuck := correlator.NewNodeID()
	b.queues[stuck] = &queue{name: stuck, flights: 1, riding: 10, departed: time.Now().Add(time.Hour)} // it has just left, and does not come back
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := b.put(ctx, idOf(stuck), complete(0, `1`), always, true); !errors.Is(err, correlator.ErrUnavailable) {
		t.Errorf("behind it: %v", err)
	}
	if _, _, err := b.put(t.Context(), idOf(correlator.NewNodeID()), complete(0, `1`), always, true); err != nil {
		t.Errorf("of another home: %v", err)
	}
	b.mu.Lock()
	b.queues[stuck].departed = time.Now().Add(-2 * lateAfter)
	b.mu.Unlock()
	if _, _, err := b.put(t.Context(), idOf(stuck), complete(0, `1`), always, true); err != nil {
		t.Errorf("after a while: %v", err)
	}
	b.close()
	if len(b.queues) != 1 || b.queues[stuck].flights != 1 {
		t.Errorf("left over: %v", b.queues)
	}
	if _, _, err := b.put(t.Context(), idOf(stuck), complete(0, `1`), always, true); !errors.Is(err, correlator.ErrUnavailable) {
		t.Errorf("after the end: %v", err)
	}
}
