package configs

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"syncgate/dialect/httpengine"
	"syncgate/dialect/metrici"
	"syncgate/dialect/os1"
	"syncgate/internal/setting"
)

// SchemaID is the $id of JSONSchema. It names the schema, and is no address: editors take the file.
const SchemaID = "urn:syncgate:configuration"

// JSONSchema writes a JSON Schema (draft 2020-12) of the configuration file. Keys, types and defaults come from Config, descriptions from the comments of
// reference.yaml. What it refuses Load refuses too: it knows each setting alone, and not whether several go together.
func JSONSchema() ([]byte, error) {
	w := schemaWriter{comments: readComments(reference), words: words(), required: required()}
	root := w.section("", reflect.ValueOf(Default()).Elem())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = SchemaID
	root["title"] = "Configuration of syncgate"
	root["description"] = "A file needs only what differs from the defaults. ${NAME} inside a value is the environment variable NAME."
	root["$defs"] = schemaTypes()
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(root); err != nil {
		return nil, fmt.Errorf("write the schema: %w", err)
	}
	return out.Bytes(), nil
}

// object is a schema, or a part of one. Package encoding/json writes its members in the order of their names.
type object = map[string]any

// variablePattern matches a text that has a variable in it, as expand reads it.
const variablePattern = `\$\{[A-Za-z_][A-Za-z0-9_]*\}`

// schemaTypes are the types of single values. Each takes a text with a variable, as what stands there is known only when the file is loaded.
func schemaTypes() object {
	or := func(all ...any) object { return object{"anyOf": append(all, object{"$ref": "#/$defs/variable"})} }
	text := func(pattern string) object { return object{"type": "string", "pattern": pattern} }
	return object{
		"variable": text(variablePattern),
		"text":     object{"type": []string{"string", "number", "boolean"}}, // 12345 needs no quotes
		"boolean":  or(object{"type": "boolean"}),
		"integer":  or(object{"type": "integer", "minimum": 0}),
		"number":   or(object{"type": "number", "minimum": 0}),
		"duration": or(text(`^\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`), object{"enum": []any{0, "0"}}),
		"size":     or(text(`^[0-9]+(KiB|MiB|GiB)?$`), object{"type": "integer", "minimum": 0}),
	}
}

// schemaWriter makes schemas of settings. Keys of what it has are key paths, with [] for the elements of a list and {} for the values of a map.
type schemaWriter struct {
	comments map[string]string
	words    map[string][]string
	required map[string][]string
}

// section makes the schema of a section. v has its defaults.
func (w *schemaWriter) section(key string, v reflect.Value) object {
	properties := object{}
	for _, f := range fields(v) {
		at := join(key, f.name)
		p := w.setting(at, f.value)
		text := w.comments[at]
		if !isSection(f.value.Type()) {
			text = cmp.Or(text, w.comments[key]) // that of a section which stands on one line
		}
		if text != "" {
			p["description"] = text
		}
		if !isSection(f.value.Type()) && !slices.Contains(w.required[key], f.name) {
			p["default"] = defaultOf(f.value)
		}
		properties[f.name] = p
	}
	out := object{"type": []string{"object", "null"}, "additionalProperties": false, "properties": properties} // null: all keys are commented out
	if names := w.required[key]; names != nil {
		out["required"] = names
	}
	return out
}

// setting makes the schema of a setting, without its description.
func (w *schemaWriter) setting(key string, v reflect.Value) object {
	t := v.Type()
	switch {
	case isSection(t):
		return w.section(key, v)
	case t.Kind() == reflect.Slice:
		return object{"type": []string{"array", "null"}, "items": w.element(key+"[]", t.Elem())}
	case t.Kind() == reflect.Map:
		out := object{"type": []string{"object", "null"}, "additionalProperties": w.scalar(key+"{}", t.Elem())}
		if names := w.words[key]; names != nil {
			out["propertyNames"] = object{"enum": names}
		}
		return out
	default:
		return w.scalar(key, t)
	}
}

// element makes the schema of an element of a list.
func (w *schemaWriter) element(key string, t reflect.Type) object {
	v := reflect.New(t)
	if d, ok := reflect.TypeAssert[defaulted](v); ok {
		d.SetDefaults()
	}
	out := w.setting(key, v.Elem())
	if t == reflect.TypeFor[OtherEngine]() {
		w.kinds(out)
	}
	if isSection(t) {
		out["type"] = "object" // an element has a name at least
	}
	return out
}

// scalar makes the schema of a single value.
func (w *schemaWriter) scalar(key string, t reflect.Type) object {
	if allowed := w.words[key]; allowed != nil {
		return object{"anyOf": []any{object{"enum": allowed}, object{"$ref": "#/$defs/variable"}}}
	}
	if pattern := textPatterns()[key]; pattern != "" {
		return object{"anyOf": []any{object{"type": "string", "pattern": pattern}, object{"$ref": "#/$defs/variable"}}}
	}
	return object{"$ref": "#/$defs/" + typeName(t)}
}

func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t == reflect.TypeFor[setting.ByteSize]():
		return "size"
	case t.Kind() == reflect.Bool:
		return "boolean"
	case t.Kind() == reflect.Int:
		return "integer"
	case t.Kind() == reflect.Float64:
		return "number"
	default:
		return "text"
	}
}

// defaultOf gives a default as a file has it: durations and sizes are texts.
func defaultOf(v reflect.Value) any {
	switch {
	case v.Kind() == reflect.Slice:
		all := make([]any, v.Len())
		for i := range all {
			all[i] = defaultOf(v.Index(i))
		}
		return all
	case v.Kind() == reflect.Map:
		return object{} // no map has a default that is not empty
	case slices.Contains([]string{"boolean", "integer", "number"}, typeName(v.Type())):
		return v.Interface()
	default:
		return text(v)
	}
}

// kinds adds to the schema of an engine what differs from kind to kind: the defaults, and the keys that others have.
func (w *schemaWriter) kinds(engine object) {
	for _, f := range fields(reflect.ValueOf(OtherEngine{})) {
		delete(engine["properties"].(object)[f.name].(object), "default")
	}
	var all []object
	for _, kind := range w.words["engines[].kind"] {
		all = append(all, object{
			"if":   object{"properties": object{"kind": object{"const": kind}}, "required": []string{"kind"}},
			"then": object{"properties": w.ofKind(kind)},
		})
	}
	engine["allOf"] = all
}

// ofKind makes the schemas of an engine's keys by its kind.
func (w *schemaWriter) ofKind(kind string) object {
	e := OtherEngine{Config: httpengine.Config{Kind: kind}}
	e.Merge = e.mergesByDefault()
	e.fill()
	foreign := foreignKeys(kind)
	out := object{}
	for _, f := range fields(reflect.ValueOf(e)) {
		switch {
		case slices.Contains(foreign, f.name):
			out[f.name] = nothing(f.value.Type())
		case !isSection(f.value.Type()) && !slices.Contains(w.required["engines[]"], f.name):
			out[f.name] = object{"default": defaultOf(f.value)}
		}
	}
	return out
}

// foreignKeys lists the keys of an engine that its kind does not have. They may be there, and have to say nothing, as what check prints does.
func foreignKeys(kind string) (all []string) {
	switch kind {
	case os1.Kind:
		all = []string{"callback_url", "result", "status"}
	case metrici.Kind:
		return []string{"callback_url", "os1"}
	default:
		all = []string{"os1"}
	}
	for _, f := range fields(reflect.ValueOf(metrici.EngineConfig{})) {
		all = append(all, f.name)
	}
	return all
}

// nothing makes the schema of a setting that must not be set.
func nothing(t reflect.Type) object {
	switch {
	case isSection(t):
		properties := object{}
		for _, f := range fields(reflect.New(t).Elem()) {
			properties[f.name] = nothing(f.value.Type())
		}
		return object{"properties": properties}
	case t.Kind() == reflect.Map:
		return object{"maxProperties": 0}
	case t.Kind() == reflect.Slice:
		return object{"maxItems": 0}
	default:
		return object{"const": reflect.Zero(t).Interface()}
	}
}
