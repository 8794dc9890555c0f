package correlator_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"syncgate/correlator"
)

// TestCMAC has the vectors of RFC 4493, section 4, for a key of 128 bits, and those of NIST SP 800-38B, appendix D.3, for one
// of 256, which is what tokens use.
func TestCMAC(t *testing.T) {
	message := unhex(t, `6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
		30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710`)
	f := func(key string, length int, want string) {
		t.Helper()
		mac, err := correlator.CMAC(unhex(t, key), message[:length])
		if got := hex.EncodeToString(mac); err != nil || got != want {
			t.Errorf("%d bytes: %s, %v; want %s", length, got, err, want)
		}
	}
	const key128 = "2b7e151628aed2a6abf7158809cf4f3c"
	f(key128, 0, "bb1d6929e95937287fa37d129b756746")
	f(key128, 16, "070a16b46b4d4144f79bdd9dd04a287c")
	f(key128, 40, "dfa66747de9ae63030ca32611497c827")
	f(key128, 64, "51f0bebf7e3b9d92fc49741779363cfe")
	const key256 = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
	f(key256, 0, "028962f61b7bf89efc6b551f4667d983")
	f(key256, 16, "28a7023f452e8f82bd4bf28d8c37c35c")
	f(key256, 40, "aaf3d8f1de5640c232f5b169b9c911e6")
	f(key256, 64, "e1992190549f6ed5696a2c056c315410")
}

// TestCMACOfKeysThatDoNotDo: no key is cut or filled up.
func TestCMACOfKeysThatDoNotDo(t *testing.T) {
	for _, length := range []int{0, 15, 17, 33} {
		if _, err := correlator.CMAC(make([]byte, length), nil); err == nil {
			t.Errorf("a key of %d bytes is taken", length)
		}
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTokenVectors has a token and a task id that were made with openssl's HMAC and CMAC: nodes of different versions read
// each other's, so they stay as they are.
func TestTokenVectors(t *testing.T) {
	keys := newKeys(t, keyA)
	var id correlator.ID
	for i := range id {
		id[i] = byte(i)
	}
	const signed = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8BAgg3IyduAPkAPfE-DsisJB0"
	if got := string(keys.AppendToken(nil, correlator.Token{Trip: id, Op: 0x0102})); got != signed {
		t.Errorf("token %s, want %s", got, signed)
	}
	const task = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8Wc8Ij_0YfWOcwqZ2bOm6O"
	if got := string(keys.AppendTaskID(nil, id)); got != task {
		t.Errorf("task id %s, want %s", got, task)
	}
}
