package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certFile and keyFile are a certificate for the loopback that signs itself, in the directory of a run.
const (
	certFile = "certificate.pem"
	keyFile  = "key.pem"
)

// certify writes the certificate of a run. It is good for a day.
func certify(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	now := time.Now()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("write a key: %w", err)
	}
	return errors.Join(
		writePEM(filepath.Join(dir, certFile), "CERTIFICATE", der),
		writePEM(filepath.Join(dir, keyFile), "PRIVATE KEY", secret),
	)
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// roots verify a program's certificate; nil: it has none.
func (p program) roots(dir string) (*x509.CertPool, error) {
	if !p.tls {
		return nil, nil // nil is the system's, for a program without TLS
	}
	return readRoots(filepath.Join(dir, certFile))
}

// readRoots reads the certificates that verify a server.
func readRoots(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the user of the bench names the file
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read certificates: none in %s", file)
	}
	return roots, nil
}
