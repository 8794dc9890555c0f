// Package edge finds out what proxies do to connections that wait for a gateway.
//
// A Way leads to a gateway, through whatever stands behind a URL. Each probe of package probe has a connection of its own, in HTTP/1.1, and is written
// to the socket by hand, so that it can be closed, or closed for writing, at any moment. Requests are POSTs: proxies may send another method again.
//
// # Goroutines
//
//	send      one for each probe with a body. It writes the body, and ends when exchange closes the connection, which exchange does in any case
//	Measure   one for each probe, at most probe.MaxHeld + 1. Each ends with its probe, and Measure waits for all of them
//
// A connection belongs to exchange, which closes it. When the time of the probe is over, or ctx ends, a function of ctx closes it too.
package edge

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"

	"syncgate/internal/probe"
)

const (
	// dialTimeout bounds a connection with its handshake.
	dialTimeout = 10 * time.Second
	// answerTime is how long an answer may take beyond what was asked for.
	answerTime = 10 * time.Second
	// mostPage is how much is read of an answer that is not the gateway's, in bytes.
	mostPage = 8 << 10
	// mostAnswer is how much is read of an answer with its head, in bytes. A stream of probe.MaxWait has a few KiB.
	mostAnswer = 1 << 20
)

// Way leads to a gateway.
type Way struct {
	URL  *url.URL // http or https; a path is put in front of that of the probe
	Path string   // probe.ClientPath or probe.CallbackPath
	Keys probe.Keys

	Dial     string         // host:port to connect to in the place of the URL's; empty: the URL's
	Roots    *x509.CertPool // who signs certificates; nil: whom the system trusts
	Insecure bool           // take any certificate: the proof alone shows who answers
}

// Ask is a probe with what goes with it.
type Ask struct {
	probe.Request
	Rest   string      // behind the token: "", or more of a path with a query
	Header [][2]string // further fields
	Body   int64       // its length in bytes
}

// New makes a request of doctor that is good for as long as the probe takes.
func New(do probe.Do, wait time.Duration) Ask {
	return Ask{Request: probe.Request{Do: do, Wait: wait, Until: time.Now().Add(wait + probe.MaxLife/2), ID: probe.NewID()}}
}

// Heard is what came back.
type Heard struct {
	Answer probe.Answer // where Proven
	Proven bool         // a gateway with one of the keys has answered this very probe
	Status int          // 0: there was no answer in HTTP
	Header http.Header
	Page   string // the beginning of an answer that is not proven
	Err    error  // why there is no answer in HTTP
	TLS    *tls.ConnectionState
	Peer   net.Addr      // the other end of the connection; nil: there is none
	Took   time.Duration // from the request to the head of the answer, or to the end of the connection
	At     time.Time     // when the request was written
	Events []time.Duration
	Whole  bool // a stream came to its own end
}

// Proxy says which proxy has answered.
func (h *Heard) Proxy() Proxy { return Recognise(h.Header, h.Page) }

// Refused reports whether a gateway has answered that it does not hold the probe: it ends, or holds as many as it may.
func (h *Heard) Refused() bool {
	return !h.Proven && h.Header.Get("X-Request-Id") != "" && (h.Status == http.StatusTooManyRequests || h.Status == http.StatusServiceUnavailable)
}

// Location gives where a redirect leads to, without its query; empty: the answer is none.
func (h *Heard) Location() string {
	if h.Status/100 != 3 {
		return ""
	}
	u, err := url.Parse(h.Header.Get("Location"))
	if err != nil {
		return ""
	}
	u.RawQuery, u.Fragment, u.User = "", "", nil
	return u.String()
}

// line is a connection to what stands behind the URL.
type line struct {
	net.Conn
	tls *tls.ConnectionState
}

// open connects.
func (w *Way) open(ctx context.Context) (line, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	port := w.URL.Port()
	if port == "" {
		port = map[bool]string{true: "443", false: "80"}[w.URL.Scheme == "https"]
	}
	address := net.JoinHostPort(w.URL.Hostname(), port)
	if w.Dial != "" {
		address = w.Dial
	}
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return line{}, fmt.Errorf("connect: %w", err)
	}
	if w.URL.Scheme != "https" {
		return line{Conn: raw}, nil
	}
	cfg := &tls.Config{ServerName: w.URL.Hostname(), MinVersion: tls.VersionTLS12, RootCAs: w.Roots, NextProtos: []string{"http/1.1"}}
	cfg.InsecureSkipVerify = w.Insecure // of a listener of this machine, whose name no certificate has: the proof of the answer is looked at
	secure := tls.Client(raw, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = raw.Close() // the handshake's error is the one to report
		return line{}, fmt.Errorf("make a TLS connection: %w", err)
	}
	state := secure.ConnectionState()
	return line{secure, &state}, nil
}

// request gives the head of a probe.
func (w *Way) request(a *Ask, token string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "POST %s%s%s%s HTTP/1.1\r\nHost: %s\r\n", strings.TrimRight(w.URL.EscapedPath(), "/"), w.Path, token, a.Rest, w.URL.Host)
	b.WriteString("User-Agent: syncgate-doctor\r\nContent-Type: application/json\r\nContent-Length: " + strconv.FormatInt(a.Body, 10) + "\r\n")
	for _, field := range a.Header {
		b.WriteString(field[0] + ": " + field[1] + "\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}

// Send sends a probe and waits for the answer, until ctx ends.
func (w *Way) Send(ctx context.Context, a Ask) Heard { return w.exchange(ctx, a, nil) }

// exchange is Send; onSent is called with the connection when the request is on its way.
func (w *Way) exchange(ctx context.Context, a Ask, onSent func(c net.Conn)) (h Heard) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout+a.Wait+answerTime)
	defer cancel()
	c, err := w.open(ctx)
	if err != nil {
		return Heard{Err: err}
	}
	defer func() { _ = c.Close() }() // what was to be read has been read
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	token := a.Token(w.Keys)
	h.TLS, h.Peer, h.At = c.tls, c.RemoteAddr(), time.Now()
	if _, err := io.WriteString(c, w.request(&a, token)); err != nil {
		h.Err = fmt.Errorf("send the request: %w", err)
		return h
	}
	if a.Body > 0 {
		go send(c, a.Body)
	}
	if onSent != nil {
		onSent(c)
	}
	in := bufio.NewReader(io.LimitReader(c, mostAnswer))
	answer, err := readHead(in)
	if h.Took = time.Since(h.At); err != nil {
		if h.Err = fmt.Errorf("read the answer: %w", err); ctx.Err() != nil {
			h.Err = ctx.Err()
		}
		return h
	}
	defer func() { _ = answer.Body.Close() }() // the connection is closed
	h.Status, h.Header = answer.StatusCode, answer.Header
	if a.Do == probe.Stream || a.Do == probe.Beat {
		h.readEvents(answer.Body)
	} else {
		h.readAnswer(answer.Body, token, w.Keys)
	}
	return h
}

// readHead reads the head of the answer. Heads that say that there is more to come are skipped.
func readHead(in *bufio.Reader) (*http.Response, error) {
	for {
		answer, err := http.ReadResponse(in, &http.Request{Method: http.MethodPost})
		if err != nil || answer.StatusCode >= http.StatusOK {
			return answer, err
		}
	}
}

// send writes a body of blanks, until the connection is closed.
func send(w io.Writer, n int64) {
	block := []byte(strings.Repeat(" ", 32<<10))
	for n > 0 {
		wrote, err := w.Write(block[:min(n, int64(len(block)))])
		if n -= int64(wrote); err != nil {
			return
		}
	}
}

func (h *Heard) readAnswer(body io.Reader, token string, k probe.Keys) {
	text, err := io.ReadAll(body)
	if err == nil {
		if h.Answer, err = probe.Decode(text, token, k); err == nil {
			h.Proven = h.Status == http.StatusOK
			return
		}
	} else {
		h.Err = fmt.Errorf("read the answer: %w", err)
	}
	h.Page = string(text[:min(len(text), mostPage)]) // what there is shows which proxy has answered
}

// readEvents notes when each event came.
func (h *Heard) readEvents(body io.Reader) {
	lines := textproto.NewReader(bufio.NewReader(body))
	for {
		text, err := lines.ReadLine()
		if err != nil {
			if h.Took = time.Since(h.At); !errors.Is(err, io.EOF) {
				h.Err = fmt.Errorf("read the stream: %w", err)
			}
			return
		}
		if text == "data: end" {
			h.Whole = true
		} else if strings.HasPrefix(text, "data: ") {
			h.Events = append(h.Events, time.Since(h.At))
		} else if len(h.Page) < mostPage {
			h.Page += text[:min(len(text), mostPage)] + "\n"
		}
	}
}
