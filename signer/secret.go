package signer

import (
	"fmt"
	"io"
)

// Secret is a text that dumps, logs and errors never show. Convert it to a string to use it.
type Secret string

// mask stands for a secret that is set. It tells nothing, not even the length.
const mask = "***"

// String is a mask, or empty when the secret is.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// Format writes the mask whatever the verb: without it fmt shows the text itself for a verb that does not fit, as in %d.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText gives the mask, so that YAML and JSON dumps show no secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
