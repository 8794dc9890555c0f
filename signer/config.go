package signer

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Config says who may sign requests. Keys are those of the section auth of the configuration file.
type Config struct {
	Window      time.Duration `yaml:"window"` // how far a request's time may be from ours, either way; 0: any
	Credentials []Credential  `yaml:"credentials"`
}

// Credential is one login with what it signs with, and what its requests to the engine are signed with.
type Credential struct {
	Login        string   `yaml:"login"`
	Secret       Secret   `yaml:"secret"`
	Secrets      []Secret `yaml:"secrets"`       // further live ones, while rotating
	EngineLogin  string   `yaml:"engine_login"`  // empty: Login
	EngineSecret Secret   `yaml:"engine_secret"` // empty: the first of the secrets
}

// Default has a window of five minutes either way, as clients' clocks are off by that much, and no credentials.
func Default() Config { return Config{Window: 300 * time.Second} }

// Validate reports every problem, each with its key.
func (c Config) Validate() error {
	var errs []error
	if c.Window < 0 {
		errs = append(errs, errors.New("auth.window: must not be negative: write 300s, or 0s to turn it off"))
	}
	return errors.Join(append(errs, validate(c.Credentials)...)...)
}

func validate(credentials []Credential) (errs []error) {
	first := make(map[string]int, len(credentials))
	for i, c := range credentials {
		key := fmt.Sprintf("auth.credentials[%d]", i)
		errs = append(errs, c.problems(key)...)
		if j, dup := first[c.Login]; dup && c.Login != "" {
			errs = append(errs, fmt.Errorf("%s.login: is the same as that of auth.credentials[%d]", key, j))
			continue
		}
		first[c.Login] = i
	}
	return errs
}

func (c Credential) problems(key string) (errs []error) {
	if problem := loginProblem(c.Login); problem != "" {
		errs = append(errs, fmt.Errorf("%s.login: %s", key, problem))
	}
	if c.Secret == "" && len(c.Secrets) == 0 {
		errs = append(errs, fmt.Errorf("%s.secret: must not be empty", key))
	}
	for i, s := range c.Secrets {
		if s == "" {
			errs = append(errs, fmt.Errorf("%s.secrets[%d]: must not be empty", key, i))
		}
	}
	if c.EngineLogin == "" || c.EngineLogin == c.Login {
		return errs
	}
	if problem := loginProblem(c.EngineLogin); problem != "" {
		errs = append(errs, fmt.Errorf("%s.engine_login: %s", key, problem))
	}
	if c.EngineSecret == "" {
		errs = append(errs, fmt.Errorf("%s.engine_secret: must not be empty when engine_login is another login", key))
	}
	return errs
}

// loginProblem says what is wrong with a login, which stands in paths as it is, without any escaping.
func loginProblem(login string) string {
	const allowed = "-._~@:+"
	odd := func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune(allowed, r)
	}
	switch {
	case login == "":
		return "must not be empty"
	case strings.Trim(login, ".") == "":
		return "must not be made of dots alone"
	case strings.ContainsFunc(login, odd):
		return "may have letters, digits and " + allowed + " only"
	}
	return ""
}
