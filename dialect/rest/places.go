package rest

import (
	"net/url"
	"strings"
)

// What the path of a Place is for.
const (
	PlaceCalls        = "calls"        // the route itself
	PlaceSubscribes   = "subscribes"   // {path}/tasks: makes subscriptions
	PlaceSubscription = "subscription" // {path}/tasks/{uuid}: is one
)

// Place is a path at which a route answers, as clients call it.
type Place struct {
	Route *RouteConfig
	// Path has {name} for a parameter. A route with AuthCorezoid has {login}/{time}/{signature} at its end.
	Path    string
	Methods []string // HEAD, which goes with GET, and OPTIONS are not among them; not to be changed
	Is      string   // PlaceCalls, PlaceSubscribes or PlaceSubscription
}

// Places gives the places of all routes, in the order of the configuration. Requests are looked up in the same places. An error names every problem.
func (c *Config) Places() (all []Place, err error) {
	var p problems
	names := [...]string{calls: PlaceCalls, subscribes: PlaceSubscribes, subscription: PlaceSubscription}
	for i := range c.Routes {
		built := c.build(&p, item("routes", i), &c.Routes[i])
		if built == nil {
			continue
		}
		for _, one := range built.roles() {
			patterns := one.patterns()
			all = append(all, Place{&c.Routes[i], patterns[len(patterns)-1].path(), one.Methods, names[one.role]}) // a signed one comes last
		}
	}
	return all, p.joined()
}

// path writes a pattern as it stands in a configuration.
func (p pattern) path() string {
	var b strings.Builder
	for _, s := range p {
		b.WriteByte('/')
		if s.parameter {
			b.WriteString("{" + s.text + "}")
		} else {
			b.WriteString(url.PathEscape(s.text))
		}
	}
	return b.String()
}
