package corezoid

import (
	"bytes"
	"context"
	"slices"
	"time"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/waiter"
	"syncgate/internal/splice"
)

// Deliverer gives a trip what becomes of its ops, on whatever node that is: *gateway.Gateway.
type Deliverer interface {
	// Deliver returns when the callback is settled, with the errors of a Correlator's Deliver.
	Deliver(ctx context.Context, to correlator.Token, cb correlator.Callback) error
	// Go runs f on a goroutine. A panic ends f alone. The process does not end before f has.
	Go(f func())
}

// waiters are those that ops are completed by, and who gives their trips what becomes of ops that no engine gets.
type waiters struct {
	table *waiter.Table
	to    Deliverer
}

// SetWaiters replaces the waiters, for requests that are read from now on; nil: there are none. to gives trips what becomes of ops that no
// engine gets; it is not nil where table is not.
func (d *Dialect) SetWaiters(table *waiter.Table, to Deliverer) {
	if table == nil {
		d.waiters.Store(nil)
		return
	}
	d.waiters.Store(&waiters{table, to})
}

// Words for what an engine would say [documented: API callback logic], and for what it has no words for.
const (
	nameTaken     = "not unical reference"
	notFound      = "not found task"
	taskFinished  = "no api callback logic in node with task"
	modifyBusy    = "The last one callback is still running. You should wait"
	modifyNoStore = "The task cannot be reached right now, or too much waits for tasks that have not come: try again later"
	modifyNoName  = "ref or obj_id must be a number or a string that is not empty: it says which task is modified"
	modifyNoData  = "data must be an object"
	modifyNoRight = "This login may not modify tasks of the process"
	emptyData     = "{}"
)

// nameOp finds out whether an op is one of a waiter's process, what it is named by, and whether the engine is to get it.
func (q *request) nameOp(op *requestOp, index int) {
	if op.alias {
		return
	}
	p := q.waiters.table.Process(q.s.idText(op.process))
	typ, obj := q.s.text(op.typ), q.s.text(op.obj)
	switch {
	case p == nil || string(obj) != "task":
	case op.create:
		q.nameCreate(op, p, index)
	case string(typ) == "modify":
		q.nameModify(op, p, index)
	}
}

func (q *request) nameCreate(op *requestOp, p *waiter.Process, index int) {
	named := namedOp{index: index, process: p, create: true, ref: string(q.s.idText(op.ref)), data: q.dataOf(op, q.d.theirs)}
	if op.refused = p.Missing(waiter.Op{Ref: named.ref, Data: named.data}); op.refused == "" {
		op.local = p.Local()
		q.named = append(q.named, named)
	}
}

func (q *request) nameModify(op *requestOp, p *waiter.Process, index int) {
	named := namedOp{index: index, process: p, ref: string(q.s.idText(op.ref))}
	if named.ref == "" {
		named.task = string(q.s.idText(op.task))
	}
	allowed := p.MayModify(q.login)
	if p.Local() {
		switch {
		case !allowed:
			op.refused = modifyNoRight
		case named.ref == "" && named.task == "":
			op.refused = modifyNoName
		case !op.hasObject(q.body):
			op.refused = modifyNoData
		}
		op.local = op.refused == ""
	}
	if op.refused == "" && allowed && (named.ref != "" || named.task != "") {
		named.data = q.dataOf(op, q.d.theirs[:1])
		q.named = append(q.named, named)
	}
}

// hasObject reports whether an op has an object as its data, or what counts as an empty one: nothing, null, or [] as PHP writes it.
func (op *requestOp) hasObject(body []byte) bool {
	switch op.data.kind {
	case splice.Object, splice.Invalid, splice.Null:
		return true
	case splice.Array:
		inner := op.data.Of(body)
		return len(bytes.Trim(inner[1:len(inner)-1], blanks)) == 0
	default:
		return false
	}
}

// dataOf gives the data of an op without members of these names, in bytes of its own. What is no object counts as an empty one.
func (q *request) dataOf(op *requestOp, without []string) []byte {
	if op.data.kind != splice.Object {
		return []byte(emptyData)
	}
	text := op.data.Of(q.body)
	var edits splice.Edits
	var again splice.Reader
	err := again.Reset(text)
	if err == nil {
		_, err = again.CutMembers(&edits, without)
	}
	if err != nil {
		return []byte(emptyData) // never: it was read a moment ago
	}
	data, _ := edits.Apply(make([]byte, 0, len(text)), text, nil)
	return data
}

// name gives the tasks of a route their names, if its process is a waiter's. local: the engine does not get them. What lacks a name is refused: a
// task of a route has no ref, so that it needs a member of its data.
func (p *taskPackage) name(w *waiters, c *dialect.Call) (local bool, err error) {
	if !isNumber([]byte(p.asked.Process)) { // the name of a process is an obj_alias
		return false, nil
	}
	process := w.table.Process([]byte(p.asked.Process))
	if process == nil {
		return false, nil
	}
	var named []namedOp
	for i, body := range p.asked.Elements {
		asked := *p.asked
		asked.Body = body
		data := taskPackage{d: p.d, s: p.s, asked: &asked}
		if err := data.content(false); err != nil {
			return false, err
		}
		op := namedOp{index: i, process: process, create: true, data: append(bytes.TrimSuffix(data.dst, []byte(",")), '}')}
		if why := process.Missing(op.of(correlator.ID{})); why != "" {
			return false, bodyFault(&problem{"", why})
		}
		named = append(named, op)
		c.Ops[i].Local = process.Local()
	}
	w.newNames(p.d, c, named)
	return process.Local(), nil
}

// newNames gives a call the names of its ops. Its wait then ends with the timers of its waiters, where no engine gets an op, and its callbacks are
// accepted for as long as these last. Nothing can complete such a task afterwards: it has timed out.
func (w *waiters) newNames(d *Dialect, c *dialect.Call, ops []namedOp) {
	var longest time.Duration
	for i := range ops {
		if ops[i].create {
			longest = max(longest, ops[i].process.Timer())
		}
	}
	if longest > 0 {
		ends := !slices.ContainsFunc(c.Ops, func(op dialect.Op) bool { return isForwarded(&op) })
		c.Terms = &dialect.Terms{Lasts: longest, Ends: ends}
		if ends {
			c.Wait = min(c.Wait, longest)
		}
	}
	c.Names = &callNames{d: d, to: w.to, login: c.Login, routed: isRouted(c), wait: c.Wait, ops: ops}
}
