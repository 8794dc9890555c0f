package callbackdata_test

import (
	"encoding/json"
	"slices"
	"strings"
)

// A second reader of JSON, which takes its time.

type member struct{ name, value string }

func members(text string) (all []member) {
	dec := json.NewDecoder(strings.NewReader(text))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil
		}
		all = append(all, member{name.(string), string(value)})
	}
	return all
}

func elements(text string) (all []string) {
	var raw []json.RawMessage
	if !strings.HasPrefix(text, "[") || json.Unmarshal([]byte(text), &raw) != nil {
		return nil
	}
	for _, v := range raw {
		all = append(all, string(v))
	}
	return all
}

// last gives the value of the last member of a name; empty: there is none.
func last(all []member, name string) string {
	for _, m := range slices.Backward(all) {
		if m.name == name {
			return m.value
		}
	}
	return ""
}

func says(value string) string {
	var s string
	if strings.HasPrefix(value, `"`) && json.Unmarshal([]byte(value), &s) == nil {
		return s
	}
	return value
}
