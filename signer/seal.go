package signer

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
)

// ErrSealed says that a sealed secret cannot be opened: it was changed, it was sealed for something else, or its key is not live any more.
var ErrSealed = errors.New("the sealed secret cannot be opened: it was changed or moved, or its key is gone")

const (
	// MinSealKey is the least length of a configured key, in bytes.
	MinSealKey = 32
	// SealedBy is how many bytes a sealed secret has more than the secret.
	SealedBy = 1 + saltLen + nonceLen + gcmTag

	sealVersion = 1
	saltLen     = 16
	nonceLen    = 12
	gcmTag      = 16
	sealPurpose = "syncgate secrets of clients, AES-256-GCM"
)

// Sealer encrypts what clients register, so that a store holds it and does not show it: AES-256-GCM with a random nonce. HKDF-SHA256 derives
// the key from a configured one, for this purpose alone, with 16 random bytes for each secret: so no number of secrets wears a key out.
// The first key seals, all open. Safe for concurrent use.
//
// A sealed secret is a byte 1, the 16 bytes of salt, the 12 of the nonce, the ciphertext, and the tag of 16 bytes.
type Sealer struct {
	keys atomic.Pointer[[]string]
}

// NewSealer makes a Sealer of at least one key of at least MinSealKey bytes.
func NewSealer(keys []string) (*Sealer, error) {
	s := new(Sealer)
	return s, s.Set(keys)
}

// Set replaces the keys, all or none. What a key has sealed that is no longer among them cannot be opened: so a key stays behind the first one
// for as long as anything that it sealed is stored.
func (s *Sealer) Set(keys []string) error {
	if len(keys) == 0 {
		return errors.New("at least one key is needed")
	}
	for i, key := range keys {
		if len(key) < MinSealKey {
			return fmt.Errorf("key %d has %d characters; at least %d are needed", i+1, len(key), MinSealKey)
		}
	}
	live := append([]string(nil), keys...)
	s.keys.Store(&live)
	return nil
}

// Seal appends a secret, sealed for one use. use says what the secret is for and whose it is, and does not become part of what is
// appended: only the same use opens it.
func (s *Sealer) Seal(dst, secret, use []byte) []byte {
	at := len(dst)
	dst = append(dst, sealVersion)
	dst = append(dst, make([]byte, saltLen+nonceLen)...)
	random := dst[at+1:]
	_, _ = rand.Read(random) // never fails: the runtime stops the process instead
	aead, err := sealing((*s.keys.Load())[0], random[:saltLen])
	if err != nil { // neither the length of the key nor AES can be wrong
		panic(err)
	}
	return aead.Seal(dst, random[saltLen:], secret, use)
}

// Open appends the secret that was sealed for a use. ErrSealed is its only error.
func (s *Sealer) Open(dst, sealed, use []byte) ([]byte, error) {
	if len(sealed) < SealedBy || sealed[0] != sealVersion {
		return dst, ErrSealed
	}
	salt, nonce, text := sealed[1:1+saltLen], sealed[1+saltLen:1+saltLen+nonceLen], sealed[1+saltLen+nonceLen:]
	for _, key := range *s.keys.Load() {
		aead, err := sealing(key, salt)
		if err != nil {
			continue
		}
		if secret, err := aead.Open(dst, nonce, text, use); err == nil {
			return secret, nil
		}
	}
	return dst, ErrSealed
}

func sealing(configured string, salt []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(configured), salt, sealPurpose, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
