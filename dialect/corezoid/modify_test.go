package corezoid_test

import (
	"strings"
	"testing"

	"syncgate/dialect/corezoid"
)

// An op that creates no task is forwarded as it came, byte for byte, but for a callback URL in its data: the engine would put that into
// somebody else's task.
func TestOtherOpsLoseTheirCallbackURL(t *testing.T) {
	change := func(c *corezoid.Config) { c.Ops = append(c.Ops, "copy:task") }
	plain := newDialect(t, change)
	withHeaders := newDialect(t, change, func(c *corezoid.Config) { c.ForwardHeaders = []string{"x-id"} })
	for data, want := range map[string]string{
		`{}`: `{}`, `{"a":1}`: `{"a":1}`,
		`{"__callback_url":"http://evil"}`:                           `{}`,
		`{ "__callback_url" : "http://evil" }`:                       `{  }`,
		`{"\u005f_callback_url":"x","a":1}`:                          `{"a":1}`,
		`{"a":1,"__callbac\u006B_url":{"x":[1,{"y":"}"}]}}`:          `{"a":1}`,
		`{"\u005F\u005Fcallback\u005furl":null , "a" : 1.0}`:         `{"a" : 1.0}`,
		`{"__callback_url":1,"__callback_url":2,"a":1}`:              `{"a":1}`,
		`{"__callback_url":1,"a":1,"\u005f_callback_url":2,"b":"ї"}`: `{"a":1,"b":"ї"}`,
		`{"a":1 , "__callback_url":1 , "a":2}`:                       `{"a":1 , "a":2}`,
		// what only looks like it, and what is ours in a create alone
		`{"n":{"__callback_url":1},"__callback_url_":2,"__Callback_url":3," __callback_url":4}`: `{"n":{"__callback_url":1},"__callback_url_":2,"__Callback_url":3," __callback_url":4}`,
		`{"__headers":{"x-id":"theirs"},"a":1}`:                                                 `{"__headers":{"x-id":"theirs"},"a":1}`,
		`{"__headers":1,"__callback_url":2,"__headers":3}`:                                      `{"__headers":1,"__headers":3}`,
		`{"__callback_url":1,"\u005f_headers":2,"__callback_url":3}`:                            `{"\u005f_headers":2}`,
		`["__callback_url"]`: `["__callback_url"]`, `"__callback_url"`: `"__callback_url"`, `null`: `null`, ` [ {"__callback_url":1} ] `: ` [ {"__callback_url":1} ] `,
	} {
		for _, op := range []string{
			`{"type":"modify","obj":"task","id":1,"data":DATA}`, ` { "data" :DATA, "id":"x" , "x":[{"__callback_url":1}], "obj":"task","type":"\u006dodify","__callback_url":7 } `, `{"data":DATA,"type":"copy","obj":"task","id":1e0}`,
		} {
			wantOther(t, plain, op, data, want)
			wantOther(t, withHeaders, op, data, want)
		}
	}
	// Beside a create, whose data gets what is ours.
	const both = `{"ops":[{"type":"modify","obj":"task","id":1,"data":{"__headers":0,"__callback_url":1}},{"id":2,"type":"create","obj":"task","data":{"__headers":0,"__callback_url":1}}]}`
	want := `{"ops":[{"type":"modify","obj":"task","id":1,"data":{"__headers":0}},{"id":2,"type":"create","obj":"task","data":{"__callback_url":"<0>","__headers":{"x-id":"ours"}}}]}`
	if got := forwarded(t, withHeaders, mustAccept(t, withHeaders, both, "X-Id: ours")); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// wantOther wants that an op with data goes on with other data, in packages of each shape.
func wantOther(t *testing.T, d *corezoid.Dialect, op, data, want string) {
	t.Helper()
	const refused = `{"type":"x","obj":"y","data":{"__callback_url":1}}`
	for _, pack := range []string{`{"ops":[OP]}`, `{"ops":OP}`, ` {"x":{"__callback_url":1}, "ops" : [` + refused + `,OP]}`, `{"ops":[OP,` + refused + `]}`} {
		sent := strings.Replace(pack, "OP", strings.Replace(op, "DATA", data, 1), 1)
		got := forwarded(t, d, mustAccept(t, d, sent, "X-Id: ours"))
		kept := strings.NewReplacer(refused+`,OP`, "OP", `OP,`+refused, "OP").Replace(pack)
		whole := strings.Replace(kept, "OP", strings.Replace(op, "DATA", want, 1), 1)
		if blankless(got) != blankless(whole) || strings.Count(got, " ") > strings.Count(sent, " ") || data == want && !strings.Contains(got, data) {
			t.Errorf("%s\ngoes on as %s\nwant       %s", sent, got, whole)
		}
	}
}

func blankless(s string) string { return strings.ReplaceAll(s, " ", "") }
