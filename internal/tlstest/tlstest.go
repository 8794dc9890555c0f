// Package tlstest makes certificates for the tests of listeners and of connections to engines.
package tlstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// ServerName is a name that every certificate is for. The address 127.0.0.1 is the other one.
const ServerName = "test"

// Certificate is a certificate with its key. It signs itself.
type Certificate struct {
	der  []byte
	leaf *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes a certificate that is good until end. serial is its number, which shows which certificate a server has.
func New(t testing.TB, serial int64, end time.Time) *Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: end,
		DNSNames: []string{ServerName}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &Certificate{der, leaf, key}
}

// Roots verify the certificate.
func (c *Certificate) Roots() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(c.leaf)
	return roots
}

// Configs gives the configurations of a server that has the certificate, and of a client that trusts it.
func (c *Certificate) Configs() (server, client *tls.Config) {
	own := tls.Certificate{Certificate: [][]byte{c.der}, PrivateKey: c.key}
	return &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12},
		&tls.Config{RootCAs: c.Roots(), ServerName: ServerName, MinVersion: tls.VersionTLS12}
}

// Write writes the certificate to cert.pem and its key to key.pem of a directory. It gives the names of the two files.
func (c *Certificate) Write(t testing.TB, dir string) (certFile, keyFile string) {
	t.Helper()
	secret, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: c.der}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}
