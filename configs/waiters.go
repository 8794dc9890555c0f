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
	return errors.Join(problems...)
}
