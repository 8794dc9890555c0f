package gateway_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"syncgate/gateway"
	"syncgate/internal/tlstest"
)

const brokenCertificate = "the TLS certificate cannot be read again"

// tlsNode is a node whose files can be replaced.
type tlsNode struct {
	*node
	dir string
}

func startTLS(t *testing.T, dir string) *tlsNode {
	t.Helper()
	n := start(t, newEngine(t).URL, func(c *gateway.Config) {
		c.Listen.TLS = gateway.TLS{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
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

// writeKey replaces the key.
func (n *tlsNode) writeKey(text string) {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.dir, "key.pem"), []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
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

// TestBrokenCertificateKeepsTheOldOne: each change to files that are no pair is one line, and the old certificate stays.
func TestBrokenCertificateKeepsTheOldOne(t *testing.T) {
	dir := t.TempDir()
	first := certificateInto(t, dir, time.Now().Add(100*24*time.Hour))
	n := startTLS(t, dir)
	key, err := os.ReadFile(filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	second := certificateInto(t, dir, time.Now().Add(101*24*time.Hour))
	newKey, err := os.ReadFile(filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for i, spoil := range []func(){
		func() { n.writeKey(string(key)) }, // of the first
		func() { n.writeKey("") },
		func() { n.writeKey("hunter2") },
		func() { _ = os.Remove(filepath.Join(dir, "key.pem")) },
	} {
		spoil()
		for range 3 {
			n.RenewCertificate()
		}
		n.logs(brokenCertificate, i+1)
		n.presents(first)
	}
	n.logs("hunter2", 0)
	n.writeKey(string(newKey))
	n.RenewCertificate()
	n.presents(second)
	n.logs(brokenCertificate, 4)
}

// TestCertificateOfASwappedLink: Kubernetes replaces the directory behind a link, and the files keep their names and times.
func TestCertificateOfASwappedLink(t *testing.T) {
	root := t.TempDir()
	pool := make(map[string]*x509.CertPool)
	for i, name := range []string{"1", "2"} {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		pool[name] = certificateInto(t, dir, time.Now().Add(time.Duration(100+i)*24*time.Hour))
		for _, file := range []string{"cert.pem", "key.pem"} {
			if err := os.Chtimes(filepath.Join(dir, file), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
		}
	}
	data := filepath.Join(root, "..data")
	link := func(name string) {
		if err := os.Symlink(name, data+"_tmp"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(data+"_tmp", data); err != nil {
			t.Fatal(err)
		}
	}
	link("1")
	n := startTLS(t, data)
	n.presents(pool["1"])
	link("2")
	n.RenewCertificate()
	n.presents(pool["2"])
}

// TestCertificateThatEndsSoonIsWarnedOf once, and again when another one is as old.
func TestCertificateThatEndsSoonIsWarnedOf(t *testing.T) {
	dir := t.TempDir()
	certificateInto(t, dir, time.Now().Add(gateway.ExpirySoon-time.Hour))
	n := startTLS(t, dir)
	n.RenewCertificate()
	n.logs("the TLS certificate expires soon: renew it", 1)
	certificateInto(t, dir, time.Now().Add(-time.Hour))
	n.RenewCertificate()
	n.RenewCertificate()
	n.logs("the TLS certificate has expired", 1)
	n.logs("expires soon", 1)
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
