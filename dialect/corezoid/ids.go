package corezoid

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"syncgate/dialect"
	"syncgate/internal/splice"
)

const (
	idBytes = 12 // of randomness in an id of ours: nobody guesses it, and no two trips share it
	idChars = idBytes * 4 / 3
)

// idSource makes the random part of ids. It asks the system for many at once.
type idSource struct {
	random [16 * idBytes]byte
	used   int // of random, counted from its end, so that the zero value has none left
}

// next gives characters that no other trip has.
func (s *idSource) next() (chars [idChars]byte) {
	if s.used == 0 {
		_, _ = rand.Read(s.random[:]) // never fails: the runtime stops the process instead
		s.used = len(s.random)
	}
	base64.RawURLEncoding.Encode(chars[:], s.random[s.used-idBytes:s.used])
	s.used -= idBytes
	return chars
}

const (
	idMember  = `"id":`
	refMember = `"ref":`
)

// ownID gives the member for an op without an id of its client, and the id in that member: both are one string. The op's index makes the id
// unique within its request.
func ownID(random [idChars]byte, op int) (member, id string) {
	var room [len(idMember) + len(`""`) + idChars + 20]byte
	b := append(append(room[:0], idMember...), '"')
	b = strconv.AppendInt(append(b, random[:]...), int64(op), 10)
	member = string(append(b, '"'))
	return member, member[len(idMember)+1 : len(member)-1]
}

// identify gives each forwarded op the id by which its answer is found: the client's where it is unique in the request, ours where the
// client sent no number or text. So an answer to another trip has an id that this trip did not send. Ops whose ids repeat are
// matched by position.
func (q *request) identify(ops []dialect.Op) {
	var random [idChars]byte
	theirs, ours := 0, 0
	for i := range ops {
		if !isForwarded(&ops[i]) {
			continue
		}
		sent := q.s.ops[i].id
		if text := q.s.idText(sent); len(text) > 0 {
			ops[i].Match = string(text)
			theirs++
			continue
		}
		if ours++; ours == 1 {
			random = q.s.ids.next()
		}
		member, id := ownID(random, i)
		ops[i].Match, ops[i].Added = id, true
		if sent.kind == splice.Invalid {
			q.s.ops[i].items.Append(member, 0)
		} else {
			q.s.edits.Replace(sent.Span, member[len(idMember):], 0)
		}
	}
	if theirs > 1 {
		unmatchRepeated(ops)
	}
}

// unmatchRepeated clears the ids that several ops have.
func unmatchRepeated(ops []dialect.Op) {
	count := make(map[string]int, len(ops))
	for i := range ops {
		count[ops[i].Match]++
	}
	for i := range ops {
		if count[ops[i].Match] > 1 {
			ops[i].Match = ""
		}
	}
}

// What finding an op by its id comes to, apart from an op.
const (
	none    = -1 // no id
	several = -2 // an id that several ops have
	unknown = -3 // an id that no op has
)

// sentIDs finds the ops of a request by the ids that they were forwarded with.
type sentIDs struct {
	ops      []dialect.Op
	byText   map[string]int
	byNumber map[float64]int
}

// find gives the op that has an id, whose text is not empty. Engines that read numbers may write them otherwise: 1.0 as 1.
func (s *sentIDs) find(text []byte, kind splice.Kind) int {
	if len(s.ops) == 1 {
		if op := &s.ops[0]; op.Match == string(text) || kind == splice.Number && sameNumber(op.ID, text) {
			return 0
		}
		return unknown
	}
	if s.byText == nil {
		s.index()
	}
	if i, ok := s.byText[string(text)]; ok {
		return i
	}
	if kind == splice.Number {
		if number, ok := parseNumber(text); ok {
			if i, ok := s.byNumber[number]; ok {
				return i
			}
		}
	}
	return unknown
}

// index notes the ids of the forwarded ops.
func (s *sentIDs) index() {
	s.byText = make(map[string]int, len(s.ops))
	for i := range s.ops {
		op := &s.ops[i]
		switch {
		case !isForwarded(op):
		case op.Match != "":
			s.byText[op.Match] = i
		default:
			s.byText[string(textOf(op.ID))] = several
		}
		if number, ok := parseNumber(op.ID); ok && isForwarded(op) && !op.Added {
			if s.byNumber == nil {
				s.byNumber = make(map[float64]int)
			}
			if _, repeated := s.byNumber[number]; repeated || op.Match == "" {
				s.byNumber[number] = several
			} else {
				s.byNumber[number] = i
			}
		}
	}
}

// textOf is the text of a JSON string or number, as idText gives it of what is being read; of anything else nothing.
func textOf(raw []byte) []byte {
	switch {
	case len(raw) == 0:
		return nil
	case raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0:
		return raw[1 : len(raw)-1]
	case raw[0] == '"':
		text, _ := jsontext.AppendUnquote(nil, raw) // its error is about lone surrogates
		return text
	case raw[0] == '-' || isDigit(raw[0]):
		return raw
	default:
		return nil
	}
}

// sameText reports whether two ids or refs say the same: the same text, or the same number written otherwise.
func sameText(a, b []byte) bool {
	return string(textOf(a)) == string(textOf(b)) || sameNumber(a, b)
}

func sameNumber(a, b []byte) bool {
	x, ok := parseNumber(a)
	y, alike := parseNumber(b)
	return ok && alike && x == y
}

// parseNumber reads a JSON number; anything else is none. A number too large for a float to be exact counts by its text alone, or it
// would be its neighbour's equal.
func parseNumber(raw []byte) (float64, bool) {
	const exact = 1 << 53
	if len(raw) == 0 || raw[0] != '-' && !isDigit(raw[0]) {
		return 0, false
	}
	number, err := strconv.ParseFloat(string(raw), 64)
	return number, err == nil && math.Abs(number) <= exact
}
