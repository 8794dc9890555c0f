package corezoid_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"syncgate/dialect"
	"syncgate/dialect/corezoid"
	"syncgate/internal/splice"
	"syncgate/internal/wiretest"
)

// The oracle of requests: a slow reading of the protocol over encoding/json, which builds everything that it changes.

// member is a member of an object, its value as it is written.
type member struct{ name, value string }

// members reads an object in order, with repeated names. ok is false when text is no object.
func members(text string) (all []member, ok bool) {
	dec := json.NewDecoder(strings.NewReader(text))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, false
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, false
		}
		all = append(all, member{name.(string), string(value)})
	}
	return all, true
}

func elements(text string) (all []string, ok bool) {
	var raw []json.RawMessage
	if !strings.HasPrefix(text, "[") || json.Unmarshal([]byte(text), &raw) != nil {
		return nil, false
	}
	for _, v := range raw {
		all = append(all, string(v))
	}
	return all, true
}

// find gives the value of a name; a repeated one is fatal to the request, so there is one at most.
func find(all []member, name string) string {
	for _, m := range all {
		if m.name == name {
			return m.value
		}
	}
	return ""
}

func repeats(all []member) bool {
	seen := map[string]bool{}
	for _, m := range all {
		if seen[m.name] {
			return true
		}
		seen[m.name] = true
	}
	return false
}

func without(all []member, name string) []member {
	return slices.DeleteFunc(slices.Clone(all), func(m member) bool { return m.name == name })
}

// says is the text of a string, anything else as it is written.
func says(value string) string {
	var s string
	if strings.HasPrefix(value, `"`) && json.Unmarshal([]byte(value), &s) == nil {
		return s
	}
	return value
}

// isID reports whether a value is a number or a string.
func isID(value string) bool { return value != "" && strings.ContainsAny(value[:1], `"-0123456789`) }

// model is what a request comes to.
type model struct {
	bad       bool
	top       []member // of the package for the engine, less ops
	single    bool
	ops       []modelOp
	forwarded []modelOp
}

type modelOp struct {
	members []member
	data    []member // less what is ours; of an op that creates no task, if it has an object
	create  bool
	refused bool
}

var positive = regexp.MustCompile(`^(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

func goodTimeout(value string) bool {
	if value == "" || value == "null" {
		return true
	}
	number := value
	if strings.HasPrefix(value, `"`) {
		number = says(value)
	}
	mantissa, _, _ := strings.Cut(strings.ToLower(number), "e")
	return positive.MatchString(number) && strings.ContainsAny(mantissa, "123456789")
}

func read(body string, maxOps int) (m model) {
	top, ok := members(body)
	if !ok || !json.Valid([]byte(body)) || !utf8.ValidString(body) || wiretest.Depth(body) > splice.MaxDepth || repeats(top) || !goodTimeout(find(top, "timeout")) {
		return model{bad: true}
	}
	m.top = without(top, "timeout")
	ops := find(top, "ops")
	list, isArray := elements(ops)
	if !isArray {
		m.single = true
		list = []string{ops}
	}
	if len(list) == 0 || len(list) > maxOps {
		return model{bad: true}
	}
	for _, text := range list {
		op, ok := readModelOp(text)
		if !ok {
			return model{bad: true}
		}
		m.ops = append(m.ops, op)
		if !op.refused {
			m.forwarded = append(m.forwarded, op)
		}
	}
	return m
}

func readModelOp(text string) (op modelOp, ok bool) {
	if op.members, ok = members(text); !ok || repeats(op.members) {
		return op, false
	}
	typ, obj := says(find(op.members, "type")), says(find(op.members, "obj"))
	op.create = typ == "create" && obj == "task"
	op.refused = !op.create && (typ != "modify" || obj != "task")
	if data := find(op.members, "data"); !op.create {
		if strings.HasPrefix(data, "{") {
			op.data, _ = members(data)
			op.data = append([]member{}, without(op.data, "__callback_url")...)
		}
		return op, true
	}
	switch data := find(op.members, "data"); {
	case data == "", data == "null":
	case strings.HasPrefix(data, "["):
		list, _ := elements(data)
		ok = len(list) == 0
	default:
		op.data, ok = members(data)
	}
	op.data = without(op.data, "__callback_url")
	return op, ok
}

// FuzzRequest holds Accept and Encode to the model: the same bodies are accepted, and the engine gets what was sent, value
// by value as it was written, with the stated changes and no other. A client's own __callback_url never survives.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		simple,
		`{"timeout":"3e1","ops":[{"type":"create","obj":"task","data":{"__callback_url":1,"a":{"__callback_url":2},"\u005f_callback_url":3}}]}`,
		`{"ops":{"type":"create","obj":"task","data":[ ]},"x":[{}],"timeout":1}`,
		`{"ops":[{"type":"x","obj":"y"},{"type":"modify","obj":"task","data":{"__callback_url":1}},{"id":"1","type":"create","obj":"task","data":null}]}`,
		`{"ops":[{"type":"create","obj":"task","id":1},{"type":"create","obj":"task","id":"1"},{"type":"create","obj":"task"}]}`,
		`{"ops":[{"type":"create","obj":"task","data":{"a":"\ud800","a":1e400}}],"ops":1}`,
		`{"ops":[{"type":"create","obj":"task","data":"x"}]}`, `{"timeout":0,"ops":[]}`, ` {"ops":[ {"obj":"task","data":{ "x" : 1 , "__callback_url" : 2 } , "type":"create"} , {} ] } `,
	} {
		f.Add([]byte(seed))
	}
	d := newDialect(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		want := read(string(body), 5)
		c, err := accept(t, d, string(body))
		if (err != nil) != want.bad {
			t.Fatalf("%q: %v, the model refuses it: %v", body, err, want.bad)
		}
		if err == nil {
			checkCall(t, d, c, want)
		}
	})
}

func checkCall(t *testing.T, d *corezoid.Dialect, c *dialect.Call, want model) {
	t.Helper()
	if len(c.Ops) != len(want.ops) {
		t.Fatalf("%d ops, want %d", len(c.Ops), len(want.ops))
	}
	for i, op := range want.ops {
		got := c.Ops[i]
		if got.Create != op.create || (got.Refused != "") != op.refused || string(got.ID) != find(op.members, "id") || string(got.Ref) != find(op.members, "ref") {
			t.Fatalf("op %d is %+v, want %+v", i, got, op)
		}
	}
	if len(want.forwarded) == 0 {
		if c.Body != nil || c.Slots != nil {
			t.Fatalf("forwards %s", c.Body)
		}
		return
	}
	body := forwarded(t, d, c)
	top, ok := members(body)
	if !ok || !json.Valid([]byte(body)) || find(without(top, "ops"), "timeout") != "" || !reflect.DeepEqual(without(top, "ops"), without(want.top, "ops")) {
		t.Fatalf("forwards %s", body)
	}
	list, isArray := elements(find(top, "ops"))
	if !isArray {
		list = []string{find(top, "ops")}
	}
	if isArray == want.single || len(list) != len(want.forwarded) {
		t.Fatalf("forwards %s", body)
	}
	checkOps(t, list, want.forwarded)
}

func checkOps(t *testing.T, list []string, want []modelOp) {
	t.Helper()
	tokens := 0
	for i, text := range list {
		got, ok := members(text)
		if !ok {
			t.Fatalf("forwards op %s", text)
		}
		if id := find(want[i].members, "id"); !isID(id) || says(id) == "" {
			checkAddedID(t, list, i)
			got, want[i].members = without(got, "id"), without(want[i].members, "id")
		}
		if want[i].create {
			checkData(t, find(got, "data"), want[i].data, tokens)
			tokens++
			got, want[i].members = without(got, "data"), without(want[i].members, "data")
		}
		if !want[i].create && want[i].data != nil {
			checkOtherData(t, find(got, "data"), want[i].data)
			got, want[i].members = without(got, "data"), without(want[i].members, "data")
		}
		if !reflect.DeepEqual(got, want[i].members) {
			t.Fatalf("op %d is forwarded as %s", i, text)
		}
	}
}

// checkOtherData looks at the data of an op that creates no task.
func checkOtherData(t *testing.T, data string, want []member) {
	t.Helper()
	if got, ok := members(data); !ok || !slices.Equal(got, want) {
		t.Fatalf("data is forwarded as %s, want %v", data, want)
	}
}

// checkAddedID looks whether the op i of list, which the client sent without an id, has one of its own.
func checkAddedID(t *testing.T, list []string, i int) {
	t.Helper()
	ids := map[string]int{}
	for _, text := range list {
		if op, _ := members(text); isID(find(op, "id")) {
			ids[says(find(op, "id"))]++
		}
	}
	op, _ := members(list[i])
	id := find(op, "id")
	if !strings.HasPrefix(id, `"<id `) || ids[says(id)] != 1 {
		t.Fatalf("op %d has no id of its own in %s", i, list)
	}
}

func checkData(t *testing.T, data string, want []member, token int) {
	t.Helper()
	got, ok := members(data)
	want = append(slices.Clip(want), member{"__callback_url", `"<` + strconv.Itoa(token) + `>"`})
	if !ok || !slices.Equal(got, want) {
		t.Fatalf("data is forwarded as %s, want %v", data, want)
	}
}
