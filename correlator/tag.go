package correlator

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"sync"
)

// TagLen is the length of a tag, in bytes.
const TagLen = aes.BlockSize

// tagger makes the tags of what nodes store and send to each other: AES-CMAC over a statement's head and the GHASH of its body, each
// under a key of its own. GHASH is the fast part of AES-GCM; its result is secret and is never used by itself.
// docs/decisions/redis-is-not-trusted.md says why it is this.
type tagger struct {
	mac   *cmac
	hash  cipher.AEAD
	nonce []byte // always zero: what Seal returns for a body is used as the input of mac alone
}

// newTagger wants two keys of 32 bytes.
func newTagger(macKey, hashKey []byte) (*tagger, error) {
	mac, err := newCMAC(macKey)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(hashKey)
	if err != nil {
		return nil, err
	}
	hash, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &tagger{mac: mac, hash: hash, nonce: make([]byte, hash.NonceSize())}, nil
}

// tagInputs are what a tag is made of. What goes through the interface of a cipher does not stay on the stack.
var tagInputs = sync.Pool{New: func() any { return new([maxHead + aes.BlockSize]byte) }}

// maxHead is the length of the longest head, in bytes.
const maxHead = 64

func (t *tagger) tag(head, body []byte) [TagLen]byte {
	input := tagInputs.Get().(*[maxHead + aes.BlockSize]byte)
	n := copy(input[:maxHead], head)
	t.hash.Seal(input[n:n], t.nonce, nil, body)
	tag := t.mac.sum(input[:n+aes.BlockSize])
	tagInputs.Put(input)
	return tag
}

// Tag authenticates a statement that one node makes to the others, with the first key. The head says what kind it is and what it is about; it
// has at most 64 bytes, and heads of different lengths must differ in their first byte. The same statement always has the same tag.
func (k *Keys) Tag(head, body []byte) [TagLen]byte {
	return (*k.current.Load())[0].node.tag(head, body)
}

// Tagged reports whether a tag was made for this head and body with one of the keys.
func (k *Keys) Tagged(tag, head, body []byte) bool {
	keys := *k.current.Load()
	for i := range keys {
		if want := keys[i].node.tag(head, body); hmac.Equal(tag, want[:]) {
			return true
		}
	}
	return false
}
