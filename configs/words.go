package configs

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"go.yaml.in/yaml/v4"
)

// What is said of a configuration that cannot be read. A library's own error may quote what it has read, and that may be a secret: an
// unquoted password that begins with an asterisk is an alias to YAML, and a secret without a blank before it is a key. So problems
// are worded here, and show the place, not the text.

// syntax is the problem of a file that is not YAML.
func (l *loader) syntax(err error) *Problem {
	p := &Problem{File: l.path, Text: "is not YAML"}
	if at, ok := errors.AsType[*yaml.LoadError](err); ok {
		p.Line, p.Text = at.Mark.Line, "is not YAML: "+syntaxText(at)
	}
	return p
}

// syntaxText words the errors that people make most often.
func syntaxText(err *yaml.LoadError) string {
	has := func(text string) bool { return strings.Contains(err.Message, text) }
	switch {
	case err.Stage == "reader":
		return "a character that no text has, or an encoding other than UTF-8"
	case has("unknown anchor"):
		return "an alias that nothing defines: a value that begins with * needs quotes"
	case has("cannot start any token"), has("tab"):
		return "a tab, or a character that begins no value without quotes"
	case has("mapping values are not allowed"):
		return "a colon where no key can be: a value that has one needs quotes"
	case has("escape"):
		return "an escape that there is not: a value with backslashes needs single quotes"
	case has("end of stream"):
		return "a quote that is not closed"
	case has("could not find expected ':'"):
		return "a key without its colon and a blank"
	case has("did not find expected ',' or"):
		return "a comma or a closing bracket is missing"
	case has("did not find expected"):
		return "the indentation or a quote before is wrong"
	default:
		return "this line, or one before it, is wrong"
	}
}

// reason says why a file could not be read, without its name.
func reason(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	for _, known := range []error{fs.ErrNotExist, fs.ErrPermission, fs.ErrInvalid} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "it cannot be read"
}

// looksLikeKey reports whether a name that is no key may be shown: a mistyped key is one, and a secret that has become a key for want
// of a blank is not.
func looksLikeKey(name string) bool {
	odd := func(r rune) bool { return (r < 'a' || r > 'z') && r != '_' }
	return name != "" && len(name) <= 32 && !strings.ContainsFunc(name, odd)
}

// looksLikeVariable reports whether a name may be shown of a variable that is not set: a secret may have a ${ of its own.
func looksLikeVariable(name string) bool {
	odd := func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' }
	return !strings.ContainsFunc(name, odd)
}
