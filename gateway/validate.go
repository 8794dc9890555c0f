package gateway

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"syncgate/correlator"
)

func (l *Listen) validate(p *problems) {
	p.address("listen.public", l.Public)
	if l.PublicURL != "" {
		p.baseURL("listen.public_url", l.PublicURL)
	}
	if l.Callback != "" {
		p.address("listen.callback", l.Callback)
	}
	if l.Admin != "" {
		p.address("listen.admin", l.Admin)
	}
	p.distinct("listen.callback", l.Callback, l.Public)
	p.distinct("listen.admin", l.Admin, l.Public, l.Callback)
	for i, s := range l.TrustedProxies {
		if _, err := netip.ParsePrefix(s); err != nil {
			if _, err = netip.ParseAddr(s); err != nil {
				p.add(item("listen.trusted_proxies", i), "is neither an IP address nor a network such as 10.0.0.0/8")
			}
		}
	}
	for i, s := range l.ProxyProtocol {
		p.oneOf(item("listen.proxy_protocol", i), s, "public", "callback")
		if s == "callback" && l.Callback == "" {
			p.add(item("listen.proxy_protocol", i), "there is no such listener: set listen.callback too")
		}
	}
	if err := l.TLS.Validate(); err != nil {
		*p = append(*p, err)
	}
	p.positive("listen.header_timeout", l.HeaderTimeout)
	p.positive("listen.body_timeout", l.BodyTimeout)
	p.positive("listen.write_timeout", l.WriteTimeout)
	p.positive("listen.idle_timeout", l.IdleTimeout)
	p.positive("listen.heartbeat", l.Heartbeat)
}

func (c *CallbackConfig) validate(p *problems) {
	p.baseURL("callback.base_url", c.BaseURL)
	if len(c.Methods) == 0 {
		p.add("callback.methods", "must name at least one method")
	}
	for i, m := range c.Methods {
		p.oneOf(item("callback.methods", i), m, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodGet)
	}
}

func (e *EngineConfig) validate(p *problems) {
	p.baseURL("engine.url", e.URL)
	p.oneOf("engine.ack", e.Ack, AckProtocol, AckAny)
	e.validateConnection(p, "engine.")
}

// ValidateConnection gives every problem of how an engine is connected to, but for its URL, joined; each begins with key and the name of what is
// wrong.
func (e *EngineConfig) ValidateConnection(key string) error {
	var p problems
	e.validateConnection(&p, key)
	return errors.Join(p...)
}

func (e *EngineConfig) validateConnection(p *problems, key string) {
	if _, err := e.proxy(); err != nil {
		p.add(key+"proxy", "%w; or "+NoProxy, err)
	}
	p.positive(key+"timeout", e.Timeout)
	p.positive(key+"idle", e.Idle)
	p.atLeast(key+"max_connections", e.MaxConnections, 1)
	e.validateHeaders(p, key+"headers")
}

func (l *Limits) validate(p *problems) {
	p.someBytes("limits.body", l.Body)
	p.someBytes("limits.callback_body", l.CallbackBody)
	p.atLeast("limits.ops", l.Ops, 1)
	if l.Ops > correlator.MaxOp+1 {
		p.add("limits.ops", "must be at most %d", correlator.MaxOp+1)
	}
	p.atLeast("limits.parked", l.Parked, 0)
	p.atLeast("limits.parked_per_login", l.ParkedPerLogin, 0)
	if !(l.RatePerLogin >= 0) || math.IsInf(l.RatePerLogin, 0) {
		p.add("limits.rate_per_login", "must be a number of requests a second, 0 for no limit")
	}
	p.atLeast("limits.streams_per_login", l.StreamsPerLogin, 0)
	p.atLeast("limits.results", int(l.Results), 0)
}

func (c CORS) validate(p *problems) {
	for i, o := range c.Origins {
		u, err := url.Parse(o)
		switch {
		case o == "*" && len(c.Origins) == 1:
		case o == "*":
			p.add(item("cors.origins", i), `"*" allows every origin: remove it or the others`)
		case err != nil || !webScheme(u.Scheme) || u.Host == "" || o != u.Scheme+"://"+strings.ToLower(u.Host):
			p.add(item("cors.origins", i), "is not an origin as browsers send it, such as https://shop.example (lower case, no path)")
		}
	}
}

// problems collects what is wrong, each with its key. None of them shows a value: what stands there may be a secret in a wrong place.
type problems []error

func (p *problems) add(key, format string, args ...any) {
	*p = append(*p, fmt.Errorf(key+": "+format, args...))
}

func (p *problems) positive(key string, d time.Duration) {
	if d <= 0 {
		p.add(key, "must be longer than 0: write 500ms, 30s, 5m")
	}
}

func (p *problems) notNegative(key string, d time.Duration) {
	if d < 0 {
		p.add(key, "must not be negative: write 0s, 30s, 5m")
	}
}

func (p *problems) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		p.add(key, "must be one of: %s", strings.Join(allowed, ", "))
	}
}

func (p *problems) address(key, addr string) {
	host, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil || hasBlank(host) {
		p.add(key, "must be an address such as 127.0.0.1:8080, or :8080 for every interface, with a port of at most 65535")
	}
}

// distinct refuses the address of another listener; port 0 is a new one each time.
func (p *problems) distinct(key, addr string, others ...string) {
	if addr != "" && !strings.HasSuffix(addr, ":0") && slices.Contains(others, addr) {
		p.add(key, "is the address of another listener")
	}
}

// baseURL wants what a path can be put behind.
func (p *problems) baseURL(key, s string) {
	u, err := url.Parse(s)
	switch {
	case hasBlank(s):
		p.add(key, "has a blank or a line break: remove it")
	case err != nil || !webScheme(u.Scheme) || u.Hostname() == "":
		p.add(key, "must be an absolute URL such as https://sync.example.com")
	case u.User != nil:
		p.add(key, "must not carry a user or password")
	case strings.ContainsAny(s, "?#"):
		p.add(key, "must end before its query or fragment")
	case !validPort(u):
		p.add(key, "has a port that is not within 1 and 65535")
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

func webScheme(s string) bool { return s == "http" || s == "https" }

func item(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }

func (p *problems) someBytes(key string, n ByteSize) {
	if n < 1 {
		p.add(key, "must be at least 1 byte: write 64KiB, 1MiB")
	}
}

func (p *problems) atLeast(key string, n, least int) {
	if n < least {
		p.add(key, "must be at least %d", least)
	}
}
