package callbackdata_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"syncgate/internal/callbackdata"
	"syncgate/internal/wiretest"
)

// costly is a body that was made to cost much, as wiretest.Long makes it.
type costly struct {
	contentType, open, shut string
	item                    func(b *strings.Builder, i int)
	refused                 string // why a large one is, and a small one may be; empty: none is
}

func (c costly) body(n int) string { return wiretest.Long(n, c.open, c.shut, c.item) }

func costlyCallbacks() map[string]costly {
	const (
		parts  = "more than 262144 elements and attributes"
		fields = "more than 262144 fields"
	)
	deep, quotes := strings.Repeat("<a>", 127), strings.Repeat(`"`, 20)
	return map[string]costly{
		"attributes of one element":   {typeXML, "<r", "/>", wiretest.Numbered(` a#=""`), parts},
		"few attributes, long":        {typeXML, "<r", "/>", wiretest.Numbered(` a#="` + strings.Repeat("'", 50_000) + `"`), ""},
		"elements with an attribute":  {typeXML, "<r>", "</r>", wiretest.Each(`<a b=""/>`), parts},
		"elements of one name":        {typeXML, "<r>", "</r>", wiretest.Each(`<a/>`), parts},
		"two names in turn":           {typeXML, "<r>", "</r>", wiretest.Each(`<a/><b/>`), parts},
		"elements of distinct names":  {typeXML, "<r>", "</r>", wiretest.Numbered(`<a#/>`), parts},
		"as many as there may be":     {typeXML, "<r>", "</r>", wiretest.Numbered(`<a#>` + quotes[:8] + `</a#>`), ""},
		"as many, each in all":        {typeXML, deep, strings.Repeat("</a>", 127), wiretest.Each(`<b c="">` + quotes + quotes + quotes + `</b><c/>`), ""},
		"nested":                      {typeXML, "<r>", "</r>", wiretest.Each(deep + `<b/>` + strings.Repeat("</a>", 127)), "nested deeper"},
		"nested, long text":           {typeXML, deep, strings.Repeat("</a>", 127), wiretest.Each(`"`), ""},
		"text around elements":        {typeXML, "<r>", "</r>", wiretest.Each(`"""""""""""""""""""""""""""""<a/>`), ""},
		"text with entities":          {typeXML, "<r>", "</r>", wiretest.Each(`&quot;`), ""},
		"text with short entities":    {typeXML, "<r>", "</r>", wiretest.Each(`&#9;`), ""},
		"line ends":                   {typeXML, "<r>", "</r>", wiretest.Each("\r"), ""},
		"comments":                    {typeXML, "<r>", "</r>", wiretest.Each("<!---->\""), ""},
		"comments before":             {typeXML, "", "<r/>", wiretest.Each("<!--x-->"), ""},
		"processing instructions":     {typeXML, "<r>", "</r>", wiretest.Each(`<?p "?>"`), ""},
		"one instruction":             {typeXML, "<?xml ", "?><r/>", wiretest.Each(`version version= encoding encoding= `), ""},
		"sections":                    {typeXML, "<r>", "</r>", wiretest.Each(`<![CDATA["]]>`), ""},
		"namespaces":                  {typeXML, "<r>", "</r>", wiretest.Numbered(`<a:b# xmlns:a="#"/>`), parts},
		"one long name":               {typeXML, "<", "/>", wiretest.Each("a"), ""},
		"equals signs":                {typeXML, "<r>", "</r>", wiretest.Each("="), ""},
		"a document type":             {typeXML, "<!DOCTYPE r [", "]><r/>", wiretest.Each(`<!ELEMENT a "<">`), ""},
		"fields of distinct names":    {typeForm, "", "", wiretest.Numbered(`#&`), fields},
		"as many fields as there may": {typeForm, "", "", wiretest.Numbered(`#=` + quotes + `&`), ""},
		"fields of one name":          {typeForm, "", "", wiretest.Each("a&"), fields},
		"fields, escaped":             {typeForm, "", "", wiretest.Numbered(`%00#=%00%01+&`), fields},
		"one field":                   {typeForm, "a=", "", wiretest.Each("%00"), ""},
		"one name":                    {typeForm, "", "=1", wiretest.Each("%22"), ""},
		"a name and again":            {typeForm, "", "", wiretest.Each(strings.Repeat("%22", 40_000) + "&"), ""},
		"parts of distinct names":     {typeMultipart, "", "--b--", wiretest.Numbered("--b\r\nContent-Disposition:form-data;name=#\r\n\r\n\"\r\n"), ""},
		"parts of one name":           {typeMultipart, "", "--b--", wiretest.Each("--b\r\nContent-Disposition:form-data;name=a\r\n\r\n"), ""},
		"header lines of a part":      {typeMultipart, "--b\r\nContent-Disposition:form-data;name=a\r\n", "\r\n\r\n--b--", wiretest.Each("a:\r\n"), ""},
		"parameters of a part":        {typeMultipart, "--b\r\nContent-Disposition:form-data;", "name=a\r\n\r\n\r\n--b--", wiretest.Each("a;"), ""},
		"almost a delimiter":          {typeMultipart, "--b\r\nContent-Disposition:form-data;name=a\r\n\r\n", "\r\n--b--", wiretest.Each("\r\n--bx"), ""},
		"one long text":               {typeMultipart, "--b\r\nContent-Disposition:form-data;name=a\r\n\r\n", "\r\n--b--", wiretest.Each(`"`), ""},
		"one long name of a part":     {typeMultipart, "--b\r\nContent-Disposition:form-data;name=\"", "\"\r\n\r\n\r\n--b--", wiretest.Each(`%22`), ""},
		"delimiters and no part":      {typeMultipart, "", "--b--", wiretest.Each("--b"), ""},
		"no parts":                    {typeMultipart, "--b\r\n", "", wiretest.Each("\r\n--b\r\n"), "Content-Disposition"},
		"quotes":                      {typeForm, "a=", "", wiretest.Each(`"`), ""},
		"control characters":          {typeForm, "a=", "", wiretest.Each("\x01"), "control character"},
		"not UTF-8":                   {typeForm, "a=", "", wiretest.Each("%ff"), "not UTF-8"},
		"an array":                    {typeJSON, "[", "0]", wiretest.Each("0,"), ""},
		"objects":                     {typeJSON, "[", "0]", wiretest.Each(`{"a":{}},`), ""},
		"members of distinct names":   {typeJSON, "{", `"":0}`, wiretest.Numbered(`"#":0,`), ""},
		"escaped names":               {typeJSON, "{", `"":0}`, wiretest.Each(`"\u0061":0,`), ""},
		"one escaped name":            {typeJSON, `{"`, `":0}`, wiretest.Each(`\u0061`), ""},
		"the Corezoid format":         {typeJSON, `{"ops":[{"type":"data","extra":"`, `","extra":1}]}`, wiretest.Each(`\n`), ""},
		"its ref":                     {typeJSON, `{"ops":[{"type":"data","ref":"`, `","extra":1}]}`, wiretest.Each("r"), ""},
		"its members":                 {typeJSON, `{"ops":[{`, `"type":"data","extra":[]}]}`, wiretest.Each(`"\u0065xtra":{},"ref":"",`), ""},
		"its ops":                     {typeJSON, `{"ops":[{"type":"data","extra":{}}`, `]}`, wiretest.Each(`,{"type":"data"}`), ""},
		"no JSON":                     {typeJSON, `{"a":"`, "", wiretest.Each(`\` + "\n"), "invalid escape"},
	}
}

// To read a large callback allocates four times its bytes at most, garbage counted, or it is refused. A small one may have as many
// parts, which cost more than its bytes, but never more than 12 MiB.
func TestCallbackMemory(t *testing.T) {
	for name, c := range costlyCallbacks() {
		_ = c.read(t, name, 64<<10, 24)
		if raced {
			continue // the others take ten times as long then
		}
		_ = c.read(t, name, 512<<10, 24)
		if err := c.read(t, name, 5<<20, 4); err == nil && c.refused != "" {
			t.Errorf("%s is not refused", name)
		}
	}
}

// read reads a callback of n bytes, which may allocate so many times as much.
func (c costly) read(t *testing.T, name string, n, times int) (err error) {
	t.Helper()
	body := c.body(n)
	ctx := wiretest.Received(t, "POST", "/cb/t", body, "Content-Type: "+c.contentType)
	began := time.Now()
	if took := allocated(func() { _, _, err = callbackdata.Read(ctx) }); took > float64(times*len(body)) && !raced {
		t.Errorf("%s: %.0f bytes for %d", name, took, len(body))
	}
	if took := time.Since(began); took > 10*time.Second { // most take a tenth of one; the square of the parts takes a minute
		t.Errorf("%s: %v for %d bytes", name, took, len(body))
	}
	if err != nil && (c.refused == "" || !strings.Contains(err.Error(), c.refused)) {
		t.Errorf("%s of %d bytes: %v", name, len(body), err)
	}
	return err
}

// allocated counts the bytes that are allocated while fn runs.
func allocated(fn func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc - before.TotalAlloc)
}
