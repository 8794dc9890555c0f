package main

import (
	"cmp"
	"errors"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"syncgate/configs"
	"syncgate/dialect"
	"syncgate/internal/upstream"
)

// engineProxy gives the proxy through which the engine is reached, and the key or the variable that names it; nil if there is none. Where
// engine.proxy is empty the environment decides, by the variables that most programs know: HTTPS_PROXY for an https engine, HTTP_PROXY for an
// http one, and NO_PROXY for hosts that are reached without; those in lower case too. The loopback is always reached without.
func engineProxy(c *configs.Config, getenv func(string) (string, bool)) (proxy *url.URL, from string, err error) {
	return proxyOf("engine", c.Engine.Connection, getenv)
}

// proxyOf is engineProxy for the engine under a key.
func proxyOf(key string, e dialect.Connection, getenv func(string) (string, bool)) (proxy *url.URL, from string, err error) {
	switch e.Proxy {
	case dialect.NoProxy:
		return nil, key + ".proxy", nil
	case "":
	default:
		proxy, err = upstream.ParseProxy(e.Proxy)
		return proxy, key + ".proxy", err
	}
	text, _, _ := strings.Cut(e.URL, "{") // a parameter of a route may follow the host
	engine, err := url.Parse(text)
	if err != nil {
		return nil, "", errors.New(key + ".url: is no URL") // a valid configuration has one
	}
	either := func(name string) string {
		upper, _ := getenv(name)
		lower, _ := getenv(strings.ToLower(name))
		return cmp.Or(upper, lower)
	}
	from = strings.ToUpper(engine.Scheme) + "_PROXY"
	text = either(from)
	if text == "" || reachedDirectly(engine, either("NO_PROXY")) {
		return nil, from, nil
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	if proxy, err = upstream.ParseProxy(text); err != nil {
		return nil, from, errors.New("must be the URL of an HTTP proxy, such as http://proxy:3128; engine.proxy overrides it, with none for no proxy")
	}
	return proxy, from, nil
}

// reachedDirectly reports whether no proxy is meant for a host. The library takes a proxy that it cannot read for none, so it is asked about
// one that it can.
func reachedDirectly(engine *url.URL, except string) bool {
	const some = "http://proxy.invalid"
	proxy, err := (&httpproxy.Config{HTTPProxy: some, HTTPSProxy: some, NoProxy: except}).ProxyFunc()(engine)
	return err == nil && proxy == nil
}
