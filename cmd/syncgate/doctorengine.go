package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"syncgate/configs"
	"syncgate/dialect"
	"syncgate/internal/upstream"
	"syncgate/signer"
)

// engines looks at each engine. The default one is also asked something in its own words.
func (d *checkup) engines(context.Context) {
	if !d.wants("engine") && !d.only["clock"] {
		return
	}
	r := d.findings
	if !d.wants("engine") { // the clock alone is wanted
		r = newFindings(func(finding) {})
	}
	if d.c.UsesDefaultEngine() {
		if d.engine = r.engine(d.c, d.p.getenv); !d.engine.answered.IsZero() && len(d.c.Auth.Credentials) > 0 {
			d.askEngine(r)
		}
	}
	r.otherEngines(d.c, d.p.getenv)
}

// engineSays is the answer of an engine to a package without an op.
type engineSays struct {
	status int
	page   []byte
	tls    *tls.ConnectionState
	took   time.Duration
}

// askEngine sends a package without an op to the default engine, signed by the first login. Such a package makes no task.
func (d *checkup) askEngine(r *findings) {
	const key = "engine.url"
	said, err := d.engineSays()
	if err != nil {
		r.add(isWarning, key, "check that engine.url is the address of the API, and the proxies on the way", "does not answer a package without an op: %v", unanswered(err))
		return
	}
	if said.tls != nil {
		r.certificate(key, said.tls)
	}
	var a struct {
		Request *string `json:"request_proc"`
	}
	switch isPackage := json.Unmarshal(said.page, &a) == nil && a.Request != nil; {
	case said.status == http.StatusUnauthorized || said.status == http.StatusForbidden:
		r.add(isWarning, key, "compare engine_login and engine_secret, or secret, of auth.credentials[0] with those of the API user at the engine, and the clocks",
			"refuses a package that auth.credentials[0] has signed, with status %d", said.status)
	case isPackage:
		r.ok(key, "answers a package without an op as an engine does, after %v", rounded(said.took))
	case d.c.Engine.Ack == dialect.AckAny && said.status < http.StatusMultipleChoices:
		r.ok(key, "answers a package without an op with status %d, and engine.ack is any", said.status)
	default:
		r.add(isWarning, key, "see that engine.url is the address of the API and not of a page, and that no proxy answers in its place",
			"answers a package without an op with status %d, and not as an engine does", said.status)
	}
}

// engineSays exchanges the package with the engine, as the gateway would.
func (d *checkup) engineSays() (said engineSays, err error) {
	u, err := url.Parse(d.c.Engine.URL)
	if err != nil {
		return said, err
	}
	proxy, _, err := engineProxy(d.c, d.p.getenv)
	if err != nil {
		return said, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), onlineTimeout)
	defer cancel()
	conn, err := upstream.Dial(ctx, upstream.Config{URL: d.c.Engine.URL, Proxy: proxy})
	if err != nil {
		return said, err
	}
	defer func() { _ = conn.Close() }() // it was only asked
	if secure, ok := conn.(*tls.Conn); ok {
		state := secure.ConnectionState()
		said.tls = &state
	}
	began := time.Now()
	_ = conn.SetDeadline(began.Add(onlineTimeout)) // an error is the next write's
	if _, err := io.WriteString(conn, emptyPackage(d.c, u, began)); err != nil {
		return said, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, 1<<20)), &http.Request{Method: http.MethodPost})
	if err != nil {
		return said, err
	}
	defer func() { _ = answer.Body.Close() }() // what matters has been read
	said.status, said.took = answer.StatusCode, time.Since(began)
	said.page, err = io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	return said, err
}

// emptyPackage is a request without an op, signed by the first login.
func emptyPackage(c *configs.Config, u *url.URL, now time.Time) string {
	const body = `{"ops":[]}`
	path := fmt.Sprintf("%s/api/%d/json", strings.TrimRight(u.EscapedPath(), "/"), c.Engine.APIVersion)
	if keys, err := signer.NewKeyring(c.Signer().Credentials); err == nil {
		if login, secret, ok := keys.Engine(c.Auth.Credentials[0].Login); ok {
			stamp := signer.AppendTime(nil, now)
			path = fmt.Sprintf("%s/%s/%s/%s", path, login, stamp, signer.AppendSignature(nil, stamp, secret, []byte(body)))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: syncgate-doctor\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n",
		path, u.Host, len(body))
	for name, value := range c.Engine.Headers {
		b.WriteString(name + ": " + string(value) + "\r\n")
	}
	return b.String() + "\r\n" + body
}

// soon is how long before its end a certificate should have been renewed.
const soon = 14 * 24 * time.Hour

// certificate says until when a server's certificate is good.
func (r *findings) certificate(key string, state *tls.ConnectionState) {
	if len(state.PeerCertificates) == 0 {
		return
	}
	end := state.PeerCertificates[0].NotAfter
	version := tls.VersionName(state.Version)
	if left := time.Until(end); left < soon {
		r.add(isWarning, key, "renew it", "speaks %s, and its certificate ends at %s", version, end.UTC().Format(time.RFC3339))
		return
	}
	r.ok(key, "speaks %s, and its certificate is good until %s", version, end.UTC().Format(time.DateOnly))
}
