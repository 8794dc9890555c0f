package gateway

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// ExpirySoon is how long before its end a certificate is warned of.
const ExpirySoon = 14 * 24 * time.Hour

// expiryAgain is the time between two warnings of the same certificate.
const expiryAgain = 24 * time.Hour

var errNotPair = errors.New("listen.tls.cert_file: is not a certificate in PEM with the key in listen.tls.key_file")

// certificate is that of the listeners for clients and engines. Its files may be replaced while it is used: renew reads them again.
type certificate struct {
	files   TLS
	log     zerolog.Logger
	current atomic.Pointer[tls.Certificate] // what handshakes get; with its Leaf

	mu     sync.Mutex        // guards the rest; held while files are read
	seen   [sha256.Size]byte // what the files contained when they were read last, or why they could not be
	warned time.Time         // when the end of the current one was last logged
}

// newCertificate reads the files.
func newCertificate(files TLS, log zerolog.Logger) (*certificate, error) {
	c := &certificate{files: files, log: log}
	pair, seen, err := files.read()
	if err != nil {
		return nil, err
	}
	c.seen = seen
	c.current.Store(&pair)
	c.warn(time.Now())
	return c, nil
}

// config is for listeners.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
		MinVersion:     tls.VersionTLS12,
	}
}

// renew reads the files, and uses what they contain if that has changed and is a pair. Else the old one stays, and one line of the log
// says so until the files change again.
func (c *certificate) renew(now time.Time) {
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
func (c *certificate) warn(now time.Time) {
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
func (c *certificate) expiry() time.Time { return c.current.Load().Leaf.NotAfter }

func (c *certificate) metric() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "syncgate_tls_certificate_expiry_timestamp_seconds", Help: "When the certificate of listen.tls expires, as Unix time.",
	}, func() float64 { return float64(c.expiry().Unix()) })
}

// RenewCertificate reads the files of listen.tls again, if there are any, and uses what has changed. It may be called at any time after
// Listen.
func (g *Gateway) RenewCertificate() {
	if g.certificate != nil {
		g.certificate.renew(time.Now())
	}
}

// Expiry reads the certificate and says when it ends. Without one the time is zero.
func (t TLS) Expiry() (time.Time, error) {
	if t.CertFile == "" {
		return time.Time{}, nil
	}
	pair, _, err := t.read()
	if err != nil {
		return time.Time{}, err
	}
	return pair.Leaf.NotAfter, nil
}

// read reads the certificate and its key. seen is different when the contents of the files are, or the error. The errors of crypto/tls
// and x509 may quote the files, so they are worded here.
func (t TLS) read() (pair tls.Certificate, seen [sha256.Size]byte, err error) {
	chain, err := os.ReadFile(t.CertFile)
	if err != nil {
		err = unreadFile("listen.tls.cert_file", err)
		return pair, sha256.Sum256([]byte(err.Error())), err
	}
	key, err := os.ReadFile(t.KeyFile)
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
