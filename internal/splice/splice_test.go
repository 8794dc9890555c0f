package splice_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"syncgate/internal/splice"
)

// set cuts the members called name from the object src and appends value under that name.
func set(r *splice.Reader, src, name, value string) (string, error) {
	if err := r.Reset([]byte(src)); err != nil {
		return "", err
	}
	defer r.Release()
	if k := r.Peek(); k != splice.Object && k != splice.Invalid {
		return "", fmt.Errorf("is %s", k)
	}
	var edits splice.Edits
	items, err := r.CutMembers(&edits, []string{name})
	if err != nil {
		return "", err
	}
	if err := r.Close(); err != nil {
		return "", err
	}
	quoted, _ := json.Marshal(name)
	items.Append(string(quoted)+":"+value, len(quoted)+1)
	grown := edits.Growth()
	out, holes := edits.Apply([]byte("> "), []byte(src), nil)
	out = out[2:]
	if len(out) != len(src)+grown {
		return "", fmt.Errorf("grown by %d, foretold %d", len(out)-len(src), grown)
	}
	if len(holes) != 1 || !bytes.HasPrefix(out[holes[0]-2:], []byte(value)) {
		return "", fmt.Errorf("hole at %v of %s", holes, out)
	}
	return string(out), nil
}

func TestSet(t *testing.T) {
	r := new(splice.Reader)
	f := func(src, want string) {
		t.Helper()
		got, err := set(r, src, "x", "1")
		if err != nil || got != want {
			t.Errorf("%s\n gives %s, %v\n want  %s", src, got, err, want)
		}
	}
	f(`{}`, `{"x":1}`)
	f(` { } `, ` {"x":1 } `)
	f(`{"a":1}`, `{"a":1,"x":1}`)
	f("{\n  \"a\": 1\n}\n", "{\n  \"a\": 1,\"x\":1\n}\n")
	// cut: alone, first, last, between, several, all
	f(`{"x":2}`, `{"x":1}`)
	f(`{ "x" : 2 }`, `{ "x":1 }`)
	f(`{"x":2,"a":1}`, `{"a":1,"x":1}`)
	f(`{ "x":2 , "a":1 }`, `{ "a":1,"x":1 }`)
	f(`{"a":1,"x":2}`, `{"a":1,"x":1}`)
	f(`{ "a":1 , "x":2 }`, `{ "a":1,"x":1 }`)
	f(`{"a":1,"x":2,"b":3}`, `{"a":1,"b":3,"x":1}`)
	f(`{"a":1 , "x":2 , "b":3}`, `{"a":1 , "b":3,"x":1}`)
	f(`{"x":2,"x":3,"a":1,"x":4,"x":5,"b":1,"x":6,"x":7}`, `{"a":1,"b":1,"x":1}`)
	f(`{"x":2,"x":{"x":3},"x":[{"x":4}]}`, `{"x":1}`)
	// spelled otherwise
	f(`{"\u0078":2,"a":1}`, `{"a":1,"x":1}`)
	f(`{"a":1,"\u0078":2}`, `{"a":1,"x":1}`)
	f(`{"X":2,"xx":3,"x ":4,"":5}`, `{"X":2,"xx":3,"x ":4,"":5,"x":1}`)
	// what is inside, or only looks like it, stays
	f(`{"a":{"x":2},"b":[{"x":3}],"c":"\"x\":4,","d":"x"}`, `{"a":{"x":2},"b":[{"x":3}],"c":"\"x\":4,","d":"x","x":1}`)
	f(`{"a":1,"a":2}`, `{"a":1,"a":2,"x":1}`)
	f(`{"n":12345678901234567890.0100e+07,"u":"\ud800\u00e9/\/","é":" "}`, `{"n":12345678901234567890.0100e+07,"u":"\ud800\u00e9/\/","é":" ","x":1}`)
	f(`{"ключ":{},"\ud83d\ude00":[]}`, `{"ключ":{},"\ud83d\ude00":[],"x":1}`)
}

func TestSetRefuses(t *testing.T) {
	r := new(splice.Reader)
	f := func(src string, offset int, problem string) {
		t.Helper()
		_, err := set(r, src, "x", "1")
		bad, ok := errors.AsType[*splice.Error](err)
		if !ok || bad.Offset != offset || !strings.Contains(bad.Problem, problem) {
			t.Errorf("%.60q gives %v, want offset %d, %s", src, err, offset, problem)
		}
	}
	f("", 0, "unexpected end")
	f("  ", 2, "unexpected end")
	f("{", 1, "unexpected end")
	f(`{"a"`, 4, "unexpected end")
	f(`{"a":`, 5, "unexpected end")
	f(`{"a":1`, 6, "unexpected end")
	f(`{"a":1,`, 7, "unexpected end")
	f(`{"a":"x`, 7, "unexpected end")
	f(`{"a":1,}`, 6, "invalid character")
	f(`{"a":1 "b":2}`, 7, "invalid character")
	f(`{a:1}`, 1, "invalid character")
	f(`{'a':1}`, 1, "invalid character")
	f(`{1:1}`, 1, "string")
	f(`{"a":01}`, 6, "invalid character")
	f(`{"a":NaN}`, 5, "invalid character")
	f(`{"a":+1}`, 5, "invalid character")
	f(`{"a":.5}`, 5, "invalid character")
	f(`{"a":tru}`, 8, "invalid character")
	f("{\"a\":\"\t\"}", 6, "invalid character")
	f(`{"a":"\x"}`, 6, "invalid escape")
	f(`{"a":[1}`, 7, "invalid character")
	f(`{"a":1]`, 6, "invalid character")
	f(`{"a":/**/1}`, 5, "invalid character")
	f(`{}{}`, 2, "more than one value")
	f(`{} 1`, 3, "more than one value")
	f(`{}x`, 2, "invalid character")
	f("{}\x00", 2, "invalid character")
	f("\ufeff{}", 0, "byte order mark")
	f("{\"a\":\"\xff\"}", 6, "invalid UTF-8")
	f("{\"a\":\"\xed\xa0\x80\"}", 6, "invalid UTF-8")
	f("{\"a\xc0\xaf\":1}", 3, "invalid UTF-8")
}

func TestDepth(t *testing.T) {
	r := new(splice.Reader)
	nested := func(open, shut string, n int) string {
		return `{"a":` + strings.Repeat(open, n) + "1" + strings.Repeat(shut, n) + `}`
	}
	for _, c := range [][2]string{{"[", "]"}, {`{"a":`, "}"}, {`[{"b":"[[[\"[[[","a":`, "}]"}} {
		each := strings.Count(strings.ReplaceAll(c[0], "[[[", ""), "[") + strings.Count(c[0], "{")
		most := (splice.MaxDepth - 1) / each
		if _, err := set(r, nested(c[0], c[1], most), "x", "1"); err != nil {
			t.Errorf("%d of %s: %v", most, c[0], err)
		}
		_, err := set(r, nested(c[0], c[1], most+1), "x", "1")
		if err == nil || !strings.Contains(err.Error(), "deeper than 128") {
			t.Errorf("%d of %s: %v", most+1, c[0], err)
		}
	}
	if _, err := set(r, `{"a":[`+strings.Repeat(`{},[],"[{",`, 1000)+`0]}`, "x", "1"); err != nil {
		t.Errorf("many brackets side by side: %v", err)
	}
	if _, err := set(r, strings.Repeat("[", 5_000_000), "x", "1"); err == nil {
		t.Error("five million brackets pass")
	}
}

func TestText(t *testing.T) {
	r := new(splice.Reader)
	f := func(quoted, want string) {
		t.Helper()
		if err := r.Reset([]byte(quoted)); err != nil {
			t.Fatal(err)
		}
		span, err := r.Value()
		if got := string(r.Text(span)); err != nil || got != want {
			t.Errorf("%s is %q, %v", quoted, got, err)
		}
	}
	f(`""`, "")
	f(`"a b"`, "a b")
	f(` "\u0061\n\"" `, "a\n\"")
	f(`"\ud83d\ude00"`, "😀")
	f(`"\ud800"`, "\ufffd")
}

// After Release nothing may point to the text, which belongs to somebody else then.
func TestReleaseForgets(t *testing.T) {
	r := new(splice.Reader)
	if err := r.Reset([]byte(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Enter(); err != nil {
		t.Fatal(err)
	}
	r.Release()
	if k := r.Peek(); k != splice.Invalid {
		t.Errorf("there is still a %s", k)
	}
	new(splice.Reader).Release()
}

func TestAllocations(t *testing.T) {
	var (
		r     splice.Reader
		edits splice.Edits
		src   = []byte(`{"amount":"100.00","a name of more than thirty-two characters":{"x":[1,2,3]},"x":1,"y":null}`)
		names = []string{"x"}
		dst   = make([]byte, 0, 4096)
		holes = make([]int, 0, 4)
	)
	n := testing.AllocsPerRun(200, func() {
		if err := r.Reset(src); err != nil {
			t.Fatal(err)
		}
		edits.Reset()
		items, err := r.CutMembers(&edits, names)
		if err != nil {
			t.Fatal(err)
		}
		items.Append(`"x":2`, 4)
		dst, holes = edits.Apply(dst[:0], src, holes[:0])
		r.Release()
	})
	if n != 0 {
		t.Errorf("allocates %v times", n)
	}
}

// members reads the members of an object in order, repeated ones too, values as they are written.
func members(t *testing.T, src string) (all [][2]string) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(src))
	if _, err := dec.Token(); err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		all = append(all, [2]string{name.(string), string(value)})
	}
	return all
}

func without(all [][2]string, name string) (rest [][2]string) {
	for _, m := range all {
		if m[0] != name {
			rest = append(rest, m)
		}
	}
	return rest
}

func depth(src string) (most int) {
	dec := json.NewDecoder(strings.NewReader(src))
	n := 0
	for {
		token, err := dec.Token()
		if err != nil {
			return most
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			n++
			most = max(most, n)
		case json.Delim('}'), json.Delim(']'):
			n--
		}
	}
}

func acceptable(src string) bool {
	return json.Valid([]byte(src)) && utf8.ValidString(src) && depth(src) <= splice.MaxDepth
}

// The oracle is encoding/json: the same texts are accepted, and the result has the same members but for the change.
func FuzzSet(f *testing.F) {
	seeds := []string{
		`{}`, `{"x":2}`, `{ "a" : 1 , "x" : [ ] , "\u0078":{"x":1}, "b":"\ud800" }`, `[{"x":1}]`, `{"a":1,"a":2}`, `{"a":1}{`, "{\"\xff\":1}",
		`{"a":` + strings.Repeat("[", 127) + strings.Repeat("]", 127) + `}`, `{"a":` + strings.Repeat("[", 128) + strings.Repeat("]", 128) + `}`, "\ufeff{}", `"x"`, ``,
	}
	for _, s := range seeds {
		f.Add(s, "x")
	}
	f.Fuzz(func(t *testing.T, src, name string) {
		name = strings.ToValidUTF8(name, "?")
		got, err := set(new(splice.Reader), src, name, `"new"`)
		object := acceptable(src) && strings.HasPrefix(strings.TrimLeft(src, " \t\r\n"), "{")
		if (err == nil) != object {
			t.Fatalf("%q: %v, encoding/json accepts: %v", src, err, object)
		}
		if err == nil {
			checkSet(t, src, got, name)
		}
	})
}

func checkSet(t *testing.T, src, got, name string) {
	t.Helper()
	before := members(t, src)
	want := append(without(before, name), [2]string{name, `"new"`})
	if after := members(t, got); !reflect.DeepEqual(after, want) || !json.Valid([]byte(got)) {
		t.Fatalf("%q\ngives %q", src, got)
	}
	if len(want) <= len(before) {
		return
	}
	// Nothing was cut: every byte is still there, around one insertion.
	quoted, _ := json.Marshal(name)
	inserted := string(quoted) + `:"new"`
	at := strings.LastIndex(got, inserted)
	head, tail := got[:at], got[at+len(inserted):]
	if len(before) > 0 {
		head = strings.TrimSuffix(head, ",")
	}
	if head+tail != src {
		t.Fatalf("%q\ngives %q", src, got)
	}
}

// walk builds with a Reader what encoding/json builds.
func walk(r *splice.Reader, src []byte) (v any, err error) {
	switch r.Peek() {
	case splice.Object:
		return walkObject(r, src)
	case splice.Array:
		return walkArray(r, src)
	default:
		span, err := r.Value()
		if err != nil {
			return nil, err
		}
		err = decode(span.Of(src), &v)
		return v, err
	}
}

func walkObject(r *splice.Reader, src []byte) (any, error) {
	object := map[string]any{}
	_, err := r.Enter()
	for err == nil {
		m, ok, failed := r.Member()
		if failed != nil || !ok {
			return object, failed
		}
		name := string(m.Name)
		object[name], err = walk(r, src)
	}
	return nil, err
}

func walkArray(r *splice.Reader, src []byte) (any, error) {
	array := []any{}
	_, err := r.Enter()
	for err == nil {
		ok, failed := r.Element()
		if failed != nil || !ok {
			return array, failed
		}
		var v any
		v, err = walk(r, src)
		array = append(array, v)
	}
	return nil, err
}

// read walks the whole text.
func read(src []byte) (v any, err error) {
	r := new(splice.Reader)
	if err := r.Reset(src); err != nil {
		return nil, err
	}
	if v, err = walk(r, src); err != nil {
		return nil, err
	}
	return v, r.Close()
}

func decode(src []byte, v *any) error {
	dec := json.NewDecoder(bytes.NewReader(src))
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}

func FuzzReader(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":null}],"a":true}`, `[]`, `1`, `[1,]`, `"\udc00"`, `[[1]`, `{"a":{"b":[{}]}}]`, `1 2`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		kept := bytes.Clone(src)
		got, err := read(src)
		if !bytes.Equal(src, kept) {
			t.Fatal("the text was changed")
		}
		if (err == nil) != acceptable(string(src)) {
			t.Fatalf("%q: %v, encoding/json accepts: %v", src, err, err != nil)
		}
		if err != nil {
			if _, ok := errors.AsType[*splice.Error](err); !ok {
				t.Fatalf("%q: %v is not a *splice.Error", src, err)
			}
			return
		}
		var want any
		if err := decode(src, &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %v, want %v, %v", src, got, want, err)
		}
	})
}

func BenchmarkSet(b *testing.B) {
	src := []byte(`{"amount":"100.00","currency":"EUR","payer":{"name":"Олена","iban":"DE89370400440532013000"},"items":[{"id":1,"n":2},{"id":2,"n":1}]}`)
	var (
		r     splice.Reader
		edits splice.Edits
		dst   []byte
		names = []string{"x"}
	)
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Reset(src); err != nil {
			b.Fatal(err)
		}
		edits.Reset()
		items, err := r.CutMembers(&edits, names)
		if err != nil {
			b.Fatal(err)
		}
		items.Append(`"x":1`, 0)
		dst, _ = edits.Apply(dst[:0], src, nil)
	}
}
