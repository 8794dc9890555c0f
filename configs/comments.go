package configs

import (
	"regexp"
	"strings"
)

// readComments gives what the comments of reference.yaml say of each key path, with [] for the elements of a list. A comment stands above its key, or
// behind it in the examples of elements. A single value without one shares that of the key before it.
func readComments(text string) map[string]string {
	r := commentReader{all: make(map[string]string), last: -1}
	var above []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if comment, ok := strings.CutPrefix(strings.TrimSpace(line), "#"); ok {
			above = append(above, comment)
			continue
		}
		explanation, example := cutExample(above)
		above = nil
		r.key(line, paragraph(explanation))
		r.example(example)
	}
	return r.all
}

// commentReader goes through keys, line by line.
type commentReader struct {
	all   map[string]string
	path  []openKey
	below string // the key path of the list whose example is read
	last  int    // the indentation of the key before; -1: what comes is no neighbour of it
	text  string // what is said of the key before
}

// openKey is a key that may have keys below it.
type openKey struct {
	indent int
	name   string
}

// key takes a line with a key. Other lines end the neighbourhood of the key before.
func (r *commentReader) key(line, comment string) {
	m := regexp.MustCompile(`^( *)(\w+):(.*)$`).FindStringSubmatch(line)
	if m == nil {
		r.last = -1
		return
	}
	indent := len(m[1])
	for len(r.path) > 0 && r.path[len(r.path)-1].indent >= indent {
		r.path = r.path[:len(r.path)-1]
	}
	r.path = append(r.path, openKey{indent, m[2]})
	at := r.below
	for _, k := range r.path {
		at = join(at, k.name)
	}
	value, behind := cutComment(m[3])
	if comment == "" {
		comment = behind
	}
	if comment == "" && r.last == indent && value != "" {
		comment = r.text
	}
	r.last, r.text = indent, comment
	if comment != "" {
		r.all[at] = comment
	}
}

// example takes the lines of an example of an element of the list that was the last key.
func (r *commentReader) example(lines []string) {
	if len(lines) == 0 {
		return
	}
	at := ""
	for _, k := range r.path {
		at = join(at, k.name)
	}
	inner := commentReader{all: r.all, below: at + "[]", last: -1}
	for len(lines) > 0 {
		line, more := strings.Replace(lines[0], "- ", "  ", 1), 1
		for more < len(lines) && strings.HasPrefix(strings.TrimSpace(lines[more]), "#") {
			more++
		}
		text := []string{line}
		for _, comment := range lines[1:more] { // it goes on
			text = append(text, strings.TrimPrefix(strings.TrimSpace(comment), "#"))
		}
		inner.key(strings.Join(text, " "), "")
		lines = lines[more:]
	}
}

// cutExample parts a comment and the example of an element at its end.
func cutExample(lines []string) (explanation, example []string) {
	for i, line := range lines {
		if strings.HasPrefix(strings.TrimSpace(line), "- ") {
			return lines[:i], lines[i:]
		}
	}
	return lines, nil
}

// paragraph joins the lines of a comment. What only leads to an example is left out.
func paragraph(lines []string) string {
	return strings.TrimSuffix(strings.Join(strings.Fields(strings.Join(lines, " ")), " "), " Each has")
}

// cutComment parts a value and the comment behind it.
func cutComment(text string) (value, comment string) {
	quoted := false
	for i, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case c == '#' && !quoted && i > 0 && text[i-1] == ' ':
			return strings.TrimSpace(text[:i]), paragraph([]string{text[i+1:]})
		}
	}
	return strings.TrimSpace(text), ""
}
