package redis

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/internal/redistest"
)

func TestEntry(t *testing.T) {
	home := correlator.NewNodeID()
	id := correlator.NewID(home, time.Now().Add(time.Hour))
	for _, op := range []int{0, 9, 10, correlator.MaxOp} {
		text := entry{id: id, op: op}.String()
		if e, err := parseEntry(home, text); err != nil || e.id != id || e.op != op {
			t.Errorf("%s: %v, %v", text, e, err)
		}
		if e, err := parseEntry(correlator.NewNodeID(), text); err != nil || e.id == id {
			t.Errorf("%s at another home: %v, %v", text, e, err)
		}
	}
}

func TestHint(t *testing.T) {
	id := correlator.NewID(correlator.NewNodeID(), time.Now().Add(time.Hour))
	text, is := strings.CutPrefix(hint(id), hintMark)
	if trip, err := parseHint(text); !is || err != nil || trip != id {
		t.Errorf("%s: %v, %v", hint(id), trip, err)
	}
}

func TestBinding(t *testing.T) {
	id := correlator.NewID(correlator.NewNodeID(), time.Now().Add(time.Hour))
	own, key := ownTags(t), keyName("p", correlator.Key{Login: "1", Name: "a"})
	text := own.bound(key, bindingOf([32]byte{1, 2, 31: 3}, id))
	b, err := own.parseBound(key, text)
	if err != nil || b.id() != id || b.fingerprint() != [32]byte{1, 2, 31: 3} {
		t.Errorf("%q, %v", b, err)
	}
	for _, text := range []string{"", text[1:], text + "x", string(b), strings.Repeat("0", len(text))} {
		if b, err := own.parseBound(key, text); err == nil {
			t.Errorf("%q is %q", text, b)
		}
	}
	if b, err := own.parseBound(keyName("p", correlator.Key{Login: "1", Name: "b"}), text); err == nil {
		t.Errorf("of another key: %q", b)
	}
}

// TestKeyName: keys are apart, and their names show neither login nor key.
func TestKeyName(t *testing.T) {
	names := make(map[string]bool)
	keys := []correlator.Key{{Login: "a", Name: "bc"}, {Login: "ab", Name: "c"}, {Login: "abc"}, {Name: "abc"}, {Login: "a\x00", Name: "c"}}
	for _, k := range keys {
		name := keyName("p", k)
		if names[name] || len(name) != len("p:key:")+43 || strings.Contains(name, "abc") {
			t.Errorf("%+v: %s", k, name)
		}
		names[name] = true
	}
}

func TestSight(t *testing.T) {
	own, id := ownTags(t), idOf(correlator.NewNodeID())
	hash := []any{
		"meta", string(own.meta(id, correlator.Record{Meta: []byte("x"), Finals: make([]correlator.Callback, 3)})), "ops", "3",
		"1", string(own.value(id, complete(1, "b"))),
		"0", string(own.value(id, correlator.Callback{Status: correlator.Answered, Body: []byte("a")})),
		"2", "1not ours, and long enough",
	}
	s, err := own.parseSight(id, []any{int64(1), int64(3), hash})
	if err != nil || s.state != recorded || s.known != 2 || len(s.finals) != 2 ||
		s.finals[1].Op != 1 || string(s.finals[1].Body) != "b" || s.finals[0].Status != correlator.Answered {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := own.parseSight(id, []any{int64(0), int64(0)}); err != nil || s.state != unrecorded || len(s.finals) > 0 {
		t.Errorf("%+v, %v", s, err)
	}
	for what, c := range map[string]struct {
		id    correlator.ID
		parts []any
	}{
		"no record":           {id, []any{int64(1), int64(0), []any{"x", "1"}}},
		"a forged one":        {id, []any{int64(1), int64(0), []any{"meta", "x", "ops", "3"}}},
		"of another trip":     {idOf(correlator.NewNodeID()), []any{int64(1), int64(3), hash}},
		"of more ops":         {id, []any{int64(1), int64(3), []any{"meta", hash[1], "ops", "4"}}},
		"released by nobody":  {id, []any{int64(2), int64(3), hash}},
		"released by another": {id, []any{int64(2), int64(3), append(hash, "released", own.mark(kindReleased, idOf(correlator.NewNodeID())))}},
		"forgotten":           {id, []any{int64(2), int64(3), append(hash, "released", own.mark(kindGone, id))}},
	} {
		if s, err := own.parseSight(c.id, c.parts); err != nil || s.state != unrecorded || len(s.finals) > 0 {
			t.Errorf("%s: %+v, %v", what, s, err)
		}
	}
	if s, err := own.parseSight(id, []any{int64(2), int64(3), append(hash, "released", own.mark(kindReleased, id))}); err != nil || s.state != released {
		t.Errorf("released: %+v, %v", s, err)
	}
	for _, parts := range [][]any{
		{},
		{int64(1)},
		{"1", int64(0)},
		{int64(1), "0"},
		{int64(3), int64(0)},
		{int64(-1), int64(0)},
		{int64(1), int64(0), "x"},
		{int64(1), int64(0), []any{"0", int64(1)}},
		{int64(1), int64(0), []any{int64(0), "1"}},
	} {
		if s, err := own.parseSight(id, parts); err == nil {
			t.Errorf("%v is %+v", parts, s)
		}
	}
}

func TestWhatIsNotOfTheForm(t *testing.T) {
	home := correlator.NewNodeID()
	name := entry{id: correlator.NewID(home, time.Now())}.String()[:nameLen]
	for _, text := range []string{
		"", "0", name, name + "x", name + "00", name + "01", name + "-1", name + "+1", name + "65536", name + "1 ",
		" " + name + "0", name[1:] + "0", name[:31] + "*0", name[:31] + "\n0", strings.Repeat("0", 1000),
	} {
		if e, err := parseEntry(home, text); err == nil {
			t.Errorf("%q is %+v", text, e)
		}
		if one, _, err := ownTags(t).parseSaid(home, text+"::"); err == nil {
			t.Errorf("%q:: is %+v", text, one)
		}
	}
	id, err := parseName(home, name)
	if err != nil {
		t.Fatal(err)
	}
	frame := string(ownTags(t).appendFrame(nil, id, correlator.Callback{Status: correlator.Complete, Body: []byte("{}")}))
	for _, said := range []string{
		"", ":", "=", "=:", ":1", ":0:", ":1:", ":1:0", ":1:9", ":3:1{", ":3:1{}", ":0" + frame, ":" + frame[1:], ":+3:1{}", ":-1:1{}",
		":x:1{}", ":99999999999:1{}", " 1{}", ":" + frame + ":", ":" + frame + "x", ":" + frame[:64], "::x", ":::",
	} {
		if one, _, err := ownTags(t).parseSaid(home, name+"0"+said); err == nil {
			t.Errorf("%q is %+v", said, one)
		}
	}
	for _, text := range []string{"", name, "0123456789abcdef", "0123456789abcdef" + name + "0", "0123456789ABCDEF" + name, "0123456789abcdex" + name} {
		if id, err := parseHint(text); err == nil {
			t.Errorf("hint %q is %v", text, id)
		}
	}
}

func TestStoredThatIsNotOfTheForm(t *testing.T) {
	own, id := ownTags(t), idOf(correlator.NewNodeID())
	for _, text := range []string{"", "0", "x{}", "\x00", "\xff", "1" + strings.Repeat("0", 16) + "{}"} {
		if cb, err := own.parseValue(entry{id: id}, text); err == nil {
			t.Errorf("value %q is %+v", text, cb)
		}
	}
	for _, fields := range []map[string]string{
		{opsField: ""},
		{opsField: "-1"},
		{opsField: "65536"},
		{opsField: "1"},
		{opsField: "1", metaField: strings.Repeat("0", 20)},
		{"0": string(own.value(id, complete(0, "{}"))), goneField: "1"},
	} {
		if rec, err := own.parseRecord(id, fields); err != correlator.ErrGone { //nolint:errorlint // as it is
			t.Errorf("%v is %+v, %v", fields, rec, err)
		}
	}
}

// FuzzMessage: what parses is written again character by character, and belongs to the node it came to.
func FuzzMessage(f *testing.F) {
	home := correlator.NodeID{1, 2, 3, 4, 5, 6, 7, 8}
	e := entry{id: correlator.NewID(home, time.UnixMilli(1_795_311_507_735)), op: 12}
	cb := &correlator.Callback{Op: 12, Status: correlator.Complete, Body: []byte(`{"a":1}`)}
	large, small, hashed := said{entry: e, hashed: true}, said{entry: e, cb: cb}, said{entry: e, cb: cb, hashed: true}
	long := said{entry: e, cb: &correlator.Callback{Op: 12, Status: correlator.Answered, Body: bytes.Repeat([]byte(":"), 100)}}
	own := ownTags(f)
	f.Add(own.written(large))
	f.Add(own.written(small))
	f.Add(own.written(hashed))
	f.Add(own.written(large) + ":" + own.written(small) + ":" + own.written(long) + ":" + own.written(hashed) + ":" + own.written(large))
	f.Add(own.written(said{entry: e, cb: &correlator.Callback{Op: 12, Status: correlator.Failed}}))
	f.Add(own.written(small)[:42])
	f.Fuzz(func(t *testing.T, message string) {
		for message != "" {
			one, rest, err := own.parseSaid(home, message)
			if err != nil {
				return
			}
			again := own.written(one)
			if rest != "" {
				again += ":" + rest
			}
			if again != message {
				t.Errorf("%q is written %q", message, again)
			}
			fits(t, home, one)
			message = rest
		}
	})
}

// fits fails the test unless what was said can be of home.
func fits(t *testing.T, home correlator.NodeID, one said) {
	if one.id.Home() != home {
		t.Errorf("%v is of node %v", one, one.id.Home())
	}
	if one.cb != nil && (one.cb.Op != one.op || !one.cb.Status.Final()) {
		t.Errorf("%v is %+v", one, one.cb)
	}
}

// written is what a message says of one callback, as deliver.lua writes it.
func (t *tags) written(one said) string {
	switch {
	case one.cb == nil:
		return one.String() + sizeMark + sizeMark
	case one.hashed:
		return one.String() + hashMark + string(t.appendFrame(nil, one.id, *one.cb))
	default:
		return one.String() + sizeMark + string(t.appendFrame(nil, one.id, *one.cb))
	}
}

// FuzzCallback: every callback comes back as it was sent, and takes nothing of the next one.
func FuzzCallback(f *testing.F) {
	f.Add([]byte("12345678"), int64(1_795_311_507_735), uint16(3), false, []byte(`{"a":1}`))
	f.Add([]byte{}, int64(0), uint16(0), true, []byte(" 1 "))
	own := ownTags(f)
	f.Fuzz(func(t *testing.T, node []byte, ms int64, op uint16, answered bool, body []byte) {
		var home correlator.NodeID
		copy(home[:], node)
		sent := correlator.Callback{Op: int(op), Status: correlator.Complete, Body: body}
		if answered {
			sent.Status = correlator.Answered
		}
		e := entry{id: correlator.NewID(home, time.UnixMilli(ms)), op: int(op)}
		const next = "the next one"
		came, rest, err := own.parseSaid(home, own.written(said{entry: e, cb: &sent})+":"+next)
		if err != nil || came.entry != e || came.cb == nil || rest != next {
			t.Fatalf("%v: %+v, %q, %v", e, came, rest, err)
		}
		if came.cb.Op != sent.Op || came.cb.Status != sent.Status || !bytes.Equal(came.cb.Body, body) {
			t.Errorf("sent %+v, came %+v", sent, *came.cb)
		}
	})
}

func BenchmarkEntry(b *testing.B) {
	home := correlator.NewNodeID()
	e := entry{id: correlator.NewID(home, time.Now()), op: 1}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseEntry(home, e.String()); err != nil {
			b.Fatal(err)
		}
	}
}

// TestValueOfBefore: what nodes of earlier builds read and write is as it was; what they do not know has a form of its own.
func TestValueOfBefore(t *testing.T) {
	own, id := ownTags(t), idOf(correlator.NewNodeID())
	for _, cb := range []correlator.Callback{complete(0, `{"a":1}`), {Op: 7, Status: correlator.Answered, Body: []byte(`x`)}, {Status: correlator.Failed}} {
		h := head(kindCallback, id, cb.Op, '0'+byte(cb.Status))
		tag := own.keys.Tag(h[:], cb.Body)
		if got, want := string(own.value(id, cb)), string(rune('0'+cb.Status))+string(tag[:])+string(cb.Body); got != want {
			t.Errorf("%v is written %q, want %q", cb.Status, got, want)
		}
	}
	for _, cb := range []correlator.Callback{
		{Status: correlator.Complete, Head: new(correlator.Head), Body: []byte("b")},
		{Status: correlator.Errored, Head: &correlator.Head{ContentType: "c", Fields: []byte("f")}},
	} {
		text := string(own.value(id, cb))
		if text[0] < 'a' || len(text) != valueSize(cb) {
			t.Errorf("%v: %q", cb, text)
		}
		for cut := range len(text) {
			if cb, err := own.parseValue(entry{id: id}, text[:cut]); err == nil {
				t.Errorf("cut at %d: %v", cut, cb)
			}
		}
		if _, err := own.parseValue(entry{id: id}, string(text[0]-headed)+text[1:]); err == nil {
			t.Error("what came beside the body is taken for the body")
		}
	}
}

// TestReportIsRunTwice: the script that is run once more, as after an answer that was lost, changes nothing and gives the same number.
func TestReportIsRunTwice(t *testing.T) {
	s := open(t, redistest.Start(t).URL())
	id := idOf(correlator.NewNodeID())
	if _, err := s.record(t.Context(), id, correlator.Record{Finals: make([]correlator.Callback, 1)}, always); err != nil {
		t.Fatal(err)
	}
	var batch []*write
	for range 3 {
		w, err := newReport(id, correlator.Callback{Status: correlator.Progress, Body: []byte(`{"a":1}`)}, true)
		if err != nil {
			t.Fatal(err)
		}
		batch = append(batch, w)
	}
	for range 3 {
		for _, w := range batch {
			w.since = time.Now()
		}
		s.putAll(t.Context(), batch)
	}
	for _, w := range batch {
		if w.err != nil || w.result != kept {
			t.Errorf("%v, %v", w.result, w.err)
		}
	}
	rec, err := s.lookup(t.Context(), id)
	if n := s.client.LLen(t.Context(), s.events(id)).Val(); err != nil || rec.Seq != 3 || n != 3 {
		t.Errorf("the last event is %d of %d, %v", rec.Seq, n, err)
	}
}
