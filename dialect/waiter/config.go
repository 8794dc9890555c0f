package waiter

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"syncgate/internal/webhook"
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
	Verify        webhook.Verify  `yaml:"verify"`
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
	// mostEarly bounds early: what is early is in the node's memory, and is lost with it.
	mostEarly = 10 * time.Minute
	// mostLabel bounds the name of a waiter, in bytes.
	mostLabel = 100
)

// SetDefaults sets the keys that have a default.
func (c *Config) SetDefaults() {
	c.Key, c.Early, c.Synchronous, c.Engine, c.Merge = KeyRef, 10*time.Second, true, EngineForward, true
}

// webhook gives how callbacks at the URL of the waiter are read.
func (c *Config) webhook() webhook.Config {
	return webhook.Config{Verify: c.Verify, Body: c.Body, Events: c.Events, Challenge: c.Challenge}
}

// Verifies says what proves to the waiter who calls: the name of a preset, or a kind.
func (c *Config) Verifies() string {
	return cmp.Or(c.Verify.Preset, c.webhook().Expanded().Verify.Kind)
}

// Validate reports every problem of a list of waiters, each with its key.
func Validate(all []Config) error {
	var problems []error
	if len(all) > mostWaiters {
		problems = append(problems, fmt.Errorf("waiters: there are %d, and at most %d can be", len(all), mostWaiters))
	}
	before := seen{make(map[string]int), make(map[string]int), make(map[string]int)}
	for i := range all {
		key := fmt.Sprintf("waiters[%d]", i)
		for _, err := range append(all[i].validate(), before.add(&all[i], all, i)...) {
			problems = append(problems, fmt.Errorf("%s.%w", key, err))
		}
		problems = append(problems, all[i].webhook().Validate(key))
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
	add(c.Name == "", "name: must be set: it stands in the log and in metrics")
	add(len(c.Name) > mostLabel, "name: must have at most %d bytes", mostLabel)
	add(c.ConvID == "", "conv_id: must be set: ops of this process are completed by the waiter")
	add(c.Timer < leastTimer, "timer: must be set to at least %v: after it the name of an op is not waited for any more", leastTimer)
	add(c.Early < 0 || c.Early > mostEarly, "early: must be from 0s, which is off, to %v: it is kept in memory", mostEarly)
	add(c.Engine != EngineForward && c.Engine != EngineNone, "engine: must be one of: %s, %s", EngineForward, EngineNone)
	add(c.Engine == EngineNone && c.Key == KeyTask, "key: must not be %s with engine %s: there is no engine that gives a task its id", KeyTask, EngineNone)
	if _, err := parseKey(c.Key); err != nil {
		all = append(all, fmt.Errorf("key: %w", err))
	}
	if c.Path != "" {
		if _, err := webhook.ParsePath(c.Path); err != nil {
			all = append(all, fmt.Errorf("path: %w", err))
		}
	}
	return append(all, c.validateURL()...)
}

// validateURL gives the problems of what the URL of a waiter is made of, and of what comes in there.
func (c *Config) validateURL() (all []error) {
	if c.Node != "" && !isHex(c.Node, nodeDigits) {
		all = append(all, fmt.Errorf("node: must be %d hexadecimal digits; empty: it comes from the name", nodeDigits))
	}
	for i, h := range c.Hashes {
		if !isHex(string(h), hashDigits) {
			all = append(all, fmt.Errorf("hashes[%d]: must be %d hexadecimal digits, as from openssl rand -hex %d", i, hashDigits, hashDigits/2))
		}
		if slices.ContainsFunc(c.Hashes[:i], func(o signer.Secret) bool { return strings.EqualFold(string(o), string(h)) }) {
			all = append(all, fmt.Errorf("hashes[%d]: is there already", i))
		}
	}
	for i, h := range c.RetiredHashes {
		if !isHex(string(h), hashDigits) {
			all = append(all, fmt.Errorf("retired_hashes[%d]: must be %d hexadecimal digits", i, hashDigits))
		}
		if slices.ContainsFunc(c.Hashes, func(o signer.Secret) bool { return strings.EqualFold(string(o), string(h)) }) {
			all = append(all, fmt.Errorf("retired_hashes[%d]: is one of hashes: remove it from one of both", i))
		}
	}
	if len(c.Hashes) > 0 && c.Path == "" {
		all = append(all, errors.New("path: must be set where there are hashes: it says where in the body of a callback the name stands, such as order.id"))
	}
	return all
}

// seen is what the waiters before one have, by what two may not share, with the index of the waiter.
type seen struct{ names, processes, urls map[string]int }

// add gives the problems that a waiter has with those before it, and adds it to them.
func (s *seen) add(c *Config, all []Config, at int) (problems []error) {
	if i, there := s.processes[c.ConvID]; there && all[i].Engine != c.Engine {
		problems = append(problems, fmt.Errorf("engine: must be that of waiters[%d], which has the same conv_id: the engine gets the ops of a process, or it does not", i))
	}
	if _, there := s.processes[c.ConvID]; !there {
		s.processes[c.ConvID] = at
	}
	if i, there := s.names[c.Name]; there && c.Name != "" { // its node may come from its name
		return append(problems, fmt.Errorf("name: is that of waiters[%d]", i))
	}
	s.names[c.Name] = at
	for j, h := range c.Hashes {
		url := c.nodeOf() + "/" + strings.ToLower(string(h))
		if i, there := s.urls[url]; there && i != at {
			problems = append(problems, fmt.Errorf("hashes[%d]: is one of waiters[%d], which has the same node: a URL leads to one waiter", j, i))
		}
		s.urls[url] = at
	}
	return problems
}

// key is how ops are named.
type key struct {
	text string // as it is configured
	data bool   // it is a member of the task's data
	path webhook.Path
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
	k.data = true
	k.path, err = webhook.ParsePath(member)
	return k, err
}

// of gives the name that an op has by the key before the engine knows it; empty: it has none.
func (k *key) of(op *Op) string {
	switch {
	case k.text == KeyRef:
		return op.Ref
	case k.data:
		text, _ := k.path.Of(op.Data)
		return text
	}
	return ""
}
