package configs

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"syncgate/dialect"
	"syncgate/dialect/rest"
)

// routeEngines are the engines that routes can name, with what a route has to know of each.
func (c *Config) routeEngines() []rest.Engine {
	all := []rest.Engine{{Name: dialect.DefaultEngine, Corezoid: true}}
	for i := range c.Engines {
		e := c.Engines[i].HTTP()
		all = append(all, rest.Engine{Name: e.Name, Progress: c.Engines[i].reportsProgress(), Parameters: e.Params()})
	}
	return all
}

// Fields gives the header fields of an engine's callbacks that clients of routes may see.
func (c *Config) Fields(engine string) (names []string) {
	for i := range c.Routes {
		r := &c.Routes[i]
		if cmp.Or(r.Engine, dialect.DefaultEngine) != engine {
			continue
		}
		for _, name := range append(slices.Clone(r.Respond.Headers), r.Respond.StatusHeader) {
			if name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// longestWait is how long requests about tasks may wait: as long as those that make one.
func (c *Config) longestWait() time.Duration {
	longest := c.Timeouts.Max
	for i := range c.Routes {
		longest = max(longest, c.Routes[i].Wait.Max)
	}
	return longest
}

// validateRoutes checks routes and access, alone and against what else there is.
func (c *Config) validateRoutes() error {
	r := c.Rest()
	problems := []error{r.Validate()}
	engines := r.Engines
	for i := range c.Routes {
		route := &c.Routes[i]
		ofCorezoid := slices.ContainsFunc(engines, func(e rest.Engine) bool { return e.Name == route.Engine && e.Corezoid })
		known := slices.ContainsFunc(c.Auth.Credentials, func(k Credential) bool { return k.Login == route.Login })
		if ofCorezoid && route.Login != "" && !known {
			problems = append(problems, fmt.Errorf("routes[%d].login: is not one of auth.credentials: the engine wants its signature", i))
		}
		if route.Auth == rest.AuthCorezoid && len(c.Auth.Credentials) == 0 {
			problems = append(problems, fmt.Errorf("routes[%d].auth: is corezoid, and there is no login in auth.credentials that could sign", i))
		}
	}
	return errors.Join(problems...)
}
