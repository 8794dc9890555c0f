package configs

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"syncgate/dialect"
	"syncgate/dialect/rest"
	"syncgate/internal/tlsfiles"
)

// Warning is something in the configuration that works but may not be meant.
type Warning string

// warnings lists what is valid, and is not what somebody wants who serves clients.
func (c *Config) warnings() (all []Warning) {
	if len(c.Auth.Credentials) == 0 && len(c.Routes) == 0 {
		all = append(all, "auth.credentials: there are none, every request is refused with 401: add a login and its secret")
	}
	switch base, engine := hostOf(c.Callback.BaseURL), hostOf(c.Engine.URL); {
	case isUnspecified(base):
		all = append(all, "callback.base_url: is the address of every interface, which nobody can call: set it to the URL at which the engine reaches this gateway")
	case isLoopback(base) && !isLoopback(engine) && c.UsesDefaultEngine():
		all = append(all, "callback.base_url: is on the loopback of this machine, where the engine at engine.url cannot call it: set it to the URL at which "+
			"the engine reaches this gateway")
	}
	if end, err := c.Listen.TLS.Expiry(); err == nil && !end.IsZero() {
		switch left := time.Until(end); {
		case left <= 0:
			all = append(all, Warning("listen.tls.cert_file: has expired at "+end.Format(time.RFC3339)+", clients refuse it: renew it"))
		case left < tlsfiles.ExpirySoon:
			all = append(all, Warning("listen.tls.cert_file: expires at "+end.Format(time.RFC3339)+": renew it"))
		}
	}
	return slices.Concat(all, c.engineWarnings(), c.notifyWarnings(), c.tracingWarnings())
}

// tracingWarnings says who can read what authenticates this gateway at the collector, and that gRPC is not spoken.
func (c *Config) tracingWarnings() (all []Warning) {
	if u, err := url.Parse(c.Tracing.URL); err == nil && u.Port() == "4317" {
		all = append(all, "tracing.url: port 4317 is that of OTLP over gRPC at most collectors, and spans are sent over HTTP: that is mostly port 4318")
	}
	secret := c.Tracing.Token != "" || len(c.Tracing.Headers) > 0
	if secret && strings.HasPrefix(strings.ToLower(c.Tracing.URL), "http://") && !isLoopback(hostOf(c.Tracing.URL)) {
		all = append(all, "tracing.url: is not https, and token or headers go with every request: everybody on the way can read them")
	}
	return all
}

// UsesDefaultEngine reports whether somebody may ask the engine of the section engine.
func (c *Config) UsesDefaultEngine() bool {
	ofRoute := func(r rest.RouteConfig) bool { return r.Engine == dialect.DefaultEngine }
	return len(c.Auth.Credentials) > 0 || len(c.Routes) == 0 || slices.ContainsFunc(c.Routes, ofRoute)
}

func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

func isUnspecified(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsUnspecified()
}
