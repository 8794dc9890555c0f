package signer_test

import (
	"testing"

	"syncgate/signer"
)

// TestOS1Vectors compares with what other programs computed: openssl dgst -sha256 -hmac, and sha256sum of body and secret.
func TestOS1Vectors(t *testing.T) {
	body, secret := []byte("{\"tenantId\":\"t\",\"data\":{\"id\":\"7\",\"note\":\"Олена\"}}\n"), []byte("s3cret of OS1")
	for scheme, want := range map[signer.OS1Scheme]string{
		signer.OS1HMAC:   "baea285e79388f8b331dd7ffbb8fbf90063b3c361738a0fccf2f337b2fa02ee7",
		signer.OS1Concat: "306ea2d59617d0625859e64daa6cafa423c50327a56712e90a8e71d315165163",
	} {
		if got := string(signer.AppendOS1Signature([]byte("x"), scheme, body, secret)); got != "x"+want {
			t.Errorf("%s: %s, want %s", scheme, got, want)
		}
		if !scheme.Valid() {
			t.Errorf("%s is not valid", scheme)
		}
	}
	if signer.OS1Scheme("sha1").Valid() || signer.OS1Scheme("").Valid() {
		t.Error("a scheme that there is not is valid")
	}
}
