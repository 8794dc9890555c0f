package corezoid

import (
	"bytes"

	"syncgate/dialect"
	"syncgate/internal/splice"
)

// call makes the Call of a body that was read.
func (q *request) call() *dialect.Call {
	c, slots, room := newCall(len(q.s.ops))
	c.Login, c.Wait, c.TimeoutGiven = q.login, q.wait, q.given
	forwarded := 0
	for i := range q.s.ops {
		op := &q.s.ops[i]
		c.Ops[i] = dialect.Op{
			Create: op.create, Local: op.local, Refused: op.refused,
			ID: op.id.of(q.body, &room), Ref: op.ref.of(q.body, &room), Process: op.process.name(q.body, &room),
		}
		if isForwarded(&c.Ops[i]) {
			forwarded++
		}
	}
	if len(q.named) > 0 {
		q.waiters.newNames(q.d, c, q.named)
	}
	if forwarded == 0 {
		return c
	}
	q.identify(c.Ops)
	c.Body, c.Slots = q.s.edits.Apply(make([]byte, 0, len(q.body)+q.s.edits.Growth()), q.body, slots)
	return c
}

// newCall gives a call of so many ops, and room for its slots and for what they say. Most calls have one op: theirs is one piece
// of memory, with room for a short ref and the number of a process.
func newCall(ops int) (c *dialect.Call, slots []int, room []byte) {
	if ops == 1 {
		one := new(struct {
			call dialect.Call
			ops  [1]dialect.Op
			slot [1]int
			room [24]byte
		})
		one.call.Ops = one.ops[:]
		return &one.call, one.slot[:0], one.room[:0]
	}
	return &dialect.Call{Ops: make([]dialect.Op, ops)}, make([]int, 0, ops), nil
}

// mostName is how much of the name of a process is kept, in bytes: more than anybody is shown.
const mostName = 80

// name is of, but for the beginning of a long text.
func (v value) name(body []byte, room *[]byte) []byte {
	v.End = min(v.End, v.Start+mostName)
	return v.of(body, room)
}

// of gives the value as it is written, in bytes of its own, which are room's where it is short; nil when it is absent.
func (v value) of(body []byte, room *[]byte) []byte {
	if v.kind == splice.Invalid {
		return nil
	}
	text := v.Of(body)
	at := len(*room)
	if len(text) > cap(*room)-at {
		return bytes.Clone(text)
	}
	*room = append(*room, text...)
	return (*room)[at:len(*room):len(*room)]
}
