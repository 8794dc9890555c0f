package corezoid

import (
	"github.com/go-json-experiment/json/jsontext"

	"syncgate/internal/splice"
)

// worker is the memory that reading one message needs, used again for the next. Between two it points to no message.
type worker struct {
	json    splice.Reader
	edits   splice.Edits
	top     names // of the package
	inner   names // of the op that is read
	ops     []requestOp
	answers []answerOp
	found   []int // the answer to each op
}

func (d *Dialect) worker() *worker {
	return d.workers.Get().(*worker) // New fills the pool with nothing else
}

// rest gives the worker back.
func (d *Dialect) rest(w *worker) {
	w.json.Release()
	w.edits.Reset()
	w.top.reset()
	w.inner.reset()
	w.ops, w.answers = w.ops[:0], w.answers[:0] // they hold offsets only
	d.workers.Put(w)
}

// value is where a value stands and what it is; the zero value is an absent one.
type value struct {
	splice.Span
	kind splice.Kind
}

// value reads the next value.
func (w *worker) value() (v value, err error) {
	v.kind = w.json.Peek()
	v.Span, err = w.json.Value()
	return v, err
}

// text is what a value of the text that is read says: a string's text, anything else as it is written, an absent one nothing.
func (w *worker) text(v value) []byte {
	switch v.kind {
	case splice.String:
		return w.json.Text(v.Span)
	case splice.Invalid:
		return nil
	default:
		return w.json.Raw(v.Span)
	}
}

// idText is the text by which an op is known: a number's or a string's, so that 1 equals "1". Others are no ids; engines
// send an empty one where there was none.
func (w *worker) idText(id value) []byte {
	if id.kind == splice.String || id.kind == splice.Number {
		return w.text(id)
	}
	return nil
}

// names tells repeated names. Objects with more than a few are looked up, so that no request costs the square of its size.
type names struct {
	few  [][]byte
	many map[string]struct{}
}

const fewNames = 16

// add reports whether the name is new.
func (n *names) add(name []byte) bool {
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
