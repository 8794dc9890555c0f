package corezoid_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/corezoid"
	"syncgate/internal/splice"
	"syncgate/internal/wiretest"
)

// The oracle of answers: a slow reading over encoding/json that looks at every pair of what was sent and what was answered.

// modelAnswer is an op of the engine's answer.
type modelAnswer struct {
	text     string
	isObject bool
	members  []member
	id, ref  string
}

// answersOf gives the lists of ops in an answer, the last of which counts.
func answersOf(body string) (lists [][]modelAnswer) {
	top, _ := members(body)
	for _, m := range top {
		if m.name != "ops" {
			continue
		}
		texts, isArray := elements(m.value)
		if !isArray {
			texts = []string{m.value}
		}
		list := []modelAnswer{}
		for _, text := range texts {
			a := modelAnswer{text: text}
			a.members, a.isObject = members(text)
			a.id, a.ref = last(a.members, "id"), last(a.members, "ref")
			list = append(list, a)
		}
		lists = append(lists, list)
	}
	return lists
}

// says that two values are the same id or ref: the same text, or the same number.
func same(a, b string) bool {
	if says(a) == says(b) {
		return true
	}
	x, y := number(a), number(b)
	return x == y
}

// number is a JSON number that a float can tell from its neighbours, else not a number.
func number(value string) float64 {
	if strings.HasPrefix(value, `"`) || !isID(value) {
		return math.NaN()
	}
	if x, err := strconv.ParseFloat(value, 64); err == nil && math.Abs(x) <= 1<<53 {
		return x
	}
	return math.NaN()
}

// given reports whether a value is an id or a ref that says something.
func given(value string) bool { return isID(value) && says(value) != "" }

// sentID is the id that the engine got for an op.
func sentID(op dialect.Op) string {
	if op.Added {
		return strconv.Quote(op.Match)
	}
	return string(op.ID)
}

// called gives the ops that an id may mean: those with its text, else those with its number.
func called(c *dialect.Call, id string) (ops []int) {
	for _, alike := range []func(a, b string) bool{func(a, b string) bool { return says(a) == says(b) }, func(a, b string) bool { return number(a) == number(b) }} {
		for i, op := range c.Ops {
			if op.Refused == "" && alike(sentID(op), id) {
				ops = append(ops, i)
			}
		}
		if len(ops) > 0 {
			break
		}
	}
	return ops
}

func otherRef(op dialect.Op, a modelAnswer) bool {
	switch {
	case !given(a.ref):
		return false
	case !given(string(op.Ref)):
		named := op.Added && given(a.id) && says(a.id) == op.Match
		return op.Create && !named
	default:
		return !same(a.ref, string(op.Ref))
	}
}

// foreign reports whether an op of the answer has an id or more than were sent.
func foreign(c *dialect.Call, lists [][]modelAnswer) bool {
	forwarded := 0
	for _, op := range c.Ops {
		if op.Refused == "" {
			forwarded++
		}
	}
	return slices.ContainsFunc(lists, func(list []modelAnswer) bool {
		return len(list) > forwarded || slices.ContainsFunc(list, func(a modelAnswer) bool {
			ops := called(c, a.id)
			return given(a.id) && (len(ops) == 0 || len(ops) == 1 && otherRef(c.Ops[ops[0]], a))
		})
	})
}

// answered gives the answer to each op, -1 where there is none. other: one at an op's position has another ref.
func answered(c *dialect.Call, list []modelAnswer) (found []int, other bool) {
	position := 0
	for i, op := range c.Ops {
		at := -1
		if op.Refused == "" {
			at = byID(c, list, i)
			if at < 0 && position < len(list) && mayAnswer(c, i, list[position]) {
				at = position
				other = other || otherRef(op, list[at])
			}
			position++
		}
		found = append(found, at)
	}
	return found, other
}

// byID gives the only answer that has the id of op i, and of no other, -1 when there are several or none.
func byID(c *dialect.Call, list []modelAnswer, i int) int {
	at := -1
	for j, a := range list {
		if given(a.id) && slices.Equal(called(c, a.id), []int{i}) {
			if at >= 0 {
				return -1
			}
			at = j
		}
	}
	return at
}

func mayAnswer(c *dialect.Call, i int, a modelAnswer) bool {
	ops := called(c, a.id)
	return !given(a.id) || slices.Contains(ops, i) || len(ops) > 1 && same(a.id, string(c.Ops[i].ID))
}

// asRead gives the members of an op of the answer as the client reads them.
func asRead(op dialect.Op, a modelAnswer) (all []member) {
	theirs := map[string][]byte{"id": op.ID, "ref": op.Ref}
	said := map[string]bool{}
	for _, m := range a.members {
		ours := m.name == "id" && op.Added && isID(m.value) && says(m.value) == op.Match
		sent, echoes := theirs[m.name]
		switch {
		case !echoes, given(m.value) && !ours:
		case sent == nil && !ours: // it is empty, and so it stays
		case sent == nil || said[m.name]:
			continue
		default:
			m.value = string(sent)
		}
		said[m.name] = true
		all = append(all, m)
	}
	for _, name := range []string{"id", "ref"} {
		if sent := theirs[name]; sent != nil && !said[name] {
			all = append(all, member{name, string(sent)})
		}
	}
	return all
}

// sort is what an answer is, by its status and form alone.
type sort int

const (
	unusable sort = iota
	ofPackage
	ofOps
)

func sortOf(status int, body string) sort {
	if !json.Valid([]byte(body)) || !utf8.ValidString(body) || wiretest.Depth(body) > splice.MaxDepth || status < 200 || status >= 500 || status/100 == 3 {
		return unusable
	}
	top, _ := members(body)
	proc, ops := last(top, "request_proc"), last(top, "ops")
	isText := strings.HasPrefix(proc, `"`)
	switch {
	case status >= 400, isText && says(proc) != "ok":
		return ofPackage
	case (isText || proc == "") && ops != "" && strings.ContainsAny(ops[:1], "{["):
		return ofOps
	default:
		return unusable
	}
}

// checkAck holds an answer to the model. No op may end with what names another one, and what is another request's ends none.
func checkAck(t *testing.T, d *corezoid.Dialect, c *dialect.Call, status int, body string) {
	t.Helper()
	ack, err := d.Ack(c, status, nil, []byte(body))
	is := sortOf(status, body)
	var found []int
	isForeign := is != unusable && foreign(c, answersOf(body))
	if is == ofOps && !isForeign {
		found, isForeign = answered(c, lastOf(answersOf(body)))
	}
	switch {
	case errors.Is(err, dialect.ErrForeignAnswer) != isForeign, (err != nil) != (is == unusable || isForeign):
		t.Fatalf("%d %q: %+v, %v; another's: %v", status, body, ack, err, isForeign)
	case err != nil && (ack.Package != nil || ack.Finals != nil):
		t.Fatalf("%d %q: %+v, %v", status, body, ack, err)
	case err != nil:
	case is == ofPackage:
		checkPackage(t, c, ack, body)
	default:
		checkFinals(t, c, ack, lastOf(answersOf(body)), found)
	}
}

func lastOf(lists [][]modelAnswer) []modelAnswer { return lists[len(lists)-1] }

func checkPackage(t *testing.T, c *dialect.Call, ack dialect.Ack, body string) {
	t.Helper()
	was, is := answersOf(body), answersOf(string(ack.Package))
	if ack.Finals != nil || !json.Valid(ack.Package) || len(was) != len(is) {
		t.Fatalf("%q became %+v", body, ack)
	}
	for i := range was {
		for j := range was[i] {
			want := was[i][j].members
			if i == len(was)-1 {
				want = lessOurs(c, was[i][j])
			}
			if !reflect.DeepEqual(is[i][j].members, want) {
				t.Fatalf("%q became %q", body, ack.Package)
			}
		}
	}
}

// lessOurs gives the members of an op without an id of ours, of which the client has sent another, or none.
func lessOurs(c *dialect.Call, a modelAnswer) []member {
	for _, op := range c.Ops {
		if op.Added && isID(a.id) && says(a.id) == op.Match {
			op.Ref = nil
			return asRead(op, a)
		}
	}
	return a.members
}

func checkFinals(t *testing.T, c *dialect.Call, ack dialect.Ack, list []modelAnswer, found []int) {
	t.Helper()
	finals := ack.Finals
	for i, op := range c.Ops {
		if found[i] < 0 || !ends(op, list[found[i]]) {
			continue
		}
		a := list[found[i]]
		if len(finals) == 0 || finals[0].Op != i || finals[0].Status != correlator.Answered {
			t.Fatalf("op %d should end with %s: %+v", i, a.text, ack.Finals)
		}
		text, want := string(finals[0].Body), asRead(op, a)
		if got, _ := members(text); !slices.Equal(got, want) || slices.Equal(want, a.members) && text != a.text {
			t.Fatalf("op %d, %+v, ends with %s after %s", i, op, text, a.text)
		}
		finals = finals[1:]
	}
	if len(finals) > 0 {
		t.Fatalf("op %d ends with %s", finals[0].Op, finals[0].Body)
	}
}

func ends(op dialect.Op, a modelAnswer) bool {
	proc := last(a.members, "proc")
	return a.isObject && (!op.Create || strings.HasPrefix(proc, `"`) && says(proc) != "ok")
}

// FuzzAck reads any answer to some requests; <id N> in it stands for the id that op N got.
func FuzzAck(f *testing.F) {
	for _, seed := range []string{
		`{"request_proc":"ok","ops":[{"id":"a","proc":"e"},{"id":"<id 1>","proc":"e"},{"id":2,"proc":"ok"},{"proc":"e"}]}`,
		`{"request_proc":"error","ops":[{"id":"<id 1>"}]}`, `{"request_proc":"ok","ops":{"proc":"error"}}`, `{"request_proc":"ok","ops":[null,{"id":"a"},{"id":"a","proc":""}]}`,
		`{"ops":[{"id":"3","id":"a","proc":"x"},{"id":"\u0061","proc":"y"},{"id":3,"ref":"r"}],"ops":[{"id":"<id 4>"},{"id":5.0}]}`, `[]`, ``, `{"ops":[{"ref":"s"}]}`,
	} {
		for request := range ackRequests() {
			f.Add(request, 200, seed)
			f.Add(request, 400, seed)
		}
	}
	d := newDialect(f)
	var calls []*dialect.Call
	for _, ops := range ackRequests() {
		calls = append(calls, call(f, d, strings.Fields(ops)...))
	}
	f.Fuzz(func(t *testing.T, request, status int, body string) {
		c := calls[int(uint(request)%uint(len(calls)))]
		checkAck(t, d, c, status, ided(c).Replace(body))
	})
}

func ackRequests() []string {
	return []string{`c`, `m"a";"r"`, `c"a" c x m cnull`, `c5 m5.0;1 c5 c"5" c;"r"`, `x1 x1 m1;"s"`}
}

// However the engine shuffles, drops, repeats and mixes its answers, none ends another op than its own.
func TestAckShuffled(t *testing.T) {
	d := newDialect(t)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a test's choices
	defer func() { t.Logf("seed %d", seed) }()
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	for range 4_000 {
		ops := make([]string, 1+random.IntN(5))
		for i := range ops {
			ops[i] = pick("c", "c", "m", "x") + pick("", "", `"a"`, `"\u0062"`, "1", `"1"`, "1.0", "7", "null", `""`, "{}") + pick("", "", ";1", `;"r"`, ";null")
		}
		c := call(t, d, ops...)
		status := []int{200, 200, 200, 400}[random.IntN(4)]
		checkAck(t, d, c, status, shuffled(random, pick, c))
	}
}

// shuffled answers each op of c never, once or twice, by its id or without, and now and then what was not asked.
func shuffled(random *rand.Rand, pick func(...string) string, c *dialect.Call) string {
	var answers []string
	say := func(i int, ids, refs []string) {
		answers = append(answers, fmt.Sprintf(`{"proc":"%d"%s%s}`, i, pick(ids...), pick(refs...)))
	}
	for i, op := range c.Ops {
		ref := ""
		if op.Ref != nil {
			ref = `,"ref":` + string(op.Ref)
		}
		for range []int{0, 1, 1, 1, 1, 1, 1, 2}[random.IntN(8)] {
			if op.Refused == "" {
				say(i, []string{"", `,"id":""`, `,"id":` + sentID(op), `,"id":` + sentID(op), `,"id":` + sentID(op)}, []string{"", ref, ref, `,"ref":null`})
			}
		}
	}
	if random.IntN(4) == 0 {
		say(99, []string{"", `,"id":"other"`, `,"id":1`, `,"id":"a"`}, []string{"", `,"ref":"other"`, `,"ref":1`})
	}
	if random.IntN(2) == 0 {
		random.Shuffle(len(answers), func(i, j int) { answers[i], answers[j] = answers[j], answers[i] })
	}
	if len(answers) == 1 && random.IntN(2) == 0 {
		return `{"request_proc":"ok","ops":` + answers[0] + `}`
	}
	return `{"request_proc":"` + pick("ok", "ok", "ok", "error") + `","ops":[` + strings.Join(answers, ",") + `]}`
}

// last gives the value of a name; of repeated ones the last counts.
func last(all []member, name string) string {
	slices.Reverse(all)
	defer slices.Reverse(all)
	return find(all, name)
}
