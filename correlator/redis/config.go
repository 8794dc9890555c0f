package redis

import (
	"cmp"
	"errors"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Values of Config.Mode.
const (
	Standalone = "standalone"
	Sentinel   = "sentinel"
	Cluster    = "cluster"
)

// poolSize is how many connections there are at most, to each server, unless the URL says otherwise. Callbacks take few of
// them, as they share round trips; a trip with a key takes one for itself while it claims that.
const poolSize = 32

// Config says how Redis is reached and what is kept in it.
type Config struct {
	Mode string `yaml:"mode"` // Standalone, Sentinel or Cluster
	URL  string `yaml:"url"`  // go-redis's own form for that mode
	// Who we are, where the URL does not say; the second pair is for the Sentinels.
	Username, Password                 string        `yaml:"-"`
	SentinelUsername, SentinelPassword string        `yaml:"-"`
	Timeout                            time.Duration `yaml:"timeout"` // of every command, with the wait for a connection and all retries
	Prefix                             string        `yaml:"prefix"`  // begins every key and channel
	Parked                             int           `yaml:"-"`       // most trips parked here at once; 0: any number
	Retention                          time.Duration `yaml:"-"`       // how long a complete record is kept; 0: no record is kept
	Progress                           int64         `yaml:"-"`       // most bytes of what the engine has reported of an op, merged; 0: any number
}

// Default is the Config of a gateway whose configuration says nothing.
func Default() Config {
	return Config{
		Mode:      Standalone,
		URL:       "redis://127.0.0.1:6379/0",
		Timeout:   500 * time.Millisecond,
		Prefix:    "syncgate",
		Parked:    100_000,
		Retention: time.Hour,
		Progress:  5 << 20,
	}
}

// Validate names everything that is wrong with c. The URL, which may hold a password, is not in its errors.
func (c Config) Validate() error {
	var errs []error
	if c.Timeout <= 0 {
		errs = append(errs, errors.New("timeout: must be greater than 0: write 500ms, 2s"))
	}
	if c.Prefix == "" || strings.ContainsAny(c.Prefix, "{}") {
		errs = append(errs, errors.New("prefix: must be one or more characters other than { and }"))
	}
	if c.Parked < 0 {
		errs = append(errs, errors.New("parked: must not be negative"))
	}
	if c.Retention < 0 {
		errs = append(errs, errors.New("retention: must not be negative"))
	}
	if c.Progress < 0 {
		errs = append(errs, errors.New("progress: must not be negative"))
	}
	if _, err := c.options(); err != nil {
		errs = append(errs, err)
	} else {
		errs = append(errs, c.identityProblems()...)
	}
	return errors.Join(errs...)
}

// connect makes the client. It opens no connection.
func (c Config) connect() (goredis.UniversalClient, error) {
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	return c.client(o), nil
}

// NewClient makes a client for other data in the same Redis: it has the same address, user and TLS as the correlator, and connections of its own, so
// neither waits for the other's. A command ends when its context does. exchange bounds the writing of a command, and the reading of its answer, where the
// context allows more; Timeout bounds connecting and the wait for a free connection. The client opens no connection until the first command. It fails
// where c is not valid.
func (c Config) NewClient(exchange time.Duration) (goredis.UniversalClient, error) {
	if exchange <= 0 {
		return nil, errors.New("exchange: must be greater than 0")
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	o.ReadTimeout, o.WriteTimeout = exchange, exchange
	return c.client(o), nil
}

func (c Config) client(o *goredis.UniversalOptions) goredis.UniversalClient {
	switch c.Mode {
	case Cluster:
		return goredis.NewClusterClient(o.Cluster())
	case Sentinel:
		return goredis.NewFailoverClient(o.Failover())
	default:
		simple := o.Simple()
		if strings.HasPrefix(c.URL, "unix:") {
			simple.Network = "unix"
		}
		return goredis.NewClient(simple)
	}
}

// options takes from the URL where Redis is and who we are. How long and how often we try is ours to say.
func (c Config) options() (*goredis.UniversalOptions, error) {
	parse, known := map[string]func(string) (*goredis.UniversalOptions, error){
		Standalone: parseStandalone,
		Sentinel:   parseSentinel,
		Cluster:    parseCluster,
	}[c.Mode]
	if !known {
		return nil, errUnknownMode
	}
	o, err := parse(c.URL)
	if err != nil || !isWhole(c.URL) || !canBeDialled(c.URL, o.Addrs) {
		return nil, urlProblem(c.Mode, err)
	}
	o.Username, o.Password = cmp.Or(c.Username, o.Username), cmp.Or(c.Password, o.Password)
	o.SentinelUsername, o.SentinelPassword = cmp.Or(c.SentinelUsername, o.SentinelUsername), cmp.Or(c.SentinelPassword, o.SentinelPassword)
	if o.PoolSize <= 0 {
		o.PoolSize = poolSize
	}
	o.PipelinePoolSize = -1 // pipelines need no connections of their own
	o.Protocol = 2          // the third has nothing that is used, and messages that interrupt a subscription
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.ContextTimeoutEnabled = true
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = c.Timeout, c.Timeout, c.Timeout, c.Timeout
	o.Dialer = dial(c.Timeout, o.TLSConfig)
	o.DialerRetries = 1
	o.MaxRetries = 1 // a connection that broke while idle costs no callback; every command may be run again
	o.MinRetryBackoff, o.MaxRetryBackoff = time.Millisecond, 20*time.Millisecond
	o.ConnMaxIdleTime = 5 * time.Minute
	return o, nil
}

func parseStandalone(text string) (*goredis.UniversalOptions, error) {
	o, err := goredis.ParseURL(text)
	if err != nil {
		return nil, err
	}
	return &goredis.UniversalOptions{
		Addrs: []string{o.Addr}, DB: o.DB, Username: o.Username, Password: o.Password,
		ClientName: o.ClientName, PoolSize: o.PoolSize, TLSConfig: o.TLSConfig,
	}, nil
}

func parseSentinel(text string) (*goredis.UniversalOptions, error) {
	o, err := goredis.ParseFailoverURL(text)
	if err != nil {
		return nil, err
	}
	if o.MasterName == "" {
		return nil, errNeedsMaster
	}
	return &goredis.UniversalOptions{
		Addrs: o.SentinelAddrs, MasterName: o.MasterName, DB: o.DB, Username: o.Username, Password: o.Password,
		SentinelUsername: o.SentinelUsername, SentinelPassword: o.SentinelPassword,
		ClientName: o.ClientName, PoolSize: o.PoolSize, TLSConfig: o.TLSConfig,
	}, nil
}

func parseCluster(text string) (*goredis.UniversalOptions, error) {
	o, err := goredis.ParseClusterURL(text)
	if err != nil {
		return nil, err
	}
	return &goredis.UniversalOptions{
		Addrs: o.Addrs, Username: o.Username, Password: o.Password,
		ClientName: o.ClientName, PoolSize: o.PoolSize, TLSConfig: o.TLSConfig,
	}, nil
}
