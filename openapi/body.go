package openapi

import (
	"fmt"
	"net/http"

	"go.yaml.in/yaml/v4"

	"syncgate/dialect"
	"syncgate/dialect/rest"
)

// bodies reads the schemas of bodies. All of them have their names before the parts of one get theirs.
func (b *builder) bodies() error {
	var names []string
	for i := range b.Config.Routes {
		r := &b.Config.Routes[i]
		if r.Schema == "" {
			continue
		}
		text, ok := b.Schemas[r.Name]
		if !ok {
			return fmt.Errorf("routes[%d].schema: the schema is missing", i)
		}
		n, err := fromJSON(text)
		if err != nil {
			return fmt.Errorf("routes[%d].schema: read the file: %w", i, err)
		}
		names = append(names, bodyName+r.Name)
		b.own("schemas", bodyName+r.Name, n)
	}
	for _, name := range names {
		b.embed(name, b.used["schemas/"+name])
	}
	return nil
}

// bodyName begins the name of the schema of a body.
const bodyName = "Body_"

// bodyOf gives the schema of the data of a route's tasks, nil where there is none.
func (b *builder) bodyOf(r *rest.RouteConfig) *yaml.Node {
	if name := bodyName + r.Name; b.used["schemas/"+name] != nil {
		return refTo("schemas", name)
	}
	return nil
}

// body describes the body of a call, nil where the method has none.
func (b *builder) body(r *rest.RouteConfig, method string) *yaml.Node {
	data := b.bodyOf(r)
	bodiless := method == http.MethodGet || method == http.MethodDelete
	if bodiless && data == nil {
		return nil
	}
	content := object()
	schema := data
	if schema == nil {
		schema = object()
		if b.wantsObject(r) {
			schema = object("type", "object")
		}
	}
	switch {
	case r.View == rest.ViewOS1:
		schema = b.coreosBody(r, data)
	case r.Subscriptions:
		schema = object("anyOf", list(schema, b.beside(data, "Receiver")))
	}
	set(content, typeJSON, object("schema", schema))
	if data == nil && !b.wantsObject(r) && r.View != rest.ViewOS1 {
		set(content, typeAny, object("schema", object()))
	}
	n := object("content", content)
	if required := member(b.used["schemas/"+bodyName+r.Name], "required"); required != nil && len(required.Content) > 0 {
		set(n, "required", true)
	}
	return n
}

// wantsObject reports whether the members of the body become those of a task's data.
func (b *builder) wantsObject(r *rest.RouteConfig) bool {
	return r.Engine == dialect.DefaultEngine && (r.Data == "" || r.Data == rest.DataMembers || r.Data == rest.DataBoth)
}

// beside gives the schema of an object with members of the gateway's beside those of a task's data. A schema of the data that refuses further members
// cannot be put together with them: then the data stands in words.
func (b *builder) beside(data *yaml.Node, part string) *yaml.Node {
	ours := b.part("schemas", part)
	if data == nil || !isOpen(b.used["schemas/"+nameOf(data)]) {
		return ours
	}
	return object("allOf", list(data, ours))
}

// nameOf gives the name of the schema that a reference is to.
func nameOf(ref *yaml.Node) string {
	return member(ref, "$ref").Value[len(refPrefix+"schemas/"):]
}

// isOpen reports whether a schema is that of an object which can have further members. What cannot be said at a glance is not.
func isOpen(schema *yaml.Node) bool {
	for _, keyword := range []string{
		"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "not", "if", "additionalProperties", "unevaluatedProperties", "propertyNames", "maxProperties",
		"patternProperties", "const", "enum",
	} {
		if member(schema, keyword) != nil {
			return false
		}
	}
	return schema != nil && schema.Kind == yaml.MappingNode
}
