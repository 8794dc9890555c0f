package corezoid_test

import (
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/dialect/corezoid"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// Tasks get the trace that the request's head has, in place of whatever the client has put there, however spelled. Ops that create no task keep what
// they have.
func TestTraceOfATask(t *testing.T) {
	traced := func(c *corezoid.Config) { c.Trace = true }
	both := func(c *corezoid.Config) { c.ForwardHeaders = []string{"x-id"} }
	f := func(d *corezoid.Dialect, data, want string, header ...string) {
		t.Helper()
		c := mustAccept(t, d, `{"ops":[{"id":1,"type":"create","obj":"task","data":`+data+`}]}`, header...)
		got := string(c.Body)
		got = got[strings.Index(got, `"data":`)+len(`"data":`):]
		got = strings.TrimSuffix(strings.Replace(got, strings.Repeat("0", len(routeToken)), "TOKEN", 1), "}]}")
		want = strings.Replace(want, "URL", `"__callback_url":"`+callbackURL+`TOKEN"`, 1)
		if got != want {
			t.Errorf("%s becomes\n%s\nwant\n%s", data, got, want)
		}
	}
	d := newDialect(t, traced)
	ours := `"__traceparent":"` + traceparent + `"`
	f(d, `{}`, `{URL,`+ours+`}`, "Traceparent: "+traceparent)
	f(d, `null`, `{URL,`+ours+`}`, "Traceparent: "+traceparent)
	f(d, `{"__traceparent":"theirs","a":1}`, `{"a":1,URL,`+ours+`}`, "Traceparent: "+traceparent)
	f(d, `{"a":1,"\u005f_traceparent":{"x":1},"__traceparent":2}`, `{"a":1,URL,`+ours+`}`, "Traceparent: "+traceparent)
	f(d, `{"__traceparent":"theirs"}`, `{URL}`)
	f(newDialect(t, traced, both), `{"__traceparent":1,"__headers":1}`, `{URL,`+ours+`,"__headers":{"x-id":"7"}}`, "Traceparent: "+traceparent, "X-Id: 7")
	f(newDialect(t), `{"__traceparent":"theirs"}`, `{"__traceparent":"theirs",URL}`, "Traceparent: "+traceparent)
	const modify = `{"ops":[{"id":1,"type":"modify","obj":"task","data":{"__traceparent":"theirs"}}]}`
	if c := mustAccept(t, d, modify, "Traceparent: "+traceparent); string(c.Body) != modify {
		t.Errorf("%s", c.Body)
	}
}

// The same for the tasks of routes, whatever their data is made of.
func TestTraceOfARoute(t *testing.T) {
	f := func(on bool, data, body, trace, want, lacks string) {
		t.Helper()
		d := newDialect(t, func(c *corezoid.Config) { c.Trace = on })
		asked := dialect.Asked{Signer: login, Process: "1", Data: data, Method: "POST", Path: []byte("/v1"), Body: []byte(body), Traceparent: trace}
		c := &dialect.Call{Login: "access/shop", Ops: []dialect.Op{{Create: true}}, Options: &dialect.Options{Asked: &asked}}
		if err := d.Prepare(c); err != nil {
			t.Fatal(err)
		}
		req := new(fasthttp.Request)
		if err := d.Encode(req, c, []string{routeToken}, now); err != nil {
			t.Fatal(err)
		}
		whole, text := wholeOf(t, string(req.Body()))
		if got, _ := whole["__traceparent"].(string); got != want || lacks != "" && strings.Contains(text, lacks) {
			t.Errorf("%v, %s %s: %s", on, data, body, text)
		}
	}
	for _, data := range []string{corezoid.DataMembers, corezoid.DataBoth} {
		f(true, data, `{"__traceparent":"theirs"}`, traceparent, traceparent, "")
		f(true, data, `{"__traceparent":"theirs"}`, "", "", "")
		f(false, data, `{"__traceparent":"theirs"}`, traceparent, "theirs", traceparent)
	}
	f(true, corezoid.DataRequest, `{}`, traceparent, traceparent, "")
	f(true, corezoid.DataRaw, `text`, traceparent, traceparent, "")
}
