package splice

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// The scanner: what begins at an offset of the text is checked, and the offset behind it given, or failed where it is not as it
// should be. Offsets go from call to call as arguments, which stay in registers; a field would cost each step the way
// through memory.

// failed is the offset behind what is not JSON. The Reader's err says why.
const failed = -1

// kinds tells a value by its first byte.
var kinds = [256]Kind{
	'{': Object, '[': Array, '"': String, 't': True, 'f': False, 'n': Null, '-': Number, '0': Number,
	'1': Number, '2': Number, '3': Number, '4': Number, '5': Number, '6': Number, '7': Number, '8': Number, '9': Number,
}

// value reads a value. It calls itself for what is inside, as deep as MaxDepth allows.
func (r *Reader) value(i int) int {
	if i >= len(r.src) {
		return r.unexpected(i, "")
	}
	switch kind := kinds[r.src[i]]; kind {
	case String:
		i, _ = r.quoted(i)
		return i
	case Number:
		return r.number(i)
	case Object:
		return r.object(i)
	case Array:
		return r.array(i)
	default:
		return r.literal(i, kind)
	}
}

func (r *Reader) object(i int) int {
	src := r.src
	i, more := r.first(r.open(i), '}')
	for more {
		if _, i, _ = r.name(i); i < 0 {
			return failed
		}
		if i = r.value(skipBlanks(src, i)); i < 0 {
			return failed
		}
		if i+1 < len(src) && src[i] == ',' && src[i+1] == '"' {
			i++ // as next would, without a call: most texts have no blanks here
			continue
		}
		i, more = r.next(i, '}')
	}
	return i
}

func (r *Reader) array(i int) int {
	src := r.src
	i, more := r.first(r.open(i), ']')
	for more {
		if i = r.value(i); i < 0 {
			return failed
		}
		if i+1 < len(src) && src[i] == ',' && kinds[src[i+1]] != Invalid {
			i++
			continue
		}
		i, more = r.next(i, ']')
	}
	return i
}

// open goes over the bracket that begins an object or array.
func (r *Reader) open(i int) int {
	if r.depth == MaxDepth {
		return r.fail(i, fmt.Sprintf("nested deeper than %d", MaxDepth))
	}
	r.depth++
	return i + 1
}

// first goes from behind that bracket to the first item. more is false when there is none: then item is behind the bracket
// that ends it, or failed.
func (r *Reader) first(i int, end byte) (item int, more bool) {
	if i < 0 {
		return failed, false
	}
	i = skipBlanks(r.src, i)
	if i < len(r.src) && r.src[i] == end {
		r.depth--
		return i + 1, false
	}
	return i, true
}

// next goes from behind an item to the next one, over a comma; more and item are as with first.
func (r *Reader) next(i int, end byte) (item int, more bool) {
	src := r.src
	i = skipBlanks(src, i)
	if i >= len(src) {
		return r.unexpected(i, ""), false
	}
	switch src[i] {
	case ',':
		item = skipBlanks(src, i+1)
		if item < len(src) && src[item] == end {
			return r.unexpected(i, fmt.Sprintf("before %q", end)), false
		}
		return item, true
	case end:
		r.depth--
		return i + 1, false
	default:
		return r.unexpected(i, after(end)), false
	}
}

func after(end byte) string {
	if end == '}' {
		return "after object value (expecting ',' or '}')"
	}
	return "after array element (expecting ',' or ']')"
}

// name reads the name of a member, up to end, and its colon, up to value.
func (r *Reader) name(i int) (end, value int, escaped bool) {
	src := r.src
	if i >= len(src) || src[i] != '"' {
		return failed, r.unexpected(i, `at start of string (expecting '"')`), false
	}
	if end, escaped = r.quoted(i); end < 0 {
		return failed, failed, false
	}
	if value = skipBlanks(src, end); value < len(src) && src[value] == ':' {
		return end, value + 1, escaped
	}
	return failed, r.unexpected(value, "after object name (expecting ':')"), false
}

// quoted reads a string from its quote. Eight bytes are looked at in one go while there are that many: most strings are
// short, and a loop over their bytes would end where no processor foresees it.
func (r *Reader) quoted(i int) (end int, escaped bool) {
	src := r.src
	for i++; i+8 <= len(src); i += 8 {
		if n := plain(binary.LittleEndian.Uint64(src[i:])); n < 8 {
			if i += n; src[i] == '"' {
				return i + 1, false
			}
			break
		}
	}
	return r.quotedRest(i)
}

// quotedRest reads the rest of a string that has escape sequences, or stands at the end of the text.
func (r *Reader) quotedRest(i int) (end int, escaped bool) {
	src := r.src
	for i >= 0 && i < len(src) {
		switch c := src[i]; {
		case c == '"':
			return i + 1, escaped
		case c == '\\' || c < ' ':
			i, escaped = r.escape(i), true
		case i+8 <= len(src):
			i += plain(binary.LittleEndian.Uint64(src[i:]))
		default:
			i++
		}
	}
	if i >= 0 {
		r.unexpected(i, "")
	}
	return failed, escaped
}

// plain counts the bytes of eight that come before the first quote, backslash or control character. That one has its highest
// bit set in stop. Bytes behind it may have too, as a subtraction borrows from the next byte, but only where it found one.
func plain(eight uint64) int {
	const each = 0x0101010101010101
	control := eight - each*' '
	quote := (eight ^ each*'"') - each
	backslash := (eight ^ each*'\\') - each
	stop := (control | quote | backslash) &^ eight & (each * 0x80)
	return bits.TrailingZeros64(stop) / 8 // of none 64
}

// escape reads an escape sequence from its backslash, where a control character may be instead. Surrogates need not come in
// pairs.
func (r *Reader) escape(i int) int {
	src := r.src
	switch {
	case src[i] != '\\':
		return r.unexpected(i, "in string (expecting non-control character)")
	case i+1 == len(src):
		return r.unexpected(i+1, "")
	}
	switch src[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		return r.hex(i)
	}
	_, size := utf8.DecodeRune(src[i+1:])
	return r.badEscape(i, i+1+size)
}

// hex reads \u and four hexadecimal digits.
func (r *Reader) hex(start int) int {
	src := r.src
	for i := start + 2; i < start+6; i++ {
		if i >= len(src) {
			return r.unexpected(i, "")
		}
		if c := src[i] | 0x20; !isDigit(src[i]) && (c < 'a' || c > 'f') {
			_, size := utf8.DecodeRune(src[i:])
			return r.badEscape(start, i+size)
		}
	}
	return start + 6
}

// literal reads true, false or null.
func (r *Reader) literal(i int, kind Kind) int {
	var word string
	switch kind {
	case True:
		word = "true"
	case False:
		word = "false"
	case Null:
		word = "null"
	default:
		return r.unexpected(i, "at start of value")
	}
	for j := range len(word) {
		if i+j >= len(r.src) || r.src[i+j] != word[j] {
			return r.unexpected(i+j, fmt.Sprintf("in literal %s (expecting %q)", word, word[j]))
		}
	}
	return i + len(word)
}

// number reads a number from its sign or first digit.
func (r *Reader) number(i int) int {
	src := r.src
	if src[i] == '-' {
		i++
	}
	end := skipDigits(src, i)
	switch {
	case end == i:
		return r.unexpected(i, digitMissing)
	case src[i] == '0':
		end = i + 1 // a further digit is not what may follow a value
	}
	if end < len(src) && (src[end] == '.' || src[end]|0x20 == 'e') {
		return r.fraction(end)
	}
	return end
}

// fraction reads the rest of a number from its point or exponent.
func (r *Reader) fraction(i int) int {
	src := r.src
	if src[i] == '.' {
		end := skipDigits(src, i+1)
		if end == i+1 {
			return r.unexpected(end, digitMissing)
		}
		if i = end; i == len(src) || src[i]|0x20 != 'e' {
			return i
		}
	}
	if i++; i < len(src) && (src[i] == '-' || src[i] == '+') {
		i++
	}
	end := skipDigits(src, i)
	if end == i {
		return r.unexpected(end, digitMissing)
	}
	return end
}

const digitMissing = "in number (expecting digit)"

func skipDigits(src []byte, i int) int {
	for i < len(src) && isDigit(src[i]) {
		i++
	}
	return i
}

func isDigit(c byte) bool { return c-'0' <= 9 }

func skipBlanks(src []byte, i int) int {
	for i < len(src) && src[i] <= ' ' && (src[i] == ' ' || src[i] == '\n' || src[i] == '\t' || src[i] == '\r') {
		i++
	}
	return i
}

// fail ends the walk.
func (r *Reader) fail(at int, problem string) int {
	r.state, r.err = broken, &Error{at, problem}
	return failed
}

// unexpected fails over the character at an offset, or over its absence.
func (r *Reader) unexpected(at int, where string) int {
	if at >= len(r.src) {
		return r.fail(len(r.src), "unexpected end")
	}
	c, _ := utf8.DecodeRune(r.src[at:])
	return r.fail(at, "invalid character "+strconv.QuoteRune(c)+" "+where)
}

func (r *Reader) badEscape(start, end int) int {
	sequence := string(r.src[start:end])
	if quoted := "`" + sequence + "`"; strconv.CanBackquote(sequence) {
		sequence = quoted
	} else {
		sequence = strconv.Quote(sequence)
	}
	return r.fail(start, "invalid escape sequence "+sequence+" in string")
}
