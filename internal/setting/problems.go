package setting

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Problems collects what is wrong, each with its key. None of them shows a value: what stands there may be a secret in a wrong place.
type Problems []error

// Join adds the problems of an error, which has their keys; nil has none.
func (p *Problems) Join(err error) {
	if err != nil {
		*p = append(*p, err)
	}
}

// Err gives every problem at once, joined; nil: there is none.
func (p *Problems) Err() error { return errors.Join(*p...) }

// Add adds a problem.
func (p *Problems) Add(key, format string, args ...any) {
	*p = append(*p, fmt.Errorf(key+": "+format, args...))
}

// Positive wants a duration longer than 0.
func (p *Problems) Positive(key string, d time.Duration) {
	if d <= 0 {
		p.Add(key, "must be longer than 0: write 500ms, 30s, 5m")
	}
}

// NotNegative wants a duration of 0 or longer.
func (p *Problems) NotNegative(key string, d time.Duration) {
	if d < 0 {
		p.Add(key, "must not be negative: write 0s, 30s, 5m")
	}
}

// OneOf wants one of the allowed words.
func (p *Problems) OneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		p.Add(key, "must be one of: %s", strings.Join(allowed, ", "))
	}
}

// Address wants what a listener can be bound to.
func (p *Problems) Address(key, addr string) {
	host, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || hasBlank(host) {
		p.Add(key, "must be an address such as 127.0.0.1:8080, or :8080 for every interface, with a port of at most 65535")
	}
}

// BaseURL wants an absolute URL of http or https that a path can be put behind.
func (p *Problems) BaseURL(key, s string) {
	u, err := url.Parse(s)
	switch {
	case hasBlank(s):
		p.Add(key, "has a blank or a line break: remove it")
	case err != nil || !IsWebScheme(u.Scheme) || u.Hostname() == "":
		p.Add(key, "must be an absolute URL such as https://sync.example.com")
	case u.User != nil:
		p.Add(key, "must not carry a user or password")
	case strings.ContainsAny(s, "?#"):
		p.Add(key, "must end before its query or fragment")
	case !validPort(u):
		p.Add(key, "has a port that is not within 1 and 65535")
	}
}

// hasBlank reports whether a text has blanks or other characters that nobody sees.
func hasBlank(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}

// validPort reports whether a URL has a port that can be connected to, or none.
func validPort(u *url.URL) bool {
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return u.Port() == "" || err == nil && n > 0
}

// IsWebScheme reports whether the scheme of a URL is http or https.
func IsWebScheme(s string) bool { return s == "http" || s == "https" }

// Item is the key of an item of a list.
func Item(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }

// SomeBytes wants a size of 1 byte or more.
func (p *Problems) SomeBytes(key string, n ByteSize) {
	if n < 1 {
		p.Add(key, "must be at least 1 byte: write 64KiB, 1MiB")
	}
}

// AtLeast wants a number that is not below least.
func (p *Problems) AtLeast(key string, n, least int) {
	if n < least {
		p.Add(key, "must be at least %d", least)
	}
}
