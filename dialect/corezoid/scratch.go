package corezoid

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"syncgate/internal/splice"
)

// scratch is the memory that reading one message needs, used again for the next. Between two it points to no message.
type scratch struct {
	json    splice.Reader
	edits   splice.Edits
	top     names // of the package
	inner   names // of the op that is read
	ops     []requestOp
	answers []answerOp
	found   []int // the answer to each op
	ids     idSource
}

func (d *Dialect) borrow() *scratch {
	return d.scratches.Get().(*scratch) // New fills the pool with nothing else
}

// giveBack takes the memory back.
func (d *Dialect) giveBack(s *scratch) {
	s.json.Release()
	s.edits.Reset()
	s.top.reset()
	s.inner.reset()
	s.ops, s.answers = s.ops[:0], s.answers[:0] // they hold offsets and copies only
	d.scratches.Put(s)
}

// value is where a value stands and what it is; the zero value is an absent one.
type value struct {
	splice.Span
	kind splice.Kind
}

// value reads the next value.
func (s *scratch) value() (v value, err error) {
	v.kind = s.json.Peek()
	v.Span, err = s.json.Value()
	return v, err
}

// text is what a value of the text that is read says: a string's text, anything else as it is written, an absent one nothing.
func (s *scratch) text(v value) []byte {
	switch v.kind {
	case splice.String:
		return s.json.Text(v.Span)
	case splice.Invalid:
		return nil
	default:
		return s.json.Raw(v.Span)
	}
}

// idText is the text by which an op is known: a number's or a string's, so that 1 equals "1". Others are no ids; engines
// send an empty one where there was none.
func (s *scratch) idText(id value) []byte {
	if id.kind == splice.String || id.kind == splice.Number {
		return s.text(id)
	}
	return nil
}

// names finds repeated names. Objects with more than a few are looked up, so that no request costs the square of its size.
type names struct {
	few  [][]byte
	many map[string]struct{}
}

const (
	fewNames  = 16
	mostNames = 1000 // of a package or an op: in a map each costs ten times its bytes
)

// add notes a name, which may be neither there already nor one too many.
func (n *names) add(name []byte) error {
	switch {
	case !n.note(name):
		return &problem{"", fmt.Sprintf("%q appears twice", short(name))}
	case len(n.many) > mostNames:
		return &problem{"", fmt.Sprintf("has more than %d members", mostNames)}
	default:
		return nil
	}
}

// note reports whether the name is new.
func (n *names) note(name []byte) bool {
	if n.many != nil {
		_, there := n.many[string(name)]
		n.many[string(name)] = struct{}{}
		return !there
	}
	for _, known := range n.few {
		if string(known) == string(name) {
			return false
		}
	}
	n.few = append(n.few, name)
	if len(n.few) > fewNames {
		n.many = make(map[string]struct{}, 2*len(n.few))
		for _, known := range n.few {
			n.many[string(known)] = struct{}{}
		}
	}
	return true
}

func (n *names) reset() {
	clear(n.few)
	n.few, n.many = n.few[:0], nil
}

// appendQuoted appends s as a JSON string; what is not UTF-8 in it becomes U+FFFD.
func appendQuoted[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // its error is about UTF-8
	return dst
}

func quote(s string) string { return string(appendQuoted(nil, s)) }
