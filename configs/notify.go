package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"syncgate/dialect/rest"
)

// Pushes reports whether results of some route may be sent to receivers.
func (c *Config) Pushes() bool {
	return slices.ContainsFunc(c.Routes, func(r rest.RouteConfig) bool { return pushes(&r) })
}

func pushes(r *rest.RouteConfig) bool { return r.Subscriptions || r.View == rest.ViewOS1 }

// validateNotify gives every problem of notify, joined.
func (c *Config) validateNotify() error {
	var all []error
	for _, err := range split(c.Notify.Validate()) {
		all = append(all, fmt.Errorf("notify.%w", err))
	}
	return errors.Join(all...)
}

// notifyWarnings lists what is valid of notify, and shows results or what is private to somebody who should not see it.
func (c *Config) notifyWarnings() (all []Warning) {
	if c.Notify.SigningSecret != "" {
		all = c.sharedWarnings()
	}
	if c.Notify.AllowHTTP {
		all = append(all, "notify.allow_http: is true: everybody on the way to a receiver without TLS can read the results")
	}
	networks, err := c.Notify.Networks()
	if err != nil {
		return all
	}
	for i, n := range networks {
		key := item("notify.allow_networks", i)
		switch {
		case n.Bits() == 0:
			all = append(all, Warning(key+": is every address: clients can reach whatever this gateway can reach; name the networks of the receivers alone"))
		case overlaps(n, "127.0.0.0/8", "::1/128"):
			all = append(all, Warning(key+": holds the loopback: clients can reach every service of this machine; name the networks of the receivers alone"))
		case overlaps(n, "169.254.0.0/16", "fe80::/10"):
			all = append(all, Warning(key+": holds link-local addresses, where clouds have the metadata and the credentials of this machine; name the networks of the receivers alone"))
		}
	}
	return all
}

// sharedWarnings says who shares notify.signing_secret.
func (c *Config) sharedWarnings() (all []Warning) {
	const what = "notify.signing_secret: signs for "
	if name := c.openRoute(); name != "" {
		all = append(all, Warning(what+"everybody who calls route "+name+", which has auth none: a receiver cannot tell which of them had a result sent"))
	}
	if names := c.sharers(); len(names) > 1 {
		all = append(all, Warning(fmt.Sprintf(what+"%d callers that have no signing_secret of their own, %s and %s among them: "+
			"the receivers of one can sign for those of another; give each its own entry of access with a signing_secret", len(names), names[0], names[1])))
	}
	return all
}

func overlaps(n netip.Prefix, others ...string) bool {
	return slices.ContainsFunc(others, func(o string) bool { return n.Overlaps(netip.MustParsePrefix(o)) })
}

// sharers names the callers for whose receivers notify.signing_secret signs: entries of access, and logins of Corezoid.
func (c *Config) sharers() (names []string) {
	for i := range c.Access {
		a := &c.Access[i]
		pushed := func(r rest.RouteConfig) bool { return pushes(&r) && slices.Contains(a.Routes, r.Name) }
		if a.SigningSecret == "" && slices.ContainsFunc(c.Routes, pushed) {
			names = append(names, "access "+a.Name)
		}
	}
	if slices.ContainsFunc(c.Routes, func(r rest.RouteConfig) bool { return pushes(&r) && r.Auth == rest.AuthCorezoid }) {
		for i := range c.Auth.Credentials {
			names = append(names, "login "+c.Auth.Credentials[i].Login)
		}
	}
	return names
}

// openRoute gives the name of a route that pushes and that everybody may call, empty without one.
func (c *Config) openRoute() string {
	i := slices.IndexFunc(c.Routes, func(r rest.RouteConfig) bool { return pushes(&r) && r.Auth == rest.AuthNone })
	if i < 0 {
		return ""
	}
	return c.Routes[i].Name
}
