package configs

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"syncgate/dialect/httpengine"
	"syncgate/dialect/os1"
	"syncgate/gateway"
)

// OtherEngine is one engine beside the default one.
type OtherEngine struct {
	httpengine.Config
	OS1 os1.EngineConfig `yaml:"os1"` // of kind os1
}

// HTTP gives what package httpengine does for the engine, whatever its kind.
func (e *OtherEngine) HTTP() httpengine.Config {
	if e.Kind == os1.Kind {
		return os1.HTTP(e.Config)
	}
	return e.Config
}

// filled gives the configuration with what is not set as it is by default.
func (e *OtherEngine) filled() httpengine.Config {
	if e.Kind == os1.Kind {
		return os1.Filled(e.Config)
	}
	return e.Filled()
}

// validate gives every problem of the engine itself, joined.
func (e *OtherEngine) validate() error {
	switch {
	case e.Kind == os1.Kind:
		return e.OS1.Validate(e.Config)
	case e.OS1 != (os1.EngineConfig{}):
		return errors.Join(e.Validate(), errors.New("os1: is for engines of kind os1: remove it"))
	}
	return e.Validate()
}

// mostEngines is how many engines there can be beside the default one.
const mostEngines = 99

// validateEngines gives every problem of engines, joined.
func (c *Config) validateEngines() error {
	var all []error
	if len(c.Engines) > mostEngines {
		all = append(all, fmt.Errorf("engines: there are %d, and at most %d can be", len(c.Engines), mostEngines))
	}
	for i := range c.Engines {
		e, key := &c.Engines[i], item("engines", i)+"."
		all = append(all, c.nameProblem(key, i), kindProblem(key, e.Kind))
		for _, err := range split(e.validate()) {
			all = append(all, fmt.Errorf("%s%w", key, err))
		}
		connection := e.HTTP().Connection()
		all = append(all, connection.ValidateConnection(key))
	}
	return errors.Join(all...)
}

func (c *Config) nameProblem(key string, i int) error {
	name := c.Engines[i].Name
	same := func(e OtherEngine) bool { return e.Name == name }
	switch {
	case !isEngineName(name):
		return errors.New(key + "name: must be 1 to 64 letters, digits, hyphens and underscores")
	case name == gateway.DefaultEngine:
		return errors.New(key + "name: is that of the engine of the section engine: choose another one")
	case slices.ContainsFunc(c.Engines[:i], same):
		return errors.New(key + "name: is that of another engine: choose another one")
	}
	return nil
}

func isEngineName(name string) bool {
	odd := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_'
	}
	return name != "" && len(name) <= 64 && !strings.ContainsFunc(name, odd)
}

func kindProblem(key, kind string) error {
	switch kind {
	case httpengine.Kind, os1.Kind:
		return nil
	case "corezoid":
		return errors.New(key + "kind: corezoid is the engine of the section engine alone; write http for others")
	case "metrici":
		return errors.New(key + "kind: there are no engines of this kind yet; write http")
	default:
		return errors.New(key + "kind: must be one of: http, os1")
	}
}

// engineWarnings lists what is valid of engines, and is not what somebody wants who serves clients.
func (c *Config) engineWarnings() (all []Warning) {
	for i, e := range c.Engines {
		host, key := hostOf(e.URL), item("engines", i)
		if isLoopback(hostOf(c.Callback.BaseURL)) && !isLoopback(host) {
			all = append(all, Warning("callback.base_url: is on the loopback of this machine, where the engine at "+key+
				".url cannot call it: set it to the URL at which the engine reaches this gateway"))
		}
		if strings.HasPrefix(strings.ToLower(e.URL), "http:") && !isLoopback(host) && len(e.Headers) > 0 {
			all = append(all, Warning(key+".url: is not https, and headers go with every request: everybody on the way can read their secrets"))
		}
	}
	return all
}
