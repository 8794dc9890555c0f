package redis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"syncgate/correlator"
)

// kind is the first byte of what is tagged, so that a tag of one kind is worth nothing as another.
type kind byte

const (
	kindCallback kind = 'c' // a final callback, wherever it is stored or announced
	kindRecord   kind = 'r' // Meta and the number of ops of a record
	kindKey      kind = 'k' // what a client's key is bound to
	kindReleased kind = 'l' // the mark of a record that was released
	kindGone     kind = 'g' // the mark of a trip that was forgotten
	kindUndone   kind = 'u' // a claim that was undone
	kindProbe    kind = 'p'
	kindEvent    kind = 'e' // what an engine reports, without its number
	kindMember   kind = 'm' // a member of what is merged of that
	kindName     kind = 'n' // who has a name
	kindFinal    kind = 'f' // the mark of a name whose op is final
	kindUnbound  kind = 'x' // the mark of a name that its op must not have any more
	kindType     kind = 't' // not tagged: a key of ours that holds another type
)

// kinds are all of them, each with its name in metrics.
func kinds() map[kind]string {
	return map[kind]string{
		kindCallback: "callback", kindRecord: "record", kindKey: "key", kindReleased: "release", kindGone: "gone", kindUndone: "undone", kindProbe: "probe",
		kindName: "name", kindFinal: "finished", kindUnbound: "unbound", kindEvent: "event", kindMember: "member", kindType: "type",
	}
}

// forgedEvery is how often it is reported at most that something was not made by our nodes.
const forgedEvery = time.Minute

// errForged says that something in Redis has no tag, or none that was made for it with one of our keys.
var errForged = errors.New("not made by a node that has our callback keys")

// tags makes what is written to Redis, and checks what is read from there. Only the holders of callback.keys can make a tag, and each is good
// for one statement about one trip. What has no good tag counts for nothing.
type tags struct {
	keys *correlator.Keys
	tell func(error) // may be nil; it must not block

	forged   [128]atomic.Uint64 // by kind
	reported atomic.Int64       // when, Unix ms
}

// undoneLen is the length of what a key holds after a claim was undone. A binding is longer.
const undoneLen = correlator.TagLen + len(correlator.ID{})

const headLen = 4 + len(correlator.ID{})

// head is what a statement is about.
func head(k kind, id correlator.ID, number int, status byte) (h [headLen]byte) {
	h[0], h[3] = byte(k), status
	binary.BigEndian.PutUint16(h[1:], uint16(number)) //nolint:gosec // an op, or how many there are
	copy(h[4:], id[:])
	return h
}

// refuse counts what has no good tag, and reports it now and then.
func (t *tags) refuse(k kind) {
	t.forged[k].Add(1)
	now, last := time.Now().UnixMilli(), t.reported.Load()
	if t.tell == nil || now-last < forgedEvery.Milliseconds() || !t.reported.CompareAndSwap(last, now) {
		return
	}
	t.tell(fmt.Errorf("correlator/redis: a %s that was read from Redis is ignored: it was %w", kinds()[k], errForged))
}

// mark is what says that something has happened to a trip.
func (t *tags) mark(k kind, id correlator.ID) string {
	h := head(k, id, 0, 0)
	tag := t.keys.Tag(h[:], nil)
	return string(tag[:])
}

// marked reports whether a mark is genuine.
func (t *tags) marked(k kind, id correlator.ID, mark string) bool {
	h := head(k, id, 0, 0)
	if t.keys.Tagged([]byte(mark), h[:], nil) {
		return true
	}
	t.refuse(k)
	return false
}

// headed is the status of a value with what came beside the body, less that of the same value without.
const headed = 'a' - '0'

// headSizes is the length of what says how long the parts of a head are.
const headSizes = 3

// appendValue appends a callback as it is stored, without its op.
func (t *tags) appendValue(dst []byte, id correlator.ID, cb correlator.Callback) []byte {
	status := '0' + byte(cb.Status)
	if cb.Head == nil {
		h := head(kindCallback, id, cb.Op, status)
		tag := t.keys.Tag(h[:], cb.Body)
		return append(append(append(dst, status), tag[:]...), cb.Body...)
	}
	status += headed
	begin := len(dst)
	dst = append(append(dst, status), make([]byte, correlator.TagLen)...)
	content, fields := cb.Head.ContentType, cb.Head.Fields
	dst = append(dst, byte(len(content)))                         //nolint:gosec // at most MaxContentType
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(fields))) //nolint:gosec // at most MaxHeadFields
	dst = append(append(append(dst, content...), fields...), cb.Body...)
	h := head(kindCallback, id, cb.Op, status)
	tag := t.keys.Tag(h[:], dst[begin+valueHead:])
	copy(dst[begin+1:], tag[:])
	return dst
}

// valueSize is how long a callback is as it is stored.
func valueSize(cb correlator.Callback) int {
	n := valueHead + len(cb.Body)
	if cb.Head != nil {
		n += headSizes + len(cb.Head.ContentType) + len(cb.Head.Fields)
	}
	return n
}

func (t *tags) value(id correlator.ID, cb correlator.Callback) []byte {
	return t.appendValue(make([]byte, 0, valueSize(cb)), id, cb)
}

// parseValue reads a value. The callback's body and head are copies.
func (t *tags) parseValue(e entry, s string) (correlator.Callback, error) {
	cb := correlator.Callback{Op: e.op}
	if len(s) < valueHead {
		t.refuse(kindCallback)
		return cb, errForged
	}
	raw := []byte(s[1:])
	tag, body := raw[:correlator.TagLen:correlator.TagLen], raw[correlator.TagLen:]
	h := head(kindCallback, e.id, e.op, s[0])
	status, beside := s[0]-'0', s[0] >= 'a'
	if beside {
		status -= headed
	}
	if !correlator.Status(status).Final() || !t.keys.Tagged(tag, h[:], body) {
		t.refuse(kindCallback)
		return cb, errForged
	}
	cb.Status, cb.Body = correlator.Status(status), body
	if beside {
		if !parseHead(&cb) { // it was written by a node of ours, but not like this
			t.refuse(kindCallback)
			return correlator.Callback{Op: e.op}, errForged
		}
	}
	return cb, nil
}

// parseHead takes what came beside the body out of that.
func parseHead(cb *correlator.Callback) bool {
	body := cb.Body
	if len(body) < headSizes {
		return false
	}
	content, fields := headSizes+int(body[0]), int(binary.BigEndian.Uint16(body[1:]))
	if len(body) < content+fields {
		return false
	}
	cb.Head = &correlator.Head{ContentType: string(body[headSizes:content]), Fields: body[content : content+fields : content+fields]}
	cb.Body = body[content+fields:]
	return true
}

// appendFrame appends a callback as it is announced and waits in the inbox, without its op.
func (t *tags) appendFrame(dst []byte, id correlator.ID, cb correlator.Callback) []byte {
	size := valueSize(cb)
	digits := strconv.Itoa(size)
	for range zeros(size, len(digits)) {
		dst = append(dst, '0')
	}
	return t.appendValue(append(append(dst, digits...), sizeMark...), id, cb)
}

// parseFrame reads the frame of an entry, and gives what follows it. It does so also when the callback is forged.
func (t *tags) parseFrame(e entry, s string) (cb correlator.Callback, rest string, err error) {
	n, rest, err := parseSize(s)
	if err != nil {
		return cb, "", err
	}
	cb, err = t.parseValue(e, rest[:n])
	return cb, rest[n:], err
}

// parseSize reads what a frame begins with.
func parseSize(s string) (n int, rest string, err error) {
	size, rest, framed := strings.Cut(s, sizeMark)
	if !framed {
		return 0, "", errWire
	}
	digits := strings.TrimLeft(size, "0")
	n, err = parseDecimal(digits, 31)
	if err != nil || n > len(rest) || len(size)-len(digits) != zeros(n, len(digits)) {
		return 0, "", errWire
	}
	return n, rest, nil
}

// meta is a record's Meta as it is stored. It says of how many ops the record is.
func (t *tags) meta(id correlator.ID, rec correlator.Record) []byte {
	h := head(kindRecord, id, len(rec.Finals), 0)
	tag := t.keys.Tag(h[:], rec.Meta)
	return append(tag[:], rec.Meta...)
}

// parseMeta reads what is stored of a record beside its finals.
func (t *tags) parseMeta(id correlator.ID, meta, ops string) (correlator.Record, error) {
	n, err := strconv.ParseUint(ops, 10, 16)
	if err != nil || len(meta) < correlator.TagLen {
		t.refuse(kindRecord)
		return correlator.Record{}, errForged
	}
	raw := []byte(meta)
	tag, text := raw[:correlator.TagLen:correlator.TagLen], raw[correlator.TagLen:]
	h := head(kindRecord, id, int(n), 0)
	if !t.keys.Tagged(tag, h[:], text) {
		t.refuse(kindRecord)
		return correlator.Record{}, errForged
	}
	return correlator.Record{Meta: text, Finals: make([]correlator.Callback, n)}, nil
}

// bound is a binding as it is stored under a key.
func (t *tags) bound(key string, b binding) string {
	tag := t.keyTag(key, b)
	return string(tag[:]) + string(b)
}

func (t *tags) keyTag(key string, b binding) [correlator.TagLen]byte {
	h := head(kindKey, b.id(), 0, 0)
	return t.keys.Tag(h[:], []byte(key+string(b)))
}

// undone is what a key holds after a claim for a trip was undone.
func (t *tags) undone(key string, id correlator.ID) string {
	h := head(kindUndone, id, 0, 0)
	tag := t.keys.Tag(h[:], []byte(key))
	return string(tag[:]) + string(id[:])
}

// parseBound reads what is stored under a key. The binding is empty when a claim was undone, and the key is free.
func (t *tags) parseBound(key, s string) (binding, error) {
	if len(s) == undoneLen {
		var id correlator.ID
		copy(id[:], s[correlator.TagLen:])
		h := head(kindUndone, id, 0, 0)
		if t.keys.Tagged([]byte(s[:correlator.TagLen]), h[:], []byte(key)) {
			return "", nil
		}
	}
	if len(s) == correlator.TagLen+bindingLen {
		b := binding(s[correlator.TagLen:])
		h := head(kindKey, b.id(), 0, 0)
		if t.keys.Tagged([]byte(s[:correlator.TagLen]), h[:], []byte(key+string(b))) {
			return b, nil
		}
	}
	t.refuse(kindKey)
	return "", errForged
}

// probe is the text of a node's probe.
func (t *tags) probe(node correlator.NodeID, number uint64) string {
	text := strconv.FormatUint(number, 10)
	tag := t.probeTag(node, text)
	return text + sizeMark + string(tag[:])
}

func (t *tags) probeTag(node correlator.NodeID, text string) [correlator.TagLen]byte {
	h := probeHead(node)
	return t.keys.Tag(h[:], []byte(text))
}

func probeHead(node correlator.NodeID) [headLen]byte {
	var id correlator.ID
	copy(id[randomLen:], node[:])
	return head(kindProbe, id, 0, 0)
}

// parseProbe reads a probe of the node.
func (t *tags) parseProbe(node correlator.NodeID, s string) (number uint64, err error) {
	text, tag, _ := strings.Cut(s, sizeMark)
	h := probeHead(node)
	if !t.keys.Tagged([]byte(tag), h[:], []byte(text)) {
		t.refuse(kindProbe)
		return 0, errForged
	}
	return strconv.ParseUint(text, 10, 64)
}
