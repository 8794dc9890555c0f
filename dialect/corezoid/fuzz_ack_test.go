package corezoid_test

import (
	"bytes"
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
	"syncgate/dialect/corezoid"
	"syncgate/gateway"
	"syncgate/internal/splice"
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
func sentID(op gateway.Op) string {
	if op.Added {
		return strconv.Quote(op.Match)
	}
	return string(op.ID)
}

// called gives the ops that an id may mean: those with its text, else those with its number.
func called(c *gateway.Call, id string) (ops []int) {
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

func otherRef(op gateway.Op, a modelAnswer) bool {
	switch {
	case !given(a.ref):
		return false
	case !given(string(op.Ref)):
		return op.Create && !(op.Added && given(a.id) && says(a.id) == op.Match)
	default:
		return !same(a.ref, string(op.Ref))
	}
}

// foreign reports whether an op of the answer has an id or more than were sent.
func foreign(c *gateway.Call, lists [][]modelAnswer) bool {
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
func answered(c *gateway.Call, list []modelAnswer) (found []int, other bool) {
	position := 0
	for i, op := range c.Ops {
		found = append(found, -1)
		if op.Refused != "" {
			continue
		}
		var byID []int
		for j, a := range list {
			if given(a.id) && slices.Equal(called(c, a.id), []int{i}) {
				byID = append(byID, j)
			}
		}
		switch {
		case len(byID) == 1:
			found[i] = byID[0]
		case position < len(list):
			a := list[position]
			ops := called(c, a.id)
			if !given(a.id) || slices.Contains(ops, i) || len(ops) > 1 && same(a.id, string(op.ID)) {
				other = other || otherRef(op, a)
				found[i] = position
			}
		}
		position++
	}
	return found, other
}

// asRead gives the members of an op of the answer as the client reads them.
func asRead(op gateway.Op, a modelAnswer) (all []member) {
	hasID, hasRef := op.ID == nil, op.Ref == nil
	for _, m := range a.members {
		switch ours := op.Added && says(m.value) == op.Match && isID(m.value); {
		case m.name == "id" && ours && op.ID == nil:
			continue
		case m.name == "id" && (ours || !given(m.value)) && op.ID != nil:
			m.value = string(op.ID)
		case m.name == "ref" && !given(m.value) && op.Ref != nil:
			m.value = string(op.Ref)
		}
		hasID, hasRef = hasID || m.name == "id", hasRef || m.name == "ref"
		all = append(all, m)
	}
	if !hasID {
		all = append(all, member{"id", string(op.ID)})
	}
	if !hasRef {
		all = append(all, member{"ref", string(op.Ref)})
	}
	return all
}

// checkAck holds an answer to the model. No op may end with what names another one, and what is another request's ends none.
func checkAck(t *testing.T, d *corezoid.Dialect, c *gateway.Call, status int, body string) {
	t.Helper()
	ack, err := d.Ack(c, status, []byte(body))
	if !json.Valid([]byte(body)) || !utf8.ValidString(body) || deep(body) > splice.MaxDepth || status < 200 || status >= 500 || status/100 == 3 {
		if err == nil || errors.Is(err, gateway.ErrForeignAnswer) {
			t.Fatalf("%d %q: %+v, %v", status, body, ack, err)
		}
		return
	}
	top, _ := members(body)
	proc, ops, lists := last(top, "request_proc"), last(top, "ops"), answersOf(body)
	isError := strings.HasPrefix(proc, `"`) && says(proc) != "ok"
	isPackage := isError || (proc == "" || strings.HasPrefix(proc, `"`)) && ops != "" && strings.ContainsAny(ops[:1], "{[")
	if status < 400 && !isPackage {
		if err == nil || errors.Is(err, gateway.ErrForeignAnswer) {
			t.Fatalf("%q: %+v, %v", body, ack, err)
		}
		return
	}
	wantForeign := foreign(c, lists)
	var found []int
	if status < 400 && !isError && !wantForeign {
		found, wantForeign = answered(c, lists[len(lists)-1])
	}
	switch {
	case wantForeign != errors.Is(err, gateway.ErrForeignAnswer) || err != nil && !wantForeign || err != nil && (ack.Package != nil || ack.Finals != nil):
		t.Fatalf("%q: %+v, %v; another's: %v", body, ack, err, wantForeign)
	case err != nil:
	case found == nil:
		checkPackage(t, c, ack, body)
	default:
		checkFinals(t, c, ack, lists[len(lists)-1], found)
	}
}

func checkPackage(t *testing.T, c *gateway.Call, ack gateway.Ack, body string) {
	t.Helper()
	if ack.Finals != nil || !json.Valid(ack.Package) {
		t.Fatalf("%q became %+v", body, ack)
	}
	for i, list := range answersOf(string(ack.Package)) {
		for j, a := range list {
			was := answersOf(body)[i][j]
			if ops := called(c, was.id); len(ops) == 1 && given(was.id) && was.isObject && i == len(answersOf(body))-1 {
				op := c.Ops[ops[0]]
				op.Ref = nil
				if op.ID = bytes.Clone(op.ID); !op.Added {
					op.ID = nil
				}
				was.members = asRead(op, was)
			}
			if !reflect.DeepEqual(a.members, was.members) {
				t.Fatalf("%q became %q", body, ack.Package)
			}
		}
	}
}

func checkFinals(t *testing.T, c *gateway.Call, ack gateway.Ack, list []modelAnswer, found []int) {
	t.Helper()
	finals := ack.Finals
	for i, op := range c.Ops {
		ends := false
		if found[i] >= 0 {
			proc := last(list[found[i]].members, "proc")
			ends = list[found[i]].isObject && (!op.Create || strings.HasPrefix(proc, `"`) && says(proc) != "ok")
		}
		if !ends {
			continue
		}
		if len(finals) == 0 || finals[0].Op != i || finals[0].Status != correlator.Answered {
			t.Fatalf("op %d should end with %s: %+v", i, list[found[i]].text, ack.Finals)
		}
		text := string(finals[0].Body)
		got, _ := members(text)
		want := asRead(op, list[found[i]])
		if !slices.Equal(got, want) || slices.Equal(want, list[found[i]].members) && text != list[found[i]].text {
			t.Fatalf("op %d, %+v, ends with %s after %s", i, op, text, list[found[i]].text)
		}
		finals = finals[1:]
	}
	if len(finals) > 0 {
		t.Fatalf("op %d ends with %s", finals[0].Op, finals[0].Body)
	}
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
	d := dialect(f)
	var calls []*gateway.Call
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
	d := dialect(t)
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
func shuffled(random *rand.Rand, pick func(...string) string, c *gateway.Call) string {
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
