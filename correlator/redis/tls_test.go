package redis_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"syncgate/correlator"
	"syncgate/correlator/correlatortest"
	"syncgate/internal/redistest"
)

// certificate writes one that nobody trusts, and its key.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	pair := s.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for name, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		keyFile:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestTLS(t *testing.T) {
	cert, key := certificate(t)
	port := strconv.Itoa(redistest.FreePort(t))
	redistest.Start(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no")
	url := "rediss://127.0.0.1:" + port

	trusting := config(url + "?skip_verify=true")
	home, other := start(t, trusting), start(t, trusting)
	trip := correlatortest.Once(correlator.Written)
	if err := other.Deliver(context.Background(), park(t, home, trip), correlatortest.Final(0, `"over TLS"`)); err != nil {
		t.Fatal(err)
	}
	select {
	case cb := <-trip.Heard:
		if string(cb.Body) != `"over TLS"` {
			t.Errorf("heard %s", cb.Body)
		}
	case <-time.After(5 * time.Second):
		t.Error("nothing is heard")
	}

	wary := launch(t, config(url))
	correlatortest.Eventually(t, "a certificate that nobody trusts is refused", func() bool {
		err := wary.Ready()
		return err != nil && strings.Contains(err.Error(), "certificate")
	})
}
