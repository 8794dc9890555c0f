package corezoid

import (
	"fmt"
	"slices"

	"syncgate/dialect"
	"syncgate/internal/splice"
)

// forwardedOps gives the indices of the ops that are in the package of a call, in order.
func forwardedOps(c *dialect.Call) (all []int) {
	for i := range c.Ops {
		if isForwarded(&c.Ops[i]) {
			all = append(all, i)
		}
	}
	return all
}

// isForwarded reports whether the engine gets an op.
func isForwarded(op *dialect.Op) bool { return op.Refused == "" && !op.Local }

// takeOut takes ops out of the package of a call, which are Local then. Every other byte of the package stays as it is. When none is left there is no
// package.
func (d *Dialect) takeOut(c *dialect.Call, ops []int) error {
	forwarded := forwardedOps(c)
	for _, i := range ops {
		c.Ops[i].Local = true
	}
	if len(ops) == len(forwarded) {
		c.Body, c.Slots = nil, nil
		return nil
	}
	s := d.borrow()
	defer d.giveBack(s)
	err := s.json.Reset(c.Body)
	if err == nil {
		err = s.cutOps(c.Slots, func(at int) bool { return at < len(forwarded) && slices.Contains(ops, forwarded[at]) })
	}
	if err != nil { // never: the package is ours
		return fmt.Errorf("take ops out of a package: %w", splice.WithoutBytes(err))
	}
	c.Body, c.Slots = s.edits.Apply(make([]byte, 0, len(c.Body)), c.Body, make([]int, 0, len(c.Slots)))
	return nil
}

// cutOps cuts ops of the package that is read, by their positions in it, and finds the slots of the others again.
func (s *scratch) cutOps(slots []int, cut func(at int) bool) error {
	if _, err := s.json.Enter(); err != nil {
		return err
	}
	for {
		m, more, err := s.json.Member()
		if err != nil || !more {
			return err
		}
		if string(m.Name) != "ops" {
			if _, err := s.json.Value(); err != nil {
				return err
			}
			continue
		}
		if err := s.cutElements(slots, cut); err != nil {
			return err
		}
	}
}

// cutElements is cutOps for the list of ops, which comes next.
func (s *scratch) cutElements(slots []int, cut func(at int) bool) error {
	open, err := s.json.Enter()
	if err != nil {
		return err
	}
	list := splice.NewItems(&s.edits, open)
	var kept []splice.Span
	for at := 0; ; at++ {
		more, err := s.json.Element()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		op, err := s.json.Value()
		if err != nil {
			return err
		}
		if cut(at) {
			list.Cut(op)
			continue
		}
		list.Keep(op)
		kept = append(kept, op)
	}
	list.Close()
	for _, slot := range slots {
		if slices.ContainsFunc(kept, func(op splice.Span) bool { return op.Start < slot && slot < op.End }) {
			s.edits.Insert(slot-1, "", 1) // nothing, but Apply says where the slot is then
		}
	}
	return nil
}
