package configs

import (
	"errors"
	"fmt"
	"slices"

	"syncgate/dialect/waiter"
)

// reservedLogin stands in URLs of waiters where the login stands in those of packages.
const reservedLogin = "callback"

// validateWaiters checks waiters, alone and against who may sign.
func (c *Config) validateWaiters() error {
	problems := []error{waiter.Validate(c.Waiters)}
	for i := range c.Auth.Credentials {
		if c.Auth.Credentials[i].Login == reservedLogin {
			problems = append(problems, fmt.Errorf("auth.credentials[%d].login: must not be %s, which stands there in the URLs of waiters", i, reservedLogin))
		}
	}
	for i := range c.Waiters {
		for j, login := range c.Waiters[i].Logins {
			if !slices.ContainsFunc(c.Auth.Credentials, func(k Credential) bool { return k.Login == login }) {
				problems = append(problems, fmt.Errorf("waiters[%d].logins[%d]: is not one of auth.credentials", i, j))
			}
		}
	}
	for i := range c.Routes {
		if r := &c.Routes[i]; r.ConvID != "" && c.isUnnamed(r.ConvID) {
			problems = append(problems, fmt.Errorf("routes[%d].conv_id: the waiters of process %s have engine: none and key: ref, and the tasks of a route have no ref: "+
				"nothing could complete them. Give one of the waiters key: data.MEMBER", i, r.ConvID))
		}
	}
	return errors.Join(problems...)
}

// isUnnamed reports whether no waiter of a process can name a task that has no ref, and no engine gets it.
func (c *Config) isUnnamed(process string) bool {
	waits := false
	for i := range c.Waiters {
		switch w := &c.Waiters[i]; {
		case w.ConvID != process:
		case w.Engine != waiter.EngineNone, w.Key != waiter.KeyRef:
			return false
		default:
			waits = true
		}
	}
	return waits
}
