package webhook_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"syncgate/internal/splice"
	"syncgate/internal/webhook"
)

func path(t testing.TB, text string) webhook.Path {
	t.Helper()
	p, err := webhook.ParsePath(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return p
}

func TestPath(t *testing.T) {
	f := func(text, data, want string) {
		t.Helper()
		if got, ok := path(t, text).Of([]byte(data)); got != want || ok != (want != "") {
			t.Errorf("%s of %s is %q, %v; want %q", text, data, got, ok, want)
		}
	}
	f("a", `{"a":"x"}`, "x")
	f("data.order.task_id", `{"data":{"order":{"task_id":17}}}`, "17")
	f("items[1].id", `{"items":[{"id":"x"},{"id":"y"},{"id":"z"}]}`, "y")
	f("a[0][1]", `{"a":[["x","y"]]}`, "y")
	f("[0]", `["x"]`, "x")
	f(`["with.dots"].a`, `{"with.dots":{"a":"x"}}`, "x")
	f(`a["b\"]"]["ї"][0]`, `{"a":{"b\"]":{"\u0457":["x"]}}}`, "x")
	f(`[""]`, `{"":"x"}`, "x")
	f("ї-$@ключ", `{"ї-$@ключ":"x"}`, "x")
	f(".", `"x"`, "x")
	f(".", ` 17 `, "17")
	// numbers are as they are written
	for _, number := range []string{"17", "-17", "12345678901234567890123", "1.50", "1e3", "1E+3", "0", "-0"} {
		f("a", `{"a":`+number+`}`, number)
	}
	// strings are decoded
	f("a", `{"a":"\u0457\n\"\u0000"}`, "ї\n\"\x00")
	f(`a`, `{"\u0061":"x"}`, "x")
	// what is no name
	for _, value := range []string{`null`, `""`, `true`, `false`, `{}`, `[]`, `{"a":1}`, `["x"]`, `"\ud800"`, `"a\udfff"`, "\"\ufffd\"", `"\ufffd"`} {
		f("a", `{"a":`+value+`}`, "")
	}
	// what is not there
	f("a", `{"b":"x"}`, "")
	f("a", `["x"]`, "")
	f("a", `"a"`, "")
	f("[0]", `{"0":"x"}`, "")
	f("[1]", `["x"]`, "")
	f("a.b", `{"a":"x"}`, "")
	f("a.b", `{"a":null}`, "")
	f("a", `{"A":"x"}`, "")
	// of members with the same name the last one counts
	f("a", `{"a":"x","a":"y"}`, "y")
	f("a", `{"a":"x","a":null}`, "")
	f("a.b", `{"a":{"b":"x"},"a":{"c":1}}`, "")
	// no JSON
	for _, data := range []string{``, `{"a":"x"`, `{"a":"x"}}`, `{"a":"x"} 1`, "{\"a\":\"\xff\"}", "\ufeff{\"a\":\"x\"}", strings.Repeat("[", 1000)} {
		f("a", data, "")
	}
}

func TestParsePathRefuses(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if _, err := webhook.ParsePath(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v; want %s", text, err, want)
		}
	}
	f("", "at byte 0: a name is missing")
	f("..", "at byte 0: a name is missing")
	f(".a", "at byte 0: a name is missing")
	f("a.", "at byte 2: a name is missing")
	f("a..b", "at byte 2: a name is missing")
	f("a.[0]", "at byte 2: a name is missing")
	f("a[0]b", "at byte 4: a dot or [ is missing")
	f("a b", "at byte 1: a name with other than plain characters")
	f("a]", "at byte 1: a name with other")
	f(`a"b`, "at byte 1: a name with other")
	f("a[", "at byte 1: what is in [] must be a number up to 1000000")
	f("a[]", "at byte 1: what is in []")
	f("a[-1]", "at byte 1: what is in []")
	f("a[+1]", "at byte 1: what is in []")
	f("a[1000001]", "at byte 1: what is in []")
	f("a[x]", "at byte 1: what is in []")
	f(`a["x"`, `at byte 1: "] is missing`)
	f(`a["x]`, `at byte 1: "] is missing`)
	f(`a["x\"]`, `at byte 1: "] is missing`)
	f(`a["x" ]`, `at byte 1: "] is missing`)
	f(`a["\x"]`, `at byte 1: what is in quotes must be a JSON string`)
	f("a\xff", "must be UTF-8")
	f(strings.Repeat("a", 1025), "must be UTF-8 of at most 1024 bytes")
	f(strings.Repeat("a.", 32)+"a", "at byte 63: more than 32 steps")
	path(t, strings.Repeat("a.", 31)+"a")
	path(t, "a[1000000]")
}

// slowly finds what a path of plain names leads to, in a tree of encoding/json.
func slowly(names []string, data []byte) (string, bool) {
	var tree any
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	if err := dec.Decode(&tree); err != nil {
		return "", false
	}
	for _, name := range names {
		object, ok := tree.(map[string]any)
		if !ok {
			return "", false
		}
		tree = object[name]
	}
	switch v := tree.(type) {
	case string:
		return v, v != "" && !strings.ContainsRune(v, '\ufffd')
	case json.Number:
		return v.String(), true
	}
	return "", false
}

// FuzzPath holds paths of names to encoding/json, and every path to its promises.
func FuzzPath(f *testing.F) {
	for _, text := range []string{"a.b", `a["b"][0]`, `["a.b"]`, "[1]", "a[", "."} {
		for _, data := range []string{`{"a":{"b":"x"}}`, `{"a":{"b":["x",1e3]}}`, `{"a.b":17,"a":{"b":12345678901234567890}}`, `["\ud800","y"]`, `{"a":{"a":1},"a":{"b":null}}`, `x`} {
			f.Add(text, []byte(data))
		}
	}
	f.Fuzz(func(t *testing.T, text string, data []byte) {
		p, err := webhook.ParsePath(text)
		if err != nil {
			return
		}
		name, ok := p.Of(data)
		if ok && !json.Valid(data) || ok != (name != "") {
			t.Fatalf("%q of %q is %q, %v", text, data, name, ok)
		}
		checkEvents(t, p, data)
		if !strings.Contains(text, "[") && text != "." && acceptable(data) {
			checkName(t, text, data, name)
		}
	})
}

func checkName(t *testing.T, text string, data []byte, name string) {
	t.Helper()
	if want, ok := slowly(strings.Split(text, "."), data); ok && name != want || !ok && name != "" {
		t.Fatalf("%q of %q is %q; want %q, %v", text, data, name, want, ok)
	}
}

func checkEvents(t *testing.T, p webhook.Path, data []byte) {
	t.Helper()
	events, err := p.Split(data)
	if err != nil && len(events) > 0 || len(events) > webhook.MostEvents {
		t.Fatalf("%q has %d events, %v", data, len(events), err)
	}
	for _, e := range events {
		if !json.Valid(e) {
			t.Fatalf("%q has the event %q", data, e)
		}
	}
}

// acceptable reports whether both readers take a text: encoding/json takes what is not UTF-8, and any depth.
func acceptable(data []byte) bool {
	return json.Valid(data) && utf8.Valid(data) && bytes.Count(data, []byte("{"))+bytes.Count(data, []byte("[")) <= splice.MaxDepth
}
