// Package configs reads the configuration: defaults, the YAML file, the environment, in this order, the later winning.
//
// It is strict: unknown and duplicate keys, values of the wrong type and settings that cannot work are errors, and all of
// them are reported at once, each with its key and where it was written. What a key means, and why its default is what it is,
// stands in reference.yaml.
//
// Each section belongs to the package that it configures, with its defaults and its validation. This package composes the
// sections to one file and checks only what spans several of them.
package configs

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"syncgate/correlator"
	"syncgate/correlator/redis"
	"syncgate/dialect"
	"syncgate/dialect/corezoid"
	"syncgate/dialect/rest"
	"syncgate/dialect/waiter"
	"syncgate/gateway"
	"syncgate/internal/cors"
	"syncgate/internal/tracing"
	"syncgate/notify"
	"syncgate/signer"
)

//go:embed reference.yaml
var reference string

// Reference is the annotated configuration file: every key with its default.
func Reference() string { return reference }

// Config is the whole configuration. The yaml tags are the keys of the file, joined with dots the key paths of errors, and
// in upper case with underscores the environment variables.
type Config struct {
	Listen         gateway.Listen      `yaml:"listen"`
	Callback       Callback            `yaml:"callback"`
	Engine         Engine              `yaml:"engine"`
	Engines        []OtherEngine       `yaml:"engines"`
	Auth           Auth                `yaml:"auth"`
	Timeouts       dialect.Timeouts    `yaml:"timeouts"`
	Limits         gateway.Limits      `yaml:"limits"`
	ForwardHeaders []string            `yaml:"forward_headers"`
	Correlator     Correlator          `yaml:"correlator"`
	Results        gateway.Results     `yaml:"results"`
	OnDisconnect   string              `yaml:"on_disconnect"`
	Drain          gateway.DrainConfig `yaml:"drain"`
	CORS           cors.Config         `yaml:"cors"`
	Admin          gateway.Admin       `yaml:"admin"`
	Log            Log                 `yaml:"log"`
	Routes         []rest.RouteConfig  `yaml:"routes"`
	Access         []rest.AccessConfig `yaml:"access"`
	Waiters        []waiter.Config     `yaml:"waiters"`
	Notify         notify.FileConfig   `yaml:"notify"`
	Tracing        tracing.Config      `yaml:"tracing"`
}

// Callback says how engines reach us and what authenticates their tokens.
type Callback struct {
	gateway.CallbackConfig
	Keys     []signer.Secret `yaml:"keys"` // the first signs, all verify
	KeysFile string          `yaml:"keys_file"`
}

// Engine says how we reach the engine and how we speak to it.
type Engine struct {
	dialect.Connection
	APIVersion int `yaml:"api_version"`
}

// Auth says who may ask for what.
type Auth struct {
	Window      time.Duration `yaml:"window"` // 0: the time of a request is not checked
	Ops         []string      `yaml:"ops"`
	Credentials []Credential  `yaml:"credentials"`
}

// Credential is a login with its secrets, or with the files that hold them.
type Credential struct {
	signer.Credential
	SecretFile       string `yaml:"secret_file"`
	EngineSecretFile string `yaml:"engine_secret_file"`
}

// Correlator chooses the table of who waits for what.
type Correlator struct {
	Backend  string      `yaml:"backend"`
	WhenDown string      `yaml:"when_down"`
	Redis    RedisConfig `yaml:"redis"`
}

// RedisConfig says how Redis is reached, and by whom.
type RedisConfig struct {
	redis.Config
	Username             string        `yaml:"username"`
	Password             signer.Secret `yaml:"password"`
	PasswordFile         string        `yaml:"password_file"`
	SentinelUsername     string        `yaml:"sentinel_username"`
	SentinelPassword     signer.Secret `yaml:"sentinel_password"`
	SentinelPasswordFile string        `yaml:"sentinel_password_file"`
}

// Values of Correlator.Backend.
const (
	Memory = "memory"
	Redis  = "redis"
)

// Log says what is logged and how.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // json, or console for people
}

// Default is the configuration where nothing is said.
func Default() *Config {
	g, syncAPI := gateway.Default(), corezoid.Default()
	return &Config{
		Listen:         g.Listen,
		Callback:       Callback{CallbackConfig: g.Callback},
		Engine:         Engine{Connection: g.Engine, APIVersion: syncAPI.APIVersion},
		Auth:           Auth{Window: signer.Default().Window, Ops: syncAPI.Ops},
		Timeouts:       g.Timeouts,
		Limits:         g.Limits,
		ForwardHeaders: syncAPI.ForwardHeaders,
		Correlator:     Correlator{Backend: Memory, WhenDown: g.WhenDown, Redis: RedisConfig{Config: redis.Default()}},
		Results:        g.Results,
		OnDisconnect:   g.OnDisconnect,
		Drain:          g.Drain,
		CORS:           g.CORS,
		Admin:          g.Admin,
		Log:            Log{Level: "info", Format: "json"},
		Notify:         notify.DefaultFile(),
		Tracing:        tracing.Default(),
	}
}

// Gateway gives what package gateway needs.
func (c *Config) Gateway() gateway.Config {
	return gateway.Config{
		Listen:       c.Listen,
		Callback:     c.Callback.CallbackConfig,
		Engine:       c.Engine.Connection,
		Timeouts:     c.Timeouts,
		Limits:       c.Limits,
		Results:      c.Results,
		OnDisconnect: c.OnDisconnect,
		WhenDown:     c.Correlator.WhenDown,
		Drain:        c.Drain,
		CORS:         c.CORS,
		Admin:        c.Admin,
	}
}

// Signer gives what package signer needs.
func (c *Config) Signer() signer.Config {
	s := signer.Config{Window: c.Auth.Window}
	for _, credential := range c.Auth.Credentials {
		s.Credentials = append(s.Credentials, credential.Credential)
	}
	return s
}

// Dialect gives what package corezoid needs.
func (c *Config) Dialect() corezoid.Config {
	return corezoid.Config{
		EngineURL:      c.Engine.URL,
		APIVersion:     c.Engine.APIVersion,
		CallbackURL:    c.Callback.CallbackURL(),
		Ops:            c.Auth.Ops,
		ForwardHeaders: c.ForwardHeaders,
		Timeouts:       c.Timeouts,
		Trace:          c.Tracing.Enabled() && c.Tracing.IntoTask,
	}
}

// Rest gives what package rest needs.
func (c *Config) Rest() rest.Config {
	return rest.Config{
		Routes: c.Routes, Access: c.Access, PublicURL: c.Listen.PublicURL, MaxWait: c.longestWait(), Engines: c.routeEngines(),
		Retention: c.Results.Retention, RequireLogin: c.Results.RequireLogin, Ops: c.Limits.Ops,
	}
}

// Redis gives what package redis needs.
func (c *Config) Redis() redis.Config {
	r := c.Correlator.Redis.config()
	r.Parked, r.Retention, r.Progress = c.Limits.Parked, c.Results.Retention, int64(c.Limits.CallbackBody)
	return r
}

func (r *RedisConfig) config() redis.Config {
	c := r.Config
	c.Username, c.Password = r.Username, string(r.Password)
	c.SentinelUsername, c.SentinelPassword = r.SentinelUsername, string(r.SentinelPassword)
	return c
}

// Memory gives what the correlator of a single process needs.
func (c *Config) Memory() correlator.Config {
	return correlator.Config{Parked: c.Limits.Parked, Retention: c.Results.Retention, Results: int64(c.Limits.Results), Progress: int64(c.Limits.CallbackBody)}
}

// CallbackKeys gives what correlator.NewKeys needs; none where one is to be made.
func (c *Config) CallbackKeys() []string {
	keys := make([]string, len(c.Callback.Keys))
	for i, k := range c.Callback.Keys {
		keys[i] = string(k)
	}
	return keys
}

// Validate gives every problem at once, joined; each begins with its key as in "engine.url: ...".
func (c *Config) Validate() error {
	g := c.Gateway()
	return errors.Join(g.Validate(), c.Signer().Validate(), c.Dialect().Validate(), c.Callback.validate(c.Correlator.Backend),
		c.Correlator.validate(), c.Log.validate(), c.validateEngines(), c.validateRoutes(), c.validateWaiters(), c.validateNotify(), c.Tracing.Validate())
}

func (c *Callback) validate(backend string) error {
	if len(c.Keys) == 0 {
		if backend == Redis {
			return errors.New("callback.keys: needs a key, the same on every node, as correlator.backend is redis: a callback may reach any of them")
		}
		return nil // made at start
	}
	var problems []error
	for i, k := range c.Keys {
		if len(k) < correlator.MinKeyLen {
			problems = append(problems, fmt.Errorf("callback.keys[%d]: has %d characters, and needs at least %d", i, len(k), correlator.MinKeyLen))
		}
		if slices.Contains(c.Keys[:i], k) {
			problems = append(problems, fmt.Errorf("callback.keys[%d]: is a key that is listed already", i))
		}
	}
	return errors.Join(problems...)
}

func (c *Correlator) validate() error {
	problems := []error{oneOf("correlator.backend", c.Backend, Memory, Redis)}
	for _, err := range split(c.Redis.config().Validate()) {
		problems = append(problems, fmt.Errorf("correlator.redis.%w", err))
	}
	return errors.Join(problems...)
}

func (l Log) validate() error {
	return errors.Join(
		oneOf("log.level", l.Level, "debug", "info", "warn", "error"),
		oneOf("log.format", l.Format, "json", "console"),
	)
}

func oneOf(key, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s: must be one of: %s", key, strings.Join(allowed, ", "))
}
