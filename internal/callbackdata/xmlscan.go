package callbackdata

import (
	"bytes"
	"unicode/utf8"
)

// What is between the tags of a document, and inside of them. As in splice, what begins at an offset is checked, and the offset behind it
// given, or failed where it is not as it should be.

const failed = -1

// fail refuses the document, for want of more where it ends.
func (x *xmlDocument) fail(at int, problem string) int {
	if at >= len(x.src) {
		problem = "unexpected end"
	}
	x.failedAt, x.problem = min(at, len(x.src)), problem
	return failed
}

// at gives a byte of the document, behind its end 0, which is nowhere good.
func (x *xmlDocument) at(i int) byte {
	if i < len(x.src) {
		return x.src[i]
	}
	return 0
}

func (x *xmlDocument) skipBlanks(i int) int {
	for isBlank(x.at(i)) {
		i++
	}
	return i
}

// upTo gives how many bytes of s are before the first sep: all, where there is none.
func upTo(s []byte, sep string) int {
	if i := bytes.Index(s, []byte(sep)); i >= 0 {
		return i
	}
	return len(s)
}

// name reads a name, which may have one prefix.
func (x *xmlDocument) name(start int) (end int) {
	for end = start; end < len(x.src) && (x.src[end] >= utf8.RuneSelf || isNameByte(x.src[end])); end++ {
	}
	name := x.src[start:end]
	switch first, size := utf8.DecodeRune(name); {
	case end == len(x.src):
		return x.fail(end, "")
	case len(name) == 0:
		return x.fail(start, "a name is missing")
	case !isNameStart(first) || bytes.ContainsFunc(name[size:], isNoName), bytes.Count(name, []byte{':'}) > 1:
		return x.fail(start, "invalid name")
	}
	return end
}

func isNameByte(c byte) bool {
	lower := c | 0x20
	return lower >= 'a' && lower <= 'z' || c >= '-' && c <= ':' && c != '/' || c == '_' // - . 0 to 9 :
}

// isNameStart and isNoName are of XML 1.0, 5th edition, 2.3. The ASCII of a name was looked at before.
func isNameStart(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return r >= ':' // - . and digits are smaller
	case r <= 0x2ff:
		return r >= 0xc0 && r != 0xd7 && r != 0xf7
	case r <= 0x1fff:
		return r >= 0x370 && r != 0x37e
	case r <= 0x218f:
		return r >= 0x2070 || r == 0x200c || r == 0x200d
	case r <= 0xd7ff:
		return r >= 0x3001 || r >= 0x2c00 && r <= 0x2fef
	case r <= 0xfffd:
		return r >= 0xfdf0 || r >= 0xf900 && r <= 0xfdcf
	default:
		return r >= 0x10000 && r <= 0xeffff
	}
}

func isNoName(r rune) bool {
	switch {
	case r < utf8.RuneSelf, r == 0xb7, r >= 0x300 && r <= 0x36f, r == 0x203f, r == 0x2040:
		return false
	default:
		return !isNameStart(r)
	}
}

// checkText looks at character data, or at the value of an attribute: its characters and references.
func (x *xmlDocument) checkText(i, end int, attribute bool) bool {
	for i < end {
		switch c := x.src[i]; {
		case c == '&':
			_, size := decodeReference(x.src[i:end])
			if size == 0 {
				x.fail(i, "invalid reference to a character or entity")
				return false
			}
			i += size
			continue
		case c == ']' && !attribute && bytes.HasPrefix(x.src[i:end], []byte("]]>")):
			x.fail(i, "]]> outside of a CDATA section")
			return false
		case c < ' ' && !isBlank(c), c == 0xef && !isCharacter(x.rune(i)):
			x.fail(i, "invalid character")
			return false
		}
		i++
	}
	return true
}

func (x *xmlDocument) rune(i int) rune {
	r, _ := utf8.DecodeRune(x.src[i:])
	return r
}

// isCharacter reports whether a document may have a character (XML 1.0, 2.2).
func isCharacter(r rune) bool {
	return r >= ' ' && r != 0xfffe && r != 0xffff && utf8.ValidRune(r) || r == '\t' || r == '\n' || r == '\r'
}

// decodeReference gives the character that a reference at the beginning of text stands for, and its size, 0 where it is none.
func decodeReference(text []byte) (r rune, size int) {
	end := bytes.IndexByte(text, ';')
	if end < 2 {
		return 0, 0
	}
	switch name := text[1:end]; string(name) {
	case "lt":
		r = '<'
	case "gt":
		r = '>'
	case "amp":
		r = '&'
	case "apos":
		r = '\''
	case "quot":
		r = '"'
	default:
		if r = decodeNumber(name); !isCharacter(r) {
			return 0, 0
		}
	}
	return r, end + 1
}

// decodeNumber reads #1234 or #x12AB. What is no number is 0, and one that is too large more than any character.
func decodeNumber(name []byte) (r rune) {
	digits, ok := bytes.CutPrefix(name, []byte("#"))
	if !ok || len(digits) == 0 {
		return 0
	}
	base := rune(10)
	if hex, ok := bytes.CutPrefix(digits, []byte("x")); ok {
		base, digits = 16, hex
	}
	for _, c := range digits {
		digit, ok := hexDigit(c)
		if !ok || rune(digit) >= base {
			return 0
		}
		r = min(r*base+rune(digit), utf8.MaxRune+1)
	}
	return r
}

// instruction reads a processing instruction, or the declaration that a document may begin with.
func (x *xmlDocument) instruction(i int) (next int) {
	end := x.name(i + 2)
	if end < 0 {
		return failed
	}
	next = end + upTo(x.src[end:], "?>")
	switch {
	case next == len(x.src):
		return x.fail(next, "")
	case !x.checkCharacters(end, next):
		return failed
	}
	if string(x.src[i+2:end]) == "xml" {
		content := x.src[end:next]
		if version, ok := pseudoAttribute(content, "version"); ok && string(version) != "1.0" {
			return x.fail(i, "its version is not 1.0")
		}
		if encoding, ok := pseudoAttribute(content, "encoding"); ok && !isName(encoding, "utf-8") {
			if !isASCII(encoding) {
				return x.fail(i, "its encoding is not UTF-8")
			}
			if !onlyASCII(x.src) {
				return x.fail(i, "its encoding is US-ASCII, and not all bytes are")
			}
		}
	}
	return next + len("?>")
}

// pseudoAttribute finds name="value" in a declaration.
func pseudoAttribute(content []byte, name string) (value []byte, ok bool) {
	for rest := content; ; {
		i := bytes.Index(rest, []byte(name))
		if i < 0 {
			return nil, false
		}
		before := len(content) - len(rest) + i - 1
		rest = rest[i+len(name):]
		text, ok := bytes.CutPrefix(bytes.TrimLeft(rest, blanks), []byte("="))
		text = bytes.TrimLeft(text, blanks)
		if ok && before >= 0 && isBlank(content[before]) && len(text) > 0 && (text[0] == '"' || text[0] == '\'') {
			value, _, _ = bytes.Cut(text[1:], text[:1])
			return value, true
		}
	}
}

const (
	cdataStart   = "<![CDATA["
	cdataEnd     = "]]>"
	commentStart = "<!--"
	commentEnd   = "-->"
	typeStart    = "<!DOCTYPE"
)

func (x *xmlDocument) begins(i int, with string) bool {
	return bytes.HasPrefix(x.src[i:], []byte(with))
}

// declaration reads a comment, a CDATA section, or the document type.
func (x *xmlDocument) declaration(i int) (next int) {
	switch {
	case x.begins(i, commentStart):
		return x.comment(i)
	case x.begins(i, cdataStart):
		return x.cdata(i)
	case x.begins(i, typeStart) && len(x.nodes) == 0:
		return x.documentType(i)
	default:
		return x.fail(i, "a declaration is out of place")
	}
}

func (x *xmlDocument) comment(i int) (next int) {
	inside := i + len(commentStart)
	end := inside + upTo(x.src[inside:], "--")
	next = end + len(commentEnd)
	switch {
	case next > len(x.src) || !x.begins(end, commentEnd):
		return x.fail(next-1, "-- inside of a comment")
	case !x.checkCharacters(inside, end):
		return failed
	}
	return next
}

// checkCharacters looks for what no document may have, not even where nobody reads it (XML 1.0, 2.2).
func (x *xmlDocument) checkCharacters(i, end int) bool {
	for ; i < end; i++ {
		if c := x.src[i]; c < ' ' && !isBlank(c) || c == 0xef && !isCharacter(x.rune(i)) {
			x.fail(i, "invalid character")
			return false
		}
	}
	return true
}

func (x *xmlDocument) cdata(i int) (next int) {
	inside := i + len(cdataStart)
	next = inside + upTo(x.src[inside:], cdataEnd)
	switch {
	case next == len(x.src):
		return x.fail(next, "")
	case !x.checkCharacters(inside, next):
		return failed
	}
	if len(x.open) == 0 && len(bytes.Trim(x.src[inside:next], blanks)) > 0 {
		return x.fail(i, "text outside of the root element")
	}
	return next + len(cdataEnd)
}

// documentType skips the document type with what it declares, which may be no entity.
func (x *xmlDocument) documentType(i int) (next int) {
	nested := 0
	for at := i + len(typeStart); at < len(x.src); at++ {
		switch c := x.src[at]; {
		case c == '"' || c == '\'':
			at++
			at += upTo(x.src[min(at, len(x.src)):], string(rune(c)))
		case x.begins(at, commentStart):
			if at = x.comment(at); at < 0 {
				return failed
			}
			at--
		case c == '<':
			nested++
		case c == '>' && nested == 0:
			if !x.checkCharacters(i, at) {
				return failed
			}
			return at + 1
		case c == '>':
			nested--
		case c == 'E' && x.begins(at, "ENTITY"):
			return x.fail(at, "entities cannot be declared")
		}
	}
	return x.fail(len(x.src), "")
}
