package corezoid

import (
	"bytes"
	"errors"
	"fmt"

	"syncgate/correlator"
	"syncgate/gateway"
	"syncgate/internal/splice"
)

// Ack reads the engine's answer to a package. A created task is acknowledged by "proc":"ok" and says nothing final; any
// other proc is that op's end. An op of the answer that says neither, or that is missing, leaves the client parked, as the
// task may exist.
func (d *Dialect) Ack(c *gateway.Call, status int, body []byte) (gateway.Ack, error) {
	refused := status >= 400 && status < 500
	if !refused && (status < 200 || status >= 300) {
		return gateway.Ack{}, fmt.Errorf("read the engine's answer: status %d", status)
	}
	w := d.worker()
	defer d.rest(w)
	ok, err := w.readAnswer(body)
	switch {
	case refused && (err == nil || errors.Is(err, errNoPackage)), err == nil && !ok:
		return gateway.Ack{Package: bytes.Clone(body)}, nil
	case err != nil:
		return gateway.Ack{}, fmt.Errorf("read the engine's answer: %w", err)
	}
	return gateway.Ack{Finals: w.finals(c, body)}, nil
}

// errNoPackage says that an answer is JSON, but not a package of ops.
var errNoPackage = errors.New("not a package of ops")

// answerOp is one op of the engine's answer: offsets.
type answerOp struct {
	at       splice.Span
	isObject bool
	id, proc value
	names    int // the op of the request whose id it has, or none
}

// readAnswer reads an answer's ops into w.answers. It is ok when the engine says so of the package, or says nothing.
func (w *worker) readAnswer(body []byte) (ok bool, err error) {
	j := &w.json
	if err := j.Reset(body); err != nil {
		return false, err
	}
	var proc, ops value
	switch j.Peek() {
	case splice.Object:
		err = w.readPackage(&proc, &ops)
	default:
		_, err = j.Value()
	}
	if err != nil {
		return false, err
	}
	if err := j.Close(); err != nil {
		return false, err
	}
	switch {
	case proc.kind == splice.String && string(w.text(proc)) != "ok":
		return false, nil
	case proc.kind != splice.String && proc.kind != splice.Invalid, ops.kind != splice.Array && ops.kind != splice.Object:
		return false, errNoPackage
	}
	return true, nil
}

func (w *worker) readPackage(proc, ops *value) error {
	if _, err := w.json.Enter(); err != nil {
		return err
	}
	for {
		m, more, err := w.json.Member()
		if err != nil || !more {
			return err
		}
		switch string(m.Name) {
		case "request_proc":
			*proc, err = w.value()
		case "ops":
			ops.kind = w.json.Peek()
			w.answers = w.answers[:0]
			err = w.readAnswerOps()
		default:
			_, err = w.json.Value()
		}
		if err != nil {
			return err
		}
	}
}

// readAnswerOps reads what comes next: an array of ops, one op alone, or something else.
func (w *worker) readAnswerOps() error {
	if w.json.Peek() != splice.Array {
		return w.readAnswerOp()
	}
	if _, err := w.json.Enter(); err != nil {
		return err
	}
	for {
		more, err := w.json.Element()
		if err != nil || !more {
			return err
		}
		if err := w.readAnswerOp(); err != nil {
			return err
		}
	}
}

func (w *worker) readAnswerOp() (err error) {
	var op answerOp
	if op.isObject = w.json.Peek() == splice.Object; op.isObject {
		err = w.readAnswerMembers(&op)
	} else {
		op.at, err = w.json.Value()
	}
	w.answers = append(w.answers, op)
	return err
}

func (w *worker) readAnswerMembers(op *answerOp) error {
	start, err := w.json.Enter()
	if err != nil {
		return err
	}
	for {
		m, more, err := w.json.Member()
		if err != nil {
			return err
		}
		if !more {
			op.at = splice.Span{Start: start, End: w.json.Offset()}
			return nil
		}
		switch string(m.Name) {
		case "id":
			op.id, err = w.value()
		case "proc":
			op.proc, err = w.value()
		default:
			_, err = w.json.Value()
		}
		if err != nil {
			return err
		}
	}
}

// finals gives the ops of c that the answer ends.
func (w *worker) finals(c *gateway.Call, body []byte) (finals []correlator.Callback) {
	w.match(c)
	for i := range c.Ops {
		if w.found[i] == none {
			continue
		}
		op, answer := &c.Ops[i], &w.answers[w.found[i]]
		taken := answer.proc.kind != splice.String || string(w.text(answer.proc)) == "ok" // or no answer of its own
		if !answer.isObject || op.Create && taken {
			continue
		}
		text := bytes.Clone(answer.at.Of(body))
		if op.Added && string(w.idText(answer.id)) == op.Match {
			text = withoutID(text)
		}
		finals = append(finals, correlator.Callback{Op: i, Status: correlator.Answered, Body: text})
	}
	return finals
}

const (
	none    = -1
	several = -2
)

// match finds the answer to each op of c, into w.found: the one that names it by its id, else the one at its position
// among the forwarded ops, unless that names another op.
func (w *worker) match(c *gateway.Call) {
	byID := idsOf(c)
	w.found = w.found[:0]
	for range c.Ops {
		w.found = append(w.found, none)
	}
	for j := range w.answers {
		answer := &w.answers[j]
		i, named := byID[string(w.idText(answer.id))]
		switch {
		case !named:
			i = none
		case w.found[i] == none:
			w.found[i] = j
		default:
			w.found[i] = several
		}
		answer.names = i
	}
	position := 0
	for i := range c.Ops {
		if c.Ops[i].Refused != "" {
			continue // not forwarded
		}
		if w.found[i] < 0 {
			w.found[i] = none
			if position < len(w.answers) && (w.answers[position].names == none || w.answers[position].names == i) {
				w.found[i] = position
			}
		}
		position++
	}
}

// idsOf gives the forwarded ops of c by the ids that the engine knows them by; nil when there are none.
func idsOf(c *gateway.Call) (byID map[string]int) {
	for i := range c.Ops {
		if op := &c.Ops[i]; op.Match != "" && op.Refused == "" {
			if byID == nil {
				byID = make(map[string]int, len(c.Ops))
			}
			byID[op.Match] = i
		}
	}
	return byID
}

// withoutID takes the id out of an op of the engine's answer, when the client did not send one.
func withoutID(op []byte) []byte {
	var j splice.Reader
	var edits splice.Edits
	if err := j.Reset(op); err != nil {
		return op // never: it was read a moment ago
	}
	if _, err := j.CutMembers(&edits, []string{"id"}); err != nil {
		return op // never, likewise
	}
	text, _ := edits.Apply(make([]byte, 0, len(op)), op, nil)
	return text
}
