// Package os1 speaks the asynchronous APIs of Delhivery's OS1, also called CoreOS (https://docs.getos1.com/asynchronous-apis), on both sides.
//
// On the client's side it has the words alone: what a request says beside its data, and the bodies of replies, errors and callbacks. They are
// functions of their arguments; package rest parks clients and answers with these words where a route has the view os1.
//
// On the engine's side it is an Engine: package httpengine with OS1's headers, its callback member, and its signed callbacks.
package os1

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"syncgate/signer"
)

// Config is what a route with the view os1 says in its section os1. The yaml tags are the keys of the configuration file.
type Config struct {
	EventType string            `yaml:"event_type"` // of callbacks
	Service   string            `yaml:"service"`    // of callbacks: Participant, Container or Entity in OS1 itself
	Members   map[string]string `yaml:"members"`    // constants that each callback has beside its own members
	Signature signer.OS1Scheme  `yaml:"signature"`  // empty: hmac-sha256
	Batch     string            `yaml:"batch"`      // the member of the body that has an array, each element of which is a task; empty: the body is one task
}

const (
	// MostMembers bounds Config.Members.
	MostMembers = 32
	// mostText bounds a text of a Config, in bytes.
	mostText = 256
)

// Validate gives every problem at once, joined; each begins with its key below that of the section, as in "event_type: ...".
func (c *Config) Validate() error {
	var all []error
	add := func(key, format string, args ...any) { all = append(all, fmt.Errorf(key+": "+format, args...)) }
	for _, text := range []struct{ key, value, example string }{
		{"event_type", c.EventType, "CONTAINER_CREATED"}, {"service", c.Service, "Container"},
	} {
		switch {
		case text.value == "":
			add(text.key, "must not be empty: receivers of callbacks decide by it what has happened; write for example %s", text.example)
		case len(text.value) > mostText:
			add(text.key, "must have at most %d bytes", mostText)
		}
	}
	if len(c.Members) > MostMembers {
		add("members", "are %d: at most %d are possible", len(c.Members), MostMembers)
	}
	for name, value := range c.Members {
		switch {
		case name == "" || len(name) > mostText || len(value) > mostText:
			add("members", "must have names and values of at most %d bytes, and no empty name", mostText)
		case isOwn(name):
			add("members", "has a name that callbacks have already: %s", strings.Join(ownMembers(), ", "))
		}
	}
	if c.Signature != "" && !c.Signature.Valid() {
		add("signature", "must be one of: %s, %s", signer.OS1HMAC, signer.OS1Concat)
	}
	if c.Batch == callbackMember || len(c.Batch) > mostText {
		add("batch", "must be the name of a member of at most %d bytes, and not %s", mostText, callbackMember)
	}
	return errors.Join(all...)
}

// ownMembers are those of every callback.
func ownMembers() []string {
	return []string{"tenantId", "eventType", "service", "status", "reason", "data", "meta", "success", "errors"}
}

func isOwn(name string) bool { return slices.Contains(ownMembers(), name) }
