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
	s := d.borrow()
	defer d.giveBack(s)
	ok, err := s.readAnswer(body)
	switch {
	case refused && (err == nil || errors.Is(err, errNoPackage)), err == nil && !ok:
		return gateway.Ack{Package: bytes.Clone(body)}, nil
	case err != nil:
		return gateway.Ack{}, fmt.Errorf("read the engine's answer: %w", err)
	}
	return gateway.Ack{Finals: s.finals(c, body)}, nil
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

// readAnswer reads an answer's ops into s.answers. It is ok when the engine says so of the package, or says nothing.
func (s *scratch) readAnswer(body []byte) (ok bool, err error) {
	j := &s.json
	if err := j.Reset(body); err != nil {
		return false, err
	}
	var proc, ops value
	switch j.Peek() {
	case splice.Object:
		err = s.readPackage(&proc, &ops)
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
	case proc.kind == splice.String && string(s.text(proc)) != "ok":
		return false, nil
	case proc.kind != splice.String && proc.kind != splice.Invalid, ops.kind != splice.Array && ops.kind != splice.Object:
		return false, errNoPackage
	}
	return true, nil
}

func (s *scratch) readPackage(proc, ops *value) error {
	if _, err := s.json.Enter(); err != nil {
		return err
	}
	for {
		m, more, err := s.json.Member()
		if err != nil || !more {
			return err
		}
		switch string(m.Name) {
		case "request_proc":
			*proc, err = s.value()
		case "ops":
			ops.kind = s.json.Peek()
			s.answers = s.answers[:0]
			err = s.readAnswerOps()
		default:
			_, err = s.json.Value()
		}
		if err != nil {
			return err
		}
	}
}

// readAnswerOps reads what comes next: an array of ops, one op alone, or something else.
func (s *scratch) readAnswerOps() error {
	if s.json.Peek() != splice.Array {
		return s.readAnswerOp()
	}
	if _, err := s.json.Enter(); err != nil {
		return err
	}
	for {
		more, err := s.json.Element()
		if err != nil || !more {
			return err
		}
		if err := s.readAnswerOp(); err != nil {
			return err
		}
	}
}

func (s *scratch) readAnswerOp() (err error) {
	var op answerOp
	if op.isObject = s.json.Peek() == splice.Object; op.isObject {
		err = s.readAnswerMembers(&op)
	} else {
		op.at, err = s.json.Value()
	}
	s.answers = append(s.answers, op)
	return err
}

func (s *scratch) readAnswerMembers(op *answerOp) error {
	start, err := s.json.Enter()
	if err != nil {
		return err
	}
	for {
		m, more, err := s.json.Member()
		if err != nil {
			return err
		}
		if !more {
			op.at = splice.Span{Start: start, End: s.json.Offset()}
			return nil
		}
		switch string(m.Name) {
		case "id":
			op.id, err = s.value()
		case "proc":
			op.proc, err = s.value()
		default:
			_, err = s.json.Value()
		}
		if err != nil {
			return err
		}
	}
}

// finals gives the ops of c that the answer ends.
func (s *scratch) finals(c *gateway.Call, body []byte) (finals []correlator.Callback) {
	s.match(c)
	for i := range c.Ops {
		if s.found[i] == none {
			continue
		}
		op, answer := &c.Ops[i], &s.answers[s.found[i]]
		taken := answer.proc.kind != splice.String || string(s.text(answer.proc)) == "ok" // or no answer of its own
		if !answer.isObject || op.Create && taken {
			continue
		}
		text := bytes.Clone(answer.at.Of(body))
		if op.Added && string(s.idText(answer.id)) == op.Match {
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

// match finds the answer to each op of c, into s.found: the one that names it by its id, else the one at its position
// among the forwarded ops, unless that names another op.
func (s *scratch) match(c *gateway.Call) {
	byID := idsOf(c)
	s.found = s.found[:0]
	for range c.Ops {
		s.found = append(s.found, none)
	}
	for j := range s.answers {
		answer := &s.answers[j]
		i, named := byID[string(s.idText(answer.id))]
		switch {
		case !named:
			i = none
		case s.found[i] == none:
			s.found[i] = j
		default:
			s.found[i] = several
		}
		answer.names = i
	}
	position := 0
	for i := range c.Ops {
		if c.Ops[i].Refused != "" {
			continue // not forwarded
		}
		if s.found[i] < 0 {
			s.found[i] = none
			if position < len(s.answers) && (s.answers[position].names == none || s.answers[position].names == i) {
				s.found[i] = position
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
