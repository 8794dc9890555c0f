package corezoid_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/dialect/corezoid"
	"syncgate/gateway"
)

// call is a request of ops: c creates a task, m modifies one, x is refused; what follows a letter is its id.
func call(t testing.TB, d *corezoid.Dialect, ops ...string) *gateway.Call {
	t.Helper()
	var list []string
	for _, op := range ops {
		typ := map[byte]string{'c': "create", 'm': "modify", 'x': "x"}[op[0]]
		id := ""
		if op[1:] != "" {
			id = `,"id":` + op[1:]
		}
		list = append(list, `{"type":"`+typ+`","obj":"task"`+id+`}`)
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

func TestAck(t *testing.T) {
	d := dialect(t)
	f := func(ops, answer, want string) {
		t.Helper()
		ack, err := d.Ack(call(t, d, strings.Fields(ops)...), 200, []byte(`{"request_proc":"ok","ops":`+answer+`}`))
		if err != nil || ack.Package != nil {
			t.Errorf("%s: %s, %v", answer, ack.Package, err)
		}
		if got := ended(ack.Finals); got != want {
			t.Errorf("%s after %s\ngot  %s\nwant %s", ops, answer, got, want)
		}
	}
	// one op: its position is certain, whatever its id
	f(`c`, `[{"proc":"ok"}]`, ``)
	f(`c`, `{"proc":"ok"}`, ``)
	f(`c`, `[{"id":"","proc":"error","key":1}]`, `0 {"id":"","proc":"error","key":1}`)
	f(`c`, `{ "proc" : "conveyor_is_not_active" }`, `0 { "proc" : "conveyor_is_not_active" }`)
	f(`c"a"`, `[{"id":"other","proc":"error"}]`, `0 {"id":"other","proc":"error"}`)
	f(`c"a"`, `[{"id":"b","proc":"ok"},{"id":"\u0061","proc":"error"}]`, `0 {"id":"\u0061","proc":"error"}`)
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
	// several: by id, out of order, however it is written
	f(`c1 c"b" c"3"`, `[{"id":3,"proc":"e3"},{"id":"\u0062","proc":"eb"},{"id":"1","proc":"e1"}]`, `0 {"id":"1","proc":"e1"}; 1 {"id":"\u0062","proc":"eb"}; 2 {"id":3,"proc":"e3"}`)
	// ours are taken out again
	f(`c c`, `[{"proc":"e2","id":"2"},{"id":"1","proc":"e1","ref":null}]`, `0 {"proc":"e1","ref":null}; 1 {"proc":"e2"}`)
	f(`m m`, `[{"id":2,"proc":"ok"},{"id":1 , "proc":"ok"}]`, `0 {"proc":"ok"}; 1 {"proc":"ok"}`)
	f(`c c`, `[{"id":"","proc":"e1"},{"proc":"e2"}]`, `0 {"id":"","proc":"e1"}; 1 {"proc":"e2"}`)
	// by position where ids are repeated, unusable or not sent back
	f(`c5 c5 c"a"`, `[{"id":5,"proc":"e1"},{"id":5,"proc":"ok"},{"id":"a","proc":"e3"}]`, `0 {"id":5,"proc":"e1"}; 2 {"id":"a","proc":"e3"}`)
	f(`cnull c"" c"a"`, `[{"id":null,"proc":"e1"},{"id":"","proc":"e2"},{"id":"a","proc":"ok"}]`, `0 {"id":null,"proc":"e1"}; 1 {"id":"","proc":"e2"}`)
	f(`c"a" c"b"`, `[{"proc":"ok"},{"proc":"e2"}]`, `1 {"proc":"e2"}`)
	// a position that names another op is that op's
	f(`c5 c"a" c5`, `[{"id":"a","proc":"ea"},{"id":5,"proc":"e"},{"id":5,"proc":"e3"}]`, `1 {"id":"a","proc":"ea"}; 2 {"id":5,"proc":"e3"}`)
	f(`c"a" c"b"`, `[{"id":"b","proc":"eb"}]`, `1 {"id":"b","proc":"eb"}`)
	f(`c"a" c"b"`, `[{"id":"b","proc":"e1"},{"id":"b","proc":"e2"}]`, `1 {"id":"b","proc":"e2"}`)
	// fewer and more
	f(`c c`, `[{"proc":"error"}]`, `0 {"proc":"error"}`)
	f(`c`, `[{"proc":"ok"},{"proc":"error"}]`, ``)
	f(`c"a"`, `[{"proc":"ok"},{"id":"a","proc":"error"}]`, `0 {"id":"a","proc":"error"}`)
	// refused ops were not forwarded and have no position
	f(`x c x m`, `[{"id":"1","proc":"e"},{"id":"2","proc":"ok"}]`, `1 {"proc":"e"}; 3 {"proc":"ok"}`)
	f(`x1 c`, `[{"id":1,"proc":"e"}]`, `1 {"id":1,"proc":"e"}`)
}

func TestAckPackage(t *testing.T) {
	d := dialect(t)
	c := call(t, d, "c", "c")
	f := func(status int, body string, taken bool) {
		t.Helper()
		answer := []byte(body)
		ack, err := d.Ack(c, status, answer)
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

func TestAckNotTheProtocol(t *testing.T) {
	d := dialect(t)
	c := call(t, d, "c")
	f := func(status int, body string) {
		t.Helper()
		if ack, err := d.Ack(c, status, []byte(body)); err == nil || !strings.HasPrefix(err.Error(), "read the engine's answer: ") {
			t.Errorf("%d %s: %+v, %v", status, body, ack, err)
		}
	}
	const good = `{"request_proc":"ok","ops":[{"proc":"ok"}]}`
	for _, status := range []int{0, 100, 301, 302, 304, 307, 500, 502, 503, 504, 600} {
		f(status, good)
	}
	for _, body := range []string{
		``, `<html>`, `OK`, `null`, `"ok"`, `[]`, `{}`, `{"request_proc":"ok"}`, `{"request_proc":"ok","ops":null}`, `{"request_proc":"ok","ops":"x"}`,
		`{"request_proc":true,"ops":[]}`, `{"request_proc":null,"ops":[]}`, good + `x`, good + good, good[:len(good)-1], "\ufeff" + good,
		"{\"request_proc\":\"ok\",\"ops\":[{\"proc\":\"error\",\"d\":\"\xff\"}]}", strings.Repeat("[", 200) + strings.Repeat("]", 200),
	} {
		f(200, body)
	}
	f(204, ``)
	f(405, `<html>The specified method is not allowed against this resource</html>`)
	f(400, ``)
	f(400, `{"request_proc":"error"`)
}

// The body of a final is the trip's own: the engine's answer is read into a buffer that is used again.
func TestAckCopies(t *testing.T) {
	d := dialect(t)
	answer := []byte(`{"request_proc":"ok","ops":[{"id":"a","proc":"error"}]}`)
	ack, err := d.Ack(call(t, d, `c"a"`), 200, answer)
	if err != nil {
		t.Fatal(err)
	}
	clear(answer)
	if got := ended(ack.Finals); got != `0 {"id":"a","proc":"error"}` {
		t.Errorf("got %s", got)
	}
}

// However the engine shuffles, drops and repeats its answers, none ends another op than its own.
func TestAckShuffled(t *testing.T) {
	d := dialect(t)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's choices
	for round := range 3000 {
		ops := make([]string, 1+random.IntN(5))
		for i := range ops {
			ops[i] = []string{"c", fmt.Sprintf("c%d", i), fmt.Sprintf(`c"%d"`, i), fmt.Sprintf(`m"\u006%d"`, i)}[random.IntN(4)]
		}
		c := call(t, d, ops...)
		answer := shuffled(random, c)
		ack, err := d.Ack(c, 200, []byte(answer))
		if err != nil {
			t.Fatal(err)
		}
		for _, cb := range ack.Finals {
			if !strings.Contains(string(cb.Body), fmt.Sprintf(`"proc":"%d"`, cb.Op)) {
				t.Fatalf("seed %d, round %d: %v after %s: op %d ends with %s", seed, round, ops, answer, cb.Op, cb.Body)
			}
		}
	}
}

// shuffled answers each op of c never, once or twice; an answer's proc says which op it is for.
func shuffled(random *rand.Rand, c *gateway.Call) string {
	var answers []string
	for i, op := range c.Ops {
		for range []int{0, 1, 1, 1, 2}[random.IntN(5)] {
			answers = append(answers, fmt.Sprintf(`{"proc":"%d","id":%q}`, i, op.Match))
		}
	}
	random.Shuffle(len(answers), func(i, j int) { answers[i], answers[j] = answers[j], answers[i] })
	return `{"request_proc":"ok","ops":[` + strings.Join(answers, ",") + `]}`
}

// Many ops must not cost the square of their number.
func TestAckMany(t *testing.T) {
	d := dialect(t)
	a := access(t)
	a.MaxOps = correlator.MaxOp + 1
	d.SetAccess(a)
	ops := make([]string, 20_000)
	answers := make([]string, len(ops))
	for i := range ops {
		ops[i] = "c"
		answers[len(ops)-1-i] = fmt.Sprintf(`{"id":"%d","proc":"e%d"}`, i+1, i)
	}
	c := call(t, d, ops...)
	ack, err := d.Ack(c, 200, []byte(`{"request_proc":"ok","ops":[`+strings.Join(answers, ",")+`]}`))
	if err != nil || len(ack.Finals) != len(ops) {
		t.Fatalf("%d finals, %v", len(ack.Finals), err)
	}
	for i, cb := range ack.Finals {
		if want := fmt.Sprintf(`{"proc":"e%d"}`, i); cb.Op != i || string(cb.Body) != want {
			t.Fatalf("op %d: %s", cb.Op, cb.Body)
		}
	}
}
