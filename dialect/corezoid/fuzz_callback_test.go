package corezoid_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"syncgate/internal/splice"
)

// FuzzCallback holds the data of callbacks to encoding/json and net/url: JSON is taken as it is, a form's object says
// what the form says, and whatever is taken is JSON.
func FuzzCallback(f *testing.F) {
	for _, body := range []string{
		`{"a":1}`, `[1,2]`, ` "x" `, ``, `{"ops":[{"type":"data","extra":{"a":1},"ref":null}]}`, `{"ops":[{"type":"data"}],"ops":2}`, `a=1&b=2&a=%d1%96+`, `{"a":1`, `<r a="1"><x>1</x><x>2</x><y/></r>`,
		`<s:r xmlns:s="u">t<!-- c --><![CDATA[ ]]><x/>u</s:r>`, `<!DOCTYPE r [<!ENTITY x "y">]><r>&x;</r>`, "\ufeff<r/>", "\xff",
	} {
		for _, contentType := range []string{typeJSON, typeForm, typeXML, "text/xml; charset=utf-16", ""} {
			f.Add(contentType, body)
		}
	}
	d := dialect(f)
	f.Fuzz(func(t *testing.T, contentType, body string) {
		if strings.ContainsAny(contentType, "\r\n\x00") {
			return // not a header
		}
		ctx := received(t, "POST", "/cb/t", body)
		ctx.Request.Header.SetContentType(contentType)
		cb, heard, err := d.Callback(&ctx.Request, 0)
		if err != nil {
			if acceptable(body) && !strings.Contains(strings.ToLower(contentType), "urlencoded") {
				t.Fatalf("%s %q: %v", contentType, body, err)
			}
			return
		}
		if !json.Valid(cb.Body) || !utf8.Valid(cb.Body) || !json.Valid(heard) {
			t.Fatalf("%s %q gives %q, heard %q", contentType, body, cb.Body, heard)
		}
		checkCallback(t, contentType, body, cb.Body, heard)
	})
}

func checkCallback(t *testing.T, contentType, body string, data, heard []byte) {
	t.Helper()
	media, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	switch {
	case strings.Trim(media, " \t") == typeForm:
		checkForm(t, body, data)
	case acceptable(body):
		checkJSON(t, body, data, heard)
	case contentType == typeXML && body != "":
		checkXML(t, body, data)
	}
}

func acceptable(body string) bool {
	return json.Valid([]byte(body)) && utf8.ValidString(body) && deep(body) <= splice.MaxDepth
}

func checkJSON(t *testing.T, body string, data, heard []byte) {
	t.Helper()
	if string(heard) == "{}" {
		if string(data) != strings.Trim(body, " \t\r\n") {
			t.Fatalf("%q gives %q", body, data)
		}
		return
	}
	top, _ := members(body)
	list, _ := elements(last(top, "ops"))
	if len(list) == 0 {
		t.Fatalf("%q is heard as %s", body, heard)
	}
	first, _ := members(list[0])
	extra := last(first, "extra")
	if extra == "" {
		extra = "{}"
	}
	var said struct {
		Ops []map[string]json.RawMessage `json:"ops"`
	}
	if err := json.Unmarshal(heard, &said); err != nil || len(said.Ops) != 1 {
		t.Fatalf("%q is heard as %s", body, heard)
	}
	if says(last(first, "type")) != "data" || string(data) != extra ||
		string(said.Ops[0]["ref"]) != last(first, "ref") || string(said.Ops[0]["obj_id"]) != last(first, "obj_id") {
		t.Fatalf("%q gives %s, heard %s", body, data, heard)
	}
}

func checkForm(t *testing.T, body string, data []byte) {
	t.Helper()
	want, err := url.ParseQuery(body)
	trimmed := strings.TrimLeft(body, " \t\r\n")
	if err != nil || acceptable(body) && trimmed != "" && strings.ContainsAny(trimmed[:1], "{[") {
		return // it reads less, or is JSON
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatalf("%q gives %s", body, data)
	}
	got := url.Values{}
	for name, value := range object {
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		for _, v := range list {
			got[name] = append(got[name], v.(string))
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q gives %s, want %v", body, data, want)
	}
}

// checkXML counts: every element and attribute is somewhere in the data.
func checkXML(t *testing.T, body string, data []byte) {
	t.Helper()
	dec := xml.NewDecoder(bytes.NewReader([]byte(strings.TrimPrefix(body, "\ufeff"))))
	want := 0
	for {
		token, err := dec.RawToken()
		if err != nil {
			break
		}
		if start, ok := token.(xml.StartElement); ok {
			want += 1 + len(start.Attr)
		}
	}
	var object any
	if err := json.Unmarshal(data, &object); err != nil {
		t.Fatal(err)
	}
	if got := count(object); got != want {
		t.Fatalf("%q gives %s: %d values for %d elements and attributes", body, data, got, want)
	}
}

// count counts what an object holds, an array as its elements.
func count(v any) (n int) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if list, ok := value.([]any); ok {
				for _, item := range list {
					n += 1 + count(item)
				}
			} else if name != "#value" {
				n += 1 + count(value)
			}
		}
	}
	return n
}
