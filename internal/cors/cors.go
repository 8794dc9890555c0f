// Package cors says which pages of browsers may read answers, by the CORS protocol of the Fetch standard.
package cors

import (
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"

	"syncgate/internal/setting"
)

// Config lists the origins that browsers may call from; "*" is any.
type Config struct {
	Origins []string `yaml:"origins"`
	Enforce bool     `yaml:"enforce"` // requests of other origins are refused
}

// Validate gives every problem at once, joined; each begins with its key as in "cors.origins[0]: ...".
func (c Config) Validate() error {
	var p setting.Problems
	for i, o := range c.Origins {
		u, err := url.Parse(o)
		switch {
		case o == "*" && len(c.Origins) == 1:
		case o == "*":
			p.Add(setting.Item("cors.origins", i), `"*" allows every origin: remove it or the others`)
		case err != nil || !setting.IsWebScheme(u.Scheme) || u.Host == "" || o != u.Scheme+"://"+strings.ToLower(u.Host):
			p.Add(setting.Item("cors.origins", i), "is not an origin as browsers send it, such as https://shop.example (lower case, no path)")
		}
	}
	return p.Err()
}

const preflightAge = "7200" // seconds; no browser but Firefox keeps one for longer

// Policy lets browsers' pages from listed origins read our answers. A foreign origin is served like anybody else, without
// the headers, and its preflight is refused. Enforced, its requests are refused too: those that need no preflight would make tasks.
type Policy struct {
	any     bool
	enforce bool
	origins map[string]struct{}
}

// New makes the policy of a valid cfg.
func New(cfg Config) *Policy {
	c := &Policy{enforce: cfg.Enforce, origins: make(map[string]struct{}, len(cfg.Origins))}
	for _, o := range cfg.Origins {
		c.any = c.any || o == "*"
		c.origins[o] = struct{}{}
	}
	return c
}

func (c *Policy) allows(origin string) bool {
	_, listed := c.origins[origin]
	return origin != "" && (c.any || listed)
}

// Refuses reports whether a request is refused for its origin. What is not a page of a browser sends none.
func (c *Policy) Refuses(origin string) bool { return c.enforce && origin != "" && !c.allows(origin) }

// Page is who reads an answer in a browser.
type Page struct {
	Origin string // empty: nobody
	Listed bool   // by the route itself
	Routed bool   // the answer is that of a route of the configuration
}

const exposedHeaders = "Location, X-Request-Id, Retry-After, Date, Preference-Applied, X-Syncgate-Forwarded"

// routedHeaders are those that answers of routes have beside them.
const routedHeaders = ", Operation-Location, Link, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"

// Allow sets the headers of an answer to an allowed origin.
func (c *Policy) Allow(dst *fasthttp.Response, p Page) {
	if len(c.origins) == 0 && !p.Routed {
		return
	}
	h := &dst.Header
	if !c.any {
		h.Add("Vary", "Origin") // on every answer, else a cache gives one origin's to another
	}
	if !p.Listed && !c.allows(p.Origin) {
		return
	}
	if c.any {
		h.Set("Access-Control-Allow-Origin", "*")
	} else {
		h.Set("Access-Control-Allow-Origin", p.Origin)
	}
	if p.Routed {
		h.Set("Access-Control-Expose-Headers", exposedHeaders+routedHeaders)
	} else {
		h.Set("Access-Control-Expose-Headers", exposedHeaders)
	}
}

// Preflight answers OPTIONS; methods are those of the path, separated by commas. False: pages of the origin may not call it, and nothing is
// answered.
func (c *Policy) Preflight(req *fasthttp.Request, resp *fasthttp.Response, methods string, p Page) (allowed bool) {
	origin := string(req.Header.Peek("Origin"))
	h := &resp.Header
	if len(origin) == 0 { // not a browser: it asks what the path can do
		h.Set("Allow", methods)
		resp.SetStatusCode(fasthttp.StatusNoContent)
		return true
	}
	if !p.Listed && !c.allows(origin) {
		return false
	}
	h.Set("Access-Control-Allow-Methods", methods)
	if asked := req.Header.Peek("Access-Control-Request-Headers"); len(asked) > 0 {
		h.SetBytesV("Access-Control-Allow-Headers", asked)
	}
	h.Set("Access-Control-Max-Age", preflightAge)
	resp.SetStatusCode(fasthttp.StatusNoContent)
	return true
}
