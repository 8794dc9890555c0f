package signer_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"syncgate/signer"
)

func keyring(t testing.TB, credentials ...signer.Credential) *signer.Keyring {
	t.Helper()
	keys, err := signer.NewKeyring(credentials)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func sign(secret, body string) []byte {
	return signer.AppendSignature(nil, []byte("1700000000"), []byte(secret), []byte(body))
}

func TestVerify(t *testing.T) {
	keys := keyring(t,
		signer.Credential{Login: "1", Secret: "one"},
		signer.Credential{Login: "2", Secret: "two", Secrets: []signer.Secret{"zwei", "dva"}},
		signer.Credential{Login: "3", Secrets: []signer.Secret{"drei"}},
	)
	f := func(login, secret string, want bool) {
		t.Helper()
		who, ok := keys.Verify([]byte(login), []byte("1700000000"), sign(secret, "{}"), []byte("{}"))
		if ok != want || ok && who != login {
			t.Errorf("login %s with secret %q: %q, %v; want %v", login, secret, who, ok, want)
		}
	}
	f("1", "one", true)
	f("2", "two", true)
	f("2", "zwei", true)
	f("2", "dva", true)
	f("3", "drei", true)
	f("1", "two", false)
	f("1", "", false)
	f("2", "one", false)
	f("4", "one", false)
	f("", "one", false)
	f("1", "One", false)
}

func TestVerifyMalformed(t *testing.T) {
	keys := keyring(t, signer.Credential{Login: "1", Secret: "one"})
	good := string(sign("one", "{}"))
	f := func(stamp, signature, body string) {
		t.Helper()
		if _, ok := keys.Verify([]byte("1"), []byte(stamp), []byte(signature), []byte(body)); ok {
			t.Errorf("accepted time %q, signature %q, body %q", stamp, signature, body)
		}
	}
	f("1700000000", "", "{}")
	f("1700000000", good[:39], "{}")
	f("1700000000", good+"0", "{}")
	f("1700000000", good+good, "{}")
	f("1700000000", "g"+good[1:], "{}")
	f("1700000000", strings.Repeat("0", 40), "{}")
	f("1700000000", good, "{} ")
	f("1700000000.0", good, "{}")
	f("01700000000", good, "{}")
}

// A signature that is cut off where the rest would be zeros is none.
func TestVerifyMalformedEnd(t *testing.T) {
	keys := keyring(t, signer.Credential{Login: "1", Secret: "one"})
	for i := range 10_000 {
		body := strconv.Itoa(i)
		signature := string(sign("one", body))
		if !strings.HasSuffix(signature, "00") {
			continue
		}
		for _, end := range []string{"0g", "g0", "gg"} {
			if _, ok := keys.Verify([]byte("1"), []byte("1700000000"), []byte(signature[:38]+end), []byte(body)); ok {
				t.Errorf("%s is accepted for %s", signature[:38]+end, signature)
			}
		}
		return
	}
	t.Fatal("no signature ends with 00")
}

// The signature covers time, secret and body without separators, so a digit moved from the time to a body that the
// signer did not write must not be one: the secret stands between.
func TestVerifyBoundaries(t *testing.T) {
	keys := keyring(t, signer.Credential{Login: "1", Secret: "one"})
	signature := signer.AppendSignature(nil, []byte("1700000000"), []byte("one"), []byte("{}"))
	if _, ok := keys.Verify([]byte("1"), []byte("170000000"), signature, []byte("0{}")); ok {
		t.Error("a byte moved from the time to the body goes unnoticed")
	}
}

func TestVerifyCostsTheSame(t *testing.T) {
	keys := keyring(t,
		signer.Credential{Login: "1", Secret: "one"},
		signer.Credential{Login: "2", Secret: "two", Secrets: []signer.Secret{"zwei"}},
	)
	body := bytes.Repeat([]byte("x"), 128<<10)
	good, wrong := sign("one", string(body)), sign("nobody's", string(body))
	cases := []struct{ login, signature string }{
		{"1", string(wrong)}, {"2", string(wrong)}, {"unknown", string(wrong)}, {"unknown", string(good)}, {"1", "short"}, {"unknown", ""}, {"1", strings.Repeat("g", 40)},
	}
	best := make([]time.Duration, len(cases))
	for range 40 {
		for i, c := range cases {
			login, signature := []byte(c.login), []byte(c.signature)
			start := time.Now()
			if _, ok := keys.Verify(login, []byte("1700000000"), signature, body); ok {
				t.Fatalf("case %d is accepted", i)
			}
			if took := time.Since(start); best[i] == 0 || took < best[i] {
				best[i] = took
			}
		}
	}
	for i, took := range best { // a hash more or less would be 1.5 times, or half
		if ratio := float64(took) / float64(best[0]); ratio > 1.3 || ratio < 0.7 {
			t.Errorf("%v takes %.2f times what %v takes", cases[i], ratio, cases[0])
		}
	}
}

func TestEngine(t *testing.T) {
	keys := keyring(t,
		signer.Credential{Login: "1", Secret: "one", Secrets: []signer.Secret{"old"}},
		signer.Credential{Login: "2", Secret: "two", EngineLogin: "77", EngineSecret: "engine"},
		signer.Credential{Login: "3", Secret: "three", EngineSecret: "other"},
		signer.Credential{Login: "4", Secrets: []signer.Secret{"four"}},
	)
	f := func(login, wantLogin, wantSecret string, wantOK bool) {
		t.Helper()
		engineLogin, secret, ok := keys.Engine(login)
		if engineLogin != wantLogin || string(secret) != wantSecret || ok != wantOK {
			t.Errorf("Engine(%s) = %s, %s, %v", login, engineLogin, secret, ok)
		}
	}
	f("1", "1", "one", true)
	f("2", "77", "engine", true)
	f("3", "3", "other", true)
	f("4", "4", "four", true)
	f("5", "", "", false)
}

func TestNoCredentials(t *testing.T) {
	keys := keyring(t)
	if _, ok := keys.Verify([]byte(""), []byte("1700000000"), sign("", "{}"), []byte("{}")); ok {
		t.Error("an empty keyring accepts somebody")
	}
}

func TestKeyringShowsNoSecret(t *testing.T) {
	keys := keyring(t, signer.Credential{Login: "1", Secret: "visible", EngineSecret: "visible"})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		got := fmt.Sprintf(verb, keys) + fmt.Sprintf(verb, struct{ K *signer.Keyring }{keys})
		if strings.Contains(got, "visible") || strings.Contains(got, fmt.Sprintf("%x", "visible")) || strings.Contains(got, "118 105 115") {
			t.Errorf("%s shows %s", verb, got)
		}
	}
}

func TestAllocations(t *testing.T) {
	keys := keyring(t, signer.Credential{Login: "1", Secret: "one"}, signer.Credential{Login: "2", Secret: "two", Secrets: []signer.Secret{"zwei"}})
	body := bytes.Repeat([]byte("x"), 1000)
	login, unknown, stamp, secret := []byte("1"), []byte("nobody"), []byte("1700000000"), []byte("one")
	signature := sign("one", string(body))
	dst := make([]byte, 0, signer.SignatureLen)
	f := func(name string, fn func()) {
		t.Helper()
		if n := testing.AllocsPerRun(200, fn); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
	f("AppendSignature", func() { dst = signer.AppendSignature(dst[:0], stamp, secret, body) })
	f("Verify", func() {
		if _, ok := keys.Verify(login, stamp, signature, body); !ok {
			t.Fatal("refused")
		}
	})
	f("Verify of an unknown login", func() { keys.Verify(unknown, stamp, signature, body) })
	f("CheckTime", func() { _ = signer.CheckTime(stamp, time.Unix(1700000000, 0), time.Minute) })
}

func BenchmarkAppendSignature(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 300)
	dst := make([]byte, 0, signer.SignatureLen)
	b.ReportAllocs()
	for b.Loop() {
		dst = signer.AppendSignature(dst[:0], []byte("1700000000"), []byte("mysecret"), body)
	}
}

func BenchmarkVerify(b *testing.B) {
	keys := keyring(b, signer.Credential{Login: "1", Secret: "one"})
	body := bytes.Repeat([]byte("x"), 300)
	login, stamp, signature := []byte("1"), []byte("1700000000"), sign("one", string(body))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := keys.Verify(login, stamp, signature, body); !ok {
			b.Fatal("refused")
		}
	}
}
