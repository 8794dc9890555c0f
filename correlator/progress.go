package correlator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// KeptEvents is how many events of a trip are kept at most: the last ones.
	KeptEvents = 1000
	// KeptEventBytes is the size of all bodies of a trip's kept events at most. The last event is kept however large it is.
	KeptEventBytes = 1 << 20
	// MergedMembers is how many members a merged object has at most.
	MergedMembers = 10_000

	// MaxHeadFields is how many bytes a Head's Fields have at most.
	MaxHeadFields = 8 << 10
	// MaxContentType is how many bytes a Head's ContentType has at most.
	MaxContentType = 255
)

var errHead = errors.New("correlator: what came beside the body of a callback is too large")

// Check is nil for a Head that can be kept, and for none.
func (h *Head) Check() error {
	switch {
	case h == nil:
		return nil
	case len(h.Fields) > MaxHeadFields:
		return fmt.Errorf("%w: its header fields have %d bytes, and may have %d", errHead, len(h.Fields), MaxHeadFields)
	case len(h.ContentType) > MaxContentType:
		return fmt.Errorf("%w: its content type has %d bytes, and may have %d", errHead, len(h.ContentType), MaxContentType)
	}
	return nil
}

// Equal reports whether two callbacks say the same of the same op.
func (cb Callback) Equal(o Callback) bool {
	if cb.Op != o.Op || cb.Status != o.Status || !bytes.Equal(cb.Body, o.Body) || (cb.Head == nil) != (o.Head == nil) {
		return false
	}
	return cb.Head == nil || cb.Head.ContentType == o.Head.ContentType && bytes.Equal(cb.Head.Fields, o.Head.Fields)
}

// Member is a member of a JSON object.
type Member struct {
	Name string
	Text []byte // the name, a colon and the value, each as it came
}

// Members gives the members of a JSON object, the last one of each name. They are nil if body is no JSON object. Their memory is not body's.
// ErrTooLarge: there are more than MergedMembers, repeated ones included. Each takes many times its bytes.
func Members(body []byte) ([]Member, error) {
	if first := bytes.TrimLeft(body, blanks); len(first) == 0 || first[0] != '{' || !json.Valid(body) {
		return nil, nil // what is no object has no members, and is no error
	}
	all := []Member{}
	rest := bytes.TrimLeft(bytes.TrimLeft(body, blanks)[1:], blanks)
	for rest[0] != '}' { // it is valid: there is one at the end
		if len(all) == MergedMembers {
			return nil, ErrTooLarge
		}
		key := rest[:valueLen(rest)]
		rest = bytes.TrimLeft(rest[len(key):], blanks)
		rest = bytes.TrimLeft(rest[len(":"):], blanks)
		value := rest[:valueLen(rest)]
		rest = bytes.TrimLeft(rest[len(value):], blanks)
		if rest[0] == ',' {
			rest = bytes.TrimLeft(rest[len(","):], blanks)
		}
		all = append(all, Member{memberName(key), slices.Concat(key, []byte(":"), value)})
	}
	return lastOfEach(all), nil
}

// Overlay gives the object of all members of some JSON objects, in order of their names. A member replaces those of the same name in the layers
// before its own. It is nil if the last layer is no object of at most MergedMembers members, or if there is no member at all. Of the
// other layers those that are none are left out.
func Overlay(layers ...[]byte) []byte {
	var all []Member
	for i, layer := range layers {
		members, err := Members(layer)
		if i == len(layers)-1 && (members == nil || err != nil) {
			return nil
		}
		all = append(all, members...)
	}
	return Merge(lastOfEach(all))
}

// blanks may stand between what JSON consists of.
const blanks = " \t\r\n"

// valueLen gives the length of the value that valid JSON begins with. What follows it is a comma, a colon, a blank, or the end of what it is in.
func valueLen(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			i += stringLen(text[i:]) - 1
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth <= 0 {
				return i + 1 + depth // a number or a word ends before it
			}
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

// stringLen gives the length of the string that valid JSON begins with.
func stringLen(text []byte) int {
	i := 1
	for ; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// lastOfEach leaves the last member of each name, in the place of the first.
func lastOfEach(all []Member) []Member {
	const few = 16
	if len(all) <= 1 {
		return all
	}
	var index map[string]int
	if len(all) > few {
		index = make(map[string]int, len(all))
	}
	kept := all[:0]
	for _, m := range all {
		i, again := index[m.Name]
		if index == nil {
			i = slices.IndexFunc(kept, func(k Member) bool { return k.Name == m.Name })
			again = i >= 0
		}
		if again {
			kept[i] = m
			continue
		}
		if index != nil {
			index[m.Name] = len(kept)
		}
		kept = append(kept, m)
	}
	return kept
}

// memberName gives the name that a string in JSON says. Half a surrogate pair is no character: a string with one stands for itself.
func memberName(key []byte) string {
	if text := bytes.Trim(key, `"`); len(text) == len(key)-2 && utf8.Valid(text) && !bytes.ContainsAny(text, "\\\uFFFD") {
		return string(text)
	}
	var name string
	if err := json.Unmarshal(key, &name); err != nil || strings.ContainsRune(name, utf8.RuneError) {
		return string(key)
	}
	return name
}

// ParseMember reads the Text of a Member.
func ParseMember(text []byte) (m Member, ok bool) {
	all, err := Members(slices.Concat([]byte("{"), text, []byte("}")))
	if err != nil || len(all) != 1 || !bytes.Equal(all[0].Text, text) {
		return Member{}, false
	}
	return all[0], true
}

// Merge makes the JSON object of members, in order of their names. It is nil if there are none. It sorts members.
func Merge(members []Member) []byte {
	if len(members) == 0 {
		return nil
	}
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	size := 1
	for _, m := range members {
		size += len(m.Text) + 1
	}
	object := append(make([]byte, 0, size), '{')
	for i, m := range members {
		if i > 0 {
			object = append(object, ',')
		}
		object = append(object, m.Text...)
	}
	return append(object, '}')
}
