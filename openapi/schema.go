package openapi

import (
	"net/url"
	"strings"

	"go.yaml.in/yaml/v4"
)

// embed makes a JSON Schema that was a document of its own fit to be a part of the description, under a name. What stands in its $defs becomes parts beside it, as
// programs that read descriptions want it, and what refers to a part of the schema refers to it there. An identifier of the schema goes, as references would
// be relative to it. A part with an identifier of its own stays as it is.
func (b *builder) embed(name string, schema *yaml.Node) {
	if schema.Kind != yaml.MappingNode {
		return // true or false
	}
	m := mover{at: refPrefix + "schemas/" + name, anchors: make(map[string]string)}
	if id := member(schema, "$id"); id != nil {
		m.id = strings.TrimSuffix(id.Value, "#")
	}
	remove(schema, "$id")
	if isDefaultDialect(member(schema, "$schema")) { // of another one a reader has to know
		remove(schema, "$schema")
	}
	m.walk(schema, "", m.anchor)
	for _, keyword := range []string{"$defs", "definitions"} {
		definitions := member(schema, keyword)
		if definitions == nil || definitions.Kind != yaml.MappingNode {
			continue
		}
		for i := 0; i+1 < len(definitions.Content); i += 2 {
			part := b.freeName(name + "_" + cleaned(definitions.Content[i].Value))
			m.moved = append(m.moved, moved{"/" + keyword + "/" + escaped(definitions.Content[i].Value), refPrefix + "schemas/" + part})
			b.own("schemas", part, definitions.Content[i+1])
		}
	}
	m.walk(schema, "", m.move)
	remove(schema, "$defs")
	remove(schema, "definitions")
}

// freeName gives a name that no schema of the description has.
func (b *builder) freeName(name string) string {
	for b.used["schemas/"+name] != nil || member(member(b.library, "schemas"), name) != nil {
		name += "_"
	}
	return name
}

// cleaned gives a name with characters alone that names of parts can have.
func cleaned(name string) string {
	return strings.Map(func(r rune) rune {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("._-", r) {
			return '_'
		}
		return r
	}, name)
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
	moved   []moved
}

// moved is a part of a schema that stands elsewhere.
type moved struct{ pointer, ref string }

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
	fragment, ok := strings.CutPrefix(rest, "#")
	if !ok && rest != "" {
		return // a meta-schema
	}
	pointer, err := url.PathUnescape(fragment)
	if anchored, known := m.anchors[pointer]; known {
		pointer = anchored
	}
	if err == nil && (pointer == "" || pointer[0] == '/') {
		r.SetString(m.ref(pointer))
	}
}

// ref gives a reference to a part of the schema.
func (m *mover) ref(pointer string) string {
	at := m.at
	for _, one := range m.moved {
		if rest, ok := strings.CutPrefix(pointer, one.pointer); ok && (rest == "" || rest[0] == '/') {
			at, pointer = one.ref, rest
			break
		}
	}
	return at + (&url.URL{Fragment: pointer}).EscapedFragment()
}

// escaped writes a name as a part of a JSON Pointer (RFC 6901).
func escaped(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }
