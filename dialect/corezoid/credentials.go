package corezoid

import (
	"bytes"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/dialect"
	"syncgate/signer"
)

// Credentials of a request may stand in headers: pages then use one URL, for which a browser asks once, and no signature is in the logs of
// balancers. The signature is over the same bytes.
const (
	loginHeader     = "X-Syncgate-Login"
	timeHeader      = "X-Syncgate-Time"
	signatureHeader = "X-Syncgate-Signature"
)

// callbackLogin is no login of version 1: such a path is the personal URL of a waiter, which has the same shape [documented: API callback logic].
const callbackLogin = "callback"

// credentials are what a request says of who sent it.
type credentials struct{ login, stamp, signature []byte }

// parsePath reads the path of a create request. inHeaders: the credentials are not in it.
func parsePath(path []byte) (c credentials, inHeaders, ok bool) {
	rest, ok := bytes.CutPrefix(path, []byte("/api/2/json"))
	if !ok {
		if rest, ok = bytes.CutPrefix(path, []byte("/api/1/json")); !ok {
			return c, false, false
		}
	}
	if len(rest) == 0 {
		return c, true, true
	}
	if rest[0] != '/' {
		return c, false, false
	}
	c, ok = parseCredentials(rest[1:])
	return c, false, ok && (path[len("/api/")] != '1' || string(c.login) != callbackLogin)
}

// parseCredentials reads {login}/{time}/{signature}.
func parseCredentials(path []byte) (c credentials, ok bool) {
	c.login, path, _ = bytes.Cut(path, []byte{'/'})
	c.stamp, c.signature, ok = bytes.Cut(path, []byte{'/'})
	return c, ok && bytes.IndexByte(c.signature, '/') < 0
}

// headerCredentials reads the credentials in headers. given: there is one of them at least. One that comes in several lines counts as none,
// as no two readers need agree which.
func headerCredentials(h *fasthttp.RequestHeader) (c credentials, given bool) {
	one := func(name string) []byte {
		lines := h.PeekAll(name)
		given = given || len(lines) > 0
		if len(lines) != 1 {
			return nil
		}
		return lines[0]
	}
	c.login, c.stamp, c.signature = one(loginHeader), one(timeHeader), one(signatureHeader)
	return c, given
}

// Verify gives the login that signed body at an acceptable time: for paths of others that end with {login}/{time}/{signature}. Its errors are
// *dialect.Fault.
func (d *Dialect) Verify(login, stamp, signature, body []byte, now time.Time) (name string, err error) {
	name, fault := d.access.Load().verify(credentials{login, stamp, signature}, body, now)
	if fault != nil {
		return "", fault
	}
	return name, nil
}

// identify verifies {login}/{time}/{signature} over an empty body, or the same in headers where there is no path. login is empty when the
// request has no credentials at all.
func (d *Dialect) identify(h *fasthttp.RequestHeader, path []byte, now time.Time) (login string, err error) {
	from, given := headerCredentials(h)
	if len(path) > 0 {
		from, _ = parseCredentials(path) // nobody's signature matches what is missing
	} else if !given {
		return "", nil
	}
	login, fault := d.access.Load().verify(from, nil, now)
	if fault != nil {
		return "", fault
	}
	return login, nil
}

// verify gives the login that signed body at an acceptable time.
func (a *Access) verify(from credentials, body []byte, now time.Time) (login string, fault *dialect.Fault) {
	login, ok := a.Keys.Verify(from.login, from.stamp, from.signature, body)
	if !ok {
		return "", &dialect.Fault{Status: fasthttp.StatusUnauthorized, Reason: dialect.BadSignature, Text: "Incorrect signature or login"}
	}
	if err := signer.CheckTime(from.stamp, now, a.Window); err != nil {
		return "", &dialect.Fault{
			Status: fasthttp.StatusUnauthorized, Reason: dialect.BadTime, Login: login, Text: "Request time is outside the allowed window", Err: err,
		}
	}
	return login, nil
}
