package webhook

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/valyala/fasthttp"
)

// ErrUnverified says that a request is not the sender's. What wraps it says why, for the log, and shows no secret and nothing of the body. The sender
// hears the same whatever the reason is.
var ErrUnverified = errors.New("webhook: not verified")

// unverified is ErrUnverified with the reason.
type unverified string

func (u unverified) Error() string        { return ErrUnverified.Error() + ": " + string(u) }
func (u unverified) Is(target error) bool { return target == ErrUnverified }

// Verifier verifies requests by one Verify. It may be used concurrently.
type Verifier struct {
	check     checker
	challenge string
}

// Challenge is the WWW-Authenticate of an answer to a request that is not verified; empty: senders sign, and are not asked to. Some send a password
// only after they have heard it (RFC 7617, 2).
func (v *Verifier) Challenge() string { return v.challenge }

// checker is one kind of verification. It gives the reason why a request is not the sender's; empty: it is.
type checker func(req *fasthttp.Request, remote netip.Addr, now time.Time) (problem string)

// NewVerifier makes a Verifier of v, which must be valid.
func NewVerifier(v Verify) (*Verifier, error) {
	if err := v.Validate("verify"); err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	switch v = v.resolved(); v.Kind {
	case kindHMAC:
		k, err := newKeyed(v)
		if err != nil {
			return nil, fmt.Errorf("webhook: %w", err)
		}
		return &Verifier{check: k.check}, nil
	case kindBasic:
		return &Verifier{check: basic(v), challenge: `Basic realm="callback", charset="UTF-8"`}, nil
	case kindNetworks:
		return &Verifier{check: networks(v.Networks)}, nil
	default:
		return &Verifier{check: func(*fasthttp.Request, netip.Addr, time.Time) string { return "" }}, nil
	}
}

// Check gives nil when the request is the sender's, else an error that is ErrUnverified. remote is the address of the client, behind trusted proxies the
// one that they name; only networks look at it. A wrong signature costs the same whatever is wrong with it. A body that is compressed is the caller's to
// refuse: what is signed and what is read are the bytes that came.
func (v *Verifier) Check(req *fasthttp.Request, remote netip.Addr, now time.Time) error {
	if problem := v.check(req, remote, now); problem != "" {
		return unverified(problem)
	}
	return nil
}

// networks wants an address in one of the networks.
func networks(list []string) checker {
	all := make([]netip.Prefix, len(list))
	for i, text := range list {
		all[i] = netip.MustParsePrefix(text) // Validate has parsed it
	}
	return func(_ *fasthttp.Request, remote netip.Addr, _ time.Time) string {
		remote = remote.Unmap().WithZone("")
		for _, n := range all {
			if n.Contains(remote) {
				return ""
			}
		}
		return fmt.Sprintf("the address %v is in none of the networks", remote)
	}
}

// same compares two texts by their digests, so that time says nothing of where they differ, or of their lengths.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// basic wants a user with its password (RFC 7617).
func basic(v Verify) checker {
	want := v.User + ":" + string(v.Password)
	return func(req *fasthttp.Request, _ netip.Addr, _ time.Time) string {
		value, problem := header(req, fasthttp.HeaderAuthorization)
		scheme, text, _ := strings.Cut(value, " ")
		got, err := base64.StdEncoding.DecodeString(strings.Trim(text, " "))
		right := same(string(got), want)
		switch {
		case problem != "":
			return problem
		case !strings.EqualFold(scheme, "Basic") || err != nil:
			return "the header Authorization is not of the scheme Basic"
		case !right:
			return "user or password is wrong"
		}
		return ""
	}
}

// header gives the value of a header that stands once and is not empty.
func header(req *fasthttp.Request, name string) (value, problem string) {
	switch lines := req.Header.PeekAll(name); {
	case len(lines) > 1:
		return "", "the header " + name + " stands more than once"
	case len(lines) == 0 || len(lines[0]) == 0:
		return "", "the header " + name + " is missing"
	default:
		return string(lines[0]), ""
	}
}
