package main

import (
	"syncgate/configs"
	"syncgate/dialect/doctor"
	"syncgate/internal/probe"
)

// probed is what the node says of itself to syncgate doctor.
func (n *node) probed(c *configs.Config) doctor.Config {
	settings := make(map[string]string)
	c.Values(func(key, text string) { settings[key] = probe.Digest(key, text, n.keys) })
	body := c.Limits.Body
	for i := range c.Routes {
		body = max(body, c.Routes[i].Limits.Body)
	}
	return doctor.Config{Node: n.table.Node().String(), Version: versionText(), Settings: settings, Body: int64(body), Heartbeat: c.Listen.Heartbeat}
}
