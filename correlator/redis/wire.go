package redis

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

	"syncgate/correlator"
)

// What crosses Redis:
//
//	entry   = name op                 one callback of one trip of the node whose inbox or channel it is in
//	name    = 32 characters           random part and expiry of the trip's id; its home is in the key's or channel's name
//	op      = decimal, 0 to 65535     without leading zeros
//	value   = status tag body         status is one digit, the tag 16 bytes, the body follows as it is
//	        | status tag sizes type fields body   status is a letter: "a" for 0; sizes are those of type, one byte, and fields, two
//	frame   = size ":" value          more than 64 bytes, see frameLeast
//	message = said { ":" said }       of one callback each
//	        | "!" number ":" tag      a probe
//	        | "@" home name           a hint: there is something new of a trip of that home
//	        | "+" home event { ":" event }   of trips of that home
//	said    = entry ":" frame         it waits in the inbox
//	        | entry "=" frame         it is stored in the hash of its trip
//	        | entry "::"              it is stored there, and is too large for the message
//	event   = entry ":" number ":" size ":" report
//	report  = status tag nonce body   status is one digit, the nonce 8 bytes
//	kept    = number ":" op ":" report   in the list of a trip's events
//	member  = tag text                of a member that is merged; the text is its name, a colon and its value, as in JSON
//	number  = decimal                 of an event among those of its trip, from 1; 0 where there is no record of that
//	size    = decimal, of the value   in bytes; in a frame with as many leading zeros as that needs for its length, else none
//	home    = 16 characters           hexadecimal, lower case
//	bound   = tag binding             what a key holds
//	        | tag id                  when a claim for that trip was undone: the key is free, and not for that claim
//	binding = fingerprint id          32 bytes each: whose a key is
//	meta    = tag Meta                of a record; its tag is for the number of its ops as well
//	mark    = tag                     of a trip that was forgotten, or whose record was released
//
// A tag is good for one statement about one trip, see tags. Entries, sizes and hints have none: they only have something looked for. The number of an
// event has none either, as the script gives it.

const (
	nameLen   = 32
	randomLen = 16 // of the id, before its home
	homeEnd   = 24

	homeLen   = 16                    // in a hint
	valueHead = 1 + correlator.TagLen // of a value, before its body

	probeMark = "!" // these are not in the alphabet of names
	hintMark  = "@"
	eventMark = "+"
	sizeMark  = ":"
	hashMark  = "="

	// frameLeast is how long a frame is at least. With a value of more than 64 bytes, unless it is configured otherwise, Redis makes
	// a hash a table; it would search a list of up to 512 short ones from the beginning for each callback.
	frameLeast = 65
)

var (
	errWire = errors.New("not of this form")

	nameEncoding = base64.RawURLEncoding.Strict()
)

// entry names one callback: op op of trip id.
type entry struct {
	id correlator.ID
	op int
}

// String is the entry as it crosses Redis.
func (e entry) String() string {
	b := make([]byte, 0, nameLen+5)
	return string(strconv.AppendInt(appendName(b, e.id), int64(e.op), 10))
}

// parseEntry reads an entry of home's.
func parseEntry(home correlator.NodeID, s string) (e entry, err error) {
	if len(s) <= nameLen {
		return entry{}, errWire
	}
	if e.op, err = parseDecimal(s[nameLen:], 16); err != nil {
		return entry{}, err
	}
	e.id, err = parseName(home, s[:nameLen])
	return e, err
}

// parseDecimal reads a number of at most so many bits that is written as we write it.
func parseDecimal(s string, bits int) (int, error) {
	n, err := strconv.ParseUint(s, 10, bits)
	if err != nil || s[0] == '0' && len(s) > 1 {
		return 0, errWire
	}
	return int(n), nil //nolint:gosec // of fewer bits
}

func nameOf(id correlator.ID) string { return string(appendName(make([]byte, 0, nameLen), id)) }

func appendName(dst []byte, id correlator.ID) []byte {
	var raw [nameLen * 3 / 4]byte
	copy(raw[:], id[:randomLen])
	copy(raw[randomLen:], id[homeEnd:])
	return nameEncoding.AppendEncode(dst, raw[:])
}

func parseName(home correlator.NodeID, s string) (id correlator.ID, err error) {
	var raw [nameLen * 3 / 4]byte
	if n, err := nameEncoding.Decode(raw[:], []byte(s)); err != nil || n != len(raw) {
		return correlator.ID{}, errWire
	}
	copy(id[:], raw[:randomLen])
	copy(id[randomLen:], home[:])
	copy(id[homeEnd:], raw[randomLen:])
	return id, nil
}

// zeros is how many a frame begins with.
func zeros(size, digits int) int { return max(0, frameLeast-digits-len(sizeMark)-size) }

// said is what a message says of one callback.
type said struct {
	entry
	cb     *correlator.Callback // nil: to be fetched
	hashed bool                 // it is stored in the hash of its trip, and in the inbox there is only its size
}

// parseSaid reads the first callback of a message to home, and gives what follows it. With errForged too: the next ones may be genuine.
func (t *tags) parseSaid(home correlator.NodeID, message string) (one said, rest string, err error) {
	end := strings.IndexAny(message, sizeMark+hashMark)
	if end < 0 {
		return said{}, "", errWire
	}
	if one.entry, err = parseEntry(home, message[:end]); err != nil {
		return said{}, "", err
	}
	one.hashed = message[end:end+1] == hashMark
	rest = message[end+1:]
	if after, is := strings.CutPrefix(rest, sizeMark); is && !one.hashed {
		one.hashed, rest = true, after
	} else {
		var cb correlator.Callback
		cb, rest, err = t.parseFrame(one.entry, rest)
		if err != nil && !errors.Is(err, errForged) {
			return said{}, "", err
		}
		one.cb = &cb
	}
	if rest == "" {
		return one, "", err
	}
	rest, more := strings.CutPrefix(rest, sizeMark)
	if !more || rest == "" {
		return said{}, "", errWire
	}
	return one, rest, err
}

// hint says to those who watch a trip that there is something new.
func hint(id correlator.ID) string {
	return string(appendName([]byte(hintMark+id.Home().String()), id))
}

// parseHint reads a hint without its mark.
func parseHint(s string) (correlator.ID, error) {
	var home correlator.NodeID
	if len(s) != homeLen+nameLen || strings.ToLower(s[:homeLen]) != s[:homeLen] {
		return correlator.ID{}, errWire
	}
	if _, err := hex.Decode(home[:], []byte(s[:homeLen])); err != nil {
		return correlator.ID{}, errWire
	}
	return parseName(home, s[homeLen:])
}

// binding says whose a key is.
type binding string

const bindingLen = 2 * sha256.Size

func bindingOf(fingerprint [sha256.Size]byte, id correlator.ID) binding {
	return binding(append(fingerprint[:], id[:]...))
}

func (b binding) id() (id correlator.ID) {
	copy(id[:], b[sha256.Size:])
	return id
}

func (b binding) fingerprint() (f [sha256.Size]byte) {
	copy(f[:], b)
	return f
}

// keyName names what a client calls its request by. Whatever that is, it is as long as any other and tells nothing.
func keyName(prefix string, k correlator.Key) string {
	h := sha256.New()
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(k.Login)))) // so that no two keys run into one
	_, _ = h.Write([]byte(k.Login + k.Name))
	return prefix + ":key:" + nameEncoding.EncodeToString(h.Sum(nil))
}
