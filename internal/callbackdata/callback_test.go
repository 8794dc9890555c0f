package callbackdata_test

import (
	"fmt"
	"strings"
	"testing"

	"syncgate/internal/callbackdata"
	"syncgate/internal/wiretest"
)

const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
	typeXML  = "application/xml"
)

func TestCallback(t *testing.T) {
	f := func(contentType, body, want string) {
		t.Helper()
		for _, method := range []string{"POST", "PUT", "PATCH"} {
			req := wiretest.Received(t, method, "/api/1/plugins/callback/token?conv_signature=x&conv_time=1&conv_id=2&param=3", body, "Content-Type: "+contentType)
			data, heard, err := callbackdata.Read(req)
			if err != nil || string(data) != want || string(heard) != "{}" {
				t.Errorf("%s %s\ngives %s, heard %s, %v\nwant  %s", contentType, body, data, heard, err, want)
			}
			clear(req.Body())
			_ = append(data, 'x')
			if err == nil && (string(data) != want || string(heard) != "{}") {
				t.Errorf("%s: the data and the answer are not in bytes of their own", body)
			}
		}
	}
	// JSON, whatever it is called
	for _, contentType := range []string{typeJSON, "Application/JSON; charset=utf-8", "text/plain", "application/octet-stream", "", typeXML, "multipart/form-data; boundary=x", ";;"} {
		f(contentType, `{"a": 1.0, "a":2, "\u0061":"\ud800"}`, `{"a": 1.0, "a":2, "\u0061":"\ud800"}`)
		f(contentType, ` [1, {"x":[]}] `, `[1, {"x":[]}]`)
		f(contentType, `"text"`, `"text"`)
		f(contentType, "\n12345678901234567890\n", `12345678901234567890`)
		f(contentType, `null`, `null`)
		f(contentType, ``, `{}`)
	}
	f(typeForm, ``, `{}`)
	for _, media := range []string{"application/problem+json", "application/vnd.api+json; charset=utf-8", "text/json", typeXML, "multipart/form-data", typeJSON} {
		f(media, "\ufeff{\"a\": 1}\n", `{"a": 1}`) // without its byte order mark
		f(media, "\ufeff", `{}`)
	}
	f(typeForm, "\ufeffa=1", `{"a":"1"}`)
	f(typeForm, "\ufeff{\"a\":1}", `{"a":1}`)
	f(typeJSON, "\"\ufeff\"", "\"\ufeff\"") // only where a text begins
	f(typeJSON, `{"sys":{"ref":"r"},"a":1}`, `{"sys":{"ref":"r"},"a":1}`)
	// what only resembles Corezoid's own format is data
	for _, body := range []string{
		`{"ops":[]}`, `{"ops":{"type":"data","extra":{}}}`, `{"ops":[{"type":"create","extra":{"a":1}}]}`, `{"ops":[{"type":["data"],"extra":1}]}`,
		`{"ops":[1,{"type":"data","extra":{"a":1}}]}`, `{"x":{"ops":[{"type":"data","extra":{"a":1}}]}}`, `[{"ops":[{"type":"data","extra":{"a":1}}]}]`, `{"Ops":[{"type":"data","extra":1}]}`,
		`{"ops":[{"type":"data","extra":1}],"ops":[{"type":"other"}]}`, `{"ops":[[{"type":"data","extra":1}]]}`,
	} {
		f(typeJSON, body, body)
	}
	// forms
	f(typeForm, `a=1`, `{"a":"1"}`)
	f(typeForm+"; charset=UTF-8", `a=1&b=%D1%96+%26%3d&a=2&c&=e&a=&&b=x%zz%4`, `{"a":["1","2",""],"b":["і &=","x%zz%4"],"c":"","":"e"}`)
	f(typeForm, `conv_id=1`, `{"conv_id":"1"}`)
	f(typeForm, `{"a":1}`, `{"a":1}`)
	f(typeForm, ` [1]`, `[1]`)
	f(typeForm, `{"a":1`, `{"{\"a\":1":""}`)
	f(typeForm, `{a}=1`, `{"{a}":"1"}`)
	f(typeForm, `1`, `{"1":""}`)
	f(typeForm, `"a"`, `{"\"a\"":""}`)
	f(typeForm, `a"b=c%00d%0A`, `{"a\"b":"c\u0000d\n"}`)
}

func TestCallbackFormMany(t *testing.T) {
	var form, want strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&form, "n%d=a&", i)
		fmt.Fprintf(&want, `"n%d":["a","b"],`, i)
	}
	for i := range 20_000 {
		fmt.Fprintf(&form, "n%d=b&", i)
	}
	req := wiretest.Received(t, "POST", "/x", form.String(), "Content-Type: "+typeForm)
	data, _, err := callbackdata.Read(req)
	if got := "{" + strings.TrimSuffix(want.String(), ",") + "}"; err != nil || string(data) != got {
		t.Errorf("%v, %.100s", err, data)
	}
}

func TestCallbackCorezoidFormat(t *testing.T) {
	f := func(contentType, body, want, wantHeard string) {
		t.Helper()
		req := wiretest.Received(t, "POST", "/api/1/plugins/callback/token", body, "Content-Type: "+contentType)
		data, heard, err := callbackdata.Read(req)
		clear(req.Body()) // what was taken is a copy
		if err != nil || string(data) != want || string(heard) != `{"request_proc":"ok","ops":[{`+wantHeard+`"proc":"ok","res_data":{}}]}` {
			t.Errorf("%s\ngives %s, heard %s, %v\nwant  %s, heard %s", body, data, heard, err, want, wantHeard)
		}
	}
	f(typeJSON, `{"ops":[{"ref":"r","type":"data","obj":"task","obj_id":"o","extra":{"a": 1}}]}`, `{"a": 1}`, `"ref":"r","obj_id":"o",`)
	f("text/plain", ` { "x":1, "ops" : [ {"extra":[1],"type":"\u0064ata","ref": null } ] } `, `[1]`, `"ref":null,`)
	f(typeForm, `{"ops":[{"type":"data","obj_id":7}]}`, `{}`, `"obj_id":7,`)
	f(typeJSON, `{"ops":[{"type":"data","extra":null}]}`, `null`, ``)
	f(typeJSON, `{"ops":[{"type":"data","ref":1,"extra":1},{"type":"data","ref":2,"extra":2},3]}`, `1`, `"ref":1,`)
	f(typeJSON, `{"ops":[],"ops":[{"type":"data","ref":"\u00e9","extra":{"extra":2}}]}`, `{"extra":2}`, `"ref":"\u00e9",`)
}

func TestCallbackQuery(t *testing.T) {
	f := func(uri, want string) {
		t.Helper()
		req := wiretest.Received(t, "GET", uri, "")
		data, heard, err := callbackdata.Read(req)
		if err != nil || string(data) != want || string(heard) != "{}" {
			t.Errorf("%s gives %s, %v", uri, data, err)
		}
	}
	f("/cb/t", `{}`)
	f("/cb/t?", `{}`)
	f("/cb/t?conv_signature=s&conv_time=1&param1=a+b&conv_id=2&ref=r&param1=%3F", `{"param1":["a b","?"],"ref":"r"}`)
	f("/cb/t?conv_rate=2&CONV_ID=3", `{"conv_rate":"2","CONV_ID":"3"}`)
	f("/cb/t?a=1?b=2", `{"a":"1?b=2"}`)
	f("http://[badhost/cb/t?a=1", `{"a":"1"}`)
}

func TestCallbackXML(t *testing.T) {
	f := func(contentType, body, want string) {
		t.Helper()
		req := wiretest.Received(t, "POST", "/cb/t", body, "Content-Type: "+contentType)
		data, heard, err := callbackdata.Read(req)
		if err != nil || string(data) != `{"root":`+want+`}` || string(heard) != "{}" {
			t.Errorf("%s\ngives %s, %v\nwant  %s", body, data, err, want)
		}
	}
	f(typeXML, `<r a="1"><x>1</x><x>2</x><y/></r>`, `{"@a":"1","x":["1","2"],"y":""}`)
	f("text/xml", `<r/>`, `""`)
	f("Application/SOAP+XML; action=x; charset=\"UTF-8\"", `<r></r>`, `""`)
	for _, media := range []string{"application/atom+xml", "image/svg+XML; charset=utf-8", "application/problem+xml;x=y", "application/vnd.a.b+xml"} {
		f(media, `<r/>`, `""`)
	}
	for _, charset := range []string{"US-ASCII", "ascii", "ANSI_X3.4-1968", "ISO646-US", "csASCII", "cp367"} {
		f("text/xml; charset="+charset, `<r>a&#1111;</r>`, `"aї"`)
		f("text/xml", `<?xml version="1.0" encoding="`+charset+`"?><r/>`, `""`)
	}
	f(typeXML+`; x="; charset=latin1"; charset="utf-8"`, `<r>ї</r>`, `"ї"`)
	f(typeXML, `<r> a b </r>`, `" a b "`)
	f(typeXML, "<r>\n\t</r>", `""`)
	f(typeXML, `<r a="1"/>`, `{"@a":"1"}`)
	f(typeXML, `<r a="1"> text </r>`, `{"@a":"1","#value":" text "}`)
	f(typeXML, `<r>one<x/>two <y/> <z/> three</r>`, `{"x":"","y":"","z":"","#value":"onetwo  three"}`)
	f(typeXML, `<r>one<!-- c --> two<?pi x?> three</r>`, `"one two three"`)
	f(typeXML, `<r><x>1</x><y>2</y><x><z>3</z></x></r>`, `{"x":["1",{"z":"3"}],"y":"2"}`)
	f(typeXML, `<s:r xmlns:s="urn:x" xmlns="urn:y" s:a="1"><s:x/><x/></s:r>`, `{"@xmlns:s":"urn:x","@xmlns":"urn:y","@s:a":"1","s:x":"","x":""}`)
	f(typeXML, `<r>&lt;&amp;&#x456;&quot;<![CDATA[<b>&amp;</b>]]></r>`, `"<&і\"<b>&amp;</b>"`)
	f(typeXML, "\ufeff \n<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!DOCTYPE r SYSTEM \"http://example.com/r.dtd\">\n<!-- c --><r>Олена</r>\n<!-- end -->\n", `"Олена"`)
	f(typeXML, `<r><a><b><c>1</c></b></a><a>2</a></r>`, `{"a":[{"b":{"c":"1"}},"2"]}`)
	f(typeXML, "<r>\u00a0</r>", "\"\u00a0\"")
	f(typeXML, strings.Repeat("<a>", 128)+strings.Repeat("</a>", 128), strings.Repeat(`{"a":`, 127)+`""`+strings.Repeat("}", 127))
}

func TestCallbackRefused(t *testing.T) {
	f := func(contentType, body, problem string) {
		t.Helper()
		req := wiretest.Received(t, "POST", "/cb/t", body, "Content-Type: "+contentType)
		_, _, err := callbackdata.Read(req)
		wantError(t, err, problem)
	}
	f(typeJSON, `{"a":1`, "at byte 6: unexpected end")
	f(typeJSON, `{} {}`, "at byte 3: more than one value")
	f(typeJSON, "\ufeff\ufeff{}", "at byte 0: byte order mark") // one is dropped
	f(typeJSON, "\xff\xfe{\x00}\x00", "at byte 0: invalid UTF-8")
	f(typeJSON, "\"\xff\"", "at byte 1: invalid UTF-8")
	f(typeJSON, "\n", "at byte 1: unexpected end")
	f(typeJSON, strings.Repeat("[", 129)+strings.Repeat("]", 129), "at byte 128: nested deeper than 128")
	f(typeJSON, `a=1`, "at byte 0: invalid character")
	f("text/html", `<html></html>`, "at byte 0: invalid character")
	f(typeJSON, `<r/>`, "at byte 0: invalid character")
	f(typeXML, `r`, "at byte 0: invalid character")
	for _, none := range []string{"+xml", "xml", "application+xml", "text/xmls", "application/x+xmlx", "image/svg +xml2", "text/html"} {
		f(none, `<r/>`, "at byte 0: invalid character")
	}
	f("application/soap/xml", `<r/>`, "at byte 0: invalid character")
	f(typeForm, "a=\xff", "form: is not UTF-8")
	f(typeForm, "a%ff=1", "form: is not UTF-8")
	// XML
	f(typeXML, "<r>\xff</r>", "XML: is not UTF-8")
	f(typeXML+"; charset=windows-1251", `<r/>`, `XML: charset is not UTF-8`)
	f(typeXML+"; charset=us-ascii", `<r>ї</r>`, `XML: charset is US-ASCII, and not all bytes are`)
	f(typeXML, `<?xml version="1.0" encoding="ASCII"?><r>ї</r>`, `XML: at byte 0: its encoding is US-ASCII, and not all bytes are`)
	f(typeXML+"; charset=us-ascii-2", `<r/>`, `XML: charset is not UTF-8`)
	f(typeXML+`; x="; charset=utf-8"; charset=latin1`, `<r/>`, `XML: charset is not UTF-8`)
	f(typeXML+"\t; a=b;; CHARSET = \"latin1\" ;c", `<r/>`, `XML: charset is not UTF-8`)
	g := func(body, problem string) {
		t.Helper()
		req := wiretest.Received(t, "POST", "/cb/t", body, "Content-Type: "+typeXML)
		_, _, err := callbackdata.Read(req)
		if err == nil || !strings.HasPrefix(err.Error(), "XML: at byte ") || !strings.HasSuffix(err.Error(), problem) {
			t.Errorf("%.60s: %v", body, err)
		}
	}
	g(`<?xml version="1.0" encoding="windows-1251"?><r/>`, "its encoding is not UTF-8")
	g(`<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><r>&b;</r>`, "entities cannot be declared")
	g(`<r>&nbsp;</r>`, "at byte 3: invalid reference to a character or entity")
	g(`<r>`, "unexpected end")
	g(`<r><x></r></x>`, "at byte 6: an element ends that is not open")
	g(`</r>`, "at byte 0: an element ends that is not open")
	g(`<r/><r/>`, "more than one root element")
	g(`<r/>x`, "text outside of the root element")
	g(`<!-- c -->`, "unexpected end")
	g(`<r a="1" b="2" a="3"/>`, "at byte 15: an attribute appears twice")
	g(`<r a=1/>`, "at byte 5: an attribute's value has no quotes")
	g(`<r><![CDATA[x</r>`, "at byte 17: unexpected end")
	g(strings.Repeat("<a>", 129)+strings.Repeat("</a>", 129), "nested deeper than 128")
	g("<r>\x01</r>", "at byte 3: invalid character")
	_, _, err := callbackdata.Read(wiretest.Received(t, "GET", "/cb/t?a=%ff", ""))
	wantError(t, err, "form: is not UTF-8")
}

func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || err.Error() != text {
		t.Errorf("got %v, want %s", err, text)
	}
}

// Callers that know the format of a body read it as that.
func TestParts(t *testing.T) {
	f := func(data []byte, err error, want string) {
		t.Helper()
		if err != nil || string(data) != want {
			t.Errorf("got %s, %v, want %s", data, err, want)
		}
	}
	data, err := callbackdata.Form(nil, []byte("a=1&b=%7b&a="))
	f(data, err, `{"a":["1",""],"b":"{"}`)
	data, err = callbackdata.Form([]byte(typeJSON), []byte(`{"a":1}`)) // no type but multipart says anything
	f(data, err, `{"{\"a\":1}":""}`)
	data, err = callbackdata.Form([]byte(typeMultipart), []byte(field("a", "1")+"--b--"))
	f(data, err, `{"a":"1"}`)
	_, err = callbackdata.Form([]byte(typeMultipart), []byte("a=1"))
	wantError(t, err, "form: it does not begin with its boundary")
	data, err = callbackdata.XML([]byte("text/xml; charset=us-ascii"), []byte("<r>a</r>"))
	f(data, err, `{"root":"a"}`)
	_, err = callbackdata.XML([]byte("text/xml; charset=latin1"), []byte("<r>a</r>"))
	wantError(t, err, "XML: charset is not UTF-8")
	_, err = callbackdata.XML(nil, []byte("{}"))
	wantError(t, err, "XML: at byte 0: text outside of the root element")
	f(callbackdata.MediaType([]byte(" Text/XML ; charset=x")), nil, "Text/XML")
}

// What a callback allocates is what is kept of it: its data, with the answer to it.
func TestAllocations(t *testing.T) {
	req := wiretest.Received(t, "POST", "/cb/t", `{"status":"done","transaction":{"id":1412737,"fee":"0.50"},"sys":{"ref":"order-1"}}`, "Content-Type: "+typeJSON)
	if got := testing.AllocsPerRun(500, func() { _, _, _ = callbackdata.Read(req) }); got > 1 && !raced {
		t.Errorf("Read allocates %v times, more than once", got)
	}
}
