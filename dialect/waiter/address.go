package waiter

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
	"time"
)

// callbackPath is where those call who know a name and no token: callbackPath + node + "/" + hash [the vendor's own path].
const callbackPath = "/api/1/json/callback/"

// Digits of a URL's parts, hexadecimal.
const (
	nodeDigits = 24
	hashDigits = 40
)

// retiredTime is how long a hash that was removed is known.
const retiredTime = 7 * 24 * time.Hour

// Digest is what the URL of a waiter is remembered by.
type Digest [sha256.Size]byte

// Hashes remembers which URLs there were, for all nodes and beyond their end.
type Hashes interface {
	// Remember says which URLs are in use now. It gives those that are not any more, and until when they are known: those that go now for d.
	Remember(ctx context.Context, used []Digest, d time.Duration) (removed map[Digest]time.Time, err error)
}

// address is what a URL leads to.
type address struct {
	node, hash []byte
	waiter     *waiter   // nil: the hash was removed
	until      time.Time // a removed one is known so long; zero: for ever
}

// nodeOf gives the node of a waiter's URL.
func (c *Config) nodeOf() string {
	if c.Node != "" {
		return strings.ToLower(c.Node)
	}
	sum := sha256.Sum256([]byte(c.Name))
	return hex.EncodeToString(sum[:nodeDigits/2])
}

// URL gives the URL of a waiter below a base URL, with its first hash; empty: it has none.
func (c *Config) URL(base string) string {
	if len(c.Hashes) == 0 {
		return ""
	}
	return strings.TrimRight(base, "/") + callbackPath + c.nodeOf() + "/" + strings.ToLower(string(c.Hashes[0]))
}

// MaskedURL gives the URL with what nobody may know left out.
func (c *Config) MaskedURL(base string) string {
	if len(c.Hashes) == 0 {
		return ""
	}
	return strings.TrimRight(base, "/") + callbackPath + c.nodeOf() + "/***"
}

// digestOf is what the URL with a node and a hash is looked up by. So how long a look takes says nothing of hashes that there are.
func digestOf(node, hash []byte) Digest {
	return sha256.Sum256(append(append(bytes.Clone(node), '/'), hash...))
}

// addAddresses adds the URLs of a waiter.
func (s *set) addAddresses(w *waiter) {
	node := []byte(w.nodeOf())
	for _, h := range w.RetiredHashes {
		hash := bytes.ToLower([]byte(h))
		if d := digestOf(node, hash); s.addresses[d] == nil { // one that is used by another waiter is used
			s.addresses[d] = &address{node: node, hash: hash}
		}
	}
	for _, h := range w.Hashes {
		hash := bytes.ToLower([]byte(h))
		s.addresses[digestOf(node, hash)] = &address{node: node, hash: hash, waiter: w}
	}
}

// used gives the URLs that lead to a waiter.
func (s *set) used() (all []Digest) {
	for d, a := range s.addresses {
		if a.waiter != nil {
			all = append(all, d)
		}
	}
	return all
}

// retire adds the URLs that were removed since before.
func (s *set) retire(before *set, now time.Time) {
	for d, a := range before.addresses {
		until := a.until
		if a.waiter != nil {
			until = now.Add(retiredTime)
		}
		if _, there := s.addresses[d]; !there && now.Before(until) {
			s.addresses[d] = &address{node: a.node, hash: a.hash, until: until}
		}
	}
}

// find gives what the URL with a node and a hash leads to; nil: nothing. It takes as long for any two of the same length.
func (s *set) find(node, hash []byte, now time.Time) *address {
	d := digestOf(node, hash)
	if until, there := s.removed[d]; there && s.addresses[d] == nil && now.Before(until) {
		return &address{until: until}
	}
	a := s.addresses[d]
	if a == nil || !a.until.IsZero() && !now.Before(a.until) {
		return nil
	}
	if subtle.ConstantTimeCompare(a.node, node)&subtle.ConstantTimeCompare(a.hash, hash) != 1 {
		return nil
	}
	return a
}

// splitAddress gives the parts of a path that may be a waiter's URL.
func splitAddress(path []byte) (node, hash []byte, ok bool) {
	rest, ok := bytes.CutPrefix(path, []byte(callbackPath))
	if !ok {
		return nil, nil, false
	}
	node, hash, ok = bytes.Cut(rest, []byte{'/'})
	return node, hash, ok && bytes.IndexByte(hash, '/') < 0
}

// isHex reports whether a text has so many hexadecimal digits.
func isHex(text string, digits int) bool {
	if len(text) != digits {
		return false
	}
	_, err := hex.DecodeString(text)
	return err == nil
}
