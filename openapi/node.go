package openapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// object makes a mapping of names and values, which take turns, in this order. A value is as toNode takes it; one that is nil leaves its name out.
func object(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for i := 0; i+1 < len(pairs); i += 2 {
		set(n, pairs[i].(string), pairs[i+1])
	}
	return n
}

// list makes a sequence.
func list(items ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, item := range items {
		n.Content = append(n.Content, toNode(item))
	}
	return n
}

// toNode makes a node of a text, a number, a boolean, or a list of texts. A node stays itself.
func toNode(v any) *yaml.Node {
	switch v := v.(type) {
	case *yaml.Node:
		return v
	case string:
		n := new(yaml.Node)
		n.SetString(v)
		return n
	case []string:
		n := list()
		for _, text := range v {
			n.Content = append(n.Content, toNode(text))
		}
		return n
	case int:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.Itoa(v)}
	case bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.FormatBool(v)}
	}
	panic(fmt.Sprintf("openapi: no node can be made of %T", v)) // the values are written here
}

// set puts a member into a mapping, at its end or in the place of one with the name. nil: nothing happens.
func set(n *yaml.Node, name string, v any) {
	if v == nil {
		return
	}
	if node, ok := v.(*yaml.Node); ok && node == nil {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			n.Content[i+1] = toNode(v)
			return
		}
	}
	n.Content = append(n.Content, toNode(name), toNode(v))
}

// member gives that of a mapping, nil where there is none.
func member(n *yaml.Node, name string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// clone copies a node with all below it, for yaml.Dump: that takes the tags off the nodes that it writes.
func clone(n *yaml.Node) *yaml.Node {
	c := *n
	c.Content = make([]*yaml.Node, len(n.Content))
	for i := range n.Content {
		c.Content[i] = clone(n.Content[i])
	}
	return &c
}

// refTo makes a reference to a part of components.
func refTo(kind, name string) *yaml.Node { return object("$ref", refPrefix+kind+"/"+name) }

const refPrefix = "#/components/"

// appendJSON appends a node as JSON.
func appendJSON(dst []byte, n *yaml.Node, indent string) ([]byte, error) {
	const step = "  "
	switch n.Kind {
	case yaml.MappingNode:
		return appendItems(dst, "{}", len(n.Content)/2, indent, func(dst []byte, i int) ([]byte, error) {
			dst = append(appendText(dst, n.Content[2*i].Value), ": "...)
			return appendJSON(dst, n.Content[2*i+1], indent+step)
		})
	case yaml.SequenceNode:
		return appendItems(dst, "[]", len(n.Content), indent, func(dst []byte, i int) ([]byte, error) {
			return appendJSON(dst, n.Content[i], indent+step)
		})
	case yaml.ScalarNode:
		return appendScalar(dst, n)
	default:
		return nil, errors.New("it has an alias or a part that JSON has not")
	}
}

// appendItems appends the members of an object, or the elements of an array, each on a line of its own.
func appendItems(dst []byte, brackets string, count int, indent string, item func(dst []byte, i int) ([]byte, error)) ([]byte, error) {
	if count == 0 {
		return append(dst, brackets...), nil
	}
	dst = append(dst, brackets[0])
	for i := range count {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = item(append(dst, "\n"+indent+"  "...), i); err != nil {
			return nil, err
		}
	}
	return append(dst, "\n"+indent+brackets[1:]...), nil
}

func appendScalar(dst []byte, n *yaml.Node) ([]byte, error) {
	if n.Tag == "" { // a number or a boolean that toNode or nextJSON has made: what is read from YAML has a tag, and a text that is made here too
		return append(dst, n.Value...), nil
	}
	switch n.ShortTag() {
	case "!!null":
		return append(dst, "null"...), nil
	case "!!bool", "!!int", "!!float":
		if json.Valid([]byte(n.Value)) { // as everything here writes them
			return append(dst, n.Value...), nil
		}
		return nil, fmt.Errorf("the value %q is none of JSON: quote it, or write it as JSON does", n.Value)
	}
	return appendText(dst, n.Value), nil
}

// appendText appends a JSON string.
func appendText(dst []byte, text string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string never fails
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

// mostDepth bounds how deep a schema of the configuration can be nested: what reads the description is recursive.
const mostDepth = 500

// fromJSON reads JSON. Members keep their order, and numbers their digits.
func fromJSON(text []byte) (*yaml.Node, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	n, err := nextJSON(d, 0)
	if err == nil {
		if _, end := d.Token(); !errors.Is(end, io.EOF) {
			err = errors.New("something stands behind it")
		}
	}
	return n, err
}

func nextJSON(d *json.Decoder, depth int) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	if depth > mostDepth {
		return nil, fmt.Errorf("it is nested more than %d deep", mostDepth)
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			return objectJSON(d, depth)
		}
		n := list()
		for d.More() {
			item, err := nextJSON(d, depth+1)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, item)
		}
		_, err := d.Token()
		return n, err
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: token.String()}, nil
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
	}
	return toNode(token), nil
}

// objectJSON reads an object up to its end. Of members with one name the last one counts, as for those who check bodies by the schema.
func objectJSON(d *json.Decoder, depth int) (*yaml.Node, error) {
	n, seen := object(), make(map[string]int)
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		value, err := nextJSON(d, depth+1)
		if err != nil {
			return nil, err
		}
		if at, again := seen[name]; again {
			n.Content[at] = value
			continue
		}
		n.Content = append(n.Content, toNode(name), value)
		seen[name] = len(n.Content) - 1
	}
	_, err := d.Token()
	return n, err
}
