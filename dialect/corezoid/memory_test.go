package corezoid_test

import (
	"runtime"
	"strings"
	"testing"

	"syncgate/dialect"
	"syncgate/internal/wiretest"
)

// costly is a body that was made to cost much, as wiretest.Long makes it.
type costly struct {
	open, shut string
	item       func(b *strings.Builder, i int)
	refused    string // why it is; empty: it is not
}

func (c costly) body(n int) string { return wiretest.Long(n, c.open, c.shut, c.item) }

// Requests, whose every change is noted before their package is made.
func TestRequestMemory(t *testing.T) {
	d := newDialect(t)
	const open, shut = `{"ops":[{"type":"create","obj":"task","data":{`, `"z":0}}]}`
	for name, c := range map[string]costly{
		"names of a package":    {`{`, `"ops":[]}`, wiretest.Numbered(`"#":0,`), "members"},
		"names of an op":        {`{"ops":[{`, `"z":0}]}`, wiretest.Numbered(`"#":0,`), "members"},
		"names of data":         {open, shut, wiretest.Numbered(`"#":0,`), ""},
		"escaped names of data": {open, shut, wiretest.Each(`"\u0061":0,`), ""},
		"callback URLs":         {open, shut, wiretest.Each(`"__callback_url":0,`), ""},
		"callback URLs in turn": {open, shut, wiretest.Each(`"__callback_url":0,"a":0,`), ""},
		"a long type":           {`{"ops":[{"type":"`, `"}]}`, wiretest.Each(`\n`), ""},
		"a long id":             {`{"ops":[{"type":"create","obj":"task","id":"`, `"}]}`, wiretest.Each(`\n`), ""},
		"ops":                   {`{"ops":[`, `{}]}`, wiretest.Each(`{},`), "operations"},
	} {
		body := c.body(1 << 20)
		ctx := wiretest.Received(t, "POST", path(login, "1700000000", secret, body), body)
		mustAccept(t, d, simple)
		var err error
		took := allocated(func() { _, err = d.Accept(ctx, dialect.Route{}, now) })
		if most := 10 * len(body); took > float64(most) && !raced {
			t.Errorf("%s: %.0f bytes for %d", name, took, len(body))
		}
		if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The engine's answer may be larger than any request, and costs no more than its copy.
func TestAckMemory(t *testing.T) {
	d := newDialect(t)
	call := call(t, d, "c", `c"a"`)
	for name, item := range map[string]string{"ops": `{},`, "ids": `{"id":"a"},`, "others": `{"id":"x"},`, "escapes": `{"id":"\u0061"},`, "nothing": `0,`, "lists": `0],"ops":[`, "errors": `{"proc":"e"},`} {
		for _, end := range []string{`0],"request_proc":"ok"}`, `0],"request_proc":"error"}`} {
			answer := []byte(costly{`{"ops":[`, end, wiretest.Each(item), ""}.body(4 << 20))
			took := allocated(func() { _, _ = d.Ack(call, 200, nil, answer) })
			if most := 2 * len(answer); took > float64(most) && !raced {
				t.Errorf("%s: %.0f bytes for %d", name, took, len(answer))
			}
		}
	}
}

// allocated counts the bytes that are allocated while fn runs.
func allocated(fn func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc - before.TotalAlloc)
}
