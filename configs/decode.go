package configs

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"
)

// decoder fills a Config from a YAML tree. It goes on after a problem, so that all of them are found.
type decoder struct {
	env   map[string]string
	note  func(key string, n *yaml.Node)              // n sets key
	wrong func(key string, n *yaml.Node, text string) // n cannot set key
}

func (d *decoder) decode(key string, n *yaml.Node, v reflect.Value) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	d.note(key, n)
	switch {
	case isSection(v.Type()):
		d.section(key, n, v)
	case v.Kind() == reflect.Slice:
		d.list(key, n, v)
	case v.Kind() == reflect.Map:
		d.mapping(key, n, v)
	default:
		d.scalar(key, n, v)
	}
}

// section leaves the defaults where there is nothing below the key, as when all of it is commented out.
func (d *decoder) section(key string, n *yaml.Node, v reflect.Value) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.wrong(key, n, "must be a section with keys: "+names(v))
		return
	}
	lines := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		f, known := lookUp(v, name.Value)
		at := join(key, name.Value)
		first := lines[name.Value]
		switch {
		case !known && looksLikeKey(name.Value):
			d.wrong(at, name, "is not a key; the keys here are: "+names(v))
		case !known:
			d.wrong(key, name, "has a key that there is not; here are: "+names(v))
		case first > 0:
			d.wrong(at, name, fmt.Sprintf("is set twice, first on line %d: remove one", first))
		default:
			lines[name.Value] = name.Line
			d.decode(at, value, f)
		}
	}
}

// list leaves the default where nothing follows the key.
func (d *decoder) list(key string, n *yaml.Node, v reflect.Value) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		d.wrong(key, n, "must be a list")
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, e := range n.Content {
		if section, ok := reflect.TypeAssert[defaulted](out.Index(i).Addr()); ok {
			section.SetDefaults()
		}
		d.decode(item(key, i), e, out.Index(i))
	}
	v.Set(out)
}

// defaulted is the type of a list's elements, if their keys have defaults.
type defaulted interface{ SetDefaults() }

// mapping takes names that the file chooses. Problems do not show them: a secret may stand in the wrong place.
func (d *decoder) mapping(key string, n *yaml.Node, v reflect.Value) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.wrong(key, n, "must be names with values, as in {name: value}")
		return
	}
	out := reflect.MakeMap(v.Type())
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := reflect.ValueOf(n.Content[i].Value)
		value := reflect.New(v.Type().Elem()).Elem()
		d.scalar(key, n.Content[i+1], value)
		if out.MapIndex(name).IsValid() {
			d.wrong(key, n.Content[i], "has a name twice: remove one")
		}
		out.SetMapIndex(name, value)
	}
	v.Set(out)
}

// scalar takes the text as it is written where a string is wanted, so that an all-digits login or secret needs no quotes. Text
// from a variable counts as unquoted whatever the quotes around its reference.
func (d *decoder) scalar(key string, n *yaml.Node, v reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		d.wrong(key, n, "must be a single value")
		return
	}
	if isNull(n) {
		d.wrong(key, n, "has no value: give one or remove the key")
		return
	}
	text, err := expand(n.Value, d.env)
	switch {
	case err != nil:
	case text == n.Value && isQuoted(n) && isNumberOrBool(v.Kind()):
		err = errors.New("must not be in quotes")
	default:
		err = setText(v, text)
	}
	if err != nil {
		d.wrong(key, n, err.Error())
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func isQuoted(n *yaml.Node) bool { return n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 }

// isNumberOrBool is true of what YAML has a type for, unlike durations and sizes.
func isNumberOrBool(k reflect.Kind) bool {
	return k == reflect.Int || k == reflect.Float64 || k == reflect.Bool
}

func lookUp(v reflect.Value, name string) (reflect.Value, bool) {
	for _, f := range fields(v) {
		if f.name == name {
			return f.value, true
		}
	}
	return reflect.Value{}, false
}

func names(v reflect.Value) string {
	var out []string
	for _, f := range fields(v) {
		out = append(out, f.name)
	}
	return strings.Join(out, ", ")
}
