package httpfield

import (
	"math/rand/v2"
	"strconv"

	"github.com/valyala/fasthttp"
)

const (
	keyHeader = "Idempotency-Key"
	maxKey    = 255 // bytes
)

// IdempotencyKey reads the Idempotency-Key of a request, empty when there is none: 1 to 255 visible ASCII characters, taken as they are. What
// is none is not ok, and so are two of them. quoted: it may also be a String of a structured field (RFC 9651, 3.3.3), which is the same key as
// what it says.
func IdempotencyKey(h *fasthttp.RequestHeader, quoted bool) (key string, ok bool) {
	values := h.PeekAll(keyHeader)
	if len(values) == 0 {
		return "", true
	}
	text := values[0]
	if quoted {
		text = structuredString(text)
	}
	if len(values) != 1 || len(text) == 0 || len(text) > maxKey {
		return "", false
	}
	for _, c := range text {
		if c <= ' ' || c >= 0x7f {
			return "", false
		}
	}
	return string(text), true
}

// structuredString gives what a String of a structured field (RFC 9651, 3.3.3) says. What is none stays as it is.
func structuredString(text []byte) []byte {
	n := len(text) - 1
	if n < 1 || text[0] != '"' || text[n] != '"' {
		return text
	}
	said := make([]byte, 0, n)
	for i := 1; i < n; i++ {
		if text[i] == '\\' && i+1 < n {
			i++
		}
		said = append(said, text[i])
	}
	return said
}

// RequestID gives the X-Request-Id of a request where it can stand in a log (1 to 128 letters, digits, dots, underscores and hyphens), else a
// new one.
func RequestID(h *fasthttp.RequestHeader) string {
	if id := h.Peek("X-Request-Id"); isRequestID(id) {
		return string(id)
	}
	return NewRequestID()
}

// NewRequestID makes a name for a request: 16 hexadecimal digits.
func NewRequestID() string {
	return strconv.FormatUint(rand.Uint64()|1<<63, 16) //nolint:gosec // a name, not a secret; always 16 digits
}

func isRequestID(id []byte) bool {
	if len(id) == 0 || len(id) > 128 {
		return false
	}
	for _, c := range id {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
