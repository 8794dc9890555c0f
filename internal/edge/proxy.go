package edge

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Proxy is a kind of proxy, by the name that its vendor gives it; empty: it cannot be seen which one it is.
type Proxy string

// The proxies that are known.
const (
	Nginx      Proxy = "nginx"
	HAProxy    Proxy = "haproxy"
	Apache     Proxy = "Apache"
	Varnish    Proxy = "Varnish"
	Envoy      Proxy = "Envoy"
	Traefik    Proxy = "Traefik"
	Caddy      Proxy = "Caddy"
	AWS        Proxy = "AWS load balancer"
	Google     Proxy = "Google load balancer"
	Cloudflare Proxy = "Cloudflare"
)

// Recognise says which proxy has answered, by the head and the beginning of the body; empty: none that is known, or none.
func Recognise(h http.Header, page string) Proxy {
	server, via, page := strings.ToLower(h.Get("Server")), strings.ToLower(strings.Join(h.Values("Via"), ", ")), strings.ToLower(page)
	for _, sign := range []struct {
		text, in string
		is       Proxy
	}{
		{"cloudflare", server, Cloudflare},
		{"awselb", server, AWS},
		{"nginx", server, Nginx},
		{"openresty", server, Nginx},
		{"tengine", server, Nginx},
		{"apache", server, Apache},
		{"envoy", server, Envoy},
		{"varnish", server, Varnish},
		{"caddy", server, Caddy},
		{"caddy", via, Caddy},
		{"varnish", via, Varnish},
		{"google", via, Google},
		{"guru meditation", page, Varnish},
		{"upstream request timeout", page, Envoy},
		{"<center>nginx", page, Nginx},
		{"<html><body><h1>50", page, HAProxy},
		{"<html><body><h1>40", page, HAProxy},
	} {
		if strings.Contains(sign.in, sign.text) {
			return sign.is
		}
	}
	switch {
	case h.Get("X-Varnish") != "":
		return Varnish
	case h.Get("Cf-Ray") != "":
		return Cloudflare
	case h.Get("X-Envoy-Upstream-Service-Time") != "":
		return Envoy
	case strings.TrimSpace(page) == "gateway timeout", strings.TrimSpace(page) == "bad gateway":
		return Traefik
	}
	return ""
}

// Name gives a word for the proxy, also where it is not known.
func (p Proxy) Name() string {
	if p == "" {
		return "a proxy on the way"
	}
	return string(p)
}

// settings are sentences that say what to set. %s is a time or a size, as the proxy writes it.
type settings struct {
	wait   string // so that a connection may wait for so long
	stream string // so that events arrive as they are sent
	body   string // so that a body may have so many bytes
	abort  string // so that the gateway hears of a client that leaves
	repeat string // so that a POST is not sent twice
	path   string // so that a path arrives as it was sent
}

// general are the settings of a proxy that is not known.
var general = settings{
	wait:   "raise to %s the time-outs of each proxy on the way, both that of a response and that of an idle connection",
	stream: "have the proxies on the way send each piece of an answer on at once, without a buffer",
	body:   "have the proxies on the way take bodies of %s",
	abort:  "have the proxies on the way close their connection to the gateway when the client closes its own",
	repeat: "forbid the proxies on the way to send a POST again that the gateway may have",
	path:   "have the proxies on the way hand paths on as they came, neither decoded nor normalised",
}

// known are the settings of those that are known; what is empty is as in general. docs/balancers.md has the whole configurations.
func (p Proxy) known() settings {
	switch p {
	case Nginx:
		return settings{
			wait:   "nginx: proxy_read_timeout %s; in the location that leads to the gateway",
			stream: "nginx: proxy_buffering off; in the location, or no proxy_ignore_headers X-Accel-Buffering",
			body:   "nginx: client_max_body_size %s;",
			abort:  "nginx: proxy_ignore_client_abort off;",
			repeat: "nginx: proxy_next_upstream error timeout; without non_idempotent",
			path:   "nginx: no path behind the name in proxy_pass: proxy_pass http://gateways;",
		}
	case HAProxy:
		return settings{
			wait:   "haproxy: timeout server %[1]s and timeout client %[1]s",
			abort:  "haproxy: option abortonclose",
			repeat: "haproxy: retry-on conn-failure",
		}
	case Apache:
		return settings{
			wait:   "Apache: ProxyTimeout %s (without the unit)",
			stream: "Apache: flushpackets=on at ProxyPass",
			body:   "Apache: LimitRequestBody (in bytes), at least %s",
			path:   "Apache: nocanon at ProxyPass",
		}
	case Varnish:
		return settings{
			wait:   "Varnish: .first_byte_timeout = %[1]s; and .between_bytes_timeout = %[1]s; in the backend",
			stream: "Varnish: return (pass) for paths of the gateway, and beresp.do_stream = true",
		}
	case Envoy:
		return settings{
			wait:   "Envoy: timeout: %[1]s in the route, and stream_idle_timeout: %[1]s",
			repeat: "Envoy: retry_on: connect-failure, and nothing more",
		}
	case Traefik:
		return settings{
			wait:   "Traefik: respondingTimeouts.readTimeout: %s at the entry point",
			repeat: "Traefik: no retry middleware on routes of the gateway",
		}
	case Caddy:
		return settings{
			wait:   "Caddy: read_timeout %s of the transport, or none",
			stream: "Caddy: flush_interval -1 in reverse_proxy",
			body:   "Caddy: request_body { max_size %s }",
		}
	case AWS:
		return settings{wait: "AWS load balancer: idle_timeout.timeout_seconds, at least %s (without the unit)"}
	case Google:
		return settings{wait: "Google load balancer: the time-out of the backend service, at least %s"}
	case Cloudflare:
		return settings{wait: "Cloudflare: the proxy read time-out, which only some plans can raise to %s; else have clients ask for less, or let the name lead past the proxy (DNS only)"}
	}
	return general
}

func (p Proxy) sentence(of func(settings) string, args ...any) string {
	text := of(p.known())
	if text == "" {
		text = of(general)
	}
	return fmt.Sprintf(text, args...)
}

// RaiseWait says what to set, so that a connection may wait for d.
func (p Proxy) RaiseWait(d time.Duration) string {
	return p.sentence(func(s settings) string { return s.wait }, seconds(d))
}

// RaiseBody says what to set, so that a body may have so many bytes.
func (p Proxy) RaiseBody(bytes int64) string {
	const mib = 1 << 20
	return p.sentence(func(s settings) string { return s.body }, fmt.Sprintf("%dm", (bytes+mib-1)/mib))
}

// Unbuffer says what to set, so that events arrive as they are sent.
func (p Proxy) Unbuffer() string { return p.sentence(func(s settings) string { return s.stream }) }

// ForwardAbort says what to set, so that the gateway hears of a client that leaves.
func (p Proxy) ForwardAbort() string { return p.sentence(func(s settings) string { return s.abort }) }

// SendOnce says what to set, so that a POST is not sent twice.
func (p Proxy) SendOnce() string { return p.sentence(func(s settings) string { return s.repeat }) }

// KeepPath says what to set, so that a path arrives as it was sent.
func (p Proxy) KeepPath() string { return p.sentence(func(s settings) string { return s.path }) }

// seconds writes a time in whole seconds.
func seconds(d time.Duration) string { return fmt.Sprintf("%ds", int64((d+time.Second-1)/time.Second)) }
