package redis

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"unicode"
)

// identityProblems says what is wrong with who we are. The URL is valid.
func (c Config) identityProblems() (problems []error) {
	plain := c
	plain.Username, plain.Password, plain.SentinelUsername, plain.SentinelPassword = "", "", "", ""
	fromURL, err := plain.options()
	if err != nil {
		return nil // it is reported already
	}
	add := func(wrong bool, text string) {
		if wrong {
			problems = append(problems, errors.New(text))
		}
	}
	add(c.Username != "" && fromURL.Username != "", "username: and the user in url are both set: remove one")
	add(c.Password != "" && fromURL.Password != "", "password: and the password in url are both set: remove one")
	add(c.Username != "" && c.Password == "" && fromURL.Password == "", "username: needs a password too: set password or password_file")
	add(c.SentinelUsername != "" && fromURL.SentinelUsername != "", "sentinel_username: and that in url are both set: remove one")
	add(c.SentinelPassword != "" && fromURL.SentinelPassword != "", "sentinel_password: and that in url are both set: remove one")
	if c.Mode != Sentinel {
		add(c.SentinelUsername != "", "sentinel_username: is for mode sentinel: remove it or set mode")
		add(c.SentinelPassword != "", "sentinel_password: is for mode sentinel: remove it or set mode")
		return problems
	}
	add(c.SentinelUsername != "" && c.SentinelPassword == "" && fromURL.SentinelPassword == "",
		"sentinel_username: needs a password too: set sentinel_password or sentinel_password_file")
	return problems
}

// canBeDialled reports whether addresses from a URL have ports that there are. A blank in the URL is not meant, but in the path of a
// socket.
func canBeDialled(url string, addrs []string) bool {
	if strings.HasPrefix(url, "unix:") {
		return true
	}
	if strings.ContainsFunc(url, unicode.IsSpace) {
		return false
	}
	for _, addr := range addrs {
		_, port, err := net.SplitHostPort(addr)
		if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 {
			return false
		}
	}
	return true
}
