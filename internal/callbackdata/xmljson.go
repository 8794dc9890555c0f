package callbackdata

import "bytes"

// write writes the data that a document makes.
func (x *xmlDocument) write(w *jsonWriter) {
	w.put(`{"root":`)
	x.writeElement(w, 0)
	w.put(`}`)
}

func (x *xmlDocument) writeElement(w *jsonWriter, node int) {
	n := &x.nodes[node]
	first := node + 1 // child, or what follows the element
	for first < len(x.nodes) && x.nodes[first].attribute {
		first++
	}
	isParent := first < len(x.nodes) && x.nodes[first].depth > n.depth
	if first == node+1 && !isParent {
		w.put(`"`)
		x.writeText(w, int(n.value.start), int(n.value.end))
		w.put(`"`)
		return
	}
	separator := `{"`
	for i := node + 1; i < first; i++ {
		w.put(separator)
		separator = `,"`
		w.put(`@`)
		w.text(x.nodes[i].name.of(x.src))
		w.put(`":"`)
		writeXMLText(w, x.nodes[i].value.of(x.src))
		w.put(`"`)
	}
	if isParent {
		x.writeChildren(w, first, separator)
		separator = `,"`
	}
	x.writeValue(w, node, first, isParent, separator)
	w.put(`}`)
}

func (x *xmlDocument) writeChildren(w *jsonWriter, first int, separator string) {
	for child := first; child > 0; child = int(x.nodes[child].sibling) {
		c := &x.nodes[child]
		if c.repeated {
			continue
		}
		w.put(separator)
		separator = `,"`
		w.text(c.name.of(x.src))
		w.put(`":`)
		if c.next == 0 {
			x.writeElement(w, child)
			continue
		}
		bracket := `[`
		for same := child; same > 0; same = int(x.nodes[same].next) {
			w.put(bracket)
			bracket = `,`
			x.writeElement(w, same)
		}
		w.put(`]`)
	}
}

// writeValue writes the text of an element that has attributes or children, where it has any.
func (x *xmlDocument) writeValue(w *jsonWriter, node, first int, isParent bool, separator string) {
	begun := false
	run := int(x.nodes[node].value.start)
	write := func(end int) {
		if x.isBlank(run, end) {
			return
		}
		if !begun {
			w.put(separator)
			w.put(`#value":"`)
			begun = true
		}
		x.writeText(w, run, end)
	}
	if isParent {
		for child := first; child > 0; child = int(x.nodes[child].sibling) {
			write(int(x.nodes[child].name.start) - 1)
			tag := int(x.nodes[child].value.end) // that ends it
			run = tag + upTo(x.src[tag:], ">") + 1
		}
	}
	write(int(x.nodes[node].value.end))
	if begun {
		w.put(`"`)
	}
}

// writeText writes what a run of text between two tags says, nothing where it is blank.
func (x *xmlDocument) writeText(w *jsonWriter, run, end int) {
	if x.isBlank(run, end) {
		return
	}
	for run < end {
		piece, isCDATA, next := x.piece(run, end)
		if isCDATA {
			writeLines(w, piece)
		} else {
			writeXMLText(w, piece)
		}
		run = next
	}
}

// isBlank reports whether a run of text says nothing but blanks.
func (x *xmlDocument) isBlank(run, end int) bool {
	for run < end {
		piece, isCDATA, next := x.piece(run, end)
		for i := 0; i < len(piece); i++ {
			c := piece[i]
			if c == '&' && !isCDATA {
				r, size := decodeReference(piece[i:])
				c = byte(min(r, 0x7f)) //nolint:gosec // at most 0x7f
				i += size - 1
			}
			if !isBlank(c) {
				return false
			}
		}
		run = next
	}
	return true
}

// piece gives what begins at i of a run of text that was checked: text, or what is inside of a CDATA section, or nothing of a comment
// or an instruction; and where the next piece begins.
func (x *xmlDocument) piece(i, end int) (text []byte, isCDATA bool, next int) {
	switch src := x.src[:end]; {
	case src[i] != '<':
		next = i + upTo(src[i:], "<")
		return src[i:next], false, next
	case x.begins(i, cdataStart):
		inside := i + len(cdataStart)
		next = inside + upTo(src[inside:], cdataEnd)
		return src[inside:next], true, next + len(cdataEnd)
	case x.begins(i, commentStart):
		return nil, false, x.comment(i)
	default:
		return nil, false, i + upTo(src[i:], "?>") + len("?>")
	}
}

// writeXMLText writes text, or the value of an attribute, with its references decoded.
func writeXMLText(w *jsonWriter, text []byte) {
	for {
		i := upTo(text, "&")
		writeLines(w, text[:i])
		if i == len(text) {
			return
		}
		r, size := decodeReference(text[i:])
		w.rune(r)
		text = text[i+size:]
	}
}

// writeLines writes text whose lines may end in \r\n or \r: both are \n (XML 1.0, 2.11).
func writeLines(w *jsonWriter, text []byte) {
	for {
		i := bytes.IndexByte(text, '\r')
		if i < 0 {
			w.text(text)
			return
		}
		w.text(text[:i])
		w.char('\n')
		text = bytes.TrimPrefix(text[i+1:], []byte("\n"))
	}
}
