package webhook

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"syncgate/internal/splice"
)

// Path says where in a JSON value another one stands. The zero Path is the value itself.
type Path struct{ steps []step }

// step goes to a member, or where its name is nil to an element.
type step struct {
	name  *string
	index int
}

const (
	mostPath  = 1024 // bytes
	mostSteps = 32
	mostIndex = 1_000_000
)

// ParsePath reads a path: members by dots, [n] for an element counted from 0, ["with.dots"] for a member whose name is a JSON string; a lone dot is
// the whole value. An error says at which byte, counted from 0, and what would do.
func ParsePath(text string) (Path, error) {
	if text == "." {
		return Path{}, nil
	}
	if len(text) > mostPath || !utf8.ValidString(text) {
		return Path{}, fmt.Errorf("must be UTF-8 of at most %d bytes", mostPath)
	}
	p := pathParser{text: text}
	for first := true; first || p.at < len(text); first = false {
		if err := p.step(first); err != nil {
			return Path{}, fmt.Errorf("at byte %d: %w: write a path such as data.items[0][\"order.id\"]", p.at, err)
		}
	}
	return Path{p.steps}, nil
}

type pathParser struct {
	text  string
	at    int
	steps []step
}

func (p *pathParser) step(first bool) (err error) {
	var s step
	switch {
	case len(p.steps) == mostSteps:
		return fmt.Errorf("more than %d steps", mostSteps)
	case strings.HasPrefix(p.text[p.at:], `["`):
		s, err = p.quoted()
	case strings.HasPrefix(p.text[p.at:], "["):
		s, err = p.element()
	case first:
		s, err = p.member()
	case p.text[p.at] == '.':
		p.at++
		s, err = p.member()
	default:
		return errors.New("a dot or [ is missing")
	}
	p.steps = append(p.steps, s)
	return err
}

func (p *pathParser) member() (s step, err error) {
	rest := p.text[p.at:]
	end := strings.IndexAny(rest, ".[")
	if end < 0 {
		end = len(rest)
	}
	name := rest[:end]
	if name == "" {
		return s, errors.New("a name is missing")
	}
	for i, c := range []byte(name) {
		if c <= ' ' || c == ']' || c == '"' || c == 0x7f {
			p.at += i
			return s, errors.New(`a name with other than plain characters stands in [""]`)
		}
	}
	p.at += end
	return step{name: &name}, nil
}

func (p *pathParser) element() (s step, err error) {
	digits, _, closed := strings.Cut(p.text[p.at+1:], "]")
	n, err := strconv.ParseUint(digits, 10, 31)
	if !closed || err != nil || n > mostIndex {
		return s, fmt.Errorf("what is in [] must be a number up to %d, or a name in quotes", mostIndex)
	}
	p.at += len(digits) + len("[]")
	return step{index: int(n)}, nil
}

func (p *pathParser) quoted() (s step, err error) {
	start := p.at + 1
	end := start + 1
	for end < len(p.text) && p.text[end] != '"' {
		if p.text[end] == '\\' {
			end++
		}
		end++
	}
	if end+1 >= len(p.text) || p.text[end+1] != ']' {
		return s, errors.New(`"] is missing`)
	}
	name, err := jsontext.AppendUnquote(nil, p.text[start:end+1])
	if err != nil {
		return s, errors.New("what is in quotes must be a JSON string")
	}
	p.at = end + 2
	text := string(name)
	return step{name: &text}, nil
}

// Of gives the name that stands at the path: the text of a string, or a number as it is written, so that 17 is "17" and 1e3 is "1e3". Nothing else
// is a name: null, booleans, objects, arrays, the empty string. A text with U+FFFD is none either: escapes that are no character all become that one,
// and different texts would be equal. Of members with the same name the last one counts. Text that is not JSON has no name.
func (p Path) Of(data []byte) (text string, ok bool) {
	var r splice.Reader
	at, kind, ok := p.find(&r, data)
	if !ok {
		return "", false
	}
	switch kind {
	case splice.String:
		text = string(r.Text(at))
	case splice.Number:
		text = string(r.Raw(at))
	default:
		return "", false
	}
	if text == "" || strings.ContainsRune(text, utf8.RuneError) {
		return "", false
	}
	return text, true
}

// find gives where the value at the path stands, and what it is. r has walked data then.
func (p Path) find(r *splice.Reader, data []byte) (at splice.Span, kind splice.Kind, ok bool) {
	if r.Reset(data) != nil {
		return at, kind, false
	}
	kind = r.Peek()
	at, err := r.Value()
	if err != nil || r.Close() != nil {
		return at, kind, false
	}
	for _, s := range p.steps {
		again := r.Again(at)
		if at, kind, ok = s.in(&again); !ok {
			return at, kind, false
		}
	}
	return at, kind, true
}

// in goes one step into the value that comes next, which was walked before.
func (s step) in(r *splice.Reader) (at splice.Span, kind splice.Kind, ok bool) {
	want := splice.Array
	if s.name != nil {
		want = splice.Object
	}
	if r.Peek() != want {
		return at, kind, false
	}
	_, _ = r.Enter() // none of these fails: the text was walked
	for n := 0; ; n++ {
		here, more := s.next(r, n)
		if !more {
			return at, kind, ok
		}
		k := r.Peek()
		value, _ := r.Value()
		if here {
			at, kind, ok = value, k, true
		}
		if here && s.name == nil {
			return at, kind, ok
		}
	}
}

// next goes to the next member or element, and reports whether it is the one.
func (s step) next(r *splice.Reader, n int) (here, more bool) {
	if s.name == nil {
		more, _ = r.Element()
		return n == s.index, more
	}
	m, more, _ := r.Member()
	return more && string(m.Name) == *s.name, more
}
