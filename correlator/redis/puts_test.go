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

// ownKey is the callback key of all tests.
const ownKey = "the callback key of all nodes of a test"

func ownKeys(t testing.TB) *correlator.Keys {
	t.Helper()
	keys, err := correlator.NewKeys([]string{ownKey})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func ownTags(t testing.TB) *tags {
	t.Helper()
	return &tags{keys: ownKeys(t)}
}

// open makes a store on s that is closed at the end of the test.
func open(t testing.TB, url string, change ...func(*Config)) *store {
	t.Helper()
	cfg := Default()
	cfg.URL = url
	for _, c := range change {
		c(&cfg)
	}
	s, err := newStore(cfg, ownTags(t))
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
	return &write{id: id, cb: complete(0, body), when: always, announce: true, since: time.Now()}
}

// relay has a callback stored and announced, and waits for what becomes of it until ctx ends.
func relay(ctx context.Context, b *batcher, id correlator.ID) error {
	w, done := announced(id, `1`), make(chan error, 1)
	w.done = func(w *write) { done <- w.err }
	b.add(w)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
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
		one, rest, err := ownTags(t).parseSaid(home, message)
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
		s.probe(ctx, home, 1), s.probe(ctx, second, 1),
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
		{"where somebody has written something else", announced(taken, `4`), kept, false, `4`},
		{"larger than all others", announced(idOf(home), large), kept, false, toBeFetched},
		{"first of two", announced(repeated, `5`), kept, false, `5`},
		{"second of two", announced(repeated, `6`), kept, false, `5`},
		{"of a home that lives", &write{id: idOf(home), cb: complete(7, `7`), when: ifAlive, announce: true, since: time.Now()}, kept, false, `7`},
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
		had := c.w.standing
		if (had != nil) != (c.w.id == full || c.w == batch[6]) || c.w.id == full && string(had.Body) != `"earlier"` || c.w == batch[6] && string(had.Body) != `5` {
			t.Errorf("%s: stored before: %v", c.what, had)
		}
	}
	for _, w := range batch {
		w.since = time.Now()
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

// TestMessagesAreBounded: what a message may hold is small enough for the buffers of a subscriber (Redis's default gives it up at
// 8 MiB), and all of it is in the inbox.
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
	if len(heard) != batchMost || len(all) != 1 || longest > 300<<10 {
		t.Errorf("%d callbacks in %d messages of at most %d bytes", len(heard), len(all), longest)
	}
	waiting, _, err := s.unread(t.Context(), home, 0)
	if err != nil || len(waiting) != batchMost {
		t.Errorf("%d are in the inbox, %v", len(waiting), err)
	}
}

// TestInboxIsATable: Redis does not search a list for each callback, however small they are.
func TestInboxIsATable(t *testing.T) {
	s := open(t, redistest.Start(t).URL())
	home := correlator.NewNodeID()
	s.putAll(t.Context(), []*write{announced(idOf(home), ``)})
	if encoding := s.client.ObjectEncoding(t.Context(), s.inbox(home)).Val(); encoding != "hashtable" {
		t.Errorf("the inbox is a %s", encoding)
	}
}

// TestFirstOneStands: whatever is stored and where, the first callback of an op counts, and no other one is announced.
func TestFirstOneStands(t *testing.T) {
	s := open(t, redistest.Start(t).URL())
	home, large := correlator.NewNodeID(), strings.Repeat("x", inlineValue)
	channel := listenTo(t, s, home)
	for _, c := range []struct{ what, first, second string }{
		{"small, small", `1`, `2`},
		{"small, large", `1`, large},
		{"large, small", large, `2`},
		{"large, large", large, large + "y"},
	} {
		id := idOf(home)
		first, second := announced(id, c.first), announced(id, c.second)
		s.putAll(t.Context(), []*write{first})
		s.putAll(t.Context(), []*write{second, announced(idOf(home), `of another trip`)})
		if first.result != kept || second.result != kept || first.err != nil || second.err != nil {
			t.Errorf("%s: %+v, %+v", c.what, first, second)
		}
		if _, heard := messages(t, channel, home); len(heard) != 2 {
			t.Errorf("%s: %d were announced", c.what, len(heard))
		}
		if rec := recordOf(t, s, id, correlator.Callback{}); string(rec.Finals[0].Body) != c.first {
			t.Errorf("%s: the record has %.20q", c.what, rec.Finals[0].Body)
		}
	}
}

// TestFirstOfABatchStands: two of the same op may come in one batch.
func TestFirstOfABatchStands(t *testing.T) {
	s := open(t, redistest.Start(t).URL())
	home := correlator.NewNodeID()
	channel, id := listenTo(t, s, home), idOf(home)
	s.putAll(t.Context(), []*write{announced(idOf(home), `0`), announced(id, `1`), announced(id, `2`)})
	if _, heard := messages(t, channel, home); len(heard) != 2 || heard[entry{id, 0}] != `1` {
		t.Errorf("announced: %v", heard)
	}
	if rec := recordOf(t, s, id, correlator.Callback{}); string(rec.Finals[0].Body) != `1` {
		t.Errorf("the record has %s", rec.Finals[0].Body)
	}
}

// recordOf stores a record with one final, or none, and reads it.
func recordOf(t *testing.T, s *store, id correlator.ID, final correlator.Callback) correlator.Record {
	t.Helper()
	if _, err := s.record(t.Context(), id, correlator.Record{Finals: []correlator.Callback{final}}, always); err != nil {
		t.Fatal(err)
	}
	rec, err := s.lookup(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// TestRecordTakesWhatWaits: a callback that its home has not heard yet is in a record that is stored meanwhile, but for ops whose
// final the trip knows; and one that comes later is added to it.
func TestRecordTakesWhatWaits(t *testing.T) {
	s := open(t, redistest.Start(t).URL())
	home := correlator.NewNodeID()
	id := idOf(home)
	for op := range 3 {
		w := announced(id, fmt.Sprintf(`"waits %d"`, op))
		w.cb.Op = op
		s.putAll(t.Context(), []*write{w})
	}
	rec := correlator.Record{Finals: make([]correlator.Callback, 4)}
	rec.Finals[1] = complete(1, `"known"`)
	if _, err := s.record(t.Context(), id, rec, always); err != nil {
		t.Fatal(err)
	}
	late := announced(id, `"late"`)
	late.cb.Op = 3
	s.putAll(t.Context(), []*write{late})
	rec, err := s.lookup(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for op, want := range []string{`"waits 0"`, `"known"`, `"waits 2"`, `"late"`} {
		if got := string(rec.Finals[op].Body); got != want {
			t.Errorf("op %d: %s, want %s", op, got, want)
		}
	}
	if !rec.Complete() {
		t.Error("it is complete")
	}
	if ttl := s.client.PTTL(t.Context(), s.trip(id)).Val(); ttl <= 59*time.Minute || ttl > s.retention {
		t.Errorf("it is kept for %v, want %v", ttl, s.retention)
	}
}

// TestBatchesAreBounded: a batch has so many callbacks and so many bytes, but at least one callback; who has waited for too long
// takes no room.
func TestBatchesAreBounded(t *testing.T) {
	b := newBatcher(&store{timeout: time.Second})
	home, gone := correlator.NewNodeID(), announced(correlator.ID{}, "")
	gone.since = time.Now().Add(-2 * time.Second)
	small, large, huge := announced(idOf(home), `1`), announced(idOf(home), strings.Repeat("x", 600<<10)), announced(idOf(home), strings.Repeat("x", 3<<20))
	q := &queue{flights: 1}
	q.waiting = slices.Concat(slices.Repeat([]*write{small, gone}, 70), []*write{large, gone, large, huge, small, gone})
	var sizes []int
	late := 0
	for batch, more := b.next(q); len(batch) > 0; batch, more = b.next(q) {
		sizes, late = append(sizes, len(batch)), late+len(more)
		if slices.Contains(batch, gone) {
			t.Error("its time is over")
		}
	}
	if fmt.Sprint(sizes) != "[64 7 1 1 1]" {
		t.Errorf("batches of %v", sizes)
	}
	if q.flights != 0 || len(q.waiting) != 0 || late < 71 {
		t.Errorf("left over: %+v; %d were late", q, late)
	}
}

// TestQueuesOfACluster: what has another home goes another way, and a batch that is stuck holds up nobody who comes later.
func TestQueuesOfACluster(t *testing.T) {
	server := redistest.StartCluster(t)
	s := open(t, server.URL(), func(c *Config) { c.Mode = Cluster })
	b := newBatcher(s)
	stuck := correlator.NewNodeID()
	b.queues[stuck] = &queue{name: stuck, flights: 1, departed: time.Now().Add(time.Hour)} // it has just left, and does not come back
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := relay(ctx, b, idOf(stuck)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("behind it: %v", err)
	}
	if err := relay(t.Context(), b, idOf(correlator.NewNodeID())); err != nil {
		t.Errorf("of another home: %v", err)
	}
	b.mu.Lock()
	b.queues[stuck].departed = time.Now().Add(-2 * lateAfter)
	b.mu.Unlock()
	if err := relay(t.Context(), b, idOf(stuck)); err != nil {
		t.Errorf("after a while: %v", err)
	}
	b.close()
	if len(b.queues) != 1 || b.queues[stuck].flights != 1 {
		t.Errorf("left over: %v", b.queues)
	}
	if err := relay(t.Context(), b, idOf(stuck)); !errors.Is(err, errClosed) {
		t.Errorf("after the end: %v", err)
	}
}
