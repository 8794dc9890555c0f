package waiter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"syncgate/signer"
)

// Config is one waiter. The yaml tags are the keys of the configuration file.
type Config struct {
	Name          string          `yaml:"name"`
	ConvID        string          `yaml:"conv_id"`        // the process whose ops it completes
	Node          string          `yaml:"node"`           // 24 hex digits of its URL; empty: they come from the name
	Hashes        []signer.Secret `yaml:"hashes"`         // 40 hex digits each, the rest of its URL; none: it has none
	RetiredHashes []signer.Secret `yaml:"retired_hashes"` // that were removed
	Logins        []string        `yaml:"logins"`         // that may modify; none: any login
	Path          string          `yaml:"path"`           // where in the body of a callback the name stands
	Key           string          `yaml:"key"`
	Events        string          `yaml:"events"` // where in the body the array of callbacks stands; empty: the body is one
	Body          string          `yaml:"body"`
	Timer         time.Duration   `yaml:"timer"` // how long a name is waited for
	Early         time.Duration   `yaml:"early"` // how long a completion waits for an op that has not come; 0: it does not
	Synchronous   bool            `yaml:"synchronous"`
	Engine        string          `yaml:"engine"`
	Challenge     bool            `yaml:"challenge"`
	Merge         bool            `yaml:"merge"` // the result has the members of the task's data, too
}

// Values of Config.Engine.
const (
	EngineForward = "forward" // the engine gets the ops and modifies of the process
	EngineNone    = "none"    // it does not
)

// Values of Config.Key beside data.MEMBER.
const (
	KeyRef  = "ref"
	KeyTask = "task_id" // the engine's
	keyData = "data."
)

const (
	// leastTimer is the shortest timer [the vendor's own].
	leastTimer = 30 * time.Second
	// mostWaiters is how many waiters there can be.
	mostWaiters = 1000
)

// SetDefaults sets the keys that have a default.
func (c *Config) SetDefaults() {
	c.Key, c.Early, c.Synchronous, c.Engine, c.Merge = KeyRef, 10*time.Second, true, EngineForward, true
}

// Validate reports every problem of a list of waiters, each with its key.
func Validate(all []Config) error {
	var problems []error
	if len(all) > mostWaiters {
		problems = append(problems, fmt.Errorf("waiters: there are %d, and at most %d can be", len(all), mostWaiters))
	}
	for i := range all {
		for _, err := range append(all[i].validate(), all[i].among(all[:i])...) {
			problems = append(problems, fmt.Errorf("waiters[%d].%w", i, err))
		}
	}
	return errors.Join(problems...)
}

// validate gives the problems of one waiter alone.
func (c *Config) validate() (all []error) {
	add := func(bad bool, format string, args ...any) {
		if bad {
			all = append(all, fmt.Errorf(format, args...))
		}
	}
	add(c.Name == "", "name: must be set")
	add(c.ConvID == "", "conv_id: must be set: ops of this process are completed by the waiter")
	add(c.Timer < leastTimer, "timer: must be at least %v: after it the name of an op is not waited for any more", leastTimer)
	add(c.Early < 0, "early: must not be negative; 0s turns it off")
	add(c.Engine != EngineForward && c.Engine != EngineNone, "engine: must be one of: %s, %s", EngineForward, EngineNone)
	add(c.Engine == EngineNone && c.Key == KeyTask, "key: must not be %s with engine %s: there is no engine that gives a task its id", KeyTask, EngineNone)
	if _, err := parseKey(c.Key); err != nil {
		all = append(all, fmt.Errorf("key: %w", err))
	}
	return all
}

// among gives the problems that one waiter has with those before it.
func (c *Config) among(before []Config) (all []error) {
	if slices.ContainsFunc(before, func(o Config) bool { return o.Name == c.Name && c.Name != "" }) {
		all = append(all, errors.New("name: is that of another waiter"))
	}
	i := slices.IndexFunc(before, func(o Config) bool { return o.ConvID == c.ConvID })
	if i >= 0 && before[i].Engine != c.Engine {
		all = append(all, fmt.Errorf("engine: must be that of waiters[%d], which has the same conv_id: the engine gets the ops of a process, or it does not", i))
	}
	return all
}

// key is how ops are named.
type key struct {
	text string // as it is configured
	path path   // of a member of the task's data; nil: there is none
}

func parseKey(text string) (k key, err error) {
	k.text = text
	member, ok := strings.CutPrefix(text, keyData)
	switch {
	case text == KeyRef, text == KeyTask:
		return k, nil
	case !ok || member == "":
		return k, fmt.Errorf("must be %s, %s, or %sMEMBER", KeyRef, KeyTask, keyData)
	}
	k.path, err = parsePath(member)
	return k, err
}

// of gives the name that an op has by the key before the engine knows it; empty: it has none.
func (k *key) of(op *Op) string {
	switch {
	case k.text == KeyRef:
		return op.Ref
	case k.path != nil:
		text, _ := k.path.of(op.Data)
		return text
	}
	return ""
}
