package corezoid

import (
	"bytes"
	"cmp"
	"slices"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/splice"
)

// ack gives the ops of the call that the answer ends, and what it says of the others.
func (a *answer) ack(body []byte) (ack dialect.Ack) {
	for i := range a.c.Ops {
		if a.s.found[i] == none {
			continue
		}
		op, answer := &a.c.Ops[i], &a.s.answers[a.s.found[i]]
		a.addTask(&ack, i, answer)
		taken := answer.proc.kind != splice.String || string(a.s.text(answer.proc)) == "ok" // or no answer of its own
		if !answer.isObject || op.Create && taken {
			continue
		}
		if !taken && !ack.Refused {
			ack.Refused, ack.RefusedOp, ack.Why = true, i, a.descriptionOf(answer)
		}
		ack.Finals = append(ack.Finals, correlator.Callback{Op: i, Status: correlator.Answered, Body: a.final(op, answer, body)})
	}
	return ack
}

// addTask notes the engine's own id of the task of an op.
func (a *answer) addTask(ack *dialect.Ack, op int, answer *answerOp) {
	id := a.s.idText(answer.objID)
	switch {
	case len(id) == 0:
	case len(a.c.Ops) == 1:
		ack.Task = dialect.NewEngineTask(id)
	default:
		if ack.Tasks == nil {
			ack.Tasks = make([]dialect.EngineTask, len(a.c.Ops))
		}
		ack.Tasks[op] = dialect.NewEngineTask(id)
	}
}

// mostWhy is how much of the engine's own words is kept, in bytes.
const mostWhy = 256

// descriptionOf gives the engine's words about an op that it has refused.
func (a *answer) descriptionOf(answer *answerOp) string {
	if answer.description.kind != splice.String {
		return ""
	}
	text := a.s.text(answer.description)
	return string(text[:min(len(text), mostWhy)])
}

// hasLocal reports whether a call has ops that the engine did not get: what it says of the package does not concern them.
func hasLocal(c *dialect.Call) bool {
	return slices.ContainsFunc(c.Ops, func(op dialect.Op) bool { return op.Local })
}

// refuseEach gives the ops of a package that the engine has refused as a whole. The client of a route must not read a 200, and the ops that the engine
// did not get go on.
func (a *answer) refuseEach(body []byte) dialect.Ack {
	ack := dialect.Ack{Refused: true, Why: a.firstDescription()}
	for i := range a.c.Ops {
		op := &a.c.Ops[i]
		switch {
		case isRouted(a.c) && !op.Local:
			ack.Finals = append(ack.Finals, correlator.Callback{Op: i, Status: correlator.Errored, Body: a.whole(body)})
		case isForwarded(op):
			ack.Finals = append(ack.Finals, correlator.Callback{Op: i, Status: correlator.Answered, Body: appendError(nil, op, cmp.Or(ack.Why, badGateway))})
		}
	}
	return ack
}

// firstDescription gives the engine's words about a package that it has refused: those of the first op that has some.
func (a *answer) firstDescription() string {
	for i := range a.s.answers {
		if why := a.descriptionOf(&a.s.answers[i]); why != "" {
			return why
		}
	}
	return ""
}

// final is an op of the answer as the client reads it, in bytes of its own: verbatim, but that an id of ours is taken out, and that
// the client's id and ref stand where the engine gave none.
func (a *answer) final(op *dialect.Op, answer *answerOp, body []byte) []byte {
	text := answer.at.Of(body)
	if !a.isOurs(op, answer.id) && (op.ID == nil || a.isGiven(answer.id)) && (op.Ref == nil || a.isGiven(answer.ref)) {
		return bytes.Clone(text)
	}
	return restored(op, text)
}

// isGiven reports whether an id or a ref says something: engines write "" or null where there was none.
func (a *answer) isGiven(v value) bool { return len(a.s.idText(v)) > 0 }

// whole is the answer as the client reads it that concerns the package, in bytes of its own: verbatim, but that ids of ours are
// taken out.
func (a *answer) whole(body []byte) []byte {
	text := make([]byte, 0, len(body))
	at := 0
	for i := range a.s.answers {
		answer := &a.s.answers[i]
		if answer.names < 0 || !a.isOurs(&a.c.Ops[answer.names], answer.id) {
			continue
		}
		op := a.c.Ops[answer.names]
		op.Ref = nil
		text = append(text, body[at:answer.at.Start]...)
		text = append(text, restored(&op, answer.at.Of(body))...)
		at = answer.at.End
	}
	return append(text, body[at:]...)
}

// restored gives an op of the engine's answer the id and the ref that the client sent, where it has none of its own.
func restored(op *dialect.Op, text []byte) []byte {
	var j splice.Reader
	var edits splice.Edits
	if err := restore(op, &j, &edits, text); err != nil {
		return bytes.Clone(text) // never: it was read a moment ago
	}
	text, _ = edits.Apply(make([]byte, 0, len(text)+edits.Growth()), text, nil)
	return text
}

func restore(op *dialect.Op, j *splice.Reader, edits *splice.Edits, text []byte) error {
	if err := j.Reset(text); err != nil {
		return err
	}
	open, err := j.Enter()
	if err != nil {
		return err
	}
	items := splice.NewItems(edits, open)
	left := *op
	for {
		m, more, err := j.Member()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		v, err := j.Value()
		if err != nil {
			return err
		}
		item := splice.Span{Start: m.Start, End: v.End}
		with, cut := replaced(&left, op, string(m.Name), v.Of(text))
		switch {
		case cut:
			items.Cut(item)
			continue
		case with != nil:
			edits.Replace(v, string(with), 0)
		}
		items.Keep(item)
	}
	items.Close()
	if left.ID != nil {
		items.Append(idMember+string(left.ID), 0)
	}
	if left.Ref != nil {
		items.Append(refMember+string(left.Ref), 0)
	}
	return nil
}

// replaced gives what stands in the place of a member of the op, nil where the member stays, or cuts it. left has what the client sent
// and the op has not said yet: it is said once, however often the member comes.
func replaced(left, sent *dialect.Op, name string, value []byte) (with []byte, cut bool) {
	text := textOf(value)
	ours := sent.Added && string(text) == sent.Match
	switch name {
	case "id":
		with, left.ID = left.ID, nil
		if ours || len(text) == 0 {
			return with, with == nil && (ours || sent.ID != nil)
		}
	case "ref":
		with, left.Ref = left.Ref, nil
		if len(text) == 0 {
			return with, with == nil && sent.Ref != nil
		}
	}
	return nil, false
}
