package httpengine

import (
	"bytes"
	"errors"
	"net/url"
	"strings"
)

const (
	taskName       = "task"
	acceptedPrefix = "accepted."
)

// template is a URL with {name} in its path or query.
type template struct {
	host  string
	texts []string // from the path on: one more than names
	names []string
}

// parseTemplate reads a URL. Its errors say what would do, and show nothing of it.
func parseTemplate(text string) (t template, err error) {
	if err := templateProblem(text); err != nil {
		return t, err
	}
	u, _ := url.Parse(text)
	t.host = u.Host
	rest := text[strings.Index(text, "://")+len("://"):]
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		rest = rest[i:]
	} else {
		rest = ""
	}
	if !strings.HasPrefix(rest, "/") {
		rest = "/" + rest
	}
	for {
		before, after, found := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return t, errors.New("has a } without its {")
		}
		t.texts = append(t.texts, before)
		if !found {
			return t, nil
		}
		name, after, found := strings.Cut(after, "}")
		if !found || !isName(name) {
			return t, errors.New("has a { that names no parameter: write {name}")
		}
		t.names = append(t.names, name)
		rest = after
	}
}

// templateProblem says what is wrong with the URL itself.
func templateProblem(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.ContainsAny(u.Host, "{}") {
		return errors.New("must be an absolute URL such as https://engine.example.com/hooks/{kind}")
	}
	switch {
	case u.User != nil:
		return errors.New("must not carry a user or password: use headers")
	case u.Fragment != "" || strings.Contains(text, "#"):
		return errors.New("must end before its fragment")
	case leadsAway([]byte(u.EscapedPath())):
		return errors.New("has a segment . or .. in its path: write the path that is meant")
	case strings.ContainsAny(text, " \t\r\n"):
		return errors.New("has a blank or a line break: remove it")
	}
	return nil
}

// isName reports whether a text can be the name of a parameter, or accepted. with a path.
func isName(name string) bool {
	if path, ok := strings.CutPrefix(name, acceptedPrefix); ok {
		_, err := parsePath(path)
		return err == nil
	}
	odd := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_' && r != '-'
	}
	return name != "" && !strings.ContainsFunc(name, odd)
}

// append appends path and query with the values that value gives, percent-encoded. ok is false where it does not know one.
func (t template) append(dst []byte, value func(name string) (string, bool)) (_ []byte, ok bool) {
	for i, text := range t.texts {
		dst = append(dst, text...)
		if i == len(t.names) {
			break
		}
		v, known := value(t.names[i])
		if !known {
			return dst, false
		}
		dst = appendEncoded(dst, v)
	}
	return dst, true
}

// leadsAway reports whether a path has a segment that is "." or ".." when its percent-encoding is taken away. An engine, or a proxy on the way,
// would read another path. A backslash counts as a slash, as some servers read it so.
func leadsAway(target []byte) bool {
	path, _, _ := bytes.Cut(target, []byte{'?'})
	plain, err := url.PathUnescape(string(path))
	if err != nil {
		return true
	}
	for segment := range strings.FieldsFuncSeq(plain, func(r rune) bool { return r == '/' || r == '\\' }) {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// appendEncoded appends a text in which nothing but unreserved characters (RFC 3986, 2.3) stands for itself.
func appendEncoded(dst []byte, text string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(text) {
		c := text[i]
		plain := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_' || c == '~' || c == '.'
		if plain {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}
