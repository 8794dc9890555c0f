package taskmeta_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"testing/quick"

	"syncgate/internal/taskmeta"
)

// What is written is read again, and so is what package json writes of the same, as earlier versions did.
func TestAppend(t *testing.T) {
	for _, m := range []taskmeta.Meta{
		{},
		{Login: "a", Ops: []taskmeta.Op{{}, {ID: []byte("1")}, {Ref: []byte(`"r"`), Refused: "no"}}},
		{Login: "\"\\\n<&>\u2028\u00e9", Dialect: "rest", Engine: "e", Route: "r", State: []byte{0}, Data: []byte("{}"), Guarded: true, Ops: []taskmeta.Op{{}}},
		{HandedOver: true, Acked: true, Accepted: []byte("x"), Created: 1, Until: -1, TimeoutGiven: true, Trace: "00-0-0-01"},
	} {
		sameAsJSON(t, m)
	}
	if err := quick.Check(func(m taskmeta.Meta) bool { return sameAsJSON(t, m) }, &quick.Config{MaxCount: 500}); err != nil {
		t.Error(err)
	}
}

func sameAsJSON(t *testing.T, m taskmeta.Meta) bool {
	for i := range m.Ops { // nil and empty are the same there
		m.Ops[i].ID, m.Ops[i].Ref = some(m.Ops[i].ID), some(m.Ops[i].Ref)
	}
	m.State, m.Data, m.Accepted = some(m.State), some(m.Data), some(m.Accepted)
	if m.Ops == nil {
		m.Ops = []taskmeta.Op{}
	}
	theirs, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	own, appended := bytes.CutPrefix(m.Append([]byte("before")), []byte("before"))
	for _, form := range [][]byte{own, theirs} {
		if got, err := taskmeta.Parse(form); err != nil || !reflect.DeepEqual(got, m) || !appended {
			t.Errorf("%s: %v\n%+v\n%+v", form, err, got, m)
			return false
		}
	}
	return true
}

func some(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

func TestParseQuotesNothing(t *testing.T) {
	for _, bad := range []string{"", "secret", `{"login":1}`, `{"ops":["secret"]}`} {
		if _, err := taskmeta.Parse([]byte(bad)); err == nil || err.Error() != "taskmeta: it is not what this program writes" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestAppendAllocations(t *testing.T) {
	m, room := taskmeta.Meta{Login: "bench", Ops: []taskmeta.Op{{ID: []byte(`"1"`)}}}, make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { room = m.Append(room[:0]) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
