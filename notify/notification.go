package notify

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"syncgate/signer"
)

// MaxBody is how long a body may be, in bytes.
const MaxBody = 16 << 20

const (
	maxID      = 128 // bytes of an id, and of a subscription
	maxTrip    = 64
	maxHeaders = 32
	maxHeader  = 8 << 10 // bytes of all names and values
	maxSecrets = 8
)

// Notification is one POST that a receiver is to have.
type Notification struct {
	// ID is the webhook-id, the same for each attempt: 1 to 128 letters, digits, "_" and "-". NewID makes one.
	ID string
	// Subscription is what lists and logs name, and what a 410 ends: at most 128 printable ASCII characters, or empty.
	Subscription string
	// Trip is what logs call the task whose result this is, so that operators find it: at most 64 printable ASCII characters, or empty. It is no secret.
	Trip string
	// URL is the receiver's, at most MaxURL bytes. The Guard judges it.
	URL string
	// Body is sent byte for byte: at most MaxBody.
	Body []byte
	// Header is sent with each attempt, and is stored sealed: at most 32 names with one value each, 8 KiB. Content-Type is application/json
	// unless it says otherwise. Names that HTTP or the signature needs are refused.
	Header map[string]string
	// Secrets sign each attempt, as webhook-signature; they are stored sealed. At most 8 in the form that signer.ParseWebhookSecret reads; those
	// that rotate side by side are all used. Without one there is no webhook-signature.
	Secrets []signer.Secret
}

// InvalidError says what is wrong with a Notification. It shows no secret, header value or URL.
type InvalidError struct{ Why string }

func (e *InvalidError) Error() string { return "the notification is not valid: " + e.Why }

func invalid(format string, args ...any) error { return &InvalidError{fmt.Sprintf(format, args...)} }

// NewID makes a random id: msg_ and 26 characters.
func NewID() string { return "msg_" + rand.Text() }

// sealedPart is what is stored of a Notification that nobody may read.
type sealedPart struct {
	Header  map[string]string `json:"h,omitempty"`
	Secrets []string          `json:"s,omitempty"`
}

// record checks a Notification and makes what is stored of it.
func (n Notification) record(g *Guard, s *signer.Sealer) (Record, error) {
	if err := n.check(); err != nil {
		return Record{}, err
	}
	u, err := g.parse(n.URL)
	if err != nil {
		return Record{}, err
	}
	part := sealedPart{Header: make(map[string]string, len(n.Header))}
	if err := n.addHeader(part.Header); err != nil {
		return Record{}, err
	}
	if len(n.Secrets) > maxSecrets {
		return Record{}, invalid("it has more than %d secrets", maxSecrets)
	}
	for _, secret := range n.Secrets {
		if _, err := signer.ParseWebhookSecret(string(secret)); err != nil {
			return Record{}, invalid("a secret %v", err)
		}
		part.Secrets = append(part.Secrets, string(secret))
	}
	r := Record{ID: n.ID, Subscription: n.Subscription, Trip: n.Trip, URL: n.URL, Host: hostOf(u), Body: n.Body}
	text, err := json.Marshal(part)
	if err != nil {
		return Record{}, invalid("its header is no text")
	}
	r.Sealed = s.Seal(nil, text, r.use())
	return r, nil
}

// check refuses texts that are too long, or not such texts.
func (n Notification) check() error {
	if n.ID == "" || len(n.ID) > maxID || strings.ContainsFunc(n.ID, notOfID) {
		return invalid("the id must be 1 to %d letters, digits, _ and -", maxID)
	}
	if len(n.Subscription) > maxID || strings.ContainsFunc(n.Subscription, unprintable) {
		return invalid("the subscription must be at most %d printable ASCII characters", maxID)
	}
	if len(n.Trip) > maxTrip || strings.ContainsFunc(n.Trip, unprintable) {
		return invalid("the trip must be at most %d printable ASCII characters", maxTrip)
	}
	if len(n.Body) > MaxBody {
		return invalid("the body has more than %d bytes", MaxBody)
	}
	return nil
}

func unprintable(r rune) bool { return r < ' ' || r > '~' }

func notOfID(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '_' && r != '-'
}

// hostOf gives what attempts are bounded by: the host in lower case, and the port.
func hostOf(u *url.URL) string {
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	switch port := u.Port(); {
	case port != "":
		return host + ":" + port
	case u.Scheme == "http":
		return host + ":80"
	}
	return host + ":443"
}

// ours are names that a Header must not have: HTTP's own, and those of the signature.
var ours = map[string]bool{
	"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Connection": true, "Keep-Alive": true, "Upgrade": true, "Te": true,
	"Trailer": true, "Expect": true, "Proxy-Connection": true, "Proxy-Authorization": true, "Accept-Encoding": true,
	"Webhook-Id": true, "Webhook-Timestamp": true, "Webhook-Signature": true,
}

func (n Notification) addHeader(to map[string]string) error {
	size := 0
	for name, value := range n.Header {
		size += len(name) + len(value)
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case !isToken(name):
			return invalid("a header's name is not a token")
		case ours[canonical]:
			return invalid("the header %s is not for it to say", canonical)
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			return invalid("the header %s has a control character", canonical)
		}
		if _, twice := to[canonical]; twice {
			return invalid("the header %s is there twice", canonical)
		}
		to[canonical] = value
	}
	if len(n.Header) > maxHeaders || size > maxHeader {
		return invalid("its header has more than %d names or %d bytes", maxHeaders, maxHeader)
	}
	return nil
}

// isToken reports whether a name is one of HTTP (RFC 9110, section 5.6.2).
func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return notOfID(r) && !strings.ContainsRune("!#$%&'*+.^`|~", r)
	})
}

// use is what the sealed part of a Record is sealed for: all the rest of it. So who can write to the store can have no other body sent, and
// nothing to another receiver.
func (r Record) use() []byte {
	return fmt.Appendf(nil, "notification\n%s\n%s\n%s\n%x", r.ID, r.Subscription, r.URL, sha256.Sum256(r.Body))
}

// open gives the header and the keys of a Record.
func (r Record) open(s *signer.Sealer) (header map[string]string, keys [][]byte, err error) {
	text, err := s.Open(nil, r.Sealed, r.use())
	if err != nil {
		return nil, nil, err
	}
	var part sealedPart
	if err := json.Unmarshal(text, &part); err != nil {
		return nil, nil, errors.New("what was sealed is not ours")
	}
	for _, secret := range part.Secrets {
		key, err := signer.ParseWebhookSecret(secret)
		if err != nil {
			return nil, nil, errors.New("a secret that was sealed is none")
		}
		keys = append(keys, key)
	}
	return part.Header, keys, nil
}

// shown is a URL as operators see it: without what its query says.
func shown(text string) string {
	text, _, _ = strings.Cut(text, "#")
	if before, _, ok := strings.Cut(text, "?"); ok {
		return before + "?…"
	}
	return text
}
