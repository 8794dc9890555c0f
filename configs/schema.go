package configs

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// field is a key of a section.
type field struct {
	name  string
	value reflect.Value
}

// fields lists the keys of the section v, in order; those of embedded sections are its own.
func fields(v reflect.Value) []field {
	var out []field
	for _, f := range reflect.VisibleFields(v.Type()) {
		if name := f.Tag.Get("yaml"); name != "" && name != "-" {
			out = append(out, field{name, v.FieldByIndex(f.Index)})
		}
	}
	return out
}

// isSection reports whether values of the type have keys of their own.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// isSectionList reports whether values of the type are lists of sections.
func isSectionList(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && isSection(t.Elem())
}

// isFileOnly reports whether the environment cannot spell values of the type.
func isFileOnly(t reflect.Type) bool { return isSectionList(t) || t.Kind() == reflect.Map }

// walk calls visit for every setting below v that is not a section, with its key path. Lists are one setting each.
func walk(v reflect.Value, key string, visit func(key string, v reflect.Value)) {
	if !isSection(v.Type()) {
		visit(key, v)
		return
	}
	for _, f := range fields(v) {
		walk(f.value, join(key, f.name), visit)
	}
}

// walkSections calls visit for every section below v, those in lists too.
func walkSections(v reflect.Value, key string, visit func(key string, section reflect.Value)) {
	switch {
	case isSection(v.Type()):
		visit(key, v)
		for _, f := range fields(v) {
			walkSections(f.value, join(key, f.name), visit)
		}
	case isSectionList(v.Type()):
		for i := range v.Len() {
			walkSections(v.Index(i), item(key, i), visit)
		}
	}
}

// setText sets a scalar from its text. Its errors say what would do and never show the text, which may be a secret.
func setText(v reflect.Value, text string) error {
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		return u.UnmarshalText([]byte(text))
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		return setDuration(v, text)
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
		return nil
	case reflect.Bool:
		if text != "true" && text != "false" {
			return errors.New("must be true or false")
		}
		v.SetBool(text == "true")
		return nil
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return errors.New("must be a whole number")
		}
		v.SetInt(int64(n))
		return nil
	case reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return errors.New("must be a number")
		}
		v.SetFloat(x)
		return nil
	default:
		return fmt.Errorf("a %v cannot be configured", v.Type())
	}
}

func setDuration(v reflect.Value, text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("must be a duration with its unit, such as 500ms, 30s, 5m or 1h")
	}
	v.SetInt(int64(d))
	return nil
}

// setStrings sets a list of strings.
func setStrings(v reflect.Value, list []string) {
	out := reflect.MakeSlice(v.Type(), len(list), len(list))
	for i, s := range list {
		out.Index(i).SetString(s)
	}
	v.Set(out)
}

// splitList takes a list apart that is separated by commas, with blanks around them or not.
func splitList(text string) (list []string) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

func item(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }

// parent is the key path of the section or list that holds key, empty for the whole file.
func parent(key string) string { return key[:max(strings.LastIndexAny(key, ".["), 0)] }

// Diff lists the key paths of the settings that differ. A list is one setting.
func Diff(a, b *Config) (keys []string) {
	values := make(map[string]reflect.Value)
	walk(reflect.ValueOf(a).Elem(), "", func(key string, v reflect.Value) { values[key] = v })
	walk(reflect.ValueOf(b).Elem(), "", func(key string, v reflect.Value) {
		before := values[key]
		if (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0 && before.Len() == 0 {
			return // none, written in two ways
		}
		if !reflect.DeepEqual(before.Interface(), v.Interface()) {
			keys = append(keys, key)
		}
	})
	return keys
}

// Values calls visit with every setting that Diff compares: its key path, and a text that is the same for the same value. The text may hold secrets.
func (c *Config) Values(visit func(key, text string)) {
	walk(reflect.ValueOf(c).Elem(), "", func(key string, v reflect.Value) {
		var b strings.Builder
		writeValue(&b, v)
		visit(key, b.String())
	})
}

// writeValue writes a value without what would hide a secret. None, written in two ways, is the same.
func writeValue(b *strings.Builder, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if text, ok := reflect.TypeAssert[encoding.TextMarshaler](v); ok {
			out, _ := text.MarshalText() // one that cannot be written is as one that is empty
			fmt.Fprintf(b, "%q", out)
			return
		}
		for _, f := range fields(v) {
			fmt.Fprintf(b, "%s=", f.name)
			writeValue(b, f.value)
			b.WriteByte(';')
		}
	case reflect.Slice:
		for i := range v.Len() {
			writeValue(b, v.Index(i))
			b.WriteByte(',')
		}
	case reflect.Map:
		for _, name := range slices.SortedFunc(slices.Values(v.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) }) {
			fmt.Fprintf(b, "%q:", name.String())
			writeValue(b, v.MapIndex(name))
			b.WriteByte(',')
		}
	case reflect.String:
		fmt.Fprintf(b, "%q", v.String())
	default:
		fmt.Fprint(b, v)
	}
}
