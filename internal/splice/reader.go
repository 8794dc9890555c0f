// Package splice changes JSON text without building a tree. A Reader walks a text once and tells where its parts are;
// Edits collects what is to be cut, replaced and inserted; every other byte stays as it was.
package splice

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
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

// WithoutBytes words an Error, or one that wraps it, without the bytes of the text that it quotes: they may be a secret. It says where the
// problem is, and of which kind. Any other error stays as it is.
func WithoutBytes(err error) error {
	bad, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	problem := bad.Problem
	if quoted := strings.IndexAny(problem, "'\"`"); quoted >= 0 {
		problem = strings.TrimRight(problem[:quoted], " (")
	}
	return &Error{bad.Offset, problem}
}

// Kind is what a value is, by its first character.
type Kind byte

// The kinds of values. Invalid is no value: the next read tells why.
const (
	Object  Kind = '{'
	Array   Kind = '['
	String  Kind = '"'
	Number  Kind = '0'
	True    Kind = 't'
	False   Kind = 'f'
	Null    Kind = 'n'
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
	case Invalid:
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
// repeat, and escaped lone surrogates pass. What was walked was checked: a text is acceptable when the walk has come to its
// end and Close finds nothing more. After an error every read repeats it. The zero Reader is ready for Reset. It may be used
// again, but not concurrently.
type Reader struct {
	src   []byte
	at    int // just after what was read last
	state state
	depth int            // how many objects and arrays are open
	ends  [MaxDepth]byte // what ends those that were entered
	err   error          // a *Error, set when broken
}

// state is what comes next.
type state uint8

const (
	due     state = iota // a value
	entered              // the first item of an object or array, or its end
	behind               // what follows a value: a comma and an item, or an end; outside of everything nothing
	broken               // nothing: there was an error
)

// Reset starts a walk of src, which must not change until the walk is over. The errors of a Reader are *Error.
func (r *Reader) Reset(src []byte) error {
	r.src = src
	r.at, r.state, r.depth, r.err = 0, due, 0, nil
	if bytes.HasPrefix(src, []byte("\ufeff")) {
		r.fail(0, "byte order mark")
	} else if !utf8.Valid(src) { // of the whole at once: the walk looks at ASCII only
		r.fail(validPrefix(src), "invalid UTF-8")
	}
	return r.err
}

// Again gives a Reader that walks a value once more which r has walked. The walk of r is not touched.
func (r *Reader) Again(value Span) Reader {
	again := *r
	again.at, again.state = value.Start, due
	return again
}

// Release lets go of the text.
func (r *Reader) Release() {
	r.src = nil
	r.at, r.state, r.depth, r.err = 0, due, 0, nil
}

// Peek gives the kind of the next value, by its first character.
func (r *Reader) Peek() Kind {
	i := skipBlanks(r.src, r.at)
	if i >= len(r.src) || r.state != due {
		return Invalid
	}
	return kinds[r.src[i]]
}

// Value reads the next value whole.
func (r *Reader) Value() (Span, error) {
	if r.state != due {
		return Span{}, r.misplaced("a value")
	}
	start := skipBlanks(r.src, r.at)
	end := r.value(start)
	if end < 0 {
		return Span{}, r.err
	}
	r.at, r.state = end, behind
	return Span{start, end}, nil
}

// Enter reads the bracket that begins the next value, which must be an object or an array, and gives its offset.
func (r *Reader) Enter() (start int, err error) {
	var end byte
	switch r.Peek() {
	case Object:
		end = '}'
	case Array:
		end = ']'
	default:
		if _, err := r.Value(); err != nil {
			return 0, err
		}
		return 0, r.misplaced("entering")
	}
	start = skipBlanks(r.src, r.at)
	inside := r.open(start)
	if inside < 0 {
		return 0, r.err
	}
	r.ends[r.depth-1] = end
	r.at, r.state = inside, entered
	return start, nil
}

// Member reads the name of the next member of the object that was entered. ok is false when the object has ended.
func (r *Reader) Member() (m Member, ok bool, err error) {
	start, ok := r.item('}')
	if !ok {
		return Member{}, false, r.err
	}
	end, value, escaped := r.name(start)
	if value < 0 {
		return Member{}, false, r.err
	}
	r.at, r.state = value, due
	m = Member{Name: r.src[start+1 : end-1 : end-1], Start: start}
	if escaped {
		m.Name = unquote(r.src[start:end])
	}
	return m, true, nil
}

// Element reports whether the array that was entered has a further element, which comes next; if not, it has ended.
func (r *Reader) Element() (ok bool, err error) {
	start, ok := r.item(']')
	if !ok {
		return false, r.err
	}
	r.at, r.state = start, due
	return true, nil
}

// item goes on to the next item of what was entered and ends so. It is not ok when there is none, or an error.
func (r *Reader) item(end byte) (start int, ok bool) {
	switch {
	case r.depth == 0 || r.ends[r.depth-1] != end || r.state == due || r.state == broken:
		_ = r.misplaced("an item")
		return failed, false
	case r.state == entered:
		start, ok = r.first(r.at, end)
	default:
		start, ok = r.next(r.at, end)
	}
	if !ok && start >= 0 {
		r.at, r.state = start, behind
	}
	return start, ok
}

// Close makes sure that nothing follows the value.
func (r *Reader) Close() error {
	if r.state != behind || r.depth > 0 {
		return r.misplaced("the end")
	}
	i := skipBlanks(r.src, r.at)
	switch {
	case i >= len(r.src):
	case kinds[r.src[i]] != Invalid:
		r.fail(i, "more than one value")
	default:
		r.unexpected(i, "at start of value")
	}
	return r.err
}

// misplaced answers a call that cannot be made here, which is its caller's mistake, or after an error, which it repeats.
func (r *Reader) misplaced(what string) error {
	if r.state != broken {
		r.fail(r.at, what+" is out of place")
	}
	return r.err
}

// Offset is where the walk stands: just after what was read last.
func (r *Reader) Offset() int { return r.at }

// Raw gives a part of the walked text as it is written.
func (r *Reader) Raw(part Span) []byte { return part.Of(r.src) }

// Text gives the text of a string that was read, unescaped; a lone surrogate becomes U+FFFD. Like a Member's Name it is a part
// of the walked text where nothing is escaped, else a copy.
func (r *Reader) Text(quoted Span) []byte {
	raw := quoted.Of(r.src)
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	return unquote(raw)
}

func unquote(quoted []byte) []byte {
	text, _ := jsontext.AppendUnquote(nil, quoted) // its error is about lone surrogates
	return text
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
