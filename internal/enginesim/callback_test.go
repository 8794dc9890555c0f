package enginesim_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"syncgate/internal/enginesim"
)

// ids replaces task ids, as they differ from run to run.
func ids(s string) string { return regexp.MustCompile(`[0-9a-f]{24}`).ReplaceAllString(s, "T") }

func TestCallbackForms(t *testing.T) {
	e, g := start(t, nil), listen(t, nil)
	f := func(sim, data, wantType, wantBody string) {
		t.Helper()
		members := `,"__sim":{` + sim + `}`
		if data != "" {
			members += "," + data
		}
		if _, body := post(t, e, g.create(members)); !strings.Contains(body, `"proc":"ok"`) {
			t.Errorf("%s: %s", sim, body)
			return
		}
		h := g.next(t)
		if ids(h.body) != wantBody || h.contentType != wantType {
			t.Errorf("%s of %s\ncallback is %s %s,\nwant        %s %s", sim, data, h.contentType, ids(h.body), wantType, wantBody)
		}
	}
	const (
		typeJSON = "application/json; charset=utf-8"
		typeForm = "application/x-www-form-urlencoded"
		typeXML  = "application/xml; charset=utf-8"
	)
	f(``, `"a":1`, typeJSON, `{"a":1}`)
	f(`"format":"empty"`, `"a":1`, typeJSON, ``)
	f(`"content_type":"text/plain"`, `"a":1`, "text/plain", `{"a":1}`)
	f(`"body":{"x":[1]}`, `"a":1`, typeJSON, `{"x":[1]}`)
	f(`"body":7`, ``, typeJSON, `7`)
	f(`"body":"not json"`, ``, typeJSON, `not json`)
	f(`"body":"{{n}} {{ref}} {{obj_id}} {{data}}"`, `"a":1`, typeJSON, `1 r-1 T {"a":1}`)
	f(`"format":"form"`, `"a":"x y","b":[1,"2"],"c":{"d":null}`, typeForm, `a=x+y&b=1&b=2&c=%7B%22d%22%3Anull%7D`)
	f(`"format":"xml"`, `"@a":"<1>","x":[1,"\u0432&"],"y":{"@z":true,"#value":"t"},"e":{}`, typeXML,
		`<root a="&lt;1&gt;"><x>1</x><x>в&amp;</x><y z="true">t</y><e></e></root>`)
	f(`"format":"xml","body":"plain"`, ``, typeXML, `<root>plain</root>`)
	f(`"format":"corezoid"`, `"a":1`, typeJSON,
		`{"ops":[{"ref":"r-1","type":"data","obj":"task","obj_id":"T","conv_id":7,"node_id":"T","data":{"a":1},"extra":{"a":1}}]}`)
	f(`"format":"corezoid","body":{"b":2}`, `"a":1`, typeJSON,
		`{"ops":[{"ref":"r-1","type":"data","obj":"task","obj_id":"T","conv_id":7,"node_id":"T","data":{"a":1},"extra":{"b":2}}]}`)
}

func TestCallbackMethods(t *testing.T) {
	e, g := start(t, nil), listen(t, nil)
	f := func(sim, wantMethod, wantURI, wantBody string) {
		t.Helper()
		post(t, e, g.create(`,"a":"x y","__sim":{`+sim+`}`))
		if h := g.next(t); h.method != wantMethod || h.uri != wantURI || h.body != wantBody {
			t.Errorf("%s: callback is %+v", sim, h)
		}
	}
	f(`"method":"PUT"`, "PUT", "/cb/token", `{"a":"x y"}`)
	f(`"method":"PATCH"`, "PATCH", "/cb/token", `{"a":"x y"}`)
	f(`"method":"GET"`, "GET", "/cb/token?a=x+y", "")
	f(`"method":"HEAD"`, "HEAD", "/cb/token?a=x+y", "")
	f(`"method":"DELETE"`, "DELETE", "/cb/token?a=x+y", "")
	settle(t, e)
	if s := e.Stats(); s.CallbackErrors != 0 {
		t.Errorf("counted %+v", s)
	}
}

func TestSendSys(t *testing.T) {
	e, g := start(t, nil), listen(t, nil)
	for _, method := range []string{"POST", "GET"} {
		post(t, e, g.create(`,"a":1,"__sim":{"send_sys":true,"method":"`+method+`"}`))
		u, err := url.Parse(g.next(t).uri)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		if len(q.Get("conv_signature")) != 40 || q.Get("conv_time") == "" || q.Get("conv_id") != "7" || (q.Get("a") == "1") != (method == "GET") {
			t.Errorf("%s: query is %s", method, u.RawQuery)
		}
	}
}

func TestDuplicates(t *testing.T) {
	e, g := start(t, nil), listen(t, nil)
	post(t, e, g.create(`,"__sim":{"duplicates":3,"gap_ms":5,"body":"{{n}}"}`))
	for _, want := range []string{"1", "2", "3", "4"} {
		if h := g.next(t); h.body != want {
			t.Errorf("callback %s says %s", want, h.body)
		}
	}
	post(t, e, g.create(`,"__sim":{"duplicates":3,"body":"{{n}}"}`))
	seen := make(map[string]bool)
	for range 4 {
		seen[g.next(t).body] = true
	}
	if len(seen) != 4 {
		t.Errorf("racing callbacks said %v", seen)
	}
	settle(t, e)
	if s := e.Stats(); s.Callbacks != 8 {
		t.Errorf("counted %+v", s)
	}
}

func TestDelay(t *testing.T) {
	e, g := start(t, nil), listen(t, nil)
	began := time.Now()
	post(t, e, g.create(`,"n":2,"__sim":{"delay_ms":[60,70]}`))
	post(t, e, g.create(`,"n":1,"__sim":{"delay_ms":20}`))
	post(t, e, g.create(`,"n":0`))
	for _, want := range []struct {
		body  string
		least time.Duration
	}{{`{"n":0}`, 0}, {`{"n":1}`, 20 * time.Millisecond}, {`{"n":2}`, 60 * time.Millisecond}} {
		if h := g.next(t); h.body != want.body || time.Since(began) < want.least {
			t.Errorf("callback says %s after %s, want %s after at least %s", h.body, time.Since(began), want.body, want.least)
		}
	}
}

// The callback was sent and answered before the engine's own answer was.
func TestCallbackBefore(t *testing.T) {
	e, g := start(t, nil), listen(t, nil)
	post(t, e, g.create(`,"__sim":{"callback":"before","delay_ms":5,"duplicates":1}`))
	if tasks := e.Tasks(); len(tasks) != 1 || len(tasks[0].Heard) == 0 {
		t.Errorf("recorded %+v", tasks)
	}
	g.next(t)
	g.next(t)
}

func TestCallbackNever(t *testing.T) {
	e, g := start(t, nil), listen(t, nil)
	post(t, e, g.create(`,"__sim":{"callback":"never","duplicates":3}`))
	post(t, e, `{"ops":[{"type":"create","obj":"task","data":{}}]}`) // no URL: a plain task
	post(t, e, `{"ops":[{"type":"create","obj":"task","data":{"__callback_url":5}}]}`)
	post(t, e, `{"ops":[{"type":"create","obj":"task","data":{"__callback_url":"ftp://x/"}}]}`)
	settle(t, e)
	if s := e.Stats(); s.Tasks != 4 || s.Callbacks != 0 {
		t.Errorf("counted %+v", s)
	}
	if len(g.calls) != 0 {
		t.Error("a callback came")
	}
}

func TestRetries(t *testing.T) {
	e := start(t, nil)
	f := func(status, succeedAt int, sim string, wantCallbacks int) {
		t.Helper()
		g := listen(t, func(n int) int {
			if n >= succeedAt {
				return 200
			}
			return status
		})
		before := e.Stats().Callbacks
		post(t, e, g.create(`,"__sim":{`+sim+`}`))
		settle(t, e)
		if n := e.Stats().Callbacks - before; int(n) != wantCallbacks {
			t.Errorf("%d until callback %d, %s: %d callbacks, want %d", status, succeedAt, sim, n, wantCallbacks)
		}
	}
	f(503, 3, `"retry_delay_ms":1`, 3)
	f(500, 99, `"retries":4,"retry_delay_ms":1`, 5)
	f(503, 99, `"retries":0`, 1)
	f(404, 99, ``, 1) // the process sees an error, not a failure to repeat
	f(410, 99, ``, 1)
}

func TestToAnotherNode(t *testing.T) {
	g, other := listen(t, nil), listen(t, nil)
	f := func(e *enginesim.Engine, sim string, want *gateway) {
		t.Helper()
		post(t, e, g.create(`,"__sim":{`+sim+`}`))
		if h := want.next(t); h.host != g.Listener.Addr().String() && h.host != other.Listener.Addr().String() {
			t.Errorf("host is %s", h.host)
		}
	}
	there := other.Listener.Addr().String()
	e := start(t, nil)
	f(e, `"to":"`+there+`"`, other)
	f(e, ``, g)
	f(start(t, func(c *enginesim.Config) { c.Rewrite = map[string]string{g.Listener.Addr().String(): there} }), ``, other)
	f(start(t, func(c *enginesim.Config) { c.Rewrite = map[string]string{"*": there} }), ``, other)
	f(start(t, func(c *enginesim.Config) { c.Rewrite = map[string]string{"127.0.0.1:1": there} }), ``, g)
}
