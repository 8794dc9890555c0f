package metrici

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"syncgate/dialect/httpengine"
	"syncgate/signer"
)

// Kind is what the configuration says of engines of this package.
const Kind = "metrici"

// EngineConfig is what an engine of this kind has beside what one of plain HTTP has. The yaml tags are the keys of the configuration file. A value that is
// not set is that of Filled.
type EngineConfig struct {
	TaskTimeout  string `yaml:"task_timeout"`  // how long a worker may take: a duration of ISO 8601, or as 90m
	Retention    string `yaml:"retention"`     // how long what a task has come to is kept at least: the same, or "true" for ever
	AllowForever bool   `yaml:"allow_forever"` // Retention may be "true"
	Body         string `yaml:"body"`          // of the start request: BodyForm, BodyJSON or BodyServiceJSON
	Node         string `yaml:"node"`          // of BodyServiceJSON: the node version that is executed
	Auth         Auth   `yaml:"auth"`          // of the call forms; empty: the token is enough

	TokenAttribute       string `yaml:"token_attribute"`
	ParentTokenAttribute string `yaml:"parent_token_attribute"`
	DataAttribute        string `yaml:"data_attribute"`
	IDAttribute          string `yaml:"id_attribute"`
	StatusAttribute      string `yaml:"status_attribute"`
	AttributeReference   string `yaml:"attribute_reference"` // of answers: a member with the whole {status, token, data}; empty: there is none
}

// Auth is basic authentication.
type Auth struct {
	User         string        `yaml:"user"`
	Password     signer.Secret `yaml:"password"`
	PasswordFile string        `yaml:"password_file"`
}

// Values of EngineConfig.Body.
const (
	BodyForm        = "form"        // the field data of a form has the task
	BodyJSON        = "json"        // the body is the task
	BodyServiceJSON = "servicejson" // as BodyForm, to Metrici's own service: node is the parameter nodeVersionReference of the URL
)

// keepsForever is the Retention that has no end.
const keepsForever = "true"

// The names that the documented messages have.
const (
	memberToken  = "callbackToken"
	memberParent = "callbackParentToken"
	memberData   = "callbackData"
	memberID     = "callbackId"
	memberStatus = "callbackStatus"
	memberAction = "callbackAction"
	memberLimit  = "callbackTimeout"
)

// Filled gives the configuration with what is not set as it is by default.
func (e EngineConfig) Filled() EngineConfig {
	for _, f := range []struct {
		to     *string
		absent string
	}{
		{&e.TaskTimeout, "PT1H"},
		{&e.Retention, "1h"},
		{&e.Body, BodyForm},
		{&e.TokenAttribute, memberToken},
		{&e.ParentTokenAttribute, memberParent},
		{&e.DataAttribute, memberData},
		{&e.IDAttribute, memberID},
		{&e.StatusAttribute, memberStatus},
	} {
		if *f.to == "" {
			*f.to = f.absent
		}
	}
	return e
}

// KeepsForever reports whether what tasks have come to is kept without an end.
func (e *EngineConfig) KeepsForever() bool { return e.Retention == keepsForever }

// HTTP gives what package httpengine does for an engine of this kind.
func HTTP(e EngineConfig, c httpengine.Config) httpengine.Config {
	e = e.Filled()
	c.CallbackURL = httpengine.CallbackURL{Member: e.TokenAttribute}
	if e.Body == BodyServiceJSON {
		mark := "?"
		if strings.Contains(c.URL, "?") {
			mark = "&"
		}
		c.URL += mark + "nodeVersionReference=" + url.QueryEscape(e.Node)
	}
	return c.Filled()
}

// Validate gives every problem of an engine at once, joined; each begins with its key below that of the engine. c is what the configuration says.
func Validate(e EngineConfig, c httpengine.Config) error {
	var all []error
	add := func(key, format string, args ...any) { all = append(all, fmt.Errorf(key+": "+format, args...)) }
	if c.CallbackURL != (httpengine.CallbackURL{}) {
		add("callback_url", "is for other kinds: a worker of this kind gets a token, as token_attribute says; remove it")
	}
	e = e.Filled()
	if _, err := parseDuration(e.TaskTimeout, mostTimeout); err != nil {
		add("task_timeout", "%w", err)
	}
	switch _, err := parseDuration(e.Retention, mostRetention); {
	case e.KeepsForever() && !e.AllowForever:
		add("retention", "is true, which keeps every result for ever: set allow_forever too if that is meant, or write a duration such as PT24H")
	case err != nil && !e.KeepsForever():
		add("retention", "%w; or true, for ever", err)
	}
	switch e.Body {
	case BodyForm, BodyJSON, BodyServiceJSON:
	default:
		add("body", "must be one of: %s, %s, %s", BodyForm, BodyJSON, BodyServiceJSON)
	}
	if (e.Body == BodyServiceJSON) != (e.Node != "") {
		add("node", "is the node version that body servicejson executes: set it there, and nowhere else")
	}
	if (e.Auth.User == "") != (e.Auth.Password == "") || strings.Contains(e.Auth.User, ":") {
		add("auth", "needs a user without a colon and a password, or neither")
	}
	e.validateAttributes(add)
	if c.Method == http.MethodGet || c.Method == http.MethodDelete {
		add("method", "must be one of: POST, PUT, PATCH, as the task is in the body")
		c.Method = http.MethodPost
	}
	if len(all) == 0 || !hasAttributeProblem(e) {
		c = HTTP(e, c)
	}
	return errors.Join(append(all, c.Validate())...)
}

// attributes gives the names of attributes with their keys.
func (e *EngineConfig) attributes() [6]struct{ key, name string } {
	return [...]struct{ key, name string }{
		{"token_attribute", e.TokenAttribute},
		{"parent_token_attribute", e.ParentTokenAttribute},
		{"data_attribute", e.DataAttribute},
		{"id_attribute", e.IDAttribute},
		{"status_attribute", e.StatusAttribute},
		{"attribute_reference", e.AttributeReference},
	}
}

// mostAttribute bounds the name of an attribute.
const mostAttribute = 64

func (e *EngineConfig) validateAttributes(add func(key, format string, args ...any)) {
	seen := make(map[string]bool)
	for _, a := range e.attributes() {
		switch {
		case a.key == "attribute_reference" && a.name == "":
		case !isAttribute(a.name):
			add(a.key, "must be up to %d letters, digits and underscores", mostAttribute)
		case seen[a.name]:
			add(a.key, "is the name of another attribute: choose another one")
		}
		seen[a.name] = true
	}
}

func hasAttributeProblem(e EngineConfig) bool { return !isAttribute(e.TokenAttribute) }

func isAttribute(name string) bool {
	odd := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_'
	}
	return name != "" && len(name) <= mostAttribute && !strings.ContainsFunc(name, odd)
}

// times gives task_timeout and retention of a valid configuration.
func (e *EngineConfig) times() (timeout, retention time.Duration) {
	timeout, _ = parseDuration(e.TaskTimeout, mostTimeout)
	if e.KeepsForever() {
		return timeout, forever
	}
	retention, _ = parseDuration(e.Retention, mostRetention)
	return timeout, retention
}

func wholeDays(d time.Duration) string { return strconv.Itoa(int(d / (24 * time.Hour))) }

// Config is what the Dialect has to know of the whole configuration.
type Config struct {
	Engines []Named       // those of this kind
	Signed  []string      // the names of engines whose callbacks are signed: what is dispatched is not, and is refused
	Await   time.Duration // how long an asker waits at most: timeouts.max
	Report  time.Duration // how long a report may take: until its client has the reply, or the store has the result
}

// Named is an engine of this kind.
type Named struct {
	Name string
	EngineConfig
}

// ReportTime gives Config.Report where a reply may take write to be written.
func ReportTime(write time.Duration) time.Duration { return write + storeTime }

// storeTime is what a report's answer waits for the store beside the write to its client.
const storeTime = 5 * time.Second
