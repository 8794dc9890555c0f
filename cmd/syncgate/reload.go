package main

import (
	"slices"
	"strings"
	"time"

	"syncgate/configs"
	"syncgate/correlator"
)

// loader reads the configuration again.
type loader func() (*configs.Config, []configs.Warning, error)

// reload applies what can change while clients wait: credentials, callback keys, limits and the log level. A configuration
// with a problem changes nothing.
func (n *node) reload(load loader) {
	next, warnings, err := load()
	if err != nil {
		n.refuse(err)
		return
	}
	access, err := newAccess(next)
	if err != nil {
		n.refuse(err)
		return
	}
	if err := n.keys.replace(next.CallbackKeys(), time.Now(), n.config.Timeouts.Max); err != nil {
		n.refuse(err)
		return
	}
	n.retire = time.After(n.config.Timeouts.Max)
	for _, w := range warnings {
		n.log.Warn().Msg(string(w))
	}
	for _, key := range configs.Diff(n.config, next) {
		if !reloadable(key) {
			n.log.Warn().Str("key", key).Msg("reload: the change takes effect with the next start")
		}
	}
	c := *n.config
	c.Auth.Credentials = next.Auth.Credentials
	c.Callback.Keys, c.Callback.KeysFile = next.Callback.Keys, next.Callback.KeysFile
	c.Engine.Headers = next.Engine.Headers
	c.Limits = next.Limits
	c.Log.Level = next.Log.Level
	n.config = &c

	access.Window = c.Auth.Window
	n.dialect.SetAccess(access)
	n.gateway.SetEngineHeaders(c.Engine.Headers)
	n.gateway.SetLimits(c.Limits)
	n.table.SetParked(c.Limits.Parked)
	if memory, ok := n.table.(*correlator.Memory); ok {
		memory.SetResults(int64(c.Limits.Results))
	}
	setLevel(c.Log.Level)
	n.log.Info().Msg("configuration reloaded")
}

func reloadable(key string) bool {
	return slices.Contains([]string{"auth.credentials", "callback.keys", "callback.keys_file", "engine.headers", "log.level"}, key) ||
		strings.HasPrefix(key, "limits.")
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
