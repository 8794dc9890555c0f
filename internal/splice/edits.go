package splice

import (
	"cmp"
	"slices"
)

// Edits are changes of one text, recorded in any order. They must not overlap. The zero Edits has none.
type Edits struct{ list []edit }

type edit struct {
	Span
	text string
	hole int
}

// Reset forgets all edits.
func (e *Edits) Reset() { e.list = e.list[:0] }

// Mark is a point to go back to.
func (e *Edits) Mark() int { return len(e.list) }

// Undo forgets the edits recorded since the mark.
func (e *Edits) Undo(mark int) { e.list = e.list[:mark] }

// Replace puts text in the place of a span. A hole that is not 0 is an offset in text that Apply is to report.
func (e *Edits) Replace(span Span, text string, hole int) {
	e.list = append(e.list, edit{span, text, hole})
}

// Insert puts text at an offset, behind what was inserted there before.
func (e *Edits) Insert(at int, text string, hole int) { e.Replace(Span{at, at}, text, hole) }

// Growth is how many bytes the text is longer after the edits.
func (e *Edits) Growth() (n int) {
	for i := range e.list {
		n += len(e.list[i].text) - (e.list[i].End - e.list[i].Start)
	}
	return n
}

// Apply appends the edited src to dst, and to holes the offsets in dst of the holes, in order.
func (e *Edits) Apply(dst, src []byte, holes []int) ([]byte, []int) {
	at := 0
	for early, late := e.runs(); len(early)+len(late) > 0; {
		from := &early
		if len(early) == 0 || len(late) > 0 && late[0].Start < early[0].Start {
			from = &late
		}
		next := &(*from)[0]
		*from = (*from)[1:]
		dst = append(dst, src[at:next.Start]...)
		if next.hole != 0 {
			holes = append(holes, len(dst)+next.hole)
		}
		dst = append(dst, next.text...)
		at = next.End
	}
	return append(dst, src[at:]...), holes
}

// runs gives the edits as two lists that are in order, the first one's before the second's where they begin at the same offset.
// A walk records its edits in order, and when it is over others may follow: two runs already, which cost less to merge than
// to sort.
func (e *Edits) runs() (early, late []edit) {
	byStart := func(a, b edit) int { return cmp.Compare(a.Start, b.Start) }
	n := min(1, len(e.list))
	for n < len(e.list) && e.list[n-1].Start <= e.list[n].Start {
		n++
	}
	if !slices.IsSortedFunc(e.list[n:], byStart) {
		slices.SortStableFunc(e.list, byStart)
		n = len(e.list)
	}
	return e.list[:n], e.list[n:]
}

// Items edits the members of one object or the elements of one array while they are walked: each is kept or cut, and then
// some may be added. A cut takes a comma and the blanks beside it along, so that what is left is right.
type Items struct {
	edits *Edits
	end   int  // of the last item, or of the opening bracket
	kept  bool // an item before end stays
	front int  // the edit that cuts the first items, from 1, as long as what follows them is not known
}

// NewItems begins behind the opening bracket at offset open.
func NewItems(e *Edits, open int) Items { return Items{edits: e, end: open + 1} }

// Keep leaves the next item as it is.
func (it *Items) Keep(item Span) {
	it.extendFront(item.Start)
	it.kept, it.end = true, item.End
}

// Cut removes the next item. The edits may not be undone to before that while the walk goes on.
func (it *Items) Cut(item Span) {
	switch {
	case it.kept:
		it.edits.Replace(Span{it.end, item.End}, "", 0)
	case it.front == 0: // recorded now, although its end is not known, so that the edits of what follows come behind it
		it.edits.Replace(item, "", 0)
		it.front = it.edits.Mark()
	}
	it.end = item.End
}

func (it *Items) extendFront(end int) {
	if it.front > 0 {
		it.edits.list[it.front-1].End = end
		it.front = 0
	}
}

// Close ends the walk. Without it nothing may be appended, and cuts may be too short.
func (it *Items) Close() { it.extendFront(it.end) }

// Append adds an item behind the last one, with a hole as in Replace.
func (it *Items) Append(text string, hole int) {
	if it.kept {
		it.edits.Insert(it.end, ",", 0)
	}
	it.edits.Insert(it.end, text, hole)
	it.kept = true
}

// CutMembers walks the object that comes next and cuts its members of these names. More can be appended to what it returns.
func (r *Reader) CutMembers(e *Edits, names []string) (Items, error) {
	open, err := r.Enter()
	if err != nil {
		return Items{}, err
	}
	items := NewItems(e, open)
	for {
		m, ok, err := r.Member()
		if err != nil || !ok {
			items.Close()
			return items, err
		}
		cut := slices.ContainsFunc(names, func(n string) bool { return n == string(m.Name) }) // copies no long name
		value, err := r.Value()
		if err != nil {
			return items, err
		}
		if item := (Span{m.Start, value.End}); cut {
			items.Cut(item)
		} else {
			items.Keep(item)
		}
	}
}
