package gateway

import (
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/internal/httpfield"
	"syncgate/internal/setting"
	"syncgate/internal/whereabouts"
	"syncgate/signer"
)

func (l *Listen) validate(p *setting.Problems) {
	p.Address("listen.public", l.Public)
	if l.PublicURL != "" {
		p.BaseURL("listen.public_url", l.PublicURL)
	}
	if l.Callback != "" {
		p.Address("listen.callback", l.Callback)
	}
	if l.Admin != "" {
		p.Address("listen.admin", l.Admin)
	}
	distinct(p, "listen.callback", l.Callback, l.Public)
	distinct(p, "listen.admin", l.Admin, l.Public, l.Callback)
	for i, s := range l.TrustedProxies {
		if _, err := netip.ParsePrefix(s); err != nil {
			if _, err = netip.ParseAddr(s); err != nil {
				p.Add(setting.Item("listen.trusted_proxies", i), "is neither an IP address nor a network such as 10.0.0.0/8")
			}
		}
	}
	for i, s := range l.ProxyProtocol {
		p.OneOf(setting.Item("listen.proxy_protocol", i), s, "public", "callback")
		if s == "callback" && l.Callback == "" {
			p.Add(setting.Item("listen.proxy_protocol", i), "there is no such listener: set listen.callback too")
		}
	}
	p.Join(l.TLS.Validate())
	p.Positive("listen.header_timeout", l.HeaderTimeout)
	p.Positive("listen.body_timeout", l.BodyTimeout)
	p.Positive("listen.write_timeout", l.WriteTimeout)
	p.Positive("listen.idle_timeout", l.IdleTimeout)
	p.Positive("listen.heartbeat", l.Heartbeat)
}

func (c *CallbackConfig) validate(p *setting.Problems) {
	p.BaseURL("callback.base_url", c.BaseURL)
	if len(c.Methods) == 0 {
		p.Add("callback.methods", "must name at least one method")
	}
	for i, m := range c.Methods {
		p.OneOf(setting.Item("callback.methods", i), m, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodGet)
	}
}

func validateEngine(e *dialect.Connection, p *setting.Problems) {
	p.BaseURL("engine.url", e.URL)
	p.OneOf("engine.ack", e.Ack, dialect.AckProtocol, dialect.AckAny)
	validateConnection(e, p, "engine.")
}

// ValidateConnection gives every problem of how an engine is connected to, but for its URL, joined; each begins with key and the name of what is
// wrong.
func ValidateConnection(c *dialect.Connection, key string) error {
	var p setting.Problems
	validateConnection(c, &p, key)
	return p.Err()
}

func validateConnection(e *dialect.Connection, p *setting.Problems, key string) {
	if _, err := proxyOf(e); err != nil {
		p.Add(key+"proxy", "%w; or "+dialect.NoProxy, err)
	}
	p.Positive(key+"timeout", e.Timeout)
	p.Positive(key+"idle", e.Idle)
	p.AtLeast(key+"max_connections", e.MaxConnections, 1)
	validateHeaders(e.Headers, p, key+"headers")
}

// validateHeaders shows neither a value nor a name that is not known: a secret may stand in the wrong place.
func validateHeaders(headers map[string]signer.Secret, p *setting.Problems, key string) {
	seen := make(map[string]bool, len(headers))
	for name, value := range headers {
		canonical, wrong := http.CanonicalHeaderKey(name), httpfield.Wrong(name, string(value))
		switch {
		case isOurs(canonical):
			p.Add(key, "%s is set by the gateway: remove it", canonical)
		case seen[canonical]:
			p.Add(key, "one is there twice, as case does not matter")
		case wrong != "":
			p.Add(key, "%s", wrong)
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

func (l *Limits) validate(p *setting.Problems) {
	p.SomeBytes("limits.body", l.Body)
	p.SomeBytes("limits.callback_body", l.CallbackBody)
	p.AtLeast("limits.ops", l.Ops, 1)
	if l.Ops > correlator.MaxOp+1 {
		p.Add("limits.ops", "must be at most %d", correlator.MaxOp+1)
	}
	p.AtLeast("limits.parked", l.Parked, 0)
	p.AtLeast("limits.parked_per_login", l.ParkedPerLogin, 0)
	if !(l.RatePerLogin >= 0) || math.IsInf(l.RatePerLogin, 0) {
		p.Add("limits.rate_per_login", "must be a number of requests a second, 0 for no limit")
	}
	p.AtLeast("limits.streams_per_login", l.StreamsPerLogin, 0)
	p.AtLeast("limits.results", int(l.Results), 0)
}

// mostHosts bounds Admin.Hosts.
const mostHosts = 100

func (a *Admin) validate(p *setting.Problems) {
	p.AtLeast("admin.trips", a.Trips, 0)
	if a.Trips > whereabouts.MostTrips {
		p.Add("admin.trips", "must be at most %d", whereabouts.MostTrips)
	}
	if len(a.Hosts) > mostHosts {
		p.Add("admin.hosts", "must be at most %d names", mostHosts)
	}
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	}
	for i, name := range a.Hosts {
		if name == "" || strings.ContainsFunc(name, odd) {
			p.Add(setting.Item("admin.hosts", i), "must be the name of a host such as syncgate.internal, without scheme, port and path")
		}
	}
}

// distinct refuses the address of another listener; port 0 is a new one each time.
func distinct(p *setting.Problems, key, addr string, others ...string) {
	if addr != "" && !strings.HasSuffix(addr, ":0") && slices.Contains(others, addr) {
		p.Add(key, "is the address of another listener")
	}
}
