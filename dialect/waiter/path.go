package waiter

import (
	"encoding/json"
	"strings"
)

// path is interim, until package webhook is there.
type path []string

func parsePath(text string) (path, error) { return strings.Split(text, "."), nil }

func (p path) of(body []byte) (string, bool) {
	for _, name := range p {
		var o map[string]json.RawMessage
		if json.Unmarshal(body, &o) != nil {
			return "", false
		}
		body = o[name]
	}
	var s string
	if json.Unmarshal(body, &s) == nil {
		return s, s != ""
	}
	var n json.Number
	if json.Unmarshal(body, &n) == nil {
		return n.String(), n != ""
	}
	return "", false
}
