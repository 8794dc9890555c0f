package webhook_test

import (
	"cmp"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"syncgate/internal/webhook"
	"syncgate/signer"
)

// vector is a callback that a preset must take. Its signatures were computed from the page with another program, and are the page's own where it has one.
type vector struct {
	page      string // that says how the sender signs
	published bool   // the signature is that of the page
	verify    webhook.Verify
	other     signer.Secret // another secret, with which otherSignature was made
	sent      sent
	signature string // as it stands in the request
	otherSign string
	header    string // its name; empty: it is in the body
	stamped   bool
	change    [2]string // what is signed, and other than the signature
}

func slackBody() string {
	return "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA" +
		"&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F" +
		"96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
}

const (
	liqpayKey  = "a4825234f4bae72a0be04eafe9e8e2bada209255"
	liqpayData = "eyJwdWJsaWNfa2V5IjoiaTAwMDAwMDAwIiwidmVyc2lvbiI6IjMiLCJhY3Rpb24iOiJwYXkiLCJhbW91bnQiOiIzIiwiY3VycmVuY3kiOiJVQUgiLCJkZXNjcmlwdGlvbiI6InRlc3QiLCJvcmRlcl9pZCI6IjAwMDAwMSJ9"
	twilioForm = "To=%2B18005551212&CallSid=CA1234567890ABCDE&Caller=%2B12349013030&Digits=1234&From=%2B12349013030"
	mandrill   = "mandrill_events=%5B%7B%22event%22%3A%22send%22%2C%22_id%22%3A%22exampleaaaaaaaaaaaaaaaaaaaaaaaaa%22%2C%22ts%22%3A1365109999%7D%2C%7B%22event%22%3A%22open%22%2C%22_id%22%3A%22examplebbb%22%2C%22ts%22%3A1365110000%7D%5D"
)

func vectors() map[string]vector {
	all := stampedVectors()
	maps.Copy(all, plainVectors())
	return all
}

// stampedVectors are those whose timestamp is signed.
func stampedVectors() map[string]vector {
	return map[string]vector{
		"standard-webhooks": {
			page:      "https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, and the tests of its libraries",
			published: true,
			verify:    webhook.Verify{Preset: "standard-webhooks", Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, //nolint:gosec // of the page
			other:     "whsec_YW5vdGhlci1zZWNyZXQtb2YtMjQtYnl0",
			sent: sent{at: time.Unix(1614265330, 0), header: []string{
				"webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp: 1614265330", "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", typeJSON,
			}, body: `{"test": 2432232314}`},
			signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", otherSign: "v1,Vy3+jlfO72YvBWjCCnUXw4LbQDGBse1ROukdza8xpuY=",
			header: "webhook-signature", stamped: true, change: [2]string{"msg_p5jX", "msg_p5jY"},
		},
		"stripe": {
			page:   "https://docs.stripe.com/webhooks/signature",
			verify: webhook.Verify{Preset: "stripe", Secret: "secret of an endpoint"},
			sent: sent{at: time.Unix(1492774577, 0), header: []string{
				"Stripe-Signature: t=1492774577,v1=ac1713e2da9a3e957f5baedfe0f3d95c8265c9f6a77b57b54920b00b0f80dddd,v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39", typeJSON,
			}, body: `{"id":"evt_1NG8Du2eZvKYlo2CUI79vXWy","object":"event","type":"payment_intent.succeeded","data":{"object":{"id":"pi_3MtwBwLkdIwHu7ix28a3tqPa"}}}`},
			signature: "ac1713e2da9a3e957f5baedfe0f3d95c8265c9f6a77b57b54920b00b0f80dddd", otherSign: "9c7836ab6d78050809ce397adceba7e9dc1f6976f7f9a1f0416a40a47087f39a",
			header: "Stripe-Signature", stamped: true, change: [2]string{"pi_3Mtw", "pi_4Mtw"},
		},
		"slack": {
			page:      "https://api.slack.com/authentication/verifying-requests-from-slack",
			published: true,
			verify:    webhook.Verify{Preset: "slack", Secret: "8f742231b10e8888abcd99yyyzzz85a5"},
			sent: sent{at: time.Unix(1531420618, 0), header: []string{
				"X-Slack-Request-Timestamp: 1531420618", "X-Slack-Signature: v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503", typeForm,
			}, body: slackBody()},
			signature: "a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503", otherSign: "c1d25e8e7f1efbf87476135424ecdd482457e61271ce758ba67409c2aacfabc1",
			header: "X-Slack-Signature", stamped: true, change: [2]string{"roadrunner", "coyote"},
		},
	}
}

// plainVectors are the others.
func plainVectors() map[string]vector {
	return map[string]vector{
		"github": {
			page:      "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
			published: true,
			verify:    webhook.Verify{Preset: "github", Secret: "It's a Secret to Everybody"},
			sent: sent{header: []string{
				"X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
			}, body: "Hello, World!"},
			signature: "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17", otherSign: "f2aacaf03bf4226db68dea2c99abe7753479b3c6e6f9cea8d5266f004b151093",
			header: "X-Hub-Signature-256", change: [2]string{"World", "world"},
		},
		"meta": {
			page:   "https://developers.facebook.com/docs/graph-api/webhooks/getting-started", // what is signed has its non-ASCII escaped, and is sent so
			verify: webhook.Verify{Preset: "meta", Secret: "app secret"},
			sent: sent{header: []string{
				"X-Hub-Signature-256: sha256=d980e63043feb83714e26051519241d7cf575a0719e4835fb6c9481cf7ff72d0", typeJSON,
			}, body: `{"object":"page","entry":[{"id":"17","time":1520383571,"changes":[{"field":"feed","value":{"message":"\u00e4\u00f6\u00e5"}}]}]}`},
			signature: "d980e63043feb83714e26051519241d7cf575a0719e4835fb6c9481cf7ff72d0", otherSign: "06177497673d4385417db795fde5ed0121fbf80cee3164fb2a04dd621c1b06cf",
			header: "X-Hub-Signature-256", change: [2]string{`\u00e4`, `ä`},
		},
		"liqpay": {
			page:      "https://www.liqpay.ua/documentation/en/data_signature and https://www.liqpay.ua/documentation/en/api/callback",
			published: true,
			verify:    webhook.Verify{Preset: "liqpay", Secret: liqpayKey},
			sent:      sent{header: []string{typeForm}, body: "data=" + liqpayData + "&signature=wR%2BUZDC4jjeL/qUOvIsofIWpZh8%3D"},
			signature: "wR%2BUZDC4jjeL/qUOvIsofIWpZh8%3D", otherSign: "iinL5sPJtEoV45jfgkKLBOEJOoM%3D", change: [2]string{"data=ey", "data=eY"},
		},
		"twilio": {
			page:      "https://www.twilio.com/docs/usage/security",
			published: true,
			verify:    webhook.Verify{Preset: "twilio", Secret: "12345", URL: "https://mycompany.com/myapp.php"},
			sent: sent{uri: "/myapp.php?foo=1&bar=2", header: []string{
				"X-Twilio-Signature: 0/KCTR6DLpKmkAf8muzZqo1nDgQ=", typeForm,
			}, body: twilioForm},
			signature: "0/KCTR6DLpKmkAf8muzZqo1nDgQ=", otherSign: "WCv9190qDBCtTWiz/xWgELq4ZYI=", header: "X-Twilio-Signature", change: [2]string{"Digits=1234", "Digits=1235"},
		},
		"mandrill": {
			page:   "https://mandrill.zendesk.com/hc/en-us/articles/205583257-How-to-Authenticate-Webhook-Requests",
			verify: webhook.Verify{Preset: "mandrill", Secret: "test-webhook", URL: "https://sync.example.com/api/1/json/callback/node/hash?from=mandrill"},
			sent: sent{uri: "/api/1/json/callback/node/hash?from=mandrill", header: []string{
				"X-Mandrill-Signature: JnsjvxrM9PRstmPa0D6cuuYshYI=", typeForm,
			}, body: mandrill},
			signature: "JnsjvxrM9PRstmPa0D6cuuYshYI=", otherSign: "zVrNA7ksA69VB0kqtvgr3/u3iPg=", header: "X-Mandrill-Signature", change: [2]string{"send", "sens"},
		},
	}
}

func TestEveryPresetHasAVector(t *testing.T) {
	all := vectors()
	for _, name := range webhook.PresetNames() {
		if v, ok := all[name]; !ok || v.verify.Preset != name || !strings.HasPrefix(v.page, "https://") {
			t.Errorf("%s has none", name)
		}
	}
	if len(all) != len(webhook.PresetNames()) {
		t.Errorf("%d vectors for %v", len(all), webhook.PresetNames())
	}
}

func TestPresets(t *testing.T) {
	for name, v := range vectors() {
		t.Run(name, func(t *testing.T) {
			other := v.other
			if other == "" {
				other = "second secret"
			}
			s, with := v.sent, v.verify
			wantVerified(t, "the vector", s.check(t, with))
			wrong := with
			wrong.Secret = other
			wantUnverified(t, "wrong secret", s.check(t, wrong), "no signature is that of the request", other)
			wantUnverified(t, "what is signed is changed", s.replaced(t, v.change[0], v.change[1]).check(t, with), "no signature is that of the request", with.Secret)
			if v.header != "" { // of a form with the signature one field is signed, and no other is read
				wantUnverified(t, "another body", s.replaced(t, s.body, s.body+"&x=1").check(t, with), "", with.Secret)
			}
			rotating := with
			rotating.Secret, rotating.Secrets = other, []signer.Secret{with.Secret}
			wantVerified(t, "the further secret while rotating", s.check(t, rotating))
			resigned := s.replaced(t, v.signature, v.otherSign)
			wantVerified(t, "the new secret while rotating", resigned.check(t, rotating))
			wantUnverified(t, "the new secret where only the old one is known", resigned.check(t, with), "no signature")
			wantUnverified(t, "changed signature", s.replaced(t, v.signature, v.signature[:len(v.signature)/2]+v.otherSign[len(v.signature)/2:]).check(t, with), "no signature")
			v.missing(t)
			v.old(t)
		})
	}
}

// missing takes the signature away.
func (v vector) missing(t *testing.T) {
	if v.header == "" {
		wantUnverified(t, "no signature", v.sent.replaced(t, "signature=", "sign=").check(t, v.verify), "the form has no field signature")
		wantUnverified(t, "two signatures", v.sent.replaced(t, "&signature=", "&signature=x&signature=").check(t, v.verify), "the form has no field signature, or several")
		wantUnverified(t, "data twice", v.sent.replaced(t, "data=", "data=e30%3D&data=").check(t, v.verify), "the form has no field data, or several")
		return
	}
	wantUnverified(t, "no signature", v.sent.without(v.header).check(t, v.verify), "the header "+v.header+" is missing")
	twice := v.sent
	twice.header = append([]string{v.header + ": x"}, twice.header...)
	wantUnverified(t, "two headers", twice.check(t, v.verify), "the header "+v.header+" stands more than once")
}

// old moves the clock.
func (v vector) old(t *testing.T) {
	for _, d := range []time.Duration{-300 * time.Second, -time.Second, 300 * time.Second} {
		s := v.sent
		s.at = s.at.Add(d)
		wantVerified(t, d.String(), s.check(t, v.verify))
	}
	for _, d := range []time.Duration{-301 * time.Second, 301 * time.Second, 1000000 * time.Hour} {
		s := v.sent
		s.at = s.at.Add(d)
		if v.stamped {
			wantUnverified(t, d.String(), s.check(t, v.verify), "from the clock")
		} else {
			wantVerified(t, "no timestamp", s.check(t, v.verify))
		}
	}
}

// A preset is what an operator could write: written out, it says the same.
func TestPresetsAreConfiguration(t *testing.T) {
	for name, v := range vectors() {
		c, _ := webhook.Preset(name)
		written := c.Verify
		written.Secret, written.URL = v.verify.Secret, v.verify.URL
		if err := written.Validate("verify"); err != nil || written.Preset != "" {
			t.Errorf("%s: %v", name, err)
		}
		wantVerified(t, name+" written out", v.sent.check(t, written))
		body := map[string]string{"liqpay": "base64-json:data", "mandrill": "form"}[name]
		if got := (webhook.Config{Verify: v.verify, Body: "auto"}).Expanded(); got.Body != cmp.Or(body, "auto") || got.Events != c.Events || got.Challenge != c.Challenge {
			t.Errorf("%s expands to %+v", name, got)
		}
		if err := (webhook.Config{Verify: v.verify}).Validate("waiters[0]"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	standard := vectors()["standard-webhooks"]
	standard.verify.Preset, standard.verify.Kind = "", "standard-webhooks"
	wantVerified(t, "the kind of that name", standard.sent.check(t, standard.verify))
	own := webhook.Config{Verify: webhook.Verify{Preset: "mandrill"}, Body: "json", Events: "."}.Expanded()
	prefixed := vectors()["github"]
	prefixed.verify.Prefix, prefixed.verify.Tolerance = "SHA-256 ", time.Minute
	wantVerified(t, "another prefix", prefixed.sent.replaced(t, "sha256=", "SHA-256 ").check(t, prefixed.verify))
	wantUnverified(t, "the prefix of the preset", prefixed.sent.check(t, prefixed.verify), "no signature with the prefix")
	if own.Body != "json" || own.Events != "." {
		t.Errorf("what is written does not override the preset: %+v", own)
	}
}

// LiqPay's callback, whole: built as its page says, verified, read, and found by its order.
func TestLiqPay(t *testing.T) {
	v := vectors()["liqpay"]
	c := webhook.Config{Verify: v.verify}.Expanded()
	req := v.sent.request(t)
	if err := verifier(t, c.Verify).Check(req, netip.Addr{}, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	body, err := webhook.ParseBody(c.Body)
	if err != nil {
		t.Fatal(err)
	}
	data, err := body.Read(req)
	if err != nil {
		t.Fatal(err)
	}
	path, err := webhook.ParsePath("order_id")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"public_key":"i00000000","version":"3","action":"pay","amount":"3","currency":"UAH","description":"test","order_id":"000001"}`
	if id, ok := path.Of(data); !ok || id != "000001" || string(data) != want {
		t.Errorf("order %q, %v in %s", id, ok, data)
	}
	newer := v.verify // the same text by another algorithm
	newer.Algorithm = "sha3-256"
	wantVerified(t, "sha3-256", v.sent.replaced(t, v.signature, "V6/0SB3N%2BeEWw1S/e3g7/nmX4uM9Z4TDyK2PTMmHdvA%3D").check(t, newer))
	wantUnverified(t, "sha1 for sha3-256", v.sent.check(t, newer), "no signature")
}
