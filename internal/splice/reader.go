// Package splice changes JSON text without building a tree. A Reader walks a text once and tells where its parts are;
// Edits collects what is to be cut, replaced and inserted; every other byte stays as it was.
package splice

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how deep objects and arrays may be nested.
const MaxDepth = 128

// Error is why a text is not acceptable JSON, and where.
type Error struct {
	Offset  int // in bytes
	Problem string
}

func (e *Error) Error() string { return "at byte " + strconv.Itoa(e.Offset) + ": " + e.Problem }

// Kind is what a value is, by its first character.
type Kind byte

// The kinds of values. End is no value: the object or array is over. Invalid is a syntax error, which the next read tells.
const (
	Object  Kind = '{'
	Array   Kind = '['
	String  Kind = '"'
	Number  Kind = '0'
	True    Kind = 't'
	False   Kind = 'f'
	Null    Kind = 'n'
	End     Kind = '}'
	Invalid Kind = 0
)

func (k Kind) String() string {
	switch k {
	case Object:
		return "object"
	case Array:
		return "array"
	case String:
		return "string"
	case Number:
		return "number"
	case True, False:
		return "boolean"
	case Null:
		return "null"
	case End, Invalid:
	}
	return "nothing"
}

// Span is a part of the text: from Start up to, not including, End.
type Span struct{ Start, End int }

// Of gives the part of src.
func (s Span) Of(src []byte) []byte { return src[s.Start:s.End:s.End] }

// Member is a member of an object whose value comes next.
type Member struct {
	Name  []byte // unescaped
	Start int    // of the quoted name
}

// Reader walks one JSON text: RFC 8259 in valid UTF-8 without byte order mark, nested at most MaxDepth deep. Names may
// repeat, and escaped lone surrogates pass. The zero Reader is ready for Reset. It may be used again, but not concurrently.
type Reader struct {
	dec  *jsontext.Decoder
	in   *bytes.Buffer // the decoder reads its bytes in place
	opts []jsontext.Options
	src  []byte
}

// Reset starts a walk of src, which must not change until the walk is over. The errors of a Reader are *Error.
func (r *Reader) Reset(src []byte) error {
	if r.dec == nil {
		r.in = new(bytes.Buffer)
		r.opts = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
		r.dec = jsontext.NewDecoder(r.in, r.opts...)
	}
	r.src = src
	*r.in = *bytes.NewBuffer(src)
	r.dec.Reset(r.in, r.opts...)
	if bytes.HasPrefix(src, []byte("\ufeff")) {
		return &Error{0, "byte order mark"}
	}
	if !utf8.Valid(src) { // AllowInvalidUTF8 is there for escaped surrogates alone
		return &Error{validPrefix(src), "invalid UTF-8"}
	}
	if at := tooDeep(src); at >= 0 {
		return &Error{at, fmt.Sprintf("nested deeper than %d", MaxDepth)}
	}
	return nil
}

// Release lets go of the text.
func (r *Reader) Release() {
	r.src = nil
	if r.dec != nil {
		*r.in = bytes.Buffer{}
		r.dec.Reset(r.in, r.opts...)
	}
}

// Peek gives the kind of the next value.
func (r *Reader) Peek() Kind {
	switch k := r.dec.PeekKind(); k {
	case '}', ']':
		return End
	default:
		return Kind(k)
	}
}

// Value reads the next value whole.
func (r *Reader) Value() (Span, error) {
	v, err := r.dec.ReadValue()
	if err != nil {
		return Span{}, r.wrap(err)
	}
	end := r.Offset()
	return Span{end - len(v), end}, nil
}

// Enter reads the bracket that begins the next value, which must be an object or an array, and gives its offset.
func (r *Reader) Enter() (start int, err error) {
	if _, err := r.dec.ReadToken(); err != nil {
		return 0, r.wrap(err)
	}
	return r.Offset() - 1, nil
}

// Member reads the name of the next member of the object that was entered. ok is false when the object has ended.
func (r *Reader) Member() (m Member, ok bool, err error) {
	if r.Peek() == End {
		_, err := r.Enter()
		return Member{}, false, err
	}
	span, err := r.Value() // refuses what is not a string
	if err != nil {
		return Member{}, false, err
	}
	return Member{Name: r.Text(span), Start: span.Start}, true, nil
}

// Element reports whether the array that was entered has a further element, which comes next; if not, it has ended.
func (r *Reader) Element() (ok bool, err error) {
	switch r.Peek() {
	case End, Invalid:
		_, err := r.Enter()
		return false, err
	default:
		return true, nil
	}
}

// Close makes sure that nothing follows the value.
func (r *Reader) Close() error {
	_, err := r.dec.ReadToken()
	switch {
	case err == nil:
		return &Error{r.Offset() - 1, "more than one value"}
	case errors.Is(err, io.EOF):
		return nil
	}
	return r.wrap(err)
}

// Offset is where the walk stands: just after what was read last.
func (r *Reader) Offset() int { return int(r.dec.InputOffset()) }

// Raw gives a part of the walked text as it is written.
func (r *Reader) Raw(part Span) []byte { return part.Of(r.src) }

// Text gives the text of a string that was read, unescaped; a lone surrogate becomes U+FFFD. Like a Member's Name it is a part
// of the walked text where nothing is escaped, else a copy.
func (r *Reader) Text(quoted Span) []byte {
	raw := quoted.Of(r.src)
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, raw) // its error is about lone surrogates
	return text
}

func (r *Reader) wrap(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{len(r.src), "unexpected end"}
	}
	if bad, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return &Error{int(bad.ByteOffset), bad.Err.Error()}
	}
	return &Error{r.Offset(), err.Error()}
}

// validPrefix is how many bytes of src are valid UTF-8.
func validPrefix(src []byte) (n int) {
	for n < len(src) {
		c, size := utf8.DecodeRune(src[n:])
		if c == utf8.RuneError && size == 1 {
			break
		}
		n += size
	}
	return n
}

// tooDeep finds the bracket that opens one level too many, -1 where there is none. It is right about every text as far as
// that is JSON, which is all that matters, since the walk goes no further.
func tooDeep(src []byte) int {
	if bytes.Count(src, []byte{'{'})+bytes.Count(src, []byte{'['}) <= MaxDepth {
		return -1 // far faster than counting, and nearly always the case
	}
	depth := 0
	for i := 0; i < len(src); i++ {
		switch src[i] {
		case '"':
			i = endOfString(src, i)
		case '{', '[':
			if depth++; depth > MaxDepth {
				return i
			}
		case '}', ']':
			depth--
		}
	}
	return -1
}

// endOfString gives the offset of the quote that ends the string which begins at i.
func endOfString(src []byte, i int) int {
	for i++; i < len(src) && src[i] != '"'; i++ {
		if src[i] == '\\' {
			i++
		}
	}
	return i
}
