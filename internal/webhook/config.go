package webhook

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"syncgate/internal/setting"
	"syncgate/signer"
)

// Bounds of a Verify.
const (
	// DefaultTolerance is how far a timestamp may be from the clock where nothing is configured.
	DefaultTolerance = 5 * time.Minute
	// MostTolerance is how far a timestamp may be from the clock at most.
	MostTolerance = 24 * time.Hour
	// MostSecrets is how many secrets may be right at the same time.
	MostSecrets = 10
	// MostNetworks is how many networks can be listed.
	MostNetworks = 100
)

// Words of a Verify.
const (
	kindNone, kindHMAC, kindStandard, kindBasic, kindNetworks = "none", "hmac", "standard-webhooks", "basic", "networks"

	encodingHex, encodingBase64 = "hex", "base64"

	formatText, formatHex, formatBase64, formatWhsec = "text", "hex", "base64", "whsec"
)

// Verify says how requests to a personal URL are verified. The yaml tags are the keys of the configuration file. The zero Verify takes every
// request. The package comment says what each kind, template and preset is.
type Verify struct {
	Preset string `yaml:"preset"` // its settings are taken where the ones below are empty
	Kind   string `yaml:"kind"`   // empty: that of the preset, or none

	Secret       signer.Secret   `yaml:"secret"`
	SecretFile   string          `yaml:"secret_file"`
	Secrets      []signer.Secret `yaml:"secrets"`       // further ones that are right beside it, while rotating
	SecretFormat string          `yaml:"secret_format"` // how secrets are written: text (default), hex, base64, whsec

	Header          string        `yaml:"header"` // where the signature stands; or
	Field           string        `yaml:"field"`  // the field of a form
	Algorithm       string        `yaml:"algorithm"`
	Encoding        string        `yaml:"encoding"`  // of a signature: hex (default), in either case; base64, in either alphabet
	Prefix          string        `yaml:"prefix"`    // of each signature; what does not begin with it is none
	Separator       string        `yaml:"separator"` // between several signatures, of which one must be right; empty: there is one
	Signed          string        `yaml:"signed"`    // template of the signed text; empty: {body}
	TimestampHeader string        `yaml:"timestamp_header"`
	TimestampPrefix string        `yaml:"timestamp_prefix"`
	Tolerance       time.Duration `yaml:"tolerance"`   // 0: DefaultTolerance
	URL             signer.Secret `yaml:"url"`         // public address of the callback; a secret, as it has the hash
	BodyDigest      string        `yaml:"body_digest"` // parameter of the query that has the hex SHA-256 of a body that is no form

	User         string        `yaml:"user"`
	Password     signer.Secret `yaml:"password"`
	PasswordFile string        `yaml:"password_file"`

	Networks []string `yaml:"networks"` // in CIDR form

	VerifyToken     signer.Secret `yaml:"verify_token"` // what hub.verify_token must be in the handshake of Meta; empty: anything
	VerifyTokenFile string        `yaml:"verify_token_file"`
}

// Validate gives every problem at once, joined; each begins with its key below the given one. It shows no secret.
func (v Verify) Validate(key string) error {
	p := problems{key: key}
	if v.Preset != "" {
		c, ok := Preset(v.Preset)
		if !ok {
			p.OneOf(key+".preset", v.Preset, PresetNames()...)
			return p.Err() // what the others mean depends on it
		}
		if v.Kind != "" && v.Kind != c.Verify.Kind && v.Kind != v.Preset {
			p.add("kind", "the preset has its own: remove it")
			return p.Err()
		}
	}
	if v.Kind != "" {
		p.OneOf(key+".kind", v.Kind, kindNone, kindHMAC, kindStandard, kindBasic, kindNetworks)
	}
	r := v.resolved()
	p.unused(r)
	switch r.Kind {
	case kindHMAC:
		p.keyed(r)
	case kindBasic:
		if r.User == "" || strings.Contains(r.User, ":") {
			p.add("user", "must be set, and have no colon")
		}
		if r.Password == "" {
			p.add("password", "must be set, or password_file")
		}
	case kindNetworks:
		p.networks(r.Networks)
	}
	return p.Err()
}

// problems are those of a Verify at a key.
type problems struct {
	setting.Problems
	key string
}

func (p *problems) add(name, format string, args ...any) { p.Add(p.key+"."+name, format, args...) }

// unused wants nothing set that the kind does not read: an operator would believe that it protects.
func (p *problems) unused(v Verify) {
	keyed := v.Secret != "" || v.SecretFile != "" || len(v.Secrets) > 0 || v.Header != "" || v.Field != "" || v.Signed != "" || v.Prefix != "" ||
		v.Separator != "" || v.TimestampHeader != "" || v.TimestampPrefix != "" || v.URL != "" || v.BodyDigest != "" || v.Algorithm != "" ||
		v.Encoding != "" || v.SecretFormat != "" || v.Tolerance != 0
	if keyed && v.Kind != kindHMAC {
		p.add("kind", "must be hmac or standard-webhooks where a secret, or how it signs, is set")
	}
	if (v.User != "" || v.Password != "") && v.Kind != kindBasic {
		p.add("kind", "must be basic where user or password is set")
	}
	if len(v.Networks) > 0 && v.Kind != kindNetworks {
		p.add("kind", "must be networks where networks is set")
	}
}

func (p *problems) networks(list []string) {
	if len(list) == 0 || len(list) > MostNetworks {
		p.add("networks", "must be 1 to %d networks such as 203.0.113.0/24", MostNetworks)
	}
	for i, text := range list {
		if n, err := netip.ParsePrefix(text); err != nil || n != n.Masked() || n.Addr().Is4In6() {
			p.add(setting.Item("networks", i), "must be a network such as 203.0.113.0/24, 2001:db8::/32, or 203.0.113.7/32 for one address")
		}
	}
}

// keyed finds what is wrong with an hmac.
func (p *problems) keyed(v Verify) {
	p.secrets(v)
	if (v.Header == "") == (v.Field == "") {
		p.add("header", "either header or field must say where the signature stands")
	}
	if v.Header != "" && !isToken(v.Header) {
		p.add("header", "is not the name of a header")
	}
	if v.TimestampHeader != "" && !isToken(v.TimestampHeader) {
		p.add("timestamp_header", "is not the name of a header")
	}
	p.OneOf(p.key+".algorithm", v.Algorithm, algorithmNames()...)
	p.OneOf(p.key+".encoding", v.Encoding, encodingHex, encodingBase64)
	if v.Tolerance < 0 || v.Tolerance > MostTolerance {
		p.add("tolerance", "must be longer than 0 and at most %s", setting.FormatDuration(MostTolerance))
	}
	signed, err := parseTemplate(v.Signed)
	if err != nil {
		p.add("signed", "%v", err)
		return
	}
	p.template(v, signed)
}

func (p *problems) secrets(v Verify) {
	p.OneOf(p.key+".secret_format", v.SecretFormat, formatText, formatHex, formatBase64, formatWhsec)
	if v.Secret == "" {
		p.add("secret", "must be set, or secret_file")
	}
	if len(v.Secrets) >= MostSecrets {
		p.add("secrets", "are more than %d", MostSecrets-1)
	}
	for i, s := range v.allSecrets() {
		name := "secret"
		if i > 0 {
			name = setting.Item("secrets", i-1)
		}
		if i > 0 && slices.Contains(v.allSecrets()[:i], s) {
			p.add(name, "is a secret that is listed already")
		}
		if _, err := keyOf(s, v.SecretFormat); err != nil && (s != "" || i > 0) {
			p.add(name, "%v", err)
		}
	}
}

func (p *problems) template(v Verify, signed template) {
	stamped := v.TimestampHeader != "" || v.TimestampPrefix != ""
	switch {
	case v.TimestampHeader != "" && v.TimestampPrefix != "":
		p.add("timestamp_header", "either this or timestamp_prefix can be set")
	case v.TimestampPrefix != "" && (v.Separator == "" || v.Header == ""):
		p.add("timestamp_prefix", "needs header, and separator between the signature and the timestamp")
	case signed.has(partTimestamp) && !stamped:
		p.add("signed", "has {timestamp}: timestamp_header or timestamp_prefix must say where it stands")
	case stamped && !signed.has(partTimestamp):
		p.add("signed", "must have {timestamp}: anybody could change one that is not signed")
	}
	if !signed.has(partBody) && !signed.has(partForm) && !signed.has(partField) {
		p.add("signed", "must have {body}, {form} or {field:NAME}: nothing of the body would be signed")
	}
	switch u, err := url.Parse(string(v.URL)); {
	case signed.has(partURL) && v.URL == "":
		p.add("url", "must be set: the sender signs the address of the callback as it was given it, such as https://sync.example.com/api/1/json/callback/NODE/HASH")
	case v.URL == "":
	case err != nil || !setting.IsWebScheme(u.Scheme) || u.Hostname() == "" || u.Fragment != "" || strings.ContainsAny(string(v.URL), " \t\r\n"):
		p.add("url", "must be an absolute URL such as https://sync.example.com/api/1/json/callback/NODE/HASH")
	case !signed.has(partURL):
		p.add("url", "is not in signed: add {url} there, or remove it")
	}
	if v.BodyDigest != "" && (!signed.has(partForm) || !signed.has(partURL)) {
		p.add("body_digest", "needs {url} and {form} in signed")
	}
}

// allSecrets are those that are right, the first one first.
func (v Verify) allSecrets() []signer.Secret { return append([]signer.Secret{v.Secret}, v.Secrets...) }

// keyOf gives the bytes that a secret stands for. Its errors show nothing of it.
func keyOf(s signer.Secret, format string) (key []byte, err error) {
	switch format {
	case formatWhsec:
		return signer.ParseWebhookSecret(string(s))
	case formatHex:
		if key, err = hex.DecodeString(string(s)); err != nil {
			return nil, errors.New("must be hexadecimal")
		}
	case formatBase64:
		if key, err = decodeBase64([]byte(s)); err != nil {
			return nil, errors.New("must be base64")
		}
	default:
		key = []byte(s)
	}
	if len(key) == 0 {
		return nil, errors.New("must not be empty")
	}
	return key, nil
}

// decodeBase64 reads base64 in either alphabet, with padding or without.
func decodeBase64(text []byte) ([]byte, error) {
	plain := make([]byte, len(text))
	for i, c := range text {
		switch c {
		case '-':
			c = '+'
		case '_':
			c = '/'
		case '\r', '\n': // the standard library skips them
			return nil, base64.CorruptInputError(i)
		}
		plain[i] = c
	}
	encoding := base64.RawStdEncoding
	if len(plain) > 0 && plain[len(plain)-1] == '=' {
		encoding = base64.StdEncoding
	}
	n, err := encoding.Strict().Decode(plain, plain) // it writes behind what it has read
	return plain[:n], err
}

// isToken reports whether a text is the name of a header (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for _, c := range []byte(s) {
		lower := c | 0x20
		if (c < '0' || c > '9') && (lower < 'a' || lower > 'z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}
