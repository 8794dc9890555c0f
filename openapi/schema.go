package openapi

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// embedded makes a JSON Schema that was a document of its own a part of the description, at a pointer into it. What refers to a part of the schema refers to
// it there. An identifier of the schema goes, as references would be relative to it. A part with an identifier of its own stays as it is.
func embedded(schema *yaml.Node, at string) *yaml.Node {
	if schema.Kind != yaml.MappingNode {
		return schema // true or false
	}
	m := mover{at: at, anchors: make(map[string]string)}
	if id := member(schema, "$id"); id != nil {
		m.id = strings.TrimSuffix(id.Value, "#")
	}
	for _, name := range []string{"$id", "$schema"} {
		if name == "$schema" && !isDefaultDialect(member(schema, name)) {
			continue // a reader of the description has to know
		}
		remove(schema, name)
	}
	m.walk(schema, "", m.anchor)
	m.walk(schema, "", m.move)
	return schema
}

func isDefaultDialect(n *yaml.Node) bool {
	return n == nil || strings.TrimSuffix(n.Value, "#") == "https://json-schema.org/draft/2020-12/schema"
}

// remove takes a member out of a mapping.
func remove(n *yaml.Node, name string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			n.Content = append(n.Content[:i:i], n.Content[i+2:]...)
			return
		}
	}
}

// mover changes what refers to parts of a schema.
type mover struct {
	at, id  string
	anchors map[string]string // the pointers of what has one
}

// walk calls f with every schema in a schema, with its pointer. A part with an identifier of its own is another document.
func (m *mover) walk(n *yaml.Node, pointer string, f func(n *yaml.Node, pointer string)) {
	if n.Kind != yaml.MappingNode || pointer != "" && member(n, "$id") != nil {
		return
	}
	f(n, pointer)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i].Value, n.Content[i+1]
		here := pointer + "/" + escaped(name)
		switch name {
		case "properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies": // schemas by name
			for j := 0; j+1 < len(value.Content) && value.Kind == yaml.MappingNode; j += 2 {
				m.walk(value.Content[j+1], here+"/"+escaped(value.Content[j].Value), f)
			}
		case "allOf", "anyOf", "oneOf", "prefixItems", "items":
			m.each(value, here, f)
		case "additionalProperties", "unevaluatedProperties", "propertyNames", "additionalItems", "unevaluatedItems", "contains", "not", "if", "then", "else", "contentSchema":
			m.walk(value, here, f)
		}
	}
}

// each walks the schemas of an array, or the one schema that stands in the place of one.
func (m *mover) each(n *yaml.Node, pointer string, f func(n *yaml.Node, pointer string)) {
	if n.Kind != yaml.SequenceNode {
		m.walk(n, pointer, f)
		return
	}
	for i, item := range n.Content {
		m.walk(item, pointer+"/"+toNode(i).Value, f)
	}
}

// anchor notes the anchor of a schema.
func (m *mover) anchor(n *yaml.Node, pointer string) {
	if a := member(n, "$anchor"); a != nil {
		m.anchors[a.Value] = pointer
	}
}

// move changes the reference of a schema, if it is to a part of the same document.
func (m *mover) move(n *yaml.Node, _ string) {
	remove(n, "$anchor") // two routes can have the same
	r := member(n, "$ref")
	if r == nil {
		return
	}
	rest := r.Value
	if m.id != "" {
		rest = strings.TrimPrefix(rest, m.id)
	}
	switch fragment, ok := strings.CutPrefix(rest, "#"); {
	case !ok && rest != "":
		return // a meta-schema
	case fragment == "" || strings.HasPrefix(fragment, "/"):
		r.SetString(m.at + fragment)
	default:
		if pointer, known := m.anchors[fragment]; known {
			r.SetString(m.at + pointer)
		}
	}
}

// escaped writes a name as a part of a JSON Pointer in a URL (RFC 6901, 6).
func escaped(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "%", "%25", "#", "%23", "\"", "%22", " ", "%20").Replace(name)
}
