package corezoid

import (
	"bytes"
	"strconv"

	"syncgate/gateway"
	"syncgate/internal/splice"
)

// call makes the Call of a body that was read.
func (q *request) call(login string) *gateway.Call {
	c, slots := newCall(len(q.s.ops))
	c.Login, c.Wait, c.TimeoutGiven = login, q.wait, q.given
	forwarded := 0
	for i := range q.s.ops {
		op := &q.s.ops[i]
		c.Ops[i] = gateway.Op{Create: op.create, Refused: op.refused, ID: op.id.of(q.body), Ref: op.ref.of(q.body)}
		if op.refused == "" {
			forwarded++
		}
	}
	if forwarded == 0 {
		return c
	}
	q.identify(c.Ops, forwarded)
	room := make([]byte, 0, len(q.body)+q.s.edits.Growth())
	c.Body, c.Slots = q.s.edits.Apply(room, q.body, slots)
	return c
}

// newCall gives a call of so many ops, and room for its slots. Most calls have one op: theirs is one piece of memory.
func newCall(ops int) (c *gateway.Call, slots []int) {
	if ops == 1 {
		one := new(struct {
			call gateway.Call
			ops  [1]gateway.Op
			slot [1]int
		})
		one.call.Ops = one.ops[:]
		return &one.call, one.slot[:0]
	}
	return &gateway.Call{Ops: make([]gateway.Op, ops)}, make([]int, 0, ops)
}

// identify settles by which ids the engine's answers are found: the client's where they are unique, ours where a
// package of several has none. Without either, only the position tells.
func (q *request) identify(ops []gateway.Op, forwarded int) {
	for i := range ops {
		if ops[i].Refused == "" {
			ops[i].Match = string(q.s.idText(q.s.ops[i].id))
		}
	}
	if forwarded == 1 {
		return
	}
	count := make(map[string]int, len(ops))
	for i := range ops {
		count[ops[i].Match]++
	}
	next := 0
	for i := range ops {
		switch op := &ops[i]; {
		case op.Refused != "":
		case op.ID == nil:
			for next++; count[strconv.Itoa(next)] > 0; next++ {
			}
			op.Match, op.Added = strconv.Itoa(next), true
			q.s.ops[i].items.Append(`"id":"`+op.Match+`"`, 0)
		case count[op.Match] > 1:
			op.Match = ""
		}
	}
}

// of gives the value as it is written, in bytes of its own; nil when it is absent.
func (v value) of(body []byte) []byte {
	if v.kind == splice.Invalid {
		return nil
	}
	return bytes.Clone(v.Of(body))
}
