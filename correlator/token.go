package correlator

import (
	"crypto/aes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// ID names a trip: 16 random bytes, 8 of its home node (random per process start), 1 of flags, 7 of its expiry (Unix milliseconds).
type ID [32]byte

// flagsAt is where the flags of an ID are.
const (
	flagsAt  = 24
	marked   = 1
	outlasts = 2
	traced   = 4
)

// NodeID names one start of one process.
type NodeID [8]byte

// NewNodeID makes a random one.
func NewNodeID() (n NodeID) {
	_, _ = rand.Read(n[:]) // never fails: the runtime stops the process instead
	return n
}

func (n NodeID) String() string { return hex.EncodeToString(n[:]) }

// NewID makes an id with that home and expiry.
func NewID(home NodeID, expiry time.Time) (id ID) {
	_, _ = rand.Read(id[:16])
	copy(id[16:24], home[:])
	binary.BigEndian.PutUint64(id[flagsAt:], uint64(expiry.UnixMilli())) // the first of these bytes is 0 for two million years
	return id
}

// Home is the node that parks the trip.
func (id ID) Home() (n NodeID) {
	copy(n[:], id[16:24])
	return n
}

// Expiry is when tokens of the trip stop being accepted.
func (id ID) Expiry() time.Time {
	id[flagsAt] = 0
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[flagsAt:]))) //nolint:gosec // made by NewID
}

// Mark gives the id with a mark, which its tokens and its task id carry. Marked and unmarked it is not the same id.
func (id ID) Mark() ID {
	id[flagsAt] |= marked
	return id
}

// Marked reports whether Mark made the id.
func (id ID) Marked() bool { return id[flagsAt]&marked != 0 }

// MarkedFor is how much longer than others the records of marked ids are kept: unfinished ones after the id's expiry, and complete ones until
// Prolong lets them go. So long may pass until somebody looks at what is to be sent of them.
const MarkedFor = 24 * time.Hour

// Lasts is until when the record of the id may change: its expiry, and MarkedFor more if it is marked. Nobody has a token that is good after the expiry,
// but who looks at a marked task ends it then.
func (id ID) Lasts() time.Time {
	if id.Marked() {
		return id.Expiry().Add(MarkedFor)
	}
	return id.Expiry()
}

// Outlast gives the id of a trip whose record is kept until the id's expiry, also when it is complete. It is another id, as that of Mark is.
func (id ID) Outlast() ID {
	id[flagsAt] |= outlasts
	return id
}

// Outlasts reports whether Outlast made the id.
func (id ID) Outlasts() bool { return id[flagsAt]&outlasts != 0 }

// Trace gives the id of a trip that is recorded for tracing, so that each node that gets one of its tokens knows that. It is another id, as that of Mark is.
func (id ID) Trace() ID {
	id[flagsAt] |= traced
	return id
}

// Traced reports whether Trace made the id.
func (id ID) Traced() bool { return id[flagsAt]&traced != 0 }

// Name gives the 8 characters that logs may show: the beginning of every token and of the task id of the trip.
func (id ID) Name() (name [8]byte) {
	base64.RawURLEncoding.Encode(name[:], id[:6])
	return name
}

// String is Name as a string.
func (id ID) String() string {
	name := id.Name()
	return string(name[:])
}

// EngineID names an engine in the tokens that it is given. The zero EngineID is the default engine's, and takes no room.
type EngineID [4]byte

// NewEngineID makes the EngineID of the engine with that name, the same on every node.
func NewEngineID(name string) (e EngineID) {
	sum := sha256.Sum256([]byte(name))
	copy(e[:], sum[:])
	if e == (EngineID{}) {
		e[0] = 1
	}
	return e
}

// Token is what a callback token says.
type Token struct {
	Trip   ID
	Op     int      // at most MaxOp
	Engine EngineID // who was given it
}

const (
	macLen  = aes.BlockSize
	opLen   = 2
	rawLen  = len(ID{}) + opLen + macLen
	longLen = rawLen + len(EngineID{})
	taskRaw = len(ID{}) + macLen

	// MaxOp is the largest op index that a token can carry.
	MaxOp = 1<<(8*opLen) - 1
	// MinKeyLen is the least length of a callback key, in bytes.
	MinKeyLen = 32
)

var (
	// TokenLen is the length of every callback token of the default engine, in characters of the URL-safe base64 alphabet.
	TokenLen = base64.RawURLEncoding.EncodedLen(rawLen)
	// LongTokenLen is the length of those of other engines.
	LongTokenLen = base64.RawURLEncoding.EncodedLen(longLen)
	// TaskIDLen is the length of every task id.
	TaskIDLen = base64.RawURLEncoding.EncodedLen(taskRaw)
	// EventsTokenLen is the length of every token for the events of a task.
	EventsTokenLen = base64.RawURLEncoding.EncodedLen(macLen)

	encoding = base64.RawURLEncoding.Strict() // one spelling per token
)

// Keys authenticate tokens, task ids, and what nodes say to each other. The first key signs, all verify. Safe for concurrent use.
type Keys struct {
	current atomic.Pointer[[]key]
}

// key holds what is derived from one configured key, so that a token is worth nothing as a task id, and neither as a tag of what nodes say to
// each other.
type key struct {
	token, task, events, proof *cmac
	node                       *tagger
}

// NewKeys makes Keys of at least one key of at least MinKeyLen bytes.
func NewKeys(keys []string) (*Keys, error) {
	k := new(Keys)
	return k, k.Set(keys)
}

// Set replaces the keys, all or none.
func (k *Keys) Set(keys []string) error {
	if len(keys) == 0 {
		return errors.New("at least one key is needed")
	}
	next := make([]key, len(keys))
	for i, s := range keys {
		if len(s) < MinKeyLen {
			return fmt.Errorf("key %d has %d characters; at least %d are needed", i+1, len(s), MinKeyLen)
		}
		var err error
		if next[i], err = newKey(s); err != nil {
			return fmt.Errorf("derive from key %d: %w", i+1, err)
		}
	}
	k.current.Store(&next)
	return nil
}

// RandomKey makes a key for a process that shares its tokens with nobody.
func RandomKey() string { return rand.Text() + rand.Text() }

// AppendToken appends a callback token: URL-safe, authenticated, TokenLen or LongTokenLen characters.
func (k *Keys) AppendToken(dst []byte, t Token) []byte {
	var raw [longLen]byte
	copy(raw[:], t.Trip[:])
	binary.BigEndian.PutUint16(raw[len(ID{}):], uint16(t.Op)) //nolint:gosec // at most MaxOp by validation of limits.ops
	signed := rawLen - macLen
	if t.Engine != (EngineID{}) {
		signed += copy(raw[signed:], t.Engine[:])
	}
	mac := (*k.current.Load())[0].token.sum(raw[:signed])
	return encoding.AppendEncode(dst, raw[:signed+copy(raw[signed:], mac[:])])
}

// ParseToken reads a token. ErrForged is its only error; whether the token has expired is for the caller to ask.
func (k *Keys) ParseToken(token []byte) (t Token, err error) {
	var room [longLen]byte
	raw := room[:]
	if len(token) == TokenLen {
		raw = room[:rawLen]
	}
	if !decode(raw, token) || !k.genuine(raw, func(k *key) *cmac { return k.token }) {
		return Token{}, ErrForged
	}
	copy(t.Trip[:], raw)
	t.Op = int(binary.BigEndian.Uint16(raw[len(ID{}):]))
	if len(raw) == longLen {
		copy(t.Engine[:], raw[len(ID{})+opLen:])
		if t.Engine == (EngineID{}) { // one spelling per token
			return Token{}, ErrForged
		}
	}
	return t, nil
}

// AppendTaskID appends the id under which the client may ask for the trip's result, TaskIDLen characters.
func (k *Keys) AppendTaskID(dst []byte, id ID) []byte {
	var raw [taskRaw]byte
	copy(raw[:], id[:])
	mac := (*k.current.Load())[0].task.sum(raw[:len(id)])
	copy(raw[len(id):], mac[:])
	return encoding.AppendEncode(dst, raw[:])
}

// ParseTaskID reads a task id. ErrForged is its only error.
func (k *Keys) ParseTaskID(task []byte) (id ID, err error) {
	var raw [taskRaw]byte
	if !decode(raw[:], task) || !k.genuine(raw[:], func(k *key) *cmac { return k.task }) {
		return ID{}, ErrForged
	}
	copy(id[:], raw[:])
	return id, nil
}

// AppendEventsToken appends what lets its holder hear the events of one task, and do nothing else: EventsTokenLen characters.
func (k *Keys) AppendEventsToken(dst []byte, id ID) []byte {
	mac := (*k.current.Load())[0].events.sum(id[:])
	return encoding.AppendEncode(dst, mac[:])
}

// ParseEventsToken reports whether a token was made for the task of that id.
func (k *Keys) ParseEventsToken(token []byte, id ID) bool {
	var raw [len(ID{}) + macLen]byte
	copy(raw[:], id[:])
	return decode(raw[len(id):], token) && k.genuine(raw[:], func(k *key) *cmac { return k.events })
}

func decode(raw, text []byte) bool {
	if len(text) != encoding.EncodedLen(len(raw)) {
		return false
	}
	n, err := encoding.Decode(raw, text)
	return err == nil && n == len(raw) // n is less where line ends were skipped
}

func (k *Keys) genuine(raw []byte, of func(*key) *cmac) bool {
	said := raw[len(raw)-macLen:]
	keys := *k.current.Load()
	for i := range keys {
		if want := of(&keys[i]).sum(raw[:len(raw)-macLen]); hmac.Equal(said, want[:]) {
			return true
		}
	}
	return false
}

// newKey derives what authenticates for each purpose. The configured key itself authenticates nothing.
func newKey(configured string) (k key, err error) {
	derive := func(purpose string) []byte {
		h := hmac.New(sha256.New, []byte(configured))
		h.Write([]byte(purpose))
		return h.Sum(nil)
	}
	if k.token, err = newCMAC(derive("syncgate callback token, AES-CMAC")); err != nil {
		return key{}, err
	}
	if k.task, err = newCMAC(derive("syncgate task id, AES-CMAC")); err != nil {
		return key{}, err
	}
	if k.events, err = newCMAC(derive("syncgate events of a task, AES-CMAC")); err != nil {
		return key{}, err
	}
	if k.proof, err = newCMAC(derive("syncgate proof, AES-CMAC")); err != nil {
		return key{}, err
	}
	k.node, err = newTagger(derive("syncgate between nodes, AES-CMAC"), derive("syncgate between nodes, GHASH"))
	return k, err
}
