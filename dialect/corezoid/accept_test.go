package corezoid_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/dialect/corezoid"
	"syncgate/internal/wiretest"
	"syncgate/signer"
)

const simple = `{"ops":[{"type":"create","obj":"task","conv_id":1}]}`

func TestIncorrectBody(t *testing.T) {
	d := newDialect(t)
	f := func(body, problem string) {
		t.Helper()
		_, err := accept(t, d, body)
		wantFault(t, err, 400, "Incorrect body: "+problem)
	}
	op := func(members string) string {
		return `{"ops":[{"type":"create","obj":"task"},{"type":"create","obj":"task",` + members + `}]}`
	}
	f(``, "at byte 0: unexpected end")
	f(`[]`, "must be an object, got array")
	f(`"ops"`, "must be an object, got string")
	f(`{"ops":[`, "at byte 8: unexpected end")
	f(`{"ops":[]}`, "ops: must not be empty")
	f(`{}`, "ops: is missing")
	f(`{"OPS":[{"type":"create","obj":"task"}]}`, "ops: is missing")
	f(`{"ops":null}`, "ops: must be an array, got null")
	f(`{"ops":"x"}`, "ops: must be an array, got string")
	f(`{"ops":[1]}`, "ops[0]: must be an object, got number")
	f(`{"ops":[{"type":"create","obj":"task"},[]]}`, "ops[1]: must be an object, got array")
	f(`{"ops":[`+strings.TrimSuffix(strings.Repeat(`{"type":"create","obj":"task"},`, 6), ",")+`]}`, "ops: has more than 5 operations")
	f(op(`"data":"x"`), "ops[1].data: must be an object, got string")
	f(op(`"data":[1]`), "ops[1].data: must be an object, got array")
	f(op(`"data":[[]]`), "ops[1].data: must be an object, got array")
	f(op(`"data":1`), "ops[1].data: must be an object, got number")
	f(op(`"data":true`), "ops[1].data: must be an object, got boolean")
	f(`{"ops":{"type":"create","obj":"task","data":""}}`, "ops.data: must be an object, got string")
	// names are unique in the envelope, after unescaping
	f(`{"ops":{},"ops":{}}`, `"ops" appears twice`)
	f(`{"timeout":1,"ops":{},"\u0074imeout":2}`, `"timeout" appears twice`)
	f(`{"x":1,"x":1,"ops":[]}`, `"x" appears twice`)
	f(op(`"ref":1,"r\u0065f":2`), `ops[1]: "ref" appears twice`)
	f(op(`"data":{},"data":{}`), `ops[1]: "data" appears twice`)
	f(op(`"unknown":{},"unknown":{}`), `ops[1]: "unknown" appears twice`)
	f(`{"ops":{"type":"create","type":"create","obj":"task"}}`, `ops: "type" appears twice`)
	// timeout
	for _, timeout := range []string{`0`, `-1`, `-0`, `0.0`, `0e5`, `"0"`, `"-1"`, `""`, `" 1"`, `"1 "`, `"+1"`, `"0x10"`, `"1_0"`, `"1."`, `".5"`, `"01"`, `"NaN"`, `"Infinity"`, `"1s"`, `"1,5"`, `true`, `{}`, `[30]`, `[]`} {
		f(`{"timeout":`+timeout+`,"ops":{"type":"create","obj":"task"}}`, "timeout: must be a positive number of seconds")
	}
	// not JSON
	f(`{"ops":[{"type":"create","obj":"task"}]}x`, "at byte 40: invalid character 'x' at start of value")
	f(simple+simple, fmt.Sprintf("at byte %d: more than one value", len(simple)))
	f("\ufeff"+simple, "at byte 0: byte order mark")
	f("{\"ops\":\"\xff\"}", "at byte 8: invalid UTF-8")
	f(`{"a":`+strings.Repeat("[", 128)+strings.Repeat("]", 128)+`}`, "at byte 132: nested deeper than 128")
}

// Very many members of an op or a package are refused: to find one that is there twice costs ten times their bytes.
func TestManyNames(t *testing.T) {
	d := newDialect(t)
	names := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"n%d":0,`, i)
		}
		return b.String()
	}
	const rest = `"type":"create","obj":"task","data":{}`
	mustAccept(t, d, `{"ops":[{`+names(997)+rest+`}]}`)
	mustAccept(t, d, `{`+names(999)+`"ops":[{`+rest+`}]}`)
	mustAccept(t, d, `{"ops":[{"type":"create","obj":"task","data":{`+names(50_000)+`"x":[{`+names(50_000)+`"x":1}]}}]}`)
	f := func(body, problem string) {
		t.Helper()
		_, err := accept(t, d, body)
		wantFault(t, err, 400, "Incorrect body: "+problem)
	}
	f(`{"ops":[{`+names(998)+rest+`}]}`, "ops[0]: has more than 1000 members")
	f(`{"ops":{`+names(50_000)+rest+`}}`, "ops: has more than 1000 members")
	f(`{`+names(1000)+`"ops":[{`+rest+`}]}`, "has more than 1000 members")
	f(`{"ops":[{`+names(500)+`"n\u0031":0,"type":"create","obj":"task"}]}`, `ops[0]: "n1" appears twice`)
}

// What an answer quotes of a request is short, and cut between two characters.
func TestQuotesAreShort(t *testing.T) {
	d := newDialect(t)
	long := strings.Repeat("ї", 500)
	cut := strings.Repeat("ї", 30)
	_, err := accept(t, d, `{"`+long+`":1,"`+long+`":1}`)
	wantFault(t, err, 400, `Incorrect body: "`+cut+`" appears twice`)
	_, err = accept(t, d, `{"x`+long+`":1,"x`+long+`":1}`)
	wantFault(t, err, 400, `Incorrect body: "x`+cut[:58]+`" appears twice`)
	c := mustAccept(t, d, `{"ops":[{"type":"`+long+`","obj":"x`+long+`"},{"type":{"a":"`+long+`"}}]}`)
	for i, want := range []string{cut + " x" + cut[:58], `{"a":"` + cut[:54] + " "} {
		if got := c.Ops[i].Refused; got != "Operation is not allowed: "+want {
			t.Errorf("op %d: %s", i, got)
		}
	}
	_, err = accept(t, d, simple, "Content-Encoding: "+strings.Repeat("x", 100))
	wantFault(t, err, 415, `Content-Encoding is not supported: "`+strings.Repeat("x", 60)+`"`)
}

// Every line of Content-Encoding counts, and every coding in it.
func TestContentEncoding(t *testing.T) {
	d := newDialect(t)
	f := func(coding string, lines ...string) {
		t.Helper()
		var header []string
		for _, line := range lines {
			header = append(header, "Content-Encoding: "+line)
		}
		_, err := accept(t, d, simple, header...)
		_, _, calledBack := d.Callback(wiretest.Received(t, "POST", "/cb/t", "{}", header...), 0)
		if coding == "" {
			if err != nil || calledBack != nil {
				t.Errorf("%q: %v, %v", lines, err, calledBack)
			}
			return
		}
		wantFault(t, err, 415, fmt.Sprintf("Content-Encoding is not supported: %q", coding))
		wantFault(t, calledBack, 415, "Content-Encoding is not supported")
	}
	f("")
	f("", "")
	f("", "identity")
	f("", "Identity , ,\tIDENTITY", "", "identity")
	f("gzip", "gzip")
	f("gzip", "", "gzip")
	f("gzip", "identity", "gzip")
	f("br", "identity", "identity", "identity, br")
	f("GZIP", "identity,GZIP,br")
	f("identity;q=1", "identity;q=1")
	f("gzip identity", "gzip identity")
}

func TestTimeout(t *testing.T) {
	d := newDialect(t)
	f := func(timeout string, want time.Duration, given bool) {
		t.Helper()
		c := mustAccept(t, d, `{`+timeout+`"ops":{"type":"create","obj":"task"}}`)
		if c.Wait != want || c.TimeoutGiven != given {
			t.Errorf("%s: waits %v, given %v", timeout, c.Wait, c.TimeoutGiven)
		}
	}
	f(``, 60*time.Second, false)
	f(`"timeout":null,`, 60*time.Second, false)
	f(`"Timeout":5,`, 60*time.Second, false)
	f(`"timeout":30,`, 30*time.Second, true)
	f(`"timeout":"30",`, 30*time.Second, true)
	f(`"timeout":"\u0033\u0030",`, 30*time.Second, true)
	f(`"timeout":0.25,`, 250*time.Millisecond, true)
	f(`"timeout":"1.5e1",`, 15*time.Second, true)
	f(`"timeout":60,`, 60*time.Second, true)
	f(`"timeout":300,`, 300*time.Second, true)
	f(`"timeout":301,`, 300*time.Second, true)
	f(`"timeout":1e999,`, 300*time.Second, true)
	f(`"timeout":1E+999999999999,`, 300*time.Second, true)
	f(`"timeout":`+strings.Repeat("9", 10000)+`,`, 300*time.Second, true)
	f(`"timeout":1e-999,`, 1, true)
	f(`"timeout":0.`+strings.Repeat("0", 1000)+`1,`, 1, true)
}

func TestAcceptOrder(t *testing.T) {
	d := newDialect(t)
	f := func(uri, body, header string, status int, text string) {
		t.Helper()
		_, err := d.Accept(wiretest.Received(t, "POST", uri, body, header), dialect.Route{}, now)
		if status == 0 {
			if err != nil {
				t.Errorf("%s: %v", uri, err)
			}
			return
		}
		wantFault(t, err, status, text)
		wantWhose(t, err)
	}
	const (
		plain  = "X-Any: thing"
		zipped = "Content-Encoding: gzip"
		bad    = "Incorrect signature or login"
	)
	f(path(login, "1700000000", secret, simple), simple, plain, 0, "")
	f(path(login, "1700000300", secret, simple), simple, plain, 0, "")
	f(path(login, "1699999700.5", secret, simple), simple, plain, 0, "")
	f(strings.Replace(path(login, "1700000000", secret, simple), "/2/", "/1/", 1), simple, plain, 0, "")
	f("http://gw.example.com"+path(login, "1700000000", secret, simple)+"?conv=1/2/3", simple, plain, 0, "")
	f("/api/2/json/"+login+"/1700000000/"+strings.ToUpper(string(signer.AppendSignature(nil, []byte("1700000000"), []byte(secret), []byte(simple)))), simple, plain, 0, "")
	f(path(login, "1700000000", secret, simple), simple, "Content-Encoding: Identity", 0, "")
	// what fails first is the answer
	f("/api/2/json/1", "{", zipped, 404, "Not found")
	f(path(login, "1", "wrong", "{"), "{", zipped, 401, bad)
	f(path("1", "1700000000", secret, simple), simple, plain, 401, bad)
	f(path(login, "1700000000", secret, simple+"\n"), simple, plain, 401, bad)
	f("/api/2/json///", simple, plain, 401, bad)
	f(strings.Replace(path(login, "1700000000", secret, simple), login, "%31%32345", 1), simple, plain, 401, bad)
	f(path(login, "1699999699", secret, "{"), "{", zipped, 401, "Request time is outside the allowed window")
	f(path(login, "+1700000000", secret, "{"), "{", zipped, 401, "Request time is outside the allowed window")
	f(path(login, "", secret, simple), simple, plain, 401, "Request time is outside the allowed window")
	f(path(login, "1700000000", secret, "{"), "{", zipped, 415, `Content-Encoding is not supported: "gzip"`)
	f(path(login, "1700000000", secret, "{"), "{", "Content-Encoding: "+strings.Repeat("x", 100), 415, `Content-Encoding is not supported: "`+strings.Repeat("x", 60)+`"`)
	f(path(login, "1700000000", secret, "{"), "{", plain, 400, "Incorrect body: at byte 1: unexpected end")
}

// wantWhose wants that a fault says whose request it was, once that is known, and why it was refused, as operators count it.
func wantWhose(t *testing.T, err error) {
	t.Helper()
	f, ok := errors.AsType[*dialect.Fault](err)
	if !ok {
		return
	}
	whose, reason := login, dialect.Reason("")
	switch {
	case f.Status == 404:
		whose = ""
	case strings.HasPrefix(f.Text, "Incorrect signature"):
		whose, reason = "", dialect.BadSignature
	case f.Status == 401:
		reason = dialect.BadTime
	}
	if f.Login != whose || f.Reason != reason {
		t.Errorf("%s: of %q, because of %q", f.Text, f.Login, f.Reason)
	}
}

// The signature is over the raw segment, so an escaped one is another time.
func TestTimeIsRaw(t *testing.T) {
	d := newDialect(t, func(c *corezoid.Config) {})
	escaped := strings.Replace(path(login, "1700000000", secret, simple), "/1700000000/", "/%31700000000/", 1)
	_, err := d.Accept(wiretest.Received(t, "POST", escaped, simple), dialect.Route{}, now)
	wantFault(t, err, 401, "Incorrect signature or login")
	_, err = d.Accept(wiretest.Received(t, "POST", path(login, "%31700000000", secret, simple), simple), dialect.Route{}, now)
	wantFault(t, err, 401, "Request time is outside the allowed window")
}

func TestSetAccess(t *testing.T) {
	d := newDialect(t)
	c := mustAccept(t, d, simple)
	keys, err := signer.NewKeyring([]signer.Credential{{Login: "9", Secret: "nine"}})
	if err != nil {
		t.Fatal(err)
	}
	d.SetAccess(corezoid.Access{Keys: keys, MaxOps: 1})
	_, err = accept(t, d, simple)
	wantFault(t, err, 401, "Incorrect signature or login")
	const two = `{"ops":[{"type":"create","obj":"task"},{"type":"create","obj":"task"}]}`
	_, err = d.Accept(wiretest.Received(t, "POST", path("9", "5", "nine", two), two), dialect.Route{}, now)
	wantFault(t, err, 400, "Incorrect body: ops: has more than 1 operations")
	if _, err = d.Accept(wiretest.Received(t, "POST", path("9", "any", "nine", simple), simple), dialect.Route{}, now); err != nil {
		t.Errorf("with the window off: %v", err)
	}
	var req fasthttp.Request
	if err := d.Encode(&req, c, tokens(c), now); err == nil || !strings.Contains(err.Error(), "not known any more") {
		t.Errorf("encode for a login that is gone: %v", err)
	}
}

// What a Call holds must not change when the buffers of its request are used again.
func TestAcceptCopies(t *testing.T) {
	d := newDialect(t, func(c *corezoid.Config) { c.ForwardHeaders = []string{"x-id"} })
	const body = `{"ops":[{"type":"create","obj":"task","id":"i1","ref":"r1","data":{"a":"b"}},{"type":"oops","obj":"x","ref":"r2"},{"type":"create","obj":"task"}]}`
	req := wiretest.Received(t, "POST", path(login, "1700000000", secret, body), body, "X-Id: seven")
	c, err := d.Accept(req, dialect.Route{}, now)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%+v", c)
	scribble := func(b []byte) {
		for i := range b {
			b[i] = '#'
		}
	}
	scribble(req.Body())
	scribble(req.Header.RequestURI())
	scribble(req.Header.Peek("X-Id"))
	mustAccept(t, d, `{"ops":[{"type":"create","obj":"task","id":"##","ref":"##"},{"type":"##","obj":"#"}]}`, "X-Id: #####")
	if got := fmt.Sprintf("%+v", c); got != want {
		t.Errorf("was\n%s\nis\n%s", want, got)
	}
}

func TestCall(t *testing.T) {
	d := newDialect(t)
	c := mustAccept(t, d, `{"ops":[{"type":"create","obj":"task","id":7,"ref":null},{"type":"modify","obj":"task","id":"\u0041"},{"type":"x","obj":"y","id":{}},{"type":"create","obj":"task"},{"type":"create","obj":"task","id":null}]}`)
	var got []string
	for _, op := range c.Ops {
		got = append(got, named(c).Replace(fmt.Sprintf("%v %q %s %s %s %v", op.Create, op.Refused, op.ID, op.Ref, op.Match, op.Added)))
	}
	want := []string{
		`true "" 7 null 7 false`, `false "" "\u0041"  A false`, `false "Operation is not allowed: x y" {}   false`, `true ""   <id 3> true`, `true "" null  <id 4> true`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if c.Login != login || len(c.Slots) != 3 {
		t.Errorf("login %s, slots %v", c.Login, c.Slots)
	}
}

// Who sends no id that could be one gets one, beside or in its place; repeated ids of clients find nothing.
func TestAddedIDs(t *testing.T) {
	d := newDialect(t)
	f := func(want ...string) {
		t.Helper()
		var ops []string
		for _, w := range want {
			id, _, _ := strings.Cut(w, " ")
			if id != "" {
				id = `,"id":` + id
			}
			ops = append(ops, `{"type":"create","obj":"task"`+id+`}`)
		}
		c := mustAccept(t, d, `{"ops":[`+strings.Join(ops, ",")+`]}`)
		for i, w := range want {
			id, match, _ := strings.Cut(w, " ")
			if got := named(c).Replace(c.Ops[i].Match); got != match || string(c.Ops[i].ID) != id || c.Ops[i].Added != strings.HasPrefix(match, "<") {
				t.Errorf("%q: op %d is matched by %q: %+v", want, i, got, c.Ops[i])
			}
		}
	}
	f(" <id 0>")
	f(" <id 0>", " <id 1>")
	f("1 1", " <id 1>", " <id 2>")
	f(`"1" 1`, " <id 1>", `2 2`, " <id 3>")
	f(`"\u0031" 1`, " <id 1>")
	f(`1 `, ` <id 1>`, `"1" `)
	f(`"a" a`, `"b" b`)
	f(`"" <id 0>`, `null <id 1>`, `true <id 2>`, `{"a":[]} <id 3>`, `[] <id 4>`)
	f(`7 7`)
	f(`7 `, `7 `)
}

// No two trips share an id of ours, also when they are read at the same time.
func TestAddedIDsAreUnique(t *testing.T) {
	d := newDialect(t)
	const trips, askers = 500, 8
	var seen sync.Map
	var asking sync.WaitGroup
	for range askers {
		asking.Go(func() {
			for range trips {
				c := mustAccept(t, d, `{"ops":[{"type":"create","obj":"task"},{"type":"modify","obj":"task"}]}`)
				for _, op := range c.Ops {
					if _, known := seen.LoadOrStore(op.Match, true); known || len(op.Match) < 17 {
						t.Errorf("%q was given before, or is too short to be nobody's", op.Match)
					}
				}
			}
		})
	}
	asking.Wait()
}

func TestEncode(t *testing.T) {
	d, err := corezoid.New(config(), access(t, signer.Credential{Login: "7", Secret: "seven", EngineLogin: "77", EngineSecret: "engine's"}))
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Accept(wiretest.Received(t, "POST", path("7", "1700000000.5", "seven", simple), simple), dialect.Route{}, now)
	if err != nil {
		t.Fatal(err)
	}
	var req fasthttp.Request
	later := time.Unix(1700000042, 900_000_000)
	if err := d.Encode(&req, c, tokens(c), later); err != nil {
		t.Fatal(err)
	}
	body := strings.Replace(simple, `}]}`, `,"data":{"__callback_url":"`+callbackURL+tokens(c)[0]+`"},"id":"`+c.Ops[0].Match+`"}]}`, 1)
	if got := string(req.Body()); got != body {
		t.Errorf("body %s", got)
	}
	if got, want := string(req.Header.RequestURI()), path("77", "1700000042", "engine's", body); got != want {
		t.Errorf("path %s\nwant %s", got, want)
	}
	if got := string(req.Header.Host()); got != "engine.example.com" {
		t.Errorf("host %s", got)
	}
	if m, ct := string(req.Header.Method()), string(req.Header.ContentType()); m != "POST" || ct != "application/json" {
		t.Errorf("%s, %s", m, ct)
	}
	if err := d.Encode(&req, c, nil, later); err == nil {
		t.Error("a missing token is not noticed")
	}
	if err := d.Encode(&req, c, []string{"short"}, later); err == nil {
		t.Error("a short token is not noticed")
	}
}

// URLs of the configuration may have a path, and a callback URL may need escapes to stand in JSON.
func TestURLs(t *testing.T) {
	d := newDialect(t, func(c *corezoid.Config) {
		c.EngineURL, c.APIVersion, c.CallbackURL = "http://[::1]:9080/core zoid/", 1, `http://h/"\/cb/`
	})
	c := mustAccept(t, d, simple)
	var req fasthttp.Request
	if err := d.Encode(&req, c, tokens(c), now); err != nil {
		t.Fatal(err)
	}
	if got := string(req.Header.Host()); got != "[::1]:9080" {
		t.Errorf("host %s", got)
	}
	if !bytes.HasPrefix(req.Header.RequestURI(), []byte("/core%20zoid/api/1/json/12345/1700000000/")) {
		t.Errorf("path %s", req.Header.RequestURI())
	}
	if !bytes.Contains(req.Body(), []byte(`"__callback_url":"http://h/\"\\/cb/`+tokens(c)[0]+`"`)) {
		t.Errorf("body %s", req.Body())
	}
}

func TestOps(t *testing.T) {
	d := newDialect(t, func(c *corezoid.Config) { c.Ops = []string{"show:task", "create:conv"} })
	c := mustAccept(t, d, `{"ops":[{"type":"create","obj":"task"},{"type":"show","obj":"task"},{"type":"create","obj":"conv","data":"any"},{"type":"create","obj":"\u0074ask"},{"type":"a\"b"}]}`)
	for i, want := range []string{"Operation is not allowed: create task", "", "", "Operation is not allowed: create task", `Operation is not allowed: a"b `} {
		if got := c.Ops[i]; got.Refused != want || got.Create {
			t.Errorf("op %d: %+v", i, got)
		}
	}
	if got := forwarded(t, d, c); got != `{"ops":[{"type":"show","obj":"task","id":"<id 1>"},{"type":"create","obj":"conv","data":"any","id":"<id 2>"}]}` {
		t.Errorf("forwarded %s", got)
	}
}
