package webhook_test

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"syncgate/internal/webhook"
	"syncgate/signer"
)

const (
	typeForm = "Content-Type: application/x-www-form-urlencoded"
	typeJSON = "Content-Type: application/json"
)

// request is one as it is read from the wire.
func request(t testing.TB, method, uri, body string, header ...string) *fasthttp.Request {
	t.Helper()
	raw := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: gw.example.com\r\nContent-Length: %d\r\n", method, uri, len(body))
	for _, h := range header {
		raw += h + "\r\n"
	}
	req := new(fasthttp.Request)
	if err := req.Header.Read(bufio.NewReader(strings.NewReader(raw + "\r\n"))); err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	req.SetBodyString(body)
	return req
}

func verifier(t testing.TB, v webhook.Verify) *webhook.Verifier {
	t.Helper()
	made, err := webhook.NewVerifier(v)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// sent is a callback of a sender with its signature.
type sent struct {
	at     time.Time
	uri    string // empty: /hook
	header []string
	body   string
}

func (s sent) request(t testing.TB) *fasthttp.Request {
	t.Helper()
	uri := s.uri
	if uri == "" {
		uri = "/hook"
	}
	return request(t, "POST", uri, s.body, s.header...)
}

func (s sent) check(t testing.TB, v webhook.Verify) error {
	t.Helper()
	return verifier(t, v).Check(s.request(t), netip.Addr{}, s.at)
}

// replaced has another text in the place of a part of the header and the body, which must be there.
func (s sent) replaced(t testing.TB, old, text string) sent {
	t.Helper()
	whole := strings.Join(s.header, "\n") + "\n\n" + s.body
	if !strings.Contains(whole, old) {
		t.Fatalf("%q is not in %q", old, whole)
	}
	header, body, _ := strings.Cut(strings.ReplaceAll(whole, old, text), "\n\n")
	s.header, s.body = strings.Split(header, "\n"), body
	return s
}

// without has no header of a name.
func (s sent) without(name string) sent {
	var kept []string
	for _, h := range s.header {
		if !strings.HasPrefix(strings.ToLower(h), strings.ToLower(name)+":") {
			kept = append(kept, h)
		}
	}
	s.header = kept
	return s
}

func wantVerified(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// wantUnverified wants that the reason is in the error, and nothing that nobody may see.
func wantUnverified(t testing.TB, what string, err error, why string, secrets ...signer.Secret) {
	t.Helper()
	if !errors.Is(err, webhook.ErrUnverified) || !strings.HasPrefix(err.Error(), "webhook: not verified: ") || !strings.Contains(err.Error(), why) {
		t.Errorf("%s: got %v, want: %s", what, err, why)
		return
	}
	for _, s := range secrets {
		if s != "" && strings.Contains(err.Error(), string(s)) {
			t.Errorf("%s: %v shows a secret", what, err)
		}
	}
}
