package corezoid

import (
	"errors"
	"fmt"

	"github.com/valyala/fasthttp"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/splice"
)

// Ack reads the engine's answer to a package. A created task is acknowledged by "proc":"ok" and says nothing final; any
// other proc is that op's end. An op of the answer that says neither, or that is missing, leaves the client parked, as the
// task may exist. An answer that contradicts what was sent is another request's: its error is gateway.ErrForeignAnswer. No
// error has bytes of the answer, which may hold a callback token.
func (d *Dialect) Ack(c *dialect.Call, status int, _ *fasthttp.ResponseHeader, body []byte) (dialect.Ack, error) {
	refused := status >= 400 && status < 500
	if !refused && (status < 200 || status >= 300) {
		return dialect.Ack{}, fmt.Errorf("read the engine's answer: status %d", status)
	}
	s := d.borrow()
	defer d.giveBack(s)
	a := newAnswer(s, c)
	ok, err := a.read(body)
	switch {
	case err != nil && (!refused || !errors.Is(err, errNoPackage)):
	case a.foreign != nil:
		err = a.foreign
	case !ok && !refused && isRouted(c), (refused || !ok) && !isRouted(c) && hasLocal(c):
		return a.refuseEach(body), nil
	case refused || !ok:
		return dialect.Ack{Package: a.whole(body), Refused: true, Why: a.firstDescription()}, nil
	default:
		a.match()
		if err = a.foreign; err == nil {
			return forRoute(c, a.ack(body)), nil
		}
	}
	return dialect.Ack{}, fmt.Errorf("read the engine's answer: %w", splice.WithoutBytes(err))
}

// forRoute has the task of a route fail that the engine has refused.
func forRoute(c *dialect.Call, ack dialect.Ack) dialect.Ack {
	if isRouted(c) {
		for i := range ack.Finals {
			ack.Finals[i].Status = correlator.Errored
		}
	}
	return ack
}

// errNoPackage says that an answer is JSON, but not a package of ops.
var errNoPackage = errors.New("not a package of ops")

// answer is the engine's answer to a call while it is read. Its ops and what they answer are in the scratch, as many as were
// forwarded at most.
type answer struct {
	s         *scratch
	c         *dialect.Call
	forwarded int
	sent      sentIDs
	ops       int   // that were read so far, or matched
	foreign   error // what shows that it is another request's
}

// answerOp is one op of the engine's answer: offsets.
type answerOp struct {
	at            splice.Span
	isObject      bool
	id, ref, proc value
	objID         value // the engine's own id of the task
	description   value // why it was refused
	names         int   // the op of the request with the same id, or none or several
}

func newAnswer(s *scratch, c *dialect.Call) answer {
	a := answer{s: s, c: c, sent: sentIDs{ops: c.Ops}}
	s.found = s.found[:0]
	for i := range c.Ops {
		s.found = append(s.found, none)
		if isForwarded(&c.Ops[i]) {
			a.forwarded++
		}
	}
	return a
}

// read reads an answer. It is ok when the engine says so of the package, or says nothing.
func (a *answer) read(body []byte) (ok bool, err error) {
	j := &a.s.json
	if err := j.Reset(body); err != nil {
		return false, err
	}
	var proc, ops value
	switch j.Peek() {
	case splice.Object:
		err = a.readPackage(&proc, &ops)
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
	case proc.kind == splice.String && string(a.s.text(proc)) != "ok":
		return false, nil
	case proc.kind != splice.String && proc.kind != splice.Invalid, ops.kind != splice.Array && ops.kind != splice.Object:
		return false, errNoPackage
	}
	return true, nil
}

func (a *answer) readPackage(proc, ops *value) error {
	j := &a.s.json
	if _, err := j.Enter(); err != nil {
		return err
	}
	for {
		m, more, err := j.Member()
		if err != nil || !more {
			return err
		}
		switch string(m.Name) {
		case "request_proc":
			*proc, err = a.s.value()
		case "ops":
			ops.kind = j.Peek()
			err = a.readOps()
		default:
			_, err = j.Value()
		}
		if err != nil {
			return err
		}
	}
}

// readOps reads what comes next: an array of ops, one op alone, or something else. Of repeated lists the last one counts.
func (a *answer) readOps() error {
	a.ops, a.s.answers = 0, a.s.answers[:0]
	for i := range a.s.found {
		a.s.found[i] = none
	}
	j := &a.s.json
	if j.Peek() != splice.Array {
		return a.readOp()
	}
	if _, err := j.Enter(); err != nil {
		return err
	}
	for {
		more, err := j.Element()
		if err != nil || !more {
			return err
		}
		if err := a.readOp(); err != nil {
			return err
		}
	}
}

func (a *answer) readOp() (err error) {
	op := answerOp{names: none}
	j := &a.s.json
	if op.isObject = j.Peek() == splice.Object; op.isObject {
		err = a.readMembers(&op)
	} else {
		op.at, err = j.Value()
	}
	if err != nil {
		return err
	}
	a.name(&op)
	if len(a.s.answers) < a.forwarded { // an answer of more is another's
		a.s.answers = append(a.s.answers, op)
	} else {
		a.reject("there are more ops than were sent")
	}
	a.ops++
	return nil
}

func (a *answer) readMembers(op *answerOp) error {
	j := &a.s.json
	start, err := j.Enter()
	if err != nil {
		return err
	}
	for {
		m, more, err := j.Member()
		if err != nil {
			return err
		}
		if !more {
			op.at = splice.Span{Start: start, End: j.Offset()}
			return nil
		}
		switch string(m.Name) {
		case "id":
			op.id, err = a.s.value()
		case "ref":
			op.ref, err = a.s.value()
		case "proc":
			op.proc, err = a.s.value()
		case "obj_id":
			op.objID, err = a.s.value()
		case "description":
			op.description, err = a.s.value()
		default:
			_, err = j.Value()
		}
		if err != nil {
			return err
		}
	}
}

// name finds the op of the request that has the id of an op of the answer. a.ops other ops of the answer were read before.
func (a *answer) name(op *answerOp) {
	text := a.s.idText(op.id)
	if len(text) == 0 {
		return
	}
	i := a.sent.find(text, op.id.kind)
	switch {
	case i == unknown:
		a.reject("an op has an id that was not sent")
		return
	case i < 0:
	case a.contradicts(i, op):
		a.reject(otherRef)
	case a.s.found[i] == none:
		a.s.found[i] = a.ops
	default:
		a.s.found[i] = several
	}
	op.names = i
}

const otherRef = "an op has another ref than was sent"

// reject notes why the answer is another request's, and at which of its ops that shows first.
func (a *answer) reject(why string) {
	if a.foreign == nil {
		a.foreign = fmt.Errorf("ops[%d]: %s: %w", a.ops, why, dialect.ErrForeignAnswer)
	}
}

// contradicts reports whether an op of the answer has another ref than the op i had. Engines answer null or nothing where they got
// none; but a modify may name its task otherwise, and an id of ours leaves no doubt.
func (a *answer) contradicts(i int, answer *answerOp) bool {
	ref := a.s.idText(answer.ref)
	if len(ref) == 0 {
		return false
	}
	op := &a.c.Ops[i]
	if len(textOf(op.Ref)) == 0 {
		return op.Create && !a.isOurs(op, answer.id)
	}
	return !sameText(op.Ref, a.s.json.Raw(answer.ref.Span))
}

// isOurs reports whether an id is the one that the gateway gave to an op.
func (a *answer) isOurs(op *dialect.Op, id value) bool {
	return op.Added && string(a.s.idText(id)) == op.Match
}

// match finds the answer to each op, into s.found: the one that names it by its id, else the one at its position among the
// forwarded ops, unless that names another op.
func (a *answer) match() {
	a.ops = 0
	for i := range a.c.Ops {
		if !isForwarded(&a.c.Ops[i]) {
			continue
		}
		if a.s.found[i] < 0 {
			a.s.found[i] = none
			if a.ops < len(a.s.answers) && a.fits(i, &a.s.answers[a.ops]) {
				a.s.found[i] = a.ops
				if a.contradicts(i, &a.s.answers[a.ops]) {
					a.reject(otherRef)
				}
			}
		}
		a.ops++
	}
}

// fits reports whether an op of the answer may answer the op i, which has its position.
func (a *answer) fits(i int, answer *answerOp) bool {
	return answer.names == none || answer.names == i ||
		answer.names == several && sameText(a.c.Ops[i].ID, a.s.json.Raw(answer.id.Span))
}
