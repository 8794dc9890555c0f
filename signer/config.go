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
		errs = append(errs, errors.New("auth.window: must not be negative"))
	}
	return errors.Join(append(errs, validate(c.Credentials)...)...)
}

func validate(credentials []Credential) (errs []error) {
	seen := make(map[string]int, len(credentials))
	for i, c := range credentials {
		at := func(key, problem string, args ...any) {
			errs = append(errs, fmt.Errorf("auth.credentials[%d].%s: %s", i, key, fmt.Sprintf(problem, args...)))
		}
		if problem := loginProblem(c.Login); problem != "" {
			at("login", "%s", problem)
		} else if first, dup := seen[c.Login]; dup {
			at("login", "is the same as that of auth.credentials[%d]", first)
		} else {
			seen[c.Login] = i
		}
		if c.Secret == "" && len(c.Secrets) == 0 {
			at("secret", "must not be empty")
		}
		for j, s := range c.Secrets {
			if s == "" {
				at(fmt.Sprintf("secrets[%d]", j), "must not be empty")
			}
		}
		if c.EngineLogin == "" || c.EngineLogin == c.Login {
			continue
		}
		if problem := loginProblem(c.EngineLogin); problem != "" {
			at("engine_login", "%s", problem)
		}
		if c.EngineSecret == "" {
			at("engine_secret", "must not be empty when engine_login is another login")
		}
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
