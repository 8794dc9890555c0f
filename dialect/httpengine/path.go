package httpengine

import (
	"errors"
	"strconv"
	"strings"

	"syncgate/internal/splice"
)

// step is one step of a path into JSON: a member's name, or an element's index where the name is empty.
type step struct {
	name  string
	index int
}

// mostSteps bounds a path.
const mostSteps = 32

var errPath = errors.New("must be a path such as data.items[0].id")

// parsePath reads a path a.b[0].c.
func parsePath(text string) (path []step, err error) {
	for part := range strings.SplitSeq(text, ".") {
		name, indices, indexed := strings.Cut(part, "[")
		if name == "" && (!indexed || len(path) > 0) || strings.Contains(name, "]") {
			return nil, errPath
		}
		if name != "" {
			path = append(path, step{name: name})
		}
		if indexed {
			if path, err = appendIndices(path, indices); err != nil {
				return nil, err
			}
		}
	}
	if len(path) > mostSteps {
		return nil, errPath
	}
	return path, nil
}

// appendIndices reads what follows the first bracket of 0][1].
func appendIndices(path []step, text string) ([]step, error) {
	for {
		digits, after, closed := strings.Cut(text, "]")
		n, err := strconv.ParseUint(digits, 10, 31)
		if err != nil || !closed || after != "" && after[0] != '[' {
			return nil, errPath
		}
		path = append(path, step{index: int(n)})
		if after == "" {
			return path, nil
		}
		text = after[1:]
	}
}

// walked reads a text that is one JSON value. Its error is a *splice.Error.
func walked(r *splice.Reader, text []byte) (whole splice.Span, err error) {
	if err = r.Reset(text); err != nil {
		return whole, err
	}
	if whole, err = r.Value(); err != nil {
		return whole, err
	}
	return whole, r.Close()
}

// find gives the value at a path of a value that r has walked. Of members with the same name the last one counts.
func find(r *splice.Reader, at splice.Span, path []step) (splice.Span, bool) {
	for _, s := range path {
		again := r.Again(at)
		var ok bool
		if s.name != "" {
			at, ok = member(&again, s.name)
		} else {
			at, ok = element(&again, s.index)
		}
		if !ok {
			return at, false
		}
	}
	return at, true
}

func member(r *splice.Reader, name string) (at splice.Span, found bool) {
	if r.Peek() != splice.Object {
		return at, false
	}
	_, _ = r.Enter() // none of these fails: the text was walked
	for {
		m, more, _ := r.Member()
		if !more {
			return at, found
		}
		value, _ := r.Value()
		if string(m.Name) == name {
			at, found = value, true
		}
	}
}

func element(r *splice.Reader, index int) (at splice.Span, found bool) {
	if r.Peek() != splice.Array {
		return at, false
	}
	_, _ = r.Enter()
	for n := 0; ; n++ {
		more, _ := r.Element()
		if !more {
			return at, false
		}
		value, _ := r.Value()
		if n == index {
			return value, true
		}
	}
}

// textOf gives what a value says: a string's text, a number or a boolean as it is written. ok is false for anything else.
func textOf(r *splice.Reader, at splice.Span) (string, bool) {
	again := r.Again(at)
	switch again.Peek() {
	case splice.String:
		return string(r.Text(at)), true
	case splice.Number, splice.True, splice.False:
		return string(r.Raw(at)), true
	default:
		return "", false
	}
}

// putMember edits the object that comes next so that it has the member at a path, and no other of that name. value is its text, and hole an
// offset in that. Objects on the way that are missing, or are no objects, are made.
func putMember(r *splice.Reader, e *splice.Edits, path []step, value string, hole int) error {
	open, err := r.Enter()
	if err != nil {
		return err
	}
	p := putting{r: r, e: e, path: path, value: value, hole: hole, items: splice.NewItems(e, open)}
	for {
		m, more, err := r.Member()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if err := p.member(m); err != nil {
			return err
		}
	}
	p.items.Close()
	if !p.within {
		p.items.Append(nested(path, value, &hole), hole)
	}
	return nil
}

// putting is one object while putMember walks it.
type putting struct {
	r      *splice.Reader
	e      *splice.Edits
	path   []step
	value  string
	hole   int
	items  splice.Items
	within bool // the member is in an object of this one
}

// member goes into the first object on the way, cuts other members of its name, and keeps the rest.
func (p *putting) member(m splice.Member) (err error) {
	named := string(m.Name) == p.path[0].name
	enters := named && len(p.path) > 1 && !p.within && p.r.Peek() == splice.Object
	if enters {
		p.within = true
		err = putMember(p.r, p.e, p.path[1:], p.value, p.hole)
	} else {
		_, err = p.r.Value()
	}
	if item := (splice.Span{Start: m.Start, End: p.r.Offset()}); named && !enters {
		p.items.Cut(item)
	} else {
		p.items.Keep(item)
	}
	return err
}

// nested writes the members of a path around a value, and moves the hole along.
func nested(path []step, value string, hole *int) string {
	var b strings.Builder
	for i, s := range path {
		if i > 0 {
			b.WriteByte('{')
		}
		b.WriteString(quote(s.name))
		b.WriteByte(':')
	}
	*hole += b.Len()
	b.WriteString(value)
	b.WriteString(strings.Repeat("}", len(path)-1))
	return b.String()
}
