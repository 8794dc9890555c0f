package webhook_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"syncgate/internal/splice"
	"syncgate/internal/webhook"
)

func body(t testing.TB, text string) webhook.Body {
	t.Helper()
	b, err := webhook.ParseBody(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBody(t *testing.T) {
	f := func(kind, contentType, text, want string) {
		t.Helper()
		req := request(t, "POST", "/hook?a=1", text, "Content-Type: "+contentType)
		data, err := body(t, kind).Read(req)
		clear(req.Body()) // the data is a copy
		if err != nil || string(data) != want {
			t.Errorf("%s: %s: %s gives %s, %v; want %s", kind, contentType, text, data, err, want)
		}
	}
	const form, xml, js = "application/x-www-form-urlencoded", "text/xml", "application/json"
	for _, kind := range []string{"", "auto"} {
		f(kind, js, ` {"a": 1} `, `{"a": 1}`)
		f(kind, form, `a=1&a=2`, `{"a":["1","2"]}`)
		f(kind, xml, `<r a="1"/>`, `{"root":{"@a":"1"}}`)
		f(kind, js, ``, `{}`)
	}
	f("json", xml, "\ufeff {\"a\": 1}\n", `{"a": 1}`)
	f("json", form, `{"ops":[{"type":"data","extra":1}]}`, `{"ops":[{"type":"data","extra":1}]}`) // auto would take the extra
	f("form", js, `{"a":1}`, `{"{\"a\":1}":""}`)
	f("form", form, "\ufeffa=1", `{"a":"1"}`)
	f("form", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--", `{"a":"1"}`)
	f("xml", js, `<r>x</r>`, `{"root":"x"}`)
	for _, encoded := range []string{"eyJhIjoi8J-YgD8_In0", "eyJhIjoi8J%2BYgD8%2FIn0=", "eyJhIjoi8J%2bYgD8_In0%3D"} { // either alphabet, padding or none
		f("base64-json:data", form, "x=1&data="+encoded, `{"a":"😀??"}`)
	}
}

func TestBodyRefused(t *testing.T) {
	const marker = "XZQWJKVY"
	f := func(kind, contentType, text, want string) {
		t.Helper()
		data, err := body(t, kind).Read(request(t, "POST", "/hook", text, "Content-Type: "+contentType))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), marker) {
			t.Errorf("%s: %s gives %s, %v; want %s", kind, text, data, err, want)
		}
	}
	f("auto", "application/json", `{"a":`+marker, "invalid character")
	f("json", "application/json", marker, "at byte 0: invalid character")
	f("json", "application/json", ``, "at byte 0: unexpected end")
	f("json", "application/json", `{} "`+marker+`"`, "at byte 3: more than one value")
	f("json", "application/json", "\"\xff"+marker+"\"", "invalid UTF-8")
	f("xml", "application/json", `{"a":1}`, "XML: at byte 0")
	f("xml", "text/xml", ``, "XML: at byte 0: unexpected end")
	f("form", "", "a=%ff"+marker, "form: is not UTF-8")
	encoded := func(s string) string { return "data=" + url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(s))) }
	const kind, once = "base64-json:data", "form: must have the field data once"
	f(kind, "", ``, once)
	f(kind, "", `DATA=e30`, once)
	f(kind, "", `data=e30&data=e30`, once)
	for _, bad := range []string{"e", "e30==", "e30%3D%3D", "e3 0", "e30%0A", "e30%3D%0A", "e31", "%", "e3!=", "e%3D30"} { // e31 has bits behind its end
		f(kind, "", "data="+bad, "form: the field data is not base64")
	}
	f(kind, "", `data=`, "form: the field data: at byte 0: unexpected end")
	f(kind, "", encoded(`{"a":`+marker), "form: the field data: at byte 5: invalid character")
	f(kind, "", encoded(`{}{}`), "more than one value")
	f(kind, "", encoded("\ufeff{}"), "byte order mark")
	for _, text := range []string{"base64-json", "base64-json:", "JSON", "text", " "} {
		if _, err := webhook.ParseBody(text); err == nil || !strings.Contains(err.Error(), "must be auto, json, form, xml, or base64-json:FIELD") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSplit(t *testing.T) {
	f := func(at, data string, want error, events ...string) {
		t.Helper()
		got, err := path(t, at).Split([]byte(data))
		if !errors.Is(err, want) || string(bytes.Join(got, []byte("|"))) != strings.Join(events, "|") {
			t.Errorf("%s of %s: %q, %v", at, data, got, err)
		}
	}
	f("a.b", `{"a":{"b":[ {"x": 1} , "y", [1,2],null]}}`, nil, `{"x": 1}`, `"y"`, `[1,2]`, `null`)
	f(".", `[1,2]`, nil, `1`, `2`)
	f("a", `{"a":[]}`, nil)
	f("a", `{"a":"[{\"x\": 1}, \"\\u0079\"]"}`, nil, `{"x": 1}`, `"\u0079"`) // a form's field with JSON
	f("a", `{"a":"[]"}`, nil)
	for _, value := range []string{`{}`, `null`, `17`, `""`, `"x"`, `"[1"`, `"[1] 2"`, `"\"[1]\""`, `"{}"`, `"[\ud800]"`} {
		f("a", `{"a":`+value+`}`, webhook.ErrNoEvents)
	}
	f("b", `{"a":[]}`, webhook.ErrNoEvents)
	f("a", `{"a":[1]`, webhook.ErrNoEvents)
	many := func(n int) string { return `{"a":[` + strings.TrimSuffix(strings.Repeat("1,", n), ",") + `]}` }
	f("a", many(webhook.MostEvents+1), webhook.ErrTooManyEvents)
	if got, err := path(t, "a").Split([]byte(many(webhook.MostEvents))); err != nil || len(got) != webhook.MostEvents {
		t.Errorf("%d events, %v", len(got), err)
	}
	// Mandrill's, whole
	v := vectors()["mandrill"]
	c := webhook.Config{Verify: v.verify}.Expanded()
	data, err := body(t, c.Body).Read(v.sent.request(t))
	if err != nil {
		t.Fatal(err)
	}
	f(c.Events, string(data), nil, `{"event":"send","_id":"exampleaaaaaaaaaaaaaaaaaaaaaaaaa","ts":1365109999}`, `{"event":"open","_id":"examplebbb","ts":1365110000}`)
}

// FuzzBase64JSON holds the field of a form to encoding/base64 and encoding/json.
func FuzzBase64JSON(f *testing.F) {
	for _, text := range []string{"e30", "e30=", "eyJhIjoi8J-YgD8_In0", "e31", "e30==", "", "\n", "W10\r\n", "+/-_", "IjEi"} {
		f.Add(text)
	}
	b := body(f, "base64-json:d")
	f.Fuzz(func(t *testing.T, text string) {
		data, err := b.Read(request(t, "POST", "/", "d="+url.QueryEscape(text)))
		plain := strings.NewReplacer("-", "+", "_", "/").Replace(text)
		encoding := base64.RawStdEncoding
		if strings.HasSuffix(plain, "=") {
			encoding = base64.StdEncoding
		}
		want, wantErr := encoding.Strict().DecodeString(plain)
		good := wantErr == nil && !strings.ContainsAny(plain, "\r\n") && json.Valid(want)
		if err == nil && (!good || string(data) != strings.Trim(string(want), " \t\r\n")) {
			t.Fatalf("%q gives %q", text, data)
		}
		if err != nil && good && len(want) <= splice.MaxDepth && utf8.Valid(want) { // so it is not too deep
			t.Fatalf("%q: %v", text, err)
		}
	})
}
