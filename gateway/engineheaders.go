package gateway

import (
	"net/http"
	"strings"

	"github.com/valyala/fasthttp"

	"syncgate/internal/httpfield"
	"syncgate/internal/setting"
	"syncgate/signer"
)

// engineHeader is a header that goes with every request to the engine.
type engineHeader struct{ name, value string }

// SetEngineHeaders replaces the headers that go with every request to the default engine, for requests that are sent from now on. They must be
// valid.
func (g *Gateway) SetEngineHeaders(headers map[string]signer.Secret) {
	g.engines[0].setHeaders(headers)
}

func (e *engine) setHeaders(headers map[string]signer.Secret) {
	list := make([]engineHeader, 0, len(headers))
	for name, value := range headers {
		list = append(list, engineHeader{name, string(value)})
	}
	e.headers.Store(&list)
}

// addHeaders adds the headers to a request for the engine.
func (e *engine) addHeaders(h *fasthttp.RequestHeader) {
	for _, header := range *e.headers.Load() {
		h.Set(header.name, header.value)
	}
}

// validateHeaders shows neither a value nor a name that is not known: a secret may stand in the wrong place.
func (e *EngineConfig) validateHeaders(p *setting.Problems, key string) {
	seen := make(map[string]bool, len(e.Headers))
	for name, value := range e.Headers {
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case !IsHeaderName(name):
			p.Add(key, "one has a name that no header has: letters, digits and hyphens would do")
		case isOurs(canonical):
			p.Add(key, "%s is set by the gateway: remove it", canonical)
		case seen[canonical]:
			p.Add(key, "one is there twice, as case does not matter")
		case value == "":
			p.Add(key, "one has no value")
		case !isHeaderValue(string(value)):
			p.Add(key, "one has a value that no header has: visible ASCII characters with blanks between them would do, and no line end")
		}
		seen[canonical] = true
	}
}

// isOurs reports whether the gateway sets a header of requests to the engine, or relies on its absence.
func isOurs(canonical string) bool {
	switch canonical {
	case "Host", "Content-Type", "Content-Encoding":
		return true
	}
	return httpfield.IsOfConnection(canonical)
}

// IsHeaderName reports whether s is a token (RFC 9110, 5.6.2).
func IsHeaderName(s string) bool {
	odd := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	}
	return s != "" && !strings.ContainsFunc(s, odd)
}

func isHeaderValue(s string) bool {
	odd := func(r rune) bool { return (r < ' ' || r > '~') && r != '\t' }
	return strings.Trim(s, " \t") == s && !strings.ContainsFunc(s, odd)
}
