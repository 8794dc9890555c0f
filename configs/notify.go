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
	if names := c.sharers(); c.Notify.SigningSecret != "" && len(names) > 1 {
		all = append(all, Warning(fmt.Sprintf("notify.signing_secret: signs for %d entries of access that have no signing_secret of their own, %s and %s among them: "+
			"the receivers of one can sign for those of another; give each entry its own", len(names), names[0], names[1])))
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

func overlaps(n netip.Prefix, others ...string) bool {
	return slices.ContainsFunc(others, func(o string) bool { return n.Overlaps(netip.MustParsePrefix(o)) })
}

// sharers names the callers for whose receivers notify.signing_secret signs.
func (c *Config) sharers() (names []string) {
	for i := range c.Access {
		a := &c.Access[i]
		pushed := func(r rest.RouteConfig) bool { return pushes(&r) && slices.Contains(a.Routes, r.Name) }
		if slices.ContainsFunc(c.Routes, pushed) {
			names = append(names, a.Name)
		}
	}
	return names
}
