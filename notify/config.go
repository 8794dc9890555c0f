package notify

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"syncgate/signer"
)

// Bounds of a FileConfig.
const (
	// MostWindow is how long attempts of a notification are made at most.
	MostWindow = 30 * 24 * time.Hour
	// MostTimeout is how long an attempt takes at most.
	MostTimeout = 5 * time.Minute
	// MostNetworks is how many networks that are not public can be allowed.
	MostNetworks = 100
)

// FileConfig is what an operator configures of notifications. The yaml tags are the keys of the configuration file.
type FileConfig struct {
	SigningSecret     signer.Secret   `yaml:"signing_secret"` // signs where a subscription and its owner have no secret; empty: there is none
	SigningSecretFile string          `yaml:"signing_secret_file"`
	SigningSecrets    []signer.Secret `yaml:"signing_secrets"` // further ones that sign beside it, while rotating
	AllowHTTP         bool            `yaml:"allow_http"`
	Window            time.Duration   `yaml:"window"`
	Timeout           time.Duration   `yaml:"timeout"`
	AllowNetworks     []string        `yaml:"allow_networks"` // in CIDR form
}

// DefaultFile is the FileConfig of a gateway whose configuration says nothing.
func DefaultFile() FileConfig { return FileConfig{Window: 24 * time.Hour, Timeout: 15 * time.Second} }

// Validate gives every problem at once, joined; each begins with its key as in "window: ...". It shows no secret.
func (c FileConfig) Validate() error {
	problems := []error{c.secretProblems(), duration("window", c.Window, MostWindow), duration("timeout", c.Timeout, MostTimeout)}
	if len(c.AllowNetworks) > MostNetworks {
		problems = append(problems, fmt.Errorf("allow_networks: are %d, and at most %d can be", len(c.AllowNetworks), MostNetworks))
	}
	for i, text := range c.AllowNetworks {
		if _, err := network(text); err != nil {
			problems = append(problems, fmt.Errorf("allow_networks[%d]: %w", i, err))
		}
	}
	return errors.Join(problems...)
}

func (c FileConfig) secretProblems() error {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	check := func(key string, s signer.Secret) {
		if _, err := signer.ParseWebhookSecret(string(s)); err != nil {
			add("%s: %w", key, err)
		}
	}
	if c.SigningSecret != "" {
		check("signing_secret", c.SigningSecret)
	} else if len(c.SigningSecrets) > 0 {
		add("signing_secret: must not be empty while signing_secrets has further ones")
	}
	if n := len(c.SigningSecrets) + 1; n > maxSecrets {
		add("signing_secrets: are %d, and at most %d can be beside signing_secret", n-1, maxSecrets-1)
	}
	for i, s := range c.SigningSecrets {
		key := fmt.Sprintf("signing_secrets[%d]", i)
		check(key, s)
		if s != "" && (s == c.SigningSecret || slices.Contains(c.SigningSecrets[:i], s)) {
			add("%s: is a secret that is listed already", key)
		}
	}
	return errors.Join(problems...)
}

func duration(key string, d, most time.Duration) error {
	switch {
	case d <= 0:
		return fmt.Errorf("%s: must be longer than 0: write 15s, 24h", key)
	case d > most:
		return fmt.Errorf("%s: must be at most %s", key, short(most))
	}
	return nil
}

// short writes a duration of whole minutes or hours.
func short(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dm", int(d.Minutes()))
}

// network reads a network in CIDR form. Its errors say what would do.
func network(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, errors.New("is not a network: write 10.1.0.0/16, fd00:1::/32, or 10.1.2.3/32 for one address")
	case p.Addr().Is4In6():
		return netip.Prefix{}, errors.New("is an IPv4 network in IPv6 form: write it as 10.1.0.0/16")
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("has bits of an address behind its length: write %v, or another length", p.Masked())
	}
	return p, nil
}

// Networks are the networks that are not public and that notifications may go to.
func (c FileConfig) Networks() ([]netip.Prefix, error) {
	all := make([]netip.Prefix, len(c.AllowNetworks))
	for i, text := range c.AllowNetworks {
		var err error
		if all[i], err = network(text); err != nil {
			return nil, fmt.Errorf("allow_networks[%d]: %w", i, err)
		}
	}
	return all, nil
}

// Settings are those of a Sender. They fail where c is not valid.
func (c FileConfig) Settings() (Settings, error) {
	networks, err := c.Networks()
	if err != nil {
		return Settings{}, err
	}
	guard, err := NewGuard(GuardConfig{AllowHTTP: c.AllowHTTP, AllowNetworks: networks})
	if err != nil {
		return Settings{}, err
	}
	return Settings{Guard: guard, Window: c.Window, Timeout: c.Timeout}, nil
}

// Secrets are those that sign where nobody else's do: signing_secret first. None: nothing is signed by them.
func (c FileConfig) Secrets() []signer.Secret {
	if c.SigningSecret == "" {
		return nil
	}
	return append([]signer.Secret{c.SigningSecret}, c.SigningSecrets...)
}
