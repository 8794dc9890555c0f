package main

import (
	"strings"
	"testing"

	"syncgate/configs"
)

// TestEngineProxy: the configuration's word counts first, then the environment's, and the loopback needs none.
func TestEngineProxy(t *testing.T) {
	f := func(engine, configured, want, from string, env ...string) {
		t.Helper()
		c := configs.Default()
		c.Engine.URL, c.Engine.Proxy = engine, configured
		p := &program{env: env}
		proxy, by, err := engineProxy(c, p.getenv)
		got := ""
		if proxy != nil {
			got = proxy.String()
		}
		if err != nil || got != want || by != from {
			t.Errorf("%s, %q, %q: %q from %q, %v; want %q from %q", engine, configured, env, got, by, err, want, from)
		}
	}
	const all = "HTTPS_PROXY=http://secure:1"
	f("https://engine.example", "", "", "HTTPS_PROXY")
	f("https://engine.example", "", "http://secure:1", "HTTPS_PROXY", all, "HTTP_PROXY=http://plain:1")
	f("http://engine.example", "", "http://plain:1", "HTTP_PROXY", all, "HTTP_PROXY=http://plain:1")
	f("http://engine.example", "", "", "HTTP_PROXY", all)
	f("https://engine.example", "", "http://lower:1", "HTTPS_PROXY", "https_proxy=lower:1")
	f("https://engine.example", "", "http://u:p@secure:1", "HTTPS_PROXY", "HTTPS_PROXY=http://u:p@secure:1")
	f("https://engine.example", "", "", "HTTPS_PROXY", all, "NO_PROXY=.example")
	f("https://engine.example", "", "", "HTTPS_PROXY", all, "no_proxy=*")
	f("https://localhost:8443", "", "", "HTTPS_PROXY", all)
	f("https://127.0.0.1:8443", "", "", "HTTPS_PROXY", all)
	f("https://[::1]", "", "", "HTTPS_PROXY", all)
	f("https://127.0.0.1:8443", "http://mine:1", "http://mine:1", "engine.proxy", all)
	f("https://engine.example", "http://mine:1", "http://mine:1", "engine.proxy", all, "NO_PROXY=*")
	f("https://engine.example", "none", "", "engine.proxy", all)
	for _, bad := range []string{"socks5://hunter2:1", "http://u:hunter2%zz@p", "http://p:hunter2", "://hunter2", "http://hunter2:99999"} {
		var errs strings.Builder
		p := &program{out: &errs, err: &errs, env: []string{"HTTPS_PROXY=" + bad}}
		status := p.main([]string{"check"})
		if status != exitUsage || strings.Contains(errs.String(), "hunter2") || !strings.Contains(errs.String(), "\nHTTPS_PROXY: must be the URL of an HTTP proxy") {
			t.Errorf("%s: status %d\n%s", bad, status, errs.String())
		}
	}
}
