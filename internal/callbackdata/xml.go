package callbackdata

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"unicode/utf8"

	"syncgate/internal/splice"
)

const blanks = " \t\r\n" // of XML and JSON alike

// trimXML drops what may stand before a document: a byte order mark and blanks.
func trimXML(body []byte) []byte {
	return bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\ufeff")), blanks)
}

// xmlData is XML, by charset; empty: the document says it.
func xmlData(body, charset []byte) ([]byte, error) {
	switch {
	case len(charset) > 0 && !isUTF8(charset) && !isASCII(charset):
		return nil, errors.New("XML: charset is not UTF-8")
	case isASCII(charset) && !onlyASCII(body):
		return nil, errors.New("XML: charset is US-ASCII, and not all bytes are")
	case !fits(body):
		return nil, errTooLarge
	case !utf8.Valid(body):
		return nil, errors.New("XML: is not UTF-8")
	}
	x := newXMLDocument(body)
	if !x.read(len(body) - len(trimXML(body))) {
		return nil, fmt.Errorf("XML: at byte %d: %s", x.failedAt, x.problem)
	}
	return written(x.write), nil
}

func onlyASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// xmlDocument is a document while it is read: its elements and attributes, in order. Text is looked at, and found again when it is
// written.
type xmlDocument struct {
	src   []byte
	nodes []xmlNode
	most  int // nodes
	names groups
	open  []xmlOpen

	problem  string // why the document is refused, and where
	failedAt int
}

// xmlNode is an element or an attribute. An element's attributes follow it, then its children.
type xmlNode struct {
	name      span
	value     span  // an attribute's between its quotes; an element's between its tags, empty at its / where it has one tag
	sibling   place // the next child of the same parent, 0 for none
	next      place // the next one of these that has the same name, 0 for none
	depth     uint8 // in how many elements it is
	attribute bool
	repeated  bool // an earlier sibling has the name
}

// xmlOpen is an element that has not ended, and its last child so far, 0 for none.
type xmlOpen struct{ node, last int }

func newXMLDocument(src []byte) *xmlDocument {
	most := partsOf(src)
	count := func(s string) int { return bytes.Count(src, []byte(s)) }
	attributes := min(count("="), (count(`"`)+count("'"))/2)
	parts := min(count("<")-count("</")+attributes, most) // at least as many as there are
	return &xmlDocument{
		src: src, most: most,
		nodes: make([]xmlNode, 0, parts), names: newGroups(parts), open: make([]xmlOpen, 0, 8),
	}
}

// read walks the document, which begins at i. It is false when that is refused.
func (x *xmlDocument) read(i int) bool {
	for i >= 0 && i < len(x.src) {
		switch {
		case x.src[i] != '<':
			i = x.text(i)
		case x.at(i+1) == '/':
			i = x.endTag(i)
		case x.at(i+1) == '?':
			i = x.instruction(i)
		case x.at(i+1) == '!':
			i = x.declaration(i)
		default:
			i = x.startTag(i)
		}
	}
	if i >= 0 && (len(x.nodes) == 0 || len(x.open) > 0) {
		i = x.fail(i, "")
	}
	return i >= 0
}

// text reads text up to the next tag.
func (x *xmlDocument) text(i int) (next int) {
	next = i + upTo(x.src[i:], "<")
	switch {
	case !x.checkText(i, next, false):
		return failed
	case len(x.open) == 0 && !x.isBlank(i, next):
		return x.fail(i, "text outside of the root element")
	}
	return next
}

// startTag reads a tag that begins an element, or is all of it, with its attributes.
func (x *xmlDocument) startTag(i int) (next int) {
	switch {
	case len(x.nodes) > 0 && len(x.open) == 0:
		return x.fail(i, "more than one root element")
	case len(x.open) == splice.MaxDepth:
		return x.fail(i, fmt.Sprintf("nested deeper than %d", splice.MaxDepth))
	}
	end := x.name(i + 1)
	if end < 0 {
		return failed
	}
	node := x.element(i+1, end)
	if node < 0 {
		return failed
	}
	for at := x.skipBlanks(end); ; at = x.skipBlanks(at) {
		switch x.at(at) {
		case '>':
			x.nodes[node].value = spanOf(at+1, at+1)
			x.open = append(x.open, xmlOpen{node: node})
			return at + 1
		case '/':
			x.nodes[node].value = spanOf(at, at)
			if x.at(at+1) != '>' {
				return x.fail(at+1, "a tag has / before its end")
			}
			return at + 2
		}
		if at = x.attribute(at, node); at < 0 {
			return failed
		}
	}
}

// element adds an element whose name is given to those that are open.
func (x *xmlDocument) element(start, end int) (node int) {
	node = x.add(xmlNode{name: spanOf(start, end), depth: uint8(len(x.open))}) //nolint:gosec // at most splice.MaxDepth
	if node <= 0 {
		return node // failed, or the root
	}
	parent := &x.open[len(x.open)-1]
	if parent.last > 0 {
		x.nodes[parent.last].sibling = placeOf(node)
	}
	parent.last = node
	if earlier, ok := x.group(node, parent.node); ok {
		x.nodes[earlier].next = placeOf(node)
		x.nodes[node].repeated = true
	}
	return node
}

// attribute reads an attribute of an element.
func (x *xmlDocument) attribute(i, element int) (next int) {
	end := x.name(i)
	if end < 0 {
		return failed
	}
	at := x.skipBlanks(end)
	if x.at(at) != '=' {
		return x.fail(at, "an attribute has no value")
	}
	at = x.skipBlanks(at + 1)
	quote := x.at(at)
	if quote != '"' && quote != '\'' {
		return x.fail(at, "an attribute's value has no quotes")
	}
	value := at + 1
	next = value + upTo(x.src[value:], string(rune(quote)))
	switch less := bytes.IndexByte(x.src[value:next], '<'); {
	case less >= 0:
		return x.fail(value+less, "< inside of an attribute's value")
	case next == len(x.src):
		return x.fail(next, "")
	case !x.checkText(value, next, true):
		return failed
	}
	node := x.add(xmlNode{name: spanOf(i, end), value: spanOf(value, next), depth: x.nodes[element].depth + 1, attribute: true})
	if node < 0 {
		return failed
	}
	if _, ok := x.group(node, element); ok {
		return x.fail(i, "an attribute appears twice")
	}
	return next + 1
}

func (x *xmlDocument) add(n xmlNode) (node int) {
	node = len(x.nodes)
	if node == x.most {
		return x.fail(int(n.name.start), fmt.Sprintf("has more than %d elements and attributes", x.most))
	}
	x.nodes = append(x.nodes, n)
	return node
}

// group puts a node in the place of the last attribute or child of its parent that has its name, which it gives.
func (x *xmlDocument) group(node, parent int) (earlier int, ok bool) {
	n := &x.nodes[node]
	name := n.name.of(x.src)
	hash := maphash.Bytes(x.names.seed, name) ^ maphash.Comparable(x.names.seed, parent)
	return x.names.swap(hash, node, func(earlier int) bool {
		e := &x.nodes[earlier]
		// Behind the parent, which has not ended, there is nothing at this depth but what is in it.
		return earlier > parent && e.depth == n.depth && e.attribute == n.attribute && string(e.name.of(x.src)) == string(name)
	})
}

// endTag reads the tag that ends the innermost open element.
func (x *xmlDocument) endTag(i int) (next int) {
	end := x.name(i + 2)
	if end < 0 {
		return failed
	}
	last := len(x.open) - 1
	if last < 0 || string(x.nodes[x.open[last].node].name.of(x.src)) != string(x.src[i+2:end]) {
		return x.fail(i, "an element ends that is not open")
	}
	end = x.skipBlanks(end)
	if x.at(end) != '>' {
		return x.fail(end, "more than a name in the tag that ends an element")
	}
	x.nodes[x.open[last].node].value.end = placeOf(i)
	x.open = x.open[:last]
	return end + 1
}
