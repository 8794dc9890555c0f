package gateway_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"syncgate/dialect"
	"syncgate/gateway"
	"syncgate/internal/tlsfiles"
	"syncgate/signer"
)

func TestDefaultIsValid(t *testing.T) {
	c := gateway.Default()
	if err := c.Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
}

// wantInvalid wants one problem with a changed configuration, of that key.
func wantInvalid(t *testing.T, key string, change func(*gateway.Config)) {
	t.Helper()
	c := gateway.Default()
	change(&c)
	err := c.Validate()
	if err == nil {
		t.Errorf("%s: accepted", key)
		return
	}
	if lines := strings.Split(err.Error(), "\n"); len(lines) != 1 || !strings.HasPrefix(lines[0], key+": ") {
		t.Errorf("want one problem with %s, have %q", key, lines)
	}
}

func TestValidateEngineHeaders(t *testing.T) {
	f := func(key string, change func(*gateway.Config)) {
		t.Helper()
		wantInvalid(t, key, change)
	}
	headers := func(pairs ...string) func(*gateway.Config) {
		return func(c *gateway.Config) {
			c.Engine.Headers = make(map[string]signer.Secret)
			for i := 0; i < len(pairs); i += 2 {
				c.Engine.Headers[pairs[i]] = signer.Secret(pairs[i+1])
			}
		}
	}
	for _, ours := range []string{
		"Host", "content-length", "Content-type", "Content-Encoding", "transfer-ENCODING", "Connection", "Proxy-Connection", "Keep-Alive", "Upgrade", "TE", "Trailer", "expect",
	} {
		f("engine.headers", headers(ours, "x"))
	}
	for _, name := range []string{"", " ", "a b", "a:", "a\r\nb", "ключ", "a\x00"} {
		f("engine.headers", headers(name, "x"))
	}
	for _, value := range []string{"", " x", "x ", "x\n", "x\r\nHost: y", "ї", "\x00", "x\x7f"} {
		f("engine.headers", headers("Authorization", value))
	}
	f("engine.headers", headers("Authorization", "x", "authorization", "x"))
}

func TestValidateNamesKey(t *testing.T) {
	f := func(key string, change func(*gateway.Config)) {
		t.Helper()
		wantInvalid(t, key, change)
	}
	f("listen.public", func(c *gateway.Config) { c.Listen.Public = "8080" })
	f("listen.public", func(c *gateway.Config) { c.Listen.Public = "" })
	f("listen.public", func(c *gateway.Config) { c.Listen.Public = ":99999" })
	f("listen.admin", func(c *gateway.Config) { c.Listen.Admin = ":http" })
	f("listen.admin", func(c *gateway.Config) { c.Listen.Admin = c.Listen.Public })
	f("listen.callback", func(c *gateway.Config) { c.Listen.Callback = c.Listen.Public })
	f("listen.trusted_proxies[1]", func(c *gateway.Config) { c.Listen.TrustedProxies = []string{"10.0.0.0/8", "10.0.0.0/40"} })
	f("listen.proxy_protocol[0]", func(c *gateway.Config) { c.Listen.ProxyProtocol = []string{"admin"} })
	f("listen.proxy_protocol[0]", func(c *gateway.Config) { c.Listen.ProxyProtocol = []string{"callback"} })
	f("listen.tls.key_file", func(c *gateway.Config) { c.Listen.TLS.CertFile = "cert.pem" })
	f("listen.tls.cert_file", func(c *gateway.Config) { c.Listen.TLS.KeyFile = "key.pem" })
	f("listen.tls.cert_file", func(c *gateway.Config) { c.Listen.TLS = tlsfiles.Files{CertFile: "no.pem", KeyFile: "no.pem"} })
	f("listen.body_timeout", func(c *gateway.Config) { c.Listen.BodyTimeout = 0 })
	f("callback.base_url", func(c *gateway.Config) { c.Callback.BaseURL = "sync.example.com" })
	f("callback.base_url", func(c *gateway.Config) { c.Callback.BaseURL = "https://sync.example.com?" })
	f("callback.base_url", func(c *gateway.Config) { c.Callback.BaseURL = "https://sync.example.com/#x" })
	f("callback.base_url", func(c *gateway.Config) { c.Callback.BaseURL = "ftp://sync.example.com" })
	f("callback.base_url", func(c *gateway.Config) { c.Callback.BaseURL = "http://:8080" })
	f("callback.base_url", func(c *gateway.Config) { c.Callback.BaseURL = "http://h:port" })
	f("callback.methods", func(c *gateway.Config) { c.Callback.Methods = nil })
	f("callback.methods[1]", func(c *gateway.Config) { c.Callback.Methods = []string{"GET", "post"} })
	f("engine.url", func(c *gateway.Config) { c.Engine.URL = "https://user:pass@engine.example" })
	f("engine.timeout", func(c *gateway.Config) { c.Engine.Timeout = -time.Second })
	f("engine.max_connections", func(c *gateway.Config) { c.Engine.MaxConnections = 0 })
	f("engine.ack", func(c *gateway.Config) { c.Engine.Ack = "" })
	f("engine.ack", func(c *gateway.Config) { c.Engine.Ack = "Any" })
	f("timeouts.default", func(c *gateway.Config) { c.Timeouts.Default = c.Timeouts.Max + 1 })
	f("limits.body", func(c *gateway.Config) { c.Limits.Body = 0 })
	f("limits.ops", func(c *gateway.Config) { c.Limits.Ops = 0 })
	f("limits.ops", func(c *gateway.Config) { c.Limits.Ops = 65537 })
	f("limits.parked", func(c *gateway.Config) { c.Limits.Parked = -1 })
	f("limits.rate_per_login", func(c *gateway.Config) { c.Limits.RatePerLogin = math.NaN() })
	f("admin.trips", func(c *gateway.Config) { c.Admin.Trips = -1 })
	for _, name := range []string{"", "http://syncgate.internal", "syncgate.internal:9090", "syncgate.internal/x", "::1"} {
		f("admin.hosts[1]", func(c *gateway.Config) { c.Admin.Hosts = []string{"syncgate.internal", name} })
	}
	f("admin.hosts", func(c *gateway.Config) { c.Admin.Hosts = slices.Repeat([]string{"a"}, 101) })
	f("results.retention", func(c *gateway.Config) { c.Results.Retention = -1 })
	f("on_disconnect", func(c *gateway.Config) { c.OnDisconnect = "" })
	f("drain.timeout", func(c *gateway.Config) { c.Drain.Timeout = -1 })
	f("cors.origins[0]", func(c *gateway.Config) { c.CORS.Origins = []string{"*", "https://a.example"} })
	f("cors.origins[0]", func(c *gateway.Config) { c.CORS.Origins = []string{"https://a.example/"} })
	f("cors.origins[0]", func(c *gateway.Config) { c.CORS.Origins = []string{"null"} })
}

func TestValidateListsEveryProblem(t *testing.T) {
	c := gateway.Config{Timeouts: dialect.Timeouts{Default: 2, Max: 1}}
	err := c.Validate()
	for _, key := range []string{
		"listen.public", "listen.header_timeout", "callback.base_url", "callback.methods", "engine.url", "engine.timeout",
		"engine.idle", "engine.max_connections", "timeouts.default", "limits.body", "limits.callback_body", "limits.ops", "on_disconnect",
	} {
		if !strings.Contains("\n"+err.Error(), "\n"+key+": ") {
			t.Errorf("%s is not among the problems:\n%v", key, err)
		}
	}
}

func TestValidateHidesPasswords(t *testing.T) {
	for _, u := range []string{"ftp://user:hunter2@engine.example", "http://user:hunter2@engine.example", "http://user:hunter2@engine.example:port"} {
		c := gateway.Default()
		c.Engine.URL = u
		if err := c.Validate(); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", u, err)
		}
	}
}
