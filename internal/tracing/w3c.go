package tracing

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"

	"github.com/valyala/fasthttp"
)

// What is read and written here is W3C Trace Context (www.w3.org/TR/trace-context). It is read strictly: anything else is as if nothing were there.

type (
	traceID [16]byte
	spanID  [8]byte
)

// place is where a span is: in a trace, below another span or as one that others are below.
type place struct {
	trace   traceID
	span    spanID
	sampled bool
}

const (
	parentLen   = len("00-") + 2*len(traceID{}) + 1 + 2*len(spanID{}) + len("-01")
	mostState   = 512 // bytes of a tracestate that is passed on
	mostMembers = 32  // of it
)

// parse reads a traceparent. Versions after 00 may have more behind the flags; 01 of the flags is what is known of them.
func parse(text []byte) (p place, ok bool) {
	if len(text) < parentLen || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return place{}, false
	}
	var version, flags [1]byte
	if !unhex(version[:], text[:2]) || !unhex(p.trace[:], text[3:35]) || !unhex(p.span[:], text[36:52]) || !unhex(flags[:], text[53:55]) {
		return place{}, false
	}
	switch {
	case version[0] == 0xff, p.trace == traceID{}, p.span == spanID{}:
		return place{}, false
	case version[0] == 0 && len(text) != parentLen, len(text) > parentLen && text[parentLen] != '-':
		return place{}, false
	}
	p.sampled = flags[0]&1 != 0
	return p, true
}

// unhex reads hexadecimal digits in lower case.
func unhex(dst, text []byte) bool {
	for _, c := range text {
		if c >= 'A' && c <= 'F' {
			return false
		}
	}
	_, err := hex.Decode(dst, text)
	return err == nil
}

// String is the place as a traceparent.
func (p place) String() string {
	var room [parentLen]byte
	b := append(room[:0], "00-"...)
	b = append(hex.AppendEncode(b, p.trace[:]), '-')
	b = hex.AppendEncode(b, p.span[:])
	if p.sampled {
		return string(append(b, "-01"...))
	}
	return string(append(b, "-00"...))
}

// stateOf gives the tracestate of a request, empty where it is none that may be passed on.
func stateOf(h *fasthttp.RequestHeader) string {
	lines := h.PeekAll("Tracestate")
	size := 0
	for _, line := range lines {
		size += len(line) + 1
	}
	if size == 0 || size > mostState+1 {
		return ""
	}
	var b strings.Builder
	for _, line := range lines {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.Write(line)
	}
	text := b.String()
	printable := func(r rune) bool { return r >= ' ' && r <= '~' || r == '\t' }
	if strings.Count(text, ",") >= mostMembers || strings.ContainsFunc(text, func(r rune) bool { return !printable(r) }) {
		return ""
	}
	for member := range strings.SplitSeq(text, ",") {
		if name, _, ok := strings.Cut(member, "="); strings.TrimSpace(member) != "" && (!ok || strings.TrimSpace(name) == "") {
			return ""
		}
	}
	return text
}

// newTraceID and newSpanID make random ids, which are never zero.
func newTraceID() (id traceID) {
	for id == (traceID{}) {
		binary.BigEndian.PutUint64(id[:8], rand.Uint64()) //nolint:gosec // the name of a trace
		binary.BigEndian.PutUint64(id[8:], rand.Uint64()) //nolint:gosec // the name of a trace
	}
	return id
}

func newSpanID() (id spanID) {
	for id == (spanID{}) {
		binary.BigEndian.PutUint64(id[:], rand.Uint64()) //nolint:gosec // the name of a span
	}
	return id
}
