package corezoid_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/corezoid"
)

// bindAll binds the names of a call, and gives its package before and after.
func bindAll(t testing.TB, c *dialect.Call, memory *correlator.Memory) (before, after []byte, finals []correlator.Callback) {
	t.Helper()
	before = bytes.Clone(c.Body)
	id := memory.NewID(time.Now().Add(time.Hour))
	finals, err := c.Names.Bind(t.Context(), id, id.Expiry(), c)
	if err != nil {
		t.Fatal(err)
	}
	return before, c.Body, finals
}

const unical = `"description":"not unical reference"}`

// A create whose name another op has is refused, and the rest of the package goes on as it is.
func TestTakenNamesLeaveThePackage(t *testing.T) {
	const a, b, other = `{"id":1,"type":"create","obj":"task","conv_id":1,"ref":"a","data":{"n" : 1}}`, ` {"type":"create","obj":"task","conv_id":1,"ref":"b"}`, `{"type":"modify","obj":"task","conv_id":1,"ref":"a","data":{"m":1.0}}`
	for ops, rest := range map[string]string{
		a + "," + a:               a,
		a + " , " + a + " , " + b: a + " , " + b,
		other + "," + a + "," + b + "," + a + "," + b:     other + "," + a + "," + b,
		b + "," + other + "," + b:                         b + "," + other,
		`{"type":"x","obj":"y"},` + a + "," + a + "," + b: a + "," + b,
	} {
		d := newDialect(t)
		_, memory := waiting(t, d)
		c := mustAccept(t, d, `{"x":[1] , "ops" : [`+ops+`], "y":{"ops":[1,2,3]}}`)
		_, _, finals := bindAll(t, c, memory)
		if taken := strings.Count(ops, "create") - strings.Count(rest, "create"); len(finals) != taken {
			t.Errorf("%s: %d are refused, want %d", ops, len(finals), taken)
		}
		for _, f := range finals {
			if op := c.Ops[f.Op]; f.Status != correlator.Answered || !strings.HasSuffix(string(f.Body), unical) || !strings.Contains(string(f.Body), string(op.Ref)) || !op.Local {
				t.Errorf("%s: %+v", ops, f)
			}
		}
		got, plain := forwarded(t, d, c), forwarded(t, d, mustAccept(t, d, `{"x":[1] , "ops" : [`+rest+`], "y":{"ops":[1,2,3]}}`))
		if blank, wanted := noIDs(got), noIDs(plain); blank != wanted {
			t.Errorf("got  %s\nwant %s", blank, wanted)
		}
	}
}

// noIDs writes each id of ours alike.
func noIDs(body string) string {
	parts := strings.Split(body, "<id")
	for i := 1; i < len(parts); i++ {
		_, parts[i], _ = strings.Cut(parts[i], ">")
	}
	return strings.Join(parts, "<id>")
}

// When no op is left nothing is forwarded.
func TestNothingIsLeftOfAPackage(t *testing.T) {
	d := newDialect(t)
	_, memory := waiting(t, d)
	const one = `{"ops":OP}`
	const op = `{"type":"create","obj":"task","conv_id":1,"ref":"a"}`
	bindAll(t, mustAccept(t, d, strings.Replace(one, "OP", op, 1)), memory)
	for _, ops := range []string{op, "[" + op + "]", "[" + op + "," + op + "]"} {
		c := mustAccept(t, d, strings.Replace(one, "OP", ops, 1))
		if _, after, finals := bindAll(t, c, memory); after != nil || c.Slots != nil || len(finals) != len(c.Ops) {
			t.Errorf("%s: %s %v", ops, after, finals)
		}
	}
}

// FuzzTakeOut takes ops out of packages and compares what is left with what encoding/json says of the package.
func FuzzTakeOut(f *testing.F) {
	const create = `{"type":"create","obj":"task","conv_id":1,"ref":"R","data":{"a":[1,{"ops":[0]}]}}`
	for _, refs := range []string{"aa", "aba", "abab", "aab", "baa", "aaaa"} {
		var ops []string
		for _, ref := range refs {
			ops = append(ops, strings.Replace(create, "R", string(ref), 1))
		}
		f.Add(`{"ops":[` + strings.Join(ops, ",") + `]}`)
		f.Add(` {"\u006fps" : [ ` + strings.Join(ops, " ,\n") + ` ] , "z":1} `)
		f.Add(`{"ops":[{"type":"modify","obj":"task","conv_id":1,"ref":"a"},` + strings.Join(ops, `,{"type":"x"},`) + `]}`)
	}
	d := newDialect(f)
	keys := access(f)
	keys.MaxOps = 20
	d.SetAccess(keys)
	_, memory := waiting(f, d)
	f.Fuzz(func(t *testing.T, body string) {
		c, err := accept(t, d, body)
		if err != nil || c.Names == nil {
			return
		}
		before, after, finals := bindAll(t, c, memory)
		defer c.Names.Ended(t.Context(), make([]correlator.Status, len(c.Ops)), false)
		taken := make(map[int]bool)
		for _, final := range finals {
			taken[final.Op] = true
		}
		wantRest(t, d, c, taken, before, after)
	})
}

// wantRest wants that a package has what it had before, but for the ops that were taken out.
func wantRest(t *testing.T, d *corezoid.Dialect, c *dialect.Call, taken map[int]bool, before, after []byte) {
	t.Helper()
	if len(before) == 0 {
		if len(after) != 0 {
			t.Errorf("a package comes from nowhere: %s", after)
		}
		return
	}
	was, is := membersOf(t, before), map[string]json.RawMessage{}
	if len(after) > 0 {
		is = membersOf(t, after)
	}
	want, slots := leftOf(t, c, taken, opsOf(t, was["ops"]))
	got := opsOf(t, is["ops"])
	if len(c.Slots) != slots || !slices.EqualFunc(got, want, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
		t.Fatalf("%d slots, want %d, and these ops:\n%s\n%s\n%s", len(c.Slots), slots, before, after, want)
	}
	was["ops"], is["ops"] = nil, nil
	if len(want) > 0 && !maps.EqualFunc(was, is, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
		t.Errorf("%s\nwas %s", after, before)
	}
	for _, at := range c.Slots {
		if !bytes.HasSuffix(after[:at], []byte(`"__callback_url":"`+callbackURL)) || !bytes.HasPrefix(after[at:], []byte(strings.Repeat("0", correlator.TokenLen)+`"`)) {
			t.Errorf("a token goes to %d of %s", at, after)
		}
	}
	if len(after) > 0 {
		forwarded(t, d, c)
	}
}

// leftOf gives those of the ops of a package that stay in it, and how many tokens they have.
func leftOf(t *testing.T, c *dialect.Call, taken map[int]bool, all []json.RawMessage) (left []json.RawMessage, slots int) {
	t.Helper()
	for i := range c.Ops {
		op := &c.Ops[i]
		if op.Refused != "" || op.Local && !taken[i] {
			continue
		}
		if taken[i] != op.Local || len(all) == 0 {
			t.Fatalf("op %d is taken: %v, local: %v, and %d ops were left", i, taken[i], op.Local, len(all))
		}
		if !taken[i] {
			left = append(left, all[0])
		}
		if !taken[i] && op.Create {
			slots++
		}
		all = all[1:]
	}
	if len(all) != 0 {
		t.Errorf("nobody knows of %s", all)
	}
	return left, slots
}

func membersOf(t *testing.T, body []byte) (all map[string]json.RawMessage) {
	t.Helper()
	if err := json.Unmarshal(body, &all); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return all
}

// opsOf gives the ops of a package, of which there may be one alone.
func opsOf(t *testing.T, list json.RawMessage) (all []json.RawMessage) {
	t.Helper()
	switch {
	case len(list) == 0:
		return nil
	case list[0] == '{':
		return []json.RawMessage{list}
	}
	if err := json.Unmarshal(list, &all); err != nil {
		t.Fatalf("%s: %v", list, err)
	}
	return all
}
