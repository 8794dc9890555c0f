package configs

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"syncgate/dialect"
	"syncgate/dialect/httpengine"
	"syncgate/dialect/metrici"
	"syncgate/dialect/os1"
	"syncgate/gateway"
)

// OtherEngine is one engine beside the default one.
type OtherEngine struct {
	httpengine.Config
	OS1 os1.EngineConfig `yaml:"os1"` // of kind os1
	metrici.EngineConfig
}

// HTTP gives what package httpengine does for the engine, whatever its kind.
func (e *OtherEngine) HTTP() httpengine.Config {
	switch e.Kind {
	case os1.Kind:
		return os1.HTTP(e.Config)
	case metrici.Kind:
		return metrici.HTTP(e.EngineConfig, e.Config)
	}
	return e.Config
}

// reportsProgress reports whether the engine can say that a task is under way.
func (e *OtherEngine) reportsProgress() bool {
	return e.Kind == metrici.Kind || e.HTTP().ReportsProgress()
}

// mergesByDefault reports whether merge is true where nothing is said.
func (e *OtherEngine) mergesByDefault() bool { return e.Kind == metrici.Kind }

// fill sets what is not set as it is by default.
func (e *OtherEngine) fill() {
	switch e.Kind {
	case os1.Kind:
		e.Config = os1.Filled(e.Config)
	case metrici.Kind:
		position := e.CallbackURL // which workers of this kind have not
		e.Config, e.EngineConfig = e.Config.Filled(), e.EngineConfig.Filled()
		e.CallbackURL = position
	default:
		e.Config = e.Config.Filled()
	}
}

// validate gives every problem of the engine itself, joined.
func (e *OtherEngine) validate() error {
	var all []error
	if e.Kind != os1.Kind && e.OS1 != (os1.EngineConfig{}) {
		all = append(all, errors.New("os1: is for engines of kind os1: remove it"))
	}
	if e.Kind != metrici.Kind {
		for _, f := range fields(reflect.ValueOf(&e.EngineConfig).Elem()) {
			if !f.value.IsZero() {
				all = append(all, errors.New(f.name+": is for engines of kind metrici: remove it"))
			}
		}
	}
	switch e.Kind {
	case os1.Kind:
		all = append(all, e.OS1.Validate(e.Config))
	case metrici.Kind:
		all = append(all, metrici.Validate(e.EngineConfig, e.Config))
	default:
		all = append(all, e.Validate())
	}
	return errors.Join(all...)
}

// Metrici gives what package metrici has to know.
func (c *Config) Metrici() metrici.Config {
	m := metrici.Config{Await: c.Timeouts.Max, Report: metrici.ReportTime(c.Listen.WriteTimeout)}
	for i := range c.Engines {
		switch e := &c.Engines[i]; {
		case e.Kind == metrici.Kind:
			m.Engines = append(m.Engines, metrici.Named{Name: e.Name, EngineConfig: e.EngineConfig})
		case e.OS1.CallbackSecret != "":
			m.Signed = append(m.Signed, e.Name)
		}
	}
	return m
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
		all = append(all, gateway.ValidateConnection(&connection, key))
		if e.Kind == metrici.Kind && e.KeepsForever() && e.AllowForever && c.Correlator.Backend != Redis {
			all = append(all, fmt.Errorf("%sretention: is true, which needs correlator.backend redis: nothing in memory is kept for ever", key))
		}
	}
	return errors.Join(all...)
}

func (c *Config) nameProblem(key string, i int) error {
	name := c.Engines[i].Name
	same := func(e OtherEngine) bool { return e.Name == name }
	switch {
	case !isEngineName(name):
		return errors.New(key + "name: must be 1 to 64 letters, digits, hyphens and underscores")
	case name == dialect.DefaultEngine:
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
	case httpengine.Kind, os1.Kind, metrici.Kind:
		return nil
	case "corezoid":
		return errors.New(key + "kind: corezoid is the engine of the section engine alone; write http for others")
	default:
		return errors.New(key + "kind: must be one of: http, metrici, os1")
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
