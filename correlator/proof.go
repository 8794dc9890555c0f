package correlator

import "crypto/hmac"

// ProofLen is the length of every proof, in bytes.
const ProofLen = macLen

// AppendProof appends a MAC over message. It shows who has a key that its maker has the first of the keys. A proof is worth nothing as a token, a task
// id or a tag.
func (k *Keys) AppendProof(dst, message []byte) []byte {
	mac := (*k.current.Load())[0].proof.sum(message)
	return append(dst, mac[:]...)
}

// Proves reports whether proof was made over message with one of the keys. It takes the same time for every wrong proof.
func (k *Keys) Proves(message, proof []byte) bool {
	keys := *k.current.Load()
	for i := range keys {
		if mac := keys[i].proof.sum(message); hmac.Equal(proof, mac[:]) {
			return true
		}
	}
	return false
}
