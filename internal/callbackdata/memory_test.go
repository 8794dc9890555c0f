package callbackdata_test

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"syncgate/internal/callbackdata"
)

// costly is a body that was made to cost much: item after item, between what opens and what shuts them.
type costly struct {
	contentType, open, shut string
	item                    func(b *strings.Builder, i int)
	refused                 string // why a large one is, and a small one may be; empty: none is
}

// body makes one of about n bytes.
func (c costly) body(n int) string {
	var b strings.Builder
	b.WriteString(c.open)
	for i := 0; b.Len() < n-len(c.shut); i++ {
		c.item(&b, i)
	}
	b.WriteString(c.shut)
	return b.String()
}

func each(s string) func(*strings.Builder, int) {
	return func(b *strings.Builder, _ int) { b.WriteString(s) }
}

// numbered repeats s with the number of the time in the place of every #.
func numbered(s string) func(*strings.Builder, int) {
	parts := strings.Split(s, "#")
	return func(b *strings.Builder, i int) {
		number := strconv.FormatInt(int64(i), 36)
		b.WriteString(parts[0])
		for _, part := range parts[1:] {
			b.WriteString(number)
			b.WriteString(part)
		}
	}
}

func costlyCallbacks() map[string]costly {
	const (
		parts  = "more than 262144 elements and attributes"
		fields = "more than 262144 fields"
	)
	deep, quotes := strings.Repeat("<a>", 127), strings.Repeat(`"`, 20)
	return map[string]costly{
		"attributes of one element":   {typeXML, "<r", "/>", numbered(` a#=""`), parts},
		"few attributes, long":        {typeXML, "<r", "/>", numbered(` a#="` + strings.Repeat("'", 50_000) + `"`), ""},
		"elements with an attribute":  {typeXML, "<r>", "</r>", each(`<a b=""/>`), parts},
		"elements of one name":        {typeXML, "<r>", "</r>", each(`<a/>`), parts},
		"two names in turn":           {typeXML, "<r>", "</r>", each(`<a/><b/>`), parts},
		"elements of distinct names":  {typeXML, "<r>", "</r>", numbered(`<a#/>`), parts},
		"as many as there may be":     {typeXML, "<r>", "</r>", numbered(`<a#>` + quotes[:8] + `</a#>`), ""},
		"as many, each in all":        {typeXML, deep, strings.Repeat("</a>", 127), each(`<b c="">` + quotes + quotes + quotes + `</b><c/>`), ""},
		"nested":                      {typeXML, "<r>", "</r>", each(deep + `<b/>` + strings.Repeat("</a>", 127)), "nested deeper"},
		"nested, long text":           {typeXML, deep, strings.Repeat("</a>", 127), each(`"`), ""},
		"text around elements":        {typeXML, "<r>", "</r>", each(`"""""""""""""""""""""""""""""<a/>`), ""},
		"text with entities":          {typeXML, "<r>", "</r>", each(`&quot;`), ""},
		"text with short entities":    {typeXML, "<r>", "</r>", each(`&#9;`), ""},
		"line ends":                   {typeXML, "<r>", "</r>", each("\r"), ""},
		"comments":                    {typeXML, "<r>", "</r>", each("<!---->\""), ""},
		"comments before":             {typeXML, "", "<r/>", each("<!--x-->"), ""},
		"processing instructions":     {typeXML, "<r>", "</r>", each(`<?p "?>"`), ""},
		"one instruction":             {typeXML, "<?xml ", "?><r/>", each(`version version= encoding encoding= `), ""},
		"sections":                    {typeXML, "<r>", "</r>", each(`<![CDATA["]]>`), ""},
		"namespaces":                  {typeXML, "<r>", "</r>", numbered(`<a:b# xmlns:a="#"/>`), parts},
		"one long name":               {typeXML, "<", "/>", each("a"), ""},
		"equals signs":                {typeXML, "<r>", "</r>", each("="), ""},
		"a document type":             {typeXML, "<!DOCTYPE r [", "]><r/>", each(`<!ELEMENT a "<">`), ""},
		"fields of distinct names":    {typeForm, "", "", numbered(`#&`), fields},
		"as many fields as there may": {typeForm, "", "", numbered(`#=` + quotes + `&`), ""},
		"fields of one name":          {typeForm, "", "", each("a&"), fields},
		"fields, escaped":             {typeForm, "", "", numbered(`%00#=%00%01+&`), fields},
		"one field":                   {typeForm, "a=", "", each("%00"), ""},
		"one name":                    {typeForm, "", "=1", each("%22"), ""},
		"a name and again":            {typeForm, "", "", each(strings.Repeat("%22", 40_000) + "&"), ""},
		"parts of distinct names":     {typeMultipart, "", "--b--", numbered("--b\r\nContent-Disposition:form-data;name=#\r\n\r\n\"\r\n"), ""},
		"parts of one name":           {typeMultipart, "", "--b--", each("--b\r\nContent-Disposition:form-data;name=a\r\n\r\n"), ""},
		"header lines of a part":      {typeMultipart, "--b\r\nContent-Disposition:form-data;name=a\r\n", "\r\n\r\n--b--", each("a:\r\n"), ""},
		"parameters of a part":        {typeMultipart, "--b\r\nContent-Disposition:form-data;", "name=a\r\n\r\n\r\n--b--", each("a;"), ""},
		"almost a delimiter":          {typeMultipart, "--b\r\nContent-Disposition:form-data;name=a\r\n\r\n", "\r\n--b--", each("\r\n--bx"), ""},
		"one long text":               {typeMultipart, "--b\r\nContent-Disposition:form-data;name=a\r\n\r\n", "\r\n--b--", each(`"`), ""},
		"one long name of a part":     {typeMultipart, "--b\r\nContent-Disposition:form-data;name=\"", "\"\r\n\r\n\r\n--b--", each(`%22`), ""},
		"delimiters and no part":      {typeMultipart, "", "--b--", each("--b"), ""},
		"no parts":                    {typeMultipart, "--b\r\n", "", each("\r\n--b\r\n"), "Content-Disposition"},
		"quotes":                      {typeForm, "a=", "", each(`"`), ""},
		"control characters":          {typeForm, "a=", "", each("\x01"), "control character"},
		"not UTF-8":                   {typeForm, "a=", "", each("%ff"), "not UTF-8"},
		"an array":                    {typeJSON, "[", "0]", each("0,"), ""},
		"objects":                     {typeJSON, "[", "0]", each(`{"a":{}},`), ""},
		"members of distinct names":   {typeJSON, "{", `"":0}`, numbered(`"#":0,`), ""},
		"escaped names":               {typeJSON, "{", `"":0}`, each(`"\u0061":0,`), ""},
		"one escaped name":            {typeJSON, `{"`, `":0}`, each(`\u0061`), ""},
		"the Corezoid format":         {typeJSON, `{"ops":[{"type":"data","extra":"`, `","extra":1}]}`, each(`\n`), ""},
		"its ref":                     {typeJSON, `{"ops":[{"type":"data","ref":"`, `","extra":1}]}`, each("r"), ""},
		"its members":                 {typeJSON, `{"ops":[{`, `"type":"data","extra":[]}]}`, each(`"\u0065xtra":{},"ref":"",`), ""},
		"its ops":                     {typeJSON, `{"ops":[{"type":"data","extra":{}}`, `]}`, each(`,{"type":"data"}`), ""},
		"no JSON":                     {typeJSON, `{"a":"`, "", each(`\` + "\n"), "invalid escape"},
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
	ctx := received(t, "POST", "/cb/t", body, "Content-Type: "+c.contentType)
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
