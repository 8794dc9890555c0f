package corezoid

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"syncgate/internal/splice"
)

// request is a client's body while it is read. Edits that make the engine's package of it are collected on the way.
type request struct {
	d      *Dialect
	s      *scratch
	body   []byte
	maxOps int
	own    string // members for the data of each task
	login  string

	waiters *waiters  // nil: there are none
	named   []namedOp // ops of their processes

	top    splice.Items // members of the package
	hasOps bool
	single bool // ops is an object, which counts as an array of one
	wait   time.Duration
	given  bool // the client named its timeout
}

// requestOp is one op of a request: offsets, and what is to become of it.
type requestOp struct {
	at       splice.Span
	items    splice.Items // its members
	typ, obj value
	id, ref  value
	task     value // obj_id
	process  value // conv_id, or else obj_alias
	alias    bool  // it is an obj_alias
	data     value
	inData   splice.Items // members of data

	create  bool
	local   bool // the engine does not get it
	refused string
}

// read walks the body. Its errors say what is wrong and where, in words for the client.
func (q *request) read() error {
	j := &q.s.json
	if err := j.Reset(q.body); err != nil {
		return err
	}
	open, err := q.enter(splice.Object)
	if err != nil {
		return err
	}
	q.top = splice.NewItems(&q.s.edits, open)
	for {
		m, ok, err := j.Member()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := q.s.top.add(m.Name); err != nil {
			return err
		}
		if err := q.member(m); err != nil {
			return err
		}
	}
	q.top.Close()
	if err := j.Close(); err != nil {
		return err
	}
	if !q.hasOps {
		return &problem{"ops", "is missing"}
	}
	return nil
}

// member reads a member of the package.
func (q *request) member(m splice.Member) (err error) {
	switch string(m.Name) {
	case "timeout": // ours: the engine does not see it
		v, err := q.s.value()
		if err != nil {
			return err
		}
		q.top.Cut(splice.Span{Start: m.Start, End: v.End})
		return q.timeout(v)
	case "ops":
		q.hasOps = true
		err = q.readOps()
	default:
		_, err = q.s.json.Value()
	}
	q.top.Keep(splice.Span{Start: m.Start, End: q.s.json.Offset()})
	return err
}

func (q *request) readOps() error {
	if q.s.json.Peek() == splice.Object {
		q.single = true
		return q.readOp()
	}
	open, err := q.enter(splice.Array)
	if err != nil {
		return within("ops", err)
	}
	list := splice.NewItems(&q.s.edits, open)
	for {
		ok, err := q.s.json.Element()
		if err != nil {
			return err
		}
		n := len(q.s.ops)
		switch {
		case !ok && n == 0:
			return &problem{"ops", "must not be empty"}
		case !ok:
			list.Close()
			return nil
		case n == q.maxOps:
			return &problem{"ops", fmt.Sprintf("has more than %d operations", q.maxOps)}
		}
		if err := q.readOp(); err != nil {
			return err
		}
		if op := &q.s.ops[n]; op.refused != "" || op.local {
			list.Cut(op.at)
		} else {
			list.Keep(op.at)
		}
	}
}

// readOp reads one op and decides what is to become of it.
func (q *request) readOp() error {
	n := len(q.s.ops)
	q.s.ops = append(q.s.ops, requestOp{})
	op := &q.s.ops[n]
	before := q.s.edits.Mark()
	err := q.opMembers(op)
	if err == nil {
		err = q.judge(op, n, before)
	}
	if err != nil {
		where := "ops"
		if !q.single {
			where += "[" + strconv.Itoa(n) + "]"
		}
		return within(where, err)
	}
	return nil
}

func (q *request) opMembers(op *requestOp) error {
	j := &q.s.json
	start, err := q.enter(splice.Object)
	if err != nil {
		return err
	}
	op.items = splice.NewItems(&q.s.edits, start)
	q.s.inner.reset()
	for {
		m, ok, err := j.Member()
		if err != nil {
			return err
		}
		if !ok {
			op.at = splice.Span{Start: start, End: j.Offset()}
			return nil
		}
		if err := q.s.inner.add(m.Name); err != nil {
			return err
		}
		if err := q.opMember(op, m.Name); err != nil {
			return err
		}
		op.items.Keep(splice.Span{Start: m.Start, End: j.Offset()})
	}
}

func (q *request) opMember(op *requestOp, name []byte) (err error) {
	switch string(name) {
	case "type":
		op.typ, err = q.s.value()
	case "obj":
		op.obj, err = q.s.value()
	case "id":
		op.id, err = q.s.value()
	case "ref":
		op.ref, err = q.s.value()
	case "obj_id":
		op.task, err = q.s.value()
	case "conv_id":
		op.process, err = q.s.value()
		op.alias = false
	case "obj_alias":
		var alias value
		if alias, err = q.s.value(); op.process.kind == splice.Invalid {
			op.process, op.alias = alias, true
		}
	case "data":
		err = q.readData(op)
	default:
		_, err = q.s.json.Value()
	}
	return err
}

// readData looks at data before it is known whether the op creates a task: type and obj may stand behind it.
func (q *request) readData(op *requestOp) (err error) {
	j := &q.s.json
	if j.Peek() != splice.Object {
		op.data, err = q.s.value()
		return err
	}
	op.data = value{Span: splice.Span{Start: j.Offset()}, kind: splice.Object}
	op.inData, err = j.CutMembers(&q.s.edits, q.d.theirs)
	op.data.End = j.Offset()
	return err
}

// judge decides what is to become of an op that was read. Only one that creates a task gets something.
func (q *request) judge(op *requestOp, index, before int) error {
	typ, obj := q.s.text(op.typ), q.s.text(op.obj)
	op.refused = q.refusal(typ, obj)
	op.create = op.refused == "" && string(typ) == "create" && string(obj) == "task"
	if op.create && !op.hasObject(q.body) {
		return &problem{"data", fmt.Sprintf("must be an object, got %v", op.data.kind)}
	}
	if q.waiters != nil && op.refused == "" {
		q.nameOp(op, index)
	}
	switch {
	case op.refused != "" || op.local:
		q.s.edits.Undo(before)
		return nil
	case !op.create:
		return q.cutCallback(op, before)
	}
	q.addOwn(op)
	return nil
}

// addOwn adds what is ours to the data of an op that creates a task.
func (q *request) addOwn(op *requestOp) {
	const whole = `"data":{`
	switch op.data.kind {
	case splice.Object:
		op.inData.Append(q.own, q.d.hole)
	case splice.Invalid:
		op.items.Append(whole+q.own+"}", len(whole)+q.d.hole)
	default:
		q.s.edits.Replace(op.data.Span, "{"+q.own+"}", 1+q.d.hole) // null, or [] as PHP writes an empty object
	}
}

// cutCallback takes the callback URL out of the data of an op that creates no task, and nothing else: it would become a task's, and redirect
// the answer that somebody else waits for.
func (q *request) cutCallback(op *requestOp, before int) error {
	if len(q.d.theirs) == 1 || q.s.edits.Mark() == before {
		return nil // nothing else was cut, or nothing at all
	}
	q.s.edits.Undo(before)
	again := q.s.json.Again(op.data.Span)
	_, err := again.CutMembers(&q.s.edits, []string{callbackMember})
	return err
}

// refusal says why an op is not forwarded; empty when it is.
func (q *request) refusal(typ, obj []byte) string {
	for i := range q.d.ops {
		if op := &q.d.ops[i]; op.typ == string(typ) && op.obj == string(obj) {
			return ""
		}
	}
	return "Operation is not allowed: " + string(short(typ)) + " " + string(short(obj))
}

// timeout reads how long the client waits: a positive JSON number of seconds, or a string that is one.
func (q *request) timeout(v value) error {
	var seconds []byte
	switch v.kind {
	case splice.Null:
		return nil
	case splice.Number:
		seconds = v.Of(q.body)
	case splice.String:
		if text := q.s.json.Text(v.Span); isNumber(text) {
			seconds = text
		}
	default:
	}
	wait, ok := parseSeconds(seconds, q.d.timeouts.Max)
	if !ok {
		return &problem{"timeout", "must be a positive number of seconds"}
	}
	q.wait, q.given = wait, true
	return nil
}

// parseSeconds reads a JSON number of seconds. It is not ok when it is not positive, and limit when it is more.
func parseSeconds(number []byte, limit time.Duration) (d time.Duration, ok bool) {
	positive := false // read from the digits: what is smaller than any float is not zero
	for _, c := range number {
		if c == '-' || c == 'e' || c == 'E' {
			break // negative, or only the exponent is left
		}
		positive = positive || c >= '1' && c <= '9'
	}
	if !positive {
		return 0, false
	}
	seconds, _ := strconv.ParseFloat(string(number), 64) // its only error here is overflow, to +Inf
	if seconds >= limit.Seconds() {
		return limit, true
	}
	return max(1, time.Duration(seconds*float64(time.Second))), true
}

// isNumber reports whether text is a JSON number that is not negative, and nothing else.
func isNumber(text []byte) bool {
	return len(text) > 0 && isDigit(text[0]) && isDigit(text[len(text)-1]) && jsontext.Value(text).IsValid()
}

const blanks = " \t\r\n" // between the words of JSON

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// enter goes into the next value, which must be of that kind.
func (q *request) enter(want splice.Kind) (open int, err error) {
	if got := q.s.json.Peek(); got != want {
		if _, err := q.s.json.Value(); err != nil {
			return 0, err
		}
		return 0, &problem{"", fmt.Sprintf("must be an %v, got %v", want, got)}
	}
	return q.s.json.Enter()
}

// problem is what a body that is JSON does not fulfil, and where. Its text is for the client.
type problem struct{ path, text string }

func (p *problem) Error() string {
	if p.path == "" {
		return p.text
	}
	return p.path + ": " + p.text
}

// within puts the path of what was read before that of a problem inside it. Other errors name their byte.
func within(path string, err error) error {
	p, ok := errors.AsType[*problem](err)
	if !ok {
		return err
	}
	if p.path != "" {
		path += "." + p.path
	}
	return &problem{path, p.text}
}
