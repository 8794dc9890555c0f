package splice_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"syncgate/internal/splice"
)

// whole reads a text as one value.
func whole(src []byte) error {
	r := new(splice.Reader)
	if err := r.Reset(src); err != nil {
		return err
	}
	if _, err := r.Value(); err != nil {
		return err
	}
	return r.Close()
}

// stepped reads a text name by name and element by element.
func stepped(src []byte) error {
	r := new(splice.Reader)
	if err := r.Reset(src); err != nil {
		return err
	}
	if err := step(r); err != nil {
		return err
	}
	return r.Close()
}

func step(r *splice.Reader) error {
	kind := r.Peek()
	if kind != splice.Object && kind != splice.Array {
		_, err := r.Value()
		return err
	}
	if _, err := r.Enter(); err != nil {
		return err
	}
	for {
		var more bool
		var err error
		if kind == splice.Object {
			_, more, err = r.Member()
		} else {
			more, err = r.Element()
		}
		if err != nil || !more {
			return err
		}
		if err := step(r); err != nil {
			return err
		}
	}
}

// jsontextAccepts asks a decoder that is not ours, with the options that make it as lenient.
func jsontextAccepts(src []byte) bool {
	return utf8.Valid(src) && depth(string(src)) <= splice.MaxDepth &&
		jsontext.Value(src).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// FuzzScan holds both ways through a text to each other, to the error, and to a decoder that is not ours.
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,-0.5e+7,true,false,null,"\u00e9\"\\\/\b\f\n\r\t"],"a":{}}`, ` [ [ ] , { } ] `, `01`, `-`, `1.`, `1e`, `1E-`, `-01`, `0.0e0x`, `tru`, `nulL`, `[1,]`, `[,1]`, `{"a":1,}`, `{,}`,
		`{"a"}`, `{"a" 1}`, `{a:1}`, `[}`, `{]`, `[1}`, `"\u12"`, `"\u12g4"`, `"\ud800\ud800"`, `"\x"`, `"\`, "\"1234567\x1f\"", "\"12345678\x7fabcdefghijklmnop\"", `"éé\"é"`, "\u00a01", `1,2`, `]`, "\x00",
	} {
		f.Add([]byte(s))
		f.Add([]byte(s + strings.Repeat(" ", 16)))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		kept := bytes.Clone(src)
		skipping, stepping := whole(src), stepped(src)
		if fmt.Sprint(skipping) != fmt.Sprint(stepping) {
			t.Fatalf("%q\nas one value: %v\nstep by step: %v", src, skipping, stepping)
		}
		if want := jsontextAccepts(src); (skipping == nil) != want || want != acceptable(string(src)) {
			t.Fatalf("%q: %v, jsontext accepts: %v", src, skipping, want)
		}
		if bad, ok := errors.AsType[*splice.Error](skipping); skipping != nil && (!ok || bad.Offset < 0 || bad.Offset > len(src)) {
			t.Fatalf("%q: %v", src, skipping)
		}
		if !bytes.Equal(src, kept) {
			t.Fatal("the text was changed")
		}
	})
}

func TestProblems(t *testing.T) {
	f := func(src string, offset int, problem string) {
		t.Helper()
		want := (&splice.Error{Offset: offset, Problem: problem}).Error()
		for name, way := range map[string]func([]byte) error{"as one value": whole, "step by step": stepped} {
			if err := way([]byte(src)); err == nil || err.Error() != want {
				t.Errorf("%q %s: %v\nwant %s", src, name, err, want)
			}
		}
	}
	f(``, 0, "unexpected end")
	f(`[1`, 2, "unexpected end")
	f(`{"a" `, 5, "unexpected end")
	f(`"\`, 2, "unexpected end")
	f(`"\u00e`, 6, "unexpected end")
	f(`-`, 1, "unexpected end")
	f(`1e+`, 3, "unexpected end")
	f(`nul`, 3, "unexpected end")
	f(`[,1]`, 1, "invalid character ',' at start of value")
	f(`[1,,2]`, 3, "invalid character ',' at start of value")
	f(`[1 , ]`, 3, "invalid character ',' before ']'")
	f(`{"a":1,}`, 6, "invalid character ',' before '}'")
	f(`[1:2]`, 2, "invalid character ':' after array element (expecting ',' or ']')")
	f(`{"a":1:2}`, 6, "invalid character ':' after object value (expecting ',' or '}')")
	f(`{"a",1}`, 4, "invalid character ',' after object name (expecting ':')")
	f(`{,}`, 1, `invalid character ',' at start of string (expecting '"')`)
	f(`{"a":1,é}`, 7, `invalid character 'é' at start of string (expecting '"')`)
	f(`-a`, 1, "invalid character 'a' in number (expecting digit)")
	f(`[1.]`, 3, "invalid character ']' in number (expecting digit)")
	f(`[1.5e]`, 5, "invalid character ']' in number (expecting digit)")
	f(`[-01]`, 3, "invalid character '1' after array element (expecting ',' or ']')")
	f(`[trUe]`, 3, "invalid character 'U' in literal true (expecting 'u')")
	f("\"a\x1fb\"", 2, `invalid character '\x1f' in string (expecting non-control character)`)
	f(`"a\é"`, 2, "invalid escape sequence `\\é` in string")
	f(`"a\u00g0"`, 2, "invalid escape sequence `\\u00g` in string")
	f(`"a\u000g"`, 2, "invalid escape sequence `\\u000g` in string")
	f(`"a\u00/0"`, 2, "invalid escape sequence `\\u00/` in string")
	f("\"a\\\n\"", 2, `invalid escape sequence "\\\n" in string`)
	f("\u00a01", 0, `invalid character '\u00a0' at start of value`)
	f(`1 2`, 2, "more than one value")
	f(`[]]`, 2, "invalid character ']' at start of value")
}

// A string is scanned eight bytes at a time: whatever ends it or is wrong in it must be found at each place of the eight, and so
// near the end of the text that there are no eight.
func TestPlacesInStrings(t *testing.T) {
	for before := range 20 {
		for after := range 20 {
			for c := range 0x80 {
				src := `["` + strings.Repeat("a", before) + string(rune(c)) + strings.Repeat("\x7f", after) + `"]`
				err := whole([]byte(src))
				if (err == nil) != json.Valid([]byte(src)) {
					t.Fatalf("%q: %v", src, err)
				}
				if at := fmt.Sprintf("at byte %d: ", 2+before); c < ' ' && !strings.HasPrefix(err.Error(), at) {
					t.Fatalf("%q: %v, want %s", src, err, at)
				}
			}
		}
	}
}

// A Reader that is asked for what cannot come says so, and again after that: it never goes on as if nothing were wrong.
func TestMisplaced(t *testing.T) {
	f := func(src, problem string, steps ...func(*splice.Reader) error) {
		t.Helper()
		r := new(splice.Reader)
		if err := r.Reset([]byte(src)); err != nil {
			t.Fatal(err)
		}
		for i, step := range steps {
			switch err := step(r); {
			case i < len(steps)-1 && err != nil:
				t.Fatalf("%s, step %d: %v", src, i, err)
			case i == len(steps)-1 && (err == nil || !strings.HasSuffix(err.Error(), problem)):
				t.Errorf("%s: %v, want %s", src, err, problem)
			}
		}
		_, again := r.Value()
		if _, _, err := r.Member(); again == nil || err != again || r.Close() != again || r.Peek() != splice.Invalid { //nolint:errorlint // the same one
			t.Errorf("%s: then %v, %v", src, again, err)
		}
	}
	value := func(r *splice.Reader) error { _, err := r.Value(); return err }
	enter := func(r *splice.Reader) error { _, err := r.Enter(); return err }
	member := func(r *splice.Reader) error { _, _, err := r.Member(); return err }
	element := func(r *splice.Reader) error { _, err := r.Element(); return err }
	end := (*splice.Reader).Close
	f(`{"a":1}`, "out of place", end)
	f(`{"a":1}`, "out of place", member)
	f(`[1]`, "out of place", element)
	f(`{"a":1}`, "out of place", enter, end)
	f(`[1]`, "out of place", enter, element, value, end)
	f(`{"a":1}`, "out of place", enter, value)
	f(`{"a":1}`, "out of place", enter, element)
	f(`{"a":1}`, "out of place", enter, member, member)
	f(`[1]`, "out of place", enter, member)
	f(`[1,2]`, "out of place", enter, element, value, value)
	f(`{"a":[1]}`, "out of place", enter, member, enter, element, value, element, element)
	f(`1`, "out of place", enter)
	f(`1`, "out of place", value, value)
	f(`1`, "out of place", value, member)
	f(`x`, "at start of value", enter)
}

// FuzzEdits wants that edits are applied by offset whatever the order in which they are recorded, those at the same one as they
// were recorded. Each letter of a script edits the byte of that number: a capital cuts it, another inserts something before it.
func FuzzEdits(f *testing.F) {
	for _, script := range []string{"", "abc", "cba", "aaa", "Abc", "bcdAad", "cdeabc", "dcBcad", "aDcdbA", "ffeffBBgfDA"} {
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script string) {
		var edits splice.Edits
		parts := strings.Split("0123456789", "") // each with what is inserted before it, or empty when it is cut
		for i, c := range script {
			at := int(c|0x20) % len(parts)
			text, n := fmt.Sprintf("<%d>", i), len(parts[at])
			switch {
			case c < 'a' && n == 1:
				parts[at] = ""
				edits.Replace(splice.Span{Start: at, End: at + 1}, "", 0)
			case n > 0:
				parts[at] = parts[at][:n-1] + text + parts[at][n-1:]
				edits.Insert(at, text, 1)
			}
		}
		want := strings.Join(parts, "")
		got, holes := edits.Apply(nil, []byte("0123456789"), nil)
		if string(got) != want || !slices.Equal(holes, behindEach(want, '<')) {
			t.Fatalf("got %s, holes %v\nwant %s", got, holes, want)
		}
	})
}

func behindEach(s string, c byte) (offsets []int) {
	for i := range len(s) {
		if s[i] == c {
			offsets = append(offsets, i+1)
		}
	}
	return offsets
}

func BenchmarkValue(b *testing.B) {
	const small = `{"amount":"100.00","currency":"EUR","payer":{"name":"Olena","iban":"DE89370400440532013000"},"items":[{"id":1,"n":2},{"id":2,"n":1}]}`
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(small), "", "  "); err != nil {
		b.Fatal(err)
	}
	for name, src := range map[string]string{
		"small":    small,
		"indented": indented.String(),
		"Cyrillic": strings.ReplaceAll(small, "DE89370400440532013000", "За оплату товару"),
		"escaped":  strings.ReplaceAll(small, "DE89370400440532013000", `\u0417\u0430\n\"x\"`),
		"numbers":  "[" + strings.Repeat("1412737.25,", 100) + "0]",
		"long":     `"` + strings.Repeat("abcdefghij", 10_000) + `"`,
	} {
		b.Run(name, func(b *testing.B) {
			var r splice.Reader
			text := []byte(src)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Reset(text); err != nil {
					b.Fatal(err)
				}
				if _, err := r.Value(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
