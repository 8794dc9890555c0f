package signer

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // only its size
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Keyring knows who signs with what. It never changes, so it is safe for concurrent use; to change credentials make another.
type Keyring struct {
	users map[string]*user
	decoy *user // whom an unknown login is verified against, so that it costs what a known one costs
}

type user struct {
	login        string
	secrets      [][]byte // as many as the user with the most has, so that verifying costs as many hashes for all
	engineLogin  string
	engineSecret []byte
}

// NewKeyring makes a Keyring of credentials; its error lists every problem with its key.
func NewKeyring(credentials []Credential) (*Keyring, error) {
	if err := errors.Join(validate(credentials)...); err != nil {
		return nil, err
	}
	k := &Keyring{users: make(map[string]*user, len(credentials)), decoy: newDecoy(credentials)}
	most := 1
	for _, c := range credentials {
		u := newUser(c)
		k.users[u.login] = u
		most = max(most, len(u.secrets))
	}
	k.decoy.pad(most)
	for _, u := range k.users {
		u.pad(most)
	}
	return k, nil
}

func newUser(c Credential) *user {
	u := &user{login: c.Login, engineLogin: c.EngineLogin, engineSecret: []byte(string(c.EngineSecret))}
	if c.Secret != "" {
		u.secrets = append(u.secrets, []byte(string(c.Secret)))
	}
	for _, s := range c.Secrets {
		u.secrets = append(u.secrets, []byte(string(s)))
	}
	if u.engineLogin == "" {
		u.engineLogin = u.login
	}
	if len(u.engineSecret) == 0 {
		u.engineSecret = u.secrets[0]
	}
	return u
}

// newDecoy has a secret that nobody knows, as long as a real one, since longer ones take longer to hash.
func newDecoy(credentials []Credential) *user {
	size := 40 // what the vendor issues
	if len(credentials) > 0 {
		size = len(newUser(credentials[0]).secrets[0])
	}
	return &user{secrets: [][]byte{[]byte(strings.Repeat(rand.Text(), 1+size/26)[:size])}}
}

// pad repeats the first secret: it changes nothing but the time that a verification takes.
func (u *user) pad(n int) {
	for len(u.secrets) < n {
		u.secrets = append(u.secrets, u.secrets[0])
	}
}

// Verify reports whether signature is login's over stamp (as in the path, byte for byte) and body, and gives the login as a
// string that outlives the request. Hex case does not matter. It does not allocate, and an unknown login, a wrong signature and
// a malformed one cost the same.
func (k *Keyring) Verify(login, stamp, signature, body []byte) (who string, ok bool) {
	u := k.users[string(login)]
	if u == nil {
		u = k.decoy
	}
	var said [sha1.Size]byte
	formed := 0
	if len(signature) == SignatureLen {
		if _, err := hex.Decode(said[:], signature); err == nil {
			formed = 1
		}
	}
	matched := 0
	for _, secret := range u.secrets { // all of them, also after a match
		sum := digest(stamp, secret, body)
		matched |= subtle.ConstantTimeCompare(sum[:], said[:])
	}
	return u.login, matched&formed == 1 && u != k.decoy
}

// Engine says what requests of login are signed with when they go on to the engine. ok is false when the login is unknown.
// The secret must not be changed.
func (k *Keyring) Engine(login string) (engineLogin string, secret []byte, ok bool) {
	u := k.users[login]
	if u == nil {
		return "", nil, false
	}
	return u.engineLogin, u.engineSecret, true
}

// Logins gives those that are known, sorted.
func (k *Keyring) Logins() []string { return slices.Sorted(maps.Keys(k.users)) }

// Format writes how many logins there are, whatever the verb: fmt would print the secrets inside.
func (k *Keyring) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, fmt.Sprintf("keyring of %d logins", len(k.users)))
}
