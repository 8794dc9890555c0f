package signer_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"syncgate/signer"
)

const (
	oldKey = "0123456789abcdef0123456789abcdef"
	newKey = "fedcba9876543210fedcba9876543210"
)

func sealer(t *testing.T, keys ...string) *signer.Sealer {
	t.Helper()
	s, err := signer.NewSealer(keys)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestOpensWhatAnotherLibrarySealed has a vector that Python's cryptography (HKDF, AESGCM) made of oldKey, the salt 00..0f and the nonce 64..6f.
func TestOpensWhatAnotherLibrarySealed(t *testing.T) {
	sealed, err := hex.DecodeString("01000102030405060708090a0b0c0d0e0f6465666768696a6b6c6d6e6f7796cb0296cecc044a77cc6d8e24eb2d323b9725e86da99e586f06d0c460c4f45691b1b25" +
		"5343e7bcee5a62dc4c50b42db01889e329d")
	if err != nil {
		t.Fatal(err)
	}
	got, err := sealer(t, oldKey).Open(nil, sealed, []byte("subscription 7"))
	if err != nil || string(got) != "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestSeals(t *testing.T) {
	s, use := sealer(t, oldKey), []byte("subscription 7")
	for _, secret := range []string{"", "s", strings.Repeat("long ", 10_000)} {
		one, two := s.Seal([]byte("before"), []byte(secret), use), s.Seal(nil, []byte(secret), use)
		one = bytes.TrimPrefix(one, []byte("before"))
		if len(one) != len(secret)+signer.SealedBy {
			t.Errorf("%d bytes are %d when they are sealed", len(secret), len(one))
		}
		if bytes.Equal(one[1:29], two[1:29]) || len(secret) > 8 && bytes.Contains(one, []byte(secret)) { // a short one is in random bytes, too
			t.Error("the salt and nonce repeat, or the secret can be read")
		}
		for _, sealed := range [][]byte{one, two} {
			if got, err := s.Open([]byte("before"), sealed, use); err != nil || string(got) != "before"+secret {
				t.Errorf("opened: %d bytes, %v", len(got), err)
			}
		}
	}
}

func TestSealedForOneUse(t *testing.T) {
	s := sealer(t, oldKey)
	sealed := s.Seal(nil, []byte("secret"), []byte("subscription 7"))
	if _, err := s.Open(nil, sealed, []byte("subscription 8")); !errors.Is(err, signer.ErrSealed) {
		t.Errorf("for another use: %v", err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := s.Open(nil, changed, []byte("subscription 7")); !errors.Is(err, signer.ErrSealed) {
			t.Errorf("with another byte %d: %v", i, err)
		}
		if _, err := s.Open(nil, sealed[:i], []byte("subscription 7")); !errors.Is(err, signer.ErrSealed) {
			t.Errorf("%d bytes of it: %v", i, err)
		}
	}
}

func TestSealingKeysRotate(t *testing.T) {
	use := []byte("use")
	s := sealer(t, oldKey)
	old := s.Seal(nil, []byte("secret"), use)
	if err := s.Set([]string{newKey, oldKey}); err != nil {
		t.Fatal(err)
	}
	fresh := s.Seal(nil, []byte("secret"), use)
	for _, sealed := range [][]byte{old, fresh} {
		if got, err := s.Open(nil, sealed, use); err != nil || string(got) != "secret" {
			t.Errorf("while rotating: %q, %v", got, err)
		}
	}
	if _, err := sealer(t, oldKey).Open(nil, fresh, use); !errors.Is(err, signer.ErrSealed) {
		t.Errorf("the second key seals: %v", err)
	}
	if err := s.Set([]string{newKey}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(nil, old, use); !errors.Is(err, signer.ErrSealed) {
		t.Errorf("a key that is gone opens: %v", err)
	}
	for _, keys := range [][]string{nil, {oldKey, "short"}} {
		if err := s.Set(keys); err == nil || strings.Contains(err.Error(), "short") {
			t.Errorf("%d keys: %v", len(keys), err)
		}
	}
	if _, err := s.Open(nil, fresh, use); err != nil {
		t.Errorf("after keys that were refused: %v", err)
	}
}
