package correlatortest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"syncgate/correlator"
)

// progressing is the part of the contract that is about what engines report of their work.
func progressing() map[string]func(*testing.T, Start) {
	return map[string]func(*testing.T, Start){
		"what is reported is merged and numbered":         merges,
		"what is reported without a record is not kept":   keepsNoProgress,
		"the parked trip hears what is reported":          parkedHearsProgress,
		"what is reported of a trip that is over is kept": keepsLateProgress,
		"merged progress is bounded":                      boundsProgress,
		"of what is reported at once none is lost":        losesNoProgress,
		"what was reported goes with its record":          progressGoes,
		"a record that is saved later keeps what comes":   savedLater,
	}
}

// event is what an engine reports of an op.
func event(op int, body string) correlator.Callback {
	return correlator.Callback{Op: op, Status: correlator.Progress, Body: []byte(body)}
}

// drainNow expels all that is parked.
func drainNow(t *testing.T, c correlator.Correlator) (drained chan error) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	drained = make(chan error, 1)
	go func() { drained <- c.Drain(ctx) }()
	return drained
}

// lookup reads a record.
func lookup(t *testing.T, c correlator.Correlator, id correlator.ID) correlator.Record {
	t.Helper()
	rec, err := keeper(t, c).Lookup(t.Context(), id)
	if err != nil {
		t.Fatalf("lookup: %v", err)
	}
	return rec
}

// claimed makes a record of a trip with so many ops, which is not parked.
func claimed(t *testing.T, n Nodes, ops int) correlator.ID {
	t.Helper()
	id := n.Home.NewID(soon())
	if _, err := keeper(t, n.Home).Claim(t.Context(), newKey(), fingerprint(""), id, open(ops, "meta")); err != nil {
		t.Fatal(err)
	}
	return id
}

func merges(t *testing.T, start Start) { //nolint:gocognit // one story, in its order
	n := start(t, Options{Retention: time.Hour, Progress: 1 << 20})
	id := claimed(t, n, 3)
	nodes := []correlator.Correlator{n.Home, n.Other}
	for _, c := range nodes {
		if rec := lookup(t, c, id); rec.Merged != nil || rec.Seq != 0 || rec.Last != nil {
			t.Errorf("nothing was reported: %s, %d", rec.Merged, rec.Seq)
		}
	}
	for i, cb := range []correlator.Callback{
		{Op: 0, Status: correlator.Started},
		event(0, ` { "b" : 1, "n":12345678901234567890.10 , "a" :"\u00e9<>&" } `),
		event(2, `{"of another":true}`),
		event(0, `[1,2]`),
		event(0, `"text"`),
		event(0, `{"\u0062":[ 1, {"x": 2}]}`),
		event(0, `{}`),
		event(0, `{"":null,"c":1,"c":2}`),
		{Op: 2, Status: correlator.Started, Body: []byte(`{"x":"\ud800","\ud800":1,"\ud801":2}`)},
	} {
		deliver(t, nodes[i%2], id, cb, nil)
	}
	for _, c := range nodes {
		rec := lookup(t, c, id)
		want := []string{
			`{"":null,"a":"\u00e9<>&","\u0062":[ 1, {"x": 2}],"c":2,"n":12345678901234567890.10}`, ``,
			`{"\ud800":1,"\ud801":2,"of another":true,"x":"\ud800"}`,
		}
		if rec.Seq != 9 || len(rec.Merged) != 3 {
			t.Fatalf("event %d, %q", rec.Seq, rec.Merged)
		}
		if last := []correlator.Status{correlator.Progress, correlator.Open, correlator.Started}; !slices.Equal(rec.Last, last) {
			t.Errorf("the last events say %v, want %v", rec.Last, last)
		}
		for op, object := range rec.Merged {
			if string(object) != want[op] {
				t.Errorf("op %d: %s, want %s", op, object, want[op])
			}
		}
		if rec.Complete() || string(rec.Meta) != "meta" {
			t.Errorf("the record: %v", rec)
		}
	}
	deliver(t, n.Other, id, Final(0, `{"done":1}`), nil)
	supersedes(t, n.Home, id, event(0, `{"late":1}`), correlator.Complete)
	deliver(t, n.Home, id, event(1, `{"other":1}`), nil)
	if rec := lookup(t, n.Other, id); strings.Contains(string(rec.Merged[0]), "late") || rec.Seq != 10 || string(rec.Finals[0].Body) != `{"done":1}` {
		t.Errorf("the record: %v", rec)
	}
}

func keepsNoProgress(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	closed := park(t, n, Always(correlator.Held))
	n.Home.Close(closed)
	id := claimed(t, n, 1)
	for _, by := range []correlator.Correlator{n.Home, n.Other} {
		for _, id := range []correlator.ID{closed, n.Home.NewID(soon()), correlator.NewID(correlator.NewNodeID(), soon())} {
			deliver(t, by, id, event(0, `{"a":1}`), nil)
			if got := look(t, n.Other, id); got != "gone" {
				t.Errorf("what was reported made a record: %s", got)
			}
		}
		deliver(t, by, id, event(1, `{"an op that there is not":1}`), nil)
	}
	if rec := lookup(t, n.Home, id); rec.Seq != 0 || rec.Merged != nil {
		t.Errorf("kept of an op that there is not: %v", rec)
	}
}

func parkedHearsProgress(t *testing.T, start Start) { //nolint:gocognit // one story, in its order
	n := start(t, Options{Retention: time.Hour})
	large := `"` + strings.Repeat("x", 100_000) + `"`
	for _, recorded := range []bool{false, true} {
		trip := Once(correlator.Held)
		id := n.Home.NewID(soon())
		if recorded {
			id = claimed(t, n, 1)
		}
		if err := n.Home.Park(id, trip, soon()); err != nil {
			t.Fatal(err)
		}
		for _, by := range []correlator.Correlator{n.Home, n.Other} {
			for _, body := range []string{`{"a":1}`, large} {
				deliver(t, by, id, event(0, body), nil)
				cb := Next(t, trip.Heard, "what was reported")
				if cb.Status != correlator.Progress || !recorded && cb.Seq != 0 || string(cb.Body) != body && (body != large || len(cb.Body) > 0) {
					t.Errorf("with a record %t: heard %v %d %.40q", recorded, cb.Status, cb.Seq, cb.Body)
				}
			}
		}
		n.Home.Close(id)
	}
}

func keepsLateProgress(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour})
	for _, by := range []correlator.Correlator{n.Home, n.Other} {
		id := park(t, n, Always(correlator.Gone))
		save(t, n.Home, id, open(1, "meta"))
		n.Home.Close(id)
		deliver(t, by, id, event(0, `{"a":1}`), nil)
		if rec := lookup(t, n.Other, id); rec.Seq != 1 || string(rec.Merged[0]) != `{"a":1}` {
			t.Errorf("the record: %v", rec)
		}
	}
}

func boundsProgress(t *testing.T, start Start) {
	n := start(t, Options{Retention: time.Hour, Progress: 1000})
	for _, by := range []correlator.Correlator{n.Home, n.Other} {
		id := claimed(t, n, 2)
		fill := func(size int) string { return `{"a":"` + strings.Repeat("x", size) + `"}` }
		deliver(t, by, id, event(0, fill(1000-8)), nil)
		deliver(t, by, id, event(0, fill(1000-8)), nil) // the same room
		for _, body := range []string{fill(1000 - 7), `{"b":1}`, `{"a":1,"b":"` + strings.Repeat("x", 1000) + `"}`} {
			deliver(t, by, id, event(0, body), correlator.ErrTooLarge)
		}
		deliver(t, by, id, event(0, `"`+strings.Repeat("x", 2000)+`"`), nil) // is not merged
		deliver(t, by, id, event(1, `{"a":1}`), nil)
		rec := lookup(t, n.Home, id)
		if rec.Seq != 4 || string(rec.Merged[0]) != fill(1000-8) || string(rec.Merged[1]) != `{"a":1}` {
			t.Errorf("event %d, merged %.80q", rec.Seq, rec.Merged)
		}
		deliver(t, by, id, event(0, `{"a":1}`), nil) // makes room
		deliver(t, by, id, event(0, `{"b":1}`), nil)
		if rec := lookup(t, n.Other, id); string(rec.Merged[0]) != `{"a":1,"b":1}` {
			t.Errorf("merged %.80q", rec.Merged)
		}
	}
	n = start(t, Options{Retention: time.Hour})
	id := claimed(t, n, 1)
	var many bytes.Buffer
	for i := range correlator.MergedMembers {
		fmt.Fprintf(&many, `,"%d":%d`, i, i)
	}
	all := `{` + many.String()[1:] + `}`
	deliver(t, n.Other, id, event(0, all), nil)
	deliver(t, n.Home, id, event(0, all), nil)
	deliver(t, n.Other, id, event(0, `{"one more":1}`), correlator.ErrTooLarge)
	for _, by := range []correlator.Correlator{n.Home, n.Other} { // one event with too many, though all have one name
		deliver(t, by, id, event(0, `{`+strings.Repeat(`"0":0,`, correlator.MergedMembers)+`"0":0}`), correlator.ErrTooLarge)
	}
	if rec := lookup(t, n.Home, id); len(rec.Merged) != 1 || len(rec.Merged[0]) != len(all) || rec.Seq != 2 {
		t.Errorf("event %d, merged %d bytes", rec.Seq, len(rec.Merged[0]))
	}
}

// losesNoProgress has many report of one trip at once, at both nodes: each has a number of its own, and each member is there.
func losesNoProgress(t *testing.T, start Start) { //nolint:gocognit // one story, in its order
	const reporters, each = 50, 20
	n := start(t, Options{Retention: time.Hour, Progress: 1 << 20})
	id := claimed(t, n, 2)
	var followers []*Trip
	for _, c := range []correlator.Correlator{n.Home, n.Other} {
		followers = append(followers, follow(t, c, id, 0))
	}
	var all sync.WaitGroup
	for r := range reporters {
		all.Go(func() {
			for i := range each {
				cb := event(r%2, fmt.Sprintf(`{"%d.%d":%d,"last":1}`, r, i, i))
				if err := []correlator.Correlator{n.Home, n.Other}[(r/2)%2].Deliver(t.Context(), id, cb); err != nil {
					t.Errorf("report: %v", err)
				}
			}
		})
	}
	all.Wait()
	rec := lookup(t, n.Other, id)
	if rec.Seq != reporters*each {
		t.Errorf("the last event is %d", rec.Seq)
	}
	for op, object := range rec.Merged {
		var members map[string]int
		if err := json.Unmarshal(object, &members); err != nil || len(members) != reporters*each/2+1 {
			t.Errorf("op %d has %d members, %v", op, len(members), err)
		}
	}
	followers = append(followers, follow(t, n.Other, id, 0))
	for i, trip := range followers {
		heard := make(map[string]bool)
		for seq := range uint32(reporters * each) {
			cb := Next(t, trip.Heard, "event")
			if cb.Seq != seq+1 || heard[string(cb.Body)] {
				t.Fatalf("follower %d: heard event %d after %d: %s", i, cb.Seq, seq, cb.Body)
			}
			heard[string(cb.Body)] = true
		}
	}
}

func progressGoes(t *testing.T, start Start) {
	n := start(t, Options{Retention: 300 * time.Millisecond})
	k := newKey()
	released := own(t, n.Home, k)
	deliver(t, n.Other, released, event(0, `{"a":1}`), nil)
	release(t, n.Home, k, released)
	deliver(t, n.Other, released, event(0, `{"a":2}`), nil)
	if got := look(t, n.Other, released); got != "gone" {
		t.Errorf("released: %s", got)
	}
	id := claimed(t, n, 1)
	deliver(t, n.Other, id, event(0, `{"a":1}`), nil)
	deliver(t, n.Other, id, Final(0, `1`), nil)
	if rec := lookup(t, n.Home, id); rec.Seq != 1 || string(rec.Merged[0]) != `{"a":1}` {
		t.Errorf("complete: %v", rec)
	}
	Eventually(t, "the record's end", func() bool { return look(t, n.Other, id) == "gone" })
	if _, err := keeper(t, n.Other).Follow(t.Context(), id, Always(correlator.Held), 0, soon()); !errors.Is(err, correlator.ErrGone) {
		t.Errorf("follow: %v", err)
	}
}

// forgetful is a Receiver that remembers nothing.
type forgetful struct{}

func (forgetful) Deliver(_ correlator.Callback, done func(correlator.Disposition)) {
	done(correlator.Held)
}
func (forgetful) Expire(error) {}

// savedLater parks a trip, reports its progress, and saves its record only then.
func savedLater(t *testing.T, start Start) { //nolint:gocognit // one story, in its order
	n := start(t, Options{Retention: time.Hour})
	for _, by := range []correlator.Correlator{n.Home, n.Other} {
		id := park(t, n, forgetful{})
		deliver(t, by, id, event(0, `{"early":1}`), nil)
		stop, reported := make(chan struct{}), make(chan int, 1)
		go func() {
			reports := 0
			defer func() { reported <- reports }()
			for ; ; reports++ {
				select {
				case <-stop:
					return
				default:
					if err := by.Deliver(context.Background(), id, event(0, fmt.Sprintf(`{"n":%d}`, reports))); err != nil {
						t.Errorf("report: %v", err)
					}
				}
			}
		}()
		save(t, n.Home, id, open(1, "meta"))
		close(stop)
		last := Next(t, reported, "the last report") - 1
		deliver(t, by, id, event(0, `{"saved":1}`), nil)
		rec := lookup(t, n.Other, id)
		if rec.Seq == 0 || !strings.Contains(string(rec.Merged[0]), `"saved":1`) || strings.Contains(string(rec.Merged[0]), "early") ||
			rec.Seq > 1 && !strings.Contains(string(rec.Merged[0]), fmt.Sprintf(`{"n":%d,`, last)) {
			t.Errorf("event %d, merged %s; the last before was %d", rec.Seq, rec.Merged, last)
		}
	}
}
