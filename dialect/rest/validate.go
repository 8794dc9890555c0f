package rest

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/internal/httpfield"
	"syncgate/signer"
)

// Validate gives every problem at once, joined; each begins with its key as in "routes[0].path: …". None of them shows a value that may be a
// secret in a wrong place.
func (c *Config) Validate() error {
	_, err := c.table(nil)
	return err
}

// problems collects what is wrong, each with its key.
type problems []error

func (p *problems) add(key, format string, args ...any) {
	*p = append(*p, fmt.Errorf(key+": "+format, args...))
}

func (p *problems) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		p.add(key, "must be one of: %s", strings.Join(allowed, ", "))
	}
}

// whole checks what concerns all routes together.
func (c *Config) whole(p *problems) {
	if len(c.Routes) > MostRoutes {
		p.add("routes", "are %d: at most %d are possible", len(c.Routes), MostRoutes)
	}
	if len(c.Access) > MostAccess {
		p.add("access", "are %d: at most %d are possible", len(c.Access), MostAccess)
	}
	if len(c.Routes) == 0 {
		return
	}
	if c.Retention <= 0 {
		p.add("results.retention", "must be longer than 0 with routes: every route can answer 202, and the result has to be kept until its client comes for it")
	}
	if c.RequireLogin {
		p.add("results.require_login", "must be false with routes: each route says itself who may read its tasks")
	}
}

// check checks one route. unique has the names so far.
func (c *Config) check(p *problems, key string, r *RouteConfig, unique map[string]int) {
	at := func(name string) string { return key + "." + name }
	checkName(p, at("name"), r.Name, "routes", unique, key)
	r.checkMethods(p, at("methods"))
	c.checkEngine(p, key, r)
	p.oneOf(at("auth"), r.Auth, AuthNone, AuthBasic, AuthKey, AuthCorezoid)
	p.oneOf(at("at_wait_end"), r.AtWaitEnd, EndTask, EndTimeout, EndRedirect)
	p.oneOf(at("view"), r.View, ViewAuto, ViewPlain, ViewHAL, ViewOS1)
	r.checkOS1(p, at)
	p.oneOf(at("hal.failed"), r.HAL.Failed, FailedOK, FailedStatus)
	p.oneOf(at("on_disconnect"), r.OnDisconnect, "", dialect.Keep, dialect.Drop, onDisconnectCancel)
	if n := r.Limits.Subscriptions; r.Subscriptions && (n < 1 || n > MostSubscriptions) {
		p.add(at("limits.subscriptions"), "must be 1 to %d", MostSubscriptions)
	}
	r.checkTimes(p, at)
	c.checkStates(p, at, r)
	r.checkHeaders(p, at)
	if r.Limits.Body < 0 {
		p.add(at("limits.body"), "must not be negative: 0 is limits.body")
	}
	checkRate(p, at("limits.rate"), r.Limits.Rate)
	if r.Limits.Parked < 0 {
		p.add(at("limits.parked"), "must not be negative: 0 is any number")
	}
}

// checkName checks a name, which stands in the log, in metrics and in records.
func checkName(p *problems, key, name, list string, unique map[string]int, self string) {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._", r)
	}
	switch first, dup := unique[name]; {
	case name == "":
		p.add(key, "must not be empty")
	case len(name) > 64 || strings.ContainsFunc(name, odd):
		p.add(key, "must be up to 64 letters, digits and -._")
	case dup:
		p.add(key, "is the same as that of %s[%d]", list, first)
	default:
		unique[name] = indexOf(self)
	}
}

// indexOf gives the index that a key ends with.
func indexOf(key string) int {
	_, index, _ := strings.Cut(strings.TrimSuffix(key, "]"), "[")
	n, _ := strconv.Atoi(index)
	return n
}

func (c *RouteConfig) checkMethods(p *problems, key string) {
	if len(c.Methods) == 0 {
		p.add(key, "must name at least one")
	}
	for i, m := range c.Methods {
		at := item(key, i)
		p.oneOf(at, m, "GET", "POST", "PUT", "PATCH", "DELETE")
		if slices.Contains(c.Methods[:i], m) {
			p.add(at, "is there already")
		}
	}
}

// checkEngine checks what depends on who works.
func (c *Config) checkEngine(p *problems, key string, r *RouteConfig) {
	at := func(name string) string { return key + "." + name }
	i := slices.IndexFunc(c.Engines, func(e Engine) bool { return e.Name == r.Engine })
	if i < 0 {
		p.add(at("engine"), "is not one of engines, nor %s", dialect.DefaultEngine)
		return
	}
	e := c.Engines[i]
	if r.Idle > 0 && !e.Progress {
		p.add(at("idle"), "needs an engine that reports start or progress, and this one reports neither, so it would never begin. Remove it, or set status of the engine")
	}
	if e.Corezoid {
		r.checkCorezoid(p, at)
	} else {
		r.checkForeign(p, at)
	}
	pattern, err := parsePattern(r.Path)
	if err != nil {
		return // which is a problem of its own
	}
	for _, name := range e.Parameters {
		if !slices.Contains(pattern, segment{name, true}) {
			p.add(at("path"), "must have the parameter {%s}: the URL of the engine needs it", name)
		}
	}
}

// checkStates checks the statuses of replies. Names are shown: what is none of ours is no secret either.
func (c *Config) checkStates(p *problems, at func(string) string, r *RouteConfig) {
	key := at("states")
	for _, name := range slices.Sorted(maps.Keys(r.States)) {
		switch status := r.States[name]; {
		case !slices.Contains([]string{groupActive, "start", "progress", "complete", groupError, "cancel", "timeout"}, name):
			p.add(key, "has a state that no reply has; these are the groups active and error, and start, progress, complete, cancel, timeout")
		case status < fasthttp.StatusOK || status > 599 || status == fasthttp.StatusNoContent || status == fasthttp.StatusNotModified:
			p.add(key+"."+name, "must be an HTTP status from 200 to 599 that can have a body")
		}
	}
	_, active := r.States[groupActive]
	_, start := r.States["start"]
	_, progress := r.States["progress"]
	reports := slices.ContainsFunc(c.Engines, func(e Engine) bool { return e.Name == r.Engine && e.Progress })
	switch {
	case len(r.States) > 0 && r.View == ViewOS1:
		p.add(key, "means nothing with view os1, whose statuses are OS1's: remove it")
	case (start || progress) && !active:
		p.add(key, "has start or progress without active: set active, with which the reply goes out at the first report")
	case active && !reports:
		p.add(key+".active", "needs an engine that reports start or progress, and this one reports neither. Remove it, or set status of the engine")
	}
}

// checkForeign wants nothing of what is for Corezoid alone.
func (c *RouteConfig) checkForeign(p *problems, at func(string) string) {
	for _, key := range []struct{ name, value string }{{"conv_id", c.ConvID}, {"login", c.Login}, {"data", c.Data}} {
		if key.value != "" {
			p.add(at(key.name), "is for routes whose engine is Corezoid: remove it")
		}
	}
}

func (c *RouteConfig) checkCorezoid(p *problems, at func(string) string) {
	p.oneOf(at("data"), c.Data, "", DataMembers, DataRequest, DataBoth, DataRaw)
	switch {
	case c.ConvID == "":
		p.add(at("conv_id"), "must not be empty: it is the process that gets the tasks")
	case len(c.ConvID) > 80 || strings.ContainsFunc(c.ConvID, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		p.add(at("conv_id"), "must be a number or an alias, without blanks")
	}
	if c.Login == "" && c.Auth != AuthCorezoid {
		p.add(at("login"), "must not be empty: it is who signs for the engine, one of auth.credentials")
	}
}

func (c *RouteConfig) checkTimes(p *problems, at func(string) string) {
	notNegative := func(key string, d time.Duration) {
		if d < 0 {
			p.add(key, "must not be negative: write 0s, 20s, 2m")
		}
	}
	notNegative(at("wait.default"), c.Wait.Default)
	notNegative(at("idle"), c.Idle)
	if c.Wait.Max <= 0 {
		p.add(at("wait.max"), "must be longer than 0: write 20s, 2m")
	}
	if c.Wait.Default > c.Wait.Max {
		p.add(at("wait.default"), "is more than wait.max: lower it, or raise the other")
	}
}

// checkHeaders checks what goes to the engine, and what comes back.
func (c *RouteConfig) checkHeaders(p *problems, at func(string) string) {
	headers := func(key string, names []string, secret bool) {
		seen := make(map[string]bool, len(names))
		for i, name := range names {
			lower := strings.ToLower(name)
			switch {
			case !httpfield.IsName(name):
				p.add(item(key, i), "is not the name of a header")
			case seen[lower]:
				p.add(item(key, i), "is there already")
			case secret && isCredential(lower):
				p.add(item(key, i), "carries what authenticates the caller, which no engine gets")
			case isOurs(lower):
				p.add(item(key, i), "is about one connection or one message, which the gateway ends itself")
			}
			seen[lower] = true
		}
	}
	headers(at("forward_headers"), c.ForwardHeaders, true)
	headers(at("respond.headers"), c.Respond.Headers, false)
	if name := c.Respond.StatusHeader; name != "" && !httpfield.IsName(name) {
		p.add(at("respond.status_header"), "is not the name of a header")
	}
}

func checkRate(p *problems, key string, rate float64) {
	if !(rate >= 0) || math.IsInf(rate, 0) {
		p.add(key, "must be a number of requests a second, 0 for any number")
	}
}

// checkAccess checks one caller.
func (c *Config) checkAccess(p *problems, key string, e *AccessConfig, unique map[string]int, known map[string]*RouteConfig) {
	at := func(name string) string { return key + "." + name }
	checkName(p, at("name"), e.Name, "access", unique, key)
	for i, k := range e.Keys {
		if k == "" {
			p.add(item(at("keys"), i), "must not be empty")
		}
	}
	switch {
	case len(e.Keys) > MostKeys:
		p.add(at("keys"), "are %d: at most %d are possible", len(e.Keys), MostKeys)
	case len(e.liveKeys()) == 0 && e.User == "":
		p.add(at("key"), "must not be empty, unless there are a user and a password")
	case strings.Contains(e.User, ":"):
		p.add(at("user"), "must not have a colon: that ends it")
	case (e.User == "") != (e.Password == ""):
		p.add(at("password"), "and user go together: set both or none")
	}
	checkSigning(p, at("signing_secret"), e.SigningSecret)
	checkRate(p, at("rate"), e.Rate)
	if len(e.Origins) > 0 && e.Rate == 0 {
		p.add(at("rate"), "must be set with origins: the key of a page is in everybody's hands")
	}
	for i, o := range e.Origins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || o != u.Scheme+"://"+strings.ToLower(u.Host) {
			p.add(item(at("origins"), i), "is not an origin as browsers send it, such as https://shop.example (lower case, no path)")
		}
	}
	e.checkRoutes(p, key, known)
}

// checkSigning checks a secret of Standard Webhooks, which may be empty.
func checkSigning(p *problems, key string, secret signer.Secret) {
	if secret == "" {
		return
	}
	if _, err := signer.ParseWebhookSecret(string(secret)); err != nil {
		p.add(key, "%w", err)
	}
}

// checkRoutes checks that a caller can call what it is said to.
func (c *AccessConfig) checkRoutes(p *problems, entry string, known map[string]*RouteConfig) {
	key := entry + ".routes"
	if len(c.Routes) == 0 {
		p.add(key, "must name at least one route")
	}
	for i, name := range c.Routes {
		r, ok := known[name]
		switch {
		case !ok:
			p.add(item(key, i), "is not the name of a route")
		case slices.Contains(c.Routes[:i], name):
			p.add(item(key, i), "is there already")
		case r.Auth == AuthKey && len(c.liveKeys()) == 0:
			p.add(entry+".key", "must not be empty: the route %s wants a key", name)
		case r.Auth == AuthBasic && c.User == "":
			p.add(entry+".user", "must not be empty: the route %s wants a user and a password", name)
		}
	}
}

// checkCredentials wants one caller for each credential: whose a task is depends on it.
func (c *Config) checkCredentials(p *problems) {
	first := make(map[string]string) // the key of each
	claim := func(credential, key string) {
		if before, dup := first[credential]; dup {
			p.add(key, "is that of %s too: each must be somebody's alone", before)
			return
		}
		first[credential] = key
	}
	for i := range c.Access {
		e, key := &c.Access[i], item("access", i)
		if e.Key != "" {
			claim("key "+string(e.Key), key+".key")
		}
		for j, k := range e.Keys {
			if k != "" {
				claim("key "+string(k), item(key+".keys", j))
			}
		}
		if e.User != "" {
			claim("user "+e.User, key+".user")
		}
	}
}

func item(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }

// joined makes one error of problems, nil where there is none.
func (p problems) joined() error { return errors.Join(p...) }
