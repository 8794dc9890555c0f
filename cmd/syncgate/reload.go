package main

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"syncgate/configs"
	"syncgate/correlator"
)

// loader reads the configuration again.
type loader func() (*configs.Config, []configs.Warning, error)

// reload applies what can change while clients wait: credentials, callback keys, headers for the engine, routes and who may call them, waiters, notify, limits, the ratio of
// traces and the log level. A configuration with a problem changes nothing.
func (n *node) reload(load loader) {
	if err := n.apply(load); err != nil {
		n.reloads.successful.Set(0)
		n.refuse(err)
		return
	}
	n.reloads.succeeded()
	n.gateway.RenewCertificate()
	n.log.Info().Msg("configuration reloaded")
}

func (n *node) apply(load loader) error {
	next, warnings, err := load()
	if err != nil {
		return err
	}
	access, err := newAccess(next)
	if err != nil {
		return err
	}
	settings, err := next.Notify.Settings()
	if err != nil {
		return err
	}
	undo, err := n.beginPushing(next)
	if err != nil {
		return err
	}
	if err := n.routes.Set(next.Rest()); err != nil { // before anything else changes: it reads files
		undo()
		return err
	}
	if err := n.setWaiters(next); err != nil {
		return err
	}
	n.pushing.start(n.gateway.Push)
	if err := n.keys.replace(next.CallbackKeys(), time.Now(), n.config.Timeouts.Max); err != nil {
		return err
	}
	n.retire = time.After(n.config.Timeouts.Max)
	if err := n.pushing.Load().reload(next, settings, time.Now()); err != nil {
		return err
	}
	n.warn(next, warnings)
	c := *n.config
	c.Auth.Credentials = next.Auth.Credentials
	c.Callback.Keys, c.Callback.KeysFile = next.Callback.Keys, next.Callback.KeysFile
	c.Engine.Headers = next.Engine.Headers
	c.Limits = next.Limits
	c.Log.Level = next.Log.Level
	c.Routes, c.Access, c.Waiters = next.Routes, next.Access, next.Waiters
	c.Notify, c.Admin.Actions, c.Admin.Hosts = next.Notify, next.Admin.Actions, next.Admin.Hosts
	c.Tracing.Ratio = next.Tracing.Ratio
	n.config = &c
	n.effective.Store(&c)
	n.showFields(&c)
	n.probes.Set(n.probed(&c))

	access.Window = c.Auth.Window
	n.dialect.SetAccess(access)
	n.gateway.SetEngineHeaders(c.Engine.Headers)
	n.gateway.SetLimits(c.Limits)
	n.gateway.SetAdmin(c.Admin)
	n.tracing.reload(&c)
	n.table.SetParked(c.Limits.Parked)
	n.table.SetProgress(int64(c.Limits.CallbackBody))
	if memory, ok := n.table.(*correlator.Memory); ok {
		memory.SetResults(int64(c.Limits.Results))
	}
	setLevel(c.Log.Level)
	return nil
}

// warn logs the warnings about the next configuration, and each key that has changed but takes effect only with the next start.
func (n *node) warn(next *configs.Config, warnings []configs.Warning) {
	for _, w := range warnings {
		n.log.Warn().Msg(string(w))
	}
	for _, key := range configs.Diff(n.config, next) {
		if !reloadable(key) {
			n.log.Warn().Str("key", key).Msg("reload: the change takes effect with the next start")
		}
	}
}

// reloadMetrics say whether the configuration that is in effect is the one that was written last.
type reloadMetrics struct{ successful, at prometheus.Gauge }

// newReloadMetrics counts the start as a success.
func newReloadMetrics() *reloadMetrics {
	m := &reloadMetrics{
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "syncgate_config_last_reload_successful", Help: "1 if the configuration was applied when it was last read, 0 if it had a problem.",
		}),
		at: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "syncgate_config_last_reload_success_timestamp_seconds", Help: "When a configuration was last applied, as Unix time.",
		}),
	}
	m.succeeded()
	return m
}

func (m *reloadMetrics) succeeded() {
	m.successful.Set(1)
	m.at.SetToCurrentTime()
}

func reloadable(key string) bool {
	return slices.Contains([]string{"auth.credentials", "callback.keys", "callback.keys_file", "engine.headers", "log.level", "routes", "access", "waiters", "admin.actions", "admin.hosts", "tracing.ratio"}, key) ||
		strings.HasPrefix(key, "limits.") || strings.HasPrefix(key, "notify.")
}

// refuse logs every problem of a configuration that changed nothing.
func (n *node) refuse(err error) {
	problems, ok := err.(configs.Problems) //nolint:errorlint // the loader's own type, never wrapped
	if !ok {
		n.log.Error().Err(err).Msg("reload: nothing has changed")
		return
	}
	for _, p := range problems {
		n.log.Error().Str("key", p.Key).Str("problem", p.Error()).Msg("reload: nothing has changed")
	}
}
