package corezoid

import (
	"bytes"
	"encoding/hex"
	"errors"
	"unicode/utf8"
)

// isSystem reports whether a name of a callback's query is no data: an API Call node adds these when it is set to send
// system parameters, as it is by default.
func isSystem(name string) bool {
	return name == "conv_signature" || name == "conv_time" || name == "conv_id"
}

// formData makes an object of strings of a form or a query; a repeated name makes an array. skip may be nil.
func formData(form []byte, skip func(name string) bool) ([]byte, error) {
	var data object
	for pair := range bytes.SplitSeq(form, []byte{'&'}) {
		if len(pair) == 0 {
			continue
		}
		key, text, _ := bytes.Cut(pair, []byte{'='})
		key, text = unescapeForm(key), unescapeForm(text)
		if !utf8.Valid(key) || !utf8.Valid(text) {
			return nil, errors.New("form: is not UTF-8")
		}
		name := string(key)
		if skip != nil && skip(name) {
			continue
		}
		data.values = appendQuoted(data.values, text)
		data.add(name)
	}
	return data.appendTo(nil), nil
}

// unescapeForm decodes + and %XX; a % that begins no escape is itself, as browsers and servers read it.
func unescapeForm(s []byte) []byte {
	if !bytes.ContainsAny(s, "+%") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '+':
			out = append(out, ' ')
			continue
		case s[i] == '%' && i+2 < len(s):
			var decoded [1]byte
			if _, err := hex.Decode(decoded[:], s[i+1:i+3]); err == nil {
				out = append(out, decoded[0])
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return out
}
