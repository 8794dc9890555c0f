// Package probe is what syncgate doctor and a gateway say to each other through the proxies between them.
//
// Doctor sends a POST to ClientPath or CallbackPath and a token. The token says what the gateway is to do: answer at once, hold the connection, or send
// a stream. It has a proof that was made with a callback key, so that nobody without a key can make a token. The answer has a proof over the token
// and the answer. So doctor knows that a gateway with the same keys has answered this very request, and no proxy or other gateway.
//
// A token is not spent when it is used: a proxy may send a request again, and doctor wants to see that. So who reads a token, in the log of a proxy for
// example, can repeat its probe until the token's time is over.
//
// A token has 26 bytes and the proof, in URL-safe base64:
//
//	1   version of this format
//	1   Do
//	2   Wait, in seconds
//	8   Until, in Unix milliseconds
//	14  ID, random
package probe

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	// ClientPath is where probes come in that go the way of clients: ClientPath + token.
	ClientPath = "/api/1/doctor/"
	// CallbackPath is where probes come in that go the way of callbacks: CallbackPath + token. None is held there.
	CallbackPath = "/api/1/plugins/callback/doctor/"

	// MaxWait is the longest that a gateway holds a probe.
	MaxWait = 10 * time.Minute
	// MaxLife is how long a token may be good. It is longer than MaxWait: the clocks may differ.
	MaxLife = 30 * time.Minute
	// MaxHeld is how many probes a gateway holds at the same time.
	MaxHeld = 16
)

// Do is what a gateway does with a probe.
type Do uint8

const (
	// Say answers at once, with what the gateway knows of itself and of the request.
	Say Do = iota + 1
	// Hold answers after Wait, and sends nothing until then, as with a client that waits.
	Hold
	// Stream sends the head and an Event at once, further ones each second, and ends after Wait, as with a stream of events.
	Stream
	// Seen answers at once, with what became of the probe of the same ID that was held.
	Seen
	// Beat is a Stream whose events come as seldom as heartbeats of the gateway.
	Beat
	last = Beat
)

// Held reports whether the gateway keeps the connection for as long as Wait says.
func (d Do) Held() bool { return d == Hold || d == Stream || d == Beat }

const (
	version = 1
	idLen   = 14
	rawLen  = 1 + 1 + 2 + 8 + idLen
)

// Keys make and check proofs.
type Keys interface {
	AppendProof(dst, message []byte) []byte
	Proves(message, proof []byte) bool
}

// ID names a probe.
type ID [idLen]byte

// NewID makes a random ID.
func NewID() (id ID) {
	_, _ = rand.Read(id[:]) // never fails: the runtime stops the process instead
	return id
}

// Request is what a token says.
type Request struct {
	Do    Do
	Wait  time.Duration // of Hold, Stream and Beat: whole seconds, at most MaxWait
	Until time.Time     // the token is good until then
	ID    ID
}

var encoding = base64.RawURLEncoding.Strict() // one spelling per token

// proofOf says what a proof is about, so that one of a token is none of an answer.
const (
	proofOfToken  = "token\n"
	proofOfAnswer = "answer\n"
)

// Token gives the token of a request.
func (r Request) Token(k Keys) string {
	raw := make([]byte, 0, rawLen)
	raw = append(raw, version, byte(r.Do))
	raw = binary.BigEndian.AppendUint16(raw, uint16(r.Wait/time.Second)) //nolint:gosec // at most MaxWait
	raw = binary.BigEndian.AppendUint64(raw, uint64(max(r.Until.UnixMilli(), 0)))
	raw = append(raw, r.ID[:]...)
	return encoding.EncodeToString(k.AppendProof(raw, append([]byte(proofOfToken), raw...)))
}

// Parse reads a token; false: it is none, or was not made with one of the keys. Whether its time is over is for the caller to ask.
func Parse(token []byte, k Keys) (r Request, ok bool) {
	const most = 128 // more than a token has
	if len(token) > most {
		return r, false
	}
	all, err := encoding.AppendDecode(nil, token)
	if err != nil || len(all) < rawLen || encoding.EncodedLen(len(all)) != len(token) { // line ends are skipped
		return r, false
	}
	raw, proof := all[:rawLen], all[rawLen:]
	if raw[0] != version || !k.Proves(append([]byte(proofOfToken), raw...), proof) {
		return r, false
	}
	r.Do = Do(raw[1])
	r.Wait = time.Duration(binary.BigEndian.Uint16(raw[2:])) * time.Second
	r.Until = time.UnixMilli(int64(binary.BigEndian.Uint64(raw[4:]))) //nolint:gosec // made by Token
	copy(r.ID[:], raw[12:])
	return r, r.Do >= Say && r.Do <= last && r.Wait <= MaxWait
}

// Split takes the token out of a raw path or request target, and what stands behind it; false: the path is none of a probe.
func Split(path []byte) (token, rest []byte, callbacks, ok bool) {
	after, ok := bytes.CutPrefix(path, []byte(ClientPath))
	if !ok {
		if after, ok = bytes.CutPrefix(path, []byte(CallbackPath)); !ok {
			return nil, nil, false, false
		}
		callbacks = true
	}
	at := bytes.IndexAny(after, "/?")
	if at < 0 {
		at = len(after)
	}
	return after[:at], after[at:], callbacks, true
}

// Answer is what a gateway says.
type Answer struct {
	Node    string    `json:"node"`    // the start of the process
	Version string    `json:"version"` // of the gateway
	Now     time.Time `json:"now"`

	// Of Say: the request as it came.
	Rest     string            `json:"rest,omitempty"`    // what stood behind the token, path and query, as it came
	Protocol string            `json:"proto,omitempty"`   // HTTP/1.0 or HTTP/1.1
	Host     string            `json:"host,omitempty"`    // the header
	Client   string            `json:"client,omitempty"`  // the address that the gateway takes for the client's
	Headers  map[string]string `json:"headers,omitempty"` // those of Looked that came
	Body     int64             `json:"body,omitempty"`    // its bytes
	// Config has a digest of each setting that is in effect, by its key.
	Config map[string]string `json:"config,omitempty"`

	// Of Seen: what became of the probe.
	Times int  `json:"times,omitempty"` // how often it came to this node; 0: it was not held here, or is forgotten
	Held  int  `json:"held,omitempty"`  // of those, now
	Left  bool `json:"left,omitempty"`  // its client has left before the answer
}

// Looked gives the headers whose values Say repeats: those that clients need and proxies drop, and those that proxies add.
func Looked() []string {
	return []string{
		"Accept", "Authorization", "Idempotency-Key", "Last-Event-Id", "Prefer", "X-Request-Id", "X-Api-Key",
		"X-Callback-Status", "Webhook-Id", "Webhook-Signature", "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "Via",
	}
}

// envelope is an answer with its proof, as it goes over the wire.
type envelope struct {
	Proof  string          `json:"proof"`
	Answer json.RawMessage `json:"answer"`
}

func answerMessage(token string, answer []byte) []byte {
	return append([]byte(proofOfAnswer+token+"\n"), answer...)
}

// Encode gives the body of the answer to the probe with that token.
func (a *Answer) Encode(token string, k Keys) ([]byte, error) {
	answer, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("write the answer to a probe: %w", err)
	}
	proof := encoding.EncodeToString(k.AppendProof(nil, answerMessage(token, answer)))
	return json.Marshal(envelope{proof, answer})
}

// ErrForeign is the error of Decode for a body that no gateway with one of the keys has made for the token.
var ErrForeign = errors.New("the answer is not that of a gateway with these callback keys")

// Decode reads the body of the answer to the probe with that token.
func Decode(body []byte, token string, k Keys) (a Answer, err error) {
	var e envelope
	if json.Unmarshal(body, &e) != nil {
		return a, ErrForeign
	}
	proof, err := encoding.DecodeString(e.Proof)
	if err != nil || !k.Proves(answerMessage(token, e.Answer), proof) {
		return a, ErrForeign
	}
	if json.Unmarshal(e.Answer, &a) != nil {
		return Answer{}, ErrForeign
	}
	return a, nil
}

// Digest gives what stands for the value of a setting. The value may be short: without the key nobody can find it by trying values.
func Digest(key, value string, k Keys) string {
	const enough = 9 // bytes: two values of a file never meet
	proof := k.AppendProof(nil, []byte("setting\n"+key+"\n"+value))
	return encoding.EncodeToString(proof[:enough])
}
