package gateway_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"syncgate/gateway"
	"syncgate/internal/tlsfiles"
	"syncgate/internal/tlstest"
)

// tlsNode is a node whose files can be replaced.
type tlsNode struct {
	*node
	dir string
}

func startTLS(t *testing.T, dir string) *tlsNode {
	t.Helper()
	n := start(t, newEngine(t).URL, func(c *gateway.Config) {
		c.Listen.TLS = tlsfiles.Files{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
		c.Listen.Callback = "127.0.0.1:0"
	})
	return &tlsNode{n, dir}
}

// presents wants a handshake with both listeners that those trust who trust roots.
func (n *tlsNode) presents(roots *x509.CertPool) {
	n.t.Helper()
	for _, addr := range []string{n.PublicAddr().String(), n.CallbackAddr().String()} {
		c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
		if err != nil {
			n.t.Fatalf("%s: %v", addr, err)
		}
		_ = c.Close()
	}
}

// logs wants so many lines with a text by now.
func (n *tlsNode) logs(text string, times int) {
	n.t.Helper()
	if got := strings.Count(n.log.String(), text); got != times {
		n.t.Errorf("%d lines with %q; want %d:\n%s", got, text, times, n.log.String())
	}
}

// TestCertificateIsRenewed: what the files contain is used from the next look on, by both listeners, without a connection being lost.
func TestCertificateIsRenewed(t *testing.T) {
	dir := t.TempDir()
	first := certificateInto(t, dir, time.Now().Add(100*24*time.Hour))
	n := startTLS(t, dir)
	n.presents(first)
	open, err := tls.Dial("tcp", n.PublicAddr().String(), &tls.Config{RootCAs: first, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	end := time.Now().Add(200 * 24 * time.Hour)
	second := certificateInto(t, dir, end)
	n.presents(first)
	n.RenewCertificate()
	n.presents(second)
	n.RenewCertificate()
	n.logs("the TLS certificate was read again", 1)
	n.logs("expires soon", 0)
	_, _ = io.WriteString(open, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := open.Read(make([]byte, 1)); err != nil {
		t.Errorf("a connection that was open: %v", err)
	}
	wantMetricLine(t, n.node, fmt.Sprintf("syncgate_tls_certificate_expiry_timestamp_seconds %g", float64(end.Unix())))
}

// wantMetric wants a line among the metrics.
func wantMetricLine(t *testing.T, n *node, line string) {
	t.Helper()
	r, err := http.Get("http://" + n.AdminAddr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || !strings.Contains("\n"+string(text), "\n"+line+"\n") {
		t.Errorf("no line %s: %v\n%s", line, err, text)
	}
}

// certificateInto writes one that ends at some time to cert.pem and key.pem of a directory.
func certificateInto(t *testing.T, dir string, end time.Time) (roots *x509.CertPool) {
	t.Helper()
	c := tlstest.New(t, 1, end)
	c.Write(t, dir)
	return c.Roots()
}
