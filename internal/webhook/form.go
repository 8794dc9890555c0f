package webhook

import (
	"bytes"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"syncgate/internal/callbackdata"
	"syncgate/internal/splice"
)

const typeForm = "application/x-www-form-urlencoded"

// field is a field of a form, or a parameter of a query, with each of its texts in order.
type field struct {
	name  string
	texts []string
}

// fieldsOf reads a form. Its errors quote no byte.
func fieldsOf(contentType, form []byte) (all []field, err error) {
	data, err := callbackdata.Form(contentType, form)
	if err != nil {
		return nil, err
	}
	var r splice.Reader
	if err := r.Reset(data); err != nil {
		return nil, err
	}
	if _, err := r.Enter(); err != nil {
		return nil, err
	}
	for { // an object whose members are strings or arrays of strings
		m, more, err := r.Member()
		if err != nil || !more {
			return all, err
		}
		f := field{name: string(m.Name)}
		if f.texts, err = textsOf(&r); err != nil {
			return nil, err
		}
		all = append(all, f)
	}
}

// textsOf reads a string, or an array of them.
func textsOf(r *splice.Reader) (texts []string, err error) {
	if r.Peek() == splice.String {
		at, err := r.Value()
		return []string{string(r.Text(at))}, err
	}
	if _, err := r.Enter(); err != nil {
		return nil, err
	}
	for {
		more, err := r.Element()
		if err != nil || !more {
			return texts, err
		}
		at, err := r.Value()
		if err != nil {
			return nil, err
		}
		texts = append(texts, string(r.Text(at)))
	}
}

// only gives the text of a field that stands once. It is not ok otherwise: a reader could take another one than who verifies.
func only(fields []field, name string) (text string, ok bool) {
	for _, f := range fields {
		if f.name == name {
			return f.texts[0], len(f.texts) == 1
		}
	}
	return "", false
}

// appendSorted appends each name and its text, sorted by name; a repeated name with each distinct text, sorted.
func appendSorted(dst []byte, fields []field) []byte {
	fields = slices.Clone(fields)
	slices.SortFunc(fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	for _, f := range fields {
		texts := slices.Compact(slices.Sorted(slices.Values(f.texts)))
		for _, text := range texts {
			dst = append(append(dst, f.name...), text...)
		}
	}
	return dst
}

// isForm reports whether a request says that its body is an urlencoded form.
func isForm(req *fasthttp.Request) bool {
	return bytes.EqualFold(callbackdata.MediaType(req.Header.ContentType()), []byte(typeForm))
}

// queryOf gives the query of a request, as it was sent.
func queryOf(req *fasthttp.Request) []byte {
	_, query, _ := bytes.Cut(req.Header.RequestURI(), []byte{'?'}) // raw: a URI whose host does not parse has no query
	return query
}
