// Package tlsfiles has the TLS certificate of listeners. Its files may be replaced while it is used.
package tlsfiles

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// ExpirySoon is how long before its end a certificate is warned of.
const ExpirySoon = 14 * 24 * time.Hour

// expiryAgain is the time between two warnings of the same certificate.
const expiryAgain = 24 * time.Hour

var errNotPair = errors.New("listen.tls.cert_file: is not a certificate in PEM with the key in listen.tls.key_file")

// Files names the certificate and its key, as listen.tls does; both empty: there is none.
type Files struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

// Certificate is that of the listeners for clients and engines. Renew reads its files again.
type Certificate struct {
	files   Files
	log     zerolog.Logger
	current atomic.Pointer[tls.Certificate] // what handshakes get; with its Leaf

	mu     sync.Mutex        // guards the rest; held while files are read
	seen   [sha256.Size]byte // what the files contained when they were read last, or why they could not be
	warned time.Time         // when the end of the current one was last logged
}

// Load reads the files. It logs when the end of the certificate is near.
func Load(files Files, log zerolog.Logger) (*Certificate, error) {
	c := &Certificate{files: files, log: log}
	pair, seen, err := files.read()
	if err != nil {
		return nil, err
	}
	c.seen = seen
	c.current.Store(&pair)
	c.warn(time.Now())
	return c, nil
}

// Config gives the configuration of a listener. Each handshake gets the current certificate.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
		MinVersion:     tls.VersionTLS12,
	}
}

// Renew reads the files, and uses what they contain if that has changed and is a pair. Else the old one stays, and one line of the log
// says so until the files change again. It may be called concurrently.
func (c *Certificate) Renew(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pair, seen, err := c.files.read()
	switch changed := seen != c.seen; {
	case changed && err != nil:
		c.log.Error().Err(err).Time("expires", c.expiry()).Msg("the TLS certificate cannot be read again: the one before stays in use")
	case changed:
		c.current.Store(&pair)
		c.warned = time.Time{}
		c.log.Info().Time("expires", c.expiry()).Msg("the TLS certificate was read again")
	}
	c.seen = seen
	c.warn(now)
}

// warn logs, once a day, that the end of the current certificate is near.
func (c *Certificate) warn(now time.Time) {
	left := c.expiry().Sub(now)
	if left > ExpirySoon || now.Sub(c.warned) < expiryAgain {
		return
	}
	c.warned = now
	if left <= 0 {
		c.log.Error().Time("expires", c.expiry()).Msg("the TLS certificate has expired: clients refuse it")
		return
	}
	c.log.Warn().Time("expires", c.expiry()).Msg("the TLS certificate expires soon: renew it")
}

// expiry is when the current certificate ends.
func (c *Certificate) expiry() time.Time { return c.current.Load().Leaf.NotAfter }

// Metric gives the gauge of when the current certificate expires.
func (c *Certificate) Metric() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "syncgate_tls_certificate_expiry_timestamp_seconds", Help: "When the certificate of listen.tls expires, as Unix time.",
	}, func() float64 { return float64(c.expiry().Unix()) })
}

// Expiry reads the certificate and says when it ends. Without one the time is zero.
func (f Files) Expiry() (time.Time, error) {
	if f.CertFile == "" {
		return time.Time{}, nil
	}
	pair, _, err := f.read()
	if err != nil {
		return time.Time{}, err
	}
	return pair.Leaf.NotAfter, nil
}

// read reads the certificate and its key. seen is different when the contents of the files are, or the error. The errors of crypto/tls
// and x509 may quote the files, so they are worded here.
func (f Files) read() (pair tls.Certificate, seen [sha256.Size]byte, err error) {
	chain, err := os.ReadFile(f.CertFile)
	if err != nil {
		err = unreadFile("listen.tls.cert_file", err)
		return pair, sha256.Sum256([]byte(err.Error())), err
	}
	key, err := os.ReadFile(f.KeyFile)
	if err != nil {
		err = unreadFile("listen.tls.key_file", err)
		return pair, sha256.Sum256([]byte(err.Error())), err
	}
	of := sha256.Sum256(chain)
	seen = sha256.Sum256(append(of[:], key...))
	if pair, err = tls.X509KeyPair(chain, key); err != nil || pair.Leaf == nil {
		err = errNotPair
	}
	return pair, seen, err
}

// Validate says what is wrong with the files. It reads them: a certificate that does not load is better found before a restart than by it.
func (f Files) Validate() error {
	switch {
	case f.CertFile == "" && f.KeyFile == "":
		return nil
	case f.CertFile == "":
		return errors.New("listen.tls.cert_file: must be set, as listen.tls.key_file is")
	case f.KeyFile == "":
		return errors.New("listen.tls.key_file: must be set, as listen.tls.cert_file is")
	}
	_, _, err := f.read()
	return err
}

// unreadFile is a file that cannot be read. Its name may be a secret in a wrong place.
func unreadFile(key string, err error) error {
	why := "cannot be read"
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		why += ": " + errno.Error()
	}
	return errors.New(key + ": " + why)
}
