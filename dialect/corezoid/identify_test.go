package corezoid_test

import (
	"strings"
	"testing"
)

func TestFingerprint(t *testing.T) {
	d := dialect(t)
	of := func(body string) [32]byte {
		t.Helper()
		return mustAccept(t, d, body, "Idempotency-Key: k").Fingerprint
	}
	if mustAccept(t, d, simple).Fingerprint != [32]byte{} {
		t.Error("a request without a key has a fingerprint")
	}
	if mustAccept(t, d, simple, "idempotency-KEY: k").Fingerprint != of(simple) {
		t.Error("the name of the header is compared with its case")
	}
	ops := simple[1 : len(simple)-1]
	plain := of(simple)
	f := func(body string, same bool) {
		t.Helper()
		if got := of(body) == plain; got != same {
			t.Errorf("%s: same as without a timeout: %v; want %v", body, got, same)
		}
	}
	f(`{`+ops+`}`, true)
	f(`{"timeout":5,`+ops+`}`, true)
	f(`{"timeout":7,`+ops+`}`, true)
	f(`{"timeout":null,`+ops+`}`, true)
	f(`{`+ops+`,"t\u0069meout":"5"}`, true)
	f(`{"x":1,`+ops+`}`, false)
	f(strings.Replace(simple, "1", "2", 1), false)
	f(strings.Replace(simple, `"conv_id"`, `"data":{"timeout":1},"conv_id"`, 1), false)
	f(strings.Replace(simple, `"conv_id"`, `"data":{"__callback_url":"x"},"conv_id"`, 1), false)
}

func TestIdentify(t *testing.T) {
	d := dialect(t)
	f := func(credentials string, status int, text string) {
		t.Helper()
		who, err := d.Identify([]byte(credentials), now)
		if text != "" {
			wantFault(t, err, status, text)
		} else if err != nil || who != login {
			t.Errorf("%s: %q, %v", credentials, who, err)
		}
	}
	signed := func(stamp, body string) string {
		return strings.TrimPrefix(path(login, stamp, secret, body), "/api/2/json/")
	}
	f(signed("1700000000", ""), 0, "")
	f(signed("1700000000", "{}"), 401, "Incorrect signature or login")
	f(signed("1", ""), 401, "Request time is outside the allowed window")
	f(login, 401, "Incorrect signature or login")
	f("", 401, "Incorrect signature or login")
	f(signed("1700000000", "")+"/x", 401, "Incorrect signature or login")
}
