package webhook_test

import (
	"strings"
	"testing"
	"time"

	"syncgate/internal/webhook"
	"syncgate/signer"
)

// wantProblems wants that a Verify has these problems, by the beginning of each, and no other.
func wantProblems(t *testing.T, v webhook.Verify, want ...string) {
	t.Helper()
	err := v.Validate("waiters[0].verify")
	var got []string
	if err != nil {
		got = strings.Split(err.Error(), "\n")
	}
	if len(got) != len(want) {
		t.Errorf("got %d problems, want %d:\n%v", len(got), len(want), err)
		return
	}
	for i := range want {
		if !strings.HasPrefix(got[i], "waiters[0].verify."+want[i]) {
			t.Errorf("got %s\nwant waiters[0].verify.%s", got[i], want[i])
		}
	}
	if _, err := webhook.NewVerifier(v); (err == nil) != (len(want) == 0) {
		t.Errorf("NewVerifier: %v", err)
	}
}

func TestValidate(t *testing.T) {
	f := func(v webhook.Verify, want ...string) { t.Helper(); wantProblems(t, v, want...) }
	f(webhook.Verify{})
	f(webhook.Verify{Kind: "none"})
	f(webhook.Verify{Kind: "hmac", Secret: "s", Header: "X-Sign"})
	f(webhook.Verify{Preset: "github", Kind: "hmac", Secret: "s"})
	f(webhook.Verify{Kind: "x"}, "kind: must be one of: none, hmac, standard-webhooks, basic, networks")
	f(webhook.Verify{Preset: "x", Secret: "s"}, "preset: must be one of: github, liqpay, mandrill, meta, slack, standard-webhooks, stripe, twilio")
	f(webhook.Verify{Preset: "github", Kind: "basic"}, "kind: the preset has its own")
	f(webhook.Verify{Secret: "s"}, "kind: must be hmac or standard-webhooks where a secret")
	f(webhook.Verify{Kind: "networks", Networks: []string{"10.0.0.0/8"}, Header: "X"}, "kind: must be hmac")
	f(webhook.Verify{Preset: "github", Secret: "s", Password: "p"}, "kind: must be basic where")
	f(webhook.Verify{Preset: "github", Secret: "s", Networks: []string{"10.0.0.0/8"}}, "kind: must be networks where")
	f(webhook.Verify{Kind: "basic"}, "user: must be set", "password: must be set")
	f(webhook.Verify{Kind: "basic", User: "a:b", Password: "x"}, "user: must be set, and have no colon")
	f(webhook.Verify{Kind: "networks"}, "networks: must be 1 to 100")
	f(webhook.Verify{Kind: "networks", Networks: []string{"10.0.0.1/8", "x", "10.0.0.0/8", "::ffff:10.0.0.0/104", "10.0.0.1"}}, "networks[0]: must be", "networks[1]: must be", "networks[3]: must be", "networks[4]: must be")
	f(webhook.Verify{Preset: "twilio", Secret: "s"}, "url: must be set: the sender signs the address")
	f(webhook.Verify{Preset: "mandrill"}, "secret: must be set, or secret_file", "url: must be set")
	for _, url := range []signer.Secret{"/hook", "ftp://example.com/", "https://", "https://example.com/#a", "https://example.com/a b", "example.com"} {
		f(webhook.Verify{Preset: "twilio", Secret: "s", URL: url}, "url: must be an absolute URL")
	}
}

func TestValidateHMAC(t *testing.T) {
	f := func(v webhook.Verify, want ...string) { t.Helper(); wantProblems(t, v, want...) }
	f(webhook.Verify{Preset: "github", Secret: "s", URL: "https://example.com/"}, "url: is not in signed")
	f(webhook.Verify{Preset: "standard-webhooks", Secret: "text"}, "secret: must begin with whsec_")
	f(webhook.Verify{Preset: "github", Secret: "s", Secrets: []signer.Secret{"t", "s", ""}}, "secrets[1]: is a secret that is listed already", "secrets[2]: must not be empty")
	f(webhook.Verify{Preset: "github", Secret: "zz", SecretFormat: "hex"}, "secret: must be hexadecimal")
	f(webhook.Verify{Preset: "github", Secret: "?", SecretFormat: "base64"}, "secret: must be base64")
	f(webhook.Verify{Preset: "github", Secret: "s", Secrets: make([]signer.Secret, 10)}, "secrets: are more than 9", "secrets[0]: must not be empty",
		"secrets[1]: is", "secrets[1]: must", "secrets[2]: is", "secrets[2]: must", "secrets[3]: is", "secrets[3]: must", "secrets[4]: is", "secrets[4]: must", "secrets[5]: is", "secrets[5]: must",
		"secrets[6]: is", "secrets[6]: must", "secrets[7]: is", "secrets[7]: must", "secrets[8]: is", "secrets[8]: must", "secrets[9]: is", "secrets[9]: must")
	f(webhook.Verify{Kind: "hmac", Secret: "s", Algorithm: "md5", Encoding: "x", SecretFormat: "y", Tolerance: -time.Second},
		"secret_format: must be one of: text, hex, base64, whsec", "header: either header or field", "algorithm: must be one of: sha1, sha256, sha3-256, sha512", "encoding: must be one of: hex, base64", "tolerance: must be")
	f(webhook.Verify{Preset: "stripe", Secret: "s", Tolerance: 25 * time.Hour}, "tolerance: must be longer than 0 and at most 24h")
	f(webhook.Verify{Kind: "hmac", Secret: "s", Header: "X", Field: "y"}, "header: either header or field")
	f(webhook.Verify{Kind: "hmac", Secret: "s", Header: "x y", TimestampHeader: ":", Signed: "{timestamp}{body}"}, "header: is not the name", "timestamp_header: is not the name")
	for _, signed := range []string{"{", "{body", "body}", "{x}", "{}", "{body:x}", "{field}", "{field:}", "{header}", "{header:a b}", "{{body}}", "{body}}", "{Body}", strings.Repeat("{body}", 33)} {
		f(webhook.Verify{Preset: "github", Secret: "s", Signed: signed}, "signed: ")
	}
	f(webhook.Verify{Preset: "github", Secret: "s", Signed: "{timestamp}.{body}"}, "signed: has {timestamp}")
	f(webhook.Verify{Preset: "stripe", Secret: "s", Signed: "{body}"}, "signed: must have {timestamp}")
	f(webhook.Verify{Preset: "stripe", Secret: "s", Signed: "{timestamp}"}, "signed: must have {body}, {form} or {field:NAME}")
	f(webhook.Verify{Kind: "hmac", Secret: "s", Header: "X", Signed: "{timestamp}{body}", TimestampHeader: "T", TimestampPrefix: "t=", Separator: ","}, "timestamp_header: either")
	f(webhook.Verify{Kind: "hmac", Secret: "s", Header: "X", Signed: "{timestamp}{body}", TimestampPrefix: "t="}, "timestamp_prefix: needs header")
	f(webhook.Verify{Preset: "github", Secret: "s", BodyDigest: "sum"}, "body_digest: needs {url} and {form}")
}

// No problem shows a secret that stands in a wrong place.
func TestValidateShowsNothing(t *testing.T) {
	const marker = "XZQWJKVY"
	for _, v := range []webhook.Verify{
		{Kind: marker},
		{Preset: marker},
		{Kind: "hmac", Secret: marker, SecretFormat: "hex", Header: marker + " ", Algorithm: marker, Encoding: marker, Signed: "{" + marker + "}", URL: marker},
		{Preset: "standard-webhooks", Secret: marker, Secrets: []signer.Secret{marker}},
		{Kind: "basic", User: marker + ":"},
		{Kind: "networks", Networks: []string{marker}},
		{Preset: "twilio", Secret: marker, URL: marker},
	} {
		if err := v.Validate("verify"); err == nil || strings.Contains(err.Error(), marker) {
			t.Errorf("%v", err)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	f := func(c webhook.Config, want string) {
		t.Helper()
		err := c.Validate("waiters[0]")
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), "waiters[0]."+want)) {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
	liqpay := webhook.Verify{Preset: "liqpay", Secret: "s"}
	f(webhook.Config{}, "")
	f(webhook.Config{Verify: liqpay}, "")
	f(webhook.Config{Verify: liqpay, Body: "base64-json:data"}, "")
	f(webhook.Config{Verify: liqpay, Body: "base64-json:other"}, "body: would read what is not signed")
	f(webhook.Config{Verify: liqpay, Body: "form"}, "body: would read what is not signed")
	f(webhook.Config{Verify: webhook.Verify{Preset: "github", Secret: "s"}, Body: "form"}, "")
	f(webhook.Config{Body: "base64-json:"}, "body: must be auto, json, form, xml, or base64-json:FIELD")
	f(webhook.Config{Body: "yaml"}, "body: must be")
	f(webhook.Config{Events: "a..b"}, "events: at byte 2")
	f(webhook.Config{Verify: webhook.Verify{Kind: "x"}}, "verify.kind: must be one of")
	f(webhook.Config{Verify: webhook.Verify{Preset: "meta", Secret: "s", VerifyToken: "t"}}, "")
	f(webhook.Config{Verify: webhook.Verify{Preset: "github", Secret: "s", VerifyToken: "t"}}, "verify.verify_token: is not read while challenge is off")
}
