package redis

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"syncgate/correlator"
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
	b, err := parseBinding(string(bindingOf([32]byte{1, 2, 31: 3}, id)))
	if err != nil || b.id() != id || b.fingerprint() != [32]byte{1, 2, 31: 3} {
		t.Errorf("%q, %v", b, err)
	}
	for _, text := range []string{"", string(b[1:]), string(b) + "x"} {
		if b, err := parseBinding(text); err == nil {
			t.Errorf("%q is %q", text, b)
		}
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
	s, err := parseSight([]any{int64(1), int64(2), []any{"meta", "x", "1", "1b", "ops", "3", "0", "2a"}})
	if err != nil || s.state != recorded || s.known != 2 || len(s.finals) != 2 ||
		s.finals[0].Op != 1 || string(s.finals[0].Body) != "b" || s.finals[1].Status != correlator.Answered {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := parseSight([]any{int64(0), int64(0)}); err != nil || s.state != unrecorded || len(s.finals) > 0 {
		t.Errorf("%+v, %v", s, err)
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
		{int64(1), int64(0), []any{"x", "1"}},
		{int64(1), int64(0), []any{"65536", "1"}},
		{int64(1), int64(0), []any{"0", ""}},
	} {
		if s, err := parseSight(parts); err == nil {
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
		if one, _, err := parseSaid(home, text+"::"); err == nil {
			t.Errorf("%q:: is %+v", text, one)
		}
	}
	frame := string(appendFrame(nil, correlator.Callback{Status: correlator.Complete, Body: []byte("{}")}))
	for _, said := range []string{
		"", ":", "=", "=:", ":1", ":0:", ":1:", ":1:0", ":1:9", ":3:1{", ":3:1{}", ":0" + frame, ":" + frame[1:], ":+3:1{}", ":-1:1{}",
		":x:1{}", ":99999999999:1{}", " 1{}", ":" + frame + ":", ":" + frame + "x", ":" + frame[:64], "::x", ":::",
	} {
		if one, _, err := parseSaid(home, name+"0"+said); err == nil {
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
	for _, text := range []string{"", "0", "x{}", "\x00", "\xff"} {
		if cb, err := parseValue(0, text); err == nil {
			t.Errorf("value %q is %+v", text, cb)
		}
	}
	for _, fields := range []map[string]string{{opsField: ""}, {opsField: "-1"}, {opsField: "65536"}, {opsField: "1", "0": ""}, {opsField: "1", "0": "0"}} {
		if rec, err := parseRecord(fields); err == nil {
			t.Errorf("%v is %+v", fields, rec)
		}
	}
	if _, err := parseRecord(map[string]string{"0": "1{}", goneField: "1"}); err != correlator.ErrGone { //nolint:errorlint // as it is
		t.Errorf("no record: %v", err)
	}
}

// FuzzMessage: what parses is written again character by character, and belongs to the node it came to.
func FuzzMessage(f *testing.F) {
	home := correlator.NodeID{1, 2, 3, 4, 5, 6, 7, 8}
	e := entry{id: correlator.NewID(home, time.UnixMilli(1_795_311_507_735)), op: 12}
	cb := &correlator.Callback{Op: 12, Status: correlator.Complete, Body: []byte(`{"a":1}`)}
	large, small, hashed := said{entry: e, hashed: true}, said{entry: e, cb: cb}, said{entry: e, cb: cb, hashed: true}
	long := said{entry: e, cb: &correlator.Callback{Op: 12, Status: correlator.Answered, Body: bytes.Repeat([]byte(":"), 100)}}
	f.Add(written(large))
	f.Add(written(small))
	f.Add(written(hashed))
	f.Add(written(large) + ":" + written(small) + ":" + written(long) + ":" + written(hashed) + ":" + written(large))
	f.Add(written(said{entry: e, cb: &correlator.Callback{Op: 12, Status: correlator.Failed}}))
	f.Add(written(small)[:42])
	f.Fuzz(func(t *testing.T, message string) {
		for message != "" {
			one, rest, err := parseSaid(home, message)
			if err != nil {
				return
			}
			again := written(one)
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
func written(one said) string {
	switch {
	case one.cb == nil:
		return one.String() + sizeMark + sizeMark
	case one.hashed:
		return one.String() + hashMark + string(appendFrame(nil, *one.cb))
	default:
		return one.String() + sizeMark + string(appendFrame(nil, *one.cb))
	}
}

// FuzzCallback: every callback comes back as it was sent, and takes nothing of the next one.
func FuzzCallback(f *testing.F) {
	f.Add([]byte("12345678"), int64(1_795_311_507_735), uint16(3), false, []byte(`{"a":1}`))
	f.Add([]byte{}, int64(0), uint16(0), true, []byte(" 1 "))
	f.Fuzz(func(t *testing.T, node []byte, ms int64, op uint16, answered bool, body []byte) {
		var home correlator.NodeID
		copy(home[:], node)
		sent := correlator.Callback{Op: int(op), Status: correlator.Complete, Body: body}
		if answered {
			sent.Status = correlator.Answered
		}
		e := entry{id: correlator.NewID(home, time.UnixMilli(ms)), op: int(op)}
		const next = "the next one"
		came, rest, err := parseSaid(home, written(said{entry: e, cb: &sent})+":"+next)
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
