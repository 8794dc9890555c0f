package signer

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// OS1Scheme is how a callback of OS1 is signed.
type OS1Scheme string

const (
	// OS1HMAC is HMAC-SHA256 of the body under the secret.
	OS1HMAC OS1Scheme = "hmac-sha256"
	// OS1Concat is SHA-256 of the body with the secret behind it, as some public receivers compute it.
	OS1Concat OS1Scheme = "concat-sha256"
)

// Valid reports whether s is one of the two schemes.
func (s OS1Scheme) Valid() bool { return s == OS1HMAC || s == OS1Concat }

// AppendOS1Signature appends the value of X-COREOS-HMAC-SIGNATURE: 64 lower-case hex digits. body is signed byte for byte, as it is sent.
// Any scheme but OS1Concat counts as OS1HMAC.
func AppendOS1Signature(dst []byte, scheme OS1Scheme, body, secret []byte) []byte {
	h := hmac.New(sha256.New, secret)
	if scheme == OS1Concat {
		h = sha256.New()
	}
	h.Write(body)
	if scheme == OS1Concat {
		h.Write(secret)
	}
	return hex.AppendEncode(dst, h.Sum(nil))
}
