package callbackdata_test

import (
	"fmt"
	"strings"
	"testing"

	"syncgate/internal/callbackdata"
	"syncgate/internal/wiretest"
)

func wantXMLError(t *testing.T, body string, at int, problem string) {
	t.Helper()
	_, _, err := callbackdata.Read(wiretest.Received(t, "POST", "/cb/t", body, "Content-Type: "+typeXML))
	wantError(t, err, fmt.Sprintf("XML: at byte %d: %s", at, problem))
}

func TestXMLRefused(t *testing.T) {
	f := func(body string, at int, problem string) {
		t.Helper()
		wantXMLError(t, body, at, problem)
	}
	const end = "unexpected end"
	whole := `<?xml version="1.0"?><!DOCTYPE r [<!-- " --><!ELEMENT r ">">]><!-- c --><r a="1&amp;2" b='3'><![CDATA[x]]>t<x/></r>`
	for i := 1; i < len(whole); i++ { // cut anywhere
		_, _, err := callbackdata.Read(wiretest.Received(t, "POST", "/cb/t", whole[:i], "Content-Type: "+typeXML))
		if err == nil || !strings.HasSuffix(err.Error(), fmt.Sprintf("at byte %d: unexpected end", i)) && !strings.HasSuffix(err.Error(), "is out of place") {
			t.Errorf("%s: %v", whole[:i], err)
		}
	}
	f("\ufeff\n<r", 6, end)
	f(`<!--->`, 6, end)
	f(`<!-- c -->`, 10, end)
	// tags
	f(`< r/>`, 1, "a name is missing")
	f(`<>`, 1, "a name is missing")
	f(`<r></>`, 5, "a name is missing")
	f(`<r ="1"/>`, 3, "a name is missing")
	f(`<? p?><r/>`, 2, "a name is missing")
	f(`<1/>`, 1, "invalid name")
	f(`<a:b:c/>`, 1, "invalid name")
	f(`<r a:b:c="1"/>`, 3, "invalid name")
	f("<r\u00d7/>", 1, "invalid name")
	f("<r></r\u00d7>", 5, "invalid name")
	f(`<r a/>`, 4, "an attribute has no value")
	f(`<r a "1"/>`, 5, "an attribute has no value")
	f(`<r a=1/>`, 5, "an attribute's value has no quotes")
	f(`<r a="<"/>`, 6, "< inside of an attribute's value")
	f(`<r a="1" b="2" a="3"/>`, 15, "an attribute appears twice")
	f(`<r / >`, 4, "a tag has / before its end")
	f(`<r></r x>`, 7, "more than a name in the tag that ends an element")
	f(`<r></R>`, 3, "an element ends that is not open")
	f(`<r><x></r></x>`, 6, "an element ends that is not open")
	f(`</r>`, 0, "an element ends that is not open")
	f(`<r/><r/>`, 4, "more than one root element")
	f(strings.Repeat("<a>", 129), 384, "nested deeper than 128")
	f(strings.Repeat("<a>", 128)+"<a/>", 384, "nested deeper than 128")
}

func TestXMLRefusedInside(t *testing.T) {
	f := func(body string, at int, problem string) {
		t.Helper()
		wantXMLError(t, body, at, problem)
	}
	const (
		reference = "invalid reference to a character or entity"
		character = "invalid character"
	)
	for _, text := range []string{"\x01", "\x00", "\x1f", "\ufffe", "\uffff"} {
		f("<r>\ufffd"+text+"</r>", 6, character)
		f("<r a='\ufffd"+text+"'/>", 9, character)
		f("<r><![CDATA[\ufffd"+text+"]]></r>", 15, character)
		f("<r><!--\ufffd"+text+"--></r>", 10, character)
		f("<r><?p \ufffd"+text+"?></r>", 10, character)
		f("<!DOCTYPE r [<!ELEMENT r '\ufffd"+text+"'>]><r/>", 29, character)
	}
	for _, text := range []string{`&nbsp;`, `&`, `& `, `&;`, `&#;`, `&#x;`, `&#xg;`, `&#a;`, `&#X41;`, `&#-1;`, `&#0;`, `&#8;`, `&#xD800;`, `&#xdfff;`, `&#xFFFE;`, `&#1114112;`, `&#99999999999999999999;`, `&LT;`, `&lt`, `&lt ;`} {
		f("<r>"+text+"</r>", 3, reference)
		f("<r a='"+text+"'/>", 6, reference)
	}
	f(`<r>]]></r>`, 3, "]]> outside of a CDATA section")
	f(`<r/>x`, 4, "text outside of the root element")
	f(`<!-- -->&#65;<r/>`, 8, "text outside of the root element")
	f(`<r/><![CDATA[x]]>`, 4, "text outside of the root element")
	// declarations and instructions
	f(`<r/><!-- -- -->`, 11, "-- inside of a comment")
	f(`<!-- --->`, 7, "-- inside of a comment")
	f(`<!DOCTYPE r [<!-- > --7]>]><r/>`, 22, "-- inside of a comment")
	f(`<r><!DOCTYPE r></r>`, 3, "a declaration is out of place")
	f(`<r/><!DOCTYPE r>`, 4, "a declaration is out of place")
	f(`<![cdata[x]]>`, 0, "a declaration is out of place")
	f(`<!-x-><r/>`, 0, "a declaration is out of place")
	f(`<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><r>&b;</r>`, 15, "entities cannot be declared")
	f(`<?xml version="1.1"?><r/>`, 0, "its version is not 1.0")
	for _, encoding := range []string{` encoding="windows-1251"`, ` encoding='utf-16'`, "\tencoding = 'utf8'", ` xencoding="utf-8" encoding="x"`, ` encoding encoding="x"`, ` encoding=""`} {
		f(`<r/><?xml version="1.0"`+encoding+`?>`, 4, "its encoding is not UTF-8")
	}
}

func TestXMLTaken(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		data, _, err := callbackdata.Read(wiretest.Received(t, "POST", "/cb/t", body, "Content-Type: "+typeXML))
		if err != nil || string(data) != `{"root":`+want+`}` {
			t.Errorf("%s gives %s, %v; want %s", body, data, err, want)
		}
	}
	f(`<?xml version = "1.0" encoding='UTF-8' standalone="yes"?><r/>`, `""`)
	f(`<?xml encoding?><?xml xencoding="x"?><?xmlencoding encoding="x"?><r/>`, `""`)
	f(`<!DOCTYPE r PUBLIC "-//>//ENTITY" 'x"'[<!-- ENTITY ' --><!ELEMENT r (#PCDATA)> <!ATTLIST r a CDATA "<">]><r/>`, `""`)
	f(`<r a="]]>'" b='"'/>`, `{"@a":"]]>'","@b":"\""}`)
	f(`<r a="1"b = "2"/>`, `{"@a":"1","@b":"2"}`)
	f(`<r>&#0000000000000000000000065;&#x10ffff;&#x9;]]</r>`, `"A`+"\U0010ffff"+`\t]]"`)
	f("<r>a\r\nb\rc\r\r\n&#13;\n<![CDATA[\r\n]]></r>", `"a\nb\nc\n\n\r\n\n"`)
	f(`<r><x/>&#32;<x> </x><![CDATA[ ]]><x/>&#xA0;</r>`, `{"x":["","",""],"#value":"`+"\u00a0"+`"}`)
	f(`<r><a/><x/><b/><x/><a/><x/></r>`, `{"a":["",""],"x":["","",""],"b":""}`)
	f(`<r x="1"><x x="2"/><x/></r>`, `{"@x":"1","x":[{"@x":"2"},""]}`)
	f(`<r><a><x/></a><b><x/></b><x/></r>`, `{"a":{"x":""},"b":{"x":""},"x":""}`)
	f(`<r>a<x/>b<y>c<x/>d</y>e<x/>f</r>`, `{"x":["",""],"y":{"x":"","#value":"cd"},"#value":"abef"}`)
	for _, name := range []string{
		"_", ":a", "a:", "a:b", "a-.0", "\u00c0\u00d8\u00f8", "\u0370\u037f", "\u200c\u200d", "\u2070", "\u2c00", "\u3001", "\uf900", "\ufdf0", "\U00010000", "\U000effff", "a\u00b7\u0300\u203f",
	} {
		f(`<`+name+` `+name+`=""></`+name+` >`, `{"@`+name+`":""}`)
	}
}

func TestXMLNames(t *testing.T) {
	for _, name := range []string{
		"-a", ".a", "0", "\u00b7", "\u00d7", "\u00f7", "\u0300", "\u037e", "\u2000", "\u203f", "\u2190", "\u2bff", "\u2ff0", "\u3000", "\ue000", "\ufdd0", "\ufffe", "\U000f0000", "a\u00d7", "a\u2041", "a:b:",
	} {
		_, _, err := callbackdata.Read(wiretest.Received(t, "POST", "/cb/t", "<"+name+"/>", "Content-Type: "+typeXML))
		wantError(t, err, "XML: at byte 1: invalid name")
	}
}

// The reason why a callback is refused goes to the log: it has no byte of the callback.
func TestCallbackErrorsQuoteNothing(t *testing.T) {
	const marker = `XZQWJKVYXZQWJKVY`
	for contentType, bodies := range map[string][]string{
		typeXML: {
			`<` + marker, `<r ` + marker + `/>`, `<r a=` + marker + `/>`, `<r a="<` + marker + `"/>`, `<r a="&` + marker + `;"/>`, `<r></` + marker + `>`, `<r></r ` + marker + `>`, `<r/>` + marker, `<r><` + marker + `:` + marker + `:a/></r>`,
			`<r ` + marker + `="" ` + marker + `=""/>`, `<?` + marker, `<?xml version="` + marker + `"?>`, `<?xml encoding="` + marker + `"?>`, `<!` + marker + `><r/>`, `<!ENTITY ` + marker + `>`, `<r>&` + marker + `</r>`, `<r><![` + marker + `[`, `<r>` + marker + `]]></r>`,
		},
		"text/xml; charset=" + marker: {`<r/>`},
		typeForm:                      {marker + "=%ff", marker + "\x01"},
		typeMultipart: {
			"--b\r\n" + marker, "--b\r\n" + marker + "\r\n", "--b\r\n" + marker + ":\r\n\r\n", field(marker, "\xff") + "--b--", field(marker, "\x01") + "--b--", field(`"`+marker, "") + "--b--",
			part("", "Content-Disposition: "+marker), part("", "Content-Disposition: form-data; filename="+marker), part("", "Content-Type: x; charset="+marker), part("", "Content-Transfer-Encoding: "+marker),
		},
		typeJSON: {marker, `"` + marker, `{"` + marker + `"` + marker, `"\` + marker + `"`, `"\u` + marker + `"`, `[1` + marker + `]`, `{}` + marker, "\"" + marker + "\xff\"", `-` + marker, `t` + marker, `1e` + marker, `<r>` + marker},
		"":       {marker, `<r>` + marker},
	} {
		for _, body := range bodies {
			_, _, err := callbackdata.Read(wiretest.Received(t, "POST", "/cb/t", body, "Content-Type: "+contentType))
			if err == nil || strings.ContainsAny(strings.ReplaceAll(err.Error(), "XML: ", ""), marker[:8]) {
				t.Errorf("%s: %s: %v", contentType, body, err)
			}
		}
	}
}
