package tlsfiles_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"syncgate/internal/tlsfiles"
	"syncgate/internal/tlstest"
)

const brokenCertificate = "the TLS certificate cannot be read again"

// server is a listener whose files can be replaced.
type server struct {
	*tlsfiles.Certificate
	t    *testing.T
	dir  string
	addr string
	log  bytes.Buffer
}

func serve(t *testing.T, dir string) *server {
	t.Helper()
	n := &server{t: t, dir: dir}
	files := tlsfiles.Files{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	if err := files.Validate(); err != nil {
		t.Fatal(err)
	}
	var err error
	if n.Certificate, err = tlsfiles.Load(files, zerolog.New(&n.log)); err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", n.Config())
	if err != nil {
		t.Fatal(err)
	}
	n.addr = l.Addr().String()
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	go func() {
		defer close(done)
		shakeHands(l)
	}()
	return n
}

// shakeHands makes a handshake on every connection.
func shakeHands(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_ = c.(*tls.Conn).Handshake() // the client says what is wrong
		_ = c.Close()
	}
}

// presents wants a handshake that those trust who trust roots.
func (n *server) presents(roots *x509.CertPool) {
	n.t.Helper()
	c, err := tls.Dial("tcp", n.addr, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err != nil {
		n.t.Fatal(err)
	}
	_ = c.Close()
}

// logs wants so many lines with a text by now.
func (n *server) logs(text string, times int) {
	n.t.Helper()
	if got := strings.Count(n.log.String(), text); got != times {
		n.t.Errorf("%d lines with %q; want %d:\n%s", got, text, times, n.log.String())
	}
}

// writeKey replaces the key.
func (n *server) writeKey(text string) {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.dir, "key.pem"), []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// TestBrokenCertificateKeepsTheOldOne: each change to files that are no pair is one line, and the old certificate stays.
func TestBrokenCertificateKeepsTheOldOne(t *testing.T) {
	dir := t.TempDir()
	first := certificateInto(t, dir, time.Now().Add(100*24*time.Hour))
	n := serve(t, dir)
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
			n.Renew(time.Now())
		}
		n.logs(brokenCertificate, i+1)
		n.presents(first)
	}
	n.logs("hunter2", 0)
	n.writeKey(string(newKey))
	n.Renew(time.Now())
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
	n := serve(t, data)
	n.presents(pool["1"])
	link("2")
	n.Renew(time.Now())
	n.presents(pool["2"])
}

// TestCertificateThatEndsSoonIsWarnedOf once, and again when another one is as old.
func TestCertificateThatEndsSoonIsWarnedOf(t *testing.T) {
	dir := t.TempDir()
	certificateInto(t, dir, time.Now().Add(tlsfiles.ExpirySoon-time.Hour))
	n := serve(t, dir)
	n.Renew(time.Now())
	n.logs("the TLS certificate expires soon: renew it", 1)
	certificateInto(t, dir, time.Now().Add(-time.Hour))
	n.Renew(time.Now())
	n.Renew(time.Now())
	n.logs("the TLS certificate has expired", 1)
	n.logs("expires soon", 1)
}

// certificateInto writes one that ends at some time to cert.pem and key.pem of a directory.
func certificateInto(t *testing.T, dir string, end time.Time) (roots *x509.CertPool) {
	t.Helper()
	c := tlstest.New(t, 1, end)
	c.Write(t, dir)
	return c.Roots()
}
