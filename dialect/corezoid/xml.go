package corezoid

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"syncgate/internal/splice"
)

const blanks = " \t\r\n" // of XML and JSON alike

func isXML(media []byte) bool {
	return isName(media, "application/xml") || isName(media, "text/xml") || isName(media, "application/soap+xml")
}

// trimXML drops what may stand before a document: a byte order mark and blanks.
func trimXML(body []byte) []byte {
	return bytes.TrimLeft(bytes.TrimPrefix(body, []byte("\ufeff")), blanks)
}

// xmlData makes {"root":…} of a document. An element is its text when it has neither attributes nor children, else an
// object: attributes are @name, children their name, text is #value; children of the same name make an array. Prefixes are
// kept, blank text is dropped. Only UTF-8 is read, and no entity but XML's own five.
func xmlData(body, charset []byte) ([]byte, error) {
	if len(charset) > 0 && !isName(charset, "utf-8") && !isName(charset, "utf8") {
		return nil, fmt.Errorf("XML: charset %.40q is not UTF-8", charset)
	}
	if !utf8.Valid(body) {
		return nil, errors.New("XML: is not UTF-8")
	}
	x := xmlReader{dec: xml.NewDecoder(bytes.NewReader(body))}
	if err := x.read(); err != nil {
		return nil, fmt.Errorf("XML: at byte %d: %w", x.dec.InputOffset(), err)
	}
	return x.root, nil
}

// xmlReader turns a document into JSON as it is read; what is open is on the stack.
type xmlReader struct {
	dec  *xml.Decoder
	open []xmlElement
	text []byte // of the open elements, the innermost last
	root []byte // the result
}

type xmlElement struct {
	name    string
	members object
	text    int // where its text begins
	run     int // where its text since the last tag begins
}

func (x *xmlReader) read() error {
	for {
		token, err := x.dec.RawToken() // raw: prefixes stay, and elements are matched here
		switch {
		case errors.Is(err, io.EOF) && x.root != nil:
			return nil
		case errors.Is(err, io.EOF):
			return errors.New("unexpected end")
		case err != nil:
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			err = x.start(token)
		case xml.EndElement:
			err = x.end(fullName(token.Name))
		case xml.CharData:
			err = x.chars(token)
		case xml.Directive:
			if bytes.Contains(token, []byte("ENTITY")) {
				err = errors.New("entities cannot be declared")
			}
		}
		if err != nil {
			return err
		}
	}
}

func (x *xmlReader) start(token xml.StartElement) error {
	switch {
	case x.root != nil:
		return errors.New("more than one root element")
	case len(x.open) == splice.MaxDepth:
		return fmt.Errorf("nested deeper than %d", splice.MaxDepth)
	}
	x.endRun()
	e := xmlElement{name: fullName(token.Name), text: len(x.text), run: len(x.text)}
	for _, a := range token.Attr {
		name := "@" + fullName(a.Name)
		if _, known := e.members.find(name); known {
			return fmt.Errorf("attribute %.60q appears twice", name[1:])
		}
		e.members.values = appendQuoted(e.members.values, a.Value)
		e.members.add(name)
	}
	x.open = append(x.open, e)
	return nil
}

func (x *xmlReader) end(name string) error {
	if len(x.open) == 0 || x.open[len(x.open)-1].name != name {
		return fmt.Errorf("element %.60q ends but is not open", name)
	}
	x.endRun()
	e := &x.open[len(x.open)-1]
	if len(x.open) == 1 {
		x.root = append(e.appendTo([]byte(`{"root":`), x.text), '}')
	} else {
		parent := &x.open[len(x.open)-2].members
		parent.values = e.appendTo(parent.values, x.text)
		parent.add(name)
	}
	x.text = x.text[:e.text]
	*e = xmlElement{}
	x.open = x.open[:len(x.open)-1]
	if len(x.open) > 0 {
		x.open[len(x.open)-1].run = len(x.text)
	}
	return nil
}

func (x *xmlReader) chars(text []byte) error {
	if len(x.open) == 0 {
		if len(bytes.Trim(text, blanks)) > 0 {
			return errors.New("text outside of the root element")
		}
		return nil
	}
	x.text = append(x.text, text...)
	return nil
}

// endRun drops the text between two tags when it is blank.
func (x *xmlReader) endRun() {
	if len(x.open) == 0 {
		return
	}
	if run := x.open[len(x.open)-1].run; len(bytes.Trim(x.text[run:], blanks)) == 0 {
		x.text = x.text[:run]
	}
}

func (e *xmlElement) appendTo(dst, texts []byte) []byte {
	text := texts[e.text:]
	if e.members.empty() {
		return appendQuoted(dst, text)
	}
	if len(text) > 0 {
		e.members.values = appendQuoted(e.members.values, text)
		e.members.add("#value")
	}
	return e.members.appendTo(dst)
}

// fullName is a name as it is written, with its prefix.
func fullName(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}
