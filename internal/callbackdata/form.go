package callbackdata

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"unicode/utf8"
)

// isSystem reports whether a name of a callback's query is no data: an API Call node adds these when it is set to send
// system parameters, as it is by default.
func isSystem(name []byte) bool {
	return sameForm(name, []byte("conv_signature")) || sameForm(name, []byte("conv_time")) || sameForm(name, []byte("conv_id"))
}

// form is a form, of either encoding, or a query while it is read.
type form struct {
	body   []byte
	fields []formField
	names  groups
	most   int      // fields
	decode nextByte // of a name
	plain  bool     // a text stands as it is, and is not decoded as a name is
}

// nextByte decodes what begins at i of s, and gives the offset behind it.
type nextByte func(s []byte, i int) (c byte, next int)

func newForm(body []byte, parts int, decode nextByte) form {
	most := partsOf(body)
	parts = min(parts, most)
	return form{body: body, fields: make([]formField, 0, parts), names: newGroups(parts), most: most, decode: decode}
}

// formField is a pair: offsets of its name and its text, and the next one of the same name, 0 when there is none: the first is
// nobody's next.
type formField struct {
	name, text span
	next       place
	repeated   bool // an earlier one has the name
}

// formData makes an object of strings of a form or a query; a repeated name makes an array, where it came first. skip may be nil.
func formData(body []byte, skip func(name []byte) bool) ([]byte, error) {
	if !fits(body) {
		return nil, errTooLarge
	}
	f := newForm(body, bytes.Count(body, []byte{'&'})+1, formByte)
	for start := 0; start < len(body); {
		end := start + len(body[start:])
		if n := bytes.IndexByte(body[start:], '&'); n >= 0 {
			end = start + n
		}
		if err := f.pair(start, end, skip); err != nil {
			return nil, err
		}
		start = end + 1
	}
	return f.data()
}

// data is the form as JSON.
func (f *form) data() ([]byte, error) {
	data := written(f.write)
	if !utf8.Valid(data) { // of the whole at once: no sequence goes over the quotes between two texts
		return nil, errors.New("form: is not UTF-8")
	}
	return data, nil
}

// pair reads the pair in a stretch of the body.
func (f *form) pair(start, end int, skip func(name []byte) bool) error {
	name, text, _ := bytes.Cut(f.body[start:end], []byte{'='})
	if start == end || skip != nil && skip(name) {
		return f.check(start, end)
	}
	return f.add(spanOf(start, start+len(name)), spanOf(end-len(text), end))
}

// check refuses control characters, which would be six bytes of JSON each.
func (f *form) check(start, end int) error {
	for i, c := range f.body[start:end] {
		if c < ' ' && !isBlank(c) {
			return fmt.Errorf("form: at byte %d: control character", start+i)
		}
	}
	return nil
}

// add adds a field.
func (f *form) add(name, text span) error {
	for _, part := range [...]span{name, text} {
		if err := f.check(int(part.start), int(part.end)); err != nil {
			return err
		}
	}
	n := len(f.fields)
	if n == f.most {
		return fmt.Errorf("form: has more than %d fields", f.most)
	}
	f.fields = append(f.fields, formField{name: name, text: text})
	spelled := name.of(f.body)
	earlier, repeated := f.names.swap(f.hash(spelled), n, func(earlier int) bool {
		return sameDecoded(f.fields[earlier].name.of(f.body), spelled, f.decode)
	})
	if repeated {
		f.fields[earlier].next = placeOf(n)
		f.fields[n].repeated = true
	}
	return nil
}

func (f *form) write(w *jsonWriter) {
	separator := `{"`
	for i := range f.fields {
		field := &f.fields[i]
		if field.repeated {
			continue
		}
		w.put(separator)
		separator = `,"`
		f.writeDecoded(w, field.name)
		if field.next == 0 {
			w.put(`":"`)
			f.writeText(w, field.text)
			w.put(`"`)
			continue
		}
		w.put(`":["`)
		for f.writeText(w, field.text); field.next != 0; f.writeText(w, field.text) {
			field = &f.fields[field.next]
			w.put(`","`)
		}
		w.put(`"]`)
	}
	if separator == `{"` {
		w.put(`{`)
	}
	w.put(`}`)
}

func (f *form) writeText(w *jsonWriter, s span) {
	if f.plain {
		w.text(s.of(f.body))
	} else {
		f.writeDecoded(w, s)
	}
}

func (f *form) writeDecoded(w *jsonWriter, s span) {
	text := s.of(f.body)
	for i := 0; i < len(text); {
		var c byte
		c, i = f.decode(text, i)
		w.char(c)
	}
}

// formByte decodes what begins at i, + or %XX or a byte that is itself, and gives the offset behind it. A % that begins no escape is
// itself too, as browsers and servers read it.
func formByte(s []byte, i int) (c byte, next int) {
	switch c := s[i]; {
	case c == '+':
		return ' ', i + 1
	case c == '%' && i+2 < len(s):
		high, ok := hexDigit(s[i+1])
		low, too := hexDigit(s[i+2])
		if ok && too {
			return high<<4 | low, i + 3
		}
	}
	return s[i], i + 1
}

// hexDigit gives the value of a hexadecimal digit. It is not ok when it is none.
func hexDigit(c byte) (value byte, ok bool) {
	switch lower := c | 0x20; {
	case isDigit(c):
		return c - '0', true
	case lower >= 'a' && lower <= 'f':
		return lower - 'a' + 10, true
	default:
		return 0, false
	}
}

// sameForm reports whether two texts of a query are the same when decoded.
func sameForm(a, b []byte) bool { return sameDecoded(a, b, formByte) }

func sameDecoded(a, b []byte, decode nextByte) bool {
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		var x, y byte
		x, i = decode(a, i)
		y, j = decode(b, j)
		if x != y {
			return false
		}
	}
	return i == len(a) && j == len(b)
}

// hash is that of a name when decoded.
func (f *form) hash(name []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(f.names.seed)
	for i := 0; i < len(name); {
		var c byte
		c, i = f.decode(name, i)
		_ = h.WriteByte(c) // its error is always nil
	}
	return h.Sum64()
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
