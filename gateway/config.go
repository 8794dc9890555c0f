package gateway

import (
	"time"
)

// Config is what the gateway itself needs. Keys are those of the configuration file.
type Config struct {
	Listen       Listen
	Callback     CallbackConfig
	Engine       EngineConfig
	Timeouts     Timeouts
	Limits       Limits
	Results      Results
	OnDisconnect string // keep or drop
	Drain        DrainConfig
	CORS         CORS
}

// Listen says where and how the gateway is reached.
type Listen struct {
	Public         string        `yaml:"public"`
	Callback       string        `yaml:"callback"`
	Admin          string        `yaml:"admin"`
	TrustedProxies []string      `yaml:"trusted_proxies"`
	ProxyProtocol  []string      `yaml:"proxy_protocol"`
	TLS            TLS           `yaml:"tls"`
	HeaderTimeout  time.Duration `yaml:"header_timeout"`
	BodyTimeout    time.Duration `yaml:"body_timeout"`
	WriteTimeout   time.Duration `yaml:"write_timeout"`
	IdleTimeout    time.Duration `yaml:"idle_timeout"`
}

// TLS names the certificate of the public and callback listeners; both empty: plain TCP.
type TLS struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

// CallbackConfig says how the engine reaches us.
type CallbackConfig struct {
	BaseURL string   `yaml:"base_url"`
	Methods []string `yaml:"methods"`
}

// EngineConfig says how we reach the engine.
type EngineConfig struct {
	URL            string        `yaml:"url"`
	Timeout        time.Duration `yaml:"timeout"`
	Idle           time.Duration `yaml:"idle"`
	MaxConnections int           `yaml:"max_connections"`
}

// Timeouts of the clients' waits.
type Timeouts struct {
	Default time.Duration `yaml:"default"`
	Max     time.Duration `yaml:"max"`
}

// Limits bound what clients and engines can make us hold. 0 means none where the comment says so.
type Limits struct {
	Body           ByteSize `yaml:"body"`
	CallbackBody   ByteSize `yaml:"callback_body"`
	Ops            int      `yaml:"ops"`
	Parked         int      `yaml:"parked"`           // 0: none
	ParkedPerLogin int      `yaml:"parked_per_login"` // 0: none
	RatePerLogin   float64  `yaml:"rate_per_login"`   // requests a second; 0: none
	Results        ByteSize `yaml:"results"`          // memory correlator; 0: none
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

// CORS lists the origins that browsers may call from; "*" is any.
type CORS struct {
	Origins []string `yaml:"origins"`
}

// ByteSize is a number of bytes, written as 512, 64KiB, 1MiB or 2GiB.
type ByteSize int64
