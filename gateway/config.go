package gateway

import (
	"time"

	"syncgate/dialect"
	"syncgate/internal/cors"
	"syncgate/internal/setting"
	"syncgate/internal/tlsfiles"
)

// Config is what the gateway itself needs. Keys are those of the configuration file.
type Config struct {
	Listen       Listen
	Callback     CallbackConfig
	Engine       dialect.Connection
	Timeouts     dialect.Timeouts
	Limits       Limits
	Results      Results
	OnDisconnect string // Keep or Drop
	WhenDown     string // correlator.when_down: Refuse or Local
	Drain        DrainConfig
	CORS         cors.Config
	Admin        Admin
}

// Listen says where and how the gateway is reached.
type Listen struct {
	Public         string         `yaml:"public"`
	PublicURL      string         `yaml:"public_url"` // what clients reach the gateway at; empty: what it tells them is relative
	Callback       string         `yaml:"callback"`
	Admin          string         `yaml:"admin"`
	TrustedProxies []string       `yaml:"trusted_proxies"`
	ProxyProtocol  []string       `yaml:"proxy_protocol"`
	TLS            tlsfiles.Files `yaml:"tls"` // of the public and callback listeners; without one: plain TCP
	HeaderTimeout  time.Duration  `yaml:"header_timeout"`
	BodyTimeout    time.Duration  `yaml:"body_timeout"`
	WriteTimeout   time.Duration  `yaml:"write_timeout"`
	IdleTimeout    time.Duration  `yaml:"idle_timeout"`
	Heartbeat      time.Duration  `yaml:"heartbeat"` // of streams
}

// CallbackConfig says how the engine reaches us.
type CallbackConfig struct {
	BaseURL string   `yaml:"base_url"`
	Methods []string `yaml:"methods"`
}

// Limits bound what clients and engines can make us hold. 0 means none where the comment says so.
type Limits struct {
	Body            setting.ByteSize `yaml:"body"`
	CallbackBody    setting.ByteSize `yaml:"callback_body"`
	Ops             int              `yaml:"ops"`
	Parked          int              `yaml:"parked"`            // 0: none
	ParkedPerLogin  int              `yaml:"parked_per_login"`  // 0: none
	RatePerLogin    float64          `yaml:"rate_per_login"`    // requests a second; 0: none
	StreamsPerLogin int              `yaml:"streams_per_login"` // 0: none
	Results         setting.ByteSize `yaml:"results"`           // memory correlator; 0: none
}

// Results says what is kept for clients that come back.
type Results struct {
	Retention    time.Duration `yaml:"retention"`
	RequireLogin bool          `yaml:"require_login"`
}

// DrainConfig times a shutdown.
type DrainConfig struct {
	Delay   time.Duration `yaml:"delay"`
	Timeout time.Duration `yaml:"timeout"`
}

// Admin says what operators can ask.
type Admin struct {
	Trips   int  `yaml:"trips"`   // how many trips that are over are remembered; 0: none
	Actions bool `yaml:"actions"` // operators can change something, and not only read
	// Hosts are names under which browsers may ask the admin listener, beside localhost and IP addresses.
	Hosts []string `yaml:"hosts"`
}

// Default is the configuration where nothing is said. Why each value is what it is stands in configs/reference.yaml.
func Default() Config {
	engine := dialect.DefaultConnection()
	engine.URL = "https://api.corezoid.com"
	return Config{
		Listen: Listen{
			Public:        ":8080",
			Admin:         "127.0.0.1:9090",
			HeaderTimeout: 10 * time.Second,
			BodyTimeout:   30 * time.Second,
			WriteTimeout:  30 * time.Second,
			IdleTimeout:   75 * time.Second,
			Heartbeat:     15 * time.Second,
		},
		Callback: CallbackConfig{
			BaseURL: "http://127.0.0.1:8080",
			Methods: []string{"POST", "PUT", "PATCH"},
		},
		Engine:   engine,
		Timeouts: dialect.DefaultTimeouts(),
		Limits: Limits{
			Body:            setting.MiB,
			CallbackBody:    5 * setting.MiB,
			Ops:             100,
			Parked:          100_000,
			StreamsPerLogin: 10_000,
			Results:         256 * setting.MiB,
		},
		Results:      Results{Retention: time.Hour},
		OnDisconnect: dialect.Keep,
		WhenDown:     Refuse,
		Admin:        Admin{Trips: 10_000},
		Drain:        DrainConfig{Delay: 5 * time.Second, Timeout: time.Minute},
	}
}

// Values of Config.WhenDown: what becomes of new creates while callbacks that reach another node cannot be handed on.
const (
	Refuse = "refuse"
	Local  = "local"
)

// Validate gives every problem at once, joined; each begins with its key as in "engine.url: ...".
func (c *Config) Validate() error {
	var p setting.Problems
	c.Listen.validate(&p)
	c.Callback.validate(&p)
	validateEngine(&c.Engine, &p)
	p.Positive("timeouts.default", c.Timeouts.Default)
	p.Positive("timeouts.max", c.Timeouts.Max)
	if c.Timeouts.Default > c.Timeouts.Max {
		p.Add("timeouts.default", "%s is more than timeouts.max, %s: lower it or raise timeouts.max", setting.FormatDuration(c.Timeouts.Default), setting.FormatDuration(c.Timeouts.Max))
	}
	c.Limits.validate(&p)
	p.NotNegative("results.retention", c.Results.Retention)
	p.OneOf("on_disconnect", c.OnDisconnect, dialect.Keep, dialect.Drop)
	p.OneOf("correlator.when_down", c.WhenDown, Refuse, Local)
	p.NotNegative("drain.delay", c.Drain.Delay)
	p.NotNegative("drain.timeout", c.Drain.Timeout)
	p.Join(c.CORS.Validate())
	c.Admin.validate(&p)
	return p.Err()
}
