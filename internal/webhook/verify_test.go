package webhook_test

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"syncgate/internal/webhook"
	"syncgate/signer"
)

func TestSeveralSignatures(t *testing.T) {
	all := vectors()
	f := func(name, value, why string) {
		t.Helper()
		v := all[name]
		s := v.sent.without(v.header)
		s.header = append(s.header, v.header+": "+value)
		if err := s.check(t, v.verify); why == "" {
			wantVerified(t, value, err)
		} else {
			wantUnverified(t, value, err, why)
		}
	}
	const good, bad = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "v1,bm9ldHUjKzFob2VudXRob2VodWUzMjRvdWVvdW9ldQo="
	const standard, stripe = "standard-webhooks", "stripe"
	f(standard, good+" "+bad, "")
	f(standard, bad+" v1a,x "+good+" v2,MzJsNDk4MzI0K2Vvd", "")
	f(standard, " "+bad+"  "+good, "")
	f(standard, strings.TrimSuffix(good, "="), "") // padding is optional
	f(standard, bad+" "+bad, "no signature is")
	f(standard, "v1a,"+good[3:], "no signature with the prefix")
	f(standard, good[3:], "no signature with the prefix")
	f(standard, strings.ToUpper(good), "no signature with the prefix")
	f(standard, strings.Repeat(bad+" ", 15)+good, "")
	f(standard, strings.Repeat(bad+" ", 16)+good, "more than 16 signatures")
	f(standard, strings.Repeat("v2,x ", 31)+good, "")
	f(standard, strings.Repeat("v2,x ", 32)+good, "more than 32 items")
	const signature = "ac1713e2da9a3e957f5baedfe0f3d95c8265c9f6a77b57b54920b00b0f80dddd"
	zeros := "v1=" + strings.Repeat("0", 64)
	f(stripe, "t=1492774577,"+zeros+",v1="+signature, "")
	f(stripe, "v1="+strings.ToUpper(signature)+", t=1492774577", "") // hex in either case, items in any order
	f(stripe, "t=1492774577,v0="+signature, "no signature with the prefix")
	f(stripe, "t=1492774577,v1="+signature[:62], "no signature is")
	f(stripe, "t=1492774577,v1="+signature+"00", "no signature is")
	f(stripe, "t=1492774577,v1=zz", "no signature is")
	f(stripe, "t=1492774577,v1=", "no signature with the prefix")
	f(stripe, "v1="+signature, "the timestamp is missing")
	f(stripe, "t=1492774577,t=1492774577,v1="+signature, "more than one timestamp")
	f(stripe, "t=1492774578,v1="+signature, "no signature is")
	for _, stamp := range []string{"", "x", "-1492774577", "+1492774577", " 1492774577", "1492774577.0", "1492774577000", "99999999999", "9223372036854775807", "18446744073709551616"} {
		f(stripe, "t="+stamp+",v1="+signature, "the timestamp is")
	}
	f("github", "sha1="+signature, "no signature with the prefix")
	f("github", "SHA256="+all["github"].signature, "no signature with the prefix")
	f("github", "sha256="+strings.ToUpper(all["github"].signature), "")
	f("slack", "v0="+all["slack"].signature+",v0="+all["slack"].signature, "no signature is") // one only
}

func TestMissingHeaders(t *testing.T) {
	all := vectors()
	for name, headers := range map[string][]string{"standard-webhooks": {"webhook-id", "webhook-timestamp"}, "slack": {"X-Slack-Request-Timestamp"}} {
		for _, header := range headers {
			s := all[name].sent.without(header)
			wantUnverified(t, header, s.check(t, all[name].verify), "the header "+header+" is missing")
			s.header = append(s.header, header+":")
			wantUnverified(t, header+", empty", s.check(t, all[name].verify), "the header "+header+" is missing")
		}
	}
}

// What is read must be what is signed.
func TestNotCovered(t *testing.T) {
	const json = `{"CallSid":"CA1234567890ABCDE"}`
	const sum = "e852ec28d46c49841e1e6687b51c3dbf2b3da45f0b5f73184b3220daaa45ab3b"
	with := webhook.Verify{Preset: "twilio", Secret: "12345", URL: "https://mycompany.com/myapp.php"}
	s := sent{uri: "/myapp.php?bodySHA256=" + sum, header: []string{"X-Twilio-Signature: C8sJ7v4QWOODDruoAbJ+vnu8RQ4=", typeJSON}, body: json}
	wantVerified(t, "JSON whose digest is in the query", s.check(t, with))
	wantUnverified(t, "another JSON", s.replaced(t, "CA12", "CA13").check(t, with), "its digest is not in the query")
	wantUnverified(t, "JSON that calls itself a form", s.replaced(t, typeJSON, typeForm).check(t, with), "")
	plus := sent{header: []string{"X-Twilio-Signature: GHPgWwxXvwG0ozwA6ZlnJWVNHkw=", typeForm}, body: `{"a":"x+y"}`} // as a form its + is a blank, as JSON it is not
	wantUnverified(t, "JSON that is signed as a form", plus.check(t, with), "the body is not a form")
	wantUnverified(t, "JSON that has the signature of nothing", sent{uri: "/myapp.php?CallSid=CA1", header: []string{"X-Twilio-Signature: s1qDWD7R5IqOdUPp+dpnnv/JLUA=", typeJSON}, body: json}.check(t, with), "its digest is not in the query")
	full := with
	full.URL += "?bodySHA256=" + sum
	other := s
	other.uri = "/myapp.php?bodySHA256=" + strings.Repeat("0", 64)
	wantUnverified(t, "the query of the request is not signed", other.check(t, full), "nothing else of it is signed")
	wantVerified(t, "the URL with its query", vectors()["twilio"].sent.check(t, webhook.Verify{Preset: "twilio", Secret: "12345", URL: "https://mycompany.com/myapp.php?foo=1&bar=2"}))
	wantUnverified(t, "another URL", vectors()["twilio"].sent.check(t, webhook.Verify{Preset: "twilio", Secret: "12345", URL: "http://mycompany.com/myapp.php"}), "no signature is")
	changed := vectors()["twilio"].sent
	changed.uri = "/myapp.php?foo=1&bar=3"
	wantUnverified(t, "another query", changed.check(t, with), "no signature is")
	repeated := sent{header: []string{"X-Twilio-Signature: 3lLXHizMnEWwVSjkA7iU5W6LYkU=", typeForm}, body: "MediaUrl=b&A=a&MediaUrl=a&MediaUrl=b"}
	wantVerified(t, "a repeated field", repeated.check(t, with)) // each distinct text, sorted, as the sender's libraries do
	mandrill := vectors()["mandrill"]
	wantUnverified(t, "no form", mandrill.sent.replaced(t, typeForm, typeJSON).check(t, mandrill.verify), "the body is not a form")
	bom := vectors()["liqpay"]
	wantVerified(t, "a byte order mark, which is read past", bom.sent.replaced(t, "data=", "\ufeffdata=").check(t, bom.verify))
	wantUnverified(t, "a form that is none", repeated.replaced(t, "MediaUrl=b", "MediaUrl=%ff").check(t, with), "the body: form: is not UTF-8")
	get := func(v webhook.Verify, header string) error {
		return verifier(t, v).Check(request(t, "GET", "/myapp.php?CallSid=CA1", "", header), netip.Addr{}, time.Now())
	}
	wantVerified(t, "GET whose query is signed", get(with, "X-Twilio-Signature: s1qDWD7R5IqOdUPp+dpnnv/JLUA="))
	wantUnverified(t, "GET whose query is not", get(webhook.Verify{Preset: "github", Secret: "x"}, "X-Hub-Signature-256: sha256=00"), "the query of a GET is not signed")
}

func TestBasic(t *testing.T) {
	v := verifier(t, webhook.Verify{Kind: "basic", User: "user", Password: "pass:word"})
	f := func(why string, header ...string) {
		t.Helper()
		err := v.Check(request(t, "POST", "/", "", header...), netip.Addr{}, time.Now())
		if why == "" {
			wantVerified(t, "basic", err)
		} else {
			wantUnverified(t, "basic", err, why, "pass:word")
		}
	}
	if v.Challenge() != `Basic realm="callback", charset="UTF-8"` || verifier(t, webhook.Verify{}).Challenge() != "" {
		t.Errorf("challenge %q", v.Challenge())
	}
	good := base64.StdEncoding.EncodeToString([]byte("user:pass:word"))
	f("", "Authorization: Basic "+good)
	f("", "Authorization: bAsIc  "+good)
	f("the header Authorization is missing")
	f("stands more than once", "Authorization: Basic "+good, "Authorization: Basic "+good)
	f("not of the scheme Basic", "Authorization: Bearer "+good)
	f("not of the scheme Basic", "Authorization: Basic "+good[1:])
	f("not of the scheme Basic", "Authorization: "+good)
	for _, wrong := range []string{"user:pass", "user:pass:words", "use:pass:word", "users:pass:word", ":", "", "user:PASS:word"} {
		f("user or password is wrong", "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(wrong)))
	}
}

func TestNetworks(t *testing.T) {
	v := verifier(t, webhook.Verify{Kind: "networks", Networks: []string{"203.0.113.0/25", "2001:db8::/32", "198.51.100.7/32"}})
	for addr, want := range map[string]bool{
		"203.0.113.1": true, "203.0.113.127": true, "203.0.113.128": false, "198.51.100.7": true, "198.51.100.8": false, "::ffff:203.0.113.1": true, "2001:db8::1": true, "2001:db8::1%eth0": true, "2001:db9::1": false,
	} {
		err := v.Check(request(t, "POST", "/", "", "X-Forwarded-For: 203.0.113.1"), netip.MustParseAddr(addr), time.Now())
		if (err == nil) != want || err != nil && !errors.Is(err, webhook.ErrUnverified) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if v.Check(request(t, "POST", "/", ""), netip.Addr{}, time.Now()) == nil {
		t.Error("no address is taken")
	}
	if err := verifier(t, webhook.Verify{}).Check(request(t, "POST", "/", ""), netip.Addr{}, time.Now()); err != nil {
		t.Errorf("none: %v", err)
	}
}

// A plain hmac, as an operator writes it.
func TestOwnHMAC(t *testing.T) {
	f := func(v webhook.Verify, header string) {
		t.Helper()
		v.Kind, v.Header = "hmac", "X-Sign"
		s := sent{header: []string{"X-Sign: " + header, "X-Id: 17", "X-Next: 18"}, body: "Hello, World!"}
		wantVerified(t, header, s.check(t, v))
		wantUnverified(t, header, s.replaced(t, "Hello", "hello").check(t, v), "no signature")
	}
	const sha256 = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	const secret signer.Secret = "It's a Secret to Everybody"
	f(webhook.Verify{Secret: secret}, sha256)
	f(webhook.Verify{Secret: signer.Secret(hex.EncodeToString([]byte(secret))), SecretFormat: "hex"}, sha256)
	f(webhook.Verify{Secret: signer.Secret(base64.RawURLEncoding.EncodeToString([]byte(secret))), SecretFormat: "base64"}, sha256)
	f(webhook.Verify{Secret: "s", Signed: "{header:X-Id}/{header:X-Next}.{body}"}, "a39ba92a400bcfc8027d4051e5f635f5077f0e48287aa503a887e092d6df4724")
	f(webhook.Verify{Secret: secret, Encoding: "base64"}, "dXEH6g6yUJ_CESIczphLijdXC211hsIsRvQ3nIsEPhc")
}

// What is wrong says nothing by the time that it takes: every digest is computed, and an early match ends nothing. Each allocates, and is counted so.
func TestCostOfWrong(t *testing.T) {
	v := vectors()["stripe"]
	others := make([]signer.Secret, webhook.MostSecrets-1)
	for i := range others {
		others[i] = signer.Secret("another secret " + strconv.Itoa(i))
	}
	many := v.verify
	many.Secrets = others
	one, ten := verifier(t, v.verify), verifier(t, many)
	growth := func(s sent) float64 {
		req := s.request(t)
		allocs := func(v *webhook.Verifier) float64 {
			return testing.AllocsPerRun(100, func() { _ = v.Check(req, netip.Addr{}, s.at) })
		}
		return allocs(ten) - allocs(one)
	}
	want := growth(v.sent)
	if want < float64(len(others)) {
		t.Fatalf("digests with %d secrets allocate %v times", len(others), want)
	}
	old := v.sent
	old.at = old.at.Add(time.Hour)
	for what, s := range map[string]sent{
		"first digit": v.sent.replaced(t, "v1=a", "v1=4"), "last digit": v.sent.replaced(t, "dddd,", "ddd0,"), "no digit": v.sent.replaced(t, "v1=a", "v1=x"),
		"no signature": v.sent.without("Stripe-Signature"), "old": old, "other prefix": v.sent.replaced(t, "v1=", "v9="), "no timestamp": v.sent.replaced(t, "t=", "u="),
	} {
		if got := growth(s); math.Abs(got-want) > want/float64(len(others))/2 { // half a digest: the race detector empties pools now and then
			t.Errorf("%s: %v, and %v where all is right", what, got, want)
		}
	}
}

// FuzzSignatures holds the reader of a signature's header to what it promises.
func FuzzSignatures(f *testing.F) {
	for _, value := range []string{"t=1,v1=ab,v1=cd,v0=x", "v1,ab v1,cd v1a,x", "sha256=ab", "", ",", "t=,v1=", "t=1,t=2", " v1=a , t=1 "} {
		for _, form := range [][3]string{{",", "v1=", "t="}, {" ", "v1,", ""}, {"", "sha256=", ""}, {"", "", ""}, {",", "", "t="}} {
			f.Add(value, form[0], form[1], form[2])
		}
	}
	f.Fuzz(func(t *testing.T, value, separator, prefix, stampPrefix string) {
		signatures, stamp, problem := webhook.SplitSignatures(value, separator, prefix, stampPrefix)
		if problem == "" && (len(signatures) == 0 || len(signatures) > 16) {
			t.Fatalf("%q: %q, and no problem", value, signatures)
		}
		for _, s := range signatures {
			checkItem(t, value, separator, prefix+s)
		}
		if stamp != "" {
			checkItem(t, value, separator, stampPrefix+stamp)
		}
		if stampPrefix == "" && stamp != "" {
			t.Fatalf("%q has the timestamp %q", value, stamp)
		}
	})
}

// checkItem wants that an item stands in a value.
func checkItem(t *testing.T, value, separator, item string) {
	t.Helper()
	for _, whole := range split(value, separator) {
		if strings.Trim(whole, " \t") == item {
			return
		}
	}
	t.Fatalf("%q has no item %q", value, item)
}

func split(value, separator string) []string {
	if separator == "" {
		return []string{value}
	}
	return strings.Split(value, separator)
}
