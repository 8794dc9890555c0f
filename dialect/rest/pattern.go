package rest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// mostSegments is how many segments a path can have that is looked up: those of the longest route, with room for a signature.
const mostSegments = 64

// segment is a part of a pattern between two slashes.
type segment struct {
	text      string // decoded; of a parameter its name
	parameter bool
}

// pattern is the path of a route.
type pattern []segment

// parsePattern reads the path of a route: literal segments and {name} segments.
func parsePattern(path string) (p pattern, err error) {
	if !strings.HasPrefix(path, "/") || len(path) < 2 {
		return nil, errors.New("must begin with / and have a segment, such as /v1/orders/{id}")
	}
	if strings.ContainsAny(path, "?#") {
		return nil, errors.New("must end before its query or fragment")
	}
	var names []string
	for part := range strings.SplitSeq(path[1:], "/") {
		s, err := parseSegment(part)
		if err != nil {
			return nil, err
		}
		if s.parameter {
			if slices.Contains(names, s.text) {
				return nil, errors.New("has two parameters of one name")
			}
			names = append(names, s.text)
		}
		p = append(p, s)
	}
	switch {
	case len(names) > MostParameters:
		return nil, fmt.Errorf("has %d parameters: at most %d are possible", len(names), MostParameters)
	case len(p) > mostSegments-signatureParts:
		return nil, fmt.Errorf("has %d segments: at most %d are possible", len(p), mostSegments-signatureParts)
	}
	return p, nil
}

func parseSegment(part string) (segment, error) {
	if name, ok := strings.CutPrefix(part, "{"); ok {
		name, ok = strings.CutSuffix(name, "}")
		if !ok || !isName(name) {
			return segment{}, errors.New("has a parameter that is none: write {name}, of letters, digits and _, as a whole segment")
		}
		return segment{name, true}, nil
	}
	text, ok := decodeSegment([]byte(part))
	switch {
	case strings.ContainsAny(part, "{}"):
		return segment{}, errors.New("has a parameter that is only a part of a segment: {name} must stand between two slashes")
	case !ok:
		return segment{}, errors.New("has a segment that no request can have: one that is empty, a dot or two dots, or that is not percent-encoded UTF-8")
	}
	return segment{text: string(text)}, nil
}

func isName(name string) bool {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
	}
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, odd)
}

// literals counts the segments that are no parameters: the more, the more exactly a pattern says what it matches.
func (p pattern) literals() (n int) {
	for _, s := range p {
		if !s.parameter {
			n++
		}
	}
	return n
}

// meets reports whether there is a path that both match.
func (p pattern) meets(q pattern) bool {
	if len(p) != len(q) {
		return false
	}
	for i := range p {
		if !p[i].parameter && !q[i].parameter && p[i].text != q[i].text {
			return false
		}
	}
	return true
}

// splitPath gives the decoded segments of a raw path. It is not ok where a segment is none, or where there are too many: such a path matches
// nothing. A slash that is percent-encoded stays in its segment. Segments may stand in path.
func splitPath(room [][]byte, path []byte) (segments [][]byte, ok bool) {
	rest, ok := bytes.CutPrefix(path, []byte("/"))
	if !ok {
		return nil, false
	}
	segments = room[:0]
	for more := true; more; {
		var part []byte
		part, rest, more = bytes.Cut(rest, []byte("/"))
		text, ok := decodeSegment(part)
		if !ok || len(segments) == mostSegments {
			return nil, false
		}
		segments = append(segments, text)
	}
	return segments, true
}

// decodeSegment takes percent-encoding back. Empty segments, and those that others resolve, are not ok. text is part where that has none.
func decodeSegment(part []byte) (text []byte, ok bool) {
	if bytes.IndexByte(part, '%') >= 0 {
		if part, ok = percentDecoded(part); !ok {
			return nil, false
		}
	}
	return part, len(part) > 0 && string(part) != "." && string(part) != ".." && utf8.Valid(part)
}

func percentDecoded(part []byte) (decoded []byte, ok bool) {
	decoded = make([]byte, 0, len(part))
	for i := 0; i < len(part); i++ {
		c := part[i]
		if c == '%' {
			if i+2 >= len(part) {
				return nil, false
			}
			high, low := hexValue(part[i+1]), hexValue(part[i+2])
			if high < 0 || low < 0 {
				return nil, false
			}
			c = byte(high<<4 | low) //nolint:gosec // two digits
			i += 2
		}
		decoded = append(decoded, c)
	}
	return decoded, true
}

func hexValue(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
