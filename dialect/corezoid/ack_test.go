package corezoid_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/corezoid"
)

// call is a request of ops: c creates a task, m modifies one, x is refused; what follows a letter is its id, and behind a semicolon
// its ref.
func call(t testing.TB, d *corezoid.Dialect, ops ...string) *dialect.Call {
	t.Helper()
	var list []string
	for _, op := range ops {
		typ := map[byte]string{'c': "create", 'm': "modify", 'x': "x"}[op[0]]
		id, ref, _ := strings.Cut(op[1:], ";")
		if id != "" {
			id = `,"id":` + id
		}
		if ref != "" {
			ref = `,"ref":` + ref
		}
		list = append(list, `{"type":"`+typ+`","obj":"task"`+id+ref+`}`)
	}
	return mustAccept(t, d, `{"ops":[`+strings.Join(list, ",")+`]}`)
}

// ended writes finals as "op body", one after another.
func ended(finals []correlator.Callback) string {
	var all []string
	for _, cb := range finals {
		if cb.Status != correlator.Answered {
			all = append(all, "?")
		}
		all = append(all, fmt.Sprintf("%d %s", cb.Op, cb.Body))
	}
	return strings.Join(all, "; ")
}

// wantFinals reads an answer to ops and wants these finals.
func wantFinals(t *testing.T, d *corezoid.Dialect, ops, answer, want string) {
	t.Helper()
	c := call(t, d, strings.Fields(ops)...)
	ack, err := d.Ack(c, 200, nil, []byte(`{"request_proc":"ok","ops":`+ided(c).Replace(answer)+`}`))
	if err != nil || ack.Package != nil {
		t.Errorf("%s: %s, %v", answer, ack.Package, err)
	}
	if got := ended(ack.Finals); got != want {
		t.Errorf("%s after %s\ngot  %s\nwant %s", ops, answer, got, want)
	}
}

func TestAck(t *testing.T) {
	d := newDialect(t)
	f := func(ops, answer, want string) {
		t.Helper()
		wantFinals(t, d, ops, answer, want)
	}
	// one op: by its position, where the answer names none
	f(`c`, `[{"proc":"ok"}]`, ``)
	f(`c`, `{"proc":"ok"}`, ``)
	f(`c`, `[{"id":"","proc":"error","key":1}]`, `0 {"id":"","proc":"error","key":1}`)
	f(`c`, `[{"id":null,"proc":"error","ref":null}]`, `0 {"id":null,"proc":"error","ref":null}`)
	f(`c`, `[{"id":{"a":1},"proc":"error","ref":[]}]`, `0 {"id":{"a":1},"proc":"error","ref":[]}`)
	f(`c`, `{ "proc" : "conveyor_is_not_active" }`, `0 { "proc" : "conveyor_is_not_active" }`)
	f(`c"a"`, `[{"id":"\u0061","proc":"error"}]`, `0 {"id":"\u0061","proc":"error"}`)
	f(`c`, `[{"proc":"\u006fk"}]`, ``)
	f(`c`, `[{"proc":"OK"}]`, `0 {"proc":"OK"}`)
	f(`c`, `[{"proc":""}]`, `0 {"proc":""}`)
	f(`m`, `[{"ref":"r","proc":"ok"}]`, `0 {"ref":"r","proc":"ok"}`)
	f(`m`, `[{}]`, `0 {}`)
	// an op without an answer of its own: the callback decides
	for _, answer := range []string{`[]`, `[null]`, `[1]`, `["error"]`, `[[{"proc":"error"}]]`, `[{}]`, `[{"description":"x"}]`, `[{"proc":null}]`, `[{"proc":{"proc":"error"}}]`, `{}`} {
		f(`c`, answer, ``)
	}
	f(`m`, `[]`, ``)
	f(`m`, `[null]`, ``)
	// of repeated names the last one counts
	f(`c`, `[{"proc":"error"}],"ops":[{"proc":"error","proc":"ok"}]`, ``)
	f(`c"a" c"b"`, `[{"id":"a","proc":"e"},{"id":"b","proc":"e"}],"ops":[{"id":"b","proc":"last"}]`, `1 {"id":"b","proc":"last"}`)
	// several: by id, out of order, however it is written
	f(`c1 c"b" c"3"`, `[{"id":3,"proc":"e3"},{"id":"\u0062","proc":"eb"},{"id":"1","proc":"e1"}]`, `0 {"id":"1","proc":"e1"}; 1 {"id":"\u0062","proc":"eb"}; 2 {"id":3,"proc":"e3"}`)
	f(`c1.0 c2e2 c-0`, `[{"id":0,"proc":"e0"},{"id":200,"proc":"e2"},{"id":1,"proc":"e1"}]`, `0 {"id":1,"proc":"e1"}; 1 {"id":200,"proc":"e2"}; 2 {"id":0,"proc":"e0"}`)
	f(`c1.0`, `[{"id":1,"proc":"e1"}]`, `0 {"id":1,"proc":"e1"}`)
	f(`c12345678901234567890 c12345678901234567891`, `[{"id":12345678901234567891,"proc":"e1"},{"id":12345678901234567890,"proc":"e0"}]`,
		`0 {"id":12345678901234567890,"proc":"e0"}; 1 {"id":12345678901234567891,"proc":"e1"}`)
	// by position where ids are repeated, unusable or not sent back
	f(`c5 c5 c"a"`, `[{"id":5,"proc":"e1"},{"id":5,"proc":"ok"},{"id":"a","proc":"e3"}]`, `0 {"id":5,"proc":"e1"}; 2 {"id":"a","proc":"e3"}`)
	f(`c5 c"5" c5.0`, `[{"id":5,"proc":"e1"},{"id":"5","proc":"e2"},{"id":5,"proc":"e3"}]`, `0 {"id":5,"proc":"e1"}; 1 {"id":"5","proc":"e2"}; 2 {"id":5,"proc":"e3"}`)
	f(`c5.0 c5e0`, `[{"id":5,"proc":"e1"},{"id":5.00,"proc":"e2"}]`, `0 {"id":5,"proc":"e1"}; 1 {"id":5.00,"proc":"e2"}`)
	f(`cnull c"" c"a"`, `[{"id":null,"proc":"e1"},{"id":"","proc":"e2"},{"id":"a","proc":"ok"}]`, `0 {"id":null,"proc":"e1"}; 1 {"id":"","proc":"e2"}`)
	f(`c"a" c"b"`, `[{"proc":"ok"},{"proc":"e2"}]`, `1 {"proc":"e2","id":"b"}`)
	// a position that names another op is that op's
	f(`c5 c"a" c5`, `[{"id":"a","proc":"ea"},{"id":5,"proc":"e"},{"id":5,"proc":"e3"}]`, `1 {"id":"a","proc":"ea"}; 2 {"id":5,"proc":"e3"}`)
	f(`c5 c5 c c`, `[{},{},{"id":5,"proc":"e"},{"id":"<id 2>","proc":"e"}]`, `2 {"proc":"e"}`)
	f(`c"a" c"b"`, `[{"id":"b","proc":"eb"}]`, `1 {"id":"b","proc":"eb"}`)
	f(`c"a" c"b"`, `[{"id":"b","proc":"e1"},{"id":"b","proc":"e2"}]`, `1 {"id":"b","proc":"e2"}`)
	// fewer
	f(`c c`, `[{"proc":"error"}]`, `0 {"proc":"error"}`)
	// refused ops were not forwarded and have no position
	f(`x c x m`, `[{"id":"<id 1>","proc":"e"},{"id":"<id 3>","proc":"ok"}]`, `1 {"proc":"e"}; 3 {"proc":"ok"}`)
	f(`x c x m`, `[{"proc":"e"},{"id":"","proc":"ok"}]`, `1 {"proc":"e"}; 3 {"id":"","proc":"ok"}`)
	f(`x1 c1`, `[{"id":1,"proc":"e"}]`, `1 {"id":1,"proc":"e"}`)
	// a ref that was sent, however it is written, or that may be the engine's own
	f(`c;"r" m;7 c;1.0`, `[{"ref":"\u0072","proc":"e"},{"ref":"7","proc":"ok"},{"ref":1,"proc":"e"}]`, `0 {"ref":"\u0072","proc":"e"}; 1 {"ref":"7","proc":"ok"}; 2 {"ref":1,"proc":"e"}`)
	f(`m m;null m;""`, `[{"ref":"r","proc":"ok"},{"ref":"r","proc":"ok"},{"ref":"r","proc":"ok"}]`, `0 {"ref":"r","proc":"ok"}; 1 {"ref":"r","proc":"ok"}; 2 {"ref":"r","proc":"ok"}`)
	f(`c`, `[{"id":"<id 0>","ref":"r","proc":"e"}]`, `0 {"ref":"r","proc":"e"}`)
}

// The client reads its own id and ref.
func TestAckIDs(t *testing.T) {
	d := newDialect(t)
	f := func(ops, answer, want string) {
		t.Helper()
		wantFinals(t, d, ops, answer, want)
	}
	// ours are taken out again
	f(`c`, `[{"id":"<id 0>","proc":"error"}]`, `0 {"proc":"error"}`)
	f(`m`, `{"proc":"ok","id":"<id 0>"}`, `0 {"proc":"ok"}`)
	f(`m`, `{ "id" : "<id 0>" }`, `0 {  }`)
	f(`c c`, `[{"proc":"e2","id":"<id 1>"},{"id":"<id 0>","proc":"e1","ref":null}]`, `0 {"proc":"e1","ref":null}; 1 {"proc":"e2"}`)
	f(`m m`, `[{"id":"<id 1>","proc":"ok"},{"id":"<id 0>" , "proc":"ok"}]`, `0 {"proc":"ok"}; 1 {"proc":"ok"}`)
	f(`c c`, `[{"id":"","proc":"e1"},{"proc":"e2"}]`, `0 {"id":"","proc":"e1"}; 1 {"proc":"e2"}`)
	f(`c c`, `[{"id":"<id 0>","x":{"id":1},"proc":"e1","id" : "<id 0>"}]`, `0 {"x":{"id":1},"proc":"e1"}`)
	// the client's own stand where the engine gives none
	f(`c"a"`, `[{"proc":"e"}]`, `0 {"proc":"e","id":"a"}`)
	f(`c"a"`, `[{"id":"","proc":"e"}]`, `0 {"id":"a","proc":"e"}`)
	f(`c"a"`, `[{"id" : null , "proc":"e"}]`, `0 {"id" : "a" , "proc":"e"}`)
	f(`c"a"`, `[{"id":null,"proc":"e","id":""}]`, `0 {"id":"a","proc":"e"}`)
	f(`m"\u0061"`, `[{}]`, `0 {"id":"\u0061"}`)
	f(`c;"r"`, `[{"proc":"e"}]`, `0 {"proc":"e","ref":"r"}`)
	f(`c1.0;2.0`, `[{"proc":"e","ref":null,"ref":"","x":1}]`, `0 {"proc":"e","ref":2.0,"x":1,"id":1.0}`)
	f(`c1;"r"`, `[{"proc":"e","ref":"\u0072","id":"1"}]`, `0 {"proc":"e","ref":"\u0072","id":"1"}`)
	f(`cnull;null`, `[{"id":"<id 0>","proc":"e"}]`, `0 {"id":null,"proc":"e","ref":null}`)
	f(`c"";"" c{"x":1}`, `[{"id":"<id 1>","proc":"e1"},{"id":"<id 0>","proc":"e0"}]`, `0 {"id":"","proc":"e0","ref":""}; 1 {"id":{"x":1},"proc":"e1"}`)
}

// What contradicts what was sent is another request's answer, whatever else it says.
func TestAckForeign(t *testing.T) {
	d := newDialect(t)
	f := func(ops, ack string) {
		t.Helper()
		c := call(t, d, strings.Fields(ops)...)
		for _, status := range []int{200, 400} {
			got, err := d.Ack(c, status, nil, []byte(ided(c).Replace(ack)))
			if !errors.Is(err, dialect.ErrForeignAnswer) || got.Package != nil || got.Finals != nil {
				t.Errorf("%s after %d %s: %+v, %v", ops, status, ack, got, err)
			}
			if err != nil && strings.Contains(err.Error(), "SECRET") {
				t.Errorf("%s after %s: %v", ops, ack, err)
			}
		}
	}
	g := func(ops, answer string) {
		t.Helper()
		f(ops, `{"request_proc":"ok","ops":`+answer+`}`)
		f(ops, `{"ops":`+answer+`,"request_proc":"error"}`)
	}
	for _, id := range []string{`"SECRET"`, `1`, `"1"`, `0`, `1.5`, `1e999`, `" "`} {
		g(`c`, `[{"id":`+id+`,"proc":"ok"}]`)
		g(`m`, `{"id":`+id+`,"proc":"ok"}`)
		g(`c c"a"`, `[{"id":"a","proc":"ok"},{"id":`+id+`,"proc":"ok"}]`)
	}
	g(`c"a"`, `[{"id":"SECRET","proc":"error"}]`)
	g(`c"a"`, `[{"id":"A","proc":"error"}]`)
	g(`c12345678901234567890`, `[{"id":12345678901234567891,"proc":"error"}]`)
	g(`c12345678901234567890 c`, `[{"id":12345678901234567891,"proc":"error"}]`)
	g(`c"1.0"`, `[{"id":1,"proc":"error"}]`)
	g(`x1 c`, `[{"id":1,"proc":"e"}]`) // was not forwarded
	g(`x1 c c`, `[{"id":1,"proc":"e"}]`)
	g(`c c`, `[{"id":"<id 0>","id":"SECRET","proc":"e"}]`)
	g(`c`, `[{"proc":"error"},{"proc":"error"}]`) // more than were sent
	g(`c"a"`, `[{"id":"a","proc":"error"},{"id":"a","proc":"error"}]`)
	g(`c x`, `[null,null]`)
	// a ref of an op that is named
	g(`c;"r"`, `[{"id":"<id 0>","ref":"SECRET","proc":"ok"}]`)
	g(`m"a";7`, `[{"id":"a","ref":70,"proc":"ok"}]`)
	g(`c"a"`, `[{"id":"a","ref":"SECRET","proc":"ok"}]`)
	g(`c"a" c"a" m"b";"r"`, `[{"id":"b","ref":"SECRET","proc":"ok"},{"id":"b","ref":"r","proc":"ok"}]`)
	// and of one at its position
	h := func(ops, answer string) {
		t.Helper()
		c := call(t, d, strings.Fields(ops)...)
		if got, err := d.Ack(c, 200, nil, []byte(`{"request_proc":"ok","ops":`+answer+`}`)); !errors.Is(err, dialect.ErrForeignAnswer) {
			t.Errorf("%s after %s: %+v, %v", ops, answer, got, err)
		}
	}
	h(`c;"r"`, `[{"ref":"other","proc":"ok"}]`)
	h(`m;"r"`, `[{"ref":"other","proc":"ok"}]`)
	h(`m;1`, `[{"ref":2,"proc":"ok"}]`)
	h(`c`, `[{"ref":"other","proc":"ok"}]`)
	h(`c;null`, `{"ref":1,"proc":"ok"}`)
	h(`c"a";"r" c"a";"s"`, `[{"id":"a","ref":"r","proc":"ok"},{"id":"a","ref":"r","proc":"ok"}]`)
	h(`m;"r" m;"s"`, `[{"ref":"s","proc":"ok"},{"ref":"r","proc":"ok"}]`)
}

func TestAckPackage(t *testing.T) {
	d := newDialect(t)
	c := call(t, d, "c", "c")
	f := func(status int, body string, taken bool) {
		t.Helper()
		answer := []byte(body)
		ack, err := d.Ack(c, status, nil, answer)
		if err != nil {
			t.Errorf("%d %s: %v", status, body, err)
		}
		want := body
		if taken {
			want = ""
		}
		clear(answer)
		if string(ack.Package) != want || ack.Finals != nil {
			t.Errorf("%d %s: package %q, finals %v", status, body, ack.Package, ack.Finals)
		}
	}
	f(200, `{"request_proc":"format_error","ops":[]}`, false)
	f(200, ` {"ops":[{"proc":"error"}],"request_proc":"error"} `, false)
	f(202, `{"request_proc":""}`, false)
	f(200, `{"request_proc":"error","ops":null}`, false)
	f(400, `{"request_proc":"ok","ops":[{"proc":"error","description":"Incorrect body"}]}`, false)
	f(401, `{"request_proc":"ok","ops":[{"proc":"ok"},{"proc":"ok"}]}`, false)
	f(429, `{"message":"slow down"}`, false)
	f(404, `"no"`, false)
	f(200, `{"request_proc":"ok","ops":[]}`, true)
	f(201, `{"ops":[],"request_proc":"\u006fk"}`, true)
	f(200, `{"ops":[{"proc":"ok"},{"proc":"ok"}]}`, true)
	f(299, "\n{\"request_proc\":\"ok\",\"ops\":{\"proc\":\"ok\"}}\n", true)
}

// The answer to a package goes to the client as it is, less the ids that the client does not know.
func TestAckPackageLosesOurIDs(t *testing.T) {
	d := newDialect(t)
	c := call(t, d, `c;"r"`, `c"a"`, `mnull`)
	f := func(status int, answer, want string) {
		t.Helper()
		ack, err := d.Ack(c, status, nil, []byte(ided(c).Replace(answer)))
		if err != nil || string(ack.Package) != want {
			t.Errorf("%s becomes %s, %v; want %s", answer, ack.Package, err, want)
		}
	}
	f(400, `{"ops":[{"id":"<id 2>","proc":"error"},{"proc":"x", "id":"<id 0>"},{"id":"a"}], "request_proc":"ok"}`, `{"ops":[{"id":null,"proc":"error"},{"proc":"x"},{"id":"a"}], "request_proc":"ok"}`)
	f(200, `{"request_proc":"e","ops":{"id":"<id 0>","proc":"error"},"x":[{}]}`, `{"request_proc":"e","ops":{"proc":"error"},"x":[{}]}`)
	f(404, ` {"ops":[{"ref":"s","id":""},{"id":1,"id":"a"}],"request_proc":1}`, ` {"ops":[{"ref":"s","id":""},{"id":1,"id":"a"}],"request_proc":1}`)
}

func TestAckNotTheProtocol(t *testing.T) {
	d := newDialect(t)
	c := call(t, d, "c")
	f := func(status int, body, problem string) {
		t.Helper()
		ack, err := d.Ack(c, status, nil, []byte(body))
		if err == nil || errors.Is(err, dialect.ErrForeignAnswer) || !strings.HasPrefix(err.Error(), "read the engine's answer: "+problem) {
			t.Errorf("%d %s: %+v, %v", status, body, ack, err)
		}
	}
	const good = `{"request_proc":"ok","ops":[{"proc":"ok"}]}`
	for _, status := range []int{0, 100, 301, 302, 304, 307, 500, 502, 503, 504, 600} {
		f(status, good, fmt.Sprintf("status %d", status))
	}
	for _, body := range []string{
		`null`, `"ok"`, `[]`, `{}`, `{"request_proc":"ok"}`, `{"request_proc":"ok","ops":null}`, `{"request_proc":"ok","ops":"x"}`,
		`{"request_proc":true,"ops":[]}`, `{"request_proc":null,"ops":[]}`,
	} {
		f(200, body, "not a package of ops")
	}
	for _, body := range []string{
		``, `<html>`, `OK`, good + `x`, good + good, good[:len(good)-1], "\ufeff" + good,
		"{\"request_proc\":\"ok\",\"ops\":[{\"proc\":\"error\",\"d\":\"\xff\"}]}", strings.Repeat("[", 200) + strings.Repeat("]", 200),
	} {
		f(200, body, "at byte ")
	}
	f(204, ``, "at byte 0: unexpected end")
	f(405, `<html>The specified method is not allowed against this resource</html>`, "at byte 0: invalid character")
	f(400, ``, "at byte 0: unexpected end")
	f(400, `{"request_proc":"error"`, "at byte 23: unexpected end")
}

// An engine that echoes the task sends the callback's token: no byte of an answer is in an error, as that goes to the log.
func TestAckErrorsQuoteNothing(t *testing.T) {
	d := newDialect(t)
	c := call(t, d, "c", `c"a"`)
	const marker = `XZQWJKVYXZQWJKVY`
	for _, broken := range []string{
		marker, `"` + marker, `{` + marker, `{"` + marker + `":` + marker + `}`, `{"x":t` + marker + `}`, `{"x":"\` + marker + `"}`, `{"x":"\uX` + marker + `"}`, `{"x":1` + marker + `}`, `{"x":-` + marker + `}`,
		`{"x":[1` + marker + `]}`, `{"request_proc":"ok","ops":[]}` + marker, `{"request_proc":"ok","ops":[{"id":"` + marker + `"}]}`, `{"request_proc":"ok","ops":[{"ref":"` + marker + `"}]}`,
		`{"request_proc":"` + marker, `{"request_proc":["` + marker + `"]}`, `{"x":"` + marker + "\xff", `{"x":1.` + marker, `{"x":1e` + marker, "{'" + marker + "':1}", "{`" + marker + "`:1}",
	} {
		_, err := d.Ack(c, 200, nil, []byte(broken))
		if err == nil || strings.ContainsAny(err.Error(), marker) {
			t.Errorf("%s: %v", broken, err)
		}
	}
}

// The body of a final is the trip's own: the engine's answer is read into a buffer that is used again.
func TestAckCopies(t *testing.T) {
	d := newDialect(t)
	answer := []byte(`{"request_proc":"ok","ops":[{"id":"a","proc":"error"}]}`)
	ack, err := d.Ack(call(t, d, `c"a"`), 200, nil, answer)
	if err != nil {
		t.Fatal(err)
	}
	clear(answer)
	if got := ended(ack.Finals); got != `0 {"id":"a","proc":"error"}` {
		t.Errorf("got %s", got)
	}
}

// Many ops must not cost the square of their number.
func TestAckMany(t *testing.T) {
	d := newDialect(t)
	a := access(t)
	a.MaxOps = correlator.MaxOp + 1
	d.SetAccess(a)
	ops := make([]string, 20_000)
	for i := range ops {
		ops[i] = []string{"c", fmt.Sprintf("c%d.0", i)}[i%2]
	}
	c := call(t, d, ops...)
	answers := make([]string, len(ops))
	for i, op := range c.Ops {
		answers[len(ops)-1-i] = fmt.Sprintf(`{"id":"%s","proc":"e%d"}`, op.Match, i)
		if i%2 == 1 {
			answers[len(ops)-1-i] = fmt.Sprintf(`{"proc":"e%d","id":%d}`, i, i)
		}
	}
	ack, err := d.Ack(c, 200, nil, []byte(`{"request_proc":"ok","ops":[`+strings.Join(answers, ",")+`]}`))
	if err != nil || len(ack.Finals) != len(ops) {
		t.Fatalf("%d finals, %v", len(ack.Finals), err)
	}
	for i, cb := range ack.Finals {
		if want := fmt.Sprintf(`{"proc":"e%d"`, i); cb.Op != i || !strings.HasPrefix(string(cb.Body), want) {
			t.Fatalf("op %d: %s", cb.Op, cb.Body)
		}
	}
}
