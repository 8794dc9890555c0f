package correlator

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"sync"
)

// cmac is AES-CMAC (RFC 4493, NIST SP 800-38B) under one key. It never changes, so it is safe for concurrent use.
// docs/decisions/token-mac.md says why it is this and not an HMAC.
type cmac struct {
	block cipher.Block
	whole [aes.BlockSize]byte // K1 of the RFC: goes into a last block that is full,
	short [aes.BlockSize]byte // K2: and into one that is padded
}

// newCMAC wants a key of 16, 24 or 32 bytes.
func newCMAC(key []byte) (*cmac, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	c := &cmac{block: block}
	block.Encrypt(c.whole[:], c.whole[:]) // of zeros
	double(&c.whole)
	c.short = c.whole
	double(&c.short)
	return c, nil
}

// double multiplies b by x in GF(2^128), the polynomials of section 2.3 of the RFC: the same time whatever b is.
func double(b *[aes.BlockSize]byte) {
	var carry byte
	for i := len(b) - 1; i >= 0; i-- {
		b[i], carry = b[i]<<1|carry, b[i]>>7
	}
	const reduction = 0x87
	b[len(b)-1] ^= reduction * carry
}

// chains are blocks to encrypt in: what goes through the interface of a cipher does not stay on the stack.
var chains = sync.Pool{New: func() any { return new([aes.BlockSize]byte) }}

// sum gives the MAC of data. It does not allocate.
func (c *cmac) sum(data []byte) [aes.BlockSize]byte {
	chain := chains.Get().(*[aes.BlockSize]byte)
	x := chain[:]
	clear(x)
	for len(data) > len(x) {
		subtle.XORBytes(x, x, data[:len(x)])
		c.block.Encrypt(x, x)
		data = data[len(x):]
	}
	last := &c.whole
	if len(data) < len(x) {
		x[len(data)] ^= 0x80 // the padding: a one, and zeros
		last = &c.short
	}
	subtle.XORBytes(x, x, data)
	subtle.XORBytes(x, x, last[:])
	c.block.Encrypt(x, x)
	mac := *chain
	chains.Put(chain)
	return mac
}
