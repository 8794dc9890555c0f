package enginesim

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// result is what the task's n-th callback reports, before it is put into a format.
func (t *task) result(n int) []byte {
	if t.behaviour.Body == "" {
		return t.data
	}
	return []byte(strings.NewReplacer(
		"{{data}}", string(t.data),
		"{{obj_id}}", t.objID,
		"{{ref}}", string(plain([]byte(t.ref))),
		"{{n}}", strconv.Itoa(n),
	).Replace(t.behaviour.Body))
}

// payload is a callback's body and its type. The chosen body of a JSON callback is sent as it is, JSON or not.
func (t *task) payload(n int) (contentType string, body []byte, err error) {
	result := t.result(n)
	switch t.behaviour.Format {
	case FormatForm:
		contentType = "application/x-www-form-urlencoded"
		body, err = form(result)
	case FormatXML:
		contentType = "application/xml; charset=utf-8"
		var b bytes.Buffer
		err = writeXML(&b, "root", bytes.TrimSpace(result))
		body = b.Bytes()
	case FormatEmpty:
		contentType = "application/json; charset=utf-8"
	case FormatCorezoid:
		contentType = "application/json; charset=utf-8"
		body = t.corezoid(result)
	case FormatJSON:
		contentType, body = "application/json; charset=utf-8", result
	}
	if t.behaviour.ContentType != "" {
		contentType = t.behaviour.ContentType
	}
	return contentType, body, err
}

// corezoid is the package that an API Call node sends in its own format; who is called reads extra.
func (t *task) corezoid(result []byte) []byte {
	dst := append([]byte(`{"ops":[{"ref":`), orNull(t.ref)...)
	dst = append(dst, `,"type":"data","obj":"task","obj_id":"`+t.objID+`","conv_id":`...)
	dst = append(dst, orNull(t.conv)...)
	dst = append(dst, `,"node_id":"`+t.objID+`","data":`...)
	dst = append(dst, t.data...)
	dst = append(dst, `,"extra":`...)
	dst = append(dst, result...)
	return append(dst, `}]}`...)
}

func orNull(value string) string {
	if value == "" {
		return "null"
	}
	return value
}

// form writes an object as urlencoded: an array as repeated keys, other values than strings as JSON.
func form(object []byte) ([]byte, error) {
	values := make(url.Values)
	err := members(object, func(name string, value []byte) error {
		if value[0] != '[' {
			values.Add(name, string(plain(value)))
			return nil
		}
		return elements(value, func(element []byte) error {
			values.Add(name, string(plain(element)))
			return nil
		})
	})
	return []byte(values.Encode()), err
}

// writeXML writes a value as an element: @name as attributes, #value as text, arrays as repeated elements.
func writeXML(b *bytes.Buffer, name string, value []byte) error {
	switch value[0] {
	case '[':
		return elements(value, func(element []byte) error { return writeXML(b, name, element) })
	case '{':
	default:
		fmt.Fprintf(b, "<%s>%s</%s>", name, escaped(value), name)
		return nil
	}
	var attributes, inner bytes.Buffer
	err := members(value, func(member string, value []byte) error {
		if attribute, ok := strings.CutPrefix(member, "@"); ok {
			fmt.Fprintf(&attributes, ` %s="%s"`, attribute, escaped(value))
			return nil
		}
		if member == "#value" {
			inner.Write(escaped(value))
			return nil
		}
		return writeXML(&inner, member, value)
	})
	fmt.Fprintf(b, "<%s%s>%s</%s>", name, &attributes, &inner, name)
	return err
}

func escaped(value []byte) []byte {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, plain(value)) // a Buffer takes everything
	return b.Bytes()
}

// members gives each member of an object, its value as JSON.
func members(object []byte, each func(name string, value []byte) error) error {
	dec := jsontext.NewDecoder(bytes.NewBuffer(object), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if dec.PeekKind() != '{' {
		return fmt.Errorf("write result: %.20s is no object", object)
	}
	_, err := dec.ReadToken()
	for err == nil && dec.PeekKind() == '"' {
		name, nameErr := dec.ReadToken()
		if nameErr != nil {
			return nameErr
		}
		text := name.String()
		var value jsontext.Value
		if value, err = dec.ReadValue(); err == nil {
			err = each(text, value)
		}
	}
	return err
}

// elements gives each element of an array, as JSON.
func elements(array []byte, each func(value []byte) error) error {
	dec := jsontext.NewDecoder(bytes.NewBuffer(array), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	_, err := dec.ReadToken()
	for err == nil && dec.PeekKind() != ']' {
		var value jsontext.Value
		if value, err = dec.ReadValue(); err == nil {
			err = each(value)
		}
	}
	return err
}

// plain is the text of a JSON string, and any other value as it is.
func plain(value []byte) []byte {
	if len(value) == 0 || value[0] != '"' {
		return value
	}
	return unquoted(value)
}

// appendString writes text as a JSON string.
func appendString(dst []byte, text string) []byte {
	dst, _ = jsontext.AppendQuote(dst, text) // what is not UTF-8 is replaced
	return dst
}
