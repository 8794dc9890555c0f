package webhook

import (
	"cmp"
	"maps"
	"slices"

	"syncgate/internal/setting"
)

// Config is how the callbacks of a sender are read: what an operator writes, and what a preset is.
type Config struct {
	Verify    Verify
	Body      string // auto, json, form, xml, base64-json:FIELD; empty: auto
	Events    string // a path to an array whose elements are separate callbacks; empty: a callback is one
	Challenge bool   // handshakes are answered
}

// presets are the senders that are known by name. Where each is documented stands beside its vectors, in the tests.
func presets() map[string]Config {
	hub := Verify{Kind: kindHMAC, Header: "X-Hub-Signature-256", Prefix: "sha256=", Algorithm: "sha256", Encoding: encodingHex, Signed: "{body}"}
	return map[string]Config{
		"standard-webhooks": {Verify: Verify{
			Kind: kindHMAC, Header: "webhook-signature", Separator: " ", Prefix: "v1,", Algorithm: "sha256", Encoding: encodingBase64,
			SecretFormat: formatWhsec, Signed: "{header:webhook-id}.{timestamp}.{body}", TimestampHeader: "webhook-timestamp",
		}},
		"github": {Verify: hub},
		"stripe": {Verify: Verify{
			Kind: kindHMAC, Header: "Stripe-Signature", Separator: ",", Prefix: "v1=", Algorithm: "sha256", Encoding: encodingHex,
			Signed: "{timestamp}.{body}", TimestampPrefix: "t=",
		}},
		"slack": {Verify: Verify{
			Kind: kindHMAC, Header: "X-Slack-Signature", Prefix: "v0=", Algorithm: "sha256", Encoding: encodingHex,
			Signed: "v0:{timestamp}:{body}", TimestampHeader: "X-Slack-Request-Timestamp",
		}, Challenge: true},
		"meta": {Verify: hub, Challenge: true},
		"liqpay": {Verify: Verify{
			Kind: kindHMAC, Field: "signature", Algorithm: "sha1", Encoding: encodingBase64, Signed: "{secret}{field:data}{secret}",
		}, Body: "base64-json:data"},
		"twilio": {Verify: Verify{
			Kind: kindHMAC, Header: "X-Twilio-Signature", Algorithm: "sha1", Encoding: encodingBase64, Signed: "{url}{form}", BodyDigest: "bodySHA256",
		}},
		"mandrill": {Verify: Verify{
			Kind: kindHMAC, Header: "X-Mandrill-Signature", Algorithm: "sha1", Encoding: encodingBase64, Signed: "{url}{form}",
		}, Body: "form", Events: "mandrill_events", Challenge: true},
	}
}

// Preset gives a preset by its name.
func Preset(name string) (Config, bool) {
	c, ok := presets()[name]
	return c, ok
}

// PresetNames are the names of the presets, sorted.
func PresetNames() []string { return slices.Sorted(maps.Keys(presets())) }

// Expanded is c with the settings of its preset where c has none: an auto body counts as none, and challenge is on when either says so.
func (c Config) Expanded() Config {
	preset, _ := Preset(c.Verify.Preset)
	if c.Body == "" || c.Body == bodyAuto {
		c.Body = cmp.Or(preset.Body, bodyAuto)
	}
	c.Events = cmp.Or(c.Events, preset.Events)
	c.Challenge = c.Challenge || preset.Challenge
	c.Verify = c.Verify.resolved()
	return c
}

// Validate gives every problem at once, joined, each with its key: those of Verify below verify, body and events. key is that of the section they
// stand in.
func (c Config) Validate(key string) error {
	var p setting.Problems
	p.Join(c.Verify.Validate(key + ".verify"))
	e := c.Expanded()
	body, err := ParseBody(e.Body)
	if err != nil {
		p.Add(key+".body", "%v", err)
	}
	if e.Events != "" {
		if _, err := ParsePath(e.Events); err != nil {
			p.Add(key+".events", "%v", err)
		}
	}
	if c.Verify.VerifyToken != "" && !e.Challenge {
		p.Add(key+".verify.verify_token", "is not read while challenge is off")
	}
	if len(p) == 0 && e.Verify.Kind == kindHMAC && !body.signed(e.Verify) {
		p.Add(key+".body", "would read what is not signed: it must be base64-json:NAME of a {field:NAME} in verify.signed")
	}
	return p.Err()
}

// signed reports whether all that b reads is signed.
func (b Body) signed(v Verify) bool {
	t, _ := parseTemplate(v.Signed)
	return t.has(partBody) || t.has(partForm) || b.field != "" && slices.Contains(t, part{partField, b.field})
}

// resolved is v with the settings of its preset, and defaults, where v has none.
func (v Verify) resolved() Verify {
	preset, _ := Preset(v.Preset)
	if v.Kind == kindStandard {
		preset, _ = Preset(kindStandard)
		v.Kind = ""
	}
	v = v.over(preset.Verify)
	v.Kind = cmp.Or(v.Kind, kindNone)
	if v.Kind != kindHMAC {
		return v
	}
	v.Signed = cmp.Or(v.Signed, "{body}")
	v.Algorithm = cmp.Or(v.Algorithm, "sha256")
	v.Encoding = cmp.Or(v.Encoding, encodingHex)
	v.SecretFormat = cmp.Or(v.SecretFormat, formatText)
	if v.Tolerance == 0 {
		v.Tolerance = DefaultTolerance
	}
	return v
}

// over is v with the settings of a preset where v has none.
func (v Verify) over(preset Verify) Verify {
	if v.Header == "" && v.Field == "" {
		v.Header, v.Field = preset.Header, preset.Field
	}
	if v.TimestampHeader == "" && v.TimestampPrefix == "" {
		v.TimestampHeader, v.TimestampPrefix = preset.TimestampHeader, preset.TimestampPrefix
	}
	v.Kind = cmp.Or(v.Kind, preset.Kind)
	v.SecretFormat = cmp.Or(v.SecretFormat, preset.SecretFormat)
	v.Algorithm = cmp.Or(v.Algorithm, preset.Algorithm)
	v.Encoding = cmp.Or(v.Encoding, preset.Encoding)
	v.Prefix = cmp.Or(v.Prefix, preset.Prefix)
	v.Separator = cmp.Or(v.Separator, preset.Separator)
	v.Signed = cmp.Or(v.Signed, preset.Signed)
	v.BodyDigest = cmp.Or(v.BodyDigest, preset.BodyDigest)
	return v
}
