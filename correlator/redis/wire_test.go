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
	m, err := parseMessage(correlator.NewNodeID(), hint(id))
	if err != nil || !m.isHint || m.trip != id {
		t.Errorf("%s: %+v, %v", hint(id), m, err)
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
		"", "0", name, name + "x", name + "00", name + "01", name + "-1", name + "+1", name + "65536", name + "1 ", name + "0 x",
		"@", "@" + name, "@0123456789abcdef", "@0123456789abcdef" + name + "0", "@0123456789ABCDEF" + name, "@0123456789abcdex" + name,
		name + "0 0", name + "0 9{}", " " + name + "0", name[1:] + "0", name[:31] + "*0", name[:31] + "\n0", strings.Repeat("0", 1000),
	} {
		if m, err := parseMessage(home, text); err == nil {
			t.Errorf("%q is %+v", text, m)
		}
	}
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
	f.Add(e.String())
	f.Add(e.String() + valueMark + string(value(correlator.Callback{Op: 12, Status: correlator.Complete, Body: []byte(`{"a":1}`)})))
	f.Add(e.String() + valueMark + "2")
	f.Add(probeMark + "17")
	f.Add(e.String() + valueMark)
	f.Add(hint(e.id))
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseMessage(home, text)
		if err != nil {
			return
		}
		if again := written(m); again != text {
			t.Errorf("%q is written %q", text, again)
		}
		if !m.isProbe && !m.isHint && m.entry.id.Home() != home {
			t.Errorf("%q is of node %v", text, m.entry.id.Home())
		}
		if m.cb != nil && (m.cb.Op != m.entry.op || !m.cb.Status.Final()) {
			t.Errorf("%q is %+v", text, m.cb)
		}
	})
}

// written is m as it crosses Redis.
func written(m message) string {
	switch {
	case m.isProbe:
		return probeMark + m.probe
	case m.isHint:
		return hint(m.trip)
	case m.cb == nil:
		return m.entry.String()
	default:
		return m.entry.String() + valueMark + string(value(*m.cb))
	}
}

// FuzzCallback: every callback comes back as it was sent.
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
		m, err := parseMessage(home, e.String()+valueMark+string(value(sent)))
		if err != nil || m.isProbe || m.entry != e || m.cb == nil {
			t.Fatalf("%v: %+v, %v", e, m, err)
		}
		if m.cb.Op != sent.Op || m.cb.Status != sent.Status || !bytes.Equal(m.cb.Body, body) {
			t.Errorf("sent %+v, came %+v", sent, *m.cb)
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
