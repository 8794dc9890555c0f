package correlator_test

import (
	"testing"

	"syncgate/correlator"
)

// TestProof: a proof is good for its message, under the keys that are known, and is none of the other tags.
func TestProof(t *testing.T) {
	first, second := correlator.RandomKey(), correlator.RandomKey()
	k, message := newKeys(t, first), []byte("a message")
	proof := k.AppendProof([]byte("x"), message)[1:]
	if len(proof) != correlator.ProofLen || !k.Proves(message, proof) || !newKeys(t, second, first).Proves(message, proof) {
		t.Error("a good proof is refused")
	}
	if newKeys(t, second).Proves(message, proof) || k.Proves([]byte("A message"), proof) || k.Proves(message, proof[1:]) || k.Proves(message, nil) {
		t.Error("a wrong proof is taken")
	}
	if tag := k.Tag(message, nil); k.Proves(message, tag[:]) || k.Tagged(proof, message, nil) {
		t.Error("a proof and a tag of what nodes say to each other are the same")
	}
}
