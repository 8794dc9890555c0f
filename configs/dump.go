package configs

import (
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"syncgate/internal/setting"
)

const masked = "***"

// YAML writes the configuration as a file would have it, defaults included, with a mask for every signer.Secret and for passwords inside URLs.
func (c *Config) YAML() ([]byte, error) {
	whole := *c
	whole.Engines = slices.Clone(c.Engines)
	for i := range whole.Engines {
		whole.Engines[i].fill()
	}
	out, err := yaml.Dump(dump(reflect.ValueOf(&whole).Elem()))
	if err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	return out, nil
}

func dump(v reflect.Value) *yaml.Node {
	switch {
	case isSection(v.Type()):
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, f := range fields(v) {
			n.Content = append(n.Content, stringNode(f.name), dump(f.value))
		}
		return n
	case v.Kind() == reflect.Slice:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		if !isSectionList(v.Type()) {
			n.Style = yaml.FlowStyle
		}
		for i := range v.Len() {
			n.Content = append(n.Content, dump(v.Index(i)))
		}
		return n
	case v.Kind() == reflect.Map:
		n := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		for _, name := range slices.SortedFunc(slices.Values(v.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) }) {
			n.Content = append(n.Content, stringNode(name.String()), dump(v.MapIndex(name)))
		}
		return n
	case v.Kind() == reflect.String:
		return stringNode(maskURL(text(v)))
	default:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: text(v)}
	}
}

func stringNode(s string) *yaml.Node {
	n := new(yaml.Node)
	n.SetString(s)
	return n
}

// text writes what setText reads, or a mask for what is secret.
func text(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return setting.FormatDuration(x)
	case fmt.Stringer:
		return x.String()
	default:
		return fmt.Sprint(x)
	}
}

// maskURL hides the password of a URL, a user without one, as that is a token, and parameters that hold one.
func maskURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Opaque != "" {
		return s // a URL that has secrets was checked, and is none of these
	}
	hides := u.User != nil
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), masked)
	} else if u.User != nil {
		u.User = url.User(masked)
	}
	query := u.Query()
	for name := range query {
		if strings.Contains(name, "password") {
			query.Set(name, masked)
			u.RawQuery = query.Encode()
			hides = true
		}
	}
	if !hides {
		return s // as it was written: an engine's URL has {names}, which String would encode
	}
	return strings.ReplaceAll(u.String(), url.QueryEscape(masked), masked)
}
