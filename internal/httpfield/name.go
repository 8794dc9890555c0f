package httpfield

import "strings"

// IsName reports whether s is the name of a field: a token (RFC 9110, 5.1).
func IsName(s string) bool {
	odd := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	}
	return s != "" && !strings.ContainsFunc(s, odd)
}

// IsValue reports whether s is a value of a field (RFC 9110, 5.5) in ASCII.
func IsValue(s string) bool {
	odd := func(r rune) bool { return (r < ' ' || r > '~') && r != '\t' }
	return strings.Trim(s, " \t") == s && !strings.ContainsFunc(s, odd)
}

// Wrong says what is wrong with a field that is to be sent: that it has no such name or no such value. Empty: nothing.
func Wrong(name, value string) string {
	switch {
	case !IsName(name):
		return "one has a name that no header has: letters, digits and hyphens would do"
	case value == "":
		return "one has no value"
	case !IsValue(value):
		return "one has a value that no header has: visible ASCII characters with blanks between them would do, and no line end"
	}
	return ""
}
