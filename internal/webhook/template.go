package webhook

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// partKind is what a part of a template stands for.
type partKind uint8

const (
	partText partKind = iota
	partBody
	partTimestamp
	partURL
	partForm
	partField
	partHeader
	partSecret
)

// part is a part of a template: its text, or the name of a field or header.
type part struct {
	kind partKind
	text string
}

// template is the text that is signed.
type template []part

// mostParts bounds a template.
const mostParts = 32

func (t template) has(kind partKind) bool {
	return slices.ContainsFunc(t, func(p part) bool { return p.kind == kind })
}

// parseTemplate reads a template. The package comment has its words.
func parseTemplate(text string) (t template, err error) {
	for rest := text; rest != ""; {
		if len(t) == mostParts {
			return nil, fmt.Errorf("has more than %d parts", mostParts)
		}
		literal, after, found := strings.Cut(rest, "{")
		if strings.Contains(literal, "}") {
			return nil, errors.New("has a } without {")
		}
		if literal != "" {
			t = append(t, part{partText, literal})
		}
		if !found {
			return t, nil
		}
		word, after, found := strings.Cut(after, "}")
		if !found {
			return nil, errors.New("has a { without }")
		}
		p, err := parsePart(word)
		if err != nil {
			return nil, err
		}
		t, rest = append(t, p), after
	}
	return t, nil
}

func parsePart(word string) (p part, err error) {
	kind, name, named := strings.Cut(word, ":")
	switch kind {
	case "body":
		p.kind = partBody
	case "timestamp":
		p.kind = partTimestamp
	case "url":
		p.kind = partURL
	case "form":
		p.kind = partForm
	case "secret":
		p.kind = partSecret
	case "field":
		p = part{partField, name}
	case "header":
		p = part{partHeader, name}
	default:
		named = true
	}
	hasName := p.kind == partField && name != "" || p.kind == partHeader && isToken(name)
	if named != hasName || (p.kind == partField || p.kind == partHeader) && !hasName {
		return p, errors.New("must be made of text, {body}, {timestamp}, {url}, {form}, {field:NAME}, {header:NAME} and {secret}")
	}
	return p, nil
}
