package rest

import (
	"time"

	"syncgate/correlator"
	"syncgate/dialect"
	"syncgate/dialect/os1"
	"syncgate/internal/setting"
	"syncgate/signer"
)

// RouteConfig is one route: a path, who may call it, which engine works, and how the client is answered. The yaml tags are the keys of the
// configuration file.
type RouteConfig struct {
	Name           string        `yaml:"name"`
	Path           string        `yaml:"path"`
	Methods        []string      `yaml:"methods"`
	Engine         string        `yaml:"engine"`
	ConvID         string        `yaml:"conv_id"` // corezoid: the process
	Login          string        `yaml:"login"`   // corezoid: who signs; empty with Auth corezoid: the caller
	Auth           string        `yaml:"auth"`
	Wait           Wait          `yaml:"wait"`
	AtWaitEnd      string        `yaml:"at_wait_end"`
	View           string        `yaml:"view"`
	HAL            HAL           `yaml:"hal"`
	Data           string        `yaml:"data"` // corezoid; empty: members
	ForwardHeaders []string      `yaml:"forward_headers"`
	Schema         string        `yaml:"schema"` // a file; empty: none
	Respond        Respond       `yaml:"respond"`
	Idle           time.Duration `yaml:"idle"` // 0: none
	Limits         RouteLimits   `yaml:"limits"`
	OnDisconnect   string        `yaml:"on_disconnect"` // empty: that of the whole gateway
	Subscriptions  bool          `yaml:"subscriptions"`
	OS1            os1.Config    `yaml:"os1"` // of ViewOS1
	// States are the HTTP statuses of replies by how far the task is: by its state, else by the group of that.
	States map[string]int `yaml:"states"`
}

// Wait says how long clients of a route wait.
type Wait struct {
	Default time.Duration `yaml:"default"` // of those that say nothing; 0: they are not held
	Max     time.Duration `yaml:"max"`
}

// HAL says how hal+json is worded.
type HAL struct {
	Failed string `yaml:"failed"` // FailedOK or FailedStatus
}

// Respond says what of a callback's head the client gets.
type Respond struct {
	StatusHeader string   `yaml:"status_header"` // names the status of the answer; empty: it is always 200
	Headers      []string `yaml:"headers"`
}

// RouteLimits bound what clients of a route can make us hold.
type RouteLimits struct {
	Body          setting.ByteSize `yaml:"body"`          // 0: limits.body
	Rate          float64          `yaml:"rate"`          // requests a second; 0: any number
	Parked        int              `yaml:"parked"`        // 0: any number
	Subscriptions int              `yaml:"subscriptions"` // that one caller has at the same time
}

// AccessConfig is one caller of routes.
type AccessConfig struct {
	Name               string          `yaml:"name"`
	Key                signer.Secret   `yaml:"key"`
	KeyFile            string          `yaml:"key_file"`
	Keys               []signer.Secret `yaml:"keys"` // further live ones, while rotating
	User               string          `yaml:"user"`
	Password           signer.Secret   `yaml:"password"`
	PasswordFile       string          `yaml:"password_file"`
	SigningSecret      signer.Secret   `yaml:"signing_secret"` // whsec_…: signs what the caller's receivers get; empty: that of the whole gateway does
	SigningSecretFile  string          `yaml:"signing_secret_file"`
	CallbackSecret     signer.Secret   `yaml:"callback_secret"` // signs OS1's callbacks to the caller; empty: a request names its own, or none signs
	CallbackSecretFile string          `yaml:"callback_secret_file"`
	Routes             []string        `yaml:"routes"`
	Origins            []string        `yaml:"origins"` // not empty: usable only by pages of these
	Rate               float64         `yaml:"rate"`    // requests a second of one client address; 0: any number
}

// Values of RouteConfig.Auth.
const (
	AuthNone     = "none"
	AuthBasic    = "basic"
	AuthKey      = "key"
	AuthCorezoid = "corezoid" // the path ends with /{login}/{time}/{signature}
)

// Values of RouteConfig.AtWaitEnd: what a client hears whose wait ends before there is a result.
const (
	EndTask     = "task"     // 202, and where the task is
	EndTimeout  = "timeout"  // 504
	EndRedirect = "redirect" // 303, to a URL that waits on
)

// Values of RouteConfig.View: the form of what is said of a task.
const (
	ViewAuto  = "auto" // as Accept says
	ViewPlain = "plain"
	ViewHAL   = "hal"
	ViewOS1   = "os1" // as OS1's asynchronous APIs have it
)

// Keys of RouteConfig.States: two groups of states, and the states.
const (
	groupActive = "active" // start and progress: the reply goes out at the engine's first report
	groupError  = "error"  // error, cancel and timeout
)

// Values of HAL.Failed: the status of the problem of a task that has failed.
const (
	FailedOK     = "200-problem"
	FailedStatus = "problem-status"
)

// Values of RouteConfig.Data: what of a request becomes the data of a Corezoid task.
const (
	DataMembers = "members"
	DataRequest = "request"
	DataBoth    = "both"
	DataRaw     = "raw"
)

// Values of RouteConfig.OnDisconnect beside those of the gateway.
const onDisconnectCancel = "cancel"

// Bounds of a configuration.
const (
	MostRoutes     = 1000
	MostAccess     = 10_000
	MostKeys       = 100 // of an access entry
	MostParameters = 32  // of a path
	MostHops       = 9   // how often a client is sent on, one after the other
	// MostSubscriptions is how many subscriptions of one caller a route can allow.
	MostSubscriptions = 100_000
)

// DefaultRoute is a route of which only the name, the path and who may call are missing.
func DefaultRoute() RouteConfig {
	return RouteConfig{
		Methods:   []string{"POST"},
		Engine:    dialect.DefaultEngine,
		Auth:      AuthKey,
		Wait:      Wait{Default: 20 * time.Second, Max: 2 * time.Minute},
		AtWaitEnd: EndTask,
		View:      ViewAuto,
		HAL:       HAL{Failed: FailedOK},
		Respond:   Respond{StatusHeader: "CZ-AG-Status-Code", Headers: []string{"Content-Type", "Content-Language", "Cache-Control"}},
		Limits:    RouteLimits{Subscriptions: 1000},
		OS1:       os1.Config{Signature: signer.OS1HMAC},
	}
}

// SetDefaults makes c the DefaultRoute.
func (c *RouteConfig) SetDefaults() { *c = DefaultRoute() }

// Config is what may change while the process lives.
type Config struct {
	Routes    []RouteConfig
	Access    []AccessConfig
	PublicURL string        // what Location and links begin with; empty: nothing
	MaxWait   time.Duration // of requests about tasks
	Engines   []Engine      // those that there are, the default one among them
	Ops       int           // limits.ops: the most elements of a batch
	// Of the gateway, for what a route needs.
	Retention    time.Duration // results.retention
	RequireLogin bool          // results.require_login
}

// Engine is what a route has to know of an engine.
type Engine struct {
	Name       string
	Corezoid   bool     // its tasks are those of a process, and a login signs
	Progress   bool     // it may report how far it has come
	Parameters []string // of the route's path that its URLs need
}

// Verifier checks the signature of a request of Corezoid's Sync API. Its errors are *dialect.Fault.
type Verifier interface {
	Verify(login, stamp, signature, body []byte, now time.Time) (name string, err error)
}

// Outside is what the Dialect needs of others. It does not change while the process lives.
type Outside struct {
	Keys     *correlator.Keys // make the tokens of event streams
	Verifier Verifier         // nil: no route has Auth corezoid
	Push     *Push            // nil: no route has Subscriptions, or ViewOS1
}
