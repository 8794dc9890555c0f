package rest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
)

// table reads a configuration. Its error has every problem.
func (c *Config) table(outside *Outside) (*table, error) {
	var p problems
	c.whole(&p)
	t := &table{publicURL: strings.TrimRight(c.PublicURL, "/"), config: *c, states: make(map[string]*state)}
	names, known := make(map[string]int), make(map[string]*RouteConfig)
	var placed []placedRoute
	for i := range min(len(c.Routes), MostRoutes) {
		r, key := &c.Routes[i], item("routes", i)
		c.check(&p, key, r, names)
		known[r.Name] = r
		r.checkOutside(&p, key, outside)
		built := c.build(&p, key, r)
		if built == nil {
			continue
		}
		t.states[string(built.state.text)] = &built.state
		for _, one := range built.roles() {
			for _, pattern := range one.patterns() {
				next := placedRoute{pattern, one, i}
				next.checkTies(&p, key, placed)
				placed = append(placed, next)
				t.root.add(pattern, t, one)
			}
		}
	}
	names = make(map[string]int)
	for i := range min(len(c.Access), MostAccess) {
		c.checkAccess(&p, item("access", i), &c.Access[i], names, known)
	}
	c.checkCredentials(&p)
	c.checkOpened(&p)
	t.tasks = &taskPlace{t, []string{"GET", "HEAD", "PUT", "DELETE", "OPTIONS"}, []string{"GET", "HEAD", "OPTIONS"}}
	t.callers = newCallers(c.Access)
	return t, p.joined()
}

// checkOutside refuses what nobody does here. outside is nil where that is not known.
func (c *RouteConfig) checkOutside(p *problems, key string, outside *Outside) {
	if c.Auth == AuthCorezoid && outside != nil && outside.Verifier == nil {
		p.add(key+".auth", "corezoid cannot be checked here")
	}
	if c.Subscriptions && outside != nil && !outside.Push.works() {
		p.add(key+".subscriptions", "cannot be had here: nothing sends notifications")
	}
	if c.View == ViewOS1 && outside != nil && !outside.Push.works() {
		p.add(key+".view", "os1 cannot be had here: nothing sends notifications")
	}
}

// roles gives the route for each of its roles.
func (r *route) roles() []*route {
	if !r.Subscriptions {
		return []*route{r}
	}
	makes, one := *r, *r
	makes.role, makes.Methods = subscribes, []string{fasthttp.MethodPost}
	makes.pattern = append(slices.Clip(r.pattern), segment{text: subscriptionsSegment})
	one.role, one.Methods = subscription, []string{fasthttp.MethodGet, fasthttp.MethodPut}
	one.pattern = append(slices.Clip(makes.pattern), segment{"uuid", true})
	return []*route{r, &makes, &one}
}

// placedRoute is a route at one of its paths.
type placedRoute struct {
	pattern pattern
	route   *route
	index   int
}

// checkTies refuses a route that a request may be for as well as for one before it.
func (r placedRoute) checkTies(p *problems, key string, before []placedRoute) {
	for _, other := range before {
		if other.index == r.index || !r.pattern.meets(other.pattern) || r.pattern.literals() != other.pattern.literals() {
			continue
		}
		if (r.route.role == subscription) != (other.route.role == subscription) {
			p.add(key+".path", "is a tie with that of routes[%d]: there are paths of a subscription ({path}/tasks/{uuid}) that both match, and neither is more literal", other.index)
			return
		}
		for _, m := range r.route.Methods {
			if slices.Contains(other.route.Methods, m) {
				p.add(key+".path", "is a tie with that of routes[%d]: there are paths of %s that both match, and neither is more literal%s", other.index, m, r.withTasks(other))
				return
			}
		}
	}
}

// withTasks adds to a problem what the configuration does not show.
func (r placedRoute) withTasks(other placedRoute) string {
	if r.route.role == calls && other.route.role == calls {
		return ""
	}
	return ". A route with subscriptions has the paths {path}/tasks and {path}/tasks/{uuid} too"
}

// patterns gives the paths of a route: signed ones have the signature behind them, and the bare one is there to ask for that.
func (r *route) patterns() []pattern {
	if r.Auth != AuthCorezoid {
		return []pattern{r.pattern}
	}
	return []pattern{r.pattern, append(slices.Clip(r.pattern), segment{"login", true}, segment{"time", true}, segment{"signature", true})}
}

// build reads one route, nil where its path is none.
func (c *Config) build(p *problems, key string, r *RouteConfig) *route {
	pattern, err := parsePattern(r.Path)
	if err == nil {
		err = reserved(pattern)
	}
	if err == nil && r.Subscriptions && len(pattern) > mostSegments-signatureParts-subscriptionParts {
		err = fmt.Errorf("has %d segments: at most %d are possible with subscriptions", len(pattern), mostSegments-signatureParts-subscriptionParts)
	}
	if err != nil {
		p.add(key+".path", "%w", err)
		return nil
	}
	built := &route{RouteConfig: *r, pattern: pattern, body: int64(r.Limits.Body), entry: routeName + r.Name}
	i := slices.IndexFunc(c.Engines, func(e Engine) bool { return e.Name == r.Engine })
	built.corezoid = i >= 0 && c.Engines[i].Corezoid
	if built.Data == "" && built.corezoid {
		built.Data = DataMembers
	}
	if r.Schema != "" {
		if built.schema, err = loadSchema(r.Schema); err != nil {
			p.add(key+".schema", "%w", err)
		}
	}
	if r.Limits.Rate > 0 || r.Limits.Parked > 0 {
		built.quotas = []dialect.Quota{{Name: built.entry, Parked: r.Limits.Parked, Rate: r.Limits.Rate}}
	}
	for _, name := range r.ForwardHeaders {
		built.forwarded = append(built.forwarded, strings.ToLower(name))
	}
	built.state, built.ops = newState(r), max(c.Ops, 1)
	return built
}

// reportPaths are where engines report whatever routes there are.
func reportPaths() []pattern {
	return []pattern{{{text: "callback"}, {text: "dispatch"}}, {{text: "callback"}, {text: "metrici"}}, {{text: "service"}, {text: "ExecuteScript"}}, {{text: "servicejson"}, {text: "ExecuteScript"}}}
}

// reserved refuses a path that is not for routes.
func reserved(p pattern) error {
	first := p[0]
	switch {
	case first.parameter:
	case first.text == "api":
		return fmt.Errorf("begins with /api/, where Corezoid's paths and callbacks are: choose another")
	case first.text == "tasks":
		return fmt.Errorf("begins with /tasks, where tasks are: choose another")
	case slices.ContainsFunc(reportPaths(), func(r pattern) bool { return slices.Equal(r, p) }):
		return fmt.Errorf("is where engines report: choose another")
	case len(p) == 1 && (first.text == "healthz" || first.text == "readyz"):
		return fmt.Errorf("is where the gateway says how it is: choose another")
	}
	return nil
}

// checkOpened wants somebody who can call each route.
func (c *Config) checkOpened(p *problems) {
	for i := range min(len(c.Routes), MostRoutes) {
		r := &c.Routes[i]
		if r.Auth != AuthKey && r.Auth != AuthBasic {
			continue
		}
		opens := func(e AccessConfig) bool { return slices.Contains(e.Routes, r.Name) }
		if r.Name != "" && !slices.ContainsFunc(c.Access, opens) {
			p.add(item("routes", i)+".auth", "is %s, and no entry of access names this route: nobody could call it", r.Auth)
		}
	}
}
