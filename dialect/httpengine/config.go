package httpengine

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"syncgate/dialect"
	"syncgate/internal/httpfield"
	"syncgate/signer"
)

// Config is one engine of kind http. Keys are those of an element of engines in the configuration file. A value that is not set is that of
// Default.
type Config struct {
	Name           string                   `yaml:"name"`
	Kind           string                   `yaml:"kind"`
	URL            string                   `yaml:"url"` // {name} in its path or query stands for a parameter of the route's path
	Method         string                   `yaml:"method"`
	Headers        map[string]signer.Secret `yaml:"headers"`
	CallbackURL    CallbackURL              `yaml:"callback_url"`
	Accepted       []int                    `yaml:"accepted"`
	Final          []int                    `yaml:"final"`
	Result         string                   `yaml:"result"`
	Status         Status                   `yaml:"status"`
	Merge          bool                     `yaml:"merge"` // results are laid over what was reported, and over the request
	Cancel         Cancel                   `yaml:"cancel"`
	Secret         signer.Secret            `yaml:"secret"`
	SecretFile     string                   `yaml:"secret_file"`
	Proxy          string                   `yaml:"proxy"`
	Timeout        time.Duration            `yaml:"timeout"`
	Idle           time.Duration            `yaml:"idle"`
	MaxConnections int                      `yaml:"max_connections"`
}

// CallbackURL says where the engine finds the URL that it is to call. One of them is set.
type CallbackURL struct {
	Header string `yaml:"header"` // of the request
	Member string `yaml:"member"` // of the request's JSON body, a path a.b.c
	Query  string `yaml:"query"`  // parameter of the request's URL
}

// Status says how the engine reports how far it has come.
type Status struct {
	From string            `yaml:"from"` // path into the callback's JSON; empty: callbacks have no status of their own
	Map  map[string]string `yaml:"map"`  // the engine's words to ours; empty: the words are ours
}

// Cancel says how the engine is asked to cancel a task. Both are empty where it cannot be asked.
type Cancel struct {
	Method string `yaml:"method"`
	URL    string `yaml:"url"` // {task} is the task's id, {accepted.a.b} a member of the engine's answer, {name} a parameter of the route's path
}

// Kind is what Config.Kind says of engines of this package.
const Kind = "http"

// Default is what an engine has whose configuration says nothing.
func Default() Config {
	c := dialect.DefaultConnection()
	return Config{
		Kind: Kind, Method: http.MethodPost, CallbackURL: CallbackURL{Header: "X-Callback-Url"},
		Accepted: []int{http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent},
		Timeout:  c.Timeout, Idle: c.Idle, MaxConnections: c.MaxConnections,
	}
}

// Filled gives the configuration with what is not set as Default has it.
func (c Config) Filled() Config {
	d := Default()
	if c.Method == "" {
		c.Method = d.Method
	}
	if c.CallbackURL == (CallbackURL{}) {
		c.CallbackURL = d.CallbackURL
	}
	if c.Accepted == nil {
		c.Accepted = d.Accepted
	}
	if c.Cancel.URL != "" && c.Cancel.Method == "" {
		c.Cancel.Method = http.MethodPost
	}
	if c.Timeout == 0 {
		c.Timeout = d.Timeout
	}
	if c.Idle == 0 {
		c.Idle = d.Idle
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = d.MaxConnections
	}
	return c
}

// Connection says how the engine is reached.
func (c Config) Connection() dialect.Connection {
	c = c.Filled()
	return dialect.Connection{
		URL: c.URL, Proxy: c.Proxy, Timeout: c.Timeout, Idle: c.Idle, MaxConnections: c.MaxConnections, Ack: dialect.AckProtocol, Headers: c.Headers, Merge: c.Merge,
	}
}

// ReportsProgress reports whether the engine's own words can say that a task is under way.
func (c Config) ReportsProgress() bool {
	if c.Status.From == "" {
		return false
	}
	words := slices.Collect(maps.Values(c.Status.Map))
	return len(words) == 0 || slices.Contains(words, "start") || slices.Contains(words, "progress")
}

// Params gives the parameters of a route's path that the engine's URLs need. They are sorted.
func (c Config) Params() []string {
	var all []string
	for _, text := range []string{c.URL, c.Cancel.URL} {
		t, err := parseTemplate(text)
		if err != nil {
			continue
		}
		for _, name := range t.names {
			if name != taskName && !strings.HasPrefix(name, acceptedPrefix) {
				all = append(all, name)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Validate gives every problem at once, joined; each begins with its key below that of the engine, as in "url: ...".
func (c Config) Validate() error {
	c = c.Filled()
	p := &problems{}
	p.url("url", c.URL, false)
	p.method("method", c.Method)
	c.CallbackURL.validate(p, c.Method)
	p.statuses("accepted", c.Accepted)
	p.statuses("final", c.Final)
	if len(c.Accepted)+len(c.Final) == 0 {
		p.add("accepted", "and final are both empty: no answer of the engine could be used")
	}
	p.path("result", c.Result)
	c.Status.validate(p)
	switch {
	case c.Cancel.URL == "" && c.Cancel.Method != "":
		p.add("cancel.url", "must be set, as cancel.method is")
	case c.Cancel.URL != "":
		p.url("cancel.url", c.Cancel.URL, true)
		p.method("cancel.method", c.Cancel.Method)
		if origin(c.Cancel.URL) != origin(c.URL) {
			p.add("cancel.url", "must have the scheme, host and port of url: the same connections are used")
		}
	}
	c.validateHeaders(p)
	if c.Secret != "" {
		if _, err := signer.ParseWebhookSecret(string(c.Secret)); err != nil {
			p.add("secret", err.Error())
		}
	}
	return errors.Join(*p...)
}

// validateHeaders refuses headers that would take the place of ours.
func (c Config) validateHeaders(p *problems) {
	for name := range c.Headers {
		switch {
		case c.CallbackURL.Header != "" && strings.EqualFold(name, c.CallbackURL.Header):
			p.add("headers", "one has the name of callback_url.header, which has the callback URL: remove it")
		case c.Secret != "" && strings.HasPrefix(strings.ToLower(name), "webhook-"):
			p.add("headers", "one begins with webhook-, as those of the signature that secret makes do: remove it")
		}
	}
}

func (u CallbackURL) validate(p *problems, method string) {
	set := 0
	for _, s := range []string{u.Header, u.Member, u.Query} {
		if s != "" {
			set++
		}
	}
	switch {
	case set > 1:
		p.add("callback_url", "has more than one of header, member and query: keep one")
	case u.Header != "" && (!httpfield.IsName(u.Header) || isTaken(u.Header)):
		p.add("callback_url.header", "is not the name of a header that can be set: write X-Callback-Url")
	case u.Member != "":
		if names, err := parsePath(u.Member); err != nil || slices.ContainsFunc(names, func(s step) bool { return s.name == "" }) {
			p.add("callback_url.member", "must be a name, or names with dots between them, as in callback.url")
		}
		if bodiless(method) {
			p.add("callback_url.member", "needs a body, which a request with method %s has not: use header or query", method)
		}
	}
}

func (s Status) validate(p *problems) {
	p.path("status.from", s.From)
	if s.From == "" && len(s.Map) > 0 {
		p.add("status.from", "must be set, as status.map is: it says where in the callback the words are")
	}
	for _, word := range s.Map {
		if _, ok := dialect.StatusNamed(word); !ok {
			p.add("status.map", "has a word of ours that there is not; these are start, progress, complete, cancel, error")
		}
	}
}

// problems collects what is wrong. No problem shows a value: it may be a secret in the wrong place.
type problems []error

func (p *problems) add(key, format string, args ...any) {
	*p = append(*p, fmt.Errorf(key+": "+format, args...))
}

func (p *problems) url(key, text string, cancels bool) {
	t, err := parseTemplate(text)
	if err != nil {
		p.add(key, "%w", err)
		return
	}
	for _, name := range t.names {
		if !cancels && (name == taskName || strings.HasPrefix(name, acceptedPrefix)) {
			p.add(key, "has {%s}, which is known only to cancel.url", name)
		}
	}
}

func (p *problems) method(key, method string) {
	if !slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}, method) {
		p.add(key, "must be one of: GET, POST, PUT, PATCH, DELETE")
	}
}

func (p *problems) statuses(key string, all []int) {
	for _, status := range all {
		if status < 200 || status > 599 {
			p.add(key, "must have HTTP statuses from 200 to 599")
		}
	}
}

func (p *problems) path(key, text string) {
	if text == "" {
		return
	}
	if _, err := parsePath(text); err != nil {
		p.add(key, "%w", err)
	}
}

func bodiless(method string) bool { return method == http.MethodGet || method == http.MethodDelete }

// origin gives scheme and host of a URL, in lower case.
func origin(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Scheme + "://" + u.Host)
}

// isTaken reports whether a header is set by the gateway, or is for one connection or one peer alone.
func isTaken(name string) bool {
	switch strings.ToLower(name) {
	case "host", "content-type", "content-encoding", "date", "server", "set-cookie", "proxy-authorization", "www-authenticate":
		return true
	}
	return httpfield.IsOfConnection(name)
}
