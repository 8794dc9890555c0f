package signer

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
)

// WebhookPrefix begins a secret of Standard Webhooks that is written in base64.
const WebhookPrefix = "whsec_"

const (
	leastWebhookKey = 16 // bytes; the specification wants 24, and some senders have less
	mostWebhookKey  = 64
)

// ParseWebhookSecret gives the key of a Standard Webhooks secret: whsec_ and base64, of 16 to 64 bytes. Its error shows nothing of the secret.
// (Standard Webhooks, spec/standard-webhooks.md, "Signature scheme".)
func ParseWebhookSecret(secret string) ([]byte, error) {
	text, ok := strings.CutPrefix(secret, WebhookPrefix)
	if !ok {
		return nil, errors.New("must begin with " + WebhookPrefix + " and go on in base64")
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		key, err = base64.RawStdEncoding.DecodeString(text)
	}
	switch {
	case err != nil:
		return nil, errors.New("is not base64 behind " + WebhookPrefix)
	case len(key) < leastWebhookKey || len(key) > mostWebhookKey:
		return nil, errors.New("must be 16 to 64 bytes, in base64 behind " + WebhookPrefix)
	}
	return key, nil
}

// AppendWebhookSignature appends the value of webhook-signature: "v1," and base64 of HMAC-SHA256 over id.stamp.body. stamp is the
// webhook-timestamp as it is sent, Unix seconds.
func AppendWebhookSignature(dst, id, stamp, body, key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(id)
	mac.Write([]byte{'.'})
	mac.Write(stamp)
	mac.Write([]byte{'.'})
	mac.Write(body)
	return base64.StdEncoding.AppendEncode(append(dst, "v1,"...), mac.Sum(nil))
}

// AppendWebhookSignatures appends the value of webhook-signature for a receiver with several live secrets: one signature for each key, in
// their order, with a space between two. A receiver takes the request when one of them is right, so a secret can be rotated while both are
// sent. Without a key it appends nothing.
func AppendWebhookSignatures(dst, id, stamp, body []byte, keys [][]byte) []byte {
	for i, key := range keys {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = AppendWebhookSignature(dst, id, stamp, body, key)
	}
	return dst
}

// NewWebhookSecret makes a random secret of 32 bytes, as ParseWebhookSecret reads it.
func NewWebhookSecret() Secret {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails: the runtime stops the process instead
	return Secret(WebhookPrefix + base64.StdEncoding.EncodeToString(key[:]))
}
