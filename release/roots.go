package main

import (
	"bytes"
	"encoding/pem"
	"errors"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// authorities gives the certificate authorities that Mozilla trusts, as the file /etc/ssl/certs/ca-certificates.crt. They come from a module, so that they
// are the same on every machine. Authorities that Mozilla trusts in part, such as for certificates before a date, are left out: a file of certificates
// cannot say so.
func authorities() ([]byte, error) {
	var b bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	if b.Len() == 0 {
		return nil, errors.New("the module has no certificate authority")
	}
	return b.Bytes(), nil
}
