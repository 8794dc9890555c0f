package dialect

import (
	"time"

	"syncgate/signer"
)

// Connection says how an engine is reached.
type Connection struct {
	URL            string        `yaml:"url"`
	Proxy          string        `yaml:"proxy"` // URL of an HTTP proxy, which may hold a password, or NoProxy; empty: none, unless somebody puts one there
	Timeout        time.Duration `yaml:"timeout"`
	Idle           time.Duration `yaml:"idle"`
	MaxConnections int           `yaml:"max_connections"`
	Ack            string        `yaml:"ack"`   // AckProtocol or AckAny
	Merge          bool          `yaml:"merge"` // results of routes are laid over what the engine has reported, and over the request

	// Headers go with every request to the engine. Their values are secrets.
	Headers map[string]signer.Secret `yaml:"headers"`
}

// DefaultConnection is the one where nothing is said. It has no URL.
func DefaultConnection() Connection {
	return Connection{Timeout: 10 * time.Second, Idle: 10 * time.Second, MaxConnections: 1024, Ack: AckProtocol}
}

// NoProxy is the Connection.Proxy that is none, whatever the environment says.
const NoProxy = "none"

// Values of Connection.Ack: what a 2xx of the engine has to say.
const (
	AckProtocol = "protocol" // it answers each op, as the protocol says
	AckAny      = "any"      // anything, or nothing: the callback decides
)

// Timeouts are those of the clients' waits.
type Timeouts struct {
	Default time.Duration `yaml:"default"`
	Max     time.Duration `yaml:"max"`
}

// DefaultTimeouts are those where nothing is said.
func DefaultTimeouts() Timeouts { return Timeouts{Default: time.Minute, Max: 5 * time.Minute} }
