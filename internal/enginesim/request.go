package enginesim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// Names of the members of a task's data that are the engine's own.
const (
	nameURL = "__callback_url"
	nameSim = "__sim"
)

// op is one operation. Its slices are nil where the member is absent, and point into the body unless said otherwise.
type op struct {
	typ, obj             []byte // text; a copy where the body has escapes
	id, ref, conv, objID []byte // JSON as it was written

	noObject bool   // data is there, and neither an object nor []
	data     []byte // a copy, less the engine's own members
	url      string // a copy; empty when absent or no string
	sim      []byte // JSON
}

// reader walks one package at a time.
type reader struct {
	dec jsontext.Decoder
	buf bytes.Buffer
	raw []byte // the body
}

// readers pools reader.
type readers struct{ pool sync.Pool }

// read reads a package. Its error says where the body stops making sense.
func (p *readers) read(body []byte) ([]op, error) {
	r := p.borrow(body)
	defer p.giveBack(r)
	return r.pack()
}

func (p *readers) borrow(body []byte) *reader {
	r, ok := p.pool.Get().(*reader)
	if !ok {
		r = new(reader)
	}
	// The Buffer aliases body and the Decoder the Buffer: nothing is copied.
	r.buf, r.raw = *bytes.NewBuffer(body), body
	r.dec.Reset(&r.buf, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	return r
}

func (p *readers) giveBack(r *reader) {
	r.buf, r.raw = bytes.Buffer{}, nil
	p.pool.Put(r)
}

func (r *reader) pack() (ops []op, err error) {
	err = r.object(func(name []byte, _ int) error {
		if string(name) == "ops" {
			ops, err = r.ops(ops[:0])
			return err
		}
		return r.dec.SkipValue()
	})
	if err != nil {
		return nil, err
	}
	if _, err := r.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read package: something follows it")
	}
	if len(ops) == 0 {
		return nil, errors.New("read package: it has no ops")
	}
	return ops, nil
}

// ops reads an array of ops, or a single one.
func (r *reader) ops(ops []op) ([]op, error) {
	if r.dec.PeekKind() == '{' {
		o, err := r.op()
		return append(ops, o), err
	}
	if r.dec.PeekKind() != '[' {
		return nil, errors.New("read ops: neither array nor object")
	}
	_, _ = r.dec.ReadToken()
	for r.dec.PeekKind() != ']' {
		o, err := r.op()
		if err != nil {
			return nil, err
		}
		ops = append(ops, o)
	}
	_, err := r.dec.ReadToken()
	return ops, err
}

func (r *reader) op() (o op, err error) {
	err = r.object(func(name []byte, _ int) (err error) {
		switch string(name) {
		case "type":
			o.typ, err = r.text()
		case "obj":
			o.obj, err = r.text()
		case "id":
			o.id, err = r.value()
		case "ref":
			o.ref, err = r.value()
		case "conv_id":
			o.conv, err = r.value()
		case "obj_id":
			o.objID, err = r.value()
		case "data":
			err = r.data(&o)
		default:
			err = r.dec.SkipValue()
		}
		return err
	})
	return o, err
}

// data reads an op's data. null and an empty array, as PHP clients write it, count as an empty object.
func (r *reader) data(o *op) error {
	o.data, o.url, o.sim = nil, "", nil // the last of several data members counts
	if r.dec.PeekKind() != '{' {
		v, err := r.value()
		o.noObject = string(v) != "null" && (!bytes.HasPrefix(v, []byte("[")) || len(bytes.Trim(v, "[] \t\r\n")) > 0)
		return err
	}
	o.noObject = false
	o.data = append(o.data, '{')
	err := r.object(func(name []byte, start int) error {
		switch string(name) {
		case nameURL:
			text, err := r.text()
			o.url = string(text)
			return err
		case nameSim:
			sim, err := r.value()
			o.sim = sim
			return err
		}
		if err := r.dec.SkipValue(); err != nil {
			return err
		}
		if len(o.data) > 1 {
			o.data = append(o.data, ',')
		}
		o.data = append(o.data, r.raw[start:r.dec.InputOffset()]...)
		return nil
	})
	o.data = append(o.data, '}')
	return err
}

// object reads an object. member is given each name, as text, and where it starts in the body; it reads the value.
func (r *reader) object(member func(name []byte, start int) error) error {
	if r.dec.PeekKind() != '{' {
		return fmt.Errorf("read at byte %d: no object", r.dec.InputOffset())
	}
	_, _ = r.dec.ReadToken()
	for r.dec.PeekKind() == '"' {
		name, err := r.value()
		if err != nil {
			return err
		}
		start := int(r.dec.InputOffset()) - len(name)
		if err := member(unquoted(name), start); err != nil {
			return err
		}
	}
	_, err := r.dec.ReadToken()
	return err
}

// value reads any value and gives its bytes in the body.
func (r *reader) value() ([]byte, error) {
	v, err := r.dec.ReadValue()
	if err != nil {
		return nil, fmt.Errorf("read at byte %d: %w", r.dec.InputOffset(), err)
	}
	end := int(r.dec.InputOffset())
	return r.raw[end-len(v) : end], nil
}

// text reads any value and gives the text of a string, nil for anything else.
func (r *reader) text() ([]byte, error) {
	v, err := r.value()
	if err != nil || len(v) == 0 || v[0] != '"' {
		return nil, err
	}
	return unquoted(v), nil
}

// unquoted is the text of a string that was read already, so that all AppendUnquote can find is a lone surrogate.
func unquoted(v []byte) []byte {
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, v)
	return text
}
