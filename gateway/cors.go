package gateway

import (
	"github.com/valyala/fasthttp"
)

const preflightAge = "7200" // seconds; no browser but Firefox keeps one for longer

// cors lets browsers' pages from listed origins read our answers. A foreign origin is served like anybody else, without
// the headers, and its preflight is refused. Enforced, its requests are refused too: those that need no preflight would make tasks.
type cors struct {
	any     bool
	enforce bool
	origins map[string]struct{}
}

func newCORS(cfg CORS) *cors {
	c := &cors{enforce: cfg.Enforce, origins: make(map[string]struct{}, len(cfg.Origins))}
	for _, o := range cfg.Origins {
		c.any = c.any || o == "*"
		c.origins[o] = struct{}{}
	}
	return c
}

func (c *cors) allows(origin string) bool {
	_, listed := c.origins[origin]
	return origin != "" && (c.any || listed)
}

// refuses reports whether a request is refused for its origin. What is not a page of a browser sends none.
func (c *cors) refuses(origin string) bool { return c.enforce && origin != "" && !c.allows(origin) }

func foreignOrigin() *Fault {
	return &Fault{Status: fasthttp.StatusForbidden, Text: "Origin is not allowed: add it to cors.origins"}
}

// page is who reads an answer in a browser.
type page struct {
	origin string // empty: nobody
	listed bool   // by the route itself
	routed bool   // the answer is that of a route of the configuration
}

const exposedHeaders = "Location, X-Request-Id, Retry-After, Date, Preference-Applied, X-Syncgate-Forwarded"

// allow sets the headers of an answer to an allowed origin.
func (c *cors) allow(dst *fasthttp.Response, p page) {
	if len(c.origins) == 0 && !p.routed {
		return
	}
	h := &dst.Header
	if !c.any {
		h.Add("Vary", "Origin") // on every answer, else a cache gives one origin's to another
	}
	if !p.listed && !c.allows(p.origin) {
		return
	}
	if c.any {
		h.Set("Access-Control-Allow-Origin", "*")
	} else {
		h.Set("Access-Control-Allow-Origin", p.origin)
	}
	if p.routed {
		h.Set("Access-Control-Expose-Headers", exposedHeaders+", Operation-Location")
	} else {
		h.Set("Access-Control-Expose-Headers", exposedHeaders)
	}
}

// preflight answers OPTIONS; methods are those of the path.
func (c *cors) preflight(req *fasthttp.Request, resp *fasthttp.Response, methods string, p page) error {
	origin := string(req.Header.Peek("Origin"))
	h := &resp.Header
	if len(origin) == 0 { // not a browser: it asks what the path can do
		h.Set("Allow", methods)
		resp.SetStatusCode(fasthttp.StatusNoContent)
		return nil
	}
	if !p.listed && !c.allows(origin) {
		return foreignOrigin()
	}
	h.Set("Access-Control-Allow-Methods", methods)
	if asked := req.Header.Peek("Access-Control-Request-Headers"); len(asked) > 0 {
		h.SetBytesV("Access-Control-Allow-Headers", asked)
	}
	h.Set("Access-Control-Max-Age", preflightAge)
	resp.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}
