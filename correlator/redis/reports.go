package redis

import (
	"crypto/rand"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"syncgate/correlator"
)

const (
	nonceLen   = 8
	reportHead = valueHead + nonceLen // of a report, before its body

	mergedMark = "m" // begins the names of members in the hash of what is merged
	seqField   = "seq"
	lastMark   = "last:" // begins the names of the statuses of the ops' last events
)

// report is what becomes of an event as it crosses Redis, without its number.
func (t *tags) report(id correlator.ID, cb correlator.Callback, nonce [nonceLen]byte) []byte {
	status := '0' + byte(cb.Status)
	dst := append(make([]byte, 0, reportHead+len(cb.Body)), status)
	dst = append(dst, make([]byte, correlator.TagLen)...)
	dst = append(append(dst, nonce[:]...), cb.Body...)
	h := head(kindEvent, id, cb.Op, status)
	tag := t.keys.Tag(h[:], dst[valueHead:])
	copy(dst[1:], tag[:])
	return dst
}

// parseReport reads a report. The callback's body is a copy.
func (t *tags) parseReport(e entry, seq uint32, s string) (cb correlator.Callback, err error) {
	if len(s) < reportHead {
		t.refuse(kindEvent)
		return cb, errForged
	}
	status, raw := correlator.Status(s[0]-'0'), []byte(s[1:])
	tag, rest := raw[:correlator.TagLen:correlator.TagLen], raw[correlator.TagLen:]
	h := head(kindEvent, e.id, e.op, s[0])
	if !status.Running() || !t.keys.Tagged(tag, h[:], rest) {
		t.refuse(kindEvent)
		return cb, errForged
	}
	return correlator.Callback{Op: e.op, Status: status, Seq: seq, Body: rest[nonceLen:]}, nil
}

// parseKept reads an event of the list of a trip's events.
func (t *tags) parseKept(id correlator.ID, s string) (cb correlator.Callback, err error) {
	number, rest, ok := strings.Cut(s, sizeMark)
	op, report, more := strings.Cut(rest, sizeMark)
	if !ok || !more {
		t.refuse(kindEvent)
		return cb, errForged
	}
	seq, err1 := parseDecimal(number, 32)
	index, err2 := parseDecimal(op, 16)
	if err1 != nil || err2 != nil {
		t.refuse(kindEvent)
		return cb, errForged
	}
	return t.parseReport(entry{id: id, op: index}, uint32(seq), report) //nolint:gosec // of 32 bits
}

// parseEvents reads what look.lua returns of a trip's events: the genuine ones, in order.
func (t *tags) parseEvents(id correlator.ID, list []any) (events []correlator.Callback) {
	for _, item := range list {
		text, _ := item.(string)
		cb, err := t.parseKept(id, text)
		if err == nil && (len(events) == 0 || cb.Seq > events[len(events)-1].Seq) {
			events = append(events, cb)
		}
	}
	return events
}

// parseEvent reads the first event of a message of home's, without what that begins with, and gives what follows it. With errForged too: the next
// ones may be genuine.
func (t *tags) parseEvent(home correlator.NodeID, s string) (e entry, cb correlator.Callback, rest string, err error) {
	parts := strings.SplitN(s, sizeMark, 4)
	if len(parts) < 4 {
		return e, cb, "", errWire
	}
	e, err1 := parseEntry(home, parts[0])
	seq, err2 := parseDecimal(parts[1], 32)
	size, err3 := parseDecimal(parts[2], 31)
	if err1 != nil || err2 != nil || err3 != nil || size > len(parts[3]) {
		return e, cb, "", errWire
	}
	cb, err = t.parseReport(e, uint32(seq), parts[3][:size]) //nolint:gosec // of 32 bits
	if rest = parts[3][size:]; rest == "" {
		return e, cb, "", err
	}
	rest, more := strings.CutPrefix(rest, sizeMark)
	if !more || rest == "" {
		return e, cb, "", errWire
	}
	return e, cb, rest, err
}

// member is a member of what is merged of an op, as it is stored: its field and its text.
func (t *tags) member(id correlator.ID, op int, m correlator.Member) (field string, text []byte) {
	h := head(kindMember, id, op, 0)
	tag := t.keys.Tag(h[:], m.Text)
	return mergedMark + strconv.Itoa(op) + sizeMark + m.Name, slices.Concat(tag[:], m.Text)
}

// parseMerged reads the hash of what is merged of a trip with so many ops. What is not genuine is left out.
func (t *tags) parseMerged(id correlator.ID, ops int, fields map[string]string) (merged [][]byte, seq uint32) {
	if n, err := parseDecimal(fields[seqField], 32); err == nil {
		seq = uint32(n) //nolint:gosec // of 32 bits
	}
	var members [][]correlator.Member
	for field, text := range fields {
		name, is := strings.CutPrefix(field, mergedMark)
		if !is {
			continue
		}
		op, m, err := t.parseMember(id, name, text)
		if err != nil || op >= ops {
			continue
		}
		if members == nil {
			members = make([][]correlator.Member, ops)
		}
		members[op] = append(members[op], m)
	}
	if members == nil {
		return nil, seq
	}
	merged = make([][]byte, ops)
	for op := range members {
		merged[op] = correlator.Merge(members[op])
	}
	return merged, seq
}

// parseLast reads the status of the last event of each op. What is none of an event is left out; like the number it has no tag.
func parseLast(ops int, fields map[string]string) (last []correlator.Status) {
	if len(fields) == 0 {
		return nil
	}
	last = make([]correlator.Status, ops)
	for op := range last {
		if text := fields[lastMark+strconv.Itoa(op)]; len(text) == 1 && correlator.Status(text[0]-'0').Running() {
			last[op] = correlator.Status(text[0] - '0')
		}
	}
	return last
}

// parseMember reads a member by the rest of its field's name.
func (t *tags) parseMember(id correlator.ID, field, text string) (op int, m correlator.Member, err error) {
	number, name, ok := strings.Cut(field, sizeMark)
	op, err = parseDecimal(number, 16)
	if !ok || err != nil || len(text) < correlator.TagLen {
		t.refuse(kindMember)
		return 0, m, errForged
	}
	tag, raw := []byte(text[:correlator.TagLen]), []byte(text[correlator.TagLen:])
	h := head(kindMember, id, op, 0)
	m, ok = correlator.ParseMember(raw)
	if !ok || m.Name != name || !t.keys.Tagged(tag, h[:], raw) {
		t.refuse(kindMember)
		return 0, m, errForged
	}
	return op, m, nil
}

// reporting is the script that keeps events of one home, the last so many of each trip.
func (s *store) reporting(a alike, writes []*write, kept int) call {
	publish, longest := "", s.progress.Load()
	if a.announce {
		publish = s.publishCommand()
	}
	if longest == 0 {
		longest = math.MaxInt64
	}
	home := a.home.String()
	keys := append(make([]string, 0, 1+4*len(writes)), s.channel(a.home))
	args := append(make([]any, 0, 8+4*len(writes)),
		publish, hintMark+home, eventMark+home, longest, correlator.MergedMembers, kept, correlator.KeptEventBytes, inlineValue)
	for _, w := range writes {
		keys = append(keys, s.trip(w.id), s.watchers(w.id), s.merged(w.id), s.events(w.id))
		report, short := s.tags.report(w.id, w.cb, w.nonce), []byte(nil)
		if len(report) > inlineValue {
			bodiless := w.cb
			bodiless.Body = nil
			short = s.tags.report(w.id, bodiless, w.nonce)
		}
		args = append(args, entry{id: w.id, op: w.cb.Op}.String(), report, short, len(w.members))
		for _, m := range w.members {
			field, text := s.tags.member(w.id, w.cb.Op, m)
			args = append(args, field, text)
		}
	}
	return call{s.report, keys, args}
}

// newReport makes the write of an event. announce: its home hears of it. ErrTooLarge.
func newReport(id correlator.ID, cb correlator.Callback, announce bool) (*write, error) {
	members, err := correlator.Members(cb.Body)
	if err != nil {
		return nil, fmt.Errorf("correlator/redis: report: %w", err)
	}
	w := &write{id: id, cb: cb, report: true, announce: announce, members: members}
	for _, m := range w.members {
		w.extra += len(m.Name) + len(m.Text)
	}
	_, _ = rand.Read(w.nonce[:]) // never fails: the runtime stops the process instead
	return w, nil
}

// parseReported says what became of an event: it is kept under a number, or not, or there is a final instead, which may not be ours.
func (s *store) parseReported(w *write, reply any) (m misfit, forged bool) {
	switch r := reply.(type) {
	case int64:
		switch {
		case r == -1:
			w.err = correlator.ErrTooLarge
		case r < 0 || r > math.MaxUint32:
			w.err = errWire
		case r > 0:
			w.result, w.seq = kept, uint32(r)
		}
	case []any:
		return s.parseInstead(w, r)
	default:
		w.err = errWire
	}
	return misfit{}, false
}
