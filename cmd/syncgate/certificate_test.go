package main_test

import (
	"crypto/tls"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"syncgate/internal/tlstest"
)

// presents reports whether a listener has the certificate with a number.
func presents(addr string, serial int64) bool {
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the number is what is asked for
	if err != nil {
		return false
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Cmp(big.NewInt(serial)) == 0
}

// TestCertificateIsReadAgain when its files have changed, by SIGHUP and without it, and the metrics say how both went.
func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	end := time.Now().Add(100 * 24 * time.Hour).Truncate(time.Second)
	tlstest.New(t, 1, end).Write(t, dir)
	at := free(t, 1)[0]
	started := time.Now().Truncate(time.Second)
	g := serve(t, at, "SYNCGATE_LISTEN_TLS_CERT_FILE="+filepath.Join(dir, "cert.pem"), "SYNCGATE_LISTEN_TLS_KEY_FILE="+filepath.Join(dir, "key.pem"))
	if !presents(at, 1) {
		t.Fatal("the first certificate is not presented")
	}
	const successful, when = "syncgate_config_last_reload_successful", "syncgate_config_last_reload_success_timestamp_seconds"
	first := g.metric(when)
	if g.metric(successful) != 1 || first < float64(started.Unix()) {
		t.Errorf("after the start: successful %g at %g", g.metric(successful), first)
	}

	tlstest.New(t, 2, end.Add(time.Hour)).Write(t, dir)
	g.signal(syscall.SIGHUP)
	g.logged(`"message":"configuration reloaded"`)
	if !presents(at, 2) {
		t.Error("a reload has not read the certificate again")
	}
	if got := g.metric("syncgate_tls_certificate_expiry_timestamp_seconds"); got != float64(end.Add(time.Hour).Unix()) {
		t.Errorf("expires at %g", got)
	}
	second := g.metric(when)
	if g.metric(successful) != 1 || second <= first {
		t.Errorf("after a reload: successful %g at %g, before at %g", g.metric(successful), second, first)
	}

	tlstest.New(t, 3, end).Write(t, dir)
	eventually(t, "the certificate is read again without a signal", func() bool { return presents(at, 3) })

	if err := os.WriteFile(filepath.Join(dir, "key.pem"), []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.signal(syscall.SIGHUP)
	g.logged(`"level":"error","key":"listen.tls.cert_file".*"message":"reload: nothing has changed"`)
	if !presents(at, 3) || g.metric(successful) != 0 || g.metric(when) != second {
		t.Errorf("after a reload with a problem: successful %g at %g, before at %g", g.metric(successful), g.metric(when), second)
	}
	g.stop()
}

// TestCheckWarnsOfACertificate that ends soon, or has ended.
func TestCheckWarnsOfACertificate(t *testing.T) {
	dir := t.TempDir()
	check := func() string {
		t.Helper()
		said, status := output(t, exec.Command("syncgate", "check"), "SYNCGATE_LISTEN_TLS_CERT_FILE="+filepath.Join(dir, "cert.pem"),
			"SYNCGATE_LISTEN_TLS_KEY_FILE="+filepath.Join(dir, "key.pem"))
		if status != 0 {
			t.Errorf("status %d\n%s", status, said)
		}
		return said
	}
	for left, want := range map[time.Duration]string{
		13 * 24 * time.Hour: "warning: listen.tls.cert_file: expires at ",
		-time.Hour:          "warning: listen.tls.cert_file: has expired at ",
	} {
		tlstest.New(t, 1, time.Now().Add(left)).Write(t, dir)
		if said := check(); !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	tlstest.New(t, 1, time.Now().Add(15*24*time.Hour)).Write(t, dir)
	if said := check(); strings.Contains(said, "warning: listen.tls") {
		t.Errorf("a warning in\n%s", said)
	}
}
